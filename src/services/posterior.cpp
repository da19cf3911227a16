#include "posterior.hpp"

#include <algorithm>
#include <cmath>

#include "tempera/core/errors.hpp"
#include "tempera/models/kinds.hpp"

namespace tempera {
namespace {

/// A column of letters or bits: its values, and how a case gets one.
struct Column {
  Index first = 0;  // place of the first value
  std::vector<std::string> values;
  bool one_hot = false;

  void set(PackedState& row, std::size_t value) const {
    if (!one_hot) {
      if (is_on(row, first) != (value == 1)) flip_bit(row, first);
      return;
    }
    for (std::size_t v = 0; v < values.size(); ++v) {
      const Index place = first + static_cast<Index>(v);
      if (is_on(row, place) != (v == value)) flip_bit(row, place);
    }
  }
};

template <EnergyModel M>
Column column_of(const ModelFile<M>& file, Index column) {
  if constexpr (HasLetters<M>) {
    const Letters& letters = file.model.letters();
    Column found{column * letters.most(), {}, true};
    for (Index a = 0; a < letters.of(column); ++a)
      found.values.push_back(file.alphabet.empty() ? std::to_string(a) : file.alphabet.name(column, a));
    return found;
  } else {
    return {column, {file.binarization.spins ? "-1" : "0", "1"}, false};
  }
}

}  // namespace

template <EnergyModel M>
ColumnPosterior posterior_of(const ModelFile<M>& file, const std::string& called,
                             const std::vector<std::string>& names, const typename M::Data& cases,
                             const Executor& executor) {
  if constexpr (!std::derived_from<typename M::Data, BinaryData>) {
    throw UsageError("score: --posterior is of columns of letters or of bits, which " +
                     std::string(M::kKind) + " has not");
  } else if constexpr (!M::kExactInference) {
    throw UsageError("score: --posterior needs exact free energies, which " + std::string(M::kKind) +
                     " has not");
  } else {
    const Index from = HasLetters<M> ? 1 : 0;
    Index n_columns = cases.n_visible();
    if constexpr (HasLetters<M>) n_columns = cases.letters().sites();
    const auto place = place_called(names, called, from);
    if (!place || *place < 0 || *place >= n_columns)
      throw UsageError("score: --posterior " + called + ": is no name of a column and no number from " +
                       std::to_string(from) + " to " + std::to_string(from + n_columns - 1));
    const Column column = column_of(file, *place);
    const auto n_cases = static_cast<std::size_t>(cases.n_cases());
    ColumnPosterior posterior{called, *place, column.values, {}, std::vector<double>(n_cases)};
    posterior.probabilities.assign(column.values.size(), std::vector<double>(n_cases));
    executor.for_each_owned(cases.n_cases(), [&](Index n) {
      const auto given = cases.row(n);
      PackedState row(given.begin(), given.end());
      std::vector<double> energies;
      for (std::size_t v = 0; v < column.values.size(); ++v) {
        column.set(row, v);
        energies.push_back(file.model.free_energy(file.theta, row));
      }
      const double least = *std::min_element(energies.begin(), energies.end());
      double total = 0.0;
      for (double& energy : energies) total += energy = std::exp(least - energy);
      for (std::size_t v = 0; v < energies.size(); ++v)
        posterior.probabilities[v][static_cast<std::size_t>(n)] = energies[v] / total;
      posterior.free_energies[static_cast<std::size_t>(n)] = least - std::log(total);
    });
    executor.share(posterior.free_energies);
    for (std::vector<double>& of_value : posterior.probabilities) executor.share(of_value);
    return posterior;
  }
}

#define TEMPERA_INSTANTIATE(M)                                                   \
  template ColumnPosterior posterior_of(const ModelFile<M>&, const std::string&, \
                                        const std::vector<std::string>&, const M::Data&, const Executor&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
