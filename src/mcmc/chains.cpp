#include "tempera/mcmc/chains.hpp"

#include "tempera/models/bernoulli_rbm.hpp"

namespace tempera {

LaneFloats lane_weights(std::uint64_t n_chains, Index block, float value) {
  LaneFloats weights{};
  const std::uint64_t first = static_cast<std::uint64_t>(block * kLanes);
  for (std::size_t c = 0; c < weights.size(); ++c) weights[c] = first + c < n_chains ? value : 0.0F;
  return weights;
}

LaneFloats constant_beta(float beta) {
  LaneFloats result;
  result.fill(beta);
  return result;
}

namespace {

template <EnergyModel M, class Start>
Chains<M> start_chains(std::uint64_t n, const StreamFactory& streams, Purpose purpose, const Workers& workers,
                       Start&& start) {
  Chains<M> chains;
  chains.n_chains = n;
  chains.blocks.resize(static_cast<std::size_t>(words_for(static_cast<Index>(n))));
  workers.for_each(static_cast<Index>(chains.blocks.size()), [&](Index b) {
    typename M::Work work;
    start(b, chains.blocks[static_cast<std::size_t>(b)], work,
          streams.lanes(purpose, 0, static_cast<std::uint32_t>(b * kLanes)));
  });
  chains.sweeps = 1;
  return chains;
}

}  // namespace

template <HasReference M>
Chains<M> reference_chains(const M& model, const typename M::Params& theta, std::uint64_t n,
                           const StreamFactory& streams, Purpose purpose, const Workers& workers) {
  return start_chains<M>(n, streams, purpose, workers,
                         [&](Index, typename M::State& x, typename M::Work& work, const LaneStream& stream) {
                           model.sample_reference(theta, x, work, stream);
                         });
}

template <EnergyModel M>
Chains<M> data_chains(const M& model, const typename M::Params& theta, std::uint64_t n,
                      const BinaryData& data, std::span<const Index> cases, const StreamFactory& streams,
                      Purpose purpose, const Workers& workers) {
  return start_chains<M>(
      n, streams, purpose, workers,
      [&](Index b, typename M::State& x, typename M::Work& work, const LaneStream& stream) {
        std::vector<Index> lanes;
        for (Index c = b * kLanes; c < (b + 1) * kLanes; ++c) {
          lanes.push_back(cases[static_cast<std::size_t>(c) % cases.size()]);
        }
        model.load(data, lanes, x);
        model.infer(theta, x, work);
        model.sample_latents(theta, constant_beta(1.0F), x, work, stream);
      });
}

template <EnergyModel M>
void advance(const M& model, const typename M::Params& theta, std::uint64_t sweeps,
             const StreamFactory& streams, Purpose purpose, Chains<M>& chains, Works<M>& works,
             const Workers& workers) {
  works.resize(chains.blocks.size());
  const LaneFloats beta = constant_beta(1.0F);
  workers.for_each(static_cast<Index>(chains.blocks.size()), [&](Index b) {
    const auto i = static_cast<std::size_t>(b);
    for (std::uint64_t k = 0; k < sweeps; ++k) {
      model.sweep(theta, beta, chains.blocks[i], works[i],
                  streams.lanes(purpose, chains.sweeps + k, static_cast<std::uint32_t>(b * kLanes)));
    }
  });
  chains.sweeps += sweeps;
}

template Chains<BernoulliRbm> reference_chains(const BernoulliRbm&, const BernoulliRbm::Params&,
                                               std::uint64_t, const StreamFactory&, Purpose, const Workers&);
template Chains<BernoulliRbm> data_chains(const BernoulliRbm&, const BernoulliRbm::Params&, std::uint64_t,
                                          const BinaryData&, std::span<const Index>, const StreamFactory&,
                                          Purpose, const Workers&);
template void advance(const BernoulliRbm&, const BernoulliRbm::Params&, std::uint64_t, const StreamFactory&,
                      Purpose, Chains<BernoulliRbm>&, Works<BernoulliRbm>&, const Workers&);

}  // namespace tempera
