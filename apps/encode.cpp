// tempera encode
#include <memory>

#include "run.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string data;
  std::string out;
  std::string binarize = "none";
  std::int64_t seed = 1;
};

/// Names of the expected binary units of a model, one for each layer above the visibles.
template <class M>
std::vector<std::string> unit_names() {
  if constexpr (std::is_same_v<M, Dbm>) {
    std::vector<std::string> names;
    for (std::size_t k = 1; k <= Dbm::kMaxHidden; ++k) names.push_back("hidden_" + std::to_string(k));
    return names;
  } else if constexpr (std::is_same_v<M, BernoulliRbm> || std::is_same_v<M, GaussianRbm>) {
    return {"hidden"};
  } else if constexpr (requires(M m) { m.shape().latents.n_blocks; }) {
    return {"g", "h", "gate"};
  } else {
    return {"spikes"};
  }
}

/// Codes of one split, each n x size, by name.
using Codes = std::vector<std::pair<std::string, Matrix>>;

template <class M>
Codes encode(const ModelFile<M>& file, const typename M::Data& data, const Workers& workers,
             const Progress& progress) {
  const M& model = file.model;
  const std::vector<Index> sizes = model.layer_sizes();
  const std::vector<std::string> names = unit_names<M>();
  const Index n = data.n_cases();
  Codes codes;
  for (std::size_t k = 1; k < sizes.size(); ++k) codes.emplace_back(names[k - 1], Matrix(n, sizes[k]));
  Index slabs = 0;  // of a spike
  if constexpr (!HasLayers<M>) {
    if constexpr (M::kSlabs) {
      codes.emplace_back("spike_slab", Matrix(n, model.filters()));
      if constexpr (requires { model.shape().latents.n_slabs; }) {
        slabs = model.shape().latents.n_slabs;
        codes.emplace_back("pooled_norm", Matrix(n, model.shape().latents.n_spikes));
      }
    }
  }
  constexpr Index kBlocks = 64;
  Workspace<M> workspace;
  for (Index first = 0; first < n; first += kBlocks * kLanes) {
    const Index count = std::min(n - first, kBlocks * kLanes);
    std::vector<typename M::State> blocks(static_cast<std::size_t>(words_for(count)), model.new_state());
    for (Index b = 0; b < words_for(count); ++b) {
      std::vector<Index> cases;
      for (Index c = b * kLanes; c < std::min(count, (b + 1) * kLanes); ++c) cases.push_back(first + c);
      model.load(data, cases, blocks[static_cast<std::size_t>(b)]);
    }
    workspace.fit(model, as_count(count), workers);
    infer_cases(model, file.theta, kMeanFieldSweeps, blocks, workspace, workers);
    workers.for_each(words_for(count), [&](Index block) {
      const auto b = static_cast<std::size_t>(block);
      const Index row = first + block * kLanes;
      const Index lanes = workspace.works[b].lanes;
      LaneMatrix values;
      for (std::size_t k = 1; k < sizes.size(); ++k) {
        values.resize(sizes[k], kLanes);
        model.layer_values(static_cast<Index>(k), blocks[b], workspace.works[b], values);
        codes[k - 1].second.middleRows(row, lanes) = values.leftCols(lanes).transpose();
      }
      if constexpr (!HasLayers<M>) {
        if constexpr (M::kSlabs) {
          const LaneMatrix& response = workspace.works[b].response;
          codes[sizes.size() - 1].second.middleRows(row, lanes) = response.leftCols(lanes).transpose();
          for (Index i = 0; slabs > 0 && i < codes.back().second.cols(); ++i) {
            codes.back().second.col(i).segment(row, lanes) =
                response.block(i * slabs, 0, slabs, lanes).colwise().norm().transpose();
          }
        }
      }
    });
    progress(static_cast<double>(first + count) / static_cast<double>(n));
  }
  return codes;
}

template <class M>
int run(const Options& options, const ModelFile<M>& file) {
  const DataFile data = load_data(options.data);
  const Workers workers(options.common.threads);
  catch_signals();
  Hdf5Writer out("codes");
  Json json = {{"out", options.out}};
  std::string text = options.out;
  for (const auto& [split, table] : data.splits) {
    ProgressLine line(options.common, "encoding " + split);
    const Codes codes = encode(file, data_for_model(file, data, split, options.binarize, options.seed),
                               workers, show_on(line));
    for (const auto& [name, values] : codes) {
      const std::string path = "/" + split + "/" + name;
      out.dataset(path, shape_of(values), values.data());
      json["codes"][split][name] = {values.rows(), values.cols()};
      text += "\n  " + path + " " + to_string(shape_of(values));
    }
    const auto labels = data.labels.find(split);
    if (labels != data.labels.end() && !labels->second.empty())
      out.dataset("/" + split + "/y", {labels->second.size()}, labels->second.data());
  }
  write_provenance(out, command_line(), options.seed);
  out.write(options.out);
  print_result(options.common, json, text);
  return 0;
}

}  // namespace

void setup_encode(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand("encode",
                                          "expected latents of data: hidden units or spikes (also g, h, "
                                          "gate), spike times slab, and norm of each spike's "
                                          "slabs; the labels go along");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  app.add_option("--data", options->data, "data set; every split is encoded")->required();
  app.add_option("--out", options->out, "HDF5 file: /<split>/<code> (n, size) float32 and /<split>/y")
      ->required();
  app.add_option("--binarize", options->binarize,
                 "none, threshold or sample; none uses the rule of the model's run")
      ->check(CLI::IsMember({"none", "threshold", "sample"}))
      ->capture_default_str();
  app.add_option("--seed", options->seed, "seed of --binarize sample")
      ->check(whole_number())
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] {
    exit_code = std::visit([&](const auto& file) { return run(*options, file); }, read_model(options->model));
  });
}

}  // namespace tempera::apps
