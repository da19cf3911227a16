#include "tempera/mcmc/mode_search.hpp"

#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>
#include <numeric>
#include <queue>
#include <set>

#include "tempera/core/math.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// A flip that gains less than this, in nats, may be rounding.
constexpr double kLeastGain = 1e-9;
/// States that are kept at most while their weights are summed.
constexpr std::size_t kMostStates = std::size_t{1} << 20;
/// Modes at which mean fields start.
constexpr std::size_t kMeanFields = 16;

/// Units in random order.
std::vector<Index> random_order(Index units, StreamEngine& random) {
  std::vector<Index> order(static_cast<std::size_t>(units));
  std::iota(order.begin(), order.end(), Index{0});
  for (Index i = units - 1; i > 0; --i)
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(boost::random::uniform_int_distribution<Index>(0, i)(random))]);
  return order;
}

/// Every unit on with the same probability, itself uniform.
PackedState random_state(Index units, StreamEngine& random) {
  PackedState state(static_cast<std::size_t>(words_for(units)), Word{0});
  const double density = uniform_53(random);
  for (Index i = 0; i < units; ++i) {
    if (uniform_53(random) < density) flip_bit(state, i);
  }
  return state;
}

struct Ascent {
  Mode mode;
  double evaluations = 0.0;
};

/// Flips of single units that raise the weight, until none does or the evaluations are spent.
void climb(CollapsedMachine& machine, const std::vector<Index>& order, double most_evaluations,
           double& weight, double& evaluations) {
  std::size_t refused = 0;
  for (std::size_t k = 0; refused < order.size() && evaluations < most_evaluations;
       k = (k + 1) % order.size()) {
    const double flipped = machine.flipped(order[k]);
    evaluations += 1.0;
    if (flipped > weight + kLeastGain) {
      machine.flip(order[k]);
      weight = flipped;
      refused = 0;
    } else {
      ++refused;
    }
  }
}

/// Flips the first pair of units that raises the weight together; false where none does.
bool flip_pair(CollapsedMachine& machine, const std::vector<Index>& order, double& weight,
               double& evaluations) {
  for (std::size_t a = 0; a < order.size(); ++a) {
    machine.flip(order[a]);
    for (std::size_t b = a + 1; b < order.size(); ++b) {
      const double flipped = machine.flipped(order[b]);
      evaluations += 1.0;
      if (flipped > weight + kLeastGain) {
        machine.flip(order[b]);
        weight = flipped;
        return true;
      }
    }
    machine.flip(order[a]);
  }
  return false;
}

/// Flips of single units, and of pairs where the evaluations that are left allow to try all of them, that
/// raise the weight, until none does.
Ascent ascend(CollapsedMachine& machine, const std::vector<Index>& order, double most_evaluations) {
  Ascent ascent;
  double weight = machine.log_weight();
  const auto units = static_cast<double>(order.size());
  const double pairs = 0.5 * units * (units - 1.0);
  do climb(machine, order, most_evaluations, weight, ascent.evaluations);
  while (ascent.evaluations + pairs <= most_evaluations &&
         flip_pair(machine, order, weight, ascent.evaluations));
  // Without the rounding of the flips that led there.
  const PackedState found = machine.state();
  machine.set(found);
  ascent.mode = {found, machine.log_weight()};
  return ascent;
}

/// log of the summed weights of distinct states: of the modes, and of the neighbours of the heaviest states,
/// again and again.
double sum_around(CollapsedMachine& machine, std::span<const Mode> modes, double operations) {
  LogSumExp sum;
  std::set<PackedState> seen;
  const auto lighter = [](const Mode& a, const Mode& b) {
    return a.log_weight < b.log_weight || (a.log_weight == b.log_weight && a.state > b.state);
  };
  std::priority_queue<Mode, std::vector<Mode>, decltype(lighter)> waiting(lighter);
  const auto add = [&](PackedState state, double log_weight) {
    if (!seen.insert(state).second) return;
    sum.add(log_weight);
    waiting.push({std::move(state), log_weight});
  };
  for (const Mode& mode : modes) add(mode.state, mode.log_weight);
  const double each = static_cast<double>(machine.units()) * machine.cost();
  for (double spent = each; spent <= operations && !waiting.empty() && seen.size() < kMostStates;
       spent += each) {
    const PackedState centre = waiting.top().state;
    waiting.pop();
    machine.set(centre);
    for (Index i = 0; i < machine.units(); ++i) {
      PackedState state = centre;
      flip_bit(state, i);
      add(std::move(state), machine.flipped(i));
    }
  }
  return sum.value();
}

}  // namespace

ModeSearch search_modes(const CollapsedFactory& machine, const StreamFactory& streams,
                        const Executor& executor, std::span<const PackedState> starts,
                        const ModeSearchOptions& options, const Progress& progress) {
  ModeSearch found;
  std::vector<std::unique_ptr<CollapsedMachine>> machines;
  for (int t = 0; t < executor.threads(); ++t) machines.push_back(machine());
  const Index units = machines.front()->units();
  const double cost = machines.front()->cost();
  const double each = std::max(2.0 * static_cast<double>(units),
                               options.operations / cost / static_cast<double>(options.round));
  const auto given = static_cast<Index>(starts.size());
  std::set<PackedState> known;
  double spent = 0.0;
  bool news = true;
  const auto goes_on = [&] {
    if (found.starts == 0) return units > 0;
    return (news || found.starts < given) && spent < options.operations && found.starts < options.most_starts;
  };
  while (goes_on()) {
    std::vector<Ascent> ascents(static_cast<std::size_t>(options.round));
    executor.for_each(options.round, [&](Index k, std::size_t slot) {
      const Index start = found.starts + k;
      StreamEngine random =
          streams.engine(Purpose::kModeSearch, options.step, static_cast<std::uint32_t>(start));
      CollapsedMachine& own = *machines[slot];
      own.set(start < given ? starts[static_cast<std::size_t>(start)] : random_state(units, random));
      ascents[static_cast<std::size_t>(k)] = ascend(own, random_order(units, random), each);
    });
    news = false;
    for (Ascent& ascent : ascents) {
      spent += ascent.evaluations * cost;
      if (ascent.mode.log_weight == std::numeric_limits<double>::infinity()) {
        found.improper = true;
        found.modes.clear();
        return found;
      }
      if (!known.insert(ascent.mode.state).second) continue;
      found.modes.push_back(std::move(ascent.mode));
      news = true;
    }
    found.starts += options.round;
    if (progress) progress(std::min(1.0, spent / options.operations));
  }
  std::stable_sort(found.modes.begin(), found.modes.end(),
                   [](const Mode& a, const Mode& b) { return a.log_weight > b.log_weight; });
  return found;
}

LowerBounds lower_bounds(CollapsedMachine& machine, std::span<const Mode> modes, double operations) {
  LowerBounds bounds;
  bounds.states = sum_around(machine, modes, operations / 2);
  const std::size_t n = std::min(kMeanFields, modes.size());
  for (std::size_t k = 0; k < n; ++k) {
    machine.set(modes[k].state);
    if (const auto bound = machine.mean_field_bound(operations / 2 / static_cast<double>(n)))
      bounds.mean_field = std::max(bounds.mean_field, *bound);
  }
  return bounds;
}

double log_weight_of(CollapsedMachine& machine, std::span<const PackedState> distinct) {
  LogSumExp sum;
  for (const PackedState& state : distinct) {
    machine.set(state);
    sum.add(machine.log_weight());
  }
  return sum.value();
}

PackedRows rows_of(std::span<const PackedState> states, Index units) {
  PackedRows rows(static_cast<Index>(states.size()), words_for(units));
  for (std::size_t k = 0; k < states.size(); ++k)
    std::copy(states[k].begin(), states[k].end(), rows.row(static_cast<Index>(k)).begin());
  return rows;
}

std::vector<PackedState> states_of(const PackedRows& rows) {
  std::vector<PackedState> states;
  for (Index k = 0; k < rows.rows(); ++k) states.emplace_back(rows.row(k).begin(), rows.row(k).end());
  return states;
}

std::vector<Index> spread_cases(Index n_cases, Index most, std::uint64_t shift) {
  const Index n = std::min(most, n_cases);
  std::vector<Index> which;
  for (Index k = 0; k < n; ++k)
    which.push_back((k * n_cases / n + static_cast<Index>(shift % static_cast<std::uint64_t>(n_cases))) %
                    n_cases);
  return which;
}

template <EnergyModel M>
std::vector<PackedState> states_of_cases(const Engine<M>& shared, const typename M::Params& theta,
                                         const typename M::Data& data, std::span<const Index> which,
                                         Index sweeps) {
  if (which.empty()) return {};
  const Engine<M> engine = alone(shared);
  Population<M> cases;
  load_cases(engine, data, which, cases.chains);
  cases.fit(engine);
  infer_cases(engine, theta, sweeps, cases.chains.blocks, cases.caches);
  const std::vector<Index> layers = engine.model.collapsed_layers();
  const std::vector<Index> sizes = engine.model.layer_sizes();
  const Index units = collapsed_units(engine.model);
  std::vector<PackedState> states(which.size(),
                                  PackedState(static_cast<std::size_t>(words_for(units)), Word{0}));
  LaneMatrix values;
  for (std::size_t b = 0; b < cases.chains.blocks.size(); ++b) {
    Index first = 0;
    for (const Index layer : layers) {
      const Index size = sizes[static_cast<std::size_t>(layer)];
      values.resize(size, kLanes);
      engine.model.layer_values(layer, cases.chains.blocks[b], cases.caches.blocks[b], values);
      for (Index c = 0; c < cases.caches.blocks[b].lanes; ++c) {
        PackedState& state = states[b * kLanes + static_cast<std::size_t>(c)];
        for (Index i = 0; i < size; ++i) {
          if (std::abs(values(i, c)) > 0.5F) flip_bit(state, first + i);
        }
      }
      first += size;
    }
  }
  return states;
}

#define TEMPERA_INSTANTIATE(M)                                                                          \
  template std::vector<PackedState> states_of_cases(const Engine<M>&, const M::Params&, const M::Data&, \
                                                    std::span<const Index>, Index);
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
