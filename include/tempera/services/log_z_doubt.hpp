// What can speak against a log Z that training tracks.
#pragma once

#include <array>
#include <cstdint>

#include "tempera/core/names.hpp"

namespace tempera {

/// Why a log Z of training is not to be trusted. The numbers are file format.
enum class LogZDoubt : std::uint64_t {
  kNone,
  kData,
  kBound,
  kExact,
  kReplicas,
  kEnsembles,
  kRefresh,
  kError
};
template <>
struct Names<LogZDoubt> {
  static constexpr std::array<NamedValue<LogZDoubt>, 8> table = {
      {{LogZDoubt::kNone, "none", ""},
       {LogZDoubt::kData, "data", "distinct cases would have more than probability 1"},
       {LogZDoubt::kBound, "bound", "a search of modes proves that log Z is larger"},
       {LogZDoubt::kExact, "exact", "enumeration gives another log Z"},
       {LogZDoubt::kReplicas, "replicas", "replicas do not travel along the tracker's ladder"},
       {LogZDoubt::kEnsembles, "ensembles", "the tracker's ensembles stay where they are, each in its place"},
       {LogZDoubt::kRefresh, "refresh", "independent rounds give another log Z"},
       {LogZDoubt::kError, "error", "an error bar above 0.5 nat leaves log Z unknown"}}};
};

/// An estimate whose error bar is larger, in nats, is not to be trusted: it leaves log Z unknown.
inline constexpr double kLargestTrustedError = 0.5;

}  // namespace tempera
