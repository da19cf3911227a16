// What a service found, as names and values: files, JSON and Python all write the same list.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tempera/io/hdf5.hpp"

namespace tempera {

using Fact = std::variant<bool, std::int64_t, double, std::string, std::vector<double>>;

/// Facts in the order in which they are told. Names are unique.
using Facts = std::vector<std::pair<std::string, Fact>>;

/// Facts as attributes of a group; lists of numbers as datasets below it. A truth is 1 or 0.
void write_facts(Hdf5Writer& file, const std::string& group, const Facts& facts);

}  // namespace tempera
