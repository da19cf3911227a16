#include <nlohmann/json.hpp>

#include "readers.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/io/byte_stream.hpp"

namespace tempera {
namespace {

/// Takes the numbers of a JSON text, each under the bits that it counts; objects may lie in one another.
class Counts : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Counts(std::string name) : name_(std::move(name)) {}

  Table table;

  bool key(string_t& text) override {
    key_ = text;
    return true;
  }
  bool number_integer(number_integer_t value) override { return count(static_cast<double>(value)); }
  bool number_unsigned(number_unsigned_t value) override { return count(static_cast<double>(value)); }
  bool number_float(number_float_t value, const string_t&) override { return count(value); }
  bool start_object(std::size_t) override { return true; }
  bool end_object() override { return true; }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::json::exception&) override {
    bad("is no whole JSON text: it cannot be read beyond byte " + std::to_string(at));
  }
  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("a truth value"); }
  bool string(string_t&) override { return refuse("a text"); }
  bool binary(binary_t&) override { return refuse("bytes"); }
  bool start_array(std::size_t) override { return refuse("a list"); }
  bool end_array() override { return true; }

 private:
  [[noreturn]] void bad(const std::string& problem) const { throw DataError(name_ + ": " + problem); }
  bool refuse(const std::string& what) const {
    bad("'" + key_ + "': expected how often these bits were seen, found " + what +
        "; JSON data are counts, as {\"0101\": 12, \"1100\": 3}");
  }
  bool count(double weight) {
    Index width = 0;
    for (const char bit : key_) {
      if (bit == ' ') continue;
      if (bit != '0' && bit != '1')
        bad("'" + key_ +
            "' counts something that is not written in bits; JSON data are counts, as "
            "{\"0101\": 12, \"1100\": 3}");
      table.bytes.own().push_back(bit == '1' ? 1 : 0);
      ++width;
    }
    if (table.rows > 0 && width != table.columns)
      bad("'" + key_ + "' has " + std::to_string(width) + " bits, those before it " +
          std::to_string(table.columns));
    table.columns = width;
    ++table.rows;
    table.weights.push_back(weight);
    return true;
  }

  std::string name_;
  std::string key_;
};

}  // namespace

Table read_counts(const std::filesystem::path& path) {
  ByteStream stream(path);
  Counts counts(path.string());
  nlohmann::json::sax_parse(stream.rest(), &counts);
  if (counts.table.rows == 0 || counts.table.columns == 0)
    throw DataError(path.string() + ": holds no counts of bits, as {\"0101\": 12, \"1100\": 3}");
  return std::move(counts.table);
}

}  // namespace tempera
