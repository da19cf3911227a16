#include "tempered.hpp"

namespace tempera::apps {

template <class M>
Chains<M> warm_chains(const ModelFile<M>& file, const typename M::Data& data, std::uint64_t n,
                      const StreamFactory& streams, const Workers& workers) {
  const std::vector<Index> order = epoch_order(data.n_cases(), streams, 0);
  return data_chains(file.model, file.theta, n, data, order, streams, Purpose::kSampling, workers);
}

template <class M>
TemperedPopulation<M> place_ladder(const ModelFile<M>& file, const LadderRequest& request,
                                   const typename M::Data& data, const StreamFactory& streams,
                                   const CommonOptions& common, const Workers& workers) {
  TemperedPopulation<M> population;
  population.n_warm = request.n_warm;
  TemperatureLadder& ladder = population.ladder;
  ladder = linear_ladder(request.rungs > 0 ? request.rungs : kFirstRungs, request.ensembles, 0);
  population.chains = reference_chains(file.model, ladder.n_chains(), streams, Purpose::kSampling, workers);
  if (request.n_warm > 0) {
    const Chains<M> warm = warm_chains(file, data, request.n_warm * ladder.n_rungs, streams, workers);
    for (std::uint64_t c = 0; c < warm.n_chains; ++c) {
      copy_chain(warm.blocks[c / kLanes], static_cast<Index>(c % kLanes),
                 population.chains.blocks[c / kLanes], static_cast<Index>(c % kLanes));
    }
  }
  ProgressLine line(common, "placing rungs");
  const RungLimits limits =
      request.rungs > 0 ? RungLimits{ladder.n_rungs, ladder.n_rungs} : RungLimits{2, kMostRungs};
  ladder = tune(std::move(ladder), limits, request.sweeps, file.model, file.theta, streams,
                Purpose::kSamplingSwaps, Purpose::kSampling, population.chains, population.workspace, workers,
                show_on(line));
  return population;
}

template <class M>
void temper(const ModelFile<M>& file, const LadderRequest& request, const StreamFactory& streams,
            TemperedPopulation<M>& population, const Workers& workers,
            std::vector<EnergyDifferences>* differences) {
  tempera::temper(file.model, file.theta, request.sweeps, streams, Purpose::kSamplingSwaps,
                  Purpose::kSampling, population.chains, population.ladder, population.workspace, workers,
                  differences);
}

std::vector<std::uint64_t> coldest_of(const TemperatureLadder& ladder) {
  std::vector<std::uint64_t> coldest(ladder.n_ensembles);
  for (std::uint64_t e = 0; e < ladder.n_ensembles; ++e) coldest[e] = ladder.coldest(e);
  return coldest;
}

#define TEMPERA_INSTANTIATE(M)                                                                             \
  template Chains<M> warm_chains(const ModelFile<M>&, const M::Data&, std::uint64_t, const StreamFactory&, \
                                 const Workers&);                                                          \
  template TemperedPopulation<M> place_ladder(const ModelFile<M>&, const LadderRequest&, const M::Data&,   \
                                              const StreamFactory&, const CommonOptions&, const Workers&); \
  template void temper(const ModelFile<M>&, const LadderRequest&, const StreamFactory&,                    \
                       TemperedPopulation<M>&, const Workers&, std::vector<EnergyDifferences>*);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera::apps
