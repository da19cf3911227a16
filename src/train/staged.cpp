#include "tempera/train/staged.hpp"

#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
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
/// Angles of a quarter turn that a pair of filters is tried at, halvings that refine the best, sweeps over
/// all pairs, and the gain of a sweep, relative to all, that is worth another.
constexpr int kAngles = 16;
constexpr int kRefinements = 8;
constexpr int kSweeps = 50;
constexpr double kLeastSweepGain = 1e-6;
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

/// What inference finds of cases, one row each: `of(work)` has a row for each unit or filter.
template <class P, class Of>
Eigen::MatrixXd inferred(const P& model, const typename P::Params& theta, const typename P::Data& data,
                         const Of& of, const Workers& workers) {
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
  Eigen::MatrixXd found(n, of(workspace.works.front()).rows());
  for (Index b = 0; b < words_for(n); ++b) {
    const auto& work = workspace.works[static_cast<std::size_t>(b)];
    found.middleRows(b * kLanes, work.lanes) =
        of(work).leftCols(work.lanes).transpose().template cast<double>();
  }
  return found;
}

}  // namespace

Eigen::MatrixXd sparsest_rotation(Eigen::MatrixXd responses, const Progress& progress) {
  const Index n = responses.cols();
  Eigen::MatrixXd rotation = Eigen::MatrixXd::Identity(n, n);
  const auto turn = [](auto&& columns, Index a, Index b, double angle) {
    const Eigen::VectorXd first = std::cos(angle) * columns.col(a) + std::sin(angle) * columns.col(b);
    columns.col(b) = std::cos(angle) * columns.col(b) - std::sin(angle) * columns.col(a);
    columns.col(a) = first;
  };
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    double total = 0.0;
    double gained = 0.0;
    for (Index a = 0; a < n; ++a) {
      if (progress) progress((sweep + static_cast<double>(a) / static_cast<double>(n)) / kSweeps);
      for (Index b = 0; b < a; ++b) {
        const auto x = responses.col(a).array();
        const auto y = responses.col(b).array();
        const auto length = [&](double angle) {
          const double c = std::cos(angle);
          const double s = std::sin(angle);
          return ((c * x + s * y).abs() + (c * y - s * x).abs()).sum();
        };
        const double now = length(0.0);
        double step = 0.5 * std::numbers::pi / kAngles;
        double best = now;
        double angle = 0.0;
        const auto see = [&](double other) {
          const double found = length(other);
          if (found >= best) return;
          best = found;
          angle = other;
        };
        for (int k = 1; k < kAngles; ++k) see(k * step);
        for (int k = 0; k < kRefinements; ++k) {
          step *= 0.5;
          const double centre = angle;
          see(centre - step);
          see(centre + step);
        }
        total += now;
        if (angle == 0.0) continue;
        gained += now - best;
        turn(responses, a, b, angle);
        turn(rotation, a, b, angle);
      }
    }
    if (gained <= kLeastSweepGain * total) break;
  }
  return rotation;
}

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
  const Eigen::MatrixXd spikes = inferred(
      plain, found, data, [](const auto& work) -> const auto& { return work.units; }, workers);
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

/// Filters of length 1 at right angles that span the same space, so rotated that responses to cases are as
/// sparse as can be; the rest as at the start of training.
template <class P>
typename P::Params rotated(const P& plain, const typename P::Params& found, const typename P::Data& data,
                           const TrainConfig& config, const Progress& progress, const Workers& workers) {
  const Eigen::BDCSVD<Eigen::MatrixXd> parts(found.weights.template cast<double>(),
                                             Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Eigen::MatrixXd upright = parts.matrixU() * parts.matrixV().transpose();
  typename P::Params theta = plain.initial_params(StreamFactory{static_cast<std::uint64_t>(config.seed)},
                                                  initial_values(config, plain.n_visible()));
  theta.visible = found.visible;
  theta.weights = upright.template cast<float>();
  // Of what is left of cases when no spike is on.
  Eigen::MatrixXd responses = inferred(
      plain, theta, data, [](const auto& work) -> const auto& { return work.input; }, workers);
  const Vector rest = theta.visible.visible_bias.cwiseQuotient(theta.visible.visible_precision);
  responses.rowwise() -= (theta.weights.transpose() * rest).transpose().template cast<double>();
  theta.weights = (upright * sparsest_rotation(std::move(responses), progress)).template cast<float>();
  return theta;
}

/// What training ends at, from given parameters or from where training begins.
template <class M>
typename M::Params train_stage(const M& model, const typename M::Data& data, const TrainConfig& config,
                               const typename M::Params* start, const Progress& progress,
                               const Workers& workers) {
  TrainState<M> state = initial_state(model, data, config, workers);
  if (start != nullptr) begin_at(model, config, *start, state);
  train<M>(
      model, data, config, state,
      [&](const UpdateReport& report, TrainState<M>&) {
        progress(static_cast<double>(report.update) / static_cast<double>(report.total));
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
  const auto wanted = static_cast<Index>(std::ceil(kSpikesPerPlace * static_cast<double>(places)));
  // No more than can be at right angles, if the table is not itself larger.
  const Index n_spikes = std::min(wanted, std::max(places, model.n_visible()));
  TrainConfig first = config;
  first.model = std::string(Plain::kKind);
  first.hidden = {n_spikes};
  first.blocks = 1;
  first.gate = false;
  first.trainer = "sml";
  first.track_log_z = "none";
  first.filter_norm = "sphere";
  first.freeze.clear();
  if (is_natural(config)) {
    // Fields are frozen for Adam alone.
    first.metric = "euclid";
    first.optimizer = "auto";
    first.lr = 0.0;
  }
  first.init = "0.05";
  first.init_spike_bias = kSpikeBias;
  first.init_spike_precision = 0.0;
  first.init_slab_mean = 0.0;
  // Slabs that explain nearly all of a part's variance leave the three-block sweep at a crawl.
  first.gibbs = Plain::kBinary ? "three-block" : "two-block";
  if constexpr (!Plain::kBinary) {
    const double variance = model.reference().visible_precision.template cast<double>().cwiseInverse().mean();
    first.data_noise = std::max(first.data_noise, kNoise * std::sqrt(variance));
  }

  const Plain plain({model.n_visible(), {n_spikes, 1}, !Plain::kBinary}, model.reference());
  const bool rotates = !Plain::kBinary && n_spikes <= model.n_visible();
  const double stages = rotates ? 2.0 : 1.0;
  int done = 0;
  const auto training = [&](const TrainConfig& stage, const typename Plain::Params* start) {
    const Progress part = [&](double fraction) {
      return progress ? progress((done + fraction) / stages) : Control::kContinue;
    };
    const typename Plain::Params found = train_stage<Plain>(plain, data, stage, start, part, workers);
    ++done;
    return found;
  };
  // Rotating and placing take no share of the bar; a signal stops them too.
  const Progress waiting = [&](double) { return progress ? progress(done / stages) : Control::kContinue; };

  typename Plain::Params filters = training(first, nullptr);
  if constexpr (!Plain::kBinary) {
    if (rotates) {
      filters = rotated(plain, filters, data, first, waiting, workers);
      TrainConfig fit = first;
      fit.freeze = {"weights"};
      fit.filter_norm = "free";
      filters = training(fit, &filters);
    }
  }
  return placed(model, plain, filters, data, config, waiting, workers);
}

template BilinearSpikeSlabRbm::Params staged_params(const BilinearSpikeSlabRbm&, const RealData&,
                                                    const TrainConfig&, const Progress&, const Workers&);
template BinaryBilinearSpikeSlabRbm::Params staged_params(const BinaryBilinearSpikeSlabRbm&,
                                                          const BinaryData&, const TrainConfig&,
                                                          const Progress&, const Workers&);

}  // namespace tempera
