// Shapes, first parameters, files and codes.
#include <boost/random/normal_distribution.hpp>

#include "field_checks.hpp"
#include "tempera/models/dbm.hpp"
#include "tempera/models/units/binary_visibles.hpp"

namespace tempera {

bool Dbm::operator==(const Dbm& other) const {
  return shape_ == other.shape_ && equal_fields(reference_, other.reference_);
}

Dbm::Reference Dbm::fit_reference(const BinaryData& data) {
  return {smoothed_logits(data.means(), data.weights().total(data.n_cases()))};
}

Dbm::Shape Dbm::shape_from(const MachineOptions& options, Index n_visible) {
  Shape shape{{n_visible}};
  for (const std::int64_t n : options.hidden) shape.sizes.push_back(static_cast<Index>(n));
  return shape;
}

Dbm::Shape Dbm::shape_from(const FieldShapes& file) {
  Shape found;
  std::vector<Index>& sizes = found.sizes;
  for (std::size_t k = 1; k == 1 || file.has("weights_" + std::to_string(k)); ++k) {
    const std::string name = "weights_" + std::to_string(k);
    if (k > kMaxHidden) file.fail(name, "at most " + std::to_string(kMaxHidden) + " hidden layers");
    const ArrayShape& shape = matrix_shape(file, name);
    if (sizes.empty()) {
      sizes.push_back(static_cast<Index>(shape[0]));
      require_bias(file, "bias_0", shape[0], shape);
    }
    if (static_cast<Index>(shape[0]) != sizes.back())
      file.fail(name, "expected " + std::to_string(sizes.back()) +
                          " rows as the layer below has units, found " + to_string(shape));
    require_bias(file, "bias_" + std::to_string(k), shape[1], shape);
    sizes.push_back(static_cast<Index>(shape[1]));
  }
  return found;
}

std::vector<Violation> Dbm::check(const MachineOptions& options, const InitialValues&) {
  const std::size_t n = options.hidden.size();
  if (n >= 1 && n <= kMaxHidden) return {};
  return {{"hidden", std::to_string(n) + " layers",
           std::string(kKind) + " has 1 to " + std::to_string(kMaxHidden) + " hidden layers"}};
}

MachineMemory Dbm::memory(const Shape& shape) {
  MachineMemory memory;
  for (std::size_t k = 0; k < shape.sizes.size(); ++k) {
    const auto n = static_cast<double>(shape.sizes[k]);
    memory.statistics += n;
    memory.parameters += n;
    if (k > 0) memory.parameters += static_cast<double>(shape.sizes[k - 1]) * n;
  }
  memory.chain_floats = 3.0 * memory.statistics;
  return memory;
}

Dbm::Params Dbm::initial_params(const StreamFactory& streams, const InitialValues& values) const {
  Params theta = zero_params();
  const double scale = values.weights ? *values.weights : default_weight_scale(values, n_visible());
  StreamEngine random = streams.engine(Purpose::kParameters, 0);
  boost::random::normal_distribution<float> normal(0.0F, static_cast<float>(scale));
  for (Matrix& weights : theta.weights) {
    for (Index k = 0; k < weights.size(); ++k) weights.data()[k] = normal(random);
  }
  theta.bias[0] = reference_.bias_0;
  return theta;
}

Dbm::Offsets Dbm::initial_offsets(const Eigen::VectorXd& visible_means) const {
  Offsets offsets;
  offsets.layers[0] = visible_means.cast<float>();
  for (std::size_t k = 1; k < layers(); ++k) offsets.layers[k] = Vector::Constant(size(k), 0.5F);
  return offsets;
}

std::vector<std::string> Dbm::layer_names() const {
  return {kLayerNames.begin(), kLayerNames.begin() + static_cast<std::ptrdiff_t>(layers())};
}

std::vector<std::pair<std::string, Index>> Dbm::shape_names() const {
  std::vector<std::pair<std::string, Index>> names = {{"n_visible", n_visible()}};
  for (std::size_t k = 1; k < layers(); ++k) names.emplace_back("n_hidden_" + std::to_string(k), size(k));
  return names;
}

std::vector<ShapeAttribute> Dbm::shape_attributes() const {
  std::vector<ShapeAttribute> all;
  for (auto& [name, size] : shape_names()) all.push_back({name, std::int64_t{size}});
  return all;
}

namespace {

/// Units of a layer that a change leaves, of all copies.
std::vector<Index> units_left(const LawChange& change, std::size_t layer, Index n) {
  return repeated(change.held_of(layer).left(n), layer == 0 ? 1 : change.copies);
}

}  // namespace

Dbm Dbm::changed(const LawChange& change) const {
  Shape shape;
  for (std::size_t k = 0; k < layers(); ++k)
    shape.sizes.push_back(static_cast<Index>(units_left(change, k, size(k)).size()));
  return {std::move(shape), {selected(reference_.bias_0, units_left(change, 0, size(0)))}};
}

Dbm::Params Dbm::changed(const LawChange& change, const Params& theta) const {
  const auto beta = static_cast<float>(change.beta);
  Params to;
  for (std::size_t k = 0; k < layers(); ++k) {
    const std::vector<Index> units = units_left(change, k, size(k));
    Vector bias = (k == 0 ? static_cast<float>(change.copies) : 1.0F) * theta.bias[k];
    if (k > 0) {
      for (const Index i : change.held_of(k - 1).ones()) bias += theta.weights[k - 1].row(i).transpose();
    }
    if (k + 1 < layers()) {
      for (const Index j : change.held_of(k + 1).ones()) bias += theta.weights[k].col(j);
      Matrix weights = beta * selected(theta.weights[k], units, units_left(change, k + 1, size(k + 1)));
      // A copy is connected with itself.
      const Index rows = weights.rows() / change.copies;
      const Index columns = weights.cols() / change.copies;
      for (Index a = 0; k > 0 && a < change.copies; ++a) {
        for (Index b = 0; b < change.copies; ++b) {
          if (a != b) weights.block(a * rows, b * columns, rows, columns).setZero();
        }
      }
      to.weights[k] = std::move(weights);
    }
    to.bias[k] = beta * selected(bias, units);
  }
  return to;
}

Dbm::State Dbm::restored(const LawChange& change, const State& x) const {
  State to;
  for (std::size_t k = 0; k < layers(); ++k) {
    const HeldUnits& held = change.held_of(k);
    to.layers[k] = tempera::restored(x.layers[k], held.left(size(k)), held.ones(), size(k));
  }
  return to;
}

std::vector<Code> Dbm::codes() const {
  std::vector<Code> all;
  for (std::size_t k = 1; k < layers(); ++k) all.push_back({std::string(kLayerNames[k]), size(k)});
  return all;
}

void Dbm::code_values(std::size_t code, const State& x, const BlockCache& cache, LaneMatrix& out) const {
  out.resize(size(code + 1), kLanes);
  layer_values(static_cast<Index>(code) + 1, x, cache, out);
}

}  // namespace tempera
