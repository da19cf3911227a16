#include "tempera/services/report.hpp"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "observers.hpp"
#include "tempera/core/decompositions.hpp"
#include "tempera/core/format.hpp"
#include "tempera/io/files.hpp"
#include "tempera/services/config_file.hpp"
#include "tempera/services/features.hpp"
#include "tempera/services/metrics.hpp"
#include "tempera/services/pictures.hpp"
#include "tempera/services/run_directory.hpp"
#include "tempera/services/verdict.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kCharts = "plotly.min.js";
constexpr Index kPicturedCases = 100;
constexpr std::size_t kPicturedFilters = 64;
constexpr std::size_t kSingularValues = 16;
constexpr int kBins = 60;

std::string base64(const std::string& bytes) {
  constexpr const char* kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t k = 0; k < bytes.size(); k += 3) {
    const auto byte = [&](std::size_t i) {
      return i < bytes.size() ? static_cast<unsigned>(static_cast<unsigned char>(bytes[i])) : 0U;
    };
    const unsigned three = byte(k) << 16 | byte(k + 1) << 8 | byte(k + 2);
    for (unsigned part = 0; part < 4; ++part)
      text += k + part <= bytes.size() ? kLetters[three >> (18 - 6 * part) & 63] : '=';
  }
  return text;
}

std::string picture_of(const std::string& png) { return "data:image/png;base64," + base64(png); }

/// Numbers of a cell: one, or a list with blanks between; nothing is null.
Json numbers_of(const std::string& cell) {
  Json all = Json::array();
  const char* at = cell.c_str();
  for (char* end = nullptr; *at != '\0'; at = *end == ' ' ? end + 1 : end) {
    const double value = std::strtod(at, &end);
    if (end == at) break;
    all.push_back(value);
  }
  if (all.empty()) return nullptr;
  return all;
}

Json columns_of(const Metrics& metrics) {
  Json columns = Json::object();
  for (std::size_t k = 0; k < metrics.names.size(); ++k) {
    const std::string& name = metrics.names[k];
    Json column = Json::array();
    for (const auto& row : metrics.rows) {
      Json numbers = numbers_of(row[k]);
      column.push_back(is_list(name) || numbers.is_null() ? numbers : numbers[0]);
    }
    columns[name] = column;
  }
  return columns;
}

/// What can be said of a run that has not said it itself.
std::string verdict_of(const Metrics& metrics) {
  TrainingVerdict verdict;
  if (metrics.rows.empty()) return "";
  for (const double validation : metrics.column("validation_log_likelihood"))
    verdict.watched = verdict.watched || !std::isnan(validation);
  if (const double trusted = metrics.column("trusted").back(); !std::isnan(trusted))
    verdict.trusted = trusted != 0.0;
  verdict.r_hat = metrics.column("r_hat").back();
  verdict.effective_draws = metrics.column("effective_sample_size").back();
  verdict.cluster_variation = metrics.column("cluster_variation").back();
  read_curves(curve_of(metrics), verdict);
  return verdict.words();
}

/// Parts of a verdict that speak of a fault: those with a word in capitals.
Json faults_of(const std::string& verdict) {
  Json faults = Json::array();
  std::string part;
  int depth = 0;
  const auto end = [&] {
    for (const char* const word : {"NOT", "BELOW", "OVERFITTING"}) {
      if (part.find(word) != std::string::npos) {
        faults.push_back(part);
        break;
      }
    }
    part.clear();
  };
  for (const char c : verdict) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0) {
      end();
    } else if (!(c == ' ' && part.empty())) {
      part += c;
    }
  }
  end();
  return faults;
}

/// Singular values of the weights, the largest first, and how their values are spread.
void add_weights(const AnyModelFile& model, double update, Json& spectrum) {
  const Matrix filters = std::visit([](const auto& file) { return features_of(file).filters; }, model);
  const DenseMatrix<double> wide = filters.cast<double>();
  const bool tall = wide.rows() > wide.cols();
  const DenseMatrix<double> gram =
      tall ? DenseMatrix<double>(wide.transpose() * wide) : DenseMatrix<double>(wide * wide.transpose());
  const DenseVector<double> squares = symmetric_eigen(gram).values;
  Json values = Json::array();
  for (Index k = squares.size(); k-- > 0 && values.size() < kSingularValues;)
    values.push_back(std::sqrt(std::max(0.0, squares[k])));
  const double most = std::max(1e-12, wide.size() > 0 ? wide.cwiseAbs().maxCoeff() : 0.0);
  std::vector<std::int64_t> counts(kBins, 0);
  for (Index k = 0; k < wide.size(); ++k) {
    const double at = 0.5 * (wide.data()[k] / most + 1.0) * kBins;
    ++counts[static_cast<std::size_t>(std::clamp(static_cast<int>(at), 0, kBins - 1))];
  }
  spectrum.push_back({{"update", update}, {"values", values}, {"most", most}, {"counts", counts}});
}

/// Some cases as they are in the file, side by side.
std::string picture_of_cases(const DataFile& data) {
  const Table& table = data.split("train");
  TilePicture picture;
  const bool is_shape = is_shape_of(data.visible_shape, table.columns);
  picture.shape = picture_shape(is_shape ? data.visible_shape : std::vector<std::int64_t>{}, table.columns);
  picture.colours = ColourMap::kStretched;
  for (Index n = 0; n < std::min(kPicturedCases, table.rows); ++n) {
    std::vector<float>& tile = picture.tiles.emplace_back();
    for (Index i = 0; i < table.columns; ++i)
      tile.push_back(static_cast<float>(table.at(n * table.columns + i)));
  }
  return drawing_of(picture).bytes("cases.png");
}

/// The largest filters, so many that a person sees them; all where they are cells of a table.
std::string picture_of_largest(const AnyModelFile& model) {
  TilePicture picture =
      std::visit([](const auto& file) { return picture_of_filters(features_of(file)); }, model);
  if (picture.columns == 0 && picture.tiles.size() > kPicturedFilters) picture.tiles.resize(kPicturedFilters);
  return drawing_of(picture).bytes("filters.png");
}

Json provenance_of(const Hdf5Reader& checkpoint) {
  Json all = Json::object();
  for (const char* const name : {"version", "git_revision", "compiler", "libraries", "command_line"}) {
    if (const auto text = checkpoint.text_attribute("/provenance", name)) all[name] = *text;
  }
  if (const auto seed = checkpoint.number_attribute("/provenance", "seed")) all["seed"] = *seed;
  return all;
}

/// As a shell takes a word.
std::string shell_word(const std::string& word) {
  const bool is_plain =
      word.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:=") ==
      std::string::npos;
  if (is_plain && !word.empty()) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

Json run_data(const fs::path& run, Listener& listener) {
  if (!holds_run(run)) throw NoInputError(run.string() + ": holds no run");
  Json all;
  all["name"] = run.filename().empty() ? run.parent_path().filename().string() : run.filename().string();
  const Metrics metrics = read_metrics(run / "metrics.csv");
  all["metrics"] = columns_of(metrics);
  const fs::path latest = run / "checkpoint.h5";
  std::optional<std::string> said;
  if (fs::exists(latest)) {
    const Hdf5Reader checkpoint(latest);
    said = checkpoint.text_attribute("/provenance", "verdict");
    all["provenance"] = provenance_of(checkpoint);
  }
  const std::string verdict = said.value_or(verdict_of(metrics));
  all["finished"] = said.has_value();
  all["verdict"] = verdict;
  all["warnings"] = faults_of(verdict);
  if (const auto projections = metrics.column("projections"); !projections.empty() && projections.back() > 0)
    all["warnings"].push_back(format("the projection acted after %.0f updates", projections.back()));
  TrainOptions options;
  read_config(run / "config.toml", options);
  all["total"] = options.rate.updates.value_or(0);
  all["config"] = read_file(run / "config.toml");
  const fs::path samples = run / "samples.png";
  if (fs::exists(latest)) {
    Listener silent;
    all["pictures"]["features"] = picture_of(picture_of_largest(read_model(run, silent)));
  }
  if (fs::exists(samples)) all["pictures"]["samples"] = picture_of(read_file(samples));
  try {
    DataFile data = read_data_file(options.data.data, {options.data.columns, options.data.shape}, listener);
    if (fs::exists(latest)) {
      // A square that training guessed stands in the model.
      Listener silent;
      std::visit([&](const auto& file) { data.visible_shape = file.visible_shape; },
                 read_model(latest, silent));
    }
    all["pictures"]["data"] = picture_of(picture_of_cases(data));
  } catch (const Error& error) {
    listener.warn(error.what());  // the page is worth having without them
  }
  Json spectrum = Json::array();
  for (const fs::path& kept : kept_checkpoints(run)) {
    if (stage(listener, "reading checkpoints")(0.0) == Control::kStop) break;
    add_weights(read_model(kept, listener), std::strtod(kept.stem().c_str(), nullptr), spectrum);
  }
  all["spectrum"] = spectrum;
  const std::string name = shell_word(run.string());
  const std::string data = shell_word(options.data.data.name);
  all["commands"] = {"tempera train --config " + shell_word((run / "config.toml").string()) + " --out NEW",
                     "tempera resume " + name,
                     "tempera loglik " + name + " --data " + data + " --split train",
                     "tempera sample " + name + " --count 1000 --out samples.h5 --png samples.png",
                     "tempera features " + name + " --out features.svg"};
  return all;
}

/// Puts a text in the place of a word that stands once.
void replace(std::string& page, const std::string& word, const std::string& text) {
  page.replace(page.find(word), word.size(), text);
}

}  // namespace

std::string report_data(const std::vector<fs::path>& runs, Listener& listener) {
  Json all = Json::array();
  for (const fs::path& run : runs) all.push_back(run_data(run, listener));
  return all.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string report_page(const std::string& data, bool live) {
  std::string page = read_file(shipped_file("report.html"));
  replace(page, "{{live}}", live ? "true" : "false");
  // The end of a script could stand in a text.
  std::string safe;
  for (const char c : data) safe += c == '<' ? std::string("\\u003c") : std::string(1, c);
  replace(page, "{{data}}", safe);
  replace(page, "{{charts}}", read_file(shipped_file(kCharts)));
  return page;
}

}  // namespace tempera
