#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "observers.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/core/format.hpp"
#include "tempera/io/files.hpp"
#include "tempera/services/metrics.hpp"

namespace tempera {
namespace {

const std::string kHeader =
    "update,epoch,seconds,learning_rate,gradient_norm,step_norm,data_free_energy,chain_free_energy,"
    "train_log_likelihood,train_standard_error,validation_log_likelihood,validation_standard_error,"
    "log_partition,log_partition_standard_error,"
    "effective_fraction,rungs,barrier,rejection,round_trip_rate,round_trip_optimum,flow,r_hat,"
    "autocorrelation_time,effective_sample_size,cluster_variation,predicted_kl,predicted_gain,cosine,"
    "solver_iterations,live_units,projections,trusted,betas,rejections,given_up";

std::size_t columns_of(const std::string& header) {
  return static_cast<std::size_t>(std::count(header.begin(), header.end(), ',')) + 1;
}

const std::size_t kColumns = columns_of(kHeader);

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> row(1);
  for (const char c : line) {
    if (c == ',') {
      row.emplace_back();
    } else {
      row.back() += c;
    }
  }
  return row;
}

/// Numbers with blanks between, or nothing.
bool is_numbers(const std::string& cell) {
  const char* at = cell.c_str();
  while (*at != '\0') {
    char* end = nullptr;
    std::strtod(at, &end);
    if (end == at || (*end != '\0' && *end != ' ')) return false;
    at = *end == ' ' ? end + 1 : end;
  }
  return true;
}

/// A number, or nothing where it is none.
std::string cell(const char* form, double value) { return std::isnan(value) ? "" : format(form, value); }

std::string mixing_cells(const UpdateReport& report) {
  return cell("%.4f", report.r_hat) + "," + cell("%.1f", report.autocorrelation_time) + "," +
         cell("%.0f", report.effective_sample_size) + "," + cell("%.4f", report.cluster_variation);
}

/// Of a metric's step; live units of the hidden layers, with spaces between.
std::string step_cells(const UpdateReport& report) {
  std::string all = cell("%.6g", report.natural.predicted_kl) + "," +
                    cell("%.6g", report.natural.predicted_gain) + "," + cell("%.4f", report.natural.cosine) +
                    ",";
  if (report.solve.iterations > 0) all += format("%lld", static_cast<long long>(report.solve.iterations));
  all += ",";
  for (const Index live : report.live_units)
    all += format(all.back() == ',' ? "%lld" : " %lld", static_cast<long long>(live));
  return all + "," + cell("%.0f", report.projections);
}

std::string likelihood_cells(const Assessment& found) {
  std::string all;
  for (const double value : {found.train.log_likelihood, found.train.standard_error,
                             found.validation.log_likelihood, found.validation.standard_error,
                             found.log_partition.value + found.shift, found.log_partition.standard_error})
    all += cell("%.6f", value) + ",";
  return all + cell("%.4f", found.log_partition.effective_fraction);
}

/// 1 or 0; empty where log Z is not known.
std::string trust_cell(const Assessment& found) {
  return std::isnan(found.log_partition.value) ? "" : found.trusted() ? "1" : "0";
}

/// Numbers with blanks between.
std::string list_cell(const char* form, const std::vector<double>& values) {
  std::string all;
  for (const double value : values) all += (all.empty() ? "" : " ") + format(form, value);
  return all;
}

/// The rungs of a ladder and the rejections between them: of a trajectory, whose rungs are snapshots, the
/// latter alone.
struct RungCells {
  std::string operator()(const NoLadder&) const { return ","; }
  std::string operator()(const TemperatureLadder& ladder) const {
    return list_cell("%.6g", ladder.betas) + "," + list_cell("%.4f", ladder.rejections);
  }
  template <EnergyModel M>
  std::string operator()(const Snapshots<M>& snapshots) const {
    return "," + list_cell("%.4f", snapshots.trajectory.rejections);
  }
};

/// What metrics.csv says of a ladder; round trips count from one report to the next.
struct LadderCells {
  RecorderMemory& memory;

  std::string operator()(const NoLadder&) const { return ",,,,,"; }
  std::string operator()(const TemperatureLadder& ladder) const {
    return cells(ladder.rejections, ladder.n_ensembles, ladder.rounds_counted, ladder.round_trips) + "," +
           list_cell("%.3f", flow(ladder));
  }
  template <EnergyModel M>
  std::string operator()(const Snapshots<M>& snapshots) const {
    const Trajectory<M>& trajectory = snapshots.trajectory;
    if (trajectory.rejections.empty()) return ",,,,,";
    if (snapshots.frozen != memory.frozen) memory = {0, 0, snapshots.frozen};  // a freeze counts anew
    return cells(trajectory.rejections, trajectory.n_ensembles, trajectory.rounds_counted,
                 trajectory.round_trips) +
           ",";
  }

 private:
  std::string cells(const std::vector<double>& rejections, std::uint64_t ensembles,
                    std::uint64_t rounds_counted, std::uint64_t round_trips) const {
    const double rounds =
        static_cast<double>(rounds_counted - memory.rounds_counted) * static_cast<double>(ensembles);
    const double rate = rounds > 0 ? static_cast<double>(round_trips - memory.round_trips) / rounds : 0.0;
    memory.rounds_counted = rounds_counted;
    memory.round_trips = round_trips;
    return format("%zu,%.4f,%.4f,%.6f,%.6f", rejections.size() + 1, cumulative_barrier(rejections).back(),
                  mean_rejection(rejections), rate, optimal_round_trip_rate(rejections));
  }
};

}  // namespace

KeptMetrics empty_metrics() { return {kHeader + "\n", 0.0}; }

KeptMetrics metrics_until(const std::filesystem::path& path, std::uint64_t update) {
  KeptMetrics kept = empty_metrics();
  if (!std::filesystem::exists(path)) return kept;
  std::istringstream lines(read_file(path));
  std::string line;
  std::uint64_t before = 0;
  std::size_t number = 0;
  std::size_t added = 0;
  const auto bad = [&](const std::string& problem) {
    throw DataError(path.string() + ": line " + std::to_string(number) + " " + problem +
                    "; mend or remove the line, or remove the file to begin it anew");
  };
  while (std::getline(lines, line) && !lines.eof()) {
    if (++number == 1) {
      if (kHeader.starts_with(line + ',')) {
        added = kColumns - columns_of(line);  // columns came after others
      } else if (line != kHeader) {
        bad("does not name the columns of this version");
      }
      continue;
    }
    line.append(added, ',');
    const std::vector<std::string> row = cells_of(line);
    if (row.size() != kColumns || !std::all_of(row.begin(), row.end(), is_numbers))
      bad("is not a row of " + std::to_string(kColumns) + " cells of numbers");
    const std::uint64_t now = std::strtoull(row[0].c_str(), nullptr, 10);
    if (row[0].find_first_not_of("0123456789") != std::string::npos || now <= before)
      bad("does not begin with an update later than that of the line before");
    if (now > update) break;
    before = now;
    kept.seconds = std::strtod(row[2].c_str(), nullptr);
    kept.text += line + "\n";
  }
  return kept;
}

bool is_list(std::string_view column) {
  return column == "flow" || column == "live_units" || column == "betas" || column == "rejections";
}

std::vector<double> Metrics::column(std::string_view name) const {
  const auto at = static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  std::vector<double> numbers;
  for (const std::vector<std::string>& row : rows)
    numbers.push_back(at < row.size() && !row[at].empty() ? std::strtod(row[at].c_str(), nullptr)
                                                          : kNotKnown);
  return numbers;
}

Metrics read_metrics(const std::filesystem::path& path) {
  Metrics metrics;
  if (!std::filesystem::exists(path)) return metrics;
  std::istringstream lines(read_file(path));
  std::string line;
  std::getline(lines, line);
  metrics.names = cells_of(line);
  while (std::getline(lines, line) && !lines.eof()) {
    metrics.rows.push_back(cells_of(line));
    if (metrics.rows.back().size() != metrics.names.size()) metrics.rows.pop_back();
  }
  return metrics;
}

std::vector<CurvePoint> curve_of(const Metrics& metrics) {
  const std::vector<double> update = metrics.column("update");
  const std::vector<double> train = metrics.column("train_log_likelihood");
  const std::vector<double> validation = metrics.column("validation_log_likelihood");
  const std::vector<double> error = metrics.column("log_partition_standard_error");
  const std::vector<double> trusted = metrics.column("trusted");
  const std::vector<double> given_up = metrics.column("given_up");
  std::vector<std::pair<double, CurvePoint>> kept;  // with the updates that are behind its model
  double before = 0.0;
  for (std::size_t k = 0; k < update.size(); ++k) {
    const double all = std::isnan(given_up[k]) ? 0.0 : given_up[k];  // rows of an earlier version do not say
    // Training went back after the update of the row before, to the model of so many updates.
    if (k > 0 && all != before)
      std::erase_if(kept, [&](const auto& row) { return row.first > update[k - 1] - all; });
    before = all;
    if (trusted[k] != 0.0)  // what is not trusted tells nothing; rows of an earlier version do not say
      kept.emplace_back(update[k] - all,
                        CurvePoint{static_cast<std::uint64_t>(update[k]), train[k], validation[k], error[k]});
  }
  std::vector<CurvePoint> curve;
  for (const auto& row : kept) curve.push_back(row.second);
  return curve;
}

Facts facts_of_metrics(const std::string& line) {
  const std::vector<std::string> names = cells_of(kHeader);
  const std::vector<std::string> cells = cells_of(line);
  Facts row;
  for (std::size_t k = 0; k < names.size(); ++k) {
    std::vector<double> numbers;
    std::istringstream words(cells[k]);
    for (double number = 0.0; words >> number;) numbers.push_back(number);
    if (is_list(names[k])) {
      row.emplace_back(names[k], numbers);
    } else {
      row.emplace_back(names[k], numbers.empty() ? kNotKnown : numbers.front());
    }
  }
  return row;
}

template <EnergyModel M>
std::string Recorder<M>::write(const UpdateReport& report, const Assessment& found, const TrainState<M>& s,
                               double seconds) {
  const std::string line =
      format("%llu,%llu,%.3f,%.6g,%.6g,%.6g,%.6f,%.6f,", static_cast<unsigned long long>(report.update),
             static_cast<unsigned long long>(report.epoch), seconds, report.learning_rate,
             report.gradient_norm, report.step_norm, report.data_free_energy, report.chain_free_energy) +
      likelihood_cells(found) + "," + std::visit(LadderCells{memory_}, s.ladder) + "," +
      mixing_cells(report) + "," + step_cells(report) + "," + trust_cell(found) + "," +
      std::visit(RungCells(), s.ladder) + format(",%llu", static_cast<unsigned long long>(s.given_up));
  append_line(path_, line);
  return line;
}

std::string Assessment::words() const {
  std::string all;
  if (!std::isnan(log_partition.value))
    all += format(", log Z %.2f (%.2f)", log_partition.value + shift, log_partition.standard_error);
  if (!std::isnan(train.log_likelihood)) all += format(", train %.2f", train.log_likelihood);
  if (!std::isnan(validation.log_likelihood))
    all += format(", validation %.3f nats", validation.log_likelihood);
  if (!trusted()) all += ", not to be trusted";
  return all;
}

Facts facts(const TrainingResult& result) {
  const TrainingVerdict& verdict = result.verdict;
  Facts all = {{"out", result.directory.string()},
               {"updates", static_cast<std::int64_t>(result.updates)},
               {"seconds", result.seconds}};
  if (result.trusted) all.emplace_back("trusted", *result.trusted);
  if (result.validates) all.emplace_back("best_validation_log_likelihood", result.best_validation);
  all.emplace_back("verdict", verdict.words());
  // Of the model that is offered.
  all.emplace_back("split", std::string(verdict.of_validation ? "valid" : "train"));
  all.emplace_back("log_likelihood", verdict.likelihood);
  all.emplace_back("log_partition_se", verdict.likelihood_error);
  all.emplace_back("independent_log_likelihood", verdict.independent);
  if (verdict.gaussian) all.emplace_back("gaussian_log_likelihood", *verdict.gaussian);
  all.emplace_back("r_hat", verdict.r_hat);
  all.emplace_back("effective_draws", verdict.effective_draws);
  all.emplace_back("cluster_variation", verdict.cluster_variation);
  if (verdict.overfitting) all.emplace_back("overfitting", *verdict.overfitting);
  if (verdict.rising) all.emplace_back("rising", *verdict.rising);
  all.emplace_back("watched", verdict.watched);
  all.emplace_back("offered_update",
                   static_cast<std::int64_t>(verdict.offered_update.value_or(result.updates)));
  return all;
}

std::string TrainingResult::words() const {
  if (finished_before)
    return format("%s: the run has made its %llu updates; --updates N goes on to N", directory.c_str(),
                  static_cast<unsigned long long>(updates));
  return format("trained %s for %llu updates in %.1f s: %s", kind.c_str(),
                static_cast<unsigned long long>(updates), seconds, directory.c_str()) +
         score + "\nverdict: " + verdict.words();
}

#define TEMPERA_INSTANTIATE(M) template class Recorder<M>;
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
