#include "tempera/train/metrics/all_metrics.hpp"

#include <stdexcept>

namespace tempera {
namespace {

/// Every metric stands at the place of its kind.
constexpr bool is_in_order() {
  for (std::size_t k = 0; k < MetricList::kinds.size(); ++k) {
    if (static_cast<std::size_t>(MetricList::kinds[k]) != k) return false;
    if (Names<MetricKind>::table[k].value != MetricList::kinds[k]) return false;
  }
  return MetricList::kinds.size() == Names<MetricKind>::table.size();
}
static_assert(is_in_order());

template <class Number>
struct Maker {
  const LayerOffsets& offsets;

  AnyMetric<Number> operator()(const DiagonalOptions& options) const {
    return DiagonalMetric<Number>{options};
  }
  AnyMetric<Number> operator()(const MfngOptions& options) const { return MfngMetric<Number>{options}; }
  AnyMetric<Number> operator()(const SampleOptions& options) const { return SampleMetric<Number>{options}; }
  AnyMetric<Number> operator()(const KfacOptions& options) const { return KfacMetric<Number>{options}; }
  AnyMetric<Number> operator()(const EkfacOptions& options) const { return EkfacMetric<Number>{options}; }
  AnyMetric<Number> operator()(const FangOptions& options) const {
    return FangMetric<Number>{options, offsets};
  }
  AnyMetric<Number> operator()(const TongaOptions& options) const { return TongaMetric<Number>{options}; }
  AnyMetric<Number> operator()(const HybridOptions& options) const { return HybridMetric<Number>{options}; }
  AnyMetric<Number> operator()(const ExactOptions& options) const { return ExactMetric<Number>{options}; }
};

/// Calls f(metric, its state), of which the second may be const.
template <class Number, class State, class F>
auto with_own_state(const AnyMetric<Number>& metric, State& state, F&& f) {
  return std::visit(
      [&](const auto& one) {
        using Own = typename std::remove_cvref_t<decltype(one)>::State;
        auto* own = std::get_if<Own>(&state);
        if (own == nullptr) {
          throw std::logic_error("a metric was given a state that is not its own: " +
                                 std::string(name_of(one.kKind)));
        }
        return f(one, *own);
      },
      metric);
}

template <class Options>
double own_damping(const Options& options) {
  return options.damping;
}
double own_damping(const HybridOptions& options) { return options.factors.damping; }

}  // namespace

MetricKind kind_of(const AnyMetricOptions& options) { return MetricList::kinds[options.index()]; }

AnyMetricOptions default_options(MetricKind kind) {
  return MetricList::defaults().at(static_cast<std::size_t>(kind));
}

double damping_of(const AnyMetricOptions& options) {
  return std::visit([](const auto& one) { return own_damping(one); }, options);
}

bool uses_moments(MetricKind kind) { return MetricList::uses_moments.at(static_cast<std::size_t>(kind)); }

template <class Number>
AnyMetric<Number> make_metric(const AnyMetricOptions& options, const LayerOffsets& offsets) {
  return std::visit(Maker<Number>{offsets}, options);
}

template <class Number>
AnyMetricState<Number> prepare(const AnyMetric<Number>& metric, const LayerShape& shape) {
  return std::visit(
      [&shape](const auto& one) -> AnyMetricState<Number> {
        typename std::remove_cvref_t<decltype(one)>::State state;
        one.prepare(shape, state);
        return state;
      },
      metric);
}

template <class Number>
void observe(const AnyMetric<Number>& metric, const Fisher<Number>& fisher, AnyMetricState<Number>& state) {
  with_own_state(metric, state, [&](const auto& one, auto& own) { one.observe(fisher, own); });
}

template <class Number>
LayerParams<Number> solve(const AnyMetric<Number>& metric, const Fisher<Number>& fisher,
                          const AnyMetricState<Number>& state, const LayerParams<Number>& g,
                          const Flat<Number>& guess, SolveReport& report) {
  return with_own_state(metric, state, [&](const auto& one, const auto& own) {
    if constexpr (IterativeMetric<std::remove_cvref_t<decltype(one)>, Number>) {
      return one.solve(fisher, own, g, guess, report);
    } else {
      return one.solve(fisher, own, g, report);
    }
  });
}

template <class Number>
LayerParams<Number> apply(const AnyMetric<Number>& metric, const Fisher<Number>& fisher,
                          const AnyMetricState<Number>& state, const LayerParams<Number>& x) {
  return with_own_state(metric, state,
                        [&](const auto& one, const auto& own) { return one.apply(fisher, own, x); });
}

#define TEMPERA_INSTANTIATE(Number)                                                                \
  template AnyMetric<Number> make_metric(const AnyMetricOptions&, const LayerOffsets&);            \
  template AnyMetricState<Number> prepare(const AnyMetric<Number>&, const LayerShape&);            \
  template void observe(const AnyMetric<Number>&, const Fisher<Number>&, AnyMetricState<Number>&); \
  template LayerParams<Number> solve(const AnyMetric<Number>&, const Fisher<Number>&,              \
                                     const AnyMetricState<Number>&, const LayerParams<Number>&,    \
                                     const Flat<Number>&, SolveReport&);                           \
  template LayerParams<Number> apply(const AnyMetric<Number>&, const Fisher<Number>&,              \
                                     const AnyMetricState<Number>&, const LayerParams<Number>&);

TEMPERA_INSTANTIATE(float)
TEMPERA_INSTANTIATE(double)

}  // namespace tempera
