#include <cstdio>
#include <tempera/mcmc/chains.hpp>
#include <tempera/models/bernoulli_rbm.hpp>

int main() {
  const tempera::BernoulliRbm model(6, 4);
  const auto theta = model.initial_params(tempera::StreamFactory{1}, 1.0);
  const tempera::Workers workers(2);
  auto chains = tempera::reference_chains(model, 64, {1}, tempera::Purpose::kSampling, workers);
  tempera::Workspace<tempera::BernoulliRbm> workspace;
  workspace.fit(model, 64, workers);
  tempera::advance(model, theta, 100, {1}, tempera::Purpose::kSampling, chains, workspace, workers);
  for (const auto word : chains.blocks[0].visible)
    std::printf("%016llx\n", static_cast<unsigned long long>(word));
}
