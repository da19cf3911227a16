#include "tempera/services/couplings.hpp"

#include <algorithm>

#include "tempera/core/format.hpp"
#include "tempera/io/tables.hpp"
#include "tempera/models/kinds.hpp"
#include "tempera/services/alignment.hpp"
#include "tempera/services/config_file.hpp"
#include "tempera/services/encode.hpp"

namespace tempera {
namespace {

/// Variance of every hidden unit given a case, averaged over the weighted cases.
Eigen::VectorXd mean_variances(const Matrix& hidden, const CaseWeights& weights) {
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(hidden.cols());
  for (Index n = 0; n < hidden.rows(); ++n) {
    const auto h = hidden.row(n).transpose().cast<double>().array();
    sum += (weights[n] * h * (1.0 - h)).matrix();
  }
  return sum / weights.total(hidden.rows());
}

/// Norms less the product of what both sites have on average.
Eigen::MatrixXd corrected(const Eigen::MatrixXd& norms) {
  const auto n = static_cast<double>(norms.rows());
  const Eigen::VectorXd of_site = norms.rowwise().sum() / (n - 1.0);
  const double all = of_site.sum() / n;
  if (all == 0.0) return norms;
  return norms - of_site * of_site.transpose() / all;
}

/// Whether sites are in contact, from a matrix of truths or of distances.
Table read_contacts(const CouplingOptions& options, Index sites, Listener& listener) {
  const DataFile file = read_data_file(options.contacts, {}, listener);
  const Table& table = file.splits.begin()->second;
  if (table.rows != sites || table.columns != sites)
    throw DataError(options.contacts.name +
                    format(": expected a matrix of %lld x %lld sites, found %lld x %lld",
                           static_cast<long long>(sites), static_cast<long long>(sites),
                           static_cast<long long>(table.rows), static_cast<long long>(table.columns)));
  return table;
}

}  // namespace

double CouplingResult::precision(std::size_t n) const {
  n = std::min(n, pairs.size());
  const auto hits = std::count_if(pairs.begin(), pairs.begin() + static_cast<std::ptrdiff_t>(n),
                                  [](const CoupledPair& pair) { return pair.contact; });
  return n == 0 ? 0.0 : static_cast<double>(hits) / static_cast<double>(n);
}

namespace {

/// Variances of the hidden units about the cases of a split.
Eigen::VectorXd variances_of(const AnyModelFile& model, const CouplingOptions& options,
                             const Executor& executor, Listener& listener) {
  const DataOptions known = data_or_of_run(options.data, options.columns, options.run);
  if (known.data.empty()) throw UsageError("couplings: --form data needs --data; --form exact does without");
  EncodeOptions encode;
  encode.data = known.data;
  encode.columns = known.columns;
  const DataFile data = read_data_file(known.data, {columns_for(model, known.columns)}, listener);
  const Table& table = data.split(options.split);
  const EncodeResult codes = encode_data(model, encode, executor, listener);
  const auto found = std::find_if(codes.splits.begin(), codes.splits.end(),
                                  [&](const EncodedSplit& one) { return one.split == options.split; });
  return mean_variances(found->codes.front().second, weights_of(table));
}

template <HasCouplings M>
PairCouplings couplings_of(const ModelFile<M>& file, const std::optional<Eigen::VectorXd>& variances,
                           const Executor& executor, const Progress& progress) {
  PairCouplings all = file.model.couplings(file.theta);
  const Index n_hidden = file.theta.hidden_bias.size();
  for (Index j = 0; j < n_hidden; ++j) {
    const UnitCouplings unit = file.model.unit_couplings(
        file.theta, j, variances ? std::optional<double>((*variances)[j]) : std::nullopt);
    executor.for_each(all.letters().sites(), [&](Index i) {
      unit.add_pairs(i, all);
      if (!variances) unit.add_field(i, all);
    });
    progress(static_cast<double>(j + 1) / static_cast<double>(n_hidden));
  }
  return all;
}

}  // namespace

CouplingResult rank_couplings(const AnyModelFile& model, const CouplingOptions& options,
                              const Executor& executor, Listener& listener) {
  if (options.min_separation < 1)
    throw ConfigError({{"min-separation", std::to_string(options.min_separation), "must be at least 1"}});
  if (options.contact_distance && options.contacts.empty())
    throw UsageError("couplings: --contact-distance means nothing without --contacts");
  CouplingResult result;
  std::visit(
      [&]<class M>(const ModelFile<M>& file) {
        if constexpr (HasCouplings<M>) {
          std::optional<Eigen::VectorXd> variances;
          if (options.form == CouplingForm::kData)
            variances = variances_of(model, options, executor, listener);
          result.has_fields = !variances;
          result.alphabet = file.alphabet;
          result.couplings = couplings_of(file, variances, executor, stage(listener, "adding hidden units"));
          const Eigen::MatrixXd norms = result.couplings->norms(gap_of(file.alphabet));
          const Eigen::MatrixXd scores = corrected(norms);
          result.sites = norms.rows();
          for (Index i = 0; i < norms.rows(); ++i) {
            for (Index k = i + options.min_separation; k < norms.rows(); ++k)
              result.pairs.push_back({i + 1, k + 1, scores(i, k), norms(i, k), false});
          }
        } else {
          throw UsageError("couplings: is for " + kinds_with(Feature::kLetters));
        }
      },
      model);
  std::stable_sort(result.pairs.begin(), result.pairs.end(),
                   [](const CoupledPair& a, const CoupledPair& b) { return a.score > b.score; });
  if (options.contacts.empty()) return result;
  result.contacts_known = true;
  const Table contacts = read_contacts(options, result.sites, listener);
  for (CoupledPair& pair : result.pairs) {
    const double value = contacts.at((pair.first - 1) * result.sites + pair.second - 1);
    pair.contact = options.contact_distance ? value < *options.contact_distance : value != 0.0;
    result.contacts += pair.contact ? 1 : 0;
  }
  return result;
}

Facts facts(const CouplingResult& result) {
  Facts all = {{"sites", result.sites}, {"pairs", static_cast<std::int64_t>(result.pairs.size())}};
  if (!result.contacts_known) return all;
  const auto n = static_cast<std::size_t>(result.sites);
  all.emplace_back("contacts", result.contacts);
  all.emplace_back("precision_half", result.precision(n / 2));
  all.emplace_back("precision", result.precision(n));
  all.emplace_back("precision_double", result.precision(2 * n));
  return all;
}

std::string words(const CouplingResult& result) {
  std::string text =
      format("%zu pairs of %lld sites", result.pairs.size(), static_cast<long long>(result.sites));
  if (!result.contacts_known) return text;
  const auto n = static_cast<std::size_t>(result.sites);
  return text +
         format(", %lld of them contacts; of the first %zu, %zu and %zu are contacts %.3f, %.3f and %.3f",
                static_cast<long long>(result.contacts), n / 2, n, 2 * n, result.precision(n / 2),
                result.precision(n), result.precision(2 * n));
}

namespace {

/// Columns as they are written.
struct CouplingColumns {
  std::vector<std::int64_t> first, second, contact;
  std::vector<double> score, norm;

  explicit CouplingColumns(const CouplingResult& result) {
    for (const CoupledPair& pair : result.pairs) {
      first.push_back(pair.first);
      second.push_back(pair.second);
      score.push_back(pair.score);
      norm.push_back(pair.norm);
      contact.push_back(pair.contact ? 1 : 0);
    }
  }
  [[nodiscard]] std::vector<NamedArray> arrays(bool contacts_known) const {
    const ArrayShape shape = {first.size()};
    std::vector<NamedArray> all = {{"first", shape, std::span<const std::int64_t>(first)},
                                   {"second", shape, std::span<const std::int64_t>(second)},
                                   {"score", shape, std::span<const double>(score)},
                                   {"norm", shape, std::span<const double>(norm)}};
    if (contacts_known) all.push_back({"contact", shape, std::span<const std::int64_t>(contact)});
    return all;
  }
};

}  // namespace

std::string csv_of(const CouplingResult& result) {
  const CouplingColumns columns(result);
  return csv_of({}, columns.arrays(result.contacts_known));
}

std::vector<float> coupling_array(const PairCouplings& couplings) {
  const Letters& letters = couplings.letters();
  const Index sites = letters.sites();
  const Index most = letters.most();
  std::vector<float> all(static_cast<std::size_t>(sites * sites * most * most));
  const auto put = [&](Index i, Index k, Index a, Index b, double value) {
    all[static_cast<std::size_t>(((i * sites + k) * most + a) * most + b)] = static_cast<float>(value);
  };
  for (Index k = 0; k < sites; ++k) {
    for (Index i = 0; i < k; ++i) {
      for (Index a = 0; a < letters.of(i); ++a) {
        for (Index b = 0; b < letters.of(k); ++b) {
          const double value = couplings.at(i, k)(a, b);
          put(i, k, a, b, value);
          put(k, i, b, a, value);
        }
      }
    }
  }
  return all;
}

std::vector<float> field_array(const PairCouplings& couplings) {
  const Letters& letters = couplings.letters();
  std::vector<float> all(static_cast<std::size_t>(letters.places()));
  for (Index i = 0; i < letters.sites(); ++i) {
    for (Index a = 0; a < letters.of(i); ++a)
      all[static_cast<std::size_t>(i * letters.most() + a)] = static_cast<float>(couplings.field(i)[a]);
  }
  return all;
}

void write_couplings(const CouplingResult& result, const std::filesystem::path& path) {
  const CouplingColumns columns(result);
  const std::vector<NamedArray> arrays = columns.arrays(result.contacts_known);
  if (table_format(path) != TableFormat::kHdf5) {
    write_arrays(path, arrays);
    return;
  }
  Hdf5Writer out("couplings");
  for (const NamedArray& array : arrays) {
    std::visit(
        [&]<class T>(const std::span<const T>& values) {
          if constexpr (!std::same_as<T, std::string>)
            out.dataset("/pairs/" + array.name, array.shape, values.data());
        },
        array.values);
  }
  const auto sites = static_cast<std::uint64_t>(result.sites);
  const auto most = static_cast<std::uint64_t>(result.couplings->letters().most());
  out.dataset("/couplings", {sites, sites, most, most}, coupling_array(*result.couplings).data());
  if (result.has_fields) out.dataset("/fields", {sites, most}, field_array(*result.couplings).data());
  write_alphabet(out, "/", result.alphabet);
  write_provenance(out, 0);
  out.write(path);
}

}  // namespace tempera
