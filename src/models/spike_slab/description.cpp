// Shapes, first parameters, files, filters and codes.
#include <boost/random/normal_distribution.hpp>
#include <cmath>

#include "tempera/core/format.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Standard deviation of first weights, and what they take of the precision of spikes that have one.
constexpr double kSmallWeights = 0.01;
constexpr double kTakenPrecision = 0.8;
/// Standard deviation of the logarithm of the spikes' first precisions.
constexpr double kSpikeJitter = 0.5;

}  // namespace

template <VisibleUnits V, LatentUnits L>
auto SpikeSlab<V, L>::shape_from(const MachineOptions& options, Index n_visible) -> Shape {
  return {n_visible, L::shape_from(options), options.gibbs == Gibbs::kTwoBlock, options.box.value_or(0.0)};
}

template <VisibleUnits V, LatentUnits L>
auto SpikeSlab<V, L>::shape_from(const FieldShapes& file) -> Shape {
  const ArrayShape& weights = file.shape("weights");
  const auto axes = static_cast<std::size_t>(2 + std::count(L::kAxes.begin(), L::kAxes.end(), ','));
  bool good = weights.size() == axes;
  for (const std::uint64_t n : weights) good = good && n > 0;
  if (!good)
    file.fail("weights",
              "expected shape (n_visible, " + std::string(L::kAxes) + "), found " + to_string(weights));
  Shape shape;
  shape.n_visible = static_cast<Index>(weights[0]);
  shape.latents = L::shape_from(file, weights);
  shape.joint_slabs = file.attribute("joint_slabs", 0.0) != 0.0;
  shape.box = file.attribute("box", 0.0);
  if (!(shape.box >= 0) || !std::isfinite(shape.box))
    file.fail_attribute("box", "expected a number of at least 0");
  if (shape.box > 0 && (!V::kBox || shape.joint_slabs))
    file.fail_attribute("box", "is for Gaussian visibles without joint slabs");
  return shape;
}

template <VisibleUnits V, LatentUnits L>
std::vector<float> SpikeSlab<V, L>::bounds_of(const Shape& shape) {
  std::vector<float> bounds;
  for (Index d = 0; shape.box > 0.0 && d < shape.n_visible; ++d) {
    const double scale = shape.scales.empty() ? 1.0 : shape.scales[static_cast<std::size_t>(d)];
    bounds.push_back(static_cast<float>(shape.box / scale));
  }
  return bounds;
}

template <VisibleUnits V, LatentUnits L>
std::vector<Violation> SpikeSlab<V, L>::check(const MachineOptions& options, const InitialValues&) {
  std::vector<Violation> found = L::check(kKind, options);
  if (options.box && options.gibbs == Gibbs::kTwoBlock)
    found.push_back({"box", format("%g", *options.box),
                     "means --gibbs three-block: visibles and slabs are not jointly Gaussian"});
  return found;
}

template <VisibleUnits V, LatentUnits L>
std::string_view SpikeSlab<V, L>::law_field(const MachineOptions& options) {
  return kCanBeImproper && !options.box ? "slab_precision" : "";
}

template <VisibleUnits V, LatentUnits L>
double SpikeSlab<V, L>::default_weight_scale(const InitialValues& values, Index n_visible) {
  if (!kSpikePrecision || values.spike_precision == 0.0) return kSmallWeights;
  return std::sqrt(kTakenPrecision * values.slab_precision * values.spike_precision /
                   static_cast<double>(n_visible));
}

template <VisibleUnits V, LatentUnits L>
auto SpikeSlab<V, L>::initial_params(const StreamFactory& streams, const InitialValues& values) const
    -> Params {
  Params theta = zero_params();
  const double scale = values.weights ? *values.weights : default_weight_scale(values, n_visible());
  StreamEngine random = streams.engine(Purpose::kParameters, 0);
  boost::random::normal_distribution<float> normal(0.0F, static_cast<float>(scale));
  if (scale > 0) {
    for (Index k = 0; k < theta.weights.size(); ++k) theta.weights.data()[k] = normal(random);
  }
  theta.visible = V::initial(reference_, values);
  L::set_initial(values, theta.latent);
  if constexpr (kSpikePrecision) {
    // Spikes that all begin alike would stay alike where there are no filters to tell them apart.
    boost::random::normal_distribution<double> jitter(0.0, kSpikeJitter);
    for (Index i = 0; i < latents(); ++i)
      theta.latent.spike_precision.col(i).setConstant(
          static_cast<float>(values.spike_precision * std::exp(jitter(random))));
  }
  return theta;
}

template <VisibleUnits V, LatentUnits L>
MachineMemory SpikeSlab<V, L>::memory(const Shape& shape) {
  const auto n = static_cast<double>(shape.n_visible);
  const LatentCounts latents = L::counts(shape.latents);
  const auto of_visible = [](Index per_visible) { return static_cast<double>(per_visible); };
  MachineMemory memory;
  memory.parameters = n * (latents.filters + of_visible(size_of(V::zero_params(1)))) + latents.parameters;
  if (kSpikePrecision) memory.parameters += n * latents.units;
  memory.statistics =
      n * (1.0 + of_visible(V::square_statistics(1) + V::own_statistics(1))) + latents.filters;
  if (L::kSlabs) memory.statistics += latents.units + 2.0 * latents.filters;
  // Visibles and units with what is cached of them, and five matrices of filters.
  memory.chain_floats = 3.0 * (n + latents.units) + 5.0 * latents.filters;
  return memory;
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::unstandardise(const Params& theta, std::vector<State>& blocks) const {
  for (State& x : blocks) L::unstandardise(theta.latent, x.latent);
}

template <VisibleUnits V, LatentUnits L>
double SpikeSlab<V, L>::change_units(const Standardisation& units,
                                     DoubleFields& fields) requires(!V::kDiscrete) {
  double constant = 0.0;
  if (!units.centre.isZero(0.0)) constant = V::move_origin(units.centre, fields);
  const auto weights = fields.find("weights");
  if (weights != fields.end()) {
    if (const auto bias = fields.find("hidden_bias"); bias != fields.end() && !units.centre.isZero(0.0))
      bias->second.matrix() += weights->second.matrix().transpose() * units.centre;
    weights->second.colwise() *= units.scale.array();
  }
  if (const auto precision = fields.find("spike_precision");
      precision != fields.end() && precision->second.size() > 0)
    precision->second.colwise() *= units.scale.array().square();
  V::change_scale(units.scale, fields);
  return constant;
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::unstandardise_visibles(const Standardisation& units,
                                             std::vector<State>& blocks) requires(!V::kDiscrete) {
  for (State& x : blocks) {
    for (Index d = 0; d < units.scale.size(); ++d) {
      for (Index c = 0; c < kLanes; ++c) {
        float& value = x.visible(d, c);
        value = static_cast<float>(units.centre[d] + units.scale[d] * static_cast<double>(value));
      }
    }
  }
}

template <VisibleUnits V, LatentUnits L>
ArrayShape SpikeSlab<V, L>::file_shape(std::string_view field) const {
  return L::file_shape(shape_.latents, n_visible(), field);
}

template <VisibleUnits V, LatentUnits L>
std::vector<std::pair<std::string, Index>> SpikeSlab<V, L>::shape_names() const {
  std::vector<std::pair<std::string, Index>> names = {{"n_visible", n_visible()}};
  for (auto& name : L::shape_names(shape_.latents)) names.push_back(std::move(name));
  return names;
}

template <VisibleUnits V, LatentUnits L>
std::vector<ShapeAttribute> SpikeSlab<V, L>::shape_attributes() const {
  std::vector<ShapeAttribute> all;
  for (auto& [name, size] : shape_names()) all.push_back({name, std::int64_t{size}});
  all.push_back({"joint_slabs", std::int64_t{shape_.joint_slabs}});
  all.push_back({"box", shape_.box});
  return all;
}

template <VisibleUnits V, LatentUnits L>
std::vector<Code> SpikeSlab<V, L>::codes() const {
  const std::vector<Index> sizes = layer_sizes();
  const std::vector<std::string> names = layer_names();
  std::vector<Code> all;
  for (std::size_t k = 1; k < sizes.size(); ++k) all.push_back({names[k], sizes[k]});
  if (L::kSlabs) all.push_back({"spike_slab", filters()});
  if (L::kPools) all.push_back({"pooled_norm", latents()});
  return all;
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::code_values(std::size_t code, const State& x, const BlockCache& cache,
                                  LaneMatrix& out) const {
  const std::size_t layers = L::layers(shape_.latents).size();
  if (code < layers) {
    layer_values(static_cast<Index>(code) + 1, x, cache, out);
  } else if (code == layers) {
    out = cache.amplitude;
  } else {
    out.setZero(latents(), kLanes);
    for (Index c = 0; c < cache.lanes; ++c) {
      for (Index i = 0; i < latents(); ++i)
        out(i, c) = cache.amplitude.col(c).segment(i * filters_each(), filters_each()).norm();
    }
  }
}

// What is defined in this file, for every kind.
#define TEMPERA_INSTANTIATE(M) template class SpikeSlab<M::Visibles, M::Latents>;

TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
