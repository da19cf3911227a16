#include "tempera/models/kinds.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

// What is missing of a model in the list, by chapter of models/energy_model.hpp.
#define TEMPERA_REQUIRE(M)                                                                                 \
  static_assert(MachineValue<M>, #M " lacks a member of MachineValue");                                    \
  static_assert(MachineOptionsKnown<M>, #M " lacks a member of MachineOptionsKnown");                      \
  static_assert(MachineSampling<M>, #M " lacks a member of MachineSampling");                              \
  static_assert(MachineStatistics<M>, #M " lacks a member of MachineStatistics");                          \
  static_assert(MachineCases<M>, #M " lacks a member of MachineCases");                                    \
  static_assert(MachineLaw<M>, #M " lacks a member of MachineLaw");                                        \
  static_assert(MachineFiles<M>, #M " lacks a member of MachineFiles");                                    \
  static_assert(MachineFilters<M>, #M " lacks a member of MachineFilters");                                \
  static_assert(HasReference<M>, #M " lacks a member of HasReference");                                    \
  static_assert(HasExactLogZ<M>, #M " lacks a member of HasExactLogZ");                                    \
  static_assert(HasCollapsedMachine<M>, #M " lacks a member of HasCollapsedMachine");                      \
  static_assert(HasLayers<M> || HasStatistics<M>, #M " meets neither HasLayers nor HasStatistics");        \
  static_assert(M::kExactInference || HasMeanField<M>, #M " has no law of the latents, nor a mean field"); \
  static_assert(M::kFeatures.has(Feature::kMeanField) == HasMeanField<M>, #M ": inference:mean-field");    \
  static_assert(M::kFeatures.has(Feature::kSampledLatents) == HasClampedSweeps<M>,                         \
                #M ": inference:sampled");                                                                 \
  static_assert(M::kFeatures.has(Feature::kJump) == HasLatentMarginal<M>, #M ": jump");                    \
  static_assert(M::kFeatures.has(Feature::kDataNoise) == HasDataNoise<M>, #M ": data-noise");              \
  static_assert(M::kFeatures.has(Feature::kStagedStart) == HasFilterTable<M>, #M ": init:staged");         \
  static_assert(M::kFeatures.has(Feature::kLetters) == HasLetters<M>, #M ": letters");

TEMPERA_FOR_EACH_MODEL(TEMPERA_REQUIRE)

template <class M>
constexpr Kind kind_of() {
  return {M::kKind,
          M::kHiddenUnits,
          M::kDiscrete,
          M::kFeatures,
          M::defaults(),
          &M::check,
          &M::law_field,
          &M::default_weight_scale,
          [](const MachineOptions& options, Index n_visible) {
            return M::memory(M::shape_from(options, n_visible));
          }};
}

const auto& kinds() {
#define TEMPERA_KIND(M) kind_of<M>(),
  static const std::array all = {TEMPERA_FOR_EACH_MODEL(TEMPERA_KIND)};
  return all;
}

/// "a, b and c".
std::string in_words(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 < names.size() ? ", " : " and ") + names[i];
  return text;
}

}  // namespace

std::string Kind::name() const {
  const std::string of_visibles(kind);
  return hidden_units == kUsualHiddenUnits ? of_visibles
                                           : of_visibles + " (" + std::string(hidden_units) + ")";
}

std::span<const Kind> all_kinds() { return kinds(); }

const Kind* find_kind(std::string_view kind, std::string_view hidden_units) {
  for (const Kind& known : kinds()) {
    if (known.kind == kind && known.hidden_units == hidden_units) return &known;
  }
  return nullptr;
}

std::string kinds_with(Feature feature) {
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) {
    if (kind.features.has(feature)) names.push_back(kind.name());
  }
  return in_words(names);
}

std::string option_of(Feature feature) {
  const std::string_view name = name_of(feature);
  return std::string(name.substr(0, name.find(':')));
}

std::vector<Violation> check_machine(const MachineOptions& options, const InitialValues& initial) {
  const Kind* const kind = find_kind(options.kind, options.hidden_units);
  if (kind == nullptr) {
    std::vector<std::string> visibles;
    std::vector<std::string> units;
    for (const Kind& known : kinds()) {
      const std::string name(known.kind);
      if (std::find(visibles.begin(), visibles.end(), name) == visibles.end()) visibles.push_back(name);
      if (name == options.kind) units.emplace_back(known.hidden_units);
    }
    if (units.empty()) return {{"model", "'" + options.kind + "'", "must be one of " + in_words(visibles)}};
    return {{"hidden-units", "'" + options.hidden_units + "'",
             "must be one of " + in_words(units) + " with " + options.kind}};
  }
  std::vector<Violation> found;
  const auto only_for = [&](Feature feature, bool used, const std::string& value) {
    if (used && !kind->features.has(feature))
      found.push_back({option_of(feature), value, "is for " + kinds_with(feature)});
  };
  const InitialValues standard;
  const auto changed = [&](Feature feature, double value, double usual) {
    only_for(feature, value != usual, text_of(value));
  };
  only_for(Feature::kSlabs, options.slabs > 1, std::to_string(options.slabs));
  only_for(Feature::kBlocks, options.blocks > 1, std::to_string(options.blocks));
  only_for(Feature::kGate, options.gate, "true");
  only_for(Feature::kTwoBlockGibbs, options.gibbs == Gibbs::kTwoBlock, "'two-block'");
  only_for(Feature::kBox, options.box.has_value(), text_of(options.box.value_or(0.0)));
  only_for(Feature::kInitialVisiblePrecision, initial.visible_precision.has_value(),
           text_of(initial.visible_precision.value_or(0.0)));
  changed(Feature::kInitialSpikeBias, initial.spike_bias, standard.spike_bias);
  changed(Feature::kInitialSpikePrecision, initial.spike_precision, standard.spike_precision);
  changed(Feature::kInitialSlabMean, initial.slab_mean, standard.slab_mean);
  changed(Feature::kInitialSlabPrecision, initial.slab_precision, standard.slab_precision);
  for (Violation& violation : kind->check(options, initial)) found.push_back(std::move(violation));
  return found;
}

}  // namespace tempera
