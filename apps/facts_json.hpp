// Facts of a service as JSON.
#pragma once

#include "options.hpp"
#include "tempera/services/facts.hpp"

namespace tempera::apps {

/// Adds the facts to an object, in their order.
inline void add_facts(Json& json, const Facts& facts) {
  for (const auto& [name, fact] : facts)
    std::visit([&json, &name = name](const auto& value) { json[name] = value; }, fact);
}

}  // namespace tempera::apps
