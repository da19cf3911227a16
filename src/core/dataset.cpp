#include "tempera/core/dataset.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "tempera/core/errors.hpp"
#include "tempera/core/random.hpp"

namespace tempera {

BinaryData::BinaryData(Index n_cases, Index n_visible, std::span<const std::uint8_t> bytes,
                       CaseWeights weights)
    : n_cases_(n_cases),
      n_visible_(n_visible),
      words_per_case_(words_for(n_visible)),
      words_(static_cast<std::size_t>(n_cases * words_per_case_)),
      weights_(std::move(weights)) {
  for (Index n = 0; n < n_cases; ++n) {
    const std::uint8_t* values = bytes.data() + n * n_visible;
    Word* words = words_.data() + n * words_per_case_;
    for (Index i = 0; i < n_visible; ++i) words[i / 64] |= Word{values[i] != 0} << (i % 64);
  }
}

void BinaryData::draw_from(Probabilities probabilities) {
  probabilities_ = std::make_shared<const Probabilities>(std::move(probabilities));
}

void BinaryData::draw(Index n, std::uint64_t epoch, std::span<std::uint8_t> bytes) const {
  // The first steps are those of splits that are drawn once.
  constexpr std::uint64_t kSplits = 3;
  StreamEngine random = StreamFactory{probabilities_->seed}.engine(Purpose::kBinarize, kSplits + epoch,
                                                                   static_cast<std::uint32_t>(n));
  const float* values = probabilities_->values.data() + n * n_visible_;
  for (Index i = 0; i < n_visible_; ++i)
    bytes[static_cast<std::size_t>(i)] =
        (static_cast<double>(random()) + 0.5) * 0x1p-32 < static_cast<double>(values[i]) ? 1 : 0;
}

Eigen::VectorXd BinaryData::means() const {
  Eigen::VectorXd sums = Eigen::VectorXd::Zero(n_visible_);
  for (Index n = 0; n < n_cases_; ++n) {
    const double weight = weights_[n];
    for (Index i = 0; i < n_visible_; ++i) sums[i] += value(n, i) ? weight : 0.0;
  }
  return sums / weights_.total(n_cases_);
}

std::vector<Index> BinaryData::distinct_cases() const {
  std::vector<Index> order(static_cast<std::size_t>(n_cases_));
  std::iota(order.begin(), order.end(), Index{0});
  const auto less = [this](Index a, Index b) {
    const auto x = row(a);
    const auto y = row(b);
    return std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end());
  };
  std::stable_sort(order.begin(), order.end(), less);
  const auto last =
      std::unique(order.begin(), order.end(), [&](Index a, Index b) { return !less(a, b) && !less(b, a); });
  order.erase(last, order.end());
  std::sort(order.begin(), order.end());
  return order;
}

namespace {

/// Codes as bits, a place for each letter.
std::vector<std::uint8_t> places_of(Index n_cases, const Letters& letters,
                                    std::span<const std::uint8_t> codes) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(n_cases * letters.places()));
  const auto most = static_cast<std::size_t>(letters.most());
  for (std::size_t k = 0; k < static_cast<std::size_t>(n_cases * letters.sites()); ++k)
    bytes[k * most + codes[k]] = 1;
  return bytes;
}

}  // namespace

CategoricalData::CategoricalData(Index n_cases, Letters letters, std::span<const std::uint8_t> codes,
                                 CaseWeights weights)
    : BinaryData(n_cases, letters.places(), places_of(n_cases, letters, codes), std::move(weights)),
      letters_(std::move(letters)) {}

Index CategoricalData::letter(Index n, Index site) const {
  Index a = 0;
  while (!value(n, site * letters_.most() + a)) ++a;
  return a;
}

RealData::RealData(Matrix rows, const Standardisation& units, bool exact_zeros, CaseWeights weights)
    : values_(units.standardised(std::move(rows))), weights_(std::move(weights)) {
  if (units.empty()) return;
  if (!exact_zeros) {
    log_volumes_.assign(static_cast<std::size_t>(n_cases()), units.log_volume());
    return;
  }
  for (Index n = 0; n < n_cases(); ++n) log_volumes_.push_back(units.log_volume_of_others(row(n)));
}

Eigen::VectorXd RealData::means() const { return weighted_mean(values_.cast<double>(), weights_); }

Eigen::VectorXd RealData::variances() const {
  const Eigen::RowVectorXd centre = means().transpose();
  return weighted_mean((values_.cast<double>().rowwise() - centre).array().square(), weights_);
}

std::vector<std::int64_t> parse_shape(const std::string& text, Index n) {
  long long sizes[3] = {0, 0, 0};
  char rest = 0;
  const int found = std::sscanf(text.c_str(), "%lldx%lldx%lld%c", &sizes[0], &sizes[1], &sizes[2], &rest);
  std::vector<std::int64_t> shape(sizes, sizes + std::clamp(found, 0, 3));
  if (found < 2 || found > 3 || (found == 3 && sizes[2] != 3) || !is_shape_of(shape, n))
    throw UsageError("--shape " + text + ": expected HEIGHTxWIDTH (or HEIGHTxWIDTHx3, of colours) of " +
                     std::to_string(n) + " values in all");
  return shape;
}

Matrix rows_of(const BinaryData& data) {
  Matrix rows(data.n_cases(), data.n_visible());
  for (Index n = 0; n < data.n_cases(); ++n) {
    for (Index i = 0; i < data.n_visible(); ++i) rows(n, i) = data.value(n, i) ? 1.0F : 0.0F;
  }
  return rows;
}

Matrix rows_of(const RealData& data) {
  Matrix rows(data.n_cases(), data.n_visible());
  for (Index n = 0; n < data.n_cases(); ++n) {
    for (Index i = 0; i < data.n_visible(); ++i) rows(n, i) = data.value(n, i);
  }
  return rows;
}

bool is_shape_of(const std::vector<std::int64_t>& shape, Index n) {
  std::int64_t left = n;
  for (const std::int64_t size : shape) {
    if (size < 1 || left % size != 0) return false;
    left /= size;
  }
  return !shape.empty() && left == 1;
}

}  // namespace tempera
