// Machines that have a changed law.
#include <cmath>

#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Rows of a layer of real units that are left, as they stand in the whole layer.
void restore_rows(const LaneMatrix& from, const HeldUnits& held, float unit, LaneMatrix& to) {
  const std::vector<Index> left = held.left(to.rows());
  for (std::size_t k = 0; k < left.size(); ++k) {
    if (left[k] >= 0) to.row(left[k]) = unit * from.row(static_cast<Index>(k));
  }
  for (std::size_t k = 0; k < held.units.size(); ++k) to.row(held.units[k]).setConstant(held.values[k]);
}

}  // namespace

template <VisibleUnits V, LatentUnits L>
std::string SpikeSlab<V, L>::why_not_changed(const LawChange& change) {
  const std::string kind(kKind);
  if (!L::kTakesInput && !change.held_of(0).empty())
    return "values of " + kind + " cannot be held: what they give to slabs depends on pairs of units";
  for (std::size_t k = 1; k < change.held.size(); ++k) {
    if (!change.held[k].empty() && (L::kSlabs || !V::kBiased))
      return "units of " + kind + " cannot be held: what is left is of another kind";
  }
  if (kExactZeros && change.copies > 1)
    return "the law of " + kind + " has no powers: values of 0 have a probability, and all others a density";
  return L::kEnumerable ? why_not_bits(change) : std::string();
}

template <VisibleUnits V, LatentUnits L>
auto SpikeSlab<V, L>::changed(const LawChange& change) const -> SpikeSlab {
  const std::vector<Index> left = change.held_of(0).left(n_visible());
  Shape shape = shape_;
  shape.n_visible = static_cast<Index>(left.size());
  shape.latents = L::left(shape_.latents, change.held_of(1).units.size(), change.copies);
  if (!shape_.scales.empty()) {
    shape.scales.clear();
    for (const Index d : left)
      shape.scales.push_back(d < 0 ? 1.0 : shape_.scales[static_cast<std::size_t>(d)]);
  }
  Reference reference = reference_;
  for_each_field([&](std::string_view, Vector& field) { field = selected(field, left); }, reference);
  return SpikeSlab(std::move(shape), std::move(reference));
}

template <VisibleUnits V, LatentUnits L>
auto SpikeSlab<V, L>::changed(const LawChange& change, const Params& theta) const -> Params {
  const HeldUnits& values = change.held_of(0);
  const HeldUnits& units = change.held_of(1);
  Params to = theta;
  // Held visibles give the latents an input, held latents the visibles.
  if constexpr (L::kTakesInput) {
    Eigen::VectorXd input = Eigen::VectorXd::Zero(filters());
    Eigen::VectorXd quadratic = Eigen::VectorXd::Zero(latents());
    for (std::size_t k = 0; k < values.units.size(); ++k) {
      const auto v = static_cast<double>(values.values[k]);
      input += v * theta.weights.row(values.units[k]).transpose().template cast<double>();
      if constexpr (kSpikePrecision) {
        if (has_spike_precision(theta))
          quadratic += 0.5 * v * v *
                       theta.latent.spike_precision.row(values.units[k]).transpose().template cast<double>();
      }
    }
    L::add_input(shape_.latents, input, quadratic, to.latent);
  }
  if constexpr (!L::kSlabs && V::kBiased) {
    for (std::size_t k = 0; k < units.units.size(); ++k)
      to.visible.visible_bias += units.values[k] * theta.weights.col(units.units[k]);
  }
  const std::vector<Index> left = values.left(n_visible());
  // Latents that have no slabs are filters.
  const std::vector<Index> kept = L::kSlabs ? all_units(filters()) : units.left(filters());
  to.weights = selected(to.weights, left, repeated(kept, change.copies));
  for_each_field(
      [&](std::string_view name, Vector& field) {
        const float factor = name.ends_with("mean") ? 1.0F : static_cast<float>(change.copies);
        field = factor * selected(field, left);
      },
      to.visible);
  for_each_field(
      [&]<class Field>(std::string_view name, Field& field) {
        if (name == "spike_precision") {
          if (field.size() > 0)
            field = Field(selected(Matrix(field), left, all_units(field.cols())))
                        .replicate(1, change.copies)
                        .eval();
        } else if (L::kSlabs) {
          field = field.replicate(change.copies, 1).eval();
        } else if constexpr (std::same_as<Field, Vector>) {
          field = selected(field, repeated(kept, change.copies));
        }
      },
      to.latent);
  if (change.beta == 1.0) return to;
  // Energies are linear in all but means. Real hidden units keep their own precision of 1 by another unit.
  const auto beta = static_cast<float>(change.beta);
  for_each_field(
      [&](std::string_view name, auto& field) {
        if (!name.ends_with("mean")) field *= beta;
      },
      to);
  if constexpr (!L::kEnumerable) {
    to.weights /= std::sqrt(beta);
    for_each_field([&](std::string_view, auto& field) { field /= std::sqrt(beta); }, to.latent);
  }
  return to;
}

template <VisibleUnits V, LatentUnits L>
auto SpikeSlab<V, L>::restored(const LawChange& change, const State& x) const -> State {
  const HeldUnits& values = change.held_of(0);
  const HeldUnits& units = change.held_of(1);
  State to = new_state();
  if constexpr (std::same_as<typename V::Layer, BitLayer>) {
    to.visible = tempera::restored(x.visible, values.left(n_visible()), values.ones(), n_visible());
  } else {
    restore_rows(x.visible, values, 1.0F, to.visible);
  }
  // Slabs are kept in standard deviations of their prior, real hidden units in those of theirs.
  const auto unit = static_cast<float>(1.0 / std::sqrt(change.beta));
  for_each_field(
      [&]<class Field>(std::string_view, Field& whole, const Field& part) {
        if constexpr (std::same_as<Field, BitLayer>) {
          const auto n = static_cast<Index>(whole.size());
          whole = tempera::restored(part, units.left(n), units.ones(), n);
        } else {
          restore_rows(part, units, unit, whole);
        }
      },
      to.latent, x.latent);
  return to;
}

// What is defined in this file, for every kind.
#define TEMPERA_INSTANTIATE(M) template class SpikeSlab<M::Visibles, M::Latents>;

TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
