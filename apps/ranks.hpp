// The ranks of the command: one process without MPI, and what they have to agree on.
#pragma once

#include <cstdint>
#include <string>

#include "options.hpp"
#include "tempera/parallel/tasks.hpp"
#include "tempera/parallel/world.hpp"

namespace tempera::apps {

/// Joins the ranks that the command was started as. Ranks but the first then print nothing and change no
/// files: they see what becomes of the first one's. Throws UsageError where the command is none that shares
/// its work, and DataError where not all of them are the same program with the same arguments.
void join_ranks(int argc, char** argv);

/// The ranks that have been joined; of a program that has joined none, one process.
World& world();

/// The end of the program, where every rank must come.
void leave_ranks();

/// Threads, and the ranks that share the work of a command. Threads that are not asked for are those of the
/// machine, dealt out to the ranks on it.
Executor shared_executor(const CommonOptions& common);

/// Throws DataError where a rank knows another number of something.
void require_same(const std::string& what, std::uint64_t digest);

}  // namespace tempera::apps
