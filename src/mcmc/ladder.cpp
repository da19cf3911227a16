#include "tempera/mcmc/ladder.hpp"

#include <math.h>  // pchip.hpp of Boost 1.74 calls isnan without a namespace

#include <algorithm>
#include <boost/math/interpolators/pchip.hpp>
#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>
#include <numeric>

#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Least weight of the newest swap in the running mean of a rejection.
constexpr double kRejectionWeight = 0.01;
/// A pair that never rejects still gets some room.
constexpr double kLeastBarrier = 1e-6;

std::size_t at(std::uint64_t n) { return static_cast<std::size_t>(n); }

/// Weight of the newest labels in the flow: one over the return time of a replica, 2 M (1 + sum r / (1 - r))
/// rounds (docs/mathematics/tempering.md 2.7).
double flow_weight(const TemperatureLadder& ladder) {
  double sum = 1.0;
  for (const double r : ladder.rejections) sum += std::min(r, 0.99) / (1.0 - std::min(r, 0.99));
  return 1.0 / (2.0 * static_cast<double>(ladder.n_rungs) * sum);
}

/// Least-squares fit of a sequence that does not decrease (pool adjacent violators;
/// docs/mathematics/tempering.md 2.8).
std::vector<double> isotonic(const std::vector<double>& values) {
  struct Pool {
    double sum;
    double count;
  };
  std::vector<Pool> pools;
  for (const double x : values) {
    pools.push_back({x, 1.0});
    while (pools.size() > 1) {
      Pool& last = pools.back();
      Pool& before = pools[pools.size() - 2];
      if (before.sum * last.count <= last.sum * before.count) break;
      before.sum += last.sum;
      before.count += last.count;
      pools.pop_back();
    }
  }
  std::vector<double> fit;
  for (const Pool& pool : pools)
    fit.insert(fit.end(), static_cast<std::size_t>(pool.count), pool.sum / pool.count);
  return fit;
}

/// Whether replicas of both origins have been seen at every inner rung.
bool knows_flow(const TemperatureLadder& ladder) {
  for (std::size_t k = 1; k + 1 < at(ladder.n_rungs); ++k) {
    if (ladder.up[k] == 0.0 || ladder.down[k] == 0.0) return false;
  }
  return true;
}

/// A rung between k - 1 and k in every ensemble, its chains copies of those of rung k.
template <EnergyModel M>
void add_rung(TemperatureLadder& ladder, std::uint64_t k, const M& model, Chains<M>& chains) {
  TemperatureLadder wider = ladder;
  ++wider.n_rungs;
  wider.chains.clear();
  wider.origin.clear();
  for (std::uint64_t e = 0; e < ladder.n_ensembles; ++e) {
    const std::uint64_t added = chains.n_chains++;
    if (at(words_for(static_cast<Index>(chains.n_chains))) > chains.blocks.size())
      chains.blocks.push_back(model.new_state());
    copy_chain(chains, ladder.chains[at(e * ladder.n_rungs + k)], chains, added);
    for (std::uint64_t j = 0; j < ladder.n_rungs; ++j) {
      if (j == k) {
        wider.chains.push_back(added);
        wider.origin.push_back(ladder.origin[at(e * ladder.n_rungs + k)]);
      }
      wider.chains.push_back(ladder.chains[at(e * ladder.n_rungs + j)]);
      wider.origin.push_back(ladder.origin[at(e * ladder.n_rungs + j)]);
    }
  }
  const auto between = [k](std::vector<double>& values) {
    values.insert(values.begin() + static_cast<std::ptrdiff_t>(k), 0.5 * (values[at(k - 1)] + values[at(k)]));
  };
  between(wider.up);
  between(wider.down);
  ladder = std::move(wider);
}

/// Takes rung k out of every ensemble.
template <EnergyModel M>
void remove_rung(TemperatureLadder& ladder, std::uint64_t k, Chains<M>& chains) {
  std::vector<std::uint64_t> gone;
  for (std::uint64_t e = ladder.n_ensembles; e-- > 0;) {
    const auto place = static_cast<std::ptrdiff_t>(e * ladder.n_rungs + k);
    gone.push_back(ladder.chains[at(e * ladder.n_rungs + k)]);
    ladder.chains.erase(ladder.chains.begin() + place);
    ladder.origin.erase(ladder.origin.begin() + place);
  }
  std::sort(gone.begin(), gone.end());
  for (const Renumbered& chain : remove_chains(gone, chains)) {
    std::replace(ladder.chains.begin(), ladder.chains.end(), chain.from, chain.to);
    std::replace(ladder.free_chains.begin(), ladder.free_chains.end(), chain.from, chain.to);
  }
  --ladder.n_rungs;
  ladder.up.erase(ladder.up.begin() + static_cast<std::ptrdiff_t>(k));
  ladder.down.erase(ladder.down.begin() + static_cast<std::ptrdiff_t>(k));
}

}  // namespace

TemperatureLadder empty_ladder(std::uint64_t n_rungs, std::uint64_t n_ensembles, std::uint64_t n_free) {
  TemperatureLadder ladder;
  ladder.n_rungs = n_rungs;
  ladder.n_ensembles = n_ensembles;
  ladder.betas.assign(at(n_rungs), 0.0);
  ladder.rejections.assign(at(n_rungs - 1), 0.0);
  ladder.offers.assign(at(n_rungs - 1), 0.0);
  ladder.up.assign(at(n_rungs), 0.0);
  ladder.down.assign(at(n_rungs), 0.0);
  ladder.chains.assign(at(n_ensembles * n_rungs), 0);
  ladder.origin.assign(ladder.chains.size(), TemperatureLadder::kNone);
  ladder.free_chains.assign(at(n_free), 0);
  return ladder;
}

const char* ladder_fault(const TemperatureLadder& ladder) {
  const std::vector<double>& betas = ladder.betas;
  if (betas.front() != 0.0 || betas.back() != 1.0 ||
      std::adjacent_find(betas.begin(), betas.end(), std::greater_equal<>()) != betas.end())
    return "betas";
  std::vector<std::uint64_t> all = ladder.chains;
  all.insert(all.end(), ladder.free_chains.begin(), ladder.free_chains.end());
  std::sort(all.begin(), all.end());
  for (std::size_t c = 0; c < all.size(); ++c) {
    if (all[c] != c) return "chains";
  }
  const auto outside = [](const std::vector<double>& values, double most) {
    return std::any_of(values.begin(), values.end(), [most](double x) { return !(x >= 0.0 && x <= most); });
  };
  if (outside(ladder.rejections, 1.0)) return "rejections";
  if (outside(ladder.offers, 0x1p53)) return "offers";
  if (outside(ladder.up, 1.0) || outside(ladder.down, 1.0)) return "up";
  for (const std::uint64_t origin : ladder.origin) {
    if (origin > TemperatureLadder::kDown) return "origin";
  }
  return nullptr;
}

TemperatureLadder linear_ladder(std::uint64_t n_rungs, std::uint64_t n_ensembles, std::uint64_t n_free) {
  TemperatureLadder ladder = empty_ladder(n_rungs, n_ensembles, n_free);
  for (std::uint64_t k = 0; k < n_rungs; ++k)
    ladder.betas[at(k)] = static_cast<double>(k) / static_cast<double>(n_rungs - 1);
  std::iota(ladder.free_chains.begin(), ladder.free_chains.end(), std::uint64_t{0});
  std::iota(ladder.chains.begin(), ladder.chains.end(), n_free);
  return ladder;
}

double swap_probability(double own_i, double own_j, double i_in_place_of_j, double j_in_place_of_i) {
  const double log_ratio = (own_i - i_in_place_of_j) + (own_j - j_in_place_of_i);
  return std::isnan(log_ratio) ? 0.0 : std::exp(std::min(0.0, log_ratio));
}

void add_rejection(double rejected, double& offers, double& rejection) {
  offers += 1.0;
  rejection += std::max(kRejectionWeight, 1.0 / offers) * (rejected - rejection);
}

std::uint64_t count_round_trip(std::uint64_t rung, std::uint64_t n_rungs, std::uint64_t& origin) {
  if (rung + 1 == n_rungs) {
    const bool returned = origin == TemperatureLadder::kDown;
    origin = TemperatureLadder::kUp;
    return returned ? 1 : 0;
  }
  if (rung == 0 && origin == TemperatureLadder::kUp) origin = TemperatureLadder::kDown;
  return 0;
}

template <EnergyModel M>
void place(const TemperatureLadder& ladder, Population<M>& population) {
  PerChain<float>& betas = population.caches.betas;
  betas.fill(1.0F);
  for (std::size_t i = 0; i < ladder.chains.size(); ++i)
    betas[ladder.chains[i]] = static_cast<float>(ladder.betas[i % at(ladder.n_rungs)]);
}

namespace {

/// f(ensemble, colder rung's hotter neighbour k) for the pairs (k, k + 1) that meet in the next round.
template <class F>
void for_each_pair(const TemperatureLadder& ladder, F&& f) {
  for (std::uint64_t e = 0; e < ladder.n_ensembles; ++e) {
    for (std::uint64_t k = ladder.swaps % 2; k + 1 < ladder.n_rungs; k += 2) f(e, k);
  }
}

/// Free energies of the replicas that meet: at their own betas, and at those of their partners.
struct SwapEnergies {
  PerChain<double> own;
  PerChain<double> other;
  std::vector<char> concerned;  // of every block, whether any of its chains meets another
};

template <EnergyModel M>
SwapEnergies swap_energies(const Engine<M>& engine, const typename M::Params& theta,
                           const TemperatureLadder& ladder, const Population<M>& population) {
  const std::size_t n_blocks = population.chains.blocks.size();
  // Every replica of a pair is seen at the beta of its partner.
  PerChain<float> partner = population.caches.betas;
  SwapEnergies energies{PerChain<double>(n_blocks), PerChain<double>(n_blocks),
                        std::vector<char>(n_blocks, 0)};
  for_each_pair(ladder, [&](std::uint64_t e, std::uint64_t k) {
    const std::uint64_t hot = ladder.chains[at(e * ladder.n_rungs + k)];
    const std::uint64_t cold = ladder.chains[at(e * ladder.n_rungs + k + 1)];
    partner[hot] = static_cast<float>(ladder.betas[at(k + 1)]);
    partner[cold] = static_cast<float>(ladder.betas[at(k)]);
    energies.concerned[block_of(hot)] = energies.concerned[block_of(cold)] = 1;
  });
  engine.executor.for_each_owned(static_cast<Index>(n_blocks), [&](Index block) {
    const auto b = static_cast<std::size_t>(block);
    if (energies.concerned[b] == 0) return;
    engine.model.free_energy(theta, population.caches.betas.blocks[b], population.chains.blocks[b],
                             population.caches.blocks[b], energies.own.blocks[b]);
    engine.model.free_energy(theta, partner.blocks[b], population.chains.blocks[b],
                             population.caches.blocks[b], energies.other.blocks[b]);
  });
  engine.executor.share(energies.own.blocks, energies.other.blocks);
  return energies;
}

/// Labels of the pairs that meet change places, or not.
void exchange_labels(const SwapEnergies& energies, StreamFactory streams, Purpose purpose,
                     TemperatureLadder& ladder, std::vector<EnergyDifferences>* differences) {
  const auto& [own, other, concerned] = energies;
  std::vector<double> rejected(at(ladder.n_rungs - 1), 0.0);
  for (std::uint64_t e = 0; e < ladder.n_ensembles; ++e) {
    for (std::uint64_t k = ladder.swaps % 2; k + 1 < ladder.n_rungs; k += 2) {
      const std::size_t i = at(e * ladder.n_rungs + k);
      const std::uint64_t hot = ladder.chains[i];
      const std::uint64_t cold = ladder.chains[i + 1];
      const double probability = swap_probability(own[hot], own[cold], other[hot], other[cold]);
      rejected[at(k)] += 1.0 - probability;
      if (differences != nullptr) {
        (*differences)[at(k)].forward.push_back(own[hot] - other[hot]);
        (*differences)[at(k)].reverse.push_back(own[cold] - other[cold]);
      }
      StreamEngine random =
          streams.engine(purpose, ladder.swaps, static_cast<std::uint32_t>(e * kMaxRungs + k));
      if (uniform_53(random) < probability) {
        std::swap(ladder.chains[i], ladder.chains[i + 1]);
        std::swap(ladder.origin[i], ladder.origin[i + 1]);
      }
    }
  }
  const auto ensembles = static_cast<double>(ladder.n_ensembles);
  for (std::uint64_t k = ladder.swaps % 2; k + 1 < ladder.n_rungs; k += 2)
    add_rejection(rejected[at(k)] / ensembles, ladder.offers[at(k)], ladder.rejections[at(k)]);
}

/// Round trips, and the running means of the origins at every rung.
void count_flow(TemperatureLadder& ladder) {
  const double weight = flow_weight(ladder);
  const auto ensembles = static_cast<double>(ladder.n_ensembles);
  for (std::uint64_t k = 0; k < ladder.n_rungs; ++k) {
    double up = 0.0;
    double down = 0.0;
    for (std::uint64_t e = 0; e < ladder.n_ensembles; ++e) {
      std::uint64_t& origin = ladder.origin[at(e * ladder.n_rungs + k)];
      ladder.round_trips += count_round_trip(k, ladder.n_rungs, origin);
      up += origin == TemperatureLadder::kUp ? 1.0 : 0.0;
      down += origin == TemperatureLadder::kDown ? 1.0 : 0.0;
    }
    ladder.up[at(k)] += weight * (up / ensembles - ladder.up[at(k)]);
    ladder.down[at(k)] += weight * (down / ensembles - ladder.down[at(k)]);
  }
}

}  // namespace

template <EnergyModel M>
void swap_rungs(const Engine<M>& engine, const typename M::Params& theta, Draws draws,
                TemperatureLadder& ladder, Population<M>& population,
                std::vector<EnergyDifferences>* differences) {
  const SwapEnergies energies = swap_energies(engine, theta, ladder, population);
  exchange_labels(energies, engine.streams, draws.swaps, ladder, differences);
  count_flow(ladder);
  ++ladder.swaps;
  ++ladder.rounds_counted;
  place(ladder, population);
  // A sweep and the draw of latents have sites of their own in one step.
  const LaneStream stream = engine.streams.lanes(draws.sweeps, population.chains.sweeps - 1);
  engine.executor.for_each_owned(static_cast<Index>(population.chains.blocks.size()), [&](Index block) {
    const auto b = static_cast<std::size_t>(block);
    if (energies.concerned[b] != 0)
      engine.model.sample_latents(theta, population.caches.betas.blocks[b], population.chains.blocks[b],
                                  population.caches.blocks[b], stream.block(block));
  });
}

void exchange_with_free_chains(const StreamFactory& streams, TemperatureLadder& ladder) {
  StreamEngine random = streams.engine(Purpose::kExchange, ladder.swaps);
  std::size_t left = ladder.free_chains.size();
  for (std::uint64_t e = 0; e < ladder.n_ensembles && left > 0; ++e, --left) {
    const boost::random::uniform_int_distribution<std::size_t> below(0, left - 1);
    const std::size_t i = below(random);
    std::swap(ladder.free_chains[i], ladder.chains[at((e + 1) * ladder.n_rungs - 1)]);
    std::swap(ladder.free_chains[i], ladder.free_chains[left - 1]);
  }
}

std::vector<double> cumulative_barrier(std::span<const double> rejections) {
  std::vector<double> barrier = {0.0};
  for (const double r : rejections) barrier.push_back(barrier.back() + r);
  return barrier;
}

double mean_rejection(std::span<const double> rejections) {
  return cumulative_barrier(rejections).back() / static_cast<double>(rejections.size());
}

double round_trip_rate(const TemperatureLadder& ladder) {
  const double rounds = static_cast<double>(ladder.rounds_counted) * static_cast<double>(ladder.n_ensembles);
  return rounds > 0 ? static_cast<double>(ladder.round_trips) / rounds : 0.0;
}

double optimal_round_trip_rate(std::span<const double> rejections) {
  return 1.0 / (2.0 + 2.0 * cumulative_barrier(rejections).back());
}

std::vector<double> flow(const TemperatureLadder& ladder) {
  std::vector<double> f(at(ladder.n_rungs), 0.0);
  f.back() = 1.0;
  for (std::size_t k = 1; k + 1 < f.size(); ++k) {
    const double seen = ladder.up[k] + ladder.down[k];
    f[k] = seen > 0 ? ladder.up[k] / seen : 0.5;
  }
  return f;
}

std::vector<double> equal_rejection_betas(const TemperatureLadder& ladder, std::uint64_t n) {
  std::vector<double> barrier = {0.0};
  for (const double r : ladder.rejections) barrier.push_back(barrier.back() + std::max(r, kLeastBarrier));
  const std::vector<double>& old = ladder.betas;
  std::vector<double> betas(at(n));
  const auto fill = [&](auto&& beta_of) {
    for (std::size_t k = 0; k < betas.size(); ++k)
      betas[k] = beta_of(barrier.back() * static_cast<double>(k) / static_cast<double>(n - 1));
  };
  if (old.size() >= 4) {
    std::vector<double> abscissas = barrier;
    std::vector<double> ordinates = old;
    const boost::math::interpolators::pchip curve(std::move(abscissas), std::move(ordinates));
    fill([&](double x) { return curve(std::min(x, barrier.back())); });
  } else {
    fill([&](double x) {
      std::size_t k = 1;
      while (k + 1 < barrier.size() && barrier[k] < x) ++k;
      return old[k - 1] + (old[k] - old[k - 1]) * (x - barrier[k - 1]) / (barrier[k] - barrier[k - 1]);
    });
  }
  betas.front() = 0.0;
  betas.back() = 1.0;
  return betas;
}

template <EnergyModel M>
TemperatureLadder adapt(TemperatureLadder ladder, RungLimits limits, const M& model, Chains<M>& chains,
                        RungChange* change) {
  const double total = cumulative_barrier(ladder.rejections).back();
  const auto wanted = static_cast<std::uint64_t>(std::ceil(2.0 * total)) + 1;
  const std::uint64_t target = std::clamp(wanted, limits.least, limits.most);
  const std::uint64_t n = target > ladder.n_rungs   ? ladder.n_rungs + 1
                          : target < ladder.n_rungs ? ladder.n_rungs - 1
                                                    : ladder.n_rungs;
  const std::vector<double> betas = equal_rejection_betas(ladder, n);
  const std::vector<double>& r = ladder.rejections;
  if (n > ladder.n_rungs) {
    const auto widest = static_cast<std::uint64_t>(std::max_element(r.begin(), r.end()) - r.begin());
    if (change != nullptr) *change = {1, widest + 1};
    add_rung(ladder, widest + 1, model, chains);
  } else if (n < ladder.n_rungs) {
    std::size_t narrowest = 1;
    for (std::size_t k = 2; k + 1 < at(ladder.n_rungs); ++k) {
      if (r[k - 1] + r[k] < r[narrowest - 1] + r[narrowest]) narrowest = k;
    }
    if (change != nullptr) *change = {-1, narrowest};
    remove_rung(ladder, narrowest, chains);
  }
  ladder.betas = betas;
  // Where the rungs are now, every pair should reject alike; the running means go on from there.
  const double offers = *std::min_element(ladder.offers.begin(), ladder.offers.end());
  ladder.rejections.assign(at(n - 1), std::min(1.0, total / static_cast<double>(n - 1)));
  ladder.offers.assign(at(n - 1), std::min(offers, 1.0 / kRejectionWeight));
  ladder.last_adapted = ladder.swaps;
  return ladder;
}

TemperatureLadder feedback(TemperatureLadder ladder, double rate) {
  if (!knows_flow(ladder)) return ladder;
  const std::vector<double> f = isotonic(flow(ladder));
  std::vector<double> betas = ladder.betas;
  for (std::size_t k = 1; k + 1 < f.size(); ++k) {
    const double goal = static_cast<double>(k) / static_cast<double>(f.size() - 1);
    const auto j = static_cast<std::size_t>(std::lower_bound(f.begin(), f.end(), goal) - f.begin());
    if (f[j] == goal && j + 1 < f.size() && f[j + 1] == goal) continue;
    const double wanted =
        ladder.betas[j - 1] + (ladder.betas[j] - ladder.betas[j - 1]) * (goal - f[j - 1]) / (f[j] - f[j - 1]);
    betas[k] += rate * (wanted - ladder.betas[k]);
  }
  std::sort(betas.begin(), betas.end());
  const bool apart = std::adjacent_find(betas.begin(), betas.end(), std::greater_equal<>()) == betas.end();
  if (apart) ladder.betas = std::move(betas);
  return ladder;
}

template <EnergyModel M>
TemperatureLadder spawn(TemperatureLadder ladder, const M& model, Chains<M>& chains) {
  // Without replicas of both origins everywhere there is no flow yet, and the pair that rejects most tells.
  const std::vector<double> f =
      knows_flow(ladder) ? isotonic(flow(ladder)) : cumulative_barrier(ladder.rejections);
  std::size_t widest = 1;
  for (std::size_t k = 2; k < f.size(); ++k) {
    if (f[k] - f[k - 1] > f[widest] - f[widest - 1]) widest = k;
  }
  const double beta = 0.5 * (ladder.betas[widest - 1] + ladder.betas[widest]);
  add_rung(ladder, widest, model, chains);
  const auto place = static_cast<std::ptrdiff_t>(widest);
  ladder.betas.insert(ladder.betas.begin() + place, beta);
  // The step is halved; so is the rejection of either half, until swaps tell.
  const double half = 0.5 * ladder.rejections[widest - 1];
  ladder.rejections[widest - 1] = half;
  ladder.rejections.insert(ladder.rejections.begin() + place, half);
  ladder.offers.insert(ladder.offers.begin() + place, ladder.offers[widest - 1]);
  ladder.last_adapted = ladder.swaps;
  return ladder;
}

template <EnergyModel M>
void temper(const Engine<M>& engine, const typename M::Params& theta, const Round& round,
            TemperatureLadder& ladder, Population<M>& population,
            std::vector<EnergyDifferences>* differences) {
  advance(engine, theta, round.sweeps, round.draws.sweeps, population);
  swap_rungs(engine, theta, round.draws, ladder, population, differences);
}

template <EnergyModel M>
Eigen::MatrixXd rung_energies(const Engine<M>& engine, const typename M::Params& theta,
                              const TemperatureLadder& ladder, const Population<M>& population) {
  const std::size_t n_blocks = population.chains.blocks.size();
  Eigen::MatrixXd energies(static_cast<Index>(ladder.chains.size()), static_cast<Index>(ladder.n_rungs));
  std::vector<PerChain<double>> values(at(ladder.n_rungs), PerChain<double>(n_blocks));
  engine.executor.for_each_owned(static_cast<Index>(n_blocks), [&](Index block) {
    const auto b = static_cast<std::size_t>(block);
    for (std::size_t k = 0; k < values.size(); ++k) {
      engine.model.free_energy(theta, constant_beta(static_cast<float>(ladder.betas[k])),
                               population.chains.blocks[b], population.caches.blocks[b], values[k].blocks[b]);
    }
  });
  for (PerChain<double>& of_rung : values) engine.executor.share(of_rung.blocks);
  for (Index n = 0; n < energies.rows(); ++n) {
    for (Index k = 0; k < energies.cols(); ++k)
      energies(n, k) = values[static_cast<std::size_t>(k)][ladder.chains[static_cast<std::size_t>(n)]];
  }
  return energies;
}

template <EnergyModel M>
void tune(const Engine<M>& engine, const typename M::Params& theta, const Round& round, RungLimits limits,
          TemperatureLadder& ladder, Population<M>& population, const Progress& progress) {
  constexpr std::uint64_t kShort = 50;  // rounds between changes of the number of rungs
  constexpr std::uint64_t kMostShort = 200;
  constexpr std::uint64_t kSettled = 4;  // placements without a change of it
  constexpr std::uint64_t kLong = 800;   // the last rounds
  const auto rounds = [&](std::uint64_t n) {
    reset_statistics(ladder);
    for (std::uint64_t t = 0; t < n; ++t) temper(engine, theta, round, ladder, population);
  };
  const auto stops = [&](double fraction) { return progress && progress(fraction) == Control::kStop; };
  population.fit(engine);
  place(ladder, population);
  std::uint64_t settled = 0;
  for (std::uint64_t n = 0; n < kMostShort && settled < kSettled; ++n) {
    rounds(kShort);
    const std::uint64_t before = ladder.n_rungs;
    gather(engine.executor, population.chains);
    ladder = adapt(std::move(ladder), limits, engine.model, population.chains);
    settled = ladder.n_rungs == before ? settled + 1 : 0;
    population.fit(engine);
    place(ladder, population);
    if (stops(0.5 * static_cast<double>(n) / static_cast<double>(kMostShort))) return;
  }
  for (std::uint64_t n = 2 * kShort; n <= kLong; n *= 2) {
    rounds(n);
    ladder.betas = equal_rejection_betas(ladder, ladder.n_rungs);
    place(ladder, population);
    if (stops(0.5 + 0.5 * static_cast<double>(n) / static_cast<double>(kLong))) return;
  }
  reset_statistics(ladder);
}

void reset_statistics(TemperatureLadder& ladder) {
  ladder.rounds_counted = 0;
  ladder.round_trips = 0;
  std::fill(ladder.offers.begin(), ladder.offers.end(), 0.0);
  std::fill(ladder.rejections.begin(), ladder.rejections.end(), 0.0);
  std::fill(ladder.up.begin(), ladder.up.end(), 0.0);
  std::fill(ladder.down.begin(), ladder.down.end(), 0.0);
}

#define TEMPERA_INSTANTIATE(M)                                                                               \
  template void place(const TemperatureLadder&, Population<M>&);                                             \
  template void swap_rungs(const Engine<M>&, const M::Params&, Draws, TemperatureLadder&, Population<M>&,    \
                           std::vector<EnergyDifferences>*);                                                 \
  template Eigen::MatrixXd rung_energies(const Engine<M>&, const M::Params&, const TemperatureLadder&,       \
                                         const Population<M>&);                                              \
  template TemperatureLadder spawn(TemperatureLadder, const M&, Chains<M>&);                                 \
  template void temper(const Engine<M>&, const M::Params&, const Round&, TemperatureLadder&, Population<M>&, \
                       std::vector<EnergyDifferences>*);                                                     \
  template void tune(const Engine<M>&, const M::Params&, const Round&, RungLimits, TemperatureLadder&,       \
                     Population<M>&, const Progress&);                                                       \
  template TemperatureLadder adapt(TemperatureLadder, RungLimits, const M&, Chains<M>&, RungChange*);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
