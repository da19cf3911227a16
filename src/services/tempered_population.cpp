#include "tempera/services/tempered_population.hpp"

#include "tempera/core/permutation.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {

std::vector<Index> warm_cases(const StreamFactory& streams, Index n_cases) {
  return permutation(n_cases, streams.engine(Purpose::kShuffle, 0));
}

template <EnergyModel M>
Chains<M> warm_chains(const Engine<M>& engine, const typename M::Params& theta, const typename M::Data& data,
                      std::uint64_t n) {
  return data_chains(engine, theta, n, data, warm_cases(engine.streams, data.n_cases()), Purpose::kSampling);
}

template <EnergyModel M>
TemperedPopulation<M> place_ladder(const Engine<M>& engine, const typename M::Params& theta,
                                   const LadderRequest& request, const typename M::Data& data,
                                   Listener& listener) {
  TemperedPopulation<M> replicas;
  replicas.n_warm = request.n_warm;
  replicas.round = {request.sweeps, {Purpose::kSampling, Purpose::kSamplingSwaps}};
  TemperatureLadder& ladder = replicas.ladder;
  Chains<M>& chains = replicas.population.chains;
  const std::uint64_t rungs = request.rungs ? static_cast<std::uint64_t>(*request.rungs) : kFirstRungs;
  ladder = linear_ladder(rungs, request.ensembles, 0);
  chains = reference_chains(engine, ladder.n_chains(), Purpose::kSampling);
  if (request.n_warm > 0) {
    const Chains<M> warm = warm_chains(engine, theta, data, request.n_warm * ladder.n_rungs);
    for (std::uint64_t c = 0; c < warm.n_chains; ++c) copy_chain(warm, c, chains, c);
  }
  if (request.n_modes > 0) {
    const std::uint64_t first = request.n_warm * ladder.n_rungs;
    const Chains<M> at_modes = mode_chains(engine, theta, request.modes, request.n_modes * ladder.n_rungs);
    for (std::uint64_t c = 0; c < at_modes.n_chains; ++c) copy_chain(at_modes, c, chains, first + c);
  }
  const RungLimits limits = request.rungs ? RungLimits{rungs, rungs} : RungLimits{2, kMostRungs};
  tune(engine, theta, replicas.round, limits, ladder, replicas.population, stage(listener, "placing rungs"));
  return replicas;
}

std::vector<std::uint64_t> coldest_of(const TemperatureLadder& ladder) {
  std::vector<std::uint64_t> coldest(ladder.n_ensembles);
  for (std::uint64_t e = 0; e < ladder.n_ensembles; ++e) coldest[e] = ladder.coldest(e);
  return coldest;
}

#define TEMPERA_INSTANTIATE(M)                                                                          \
  template Chains<M> warm_chains(const Engine<M>&, const M::Params&, const M::Data&, std::uint64_t);    \
  template TemperedPopulation<M> place_ladder(const Engine<M>&, const M::Params&, const LadderRequest&, \
                                              const M::Data&, Listener&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
