#include "tempera/train/staged.hpp"

#include <algorithm>
#include <boost/random/normal_distribution.hpp>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "tempera/core/decompositions.hpp"
#include "tempera/core/permutation.hpp"
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
/// Rotations that the sparsest is looked for from, angles of a quarter turn that a pair of filters is tried
/// at, halvings that refine the best, sweeps over all pairs, and the gain of a sweep, relative to all, that
/// is worth another.
constexpr int kRotations = 5;
constexpr int kAngles = 16;
constexpr int kRefinements = 8;
constexpr int kSweeps = 50;
constexpr double kLeastSweepGain = 1e-6;
/// Cases that spikes are looked at on.
constexpr Index kCases = 5000;

/// What inference finds of cases, one row each: `of(cache)` has a row for each unit or filter.
template <EnergyModel P, class Of>
Eigen::MatrixXd inferred(const Engine<P>& shared, const typename P::Params& theta,
                         const typename P::Data& data, const Of& of) {
  const Engine<P> engine = alone(shared);
  std::vector<Index> cases(static_cast<std::size_t>(std::min(kCases, data.n_cases())));
  std::iota(cases.begin(), cases.end(), Index{0});
  Population<P> population;
  load_cases(engine, data, cases, population.chains);
  population.fit(engine);
  infer_cases(engine, theta, 1, population.chains.blocks, population.caches);
  const auto& caches = population.caches.blocks;
  Eigen::MatrixXd found(static_cast<Index>(cases.size()), of(caches.front()).rows());
  for (std::size_t b = 0; b < caches.size(); ++b) {
    found.middleRows(static_cast<Index>(b) * kLanes, caches[b].lanes) =
        of(caches[b]).leftCols(caches[b].lanes).transpose().template cast<double>();
  }
  return found;
}

/// A rotation of responses, and the sum of their absolute values.
struct Rotation {
  Eigen::MatrixXd matrix;
  double sum = 0.0;
};

/// The sparsest rotation that turning two filters at a time leads to from a given one.
Rotation turned(const Eigen::MatrixXd& cases, Eigen::MatrixXd rotation, const Progress& progress) {
  const Index n = cases.cols();
  Eigen::MatrixXd responses = cases * rotation;
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
  return {std::move(rotation), responses.cwiseAbs().sum()};
}

}  // namespace

Eigen::MatrixXd sparsest_rotation(const Eigen::MatrixXd& responses, const StreamFactory& streams,
                                  const Progress& progress) {
  const Index n = responses.cols();
  Rotation best;
  for (int start = 0; start < kRotations; ++start) {
    const Progress part = [&](double fraction) {
      return progress ? progress((start + fraction) / kRotations) : Control::kContinue;
    };
    StreamEngine random = streams.engine(Purpose::kParameters, 2, static_cast<std::uint32_t>(start));
    boost::random::normal_distribution<double> normal;
    Eigen::MatrixXd rotation = Eigen::MatrixXd::Identity(n, n);
    if (start > 0) {
      rotation =
          nearest_orthonormal(Eigen::MatrixXd::NullaryExpr(n, n, [&] { return normal(random); }).eval());
    }
    Rotation found = turned(responses, std::move(rotation), part);
    if (start == 0 || found.sum < best.sum) best = std::move(found);
  }
  return best.matrix;
}

std::vector<Index> arrange_filters(const Eigen::MatrixXd& correlation, const FilterTable& table,
                                   const StreamFactory& streams, const Progress& progress) {
  const Index n = table.places();
  const Index n_g = table.n_g;
  const Index n_h = table.n_h;
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
    StreamEngine random = streams.engine(Purpose::kParameters, 1, static_cast<std::uint32_t>(start));
    std::vector<Index> filters = permutation(n, random);
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

/// Covariances of the columns of weighted rows.
Eigen::MatrixXd covariance_of(const Eigen::MatrixXd& rows, const CaseWeights& weights) {
  Eigen::MatrixXd centred = rows.rowwise() - weighted_mean(rows, weights).transpose();
  for (Index n = 0; !weights.all_one() && n < rows.rows(); ++n) centred.row(n) *= std::sqrt(weights[n]);
  return centred.transpose() * centred / weights.total(rows.rows());
}

/// The best filters of a plain machine in the places that the covariances of their spikes give them; biases
/// as at the start of training.
template <HasFilterTable M>
typename M::Params placed(const Engine<M>& engine, const typename M::Simpler::Params& found,
                          const Eigen::MatrixXd& covariance, const InitialValues& init,
                          const Progress& progress) {
  const FilterTable table = engine.model.table();
  const Index places = table.places();
  const std::vector<Index> order = ranked_filters<typename M::Simpler>(found, covariance);
  Eigen::MatrixXd correlation(places, places);
  for (Index a = 0; a < places; ++a) {
    for (Index b = 0; b < places; ++b) {
      const Index i = order[static_cast<std::size_t>(a)];
      const Index j = order[static_cast<std::size_t>(b)];
      correlation(a, b) = covariance(i, j) / std::sqrt(std::max(1e-12, covariance(i, i) * covariance(j, j)));
    }
  }
  const std::vector<Index> filters = arrange_filters(correlation, table, engine.streams, progress);
  typename M::Params theta = engine.model.initial_params(engine.streams, init);
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
template <EnergyModel P>
typename P::Params rotated(const Engine<P>& engine, const typename P::Params& found,
                           const typename P::Data& data, const InitialValues& init,
                           const Progress& progress) {
  const Eigen::MatrixXd upright = nearest_orthonormal(found.weights.template cast<double>());
  typename P::Params theta = engine.model.initial_params(engine.streams, init);
  theta.visible = found.visible;
  theta.weights = upright.template cast<float>();
  // Of what is left of cases when no spike is on.
  Eigen::MatrixXd responses = inferred(
      engine, theta, data, [](const auto& cache) -> const auto& { return cache.input; });
  const Vector rest = theta.visible.visible_bias.cwiseQuotient(theta.visible.visible_precision);
  responses.rowwise() -= (theta.weights.transpose() * rest).transpose().template cast<double>();
  for (Index n = 0; n < responses.rows(); ++n) responses.row(n) *= data.weights()[n];
  theta.weights = (upright * sparsest_rotation(responses, engine.streams, progress)).template cast<float>();
  return theta;
}

/// What training ends at, from given parameters or from where training begins.
template <EnergyModel P>
typename P::Params train_stage(const Engine<P>& engine, const TrainOptions& options,
                               const typename P::Data& data, const typename P::Params* start,
                               const Progress& progress) {
  const Plan plan = plan_of(options, data.n_cases());
  TrainState<P> state = initial_state(engine, plan, data);
  if (start != nullptr) begin_at(engine.model, plan, *start, state);
  train<P>(engine, plan, data, state, [&](const UpdateReport& report, const TrainState<P>&) {
    progress(static_cast<double>(report.update) / static_cast<double>(report.total));
    return Control::kContinue;
  });
  return state.result();
}

/// The options of the plain machine's first training: filters of length 1 by Adam, from small weights.
template <EnergyModel P>
TrainOptions first_stage(TrainOptions options) {
  options.chains.trainer = Trainer::kSml;
  options.chains.inference = Inference::kExact;
  options.tracking.track_log_z = Tracking::kNone;
  options.gradient.filter_norm = FilterNorm::kSphere;
  options.gradient.freeze.clear();
  if (is_natural(options)) {
    // Fields are frozen for Adam alone.
    options.natural.metric.reset();
    options.first_order.optimizer = P::defaults().first_order;
    options.rate.lr = P::defaults().learning_rate;
  }
  options.init.weights = 0.05;
  options.init.spike_bias = kSpikeBias;
  options.init.spike_precision = 0.0;
  options.init.slab_mean = 0.0;
  return options;
}

/// Standard deviation of the noise on the plain machine's cases; of cases that take none nothing.
template <EnergyModel M>
double stage_noise(const M& model, double asked) {
  if constexpr (HasDataNoise<M>) {
    const double variance = model.reference().visible_precision.template cast<double>().cwiseInverse().mean();
    return std::max(asked, kNoise * std::sqrt(variance));
  }
  return asked;
}

}  // namespace

template <HasFilterTable M>
typename M::Params staged_params(const Engine<M>& engine, const TrainOptions& options,
                                 const typename M::Data& data, const Progress& progress) {
  using Plain = typename M::Simpler;
  const M& model = engine.model;
  const Index places = model.table().places();
  const auto wanted = static_cast<Index>(std::ceil(kSpikesPerPlace * static_cast<double>(places)));
  // No more than can be at right angles, if the table is not itself larger.
  const Index n_spikes = std::min(wanted, std::max(places, model.n_visible()));
  TrainOptions first = first_stage<Plain>(options);
  first.chains.data_noise = stage_noise(model, first.chains.data_noise);
  MachineOptions shape;
  shape.hidden = {n_spikes};
  // Slabs that explain nearly all of a part's variance leave the three-block sweep at a crawl.
  shape.gibbs = HasDataNoise<M> ? Gibbs::kTwoBlock : Gibbs::kThreeBlock;
  const Plain plain(Plain::shape_from(shape, model.n_visible()), model.reference());
  const Engine<Plain> plain_engine{plain, engine.streams, engine.executor};
  const bool rotates = HasDataNoise<M> && n_spikes <= model.n_visible();
  const double stages = rotates ? 2.0 : 1.0;
  int done = 0;
  const auto training = [&](const TrainOptions& stage, const typename Plain::Params* start) {
    const Progress part = [&](double fraction) {
      return progress ? progress((done + fraction) / stages) : Control::kContinue;
    };
    const typename Plain::Params found = train_stage(plain_engine, stage, data, start, part);
    ++done;
    return found;
  };
  // Rotating and placing take no share of the bar; a signal stops them too.
  const Progress waiting = [&](double) { return progress ? progress(done / stages) : Control::kContinue; };

  typename Plain::Params filters = training(first, nullptr);
  if constexpr (HasDataNoise<M>) {
    if (rotates) {
      filters = rotated(plain_engine, filters, data, first.init.values(), waiting);
      TrainOptions fit = first;
      fit.gradient.freeze = {"weights"};
      fit.gradient.filter_norm = FilterNorm::kFree;
      filters = training(fit, &filters);
    }
  }
  const Eigen::MatrixXd spikes = inferred(
      plain_engine, filters, data, [](const auto& cache) -> const auto& { return cache.units; });
  return placed(engine, filters, covariance_of(spikes, data.weights().first(spikes.rows())),
                options.init.values(), waiting);
}

template <EnergyModel M>
typename M::Params starting_params(const Engine<M>& engine, const TrainOptions& options,
                                   const typename M::Data& data, const Progress& progress) {
  if constexpr (HasFilterTable<M>) {
    if (options.init.staged()) return staged_params(engine, options, data, progress);
  }
  return engine.model.initial_params(engine.streams, options.init.values());
}

#define TEMPERA_INSTANTIATE(M) \
  template M::Params starting_params(const Engine<M>&, const TrainOptions&, const M::Data&, const Progress&);
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
