// The ranks that this program was started as: by mpirun or srun, where it was built with MPI, else one.
#pragma once

#include <functional>
#include <memory>

#include "tempera/parallel/communicator.hpp"

namespace tempera {

/// All ranks of a program, from its start to its end.
class World : public Communicator {
 public:
  /// Ranks on this rank's machine.
  [[nodiscard]] virtual int local_size() const { return 1; }

  /// This rank cannot go on. Where all ranks come here, the first one tells why, and this returns. Where
  /// others are still at work, or wait for this one, it tells why after some seconds and ends all of them,
  /// with this exit code: it does not return.
  virtual void fail(int /*exit_code*/, const std::function<void()>& tell) { tell(); }
};

/// Called once, at the start of the program.
std::unique_ptr<World> start_world();

}  // namespace tempera
