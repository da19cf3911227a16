// Cases as a model takes them.
#include <cstdio>

#include "tempera/core/digest.hpp"
#include "tempera/core/format.hpp"
#include "tempera/models/kinds.hpp"
#include "tempera/services/cases.hpp"
#include "tempera/services/model_io.hpp"

namespace tempera {
namespace {

/// Grey values up to here may be numbers in [0, 1] and their noise, above they are levels.
constexpr double kLargestFraction = 2.0;

std::string grey_level(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

/// Real values for a model with a preprocessing of its own.
Matrix prepared(const Preprocessing& own, Index n_visible, const DataFile& data, const std::string& split,
                Listener& listener) {
  const Table& table = data.split(split);
  if (!data.preprocessing.empty() && !(data.preprocessing == own)) {
    throw DataError(
        data.name + ": was made by a preprocessing that is not the model's" +
        (own.empty() ? ", which has none" : "; give raw cases, or data of the same preprocessing"));
  }
  const bool raw = !own.empty() && data.preprocessing.empty();
  const Index expected = raw ? static_cast<Index>(own.n_inputs) : n_visible;
  if (table.columns != expected) {
    throw DataError(data.name + ": has " + std::to_string(table.columns) + " columns, the model takes " +
                    std::to_string(expected) + (raw ? " raw ones" : ""));
  }
  Matrix rows = real_rows(table);
  if (raw && own.dequantised)
    listener.warn(data.name +
                  ": raw grey levels, where the model was trained on dequantised ones; "
                  "likelihoods need 'tempera data --dequantise' and the model's other steps");
  return raw ? own.apply(std::move(rows)) : rows;
}

/// Bits by the rule that is asked for, or by the model's own.
BinaryData binarised(const Binarization& own, Index n_visible, const DataFile& data,
                     const SplitRequest& request) {
  const Table& table = data.split(request.split);
  if (table.columns != n_visible) {
    throw DataError(data.name + ": has " + std::to_string(table.columns) + " columns, the model has " +
                    std::to_string(n_visible) + " visible units");
  }
  const bool own_rule = request.method == BinarizeChoice() && own.method != BinarizeMethod::kNone;
  const BinarizeChoice choice = own_rule ? BinarizeChoice{own.method} : request.method;
  Binarization rule = binarization_for(data, choice, request.seed);
  if (own_rule && rule.method != BinarizeMethod::kNone) {
    // Bytes and numbers in [0, 1] are two scales of the same pictures.
    if (rule.maximum > own.maximum || (rule.maximum <= 1.0 && own.maximum > kLargestFraction)) {
      throw DataError(data.name + ": largest value " + grey_level(rule.maximum) +
                      ", but the model was trained on grey values up to " + grey_level(own.maximum) +
                      "; bring them to that scale, or say --binarize threshold or --binarize sample for this "
                      "data's own range");
    }
    rule = own;
  }
  return binarize(data, request.split, rule);
}

/// Sequences in the letters of the model.
template <HasLetters M>
CategoricalData in_alphabet(const ModelFile<M>& file, const DataFile& data, const SplitRequest& request) {
  if (request.method != BinarizeChoice())
    throw UsageError("--binarize means nothing with " + std::string(M::kKind));
  const Letters& letters = file.model.letters();
  const Table& table = data.split(request.split);
  if (table.columns != letters.sites())
    throw DataError(data.name + ": has " + std::to_string(table.columns) + " sites, the model has " +
                    std::to_string(letters.sites()));
  CategoricalData cases = categorical(data, request.split);
  if (file.alphabet.empty() || data.alphabet == file.alphabet) {
    if (!(cases.letters() == letters))
      throw DataError(data.name + ": has other numbers of letters than the model");
    return cases;
  }
  // The same letters in another order, or fewer of them: what each of the data's is to the model, -1 for
  // nothing.
  std::vector<std::vector<int>> code_of(static_cast<std::size_t>(letters.sites()));
  for (Index site = 0; site < letters.sites(); ++site) {
    for (Index a = 0; a < cases.letters().of(site); ++a) {
      Index code = 0;
      while (code < letters.of(site) && file.alphabet.name(site, code) != data.alphabet.name(site, a)) ++code;
      code_of[static_cast<std::size_t>(site)].push_back(code < letters.of(site) ? static_cast<int>(code)
                                                                                : -1);
    }
  }
  // What is missing is any letter.
  const auto missing = data.missing.find(request.split);
  std::vector<std::uint8_t> codes;
  for (Index n = 0; n < cases.n_cases(); ++n) {
    for (Index site = 0; site < letters.sites(); ++site) {
      const auto place = static_cast<std::size_t>(n * letters.sites() + site);
      if (missing != data.missing.end() && missing->second[place] != 0) {
        codes.push_back(0);
        continue;
      }
      const Index letter = cases.letter(n, site);
      const int code = code_of[static_cast<std::size_t>(site)][static_cast<std::size_t>(letter)];
      if (code < 0)
        throw DataError(data.name + format(": case %lld of %s, site %lld: the model has no letter '%s' there",
                                           static_cast<long long>(n), request.split.c_str(),
                                           static_cast<long long>(site),
                                           data.alphabet.name(site, letter).c_str()));
      codes.push_back(static_cast<std::uint8_t>(code));
    }
  }
  return {cases.n_cases(), letters, codes, cases.weights()};
}

}  // namespace

namespace {

/// Of the numbers of every split, and of which are missing.
std::uint64_t digest_of(const DataFile& data) {
  std::uint64_t now = 0;
  const auto add = [&now](const auto& values) {
    now = digest(std::as_bytes(std::span(values.data(), values.size())), now);
  };
  for (const auto& [name, table] : data.splits) {
    now = digest(name, now);
    add(table.bytes);
    add(table.floats);
    add(table.weights);
  }
  for (const auto& [name, missing] : data.missing) {
    now = digest(name, now);
    add(missing);
  }
  return now;
}

}  // namespace

DataFile read_data_file(const DataSource& source, const ReadingOptions& reading, Listener& listener) {
  ReadingOptions heard = reading;
  heard.told = [&](double fraction) { listener.reading(source.name, fraction); };
  DataFile data = source.arrays != nullptr ? settled(*source.arrays, heard) : load_data(source.name, heard);
  for (const std::string& remark : data.remarks) listener.note(source.name + ": " + remark);
  listener.begins_with("data", [&] { return digest_of(data); });
  return data;
}

template <EnergyModel M>
ColumnOptions columns_for(const ModelFile<M>& file, ColumnOptions columns) {
  if (!(columns.alphabet == AlphabetChoice(AlphabetRule::kAuto))) return columns;
  if (!file.alphabet.characters.empty()) columns.alphabet = file.alphabet.characters;
  if (!file.alphabet.words.empty()) columns.alphabet = AlphabetRule::kColumns;
  return columns;
}

ColumnOptions columns_for(const AnyModelFile& model, const ColumnOptions& columns) {
  return std::visit([&](const auto& file) { return columns_for(file, columns); }, model);
}

template <EnergyModel M>
void require_possible_values(const M& model, const typename M::Data& data, const std::string& split) {
  if (const auto wrong = model.impossible_value(data))
    throw DataError(split + ": case " + std::to_string(wrong->n_case) + " has a value of " +
                    format("%g", static_cast<double>(wrong->value)) + ", " + wrong->constraint);
}

template <EnergyModel M>
void require_values_of(const DataFile& data) {
  if (!HasLetters<M> && !data.alphabet.empty())
    throw DataError(data.name + ": holds sequences of letters, which are for --model " +
                    kinds_with(Feature::kLetters));
}

template <EnergyModel M>
typename M::Data data_for_model(const ModelFile<M>& file, const DataFile& data, const SplitRequest& request,
                                Listener& listener) {
  require_values_of<M>(data);
  if constexpr (std::is_same_v<typename M::Data, RealData>) {
    if (request.method != BinarizeChoice())
      throw UsageError("--binarize means nothing with " + std::string(M::kKind));
    RealData values =
        standardised<M>(prepared(file.preprocessing, file.model.n_visible(), data, request.split, listener),
                        file.units, weights_of(data.split(request.split)));
    require_possible_values(file.model, values, data.name + ", " + request.split);
    return values;
  } else if constexpr (HasLetters<M>) {
    return in_alphabet(file, data, request);
  } else {
    return binarised(file.binarization, file.model.n_visible(), data, request);
  }
}

template <EnergyModel M>
std::vector<double> free_energies_in_units(const ModelFile<M>& file, const Executor& executor,
                                           const typename M::Data& cases) {
  std::vector<double> values = free_energies(Engine<M>{file.model, {}, executor}, file.theta, cases);
  const double shift = file.log_partition_shift();
  for (double& value : values) value -= shift;
  return values;
}

#define TEMPERA_INSTANTIATE(M)                                                                           \
  template ColumnOptions columns_for(const ModelFile<M>&, ColumnOptions);                                \
  template void require_possible_values(const M&, const M::Data&, const std::string&);                   \
  template void require_values_of<M>(const DataFile&);                                                   \
  template M::Data data_for_model(const ModelFile<M>&, const DataFile&, const SplitRequest&, Listener&); \
  template std::vector<double> free_energies_in_units(const ModelFile<M>&, const Executor&, const M::Data&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
