// Data sets: built-in ones and files, as tables of numbers, and their conversion to binary data.
//
// What a file is, its content tells: HDF5, NumPy arrays and archives, IDX, text; each plain or packed by
// gzip. docs/data.md has the table of what is read.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tempera/core/dataset.hpp"
#include "tempera/core/reading.hpp"
#include "tempera/io/cells.hpp"
#include "tempera/io/preprocessing.hpp"

namespace tempera {

class Hdf5Reader;
class Hdf5Writer;

/// rows x columns numbers, C order; either bytes or floats are filled.
struct Table {
  Index rows = 0;
  Index columns = 0;
  Cells<std::uint8_t> bytes;
  Cells<float> floats;
  std::vector<double> weights;  // of the rows, positive; empty where each counts once

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
  std::vector<std::string> label_names;                   // of labels 0, 1, ... that were words; else empty
  std::vector<std::string> column_names;                  // empty where the file names none
  std::map<std::string, std::vector<std::string>> names;  // of the cases of a split, where the file has them
  /// 1 for every value of a split that is missing, and has another value of its column in its place; of
  /// splits without any, and where missing values are not kept, nothing.
  std::map<std::string, std::vector<std::uint8_t>> missing;
  Alphabet alphabet;                         // of codes; empty where values are no letters
  std::vector<std::int64_t> visible_shape;   // empty where unknown
  std::map<std::string, std::string> notes;  // source, licence, ...
  Preprocessing preprocessing;               // that made these cases; empty for raw ones
  std::vector<std::string> remarks;          // what was found and done on the way, for people to read

  [[nodiscard]] Index columns() const { return splits.begin()->second.columns; }
  /// Throws DataError naming the splits that exist.
  [[nodiscard]] const Table& split(const std::string& split) const;
};

/// Place of the column, or case, of this name, or of this number as users count from `first`; nothing of
/// other words. The place may lie beyond what there is; it is -1 before the first.
std::optional<Index> place_called(const std::vector<std::string>& names, std::string_view text, Index first);

/// A built-in name, a path, or FILE:NAME, which chooses an array of a file. Every table has rows, columns and
/// finite numbers only, unless `allow_non_finite`. Throws NoInputError, or DataError, which says what is
/// inside and how to choose where that is open; UsageError where a column is named that there is not.
DataFile load_data(const std::string& name, const ReadingOptions& reading = {},
                   bool allow_non_finite = false);

/// Data as `load_data` gives them of tables that are there already: the columns that are asked for, weights,
/// missing values. Errors as those of load_data.
DataFile settled(DataFile data, const ReadingOptions& reading = {}, bool allow_non_finite = false);

/// The wanted arrays of a NumPy archive that are there, by name; of a single array, that one, by the file's
/// stem. Arrays of one axis have one column. Throws NoInputError or DataError.
std::map<std::string, Table> load_numpy_arrays(const std::filesystem::path& path,
                                               const std::vector<std::string>& wanted);

/// Names, shapes and types of the arrays of a file that has such; empty for others. Throws NoInputError or
/// DataError.
std::string arrays_in(const std::filesystem::path& path, const char* between = ", ");

/// The same data wherever the program is run: a path becomes absolute, a built-in name stays.
std::string absolute_data(const std::string& name);

/// A file that comes with the program: of TEMPERA_DATA_DIR, or from where the program stands, the build or
/// the installation. Throws NoInputError.
std::string shipped_file(const std::string& name);

/// Whether a name is that of a built-in set.
bool is_builtin(const std::string& name);

/// Built-in sets: digits, bars-and-stripes, modes[:seed], colours-positions, fashion-mnist. Returns false
/// where the name is not one.
bool load_builtin(const std::string& name, DataFile& data);

/// Labels of an IDX file of one axis with `rows` values, plain or gzip.
std::vector<std::int64_t> load_idx_labels(const std::string& name, Index rows);

/// Cases of a table, in the order given.
Table rows_of(const Table& table, std::span<const Index> rows);

/// These cases of a split, or these columns of all, with all that belongs to them.
void keep_cases(const std::string& split, const std::vector<Index>& kept, DataFile& data);
void keep_columns(const std::vector<Index>& kept, DataFile& data);

/// A table as rows of real numbers, and how often each counts.
Matrix real_rows(const Table& table);
CaseWeights weights_of(const Table& table);

void write_data(const DataFile& data, const std::filesystem::path& path);

/// Cases of letters of one character as FASTA or Stockholm, by the file's ending; those without a name have
/// their number. Throws UsageError where the alphabet is of words or of none, WriteError.
void write_sequences(const std::filesystem::path& path, const Table& table, const Alphabet& alphabet,
                     const std::vector<std::string>& names);

/// The attribute `alphabet` of a group, or a list alphabet/<site> for each site; nothing of an empty one.
Alphabet read_alphabet(const Hdf5Reader& file, const std::string& group);
void write_alphabet(Hdf5Writer& file, const std::string& group, const Alphabet& alphabet);

/// How grey values, or two values of another kind, become bits.
struct Binarization {
  BinarizeMethod method = BinarizeMethod::kNone;
  double maximum = 1.0;           // grey value that stands for 1: the data's own, and 1 for probabilities
  std::uint64_t seed = 0;         // of the draws of kSample
  double level = 0.5;             // of kThreshold: a larger value is a 1
  std::vector<float> thresholds;  // of kMedian and kMean: of every column, on the training cases
  bool spins = false;             // the data are -1 and 1, which stand for 0 and 1
};

/// The rule for a data set: its range is that of all its splits, its medians and means are of the train
/// split. Throws DataError for grey data with kNone, and for values that are not grey levels where such are
/// meant. Binary data and spins need no rule: kNone.
Binarization binarization_for(const DataFile& data, const BinarizeChoice& choice, std::uint64_t seed);

/// Bits of one split. sample: one Bernoulli(value / maximum) draw per value, a function of the rule's seed,
/// split and position.
BinaryData binarize(const DataFile& data, const std::string& split, const Binarization& rule);

/// What kSampleEach draws the bits of a table from: grey values over the largest.
Probabilities probabilities_of(const Table& table, const Binarization& rule);

/// Sequences of letters of one split: its values are codes of the file's alphabet. Throws DataError.
CategoricalData categorical(const DataFile& data, const std::string& split);

/// Columns of a table, or of bits, that have one value only.
Index constant_columns(const Table& table);
Index constant_columns(const BinaryData& data);
Index constant_columns(const CategoricalData& data);

/// Refuses bits of which more than half of the columns are constant where those of the values are not. Throws
/// DataError, which says what to do.
void require_varying(const DataFile& data, const Table& values, const BinaryData& bits);

}  // namespace tempera
