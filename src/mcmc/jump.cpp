#include "tempera/mcmc/jump.hpp"

#include <algorithm>
#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>
#include <numeric>

#include "tempera/core/math.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Jumps for each that is accepted, where nobody says how many; and at least.
constexpr double kJumpsForAccepted = 5.0;
constexpr double kLeastJumps = 0.02;
/// Weight of the newest in the running mean of the acceptance.
constexpr double kAcceptanceMemory = 0.1;

/// Terms of a sum that are smaller than its largest by so many nats do not count.
constexpr float kNegligible = 40.0F;

/// Rounding of a sum of softplus, relative to 1 more than it.
constexpr float kSumRounding = 1e-4F;

/// log probability that every latent is 0.
float log_none(const Vector& logits) {
  double sum = 0.0;
  for (const float x : logits) sum -= softplus(x);
  return static_cast<float>(sum);
}

UnitRange cases_of(const JumpMemory& memory) { return {0, static_cast<Index>(memory.filled)}; }
UnitRange modes_of(const JumpMemory& memory) {
  return {kJumpCases, kJumpCases + static_cast<Index>(memory.modes)};
}

/// Weights of all cases and of all modes in the proposal, beside the uniform law.
struct Weights {
  double cases = 0.0;
  double modes = 0.0;
};
Weights weights_of(const JumpMemory& memory) {
  const double rest = 1.0 - kUniformPart;
  if (memory.modes == 0) return {rest, 0.0};
  if (memory.filled == 0) return {0.0, rest};
  return {rest - kModePart, kModePart};
}

void set_component(Index row, const Vector& logits, JumpMemory& memory) {
  const Vector within = logits.cwiseMax(-kLargestJumpLogit).cwiseMin(kLargestJumpLogit);
  memory.logits.row(row) = within.transpose();
  memory.log_none[row] = log_none(within);
}

/// Visibles in these states, as cases.
BinaryData cases_in(std::span<const PackedState> states, Index units) {
  std::vector<std::uint8_t> bytes;
  for (const PackedState& state : states) {
    for (Index i = 0; i < units; ++i) bytes.push_back(is_on(state, i) ? 1 : 0);
  }
  return {static_cast<Index>(states.size()), units, bytes};
}

/// Whether modes of this machine are states of its visibles, not of its latents.
template <EnergyModel M>
bool collapses_onto_cases(const M& model) {
  return std::same_as<typename M::Data, BinaryData> && model.collapsed_layers() == std::vector<Index>{0};
}

/// Logits of the latents given visibles in these states.
template <HasLatentMarginal M>
std::vector<Vector> logits_given(const Engine<M>& shared, const typename M::Params& theta,
                                 std::span<const PackedState> visibles) {
  const Engine<M> engine = alone(shared);
  std::vector<Index> rows(visibles.size());
  std::iota(rows.begin(), rows.end(), Index{0});
  Population<M> cases;
  load_cases(engine, cases_in(visibles, engine.model.n_visible()), rows, cases.chains);
  cases.fit(engine);
  latent_input(engine, theta, cases.chains.blocks, cases.caches);
  std::vector<Vector> found;
  LaneMatrix logits;
  for (const typename M::BlockCache& cache : cases.caches.blocks) {
    engine.model.latent_logits(theta, cache, logits);
    for (Index lane = 0; lane < cache.lanes; ++lane) found.push_back(logits.col(lane));
  }
  return found;
}

/// Logits of every latent given that all others are in these states.
template <HasLatentMarginal M>
std::vector<Vector> logits_around(const Engine<M>& engine, const typename M::Params& theta,
                                  std::span<const PackedState> latents) {
  std::vector<Vector> found(latents.size());
  engine.executor.for_each(static_cast<Index>(latents.size()), [&](Index k) {
    const PackedState& state = latents[static_cast<std::size_t>(k)];
    const std::unique_ptr<CollapsedMachine> machine = engine.model.collapsed(theta);
    machine->set(state);
    Vector& logits = found[static_cast<std::size_t>(k)];
    logits.resize(machine->units());
    for (Index j = 0; j < machine->units(); ++j) {
      const double gain = machine->flipped(j) - machine->log_weight();
      logits[j] = static_cast<float>(is_on(state, j) ? -gain : gain);
    }
  });
  return found;
}

}  // namespace

JumpMemory empty_memory(Index n_latents) {
  constexpr Index kComponents = kJumpCases + kJumpModes;
  JumpMemory memory;
  memory.logits = Matrix::Zero(kComponents, n_latents);
  memory.log_none = Vector::Zero(kComponents);
  return memory;
}

bool is_consistent(const JumpMemory& memory) {
  if (memory.logits.rows() == 0) return memory.filled == 0 && memory.next == 0 && memory.modes == 0;
  if (memory.logits.rows() != kJumpCases + kJumpModes || memory.filled > kJumpCases ||
      memory.next >= kJumpCases || memory.modes > kJumpModes ||
      !(memory.accepted >= 0.0 && memory.accepted <= 1.0 + 1e-6))
    return false;
  if (!(memory.logits.cwiseAbs().maxCoeff() <= kLargestJumpLogit)) return false;
  for (const UnitRange rows : {cases_of(memory), modes_of(memory)}) {
    for (Index n = rows.first; n < rows.last; ++n) {
      const float sum = log_none(memory.logits.row(n).transpose());
      if (!(std::abs(memory.log_none[n] - sum) <= kSumRounding * (1.0F - sum))) return false;
    }
  }
  return true;
}

template <EnergyModel M>
Index remembered_cases(const M& model) {
  if constexpr (!std::same_as<typename M::Data, BinaryData>) return kJumpCases;
  return std::clamp((model.n_visible() + kLanes - 1) / kLanes * kLanes, kLanes, kJumpCases);
}

template <EnergyModel M>
void add_cases([[maybe_unused]] const M& model, [[maybe_unused]] const typename M::Params& theta,
               const typename M::BlockCache& cache, JumpMemory& memory, Index room) {
  if constexpr (HasLatentMarginal<M>) {
    LaneMatrix logits;
    model.latent_logits(theta, cache, logits);
    logits = logits.cwiseMax(-kLargestJumpLogit).cwiseMin(kLargestJumpLogit);
    LaneFloats one;
    one.fill(1.0F);
    LaneDoubles softplus{};
    add_softplus(logits, one, cache.lanes, softplus);
    const auto most = static_cast<std::uint64_t>(room);
    for (Index lane = 0; lane < cache.lanes; ++lane) {
      const auto row = static_cast<Index>(memory.next % most);
      memory.logits.row(row) = logits.col(lane).transpose();
      memory.log_none[row] = static_cast<float>(-softplus[static_cast<std::size_t>(lane)]);
      memory.next = (memory.next + 1) % most;
      memory.filled = std::min(most, memory.filled + 1);
    }
  }
}

template <EnergyModel M>
void set_modes([[maybe_unused]] const Engine<M>& engine, [[maybe_unused]] const typename M::Params& theta,
               [[maybe_unused]] std::span<const PackedState> modes, [[maybe_unused]] JumpMemory& memory) {
  if constexpr (HasLatentMarginal<M>) {
    if (!engine.model.why_not_collapsible().empty()) return;
    modes = modes.first(std::min(modes.size(), static_cast<std::size_t>(kJumpModes)));
    std::vector<Vector> logits;
    if constexpr (std::same_as<typename M::Data, BinaryData>) {
      if (engine.model.collapsed_layers() == std::vector<Index>{0})
        logits = logits_given(engine, theta, modes);
    }
    if (logits.empty()) logits = logits_around(engine, theta, modes);
    memory.modes = logits.size();
    for (std::size_t k = 0; k < logits.size(); ++k)
      set_component(kJumpCases + static_cast<Index>(k), logits[k], memory);
  }
}

template <EnergyModel M>
Chains<M> mode_chains([[maybe_unused]] const Engine<M>& engine,
                      [[maybe_unused]] const typename M::Params& theta,
                      [[maybe_unused]] std::span<const PackedState> modes, [[maybe_unused]] std::uint64_t n) {
  Chains<M> chains;
  if constexpr (HasLatentMarginal<M>) {
    if constexpr (std::same_as<typename M::Data, BinaryData>) {
      if (collapses_onto_cases(engine.model)) {
        std::vector<Index> order(modes.size());
        std::iota(order.begin(), order.end(), Index{0});
        return data_chains(engine, theta, n, cases_in(modes, engine.model.n_visible()), order,
                           Purpose::kSampling);
      }
    }
    // Visibles are drawn given the latents by the next sweep.
    chains = empty_chains(engine.model, n);
    Caches<M> caches;
    caches.fit(engine.model, n, engine.executor.alone());
    for (std::uint64_t c = 0; c < n; ++c) {
      BitLayer& latents = M::latents_of(chains.blocks[static_cast<std::size_t>(c / kLanes)]);
      const PackedState& state = modes[static_cast<std::size_t>(c % modes.size())];
      for (std::size_t j = 0; j < latents.size(); ++j)
        latents[j] |= Word{is_on(state, static_cast<Index>(j)) ? 1U : 0U} << (c % kLanes);
    }
    for (std::size_t b = 0; b < chains.blocks.size(); ++b) {
      engine.model.draw_given_latents(
          theta, caches.betas.blocks[b], chains.blocks[b], caches.blocks[b].lanes, caches.scratch.front(),
          engine.streams.lanes(Purpose::kJump, 0, static_cast<std::uint32_t>(b * kLanes)));
    }
  }
  return chains;
}

double jump_probability(double free_energy, double proposed_free_energy, double log_density,
                        double proposed_log_density) {
  const double log_ratio = (free_energy - proposed_free_energy) + (log_density - proposed_log_density);
  return std::isnan(log_ratio) ? 0.0 : std::exp(std::min(0.0, log_ratio));
}

LaneDoubles jump_log_density(const JumpMemory& memory, const BitLayer& latents, Index lanes) {
  // log of a component = log p(none) + sum of the logits of the latents that are 1: a product with bits.
  PackedPanel packed;
  ProductScratch products;
  const BitBlock block{latents, lanes};
  pack({&block, 1}, packed);
  const UnitRange cases = cases_of(memory);
  const UnitRange modes = modes_of(memory);
  LaneMatrix densities(cases.size() + modes.size(), kLanes);
  const auto fill = [&](UnitRange rows, Index first, double weight) {
    if (rows.size() == 0) return;
    float* const out = densities.row(first).data();
    input_from_columns(memory.logits, packed, rows, memory.log_none, {&out, 1}, products);
    densities.middleRows(first, rows.size()).array() +=
        static_cast<float>(std::log(weight / static_cast<double>(rows.size())));
  };
  const Weights weights = weights_of(memory);
  fill(cases, 0, weights.cases);
  fill(modes, cases.size(), weights.modes);
  // Nearly all components are nothing beside the largest.
  const double uniform = std::log(kUniformPart) - static_cast<double>(latents.size()) * std::log(2.0);
  const Eigen::Array<float, 1, kLanes> largest =
      densities.colwise().maxCoeff().array().max(static_cast<float>(uniform));
  LaneDoubles sums{};
  for (Index n = 0; n < densities.rows(); ++n) {
    for (Index c = 0; c < lanes; ++c) {
      const float below = densities(n, c) - largest[c];
      if (below > -kNegligible) sums[static_cast<std::size_t>(c)] += std::exp(static_cast<double>(below));
    }
  }
  LaneDoubles out{};
  for (std::size_t c = 0; c < static_cast<std::size_t>(lanes); ++c) {
    const auto top = static_cast<double>(largest[static_cast<Index>(c)]);
    out[c] = top + std::log(sums[c] + std::exp(uniform - top));
  }
  return out;
}

template <HasLatentMarginal M>
double offer_jumps(const Engine<M>& engine, const typename M::Params& theta, const JumpMemory& memory,
                   std::uint64_t step, Population<M>& population, const JumpDraws& draws) {
  const UnitRange cases = cases_of(memory);
  const UnitRange modes = modes_of(memory);
  if (cases.size() + modes.size() == 0) return 0.0;
  const Weights weights = weights_of(memory);
  Chains<M>& chains = population.chains;
  Caches<M>& caches = population.caches;
  std::vector<double> accepted(chains.blocks.size(), 0.0);
  engine.executor.for_each_owned(static_cast<Index>(chains.blocks.size()), [&](Index block,
                                                                               std::size_t slot) {
    const auto b = static_cast<std::size_t>(block);
    typename M::Scratch& scratch = caches.scratch[slot];
    typename M::State& x = chains.blocks[b];
    const Index lanes = caches.blocks[b].lanes;
    const auto first = static_cast<std::uint32_t>(block * kLanes);
    const LaneStream stream = engine.streams.lanes(draws.latents, step, first);
    // A component for each chain, a draw from it, and a uniform for the decision.
    LaneMatrix input = LaneMatrix::Zero(memory.logits.cols(), kLanes);
    LaneDoubles decision{};
    for (Index c = 0; c < lanes; ++c) {
      StreamEngine random = engine.streams.engine(draws.choice, step, first + static_cast<std::uint32_t>(c));
      decision[static_cast<std::size_t>(c)] = uniform_53(random);
      const double which = uniform_53(random);
      if (which < kUniformPart) continue;
      const UnitRange rows = which < kUniformPart + weights.modes ? modes : cases;
      const boost::random::uniform_int_distribution<Index> component(rows.first, rows.last - 1);
      input.col(c) = memory.logits.row(component(random)).transpose();
    }
    typename M::State proposal = x;
    BitLayer& latents = M::latents_of(proposal);
    sample_units(input.data(), {0, memory.logits.cols()}, constant_beta(1.0F), {}, lanes, stream, 0, latents);

    LaneDoubles here{};
    LaneDoubles there{};
    engine.model.latent_free_energy(theta, caches.betas.blocks[b], x, lanes, scratch, here);
    engine.model.latent_free_energy(theta, caches.betas.blocks[b], proposal, lanes, scratch, there);
    const LaneDoubles density_here = jump_log_density(memory, M::latents_of(std::as_const(x)), lanes);
    const LaneDoubles density_there = jump_log_density(memory, latents, lanes);
    for (Index c = 0; c < lanes; ++c) {
      const auto i = static_cast<std::size_t>(c);
      const double probability = jump_probability(here[i], there[i], density_here[i], density_there[i]);
      accepted[b] += probability;
      if (decision[i] < probability) copy_chain(proposal, c, x, c);
    }
    engine.model.draw_given_latents(theta, caches.betas.blocks[b], x, lanes, scratch, stream);
  });
  engine.executor.share(accepted);
  return sum_doubles(static_cast<Index>(accepted.size()),
                     [&](Index b) { return accepted[static_cast<std::size_t>(b)]; }) /
         static_cast<double>(chains.n_chains);
}

template <EnergyModel M>
double jump([[maybe_unused]] const Engine<M>& engine, [[maybe_unused]] const typename M::Params& theta,
            [[maybe_unused]] const JumpMemory& memory, [[maybe_unused]] std::uint64_t step,
            [[maybe_unused]] Population<M>& population, [[maybe_unused]] const JumpDraws& draws) {
  if constexpr (HasLatentMarginal<M>) {
    return offer_jumps(engine, theta, memory, step, population, draws);
  } else {
    return 0.0;
  }
}

bool is_jump(double rate, const StreamFactory& streams, std::uint64_t step, Purpose purpose) {
  if (rate <= 0.0) return false;
  StreamEngine random = streams.engine(purpose, step);
  return uniform_53(random) < rate;
}

double jump_rate(const std::optional<double>& asked, const JumpMemory& memory, double most) {
  return asked ? *asked : std::clamp(kJumpsForAccepted * memory.accepted, std::min(kLeastJumps, most), most);
}

void note_acceptance(double accepted, JumpMemory& memory) {
  memory.accepted += kAcceptanceMemory * (accepted - memory.accepted);
}

template <EnergyModel M>
std::optional<double> jump_now_and_then(const Engine<M>& engine, const typename M::Params& theta, double rate,
                                        const JumpMemory& memory, Population<M>& population,
                                        const JumpDraws& draws) {
  const std::uint64_t step = population.chains.sweeps;
  if (!is_jump(rate, engine.streams, step, draws.step)) return std::nullopt;
  return jump(engine, theta, memory, step, population, draws);
}

#define TEMPERA_INSTANTIATE(M)                                                                               \
  template Index remembered_cases(const M&);                                                                 \
  template void add_cases(const M&, const M::Params&, const M::BlockCache&, JumpMemory&, Index);             \
  template void set_modes(const Engine<M>&, const M::Params&, std::span<const PackedState>, JumpMemory&);    \
  template Chains<M> mode_chains(const Engine<M>&, const M::Params&, std::span<const PackedState>,           \
                                 std::uint64_t);                                                             \
  template double jump(const Engine<M>&, const M::Params&, const JumpMemory&, std::uint64_t, Population<M>&, \
                       const JumpDraws&);                                                                    \
  template std::optional<double> jump_now_and_then(const Engine<M>&, const M::Params&, double,               \
                                                   const JumpMemory&, Population<M>&, const JumpDraws&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)
#undef TEMPERA_INSTANTIATE

}  // namespace tempera
