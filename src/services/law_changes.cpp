#include "law_changes.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "tempera/core/format.hpp"
#include "tempera/models/kinds.hpp"
#include "tempera/services/config_file.hpp"
#include "tempera/services/limits.hpp"

namespace tempera {
namespace {

constexpr const char* kObserved = "observed";

/// "hidden:3-7=1": units of a layer, and what they are to be.
struct Wish {
  std::string text;
  std::string layer;  // empty: the visibles
  std::string units;
  std::string value;
  bool excluded = false;  // all but this

  [[noreturn]] void fail(const std::string& problem) const {
    throw UsageError("sample: --clamp " + text + ": " + problem);
  }
};

Wish wish_of(const std::string& text) {
  Wish wish{text, {}, {}, {}};
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    wish.fail("expected UNITS=VALUE, as 12=1, 0-27=0 or hidden:3=1; letters also as 5=A|V or 5!=C");
  wish.value = text.substr(equals + 1);
  wish.excluded = text[equals - 1] == '!';
  wish.units = text.substr(0, equals - (wish.excluded ? 1 : 0));
  if (const std::size_t colon = wish.units.find(':'); colon != std::string::npos) {
    wish.layer = wish.units.substr(0, colon);
    wish.units.erase(0, colon + 1);
  }
  return wish;
}

std::optional<Index> number_in(std::string_view text) {
  std::int64_t number = 0;
  return assign(number, text) ? std::optional<Index>(number) : std::nullopt;
}

/// Numbers of the units of a layer of n, which users count from `first`.
UnitRange units_of(const Wish& wish, Index n, Index first, const std::vector<std::string>& names) {
  const auto place = [&](std::string_view text) -> std::optional<Index> {
    const std::optional<Index> found = place_called(names, text, first);
    if (found && (*found < 0 || *found >= n))
      wish.fail("there are units " + std::to_string(first) + " to " + std::to_string(first + n - 1));
    return found;
  };
  if (const auto one = place(wish.units)) return {*one, *one + 1};
  const std::size_t dash = wish.units.find('-');
  if (dash != std::string::npos) {
    const auto from = place(std::string_view(wish.units).substr(0, dash));
    const auto to = place(std::string_view(wish.units).substr(dash + 1));
    if (from && to && *from <= *to) return {*from, *to + 1};
  }
  wish.fail("'" + wish.units + "' is no unit, nor a range of units");
}

float value_of(const Wish& wish) {
  double value = 0.0;
  if (!assign(value, wish.value) || !std::isfinite(value)) wish.fail("'" + wish.value + "' is no number");
  return static_cast<float>(value);
}

/// Letters of a site by their names, which stand between bars.
template <HasLetters M>
std::vector<Index> letters_in(const Wish& wish, const ModelFile<M>& file, Index site) {
  std::vector<Index> letters;
  for (std::size_t first = 0; first <= wish.value.size();) {
    const std::size_t bar = std::min(wish.value.find('|', first), wish.value.size());
    const std::string name = wish.value.substr(first, bar - first);
    first = bar + 1;
    Index letter = 0;
    const Index n = file.model.letters().of(site);
    if (file.alphabet.empty()) {
      letter = number_in(name).value_or(n);
    } else {
      while (letter < n && file.alphabet.name(site, letter) != name) ++letter;
    }
    if (letter < 0 || letter >= n) wish.fail("there is no letter '" + name + "'");
    letters.push_back(letter);
  }
  std::sort(letters.begin(), letters.end());
  letters.erase(std::unique(letters.begin(), letters.end()), letters.end());
  if (!wish.excluded) return letters;
  std::vector<Index> others;
  for (Index a = 0; a < file.model.letters().of(site); ++a) {
    if (!std::binary_search(letters.begin(), letters.end(), a)) others.push_back(a);
  }
  return others;
}

/// Those that are in both; the latter where the former are not said.
std::vector<Index> common_letters(const std::vector<Index>& said, std::vector<Index> letters) {
  if (said.empty()) return letters;
  std::vector<Index> both;
  std::set_intersection(said.begin(), said.end(), letters.begin(), letters.end(), std::back_inserter(both));
  return both;
}

/// Visible units, or sites of letters.
template <EnergyModel M>
Index n_sites(const M& model) {
  if constexpr (HasLetters<M>) return model.letters().sites();
  return model.n_visible();
}

/// Values of a column as the machine sees them.
template <EnergyModel M>
float own_value(const Wish& wish, const ModelFile<M>& file, Index unit) {
  const float value = value_of(wish);
  if constexpr (std::same_as<typename M::Data, RealData>) {
    if (!file.preprocessing.empty() && !file.preprocessing.only_centres())
      wish.fail("columns of this model are made of several raw ones");
    double own = static_cast<double>(value);
    if (!file.preprocessing.empty()) own -= static_cast<double>(file.preprocessing.mean[unit]);
    if (!file.units.empty()) own = (own - file.units.centre[unit]) / file.units.scale[unit];
    Matrix values = Matrix::Zero(1, file.model.n_visible());
    values(0, unit) = static_cast<float>(own);
    if (const auto wrong = file.model.impossible_value(RealData(values))) wish.fail(wrong->constraint);
    return static_cast<float>(own);
  } else {
    const float zero = file.binarization.spins ? -1.0F : 0.0F;
    if (value != zero && value != 1.0F)
      wish.fail(file.binarization.spins ? "a value is -1 or 1" : "a value is 0 or 1");
    return value == 1.0F ? 1.0F : 0.0F;
  }
}

/// Units by number, so that the last wish counts.
using Values = std::map<Index, float>;

HeldUnits held(const Values& values) {
  HeldUnits units;
  for (const auto& [unit, value] : values) {
    units.units.push_back(unit);
    units.values.push_back(value);
  }
  return units;
}

/// What the columns of the options' data, or of the run's own, are called.
std::vector<std::string> column_names(const SamplingOptions& options, Listener& listener) {
  const DataOptions known = data_or_of_run(options.data, options.columns, options.run);
  if (known.data.empty()) return {};
  ReadingOptions reading{known.columns};
  reading.keeps_missing = true;
  return read_data_file(known.data, reading, listener).column_names;
}

float value_in(const RealData& data, Index n, Index i) { return data.value(n, i); }
float value_in(const BinaryData& data, Index n, Index i) { return data.value(n, i) ? 1.0F : 0.0F; }
float value_in(const CategoricalData& data, Index n, Index i) {
  return static_cast<float>(data.letter(n, i));
}

}  // namespace

bool asks_for_observed(const SamplingOptions& options) {
  return std::find(options.clamp.begin(), options.clamp.end(), kObserved) != options.clamp.end();
}

bool changes_law(const SamplingOptions& options) {
  return !options.clamp.empty() || options.beta != 1.0 || options.beta_marginal != 1;
}

HeldUnits both(const HeldUnits& former, const HeldUnits& latter) {
  Values values;
  for (const HeldUnits* const units : {&latter, &former}) {
    for (std::size_t k = 0; k < units->units.size(); ++k) values[units->units[k]] = units->values[k];
  }
  return held(values);
}

template <EnergyModel M>
LawChange law_change(const ModelFile<M>& file, const SamplingOptions& options, Listener& listener) {
  LawChange change;
  change.beta = options.beta;
  change.copies = options.beta_marginal;
  const std::vector<std::string> layers = file.model.layer_names();
  const std::vector<Index> sizes = file.model.layer_sizes();
  std::vector<Values> values(layers.size());
  std::vector<std::string> names;
  for (const std::string& text : options.clamp) {
    if (text == kObserved) continue;
    const Wish wish = wish_of(text);
    std::size_t layer = 0;
    if (!wish.layer.empty()) {
      layer = static_cast<std::size_t>(std::find(layers.begin(), layers.end(), wish.layer) - layers.begin());
      if (layer == layers.size()) wish.fail("there is no layer '" + wish.layer + "'");
    }
    const bool is_named = layer == 0 && wish.units.find_first_not_of("0123456789-") != std::string::npos;
    if (is_named && names.empty()) names = column_names(options, listener);
    if constexpr (HasLetters<M>) {
      if (layer == 0) {
        const UnitRange sites = units_of(wish, file.model.letters().sites(), 1, names);
        change.letters.resize(static_cast<std::size_t>(file.model.letters().sites()));
        for (Index s = sites.first; s < sites.last; ++s) {
          // Wishes for one site all count.
          std::vector<Index>& left = change.letters[static_cast<std::size_t>(s)];
          left = common_letters(left, letters_in(wish, file, s));
          if (left.empty()) wish.fail("leaves no letter");
          if (left.size() == 1) values[0][s] = static_cast<float>(left.front());
        }
        continue;
      }
    }
    if (wish.excluded) wish.fail("only letters can be excluded");
    const UnitRange units = units_of(wish, sizes[layer], 0, layer == 0 ? names : std::vector<std::string>());
    for (Index i = units.first; i < units.last; ++i) {
      values[layer][i] = layer == 0 ? own_value(wish, file, i) : value_of(wish);
    }
  }
  for (const Values& of_layer : values) change.held.push_back(held(of_layer));
  if (static_cast<Index>(values[0].size()) == n_sites(file.model))
    throw UsageError("sample: --clamp holds every visible; 'tempera encode' gives the units above them");
  if (change.copies > 1) {
    for (std::size_t k = 1; k < change.held.size(); ++k) {
      if (!change.held[k].empty())
        throw UsageError("sample: --beta-marginal has several copies of the units that --clamp holds");
    }
  }
  if (const std::string why = M::why_not_changed(change); !why.empty()) throw UsageError("sample: " + why);
  return change;
}

template <EnergyModel M>
ModelFile<M> changed_machine(const ModelFile<M>& file, const LawChange& change) {
  return {{},
          file.model.changed(change),
          file.model.changed(change, file.theta),
          file.has_reference,
          {},
          {},
          {},
          {},
          {}};
}

template <EnergyModel M>
HeldCases observed_values(const ModelFile<M>& file, const SamplingOptions& options, Listener& listener) {
  if (options.data.empty()) throw UsageError("sample: --clamp observed needs --data with missing values");
  if (options.columns.missing != MissingRule::kRefuse)
    throw UsageError("sample: --clamp observed leaves no value missing: --missing means nothing with it");
  if (!file.preprocessing.empty() && !file.preprocessing.only_centres())
    throw UsageError("sample: --clamp observed: columns of this model are made of several raw ones");
  ReadingOptions reading{columns_for(file, options.columns)};
  reading.keeps_missing = true;
  const DataFile data = read_data_file(options.data, reading, listener);
  // The train split, or the first that lacks values.
  auto missing = data.missing.find("train");
  if (missing == data.missing.end()) missing = data.missing.begin();
  if (missing == data.missing.end())
    throw UsageError("sample: --clamp observed: " + options.data.name + ": no value is missing");
  const typename M::Data cases =
      data_for_model(file, data, {missing->first, options.binarize, as_count(options.seed)}, listener);
  const Index columns = data.columns();
  HeldCases held;
  for (Index n = 0; n < cases.n_cases(); ++n) {
    const auto first = missing->second.begin() + n * columns;
    const auto found = std::count(first, first + columns, std::uint8_t{1});
    if (found == 0) continue;
    HeldUnits values;
    for (Index i = 0; i < columns; ++i) {
      if (first[i] != 0) continue;
      values.units.push_back(i);
      values.values.push_back(value_in(cases, n, i));
    }
    held.cases.push_back(n);
    held.values.push_back(std::move(values));
  }
  return held;
}

#define TEMPERA_INSTANTIATE(M)                                                           \
  template LawChange law_change(const ModelFile<M>&, const SamplingOptions&, Listener&); \
  template ModelFile<M> changed_machine(const ModelFile<M>&, const LawChange&);          \
  template HeldCases observed_values(const ModelFile<M>&, const SamplingOptions&, Listener&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
