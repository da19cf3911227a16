// Data sets described, split, cut into patches, prepared and binarised.
#pragma once

#include <filesystem>
#include <limits>

#include "tempera/core/option.hpp"
#include "tempera/core/reading.hpp"
#include "tempera/io/data_files.hpp"
#include "tempera/services/alignment.hpp"
#include "tempera/services/listener.hpp"

namespace tempera {

struct ConversionOptions {
  BinarizeChoice binarize;
  ColumnOptions columns;
  std::string shape;
  bool transpose = false;
  bool allow_constant = false;
  std::string patches;
  bool dequantise = false;
  bool remove_mean = false;
  bool contrast = false;
  double contrast_floor = PreprocessingRequest().contrast_floor;
  bool centre = false;
  Whitening whiten = Whitening::kNone;
  double regularisation = PreprocessingRequest().regularisation;
  std::optional<std::int64_t> components;
  std::string out;
  std::string logo;
  bool unique = false;
  double max_gaps = 1.0;
  double max_column_gaps = 1.0;
  Leveled<ReweightRule> reweight;
  double valid = 0.0;
  double test = 0.0;
  std::optional<double> split_identity;
  std::int64_t seed = 1;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"binarize", "how grey data becomes binary", true}, s.binarize...);
    ColumnOptions::visit(f, s.columns...);
    f(OptionText{"shape",
                 "HEIGHTxWIDTH of a case as a picture, or HEIGHTxWIDTHx3; the file's where not given"},
      s.shape...);
    f(OptionText{"transpose", "pictures with their rows and columns in each other's place"}, s.transpose...);
    f(OptionText{"allow-constant", "take data that --binarize makes constant for the most part"},
      s.allow_constant...);
    f(OptionText{"patches", "HEIGHTxWIDTH: cut pictures into patches of this shape, a case each"},
      s.patches...);
    f(OptionText{"dequantise", "add uniform noise in [0, 1) to grey levels"}, s.dequantise...);
    f(OptionText{"remove-mean", "subtract from each case its mean"}, s.remove_mean...);
    f(OptionText{"contrast", "divide each case by sqrt(its variance + the floor): contrast normalisation"},
      s.contrast...);
    f(OptionText{"contrast-floor", "added to the variance of a case, in its units"}, s.contrast_floor...);
    f(OptionText{"centre", "subtract the mean of the train split"}, s.centre...);
    f(OptionText{"whiten", "after centring; the inverse is kept"}, s.whiten...);
    f(OptionText{"whiten-regularisation", "part of the mean variance that is added to that of every axis"},
      s.regularisation...);
    f(OptionText{"components", "axes of pca at most; auto: all along which the data vary"}, s.components...);
    f(OptionText{"out",
                 "file to write: .h5 or .npz, or of one split .csv or .npy, .fasta or .sto of sequences",
                 true},
      s.out...);
    f(OptionText{"logo",
                 "picture (.png, .svg or .pdf) of the information of every site of sequences, in bits"},
      s.logo...);
    f(OptionText{"unique", "sequences once each, the first of equal ones"}, s.unique...);
    f(OptionText{"max-gaps", "part of a sequence that may be gaps; others are left out"}, s.max_gaps...);
    f(OptionText{"max-column-gaps",
                 "part of the sequences that may have a gap at a site; other sites are left out"},
      s.max_column_gaps...);
    f(OptionText{"reweight", "weights of sequences: 1 over the number of their neighbours in the split"},
      s.reweight...);
    f(OptionText{"valid", "fraction of the cases of an unsplit set that becomes the valid split"},
      s.valid...);
    f(OptionText{"test", "fraction that becomes the test split"}, s.test...);
    f(OptionText{"split-identity",
                 "no sequence of one split is the same as one of another at this part of the sites or more: "
                 "splits are of "
                 "whole clusters",
                 false, "none"},
      s.split_identity...);
    f(OptionText{"seed", "seed of --binarize sample, --dequantise and the splits"}, s.seed...);
  }
};

/// What the values of a split are.
struct SplitSummary {
  std::string name;
  Index rows = 0;
  bool binary = true;  // every value is 0 or 1
  double mean = 0.0;
  double minimum = std::numeric_limits<double>::infinity();  // of the finite values
  double maximum = -std::numeric_limits<double>::infinity();
  std::int64_t constant_columns = 0;
  std::int64_t not_finite = 0;
};

struct ConversionResult {
  std::string name;
  Index columns = 0;
  std::vector<std::int64_t> visible_shape;
  std::vector<SplitSummary> splits;
  std::vector<std::pair<std::string, std::size_t>> labels;  // split, how many
  std::map<std::string, std::string> notes;
  std::vector<std::string> remarks;           // what was found and done
  std::optional<AlignmentSummary> alignment;  // of sequences of letters
  std::string out;                            // empty where nothing was written

  [[nodiscard]] std::string words() const;
};

/// Describes a data set after the steps that are asked for, and writes it where `out` is named. Throws
/// UsageError where steps do not go together, ConfigError, DataError, NoInputError, WriteError, Interrupted.
/// Cost of sequences: n^2 comparisons.
ConversionResult convert_data(const std::string& data, const ConversionOptions& options,
                              const Executor& executor, Listener& listener);

}  // namespace tempera
