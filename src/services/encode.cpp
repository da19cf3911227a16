#include "tempera/services/encode.hpp"

#include <numeric>

#include "tempera/io/tables.hpp"
#include "tempera/services/cases.hpp"
#include "tempera/services/limits.hpp"

namespace tempera {
namespace {

/// Blocks of cases at a time.
constexpr Index kBlocks = 64;

using Codes = std::vector<std::pair<std::string, Matrix>>;

template <EnergyModel M>
Codes codes_of(const ModelFile<M>& file, const typename M::Data& data, const Executor& executor,
               const Progress& progress) {
  const Engine engine{file.model, {}, executor};
  const Index n = data.n_cases();
  Codes codes;
  for (const Code& code : file.model.codes()) codes.emplace_back(code.name, Matrix(n, code.size));
  std::vector<Index> cases(static_cast<std::size_t>(n));
  std::iota(cases.begin(), cases.end(), Index{0});
  Chains<M> chains;
  Caches<M> caches;
  for (Index first = 0; first < n; first += kBlocks * kLanes) {
    const Index count = std::min(n - first, kBlocks * kLanes);
    load_cases(engine, data,
               std::span(cases).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
               chains);
    caches.fit(file.model, chains.n_chains, executor);
    infer_cases(engine, file.theta, kMeanFieldSweeps, chains.blocks, caches);
    executor.for_each(words_for(count), [&](Index block) {
      const auto b = static_cast<std::size_t>(block);
      const Index lanes = caches.blocks[b].lanes;
      LaneMatrix values;
      for (std::size_t k = 0; k < codes.size(); ++k) {
        Matrix& code = codes[k].second;
        values.resize(code.cols(), kLanes);
        file.model.code_values(k, chains.blocks[b], caches.blocks[b], values);
        code.middleRows(first + block * kLanes, lanes) = values.leftCols(lanes).transpose();
      }
    });
    progress(static_cast<double>(first + count) / static_cast<double>(n));
  }
  return codes;
}

}  // namespace

EncodeResult encode_data(const AnyModelFile& model, const EncodeOptions& options, const Executor& executor,
                         Listener& listener) {
  const DataFile data = read_data_file(options.data, {options.columns}, listener);
  EncodeResult result;
  result.seed = options.seed;
  for (const auto& [split, table] : data.splits) {
    EncodedSplit& encoded = result.splits.emplace_back();
    encoded.split = split;
    const SplitRequest request{split, options.binarize, as_count(options.seed)};
    encoded.codes = std::visit(
        [&](const auto& file) {
          return codes_of(file, data_for_model(file, data, request, listener), executor,
                          stage(listener, "encoding " + request.split));
        },
        model);
    if (const auto labels = data.labels.find(split); labels != data.labels.end())
      encoded.labels = labels->second;
  }
  return result;
}

void write_codes(const EncodeResult& result, const std::filesystem::path& path) {
  if (table_format(path) != TableFormat::kHdf5) {
    std::vector<NamedArray> arrays;
    for (const EncodedSplit& encoded : result.splits) {
      const std::string prefix = result.splits.size() > 1 ? encoded.split + "_" : "";
      for (const auto& [name, values] : encoded.codes)
        arrays.push_back({prefix + name, shape_of(values),
                          std::span<const float>(values.data(), static_cast<std::size_t>(values.size()))});
      if (!encoded.labels.empty() && table_format(path) != TableFormat::kNpy)
        arrays.push_back(
            {prefix + "y", {encoded.labels.size()}, std::span<const std::int64_t>(encoded.labels)});
    }
    write_arrays(path, arrays);
    return;
  }
  Hdf5Writer out("codes");
  for (const EncodedSplit& encoded : result.splits) {
    const std::string group = "/" + encoded.split + "/";
    for (const auto& [name, values] : encoded.codes)
      out.dataset(group + name, shape_of(values), values.data());
    if (!encoded.labels.empty()) out.dataset(group + "y", {encoded.labels.size()}, encoded.labels.data());
  }
  write_provenance(out, result.seed);
  out.write(path);
}

std::string words(const EncodeResult& result, const std::filesystem::path& path) {
  std::string text = path.string();
  for (const EncodedSplit& encoded : result.splits) {
    for (const auto& [name, values] : encoded.codes)
      text += "\n  /" + encoded.split + "/" + name + " " + to_string(shape_of(values));
  }
  return text;
}

}  // namespace tempera
