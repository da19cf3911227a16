#include "tempera/train/staged.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Spikes of the plain machine for each place of the table.
constexpr double kSpikesPerPlace = 1.6;
/// Noise added to its cases, in standard deviations of the data, and the first biases of its spikes.
constexpr double kNoise = 1.35;
constexpr double kSpikeBias = -1.0;
/// Filters with a larger cosine are one and the same, or parts of one.
constexpr double kLargestCosine = 0.6;
/// Random starts of the arrangement, and the least gain for which filters change places.
constexpr int kStarts = 50;
constexpr double kLeastGain = 1e-9;
/// Times that the bilinear machine is trained and its filters are placed anew, before training proper.
constexpr int kRounds = 2;
/// Cases that spikes are looked at on.
constexpr Index kCases = 5000;

template <class M>
struct PlainOf;
template <>
struct PlainOf<BilinearSpikeSlabRbm> {
  using Type = SpikeSlabRbm;
};
template <>
struct PlainOf<BinaryBilinearSpikeSlabRbm> {
  using Type = BinarySpikeSlabRbm;
};

/// Expected spikes of cases, one row each.
template <class P>
Eigen::MatrixXd expected_spikes(const P& model, const typename P::Params& theta, const typename P::Data& data,
                                const Workers& workers) {
  const Index n = std::min(kCases, data.n_cases());
  std::vector<typename P::State> blocks(static_cast<std::size_t>(words_for(n)), model.new_state());
  for (Index b = 0; b < words_for(n); ++b) {
    std::vector<Index> cases;
    for (Index c = b * kLanes; c < std::min(n, (b + 1) * kLanes); ++c) cases.push_back(c);
    model.load(data, cases, blocks[static_cast<std::size_t>(b)]);
  }
  Workspace<P> workspace;
  workspace.fit(model, static_cast<std::uint64_t>(n), workers);
  infer_cases(model, theta, 1, blocks, workspace, workers);
  Eigen::MatrixXd spikes(n, model.latents());
  for (Index b = 0; b < words_for(n); ++b) {
    const auto& work = workspace.works[static_cast<std::size_t>(b)];
    spikes.middleRows(b * kLanes, work.lanes) =
        work.units.leftCols(work.lanes).transpose().template cast<double>();
  }
  return spikes;
}

}  // namespace

std::vector<Index> arrange_filters(const Eigen::MatrixXd& correlation, Index n_blocks, Index n_g, Index n_h,
                                   const StreamFactory& streams, const Progress& progress) {
  const Index n = n_blocks * n_g * n_h;
  // Whether two places share a row or a column.
  Eigen::MatrixXd related = Eigen::MatrixXd::Zero(n, n);
  for (Index a = 0; a < n; ++a) {
    for (Index b = 0; b < n; ++b) {
      if (a == b || a / (n_g * n_h) != b / (n_g * n_h)) continue;
      if (a % (n_g * n_h) / n_h == b % (n_g * n_h) / n_h || a % n_h == b % n_h) related(a, b) = 1.0;
    }
  }
  const auto score_of = [&](const std::vector<Index>& filters) {
    double sum = 0.0;
    for (Index a = 0; a < n; ++a) {
      for (Index b = 0; b < a; ++b)
        sum += related(a, b) *
               correlation(filters[static_cast<std::size_t>(a)], filters[static_cast<std::size_t>(b)]);
    }
    return sum;
  };
  // What swapping the filters of two places adds to the score.
  const auto gain_of = [&](const std::vector<Index>& filters, Index a, Index b) {
    const Index first = filters[static_cast<std::size_t>(a)];
    const Index second = filters[static_cast<std::size_t>(b)];
    double sum = 0.0;
    for (Index c = 0; c < n; ++c) {
      if (c == a || c == b) continue;
      const Index other = filters[static_cast<std::size_t>(c)];
      sum += (related(a, c) - related(b, c)) * (correlation(second, other) - correlation(first, other));
    }
    return sum;
  };
  std::vector<Index> best;
  double best_score = -std::numeric_limits<double>::infinity();
  for (int start = 0; start < kStarts; ++start) {
    if (progress) progress(static_cast<double>(start) / kStarts);
    StreamEngine engine = streams.engine(Purpose::kParameters, 1, static_cast<std::uint32_t>(start));
    std::vector<Index> filters = permutation(n, engine);
    for (bool better = true; better;) {
      better = false;
      for (Index a = 0; a < n; ++a) {
        for (Index b = 0; b < a; ++b) {
          if (gain_of(filters, a, b) <= kLeastGain) continue;
          std::swap(filters[static_cast<std::size_t>(a)], filters[static_cast<std::size_t>(b)]);
          better = true;
        }
      }
    }
    const double score = score_of(filters);
    if (score > best_score) {
      best_score = score;
      best = filters;
    }
  }
  return best;
}

namespace {

/// Filters of a plain machine, the most telling and different ones first: by the variance of their spikes,
/// those that are nearly parallel to an earlier one last.
template <class P>
std::vector<Index> ranked_filters(const typename P::Params& theta, const Eigen::MatrixXd& covariance) {
  std::vector<Index> order(static_cast<std::size_t>(covariance.rows()));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](Index a, Index b) { return covariance(a, a) > covariance(b, b); });
  const auto cosine = [&](Index a, Index b) {
    const Vector x = theta.weights.col(a);
    const Vector y = theta.weights.col(b);
    return std::abs(x.dot(y)) / std::max(1e-12F, x.norm() * y.norm());
  };
  std::vector<Index> chosen;
  std::vector<Index> others;
  for (const Index i : order) {
    const bool is_new =
        std::all_of(chosen.begin(), chosen.end(), [&](Index j) { return cosine(i, j) <= kLargestCosine; });
    (is_new ? chosen : others).push_back(i);
  }
  chosen.insert(chosen.end(), others.begin(), others.end());
  return chosen;
}

/// The best filters of a plain machine in the places that the correlations of their spikes give them; biases
/// as at the start of training.
template <class M, class P>
typename M::Params placed(const M& model, const P& plain, const typename P::Params& found,
                          const typename M::Data& data, const TrainConfig& config, const Progress& progress,
                          const Workers& workers) {
  const auto& table = model.shape().latents;
  const Index places = table.n_blocks * table.n_g * table.n_h;
  const StreamFactory streams{static_cast<std::uint64_t>(config.seed)};
  const Eigen::MatrixXd spikes = expected_spikes(plain, found, data, workers);
  const Eigen::MatrixXd centred = spikes.rowwise() - spikes.colwise().mean();
  const Eigen::MatrixXd covariance = centred.transpose() * centred / static_cast<double>(spikes.rows());
  const std::vector<Index> order = ranked_filters<P>(found, covariance);
  Eigen::MatrixXd correlation(places, places);
  for (Index a = 0; a < places; ++a) {
    for (Index b = 0; b < places; ++b) {
      const Index i = order[static_cast<std::size_t>(a)];
      const Index j = order[static_cast<std::size_t>(b)];
      correlation(a, b) = covariance(i, j) / std::sqrt(std::max(1e-12, covariance(i, i) * covariance(j, j)));
    }
  }
  const std::vector<Index> filters =
      arrange_filters(correlation, table.n_blocks, table.n_g, table.n_h, streams, progress);
  typename M::Params theta = model.initial_params(streams, initial_values(config, model.n_visible()));
  theta.visible = found.visible;
  for (Index place = 0; place < places; ++place) {
    const Index filter = order[static_cast<std::size_t>(filters[static_cast<std::size_t>(place)])];
    theta.weights.col(place) = found.weights.col(filter);
    theta.latent.slab_mean.data()[place] = found.latent.slab_mean.data()[filter];
    theta.latent.slab_precision.data()[place] = found.latent.slab_precision.data()[filter];
  }
  return theta;
}

/// What training ends at, from given parameters or from where training begins.
template <class M>
typename M::Params train_stage(const M& model, const typename M::Data& data, const TrainConfig& config,
                               const typename M::Params* start, int stages_before, const Progress& progress,
                               const Workers& workers) {
  TrainState<M> state = initial_state(model, data, config, workers);
  if (start != nullptr) {
    state.theta = *start;
    if (config.average) state.average = *start;
  }
  train<M>(
      model, data, config, state,
      [&](const UpdateReport& report, TrainState<M>&) {
        const double part = static_cast<double>(report.update) / static_cast<double>(report.total);
        if (progress) progress((stages_before + part) / (1.0 + kRounds));
        return Control::kContinue;
      },
      workers);
  return state.result();
}

}  // namespace

template <class M>
typename M::Params staged_params(const M& model, const typename M::Data& data, const TrainConfig& config,
                                 const Progress& progress, const Workers& workers) {
  using Plain = typename PlainOf<M>::Type;
  const auto& table = model.shape().latents;
  const Index places = table.n_blocks * table.n_g * table.n_h;
  const auto n_spikes = static_cast<Index>(std::ceil(kSpikesPerPlace * static_cast<double>(places)));
  TrainConfig stage = config;
  stage.trainer = "sml";
  stage.track_log_z = "none";
  stage.filter_norm = "sphere";
  stage.freeze.clear();
  if constexpr (!Plain::kBinary) {
    const double variance = model.reference().visible_precision.template cast<double>().cwiseInverse().mean();
    stage.data_noise = std::max(stage.data_noise, kNoise * std::sqrt(variance));
  }
  TrainConfig first = stage;
  first.model = std::string(Plain::kKind);
  first.hidden = {n_spikes};
  first.blocks = 1;
  first.gate = false;
  first.init = "0.05";
  first.init_spike_bias = kSpikeBias;
  first.init_spike_precision = 0.0;
  first.init_slab_mean = 0.0;
  // Slabs that explain nearly all of a part's variance leave the three-block sweep at a crawl.
  first.gibbs = Plain::kBinary ? "three-block" : "two-block";

  const Plain plain({model.n_visible(), {n_spikes, 1}, !Plain::kBinary}, model.reference());
  typename Plain::Params filters = train_stage<Plain>(plain, data, first, nullptr, 0, progress, workers);
  // Placing takes no share of the bar; a signal stops it too.
  const auto placing = [&](int stages_done) -> Progress {
    return [&progress, stages_done](double) {
      return progress ? progress(stages_done / (1.0 + kRounds)) : Control::kContinue;
    };
  };
  typename M::Params theta = placed(model, plain, filters, data, config, placing(1), workers);

  // The bilinear machine finds filters that were missing; seen as spikes of their own, they are placed anew.
  const Plain alone({model.n_visible(), {places, 1}, !Plain::kBinary}, model.reference());
  for (int round = 0; round < kRounds; ++round) {
    const typename M::Params found = train_stage<M>(model, data, stage, &theta, 1 + round, progress, workers);
    filters = alone.zero_params();
    filters.weights = found.weights;
    filters.visible = found.visible;
    filters.latent.spike_bias.setConstant(static_cast<float>(kSpikeBias));
    filters.latent.slab_mean = Eigen::Map<const Vector>(found.latent.slab_mean.data(), places);
    filters.latent.slab_precision = Eigen::Map<const Vector>(found.latent.slab_precision.data(), places);
    theta = placed(model, alone, filters, data, config, placing(2 + round), workers);
  }
  return theta;
}

template BilinearSpikeSlabRbm::Params staged_params(const BilinearSpikeSlabRbm&, const RealData&,
                                                    const TrainConfig&, const Progress&, const Workers&);
template BinaryBilinearSpikeSlabRbm::Params staged_params(const BinaryBilinearSpikeSlabRbm&,
                                                          const BinaryData&, const TrainConfig&,
                                                          const Progress&, const Workers&);

}  // namespace tempera
