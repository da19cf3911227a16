#include <dlfcn.h>

#include <array>
#include <boost/random/bernoulli_distribution.hpp>
#include <boost/random/discrete_distribution.hpp>
#include <boost/random/normal_distribution.hpp>
#include <cstdlib>

#include "tempera/core/errors.hpp"
#include "tempera/core/random.hpp"
#include "tempera/io/data_files.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;

/// Where the program, or the shared library that this code is part of, stands: an installation may be moved.
fs::path own_directory() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&is_builtin), &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code error;
  // Of a program, the name is the one that it was called by.
  const fs::path name(info.dli_fname);
  const fs::path file = name.extension() == ".so" ? name : fs::read_symlink("/proc/self/exe", error);
  return fs::canonical(file, error).parent_path();
}

/// 4 x 4 images, all rows or all columns uniform (MacKay 2003, p. 524): 16 + 16 equally likely draws, of
/// which the empty and the full image occur twice. Entropy 3.379 nats. All splits are the whole distribution.
void bars_and_stripes(DataFile& data) {
  Table table;
  table.rows = 32;
  table.columns = 16;
  for (int transposed = 0; transposed < 2; ++transposed) {
    for (unsigned pattern = 0; pattern < 16; ++pattern) {
      for (unsigned r = 0; r < 4; ++r) {
        for (unsigned c = 0; c < 4; ++c) {
          table.bytes.own().push_back(static_cast<std::uint8_t>(pattern >> (transposed != 0 ? c : r) & 1));
        }
      }
    }
  }
  data.splits = {{"train", table}, {"valid", table}, {"test", table}};
  data.visible_shape = {4, 4};
  data.notes["source"] = "bars-and-stripes, 4 x 4, generated";
}

/// Five random modes of 28 x 28 fair bits with unequal weights and flip probabilities (Desjardins et al. 2010
/// settings). Entropy 78.826 nats.
void modes(std::uint64_t seed, DataFile& data) {
  constexpr Index kColumns = 784;
  constexpr std::array<double, 5> kWeights = {.3314, .2262, .0812, .0254, .3358};
  constexpr std::array<double, 5> kFlips = {.0001, .0137, .0215, .0223, .0544};
  const StreamFactory streams{seed};
  std::array<std::vector<std::uint8_t>, 5> mode;
  for (std::uint32_t m = 0; m < 5; ++m) {
    StreamEngine random = streams.engine(Purpose::kDataSet, 0, m);
    for (Index i = 0; i < kColumns; ++i) mode[m].push_back(static_cast<std::uint8_t>(random() & 1));
  }
  std::uint64_t step = 1;
  for (const auto& [split, rows] :
       {std::pair<const char*, Index>{"train", 50000}, {"valid", 10000}, {"test", 10000}}) {
    Table table;
    table.rows = rows;
    table.columns = kColumns;
    table.bytes.own().resize(static_cast<std::size_t>(rows * kColumns));
    for (Index n = 0; n < rows; ++n) {
      StreamEngine random = streams.engine(Purpose::kDataSet, step, static_cast<std::uint32_t>(n));
      const auto m = static_cast<std::size_t>(
          boost::random::discrete_distribution<int>(kWeights.begin(), kWeights.end())(random));
      const boost::random::bernoulli_distribution<> flip(kFlips[m]);
      for (Index i = 0; i < kColumns; ++i) {
        table.bytes.own()[static_cast<std::size_t>(n * kColumns + i)] =
            static_cast<std::uint8_t>(mode[m][static_cast<std::size_t>(i)] ^ (flip(random) ? 1 : 0));
      }
    }
    data.splits[split] = std::move(table);
    ++step;
  }
  data.visible_shape = {28, 28};
  data.notes["source"] = "five modes, generated with seed " + std::to_string(seed) + ", entropy 78.826 nats";
}

/// Two kinds of factors that meet in products (after Desjardins, Courville, Bengio 2012): three colour planes
/// of 3 x 20 pixels, five positions four columns apart with a 3 x 3 pattern each; plane i shows pattern j
/// where colour bit i and position bit j are on, times a random sign and N(1, 0.1^2), all drawn for each
/// patch. Plus N(0, 0.1^2) everywhere. Labels are the bits: colours in bits 0 to 2, positions in bits 3 to 7.
void colours_positions(DataFile& data) {
  constexpr Index kPlanes = 3;
  constexpr Index kPositions = 5;
  constexpr Index kRows = 3;
  constexpr Index kWidth = 20;
  constexpr std::array<std::array<int, 9>, 5> kPatterns = {{{1, 1, 1, 1, 0, 1, 1, 1, 1},
                                                            {1, 0, 1, 0, 1, 0, 1, 0, 1},
                                                            {0, 1, 0, 1, 1, 1, 0, 1, 0},
                                                            {1, 1, 1, 0, 0, 0, 1, 1, 1},
                                                            {1, 0, 1, 1, 0, 1, 1, 0, 1}}};
  const StreamFactory streams{0};
  std::uint64_t step = 0;
  for (const auto& [split, rows] :
       {std::pair<const char*, Index>{"train", 20000}, {"valid", 5000}, {"test", 5000}}) {
    Table table;
    table.rows = rows;
    table.columns = kPlanes * kRows * kWidth;
    for (Index n = 0; n < rows; ++n) {
      StreamEngine random = streams.engine(Purpose::kDataSet, 1000 + step, static_cast<std::uint32_t>(n));
      boost::random::normal_distribution<float> normal;
      const std::uint32_t bits = random() & 0xFFU;
      std::array<std::array<float, kPositions>, kPlanes> scale{};
      for (std::size_t i = 0; i < kPlanes; ++i) {
        for (std::size_t j = 0; j < kPositions; ++j) {
          const float sign = (random() & 1U) != 0 ? 1.0F : -1.0F;
          const float length = 1.0F + 0.1F * normal(random);
          if ((bits >> i & 1U) != 0 && (bits >> (3 + j) & 1U) != 0) scale[i][j] = sign * length;
        }
      }
      for (std::size_t i = 0; i < kPlanes; ++i) {
        for (Index r = 0; r < kRows; ++r) {
          for (Index c = 0; c < kWidth; ++c) {
            const auto j = static_cast<std::size_t>(c / 4);
            const bool inside = c % 4 < 3 && kPatterns[j][static_cast<std::size_t>(3 * r + c % 4)] != 0;
            table.floats.own().push_back((inside ? scale[i][j] : 0.0F) + 0.1F * normal(random));
          }
        }
      }
      data.labels[split].push_back(bits);
    }
    data.splits[split] = std::move(table);
    ++step;
  }
  data.visible_shape = {kPlanes * kRows, kWidth};
  data.notes["source"] = "three colours times five positions, generated";
}

void fashion_mnist(DataFile& data) {
  const std::string folder = "/usr/share/datasets/fashion-mnist/";
  if (!fs::exists(folder)) {
    throw NoInputError("fashion-mnist: not installed; on Debian: apt-get install dataset-fashion-mnist");
  }
  data.splits["train"] = load_data(folder + "train-images-idx3-ubyte.gz").splits.at("train");
  data.splits["test"] = load_data(folder + "t10k-images-idx3-ubyte.gz").splits.at("train");
  for (const auto& [split, file] :
       {std::pair<const char*, const char*>{"train", "train-labels-idx1-ubyte.gz"},
        {"test", "t10k-labels-idx1-ubyte.gz"}}) {
    data.labels[split] = load_idx_labels(folder + file, data.splits.at(split).rows);
  }
  data.visible_shape = {28, 28};
  data.notes["source"] = "Debian package dataset-fashion-mnist";
}

}  // namespace

std::string shipped_file(const std::string& file) {
  std::vector<std::string> places;
  if (const char* place = std::getenv("TEMPERA_DATA_DIR")) places.emplace_back(place);
  if (const fs::path program = own_directory(); !program.empty()) {
    for (const char* const place :
         {"data", "../data", "../share/tempera", "../../share/tempera", "../../../../share/tempera"})
      places.push_back((program / place).string());
  }
  places.emplace_back(TEMPERA_SOURCE_DATA_DIR);
  places.emplace_back(TEMPERA_INSTALLED_DATA_DIR);
  for (const std::string& place : places) {
    if (fs::exists(fs::path(place) / file)) return (fs::path(place) / file).string();
  }
  throw NoInputError(file + ": not found in " + places.front() + "; set TEMPERA_DATA_DIR");
}

bool is_builtin(const std::string& name) {
  return name == "digits" || name == "bars-and-stripes" || name == "modes" || name.rfind("modes:", 0) == 0 ||
         name == "fashion-mnist" || name == "colours-positions";
}

bool load_builtin(const std::string& name, DataFile& data) {
  if (!is_builtin(name)) return false;
  if (name == "digits") {
    data = load_data(shipped_file("digits.h5"));
    data.name = name;
  } else if (name == "bars-and-stripes") {
    bars_and_stripes(data);
  } else if (name == "colours-positions") {
    colours_positions(data);
  } else if (name == "fashion-mnist") {
    fashion_mnist(data);
  } else {
    const std::string seed = name.size() > 6 ? name.substr(6) : "0";
    if (seed.empty() || seed.find_first_not_of("0123456789") != std::string::npos || seed.size() > 18) {
      throw NoInputError(name + ": the seed after 'modes:' must be a whole number");
    }
    modes(std::strtoull(seed.c_str(), nullptr, 10), data);
  }
  return true;
}

}  // namespace tempera
