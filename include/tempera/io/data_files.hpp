// Data sets: built-in ones and files, as tables of numbers, and their conversion to binary data.
//
// Formats: HDF5 (ours, or /samples with /labels), IDX (plain or gzip), NumPy .npy and .npz, .csv. The NumPy
// and IDX headers are read here from their documented layout; zlib and libzip unpack.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tempera/core/dataset.hpp"
#include "tempera/io/preprocessing.hpp"

namespace tempera {

/// rows x columns numbers, C order; either bytes or floats are filled.
struct Table {
  Index rows = 0;
  Index columns = 0;
  std::vector<std::uint8_t> bytes;
  std::vector<float> floats;

  [[nodiscard]] bool is_bytes() const { return floats.empty(); }
  [[nodiscard]] double at(Index k) const {
    const auto i = static_cast<std::size_t>(k);
    return is_bytes() ? bytes[i] : floats[i];
  }
};

struct DataFile {
  std::string name;                     // as the user gave it
  std::map<std::string, Table> splits;  // "train", "valid", "test"
  std::map<std::string, std::vector<std::int64_t>> labels;
  std::map<std::string, std::vector<std::string>> names;  // of the cases of a split, where the file has them
  std::vector<std::int64_t> visible_shape;                // empty where unknown
  std::map<std::string, std::string> notes;               // source, licence, ...
  Preprocessing preprocessing;                            // that made these cases; empty for raw ones

  [[nodiscard]] Index columns() const { return splits.begin()->second.columns; }
  /// Throws DataError naming the splits that exist.
  [[nodiscard]] const Table& split(const std::string& split) const;
};

/// A built-in name or a path. Throws NoInputError or DataError; every table has rows, columns and finite
/// numbers only unless `allow_non_finite`.
DataFile load_data(const std::string& name, bool allow_non_finite = false);

/// The wanted arrays of a .npz archive that are there, by name without its ending; of a .npy file, its one
/// array, by the file's stem. Arrays of one axis have one column. Throws NoInputError or DataError.
std::map<std::string, Table> load_numpy_arrays(const std::filesystem::path& path,
                                               const std::vector<std::string>& wanted);

/// Whether a name is that of a built-in set.
bool is_builtin(const std::string& name);

/// Built-in sets: digits, bars-and-stripes, modes[:seed], colours-positions, fashion-mnist. Returns false
/// where the name is not one.
bool load_builtin(const std::string& name, DataFile& data);

/// Labels of an IDX file of one axis with `rows` values, plain or gzip.
std::vector<std::int64_t> load_idx_labels(const std::string& name, Index rows);

/// Cases of a table, in the order given.
Table rows_of(const Table& table, std::span<const Index> rows);

/// A table as rows of real numbers.
Matrix real_rows(const Table& table);

void write_data(const DataFile& data, const std::filesystem::path& path);

/// How grey values become bits.
struct Binarization {
  BinarizeMethod method = BinarizeMethod::kNone;
  double maximum = 1.0;    // grey value that stands for 1
  std::uint64_t seed = 0;  // of the draws of kSample
};

/// The rule for a data set: largest grey value over all its splits (1 at least). Throws DataError for grey
/// data with kNone, and for values that are not grey levels. Binary data needs no rule: kNone.
Binarization binarization_for(const DataFile& data, BinarizeMethod method, std::uint64_t seed);

/// Bits of one split. threshold: value > maximum / 2; sample: one Bernoulli(value / maximum) draw per value,
/// a function of the rule's seed, split and position.
BinaryData binarize(const DataFile& data, const std::string& split, const Binarization& rule);

}  // namespace tempera
