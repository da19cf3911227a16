#include "tempera/services/encode.hpp"

#include "case_blocks.hpp"
#include "tempera/io/tables.hpp"
#include "tempera/services/limits.hpp"

namespace tempera {
namespace {

using Codes = std::vector<std::pair<std::string, Matrix>>;

template <EnergyModel M>
Codes codes_of(const ModelFile<M>& file, const typename M::Data& data, const Executor& executor,
               const Progress& progress) {
  const Engine engine{file.model, {}, executor};
  Codes codes;
  for (const Code& code : file.model.codes())
    codes.emplace_back(code.name, Matrix(data.n_cases(), code.size));
  for_each_case_block(engine, file.theta, data, progress, [&](Index first, const auto& x, const auto& cache) {
    LaneMatrix values;
    for (std::size_t k = 0; k < codes.size(); ++k) {
      Matrix& code = codes[k].second;
      values.resize(code.cols(), kLanes);
      file.model.code_values(k, x, cache, values);
      code.middleRows(first, cache.lanes) = values.leftCols(cache.lanes).transpose();
    }
  });
  for (auto& [name, values] : codes) share_case_rows(executor, values);
  return codes;
}

}  // namespace

EncodeResult encode_data(const AnyModelFile& model, const EncodeOptions& options, const Executor& executor,
                         Listener& listener) {
  const DataFile data = read_data_file(options.data, {columns_for(model, options.columns)}, listener);
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
