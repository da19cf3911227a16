#include "tempera/core/version.hpp"

#include <Eigen/Core>
#include <boost/version.hpp>

#include "revision.hpp"

namespace tempera {

const char* version() { return TEMPERA_VERSION; }

std::vector<std::pair<std::string, std::string>> build_provenance() {
  const std::string eigen = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) +
                            "." + std::to_string(EIGEN_MINOR_VERSION);
  return {{"version", TEMPERA_VERSION},
          {"git_revision", TEMPERA_GIT_REVISION},
          {"compiler", "g++ " __VERSION__},
          {"libraries", "Eigen " + eigen + ", Boost " BOOST_LIB_VERSION}};
}

}  // namespace tempera
