// Parameters that have a law, and the projection onto them (docs/mathematics/spike-and-slab.md 5.8).
#include <algorithm>
#include <cmath>
#include <numeric>

#include "tempera/core/decompositions.hpp"
#include "tempera/core/format.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// How near to singular the precision of the visibles given the latents may come.
constexpr double kProper = 0.99;
/// Rounding that does not count.
constexpr double kSlack = 1.0001;
/// Rounds of a projection that raise slabs one by one, and steps of the power iteration in each.
constexpr int kRounds = 8;
constexpr int kPowerSteps = 8;

}  // namespace

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::clamp_precisions(Params& theta) const {
  for_each_field(
      [&](std::string_view name, auto& field) {
        if (!is_precision(name)) return;
        for (float* x = field.data(); x != field.data() + field.size(); ++x) {
          if (*x != 0.0F) *x = bounded_precision(*x, 1.0F);
        }
      },
      theta.latent);
  if constexpr (!V::kAlwaysProper) {
    // The bound from above is that of the column that varies most: one that does not vary stays at its floor.
    const Vector& own = V::precision(reference_);
    const float largest = kLargestPrecision * own.minCoeff();
    for (Index d = 0; d < n_visible(); ++d) {
      float& x = V::precision(theta.visible)[d];
      x = std::clamp(x, kLeastPrecision * own[d], std::max(largest, own[d]));
    }
  }
}

template <VisibleUnits V, LatentUnits L>
auto SpikeSlab<V, L>::excess(const Params& theta) const -> Excess {
  Excess found;
  if constexpr (kCanBeImproper) {
    const Index each = filters_each();
    const Vector root = V::precision(theta.visible).cwiseSqrt().cwiseInverse();
    found.filters = root.asDiagonal() * theta.weights;
    for (Index i = 0; i < latents(); ++i) {
      for (Index m = i * each; m < (i + 1) * each; ++m)
        found.filters.col(m) /= std::sqrt(theta.latent.slab_precision.data()[m]);
      if constexpr (kSpikePrecision) {
        const auto phi = theta.latent.spike_precision.col(i);
        if ((phi.array() <= 0.0F).any()) continue;
        // What the spike's own precision can hold of its slabs.
        const Eigen::MatrixXf own =
            phi.cwiseSqrt().cwiseInverse().asDiagonal() *
            (root.cwiseInverse().asDiagonal() * found.filters.middleCols(i * each, each));
        const float rho = each == 1 ? own.squaredNorm() : largest_eigenvalue<float>(own.transpose() * own);
        const float rest = 1.0F - static_cast<float>(kProper) / rho;
        found.filters.middleCols(i * each, each) *= rest > 0.0F ? std::sqrt(rest) : 0.0F;
      }
    }
    // Of the same eigenvalues above 0, the smaller one.
    found.of_visibles = n_visible() <= filters();
    found.matrix = found.of_visibles ? Eigen::MatrixXf(found.filters * found.filters.transpose())
                                     : Eigen::MatrixXf(found.filters.transpose() * found.filters);
    const Index n = found.matrix.rows();
    const Eigen::MatrixXf room =
        static_cast<float>(kProper * kSlack) * Eigen::MatrixXf::Identity(n, n) - found.matrix;
    found.proper = Cholesky<float>(room).succeeded();
  }
  return found;
}

template <VisibleUnits V, LatentUnits L>
bool SpikeSlab<V, L>::is_proper(const Params& theta) const {
  return shape_.box > 0 || excess(theta).proper;
}

template <VisibleUnits V, LatentUnits L>
bool SpikeSlab<V, L>::is_seen(const Params& theta) const {
  return !has_spike_precision(theta) || latents() <= kMaxSeenSpikes || is_proper(theta);
}

template <VisibleUnits V, LatentUnits L>
bool SpikeSlab<V, L>::lacks_law(const Params& theta,
                                const std::vector<Index>& groups) const requires kCanBeImproper {
  // The precision Q - W diag(1 / alpha) W' of the visibles is positive where diag(alpha) - W'Q^-1 W is.
  const Index each = filters_each();
  const auto slabs = static_cast<Index>(groups.size()) * each;
  Eigen::VectorXd precision = V::precision(theta.visible).template cast<double>();
  Eigen::MatrixXd w(n_visible(), slabs);
  Eigen::VectorXd alpha(slabs);
  for (std::size_t k = 0; k < groups.size(); ++k) {
    const Index from = groups[k] * each;
    const Index to = static_cast<Index>(k) * each;
    w.middleCols(to, each) = theta.weights.middleCols(from, each).template cast<double>();
    alpha.segment(to, each) =
        Eigen::Map<const Vector>(theta.latent.slab_precision.data() + from, each).template cast<double>();
    if constexpr (kSpikePrecision)
      precision += theta.latent.spike_precision.col(groups[k]).template cast<double>();
  }
  // On the smaller side.
  const Eigen::MatrixXd left =
      slabs <= n_visible() ? Eigen::MatrixXd(Eigen::MatrixXd(alpha.asDiagonal()) -
                                             w.transpose() * precision.cwiseInverse().asDiagonal() * w)
                           : Eigen::MatrixXd(Eigen::MatrixXd(precision.asDiagonal()) -
                                             w * alpha.cwiseInverse().asDiagonal() * w.transpose());
  return !Cholesky<double>(left).succeeded();
}

template <VisibleUnits V, LatentUnits L>
bool SpikeSlab<V, L>::is_improper(const Params& theta) const {
  if constexpr (!kCanBeImproper) {
    return false;
  } else {
    if (is_proper(theta)) return false;
    std::vector<Index> groups(static_cast<std::size_t>(latents()));
    std::iota(groups.begin(), groups.end(), Index{0});
    if (lacks_law(theta, groups)) return true;
    if (!has_spike_precision(theta)) return false;
    if (latents() > kMaxSeenSpikes)
      return std::any_of(groups.begin(), groups.end(), [&](Index i) { return lacks_law(theta, {i}); });
    for (Word state = 1; state >> latents() == 0; ++state) {
      groups.clear();
      for (Index i = 0; i < latents(); ++i) {
        if ((state >> i & 1) != 0) groups.push_back(i);
      }
      if (lacks_law(theta, groups)) return true;
    }
    return false;
  }
}

template <VisibleUnits V, LatentUnits L>
bool SpikeSlab<V, L>::project(Params& theta, Vector& direction, bool filters_shrink) const {
  clamp_precisions(theta);
  if constexpr (kCanBeImproper) {
    if (shape_.box > 0) return false;
    Matrix& alpha = theta.latent.slab_precision;
    const Matrix before = alpha;
    if (!raise_slabs(theta, direction)) return false;
    if (filters_shrink) {
      for (Index m = 0; m < filters(); ++m)
        theta.weights.col(m) /= std::sqrt(alpha.data()[m] / before.data()[m]);
      alpha = before;
    }
    return true;
  }
  return false;
}

template <VisibleUnits V, LatentUnits L>
bool SpikeSlab<V, L>::raise_slabs(Params& theta, Vector& direction) const requires kCanBeImproper {
  const Index each = filters_each();
  Matrix& alpha = theta.latent.slab_precision;
  for (int round = 0;; ++round) {
    const Excess found = excess(theta);
    if (found.proper) return round > 0;
    if (round >= kRounds) {
      // All slabs alike, by the largest eigenvalue.
      const float rho = largest_eigenvalue<float>(found.matrix);
      alpha *= std::max(rho / static_cast<float>(kProper), 1.0F + 1e-4F);
      continue;
    }
    // Slabs are raised by what they give to the worst direction.
    if (direction.size() != n_visible() || direction.isZero())
      direction = Vector::LinSpaced(n_visible(), 1.0F, 2.0F);
    Vector inner;
    float rho = 0.0F;
    for (int step = 0; step < kPowerSteps; ++step) {
      direction.normalize();
      inner = found.filters.transpose() * direction;
      direction = found.filters * inner;
      rho = inner.squaredNorm();
    }
    if (direction.norm() == 0.0F) direction.setOnes();
    if (rho <= static_cast<float>(kProper)) continue;
    Vector part(latents());
    for (Index i = 0; i < latents(); ++i) part[i] = inner.segment(i * each, each).squaredNorm();
    const float gain = (rho / static_cast<float>(kProper) - 1.0F) * rho / part.squaredNorm();
    Eigen::Map<Matrix> slabs(alpha.data(), latents(), each);
    for (Index i = 0; i < latents(); ++i) slabs.row(i) *= 1.0F + gain * part[i];
  }
}

template <VisibleUnits V, LatentUnits L>
std::string_view SpikeSlab<V, L>::fault(const Params& theta) {
  std::string_view found;
  for_each_field(
      [&](std::string_view name, const auto& field) {
        if (!found.empty() || !is_precision(name) || field.size() == 0) return;
        const bool zero_allowed = is_optional_field(name);
        if ((field.array() < 0.0F).any() || (!zero_allowed && (field.array() == 0.0F).any())) found = name;
      },
      theta);
  return found;
}

template <VisibleUnits V, LatentUnits L>
std::string_view SpikeSlab<V, L>::reference_fault(const Reference& reference) {
  std::string_view found;
  for_each_field(
      [&](std::string_view name, const auto& field) {
        if (found.empty() && is_precision(name) && (field.array() <= 0.0F).any()) found = name;
      },
      reference);
  return found;
}

template <VisibleUnits V, LatentUnits L>
std::optional<ImpossibleValue> SpikeSlab<V, L>::impossible_value(const Data& data) const {
  if constexpr (V::kBox) {
    for (Index n = 0; box() != nullptr && n < data.n_cases(); ++n) {
      const std::span<const float> row = data.row(n);
      for (std::size_t d = 0; d < row.size(); ++d) {
        if (std::abs(row[d]) <= box()[d]) continue;
        const double scale = shape_.scales.empty() ? 1.0 : shape_.scales[d];
        return ImpossibleValue{n, static_cast<float>(row[d] * scale),
                               format("outside of the model's box of %g", shape_.box)};
      }
    }
  }
  return std::nullopt;
}

// What is defined in this file, for every kind.
#define TEMPERA_INSTANTIATE(M) template class SpikeSlab<M::Visibles, M::Latents>;

TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
