// The world of a program that was built without MPI.
#include "tempera/parallel/world.hpp"

namespace tempera {

std::unique_ptr<World> start_world() { return std::make_unique<World>(); }

}  // namespace tempera
