#include "tempera/train/metrics/moments.hpp"

#include <algorithm>
#include <bit>

namespace tempera {

double new_weight(double memory) { return 1.0 / std::max(1.0, memory); }

std::vector<Index> first_units(const std::vector<Index>& sizes) {
  std::vector<Index> first = {0};
  for (const Index n : sizes) first.push_back(first.back() + n);
  return first;
}

RunningMoments no_moments(const LayerShape& shape) {
  const Index n = shape.units();
  return {Eigen::VectorXd::Zero(n), Eigen::MatrixXd::Zero(n, n)};
}

template <class Number>
void observe_moments(const Fisher<Number>& fisher, double memory, RunningMoments& moments) {
  using Layer = typename Fisher<Number>::Layer;
  const std::vector<Index> first = first_units(fisher.shape().sizes);
  const Index n = first.back();
  Layer scaled(n, fisher.draws());  // every draw times the square root of its weight
  const Flat<Number> root = fisher.weights().cwiseSqrt().template cast<Number>();
  Eigen::VectorXd mean(n);
  Eigen::VectorXd variance = Eigen::VectorXd::Zero(n);
  for (std::size_t k = 0; k < fisher.layers().size(); ++k) {
    const Layer& x = fisher.layers()[k];
    scaled.middleRows(first[k], x.rows()) = x * root.asDiagonal();
    mean.segment(first[k], x.rows()) = (x * fisher.weights().template cast<Number>()).template cast<double>();
    if (const Layer& v = fisher.variances()[k]; v.size() > 0)
      variance.segment(first[k], v.rows()) =
          (v * fisher.weights().template cast<Number>()).template cast<double>();
  }
  Layer second = Layer::Zero(n, n);
  second.template selfadjointView<Eigen::Lower>().rankUpdate(scaled);
  const double w = new_weight(memory);
  moments.mean += w * (mean - moments.mean);
  moments.second *= 1.0 - w;
  moments.second.template triangularView<Eigen::Lower>() += w * second.template cast<double>();
  moments.second.diagonal() += w * variance;
  moments.weight += w * (1.0 - moments.weight);
  ++moments.observed;
}

bool is_refresh_due(const RunningMoments& moments, std::uint64_t refresh) {
  return moments.observed % refresh == 0 || std::has_single_bit(moments.observed);
}

Eigen::MatrixXd covariance_of(const RunningMoments& moments) {
  const Eigen::VectorXd mean = moments.mean / moments.weight;
  Eigen::MatrixXd covariance = moments.second.selfadjointView<Eigen::Lower>();
  covariance /= moments.weight;
  covariance.noalias() -= mean * mean.transpose();
  return covariance;
}

Eigen::MatrixXd moments_of_factors(const LayerShape& shape, const Eigen::MatrixXd& covariance,
                                   const RunningMoments& moments) {
  if (shape.centred) return covariance;
  const Eigen::VectorXd mean = moments.mean / moments.weight;
  return covariance + mean * mean.transpose();
}

template void observe_moments(const Fisher<float>&, double, RunningMoments&);
template void observe_moments(const Fisher<double>&, double, RunningMoments&);

}  // namespace tempera
