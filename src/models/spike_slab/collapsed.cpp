// Weights of the states of the visibles, or of the latents where the visibles are real.
#include "tempera/models/all_models.hpp"

namespace tempera {

template <VisibleUnits V, LatentUnits L>
class SpikeSlab<V, L>::Collapsed final : public CollapsedMachine {
 public:
  Collapsed(const SpikeSlab& model, const Params& theta)
      : CollapsedMachine(model.enumerated_units()), model_(model), theta_(theta) {
    log_weight_ = weight_of(state());
  }

  [[nodiscard]] double log_weight() const override { return log_weight_; }
  [[nodiscard]] double flipped(Index unit) const override {
    PackedState other = state();
    flip_bit(other, unit);
    return weight_of(other);
  }
  void flip(Index unit) override {
    note_flip(unit);
    log_weight_ = weight_of(state());
  }
  void set(std::span<const Word> state) override {
    note_state(state);
    log_weight_ = weight_of(state);
  }
  /// A product with the weights; with slabs, at most as many as there are filters are active.
  [[nodiscard]] double cost() const override {
    const auto n = static_cast<double>(model_.n_visible());
    const auto r = static_cast<double>(model_.filters());
    return !V::kEnumerable && L::kSlabs ? r * r * (n + r / 3.0) : 2.0 * n * r;
  }

 private:
  [[nodiscard]] double weight_of(std::span<const Word> bits) const {
    return model_.log_state_weight(theta_, 1.0, bits);
  }

  SpikeSlab model_;
  const Params& theta_;
  double log_weight_ = 0.0;
};

template <VisibleUnits V, LatentUnits L>
std::string SpikeSlab<V, L>::why_not_collapsible() const {
  return shape_.box > 0 ? "visibles in a box cannot be integrated out" : "";
}

template <VisibleUnits V, LatentUnits L>
std::unique_ptr<CollapsedMachine> SpikeSlab<V, L>::collapsed(const Params& theta) const {
  return std::make_unique<Collapsed>(*this, theta);
}

template <VisibleUnits V, LatentUnits L>
std::vector<Index> SpikeSlab<V, L>::collapsed_layers() const {
  if (V::kEnumerable) return {0};
  std::vector<Index> all;
  if (V::enumerated_bits(n_visible()) > 0) all.push_back(0);
  for (std::size_t k = 0; k < L::layers(shape_.latents).size(); ++k) all.push_back(static_cast<Index>(k) + 1);
  return all;
}

// What is defined in this file, for every kind.
#define TEMPERA_INSTANTIATE(M) template class SpikeSlab<M::Visibles, M::Latents>;

TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
