// Files from the inside; tests/cli reads and writes them from the other side, with h5py.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tempera/core/errors.hpp"
#include "tempera/core/random.hpp"
#include "tempera/io/canvas.hpp"
#include "tempera/io/data_files.hpp"
#include "tempera/io/files.hpp"
#include "tempera/io/hdf5.hpp"
#include "tempera/io/image.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;

class Io : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("tempera-io-" + std::to_string(::getpid()) + "-" +
                                           testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  [[nodiscard]] fs::path file(const std::string& name) const { return folder_ / name; }
  static void put(const fs::path& path, std::string_view bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }

  fs::path folder_;
};

struct Inner {
  Vector values;
  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("values", s.values...);
  }
};

struct Everything {
  Matrix matrix;
  Vector vector;
  std::uint64_t count = 0;
  double number = 0;
  Inner inner;
  std::vector<Inner> list;
  Vector empty;
  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("matrix", s.matrix...);
    f("vector", s.vector...);
    f("count", s.count...);
    f("number", s.number...);
    f("inner", s.inner...);
    f("list", s.list...);
    f("empty", s.empty...);
  }
};

Everything example() {
  Everything value;
  value.matrix = Matrix::Random(3, 5);
  value.vector = Vector::Random(4);
  value.count = 1234567890123;
  value.number = -1.0 / 3.0;
  value.inner.values = Vector::Random(2);
  value.list = {{Vector::Random(6)}, {Vector::Random(6)}};
  return value;
}

Everything blank() {
  Everything value = example();
  value.matrix.setZero();
  value.vector.setZero();
  value.count = 0;
  value.number = 0;
  value.inner.values.setZero();
  for (Inner& inner : value.list) inner.values.setZero();
  return value;
}

TEST_F(Io, FieldsComeBackBitForBit) {
  const Everything written = example();
  Hdf5Writer out("model");
  out.fields("/thing", written);
  out.write(file("a.h5"));
  Everything read = blank();
  Hdf5Reader(file("a.h5")).fields("/thing", read);
  EXPECT_TRUE(equal_fields(written, read));
  read.list[1].values[5] += 1e-7F;
  EXPECT_FALSE(equal_fields(written, read)) << "one changed number must be seen";
}

struct Count {
  std::uint64_t count = 0;
  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("count", s.count...);
  }
};
struct None {
  template <class F, class... S>
  static void visit(F&&, S&&...) {}
};
struct Choice {
  std::variant<None, Inner, Count> choice;
  Vector beside;
  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("choice", s.choice...);
    f("beside", s.beside...);
  }
};

TEST_F(Io, AVariantStandsForTheStructThatItHolds) {
  const Choice written{Inner{Vector::Random(3)}, Vector::Random(2)};
  Hdf5Writer out("model");
  out.fields("/thing", written);
  out.write(file("a.h5"));
  const Hdf5Reader in(file("a.h5"));
  EXPECT_EQ(in.children("/thing"), (std::vector<std::string>{"beside", "choice"}));
  EXPECT_EQ(in.children("/thing/choice"), (std::vector<std::string>{"values"}));
  Choice read{Inner{Vector::Zero(3)}, Vector::Zero(2)};
  in.fields("/thing", read);
  EXPECT_TRUE(equal_fields(written, read));
  Choice empty{None{}, Vector::Zero(2)};
  in.fields("/thing", empty);
  EXPECT_FALSE(equal_fields(written, empty));
  Choice other{Count{}, Vector::Zero(2)};
  EXPECT_THROW(in.fields("/thing", other), DataError) << "planted: the file holds another struct";
}

TEST_F(Io, AReaderNamesWhatItExpectedAndFound) {
  Hdf5Writer out("model");
  out.fields("/thing", example());
  out.write(file("a.h5"));
  Everything read = blank();
  read.matrix.resize(5, 3);
  try {
    Hdf5Reader(file("a.h5")).fields("/thing", read);
    FAIL() << "a transposed array was taken";
  } catch (const DataError& error) {
    const std::string text = error.what();
    for (const char* part : {"a.h5", "/thing/matrix", "(5, 3)", "(3, 5)"})
      EXPECT_NE(text.find(part), std::string::npos) << text;
  }
}

/// Every damaged version of `bytes` must load, or be refused with DataError; nothing else may happen.
void survive_damage(const fs::path& path, const std::string& bytes,
                    const std::function<void(const fs::path&)>& load) {
  int refused = 0;
  const auto attempt = [&](const std::string& damaged) {
    std::ofstream(path, std::ios::binary) << damaged;
    try {
      load(path);
    } catch (const DataError&) {
      ++refused;
    }
  };
  attempt(bytes);
  EXPECT_EQ(refused, 0) << "the undamaged file must load";
  const std::size_t stride = std::max<std::size_t>(1, bytes.size() / 150);
  for (std::size_t length = 0; length < bytes.size(); length += stride) attempt(bytes.substr(0, length));
  EXPECT_GT(refused, 0) << "a truncated file must not load";
  StreamEngine random = StreamFactory{3}.engine(Purpose::kDataSet, 0);
  for (int k = 0; k < 400; ++k) {
    std::string damaged = bytes;
    // Headers are where damage hurts: half of the changes go to the first 200 bytes.
    const std::size_t range = k % 2 == 0 ? std::min<std::size_t>(200, bytes.size()) : bytes.size();
    damaged[random() % range] = static_cast<char>(random());
    attempt(damaged);
  }
}

TEST_F(Io, DamagedHdf5IsRefusedNeverFatal) {
  Hdf5Writer out("model");
  out.fields("/thing", example());
  out.write(file("a.h5"));
  survive_damage(file("b.h5"), read_file(file("a.h5")), [](const fs::path& path) {
    const Hdf5Reader reader(path);
    Everything read = blank();
    reader.fields("/thing", read);
  });
}

TEST_F(Io, DamagedNumpyIsRefusedNeverFatal) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }";
  header.resize(117, ' ');
  header += '\n';
  std::string bytes =
      std::string("\x93NUMPY\x01", 7) + '\0' + static_cast<char>(header.size()) + '\0' + header;
  for (int k = 0; k < 12; ++k) {
    const auto value = static_cast<float>(k) / 11.0F;
    char raw[4];
    std::memcpy(raw, &value, 4);
    bytes.append(raw, 4);
  }
  put(file("a.npy"), bytes);
  const DataFile data = load_data(file("a.npy").string());
  EXPECT_EQ(data.columns(), 4);
  EXPECT_FLOAT_EQ(static_cast<float>(data.splits.begin()->second.at(11)), 1.0F);
  survive_damage(file("b.npy"), bytes,
                 [](const fs::path& path) { (void)load_data(path.string(), {}, true); });
}

TEST_F(Io, DamagedIdxIsRefusedNeverFatal) {
  std::string bytes("\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x03", 16);
  bytes += "abcdefghijkl";
  put(file("a-idx3-ubyte"), bytes);
  const DataFile data = load_data(file("a-idx3-ubyte").string());
  EXPECT_EQ(data.columns(), 6);
  EXPECT_EQ(data.visible_shape, (std::vector<std::int64_t>{2, 3}));
  survive_damage(file("b-idx3-ubyte"), bytes, [](const fs::path& path) { (void)load_data(path.string()); });
}

TEST_F(Io, ReadingInPiecesGivesTheSameValuesAndTellsHowFarItIs) {
  constexpr std::uint64_t kRows = 30001;
  constexpr std::uint64_t kColumns =
      1117;  // 33 MB of bytes, which are packed in chunks, and 134 MB of floats
  std::vector<std::uint8_t> bytes(kRows * kColumns);
  std::vector<float> floats(kRows * kColumns);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(i * 2654435761U >> 13U);
    floats[i] = static_cast<float>(i);
  }
  Hdf5Writer writer("data");
  writer.dataset("/bytes", {kRows, kColumns}, bytes.data());
  writer.dataset("/floats", {kRows, kColumns}, floats.data());
  writer.write(file("large.h5"));
  std::vector<double> heard;
  const ReadingProgress told = [&](double fraction) { heard.push_back(fraction); };
  const Hdf5Reader reader(file("large.h5"));
  std::vector<std::uint8_t> bytes_read(bytes.size());
  std::vector<float> floats_read(floats.size());
  reader.dataset("/bytes", {kRows, kColumns}, bytes_read.data(), false, told);
  EXPECT_EQ(bytes_read, bytes);
  ASSERT_GE(heard.size(), 3U);
  EXPECT_TRUE(std::is_sorted(heard.begin(), heard.end()));
  EXPECT_EQ(heard.front(), 0.0);
  EXPECT_EQ(heard.back(), 1.0);
  heard.clear();
  reader.dataset("/floats", {kRows, kColumns}, floats_read.data(), false, told);
  EXPECT_EQ(floats_read, floats);
  EXPECT_GE(heard.size(), 5U);
}

TEST_F(Io, AFileIsWrittenWholeOrNotAtAll) {
  write_file(file("a"), "first");
  write_file(file("a"), "second");
  EXPECT_EQ(read_file(file("a")), "second");
  fs::create_directory(file("directory"));
  EXPECT_THROW(write_file(file("directory"), "x"), WriteError);
  EXPECT_THROW(write_file(file("missing") / "a", "x"), WriteError);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 2)
      << "no temporary file may stay";
}

TEST_F(Io, TilesStandWhereTheyShould) {
  // Two tiles of 1 x 2: white then black; black then white.
  const Image image = tile_grid({{1.0F, 0.0F}, {0.0F, 1.0F}}, {1, 2}, ColourMap::kGrey);
  const auto pixel = [&](Index r, Index c) {
    return image.rgb[static_cast<std::size_t>((r * image.columns + c) * 3)];
  };
  const Index zoom = 8;
  EXPECT_EQ(pixel(2, 2), 255);
  EXPECT_EQ(pixel(2, 2 + zoom), 0);
}

TEST_F(Io, DrawingsAreWrittenAsTheirNamesEnd) {
  const auto drawn = [](const Colour& colour) {
    auto canvas = std::make_unique<Canvas>(80.0, 40.0);
    canvas->fill({10.0, 10.0, 30.0, 20.0}, colour);
    canvas->line({{0.0, 0.0}, {80.0, 40.0}}, kInk);
    canvas->text(5.0, 30.0, "log Z", 12.0);
    canvas->image(tile_grid({{1.0F, 0.0F}}, {1, 2}, ColourMap::kGrey), {50.0, 5.0, 20.0, 12.0});
    return canvas;
  };
  for (const auto& [name, begins] :
       {std::pair{"a.png", "\x89PNG"}, std::pair{"a.svg", "<?xml"}, std::pair{"a.pdf", "%PDF"}}) {
    drawn(kBlue)->write(file(name));
    EXPECT_EQ(read_file(file(name)).rfind(begins, 0), 0U) << name;
    EXPECT_NE(drawn(kGreen)->bytes(name), read_file(file(name))) << name;
    // Cairo numbers what is in an SVG from the start of the process.
    if (std::string(name) != "a.svg") {
      EXPECT_EQ(drawn(kBlue)->bytes(name), read_file(file(name))) << name;
    }
  }
  EXPECT_THROW((void)drawn(kBlue)->bytes("a.txt"), UsageError);
}

TEST(Tiles, OfThreeChannelsAreDrawnInColour) {
  // A picture of 1 x 2: red and green, its channels side by side and one after another.
  const auto colour = [](const Image& image, Index c) {
    const auto at = static_cast<std::size_t>((2 * image.columns + c) * 3);
    return std::vector<int>(image.rgb.begin() + static_cast<std::ptrdiff_t>(at),
                            image.rgb.begin() + static_cast<std::ptrdiff_t>(at + 3));
  };
  for (const auto& [values, planes] : {std::pair{std::vector<float>{1, 0, 0, 0, 1, 0}, false},
                                       std::pair{std::vector<float>{1, 0, 0, 1, 0, 0}, true}}) {
    const Image image = tile_grid({values}, {1, 2, 3, planes}, ColourMap::kGrey);
    EXPECT_EQ(colour(image, 2), (std::vector<int>{255, 0, 0}));
    EXPECT_EQ(colour(image, 2 + 8), (std::vector<int>{0, 255, 0}));
  }
  // Of filters, 0 is a middle grey.
  const Image filter = tile_grid({{-1.0F, 0.0F, 1.0F}}, {1, 1, 3}, ColourMap::kDiverging);
  EXPECT_EQ(colour(filter, 2), (std::vector<int>{0, 128, 255}));
}

TEST(Tiles, OfRealValuesShareOneScale) {
  const Image image = tile_grid({{0.0F, 1.0F}, {3.0F, 4.0F}}, {1, 2}, ColourMap::kStretched, 1);
  const auto grey = [&](Index tile, Index c) {
    return static_cast<int>(image.rgb[static_cast<std::size_t>(((2 + tile * 10) * image.columns + c) * 3)]);
  };
  EXPECT_EQ(grey(0, 2), 0);
  EXPECT_EQ(grey(0, 2 + 8), 64);
  EXPECT_EQ(grey(1, 2), 191);
  EXPECT_EQ(grey(1, 2 + 8), 255);
}

}  // namespace
}  // namespace tempera
