#include "model.hpp"

#include <nanobind/stl/filesystem.h>

#include "data.hpp"
#include "listener.hpp"
#include "options.hpp"
#include "tempera/services/couplings.hpp"
#include "tempera/services/encode.hpp"
#include "tempera/services/features.hpp"
#include "tempera/services/likelihood.hpp"
#include "tempera/services/model_arrays.hpp"
#include "tempera/services/sampling.hpp"
#include "tempera/services/score.hpp"

namespace tempera::python {
namespace {

using Name = std::optional<std::string>;

Model read(const std::string& path, const nb::object& hears) {
  return without_lock(hears, [&](Listener& listener) { return Model{read_model(path, listener)}; });
}

nb::dict description(const Model& model) {
  const ModelDescription found = describe_model(model.file);
  nb::dict all;
  all["kind"] = std::string(found.kind);
  all["hidden_units"] = std::string(found.hidden_units);
  all["n_visible"] = found.n_raw;
  all["layer_sizes"] = std::vector<std::int64_t>(found.layer_sizes.begin(), found.layer_sizes.end());
  all["visible_shape"] = nb::tuple(nb::cast(found.visible_shape));
  all["discrete"] = found.discrete;
  all["codes"] = found.codes;
  all["alphabet"] = alphabet_of(found.alphabet);
  return all;
}

nb::dict parameters(const Model& model) {
  nb::dict all;
  for (ParameterArray& array : parameters_of(model.file)) {
    all[array.name.c_str()] =
        std::visit([&](auto& values) { return array_of(std::move(values), array.shape); }, array.values);
  }
  return all;
}

nb::dict told(const LogPartitionEstimate& estimate) {
  nb::dict all;
  all["method"] = std::string(name_of(estimate.method));
  all["value"] = estimate.log_partition.value;
  all["standard_error"] = estimate.log_partition.standard_error;
  all["effective_fraction"] = estimate.log_partition.effective_fraction;
  all["trusted"] = estimate.trusted();
  all["doubt"] = estimate.doubt;
  all["reason"] = estimate.reason;
  all["confirmation"] = estimate.confirmation;
  all["at_least"] = estimate.lower_bound ? nb::cast(estimate.lower_bound->value) : nb::none();
  all["probably_at_least"] = nb::cast(estimate.probable_lower_bound);
  return all;
}

nb::dict told(const SplitLikelihood& data) {
  nb::dict all;
  all["split"] = data.split;
  all["value"] = data.likelihood.log_likelihood;
  all["standard_error"] = data.likelihood.standard_error;
  all["n"] = static_cast<std::int64_t>(data.likelihood.n_cases);
  all["variational"] = data.variational;
  all["upper"] = nb::cast(data.upper);
  all["lower"] = nb::cast(data.lower);
  all["independent"] = nb::cast(data.independent);
  all["gaussian"] = nb::cast(data.gaussian);
  return all;
}

nb::dict likelihood(const Model& model, const Texts& texts, const Name& name, const Data* data, int threads,
                    const nb::object& hears) {
  auto options = options_of<LikelihoodOptions>(texts);
  options.data = source_of(name, data);
  const LikelihoodResult result = without_lock(hears, [&](Listener& listener) {
    return estimate_likelihood(model.file, options, Executor(threads), listener);
  });
  nb::dict all;
  nb::list estimates;
  for (const LogPartitionEstimate& estimate : result.estimates) estimates.append(told(estimate));
  all["method"] = std::string(name_of(result.method));
  all["estimates"] = estimates;
  all["disagreements"] = result.disagreements;
  all["stopped"] = result.stopped_by_listener;
  all["data"] = result.data ? nb::object(told(*result.data)) : nb::none();
  return all;
}

nb::dict score(const Model& model, const Texts& texts, const Name& name, const Data* data,
               const Name& near_name, const Data* near, int threads, const nb::object& hears) {
  auto options = options_of<ScoreOptions>(texts);
  options.data = source_of(name, data);
  options.nearest_to = source_of(near_name, near);
  options.background = true;
  ScoreResult result = without_lock(hears, [&](Listener& listener) {
    return score_cases(model.file, options, Executor(threads), listener);
  });
  nb::dict all = dict_of(facts(result));
  if (result.log_partition) {
    std::vector<double> values;
    for (std::size_t n = 0; n < result.free_energies.size(); ++n) values.push_back(result.log_likelihood(n));
    all["log_likelihoods"] = array_of(std::move(values));
  }
  all["names"] = result.names;
  if (!result.difference.empty()) all["difference"] = array_of(std::move(result.difference));
  if (!result.relative.empty()) all["relative"] = array_of(std::move(result.relative));
  if (result.posterior) {
    nb::dict posterior;
    for (std::size_t v = 0; v < result.posterior->values.size(); ++v)
      posterior[result.posterior->values[v].c_str()] =
          array_of(std::move(result.posterior->probabilities[v]));
    all["posterior"] = posterior;
  }
  if (result.nearest) {
    all["distance"] = array_of(std::move(result.nearest->distance));
    all["own_distance"] = array_of(std::move(result.nearest->own_distance));
    all["own_free_energies"] = array_of(std::move(result.nearest->own_free_energies));
  }
  all["free_energies"] = array_of(std::move(result.free_energies));
  return all;
}

nb::dict told(const Convergence& found) {
  nb::dict all;
  all["r_hat"] = found.r_hat;
  all["effective_sample_size"] = found.effective_sample_size;
  all["autocorrelation_time"] = found.autocorrelation_time;
  return all;
}

nb::dict told(SampleResult result) {
  nb::dict all;
  nb::dict convergence;
  convergence["free_energy"] = told(result.mixing.free_energy);
  convergence["mean_visible"] = told(result.mixing.mean_visible);
  all["convergence"] = convergence;
  all["facts"] = dict_of(facts(result));
  all["words"] = words(result);
  nb::dict layers;
  for (SampledLayer& layer : result.layers) {
    const std::vector<std::uint64_t> shape = {static_cast<std::uint64_t>(result.count), layer.units};
    layers[layer.name.c_str()] =
        std::visit([&](auto& values) { return array_of(std::move(values), shape); }, layer.values);
  }
  all["layers"] = layers;
  nb::dict trace;
  trace["free_energy"] = array_of_rows(result.trace.free_energy);
  trace["mean_visible"] = array_of_rows(result.trace.mean_visible);
  if (!result.trace.cluster.empty()) {
    std::vector<std::vector<double>> rows;
    for (const auto& chain : result.trace.cluster) rows.emplace_back(chain.begin(), chain.end());
    trace["cluster"] = array_of_rows(rows);
  }
  all["trace"] = trace;
  if (result.report && !result.report->rejections.empty())
    all["rejections"] = array_of(std::move(result.report->rejections));
  if (result.agreement) {
    all["covariances_of_data"] = array_of(std::move(result.agreement->of_data));
    all["covariances"] = array_of(std::move(result.agreement->of_samples));
  }
  all["visible_shape"] = nb::tuple(nb::cast(result.visible_shape));
  all["alphabet"] = alphabet_of(result.alphabet);
  all["cases"] = result.cases.empty() ? nb::none() : array_of(std::move(result.cases));
  all["stopped"] = result.stopped_by_listener;
  return all;
}

nb::dict sample(const Model& model, const Texts& texts, const Name& name, const Data* data,
                const std::string& run, bool compares, const Name& out, int threads,
                const nb::object& hears) {
  auto options = options_of<SamplingOptions>(texts);
  options.data = source_of(name, data);
  options.run = run;
  options.compares = compares;
  SampleResult result = without_lock(hears, [&](Listener& listener) {
    SampleResult drawn = draw_samples(model.file, options, Executor(threads), listener);
    if (out) write_samples(drawn, *out);
    return drawn;
  });
  return told(std::move(result));
}

nb::dict encode(const Model& model, const Texts& texts, const Name& name, const Data* data, int threads,
                const nb::object& hears) {
  auto options = options_of<EncodeOptions>(texts);
  options.data = source_of(name, data);
  EncodeResult result = without_lock(hears, [&](Listener& listener) {
    return encode_data(model.file, options, Executor(threads), listener);
  });
  nb::dict all;
  for (EncodedSplit& split : result.splits) {
    nb::dict codes;
    for (auto& [code, values] : split.codes) codes[code.c_str()] = array_of(std::move(values));
    all[split.split.c_str()] = codes;
  }
  return all;
}

nb::dict features(const Model& model, const Texts& texts, const nb::object& hears) {
  const auto options = options_of<FeatureOptions>(texts);
  FeatureResult result =
      without_lock(hears, [&](Listener& listener) { return find_features(model.file, options, listener); });
  nb::dict all;
  all["importance"] = array_of(std::vector<float>(result.importance.begin(), result.importance.end()));
  all["visible_shape"] = nb::tuple(nb::cast(result.visible_shape));
  all["group"] = result.grid.group;
  all["columns"] = result.grid.columns;
  all["table"] = result.grid.table;
  all["filters"] = array_of(std::move(result.filters));
  return all;
}

nb::dict couplings(const Model& model, const Texts& texts, const Name& name, const Data* data,
                   const Name& contacts, const Data* contact_data, const std::string& run, int threads,
                   const nb::object& hears) {
  auto options = options_of<CouplingOptions>(texts);
  options.data = source_of(name, data);
  options.contacts = source_of(contacts, contact_data);
  options.run = run;
  const CouplingResult result = without_lock(hears, [&](Listener& listener) {
    return rank_couplings(model.file, options, Executor(threads), listener);
  });
  const auto sites = static_cast<std::uint64_t>(result.sites);
  const auto most = static_cast<std::uint64_t>(result.couplings->letters().most());
  nb::dict all;
  all["couplings"] = array_of(coupling_array(*result.couplings), {sites, sites, most, most});
  all["fields"] = result.has_fields ? array_of(field_array(*result.couplings), {sites, most}) : nb::none();
  std::vector<std::int64_t> first;
  std::vector<std::int64_t> second;
  std::vector<double> score;
  std::vector<double> norm;
  std::vector<std::uint8_t> contact;
  for (const CoupledPair& pair : result.pairs) {
    first.push_back(pair.first);
    second.push_back(pair.second);
    score.push_back(pair.score);
    norm.push_back(pair.norm);
    contact.push_back(pair.contact ? 1 : 0);
  }
  all["first"] = array_of(std::move(first));
  all["second"] = array_of(std::move(second));
  all["score"] = array_of(std::move(score));
  all["norm"] = array_of(std::move(norm));
  all["contact"] = result.contacts_known ? array_of(std::move(contact)) : nb::none();
  return all;
}

template <class T>
std::vector<T> copied(const nb::ndarray<const T, nb::c_contig, nb::device::cpu>& array) {
  return {array.data(), array.data() + array.size()};
}

/// Arrays are float64 in C order.
void write(const std::string& path, const std::string& kind, const std::string& hidden_units,
           const std::map<std::string, double>& attributes, const nb::dict& arrays) {
  std::vector<ParameterArray> parameters;
  for (const auto& [name, value] : arrays) {
    ParameterArray& array = parameters.emplace_back();
    array.name = nb::cast<std::string>(name);
    nb::ndarray<const float, nb::c_contig, nb::device::cpu> floats;
    nb::ndarray<const double, nb::c_contig, nb::device::cpu> doubles;
    if (nb::try_cast(value, floats, false)) {
      for (std::size_t k = 0; k < floats.ndim(); ++k) array.shape.push_back(floats.shape(k));
      array.values = copied(floats);
    } else if (nb::try_cast(value, doubles, false)) {
      for (std::size_t k = 0; k < doubles.ndim(); ++k) array.shape.push_back(doubles.shape(k));
      array.values = copied(doubles);
    } else {
      throw UsageError(array.name + ": expected an array of float32 or float64 in C order");
    }
  }
  write_parameters(path, kind, hidden_units, attributes, parameters);
}

}  // namespace

void bind_model(nb::module_& module) {
  nb::class_<Model>(module, "Model")
      .def_prop_ro("description", &description)
      .def("parameters", &parameters)
      .def("save", [](const Model& model, const std::string& path) { save_model(model.file, path); })
      .def("likelihood", &likelihood, nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg(), nb::arg())
      .def("score", &score, nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none(),
           nb::arg(), nb::arg())
      .def("sample", &sample, nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg(), nb::arg(),
           nb::arg().none(), nb::arg(), nb::arg())
      .def("encode", &encode, nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg(), nb::arg())
      .def("couplings", &couplings, nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg().none(),
           nb::arg().none(), nb::arg(), nb::arg(), nb::arg())
      .def("features", &features);
  module.def("read_model", &read);
  module.def("write_parameters", &write);
}

}  // namespace tempera::python
