// A run, or several laid over each other, as one page that shows everything that their files tell.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tempera/services/listener.hpp"

namespace tempera {

/// What the page is made of, as JSON: for every run its verdict and what is wrong with it, the columns of
/// metrics.csv, pictures, the spectrum of the weights along the kept checkpoints, configuration, provenance,
/// and the commands that repeat it. A run may be under way: what is not there yet is left out. Throws
/// NoInputError where a directory holds no run, DataError.
std::string report_data(const std::vector<std::filesystem::path>& runs, Listener& listener);

/// The page, which needs no network: charts, data and all. `live`: it asks for data.json beside it every two
/// seconds. Throws NoInputError where the script of the charts is not installed.
std::string report_page(const std::string& data, bool live);

}  // namespace tempera
