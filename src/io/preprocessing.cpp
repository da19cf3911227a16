#include "tempera/io/preprocessing.hpp"

#include <cmath>
#include <stdexcept>

#include "tempera/core/decompositions.hpp"
#include "tempera/core/errors.hpp"

namespace tempera {
namespace {

/// A principal axis whose variance is below this part of the largest is left out.
constexpr double kLeastVariance = 1e-6;

void per_case(const Preprocessing& steps, Matrix& cases) {
  for (Index n = 0; n < cases.rows(); ++n) {
    auto row = cases.row(n).array();
    const auto mean = static_cast<float>(row.cast<double>().mean());
    if (steps.remove_mean) row -= mean;
    if (steps.contrast) {
      const double centre = steps.remove_mean ? 0.0 : static_cast<double>(mean);
      const double variance = (row.cast<double>() - centre).square().mean();
      if (!(variance + steps.contrast_floor > 0)) {
        throw DataError("case " + std::to_string(n) +
                        " has no contrast to be divided by; a contrast floor above 0 is needed");
      }
      row /= static_cast<float>(std::sqrt(variance + steps.contrast_floor));
    }
  }
}

}  // namespace

Matrix Preprocessing::apply(Matrix cases) const {
  if (cases.cols() != n_inputs)
    throw std::invalid_argument("cases do not have the width of the preprocessing");
  per_case(*this, cases);
  if (mean.size() > 0) cases.rowwise() -= mean.transpose();
  if (whiten.size() > 0) return cases * whiten;
  return cases;
}

Matrix Preprocessing::invert(const Matrix& rows, bool with_mean) const {
  Matrix inputs = rows;
  if (unwhiten.size() > 0) inputs = rows * unwhiten;
  if (with_mean && mean.size() > 0) inputs.rowwise() += mean.transpose();
  return inputs;
}

bool Preprocessing::operator==(const Preprocessing& other) const {
  const auto equal = [](const auto& a, const auto& b) {
    return a.rows() == b.rows() && a.cols() == b.cols() && a == b;
  };
  return n_inputs == other.n_inputs && dequantised == other.dequantised && remove_mean == other.remove_mean &&
         contrast == other.contrast && contrast_floor == other.contrast_floor && equal(mean, other.mean) &&
         equal(whiten, other.whiten);
}

Preprocessing fit_preprocessing(const Matrix& cases, const PreprocessingRequest& request,
                                const CaseWeights& weights) {
  Preprocessing steps;
  steps.n_inputs = cases.cols();
  steps.dequantised = request.dequantise;
  steps.remove_mean = request.remove_mean;
  steps.contrast = request.contrast;
  steps.contrast_floor = request.contrast_floor;
  Matrix x = cases;
  per_case(steps, x);
  if (request.centre || request.whiten != Whitening::kNone) {
    steps.mean = weighted_mean(x.cast<double>(), weights).cast<float>();
    x.rowwise() -= steps.mean.transpose();
  }
  if (request.whiten == Whitening::kNone) return steps;
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(x.cols(), x.cols());
  constexpr Index kRows = 1024;
  for (Index first = 0; first < x.rows(); first += kRows) {
    Eigen::MatrixXd part = x.middleRows(first, std::min(kRows, x.rows() - first)).cast<double>();
    for (Index n = 0; !weights.all_one() && n < part.rows(); ++n)
      part.row(n) *= std::sqrt(weights[first + n]);
    covariance += part.transpose() * part;
  }
  covariance /= weights.total(x.rows());
  const SymmetricEigen<double> eigen = symmetric_eigen(covariance);
  // Largest first; axes along which the data do not vary go.
  const Eigen::VectorXd variances = eigen.values.reverse();
  Index kept = (variances.array() > kLeastVariance * variances[0]).count();
  if (kept == 0) throw DataError("the cases are all the same: there is nothing to whiten");
  if (request.whiten == Whitening::kPca && request.components > 0) kept = std::min(kept, request.components);
  const double added = request.regularisation * variances.cwiseMax(0.0).mean();
  const Eigen::MatrixXd axes = eigen.vectors.rowwise().reverse().leftCols(kept);
  const Eigen::VectorXd root = (variances.head(kept).array() + added).sqrt();
  Eigen::MatrixXd forward = axes * root.cwiseInverse().asDiagonal();
  Eigen::MatrixXd back = root.asDiagonal() * axes.transpose();
  if (request.whiten == Whitening::kZca) {
    forward = forward * axes.transpose();
    back = axes * back;
  }
  steps.whiten = forward.cast<float>();
  steps.unwhiten = back.cast<float>();
  return steps;
}

Preprocessing read_preprocessing(const Hdf5Reader& file, const std::string& path) {
  Preprocessing steps;
  if (!file.has(path)) return steps;
  const auto number = [&](const char* name, double least, double most) {
    const double value = file.number_attribute(path, name).value_or(std::nan(""));
    if (!(value >= least && value <= most))
      file.fail(path, "attribute '" + std::string(name) + "' is missing or out of range");
    return value;
  };
  steps.n_inputs = static_cast<std::int64_t>(number("n_inputs", 1, 1 << 24));
  steps.dequantised = file.number_attribute(path, "dequantised").value_or(0.0) != 0.0;
  steps.remove_mean = number("remove_mean", 0, 1) != 0;
  steps.contrast = number("contrast", 0, 1) != 0;
  steps.contrast_floor = number("contrast_floor", 0, 1e30);
  const auto n = static_cast<std::uint64_t>(steps.n_inputs);
  if (file.has(path + "/mean")) {
    steps.mean.resize(static_cast<Index>(n));
    file.dataset(path + "/mean", {n}, steps.mean.data());
  }
  if (file.has(path + "/whiten")) {
    const Shape shape = file.shape(path + "/whiten");
    if (shape.size() != 2 || shape[0] != n || shape[1] == 0 || shape[1] > n)
      file.fail(path + "/whiten", "expected shape (n_inputs, n_outputs), found " + to_string(shape));
    steps.whiten.resize(static_cast<Index>(n), static_cast<Index>(shape[1]));
    steps.unwhiten.resize(static_cast<Index>(shape[1]), static_cast<Index>(n));
    file.dataset(path + "/whiten", shape, steps.whiten.data());
    file.dataset(path + "/unwhiten", {shape[1], n}, steps.unwhiten.data());
  }
  return steps;
}

void write_preprocessing(Hdf5Writer& file, const std::string& path, const Preprocessing& steps) {
  if (steps.empty()) return;
  file.attribute(path, "n_inputs", steps.n_inputs);
  file.attribute(path, "dequantised", std::int64_t{steps.dequantised});
  file.attribute(path, "remove_mean", std::int64_t{steps.remove_mean});
  file.attribute(path, "contrast", std::int64_t{steps.contrast});
  file.attribute(path, "contrast_floor", steps.contrast_floor);
  if (steps.mean.size() > 0) file.dataset(path + "/mean", shape_of(steps.mean), steps.mean.data());
  if (steps.whiten.size() == 0) return;
  file.dataset(path + "/whiten", shape_of(steps.whiten), steps.whiten.data());
  file.dataset(path + "/unwhiten", shape_of(steps.unwhiten), steps.unwhiten.data());
}

}  // namespace tempera
