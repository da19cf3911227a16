// Models of other toolkits as ours. Apart from their reading, which needs no machine.
#include "tempera/models/all_models.hpp"
#include "tempera/services/foreign_models.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;

template <EnergyModel M>
ModelFile<M> converted_as(const fs::path& path, const typename M::Shape& shape, ForeignModel foreign) {
  M model = with_standard_reference<M>(shape);
  typename M::Params theta = model.zero_params();
  for_each_field(
      [&]<class Array>(std::string_view name, Array& array) {
        if constexpr (std::same_as<Array, Matrix>) {
          array = std::move(foreign.weights);
        } else {
          array = name == "hidden_bias"    ? std::move(foreign.hidden_bias)
                  : name == "visible_bias" ? std::move(foreign.visible_bias)
                                           : std::move(foreign.visible_precision);
        }
      },
      theta);
  return {path, std::move(model), std::move(theta), false, {}, {}, {}, {}, {}};
}

}  // namespace

AnyModelFile converted(const fs::path& path, ForeignModel foreign) {
  const Index n_visible = foreign.weights.rows();
  const Index n_hidden = foreign.weights.cols();
  if (foreign.visible_precision.size() > 0)
    return converted_as<GaussianRbm>(path, {n_visible, {n_hidden}}, std::move(foreign));
  if (foreign.letters.empty())
    return converted_as<BernoulliRbm>(path, {n_visible, n_hidden, {}}, std::move(foreign));
  const Letters letters = foreign.letters;
  return converted_as<PottsRbm>(path, {n_visible, n_hidden, letters}, std::move(foreign));
}

}  // namespace tempera
