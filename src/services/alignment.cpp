#include "tempera/services/alignment.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "tempera/core/errors.hpp"

namespace tempera {
namespace {

/// Sequences that are compared with all others between two looks at signals.
constexpr Index kRowsOfStep = 1024;
constexpr double kUsualIdentity = 0.8;
/// A part of the sites is compared as a number of sites, up to rounding.
constexpr double kRounding = 1e-9;

/// Rows of codes.
class Rows {
 public:
  explicit Rows(const Table& codes) : n_(codes.rows), sites_(codes.columns) {
    if (!codes.is_bytes()) throw DataError("sequences are codes of letters, found numbers");
    bytes_ = codes.bytes.data();
  }
  [[nodiscard]] Index n() const { return n_; }
  [[nodiscard]] Index sites() const { return sites_; }
  [[nodiscard]] const std::uint8_t* row(Index n) const { return bytes_ + n * sites_; }

  /// Sites at which two rows are the same.
  [[nodiscard]] Index same(Index a, Index b) const {
    const std::uint8_t* const x = row(a);
    const std::uint8_t* const y = row(b);
    Index total = 0;
    // Sums of bytes stay below 256.
    for (Index first = 0; first < sites_; first += 240) {
      const Index last = std::min(sites_, first + 240);
      std::uint8_t sum = 0;
      for (Index i = first; i < last; ++i) sum = static_cast<std::uint8_t>(sum + (x[i] == y[i] ? 1 : 0));
      total += sum;
    }
    return total;
  }
  /// The same, of sites that are no gap in the first.
  [[nodiscard]] Index same_letters(Index a, Index b, int gap) const {
    const std::uint8_t* const x = row(a);
    const std::uint8_t* const y = row(b);
    Index total = 0;
    for (Index i = 0; i < sites_; ++i) total += x[i] == y[i] && x[i] != gap ? 1 : 0;
    return total;
  }

 private:
  Index n_;
  Index sites_;
  const std::uint8_t* bytes_;
};

/// Calls f(row) for every row, in parallel; between some of them it tells how far it is.
template <class F>
void for_each_row(Index n, const Executor& executor, const Progress& progress, F&& f) {
  for (Index first = 0; first < n; first += kRowsOfStep) {
    const Index last = std::min(n, first + kRowsOfStep);
    executor.for_each(words_for(last - first), [&](Index task) {
      for (Index a = first + task * kLanes; a < std::min(last, first + (task + 1) * kLanes); ++a) f(a);
    });
    progress(static_cast<double>(last) / static_cast<double>(n));
  }
}

/// Least number of equal sites of neighbours.
Index least_same(const Leveled<ReweightRule>& rule, Index sites) {
  const auto n = static_cast<double>(sites);
  const double level = *rule.level;
  switch (rule.rule) {
    case ReweightRule::kIdentity:
      return static_cast<Index>(std::ceil(level * n - kRounding));
    case ReweightRule::kIdentityAbove:
      return static_cast<Index>(std::floor(level * n + kRounding)) + 1;
    default:  // less than a part differs
      return sites - (static_cast<Index>(std::ceil(level * n - kRounding)) - 1);
  }
}

}  // namespace

int gap_of(const Alphabet& alphabet) {
  const std::size_t at = alphabet.characters.find('-');
  return at == std::string::npos ? -1 : static_cast<int>(at);
}

std::vector<double> sequence_weights(const Table& codes, const Leveled<ReweightRule>& rule, int gap,
                                     const Executor& executor, const Progress& progress) {
  if (rule.rule == ReweightRule::kNone) return {};
  if (!rule.level || !(*rule.level > 0.0) || *rule.level > 1.0)
    throw ConfigError({{"reweight", text_of(rule), "needs a level above 0, at most 1, as in identity:0.8"}});
  const Rows rows(codes);
  std::vector<double> weights(static_cast<std::size_t>(rows.n()));
  const bool theta = rule.rule == ReweightRule::kTheta;
  const Index least = theta ? 0 : least_same(rule, rows.sites());
  for_each_row(rows.n(), executor, progress, [&](Index a) {
    Index neighbours = 0;
    if (theta) {
      const Index letters = rows.same_letters(a, a, gap);
      const double most = (1.0 - *rule.level) * static_cast<double>(letters) + kRounding;
      for (Index b = 0; b < rows.n(); ++b)
        neighbours += a == b || static_cast<double>(rows.same_letters(a, b, gap)) > most ? 1 : 0;
    } else {
      for (Index b = 0; b < rows.n(); ++b) neighbours += a == b || rows.same(a, b) >= least ? 1 : 0;
    }
    weights[static_cast<std::size_t>(a)] = 1.0 / static_cast<double>(neighbours);
  });
  return weights;
}

std::vector<Index> identity_clusters(const Table& codes, double identity, const Executor& executor,
                                     const Progress& progress) {
  const Rows rows(codes);
  const auto n = static_cast<std::size_t>(rows.n());
  const Index least = least_same({ReweightRule::kIdentity, identity}, rows.sites());
  std::vector<std::vector<Index>> earlier(n);
  for_each_row(rows.n(), executor, progress, [&](Index a) {
    for (Index b = 0; b < a; ++b) {
      if (rows.same(a, b) >= least) earlier[static_cast<std::size_t>(a)].push_back(b);
    }
  });
  std::vector<Index> root(n);
  std::iota(root.begin(), root.end(), Index{0});
  const auto find = [&](Index k) {
    while (root[static_cast<std::size_t>(k)] != k) {
      Index& up = root[static_cast<std::size_t>(k)];
      k = up = root[static_cast<std::size_t>(up)];
    }
    return k;
  };
  for (std::size_t a = 0; a < n; ++a) {
    for (const Index b : earlier[a]) {
      const Index x = find(static_cast<Index>(a));
      const Index y = find(b);
      root[static_cast<std::size_t>(std::max(x, y))] = std::min(x, y);
    }
  }
  std::vector<Index> cluster(n);
  std::vector<Index> number(n, -1);
  Index clusters = 0;
  for (std::size_t a = 0; a < n; ++a) {
    Index& of_root = number[static_cast<std::size_t>(find(static_cast<Index>(a)))];
    if (of_root < 0) of_root = clusters++;
    cluster[a] = of_root;
  }
  return cluster;
}

std::vector<Index> distinct_rows(const Table& codes) {
  const Rows rows(codes);
  const auto length = static_cast<std::size_t>(rows.sites());
  std::vector<Index> order(static_cast<std::size_t>(rows.n()));
  std::iota(order.begin(), order.end(), Index{0});
  const auto compare = [&](Index a, Index b) { return std::memcmp(rows.row(a), rows.row(b), length); };
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return compare(a, b) < 0; });
  order.erase(std::unique(order.begin(), order.end(), [&](Index a, Index b) { return compare(a, b) == 0; }),
              order.end());
  std::sort(order.begin(), order.end());
  return order;
}

AlignmentSummary summary_of_alignment(const DataFile& data, const Executor& executor,
                                      const Progress& progress) {
  const Table& table = data.splits.count("train") > 0 ? data.splits.at("train") : data.splits.begin()->second;
  const CategoricalData cases =
      categorical(data, data.splits.count("train") > 0 ? "train" : data.splits.begin()->first);
  AlignmentSummary summary;
  summary.letters = data.alphabet.characters;
  const Letters& letters = cases.letters();
  const Eigen::VectorXd means = cases.means();
  const int gap = gap_of(data.alphabet);
  summary.frequencies =
      Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
          means.data(), letters.sites(), letters.most())
          .cast<float>();
  for (Index site = 0; site < letters.sites(); ++site) {
    double bits = std::log2(static_cast<double>(letters.of(site)));
    for (Index a = 0; a < letters.of(site); ++a) {
      const double p = means[site * letters.most() + a];
      if (p > 0.0) bits += p * std::log2(p);
    }
    summary.conservation.push_back(bits);
    summary.gaps_of_site.push_back(gap < 0 ? 0.0 : means[site * letters.most() + gap]);
    summary.gaps += summary.gaps_of_site.back() / static_cast<double>(letters.sites());
  }
  const std::vector<double> weights =
      table.weights.empty()
          ? sequence_weights(table, {ReweightRule::kIdentity, kUsualIdentity}, gap, executor, progress)
          : table.weights;
  summary.effective = std::accumulate(weights.begin(), weights.end(), 0.0);
  return summary;
}

}  // namespace tempera
