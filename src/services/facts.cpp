#include "tempera/services/facts.hpp"

namespace tempera {
namespace {

void write_fact(Hdf5Writer& file, const std::string& group, const std::string& name, bool value) {
  file.attribute(group, name, std::int64_t{value});
}
template <class T>
void write_fact(Hdf5Writer& file, const std::string& group, const std::string& name, const T& value) {
  file.attribute(group, name, value);
}
void write_fact(Hdf5Writer& file, const std::string& group, const std::string& name,
                const std::vector<double>& values) {
  file.dataset(group + "/" + name, {values.size()}, values.data());
}

}  // namespace

void write_facts(Hdf5Writer& file, const std::string& group, const Facts& facts) {
  for (const auto& [name, fact] : facts) {
    std::visit([&file, &group, &name = name](const auto& value) { write_fact(file, group, name, value); },
               fact);
  }
}

}  // namespace tempera
