// The command `tempera`: one file per subcommand, see options.hpp.
#include <malloc.h>

#include <filesystem>
#include <iostream>
#include <new>

#include "options.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/core/version.hpp"

int main(int argc, char** argv) {
  using tempera::ExitCode;
#ifdef __GLIBC__
  // Arrays of some megabytes come and go in every update: given back to the system each time they would cost
  // more in page faults than the arithmetic on them.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
  CLI::App program("Tempera: train, measure, sample and look at Boltzmann machines", "tempera");
  program.set_version_flag("--version", std::string("tempera ") + tempera::version());
  program.require_subcommand(1);
  int exit_code = 0;
  tempera::apps::setup_train(program, exit_code);
  tempera::apps::setup_resume(program, exit_code);
  tempera::apps::setup_loglik(program, exit_code);
  tempera::apps::setup_score(program, exit_code);
  tempera::apps::setup_sample(program, exit_code);
  tempera::apps::setup_features(program, exit_code);
  tempera::apps::setup_info(program, exit_code);
  tempera::apps::setup_import(program, exit_code);
  tempera::apps::setup_data(program, exit_code);
  tempera::apps::setup_prune(program, exit_code);
  tempera::apps::setup_encode(program, exit_code);
  tempera::apps::setup_bench(program, exit_code);
  const auto fail = [](ExitCode code, const std::string& message) {
    std::cerr << "tempera: error: " << message << '\n';
    return static_cast<int>(code);
  };
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      program.exit(error);
      return std::cout.flush() ? 0 : fail(ExitCode::kCannotWrite, "standard output: cannot be written");
    }
    return fail(ExitCode::kUsage, error.what());
  } catch (const tempera::Error& error) {
    return fail(error.code(), error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return fail(ExitCode::kCannotWrite, error.what());
  } catch (const std::bad_alloc&) {
    return fail(ExitCode::kInternal, "out of memory");
  } catch (const std::exception& error) {
    return fail(ExitCode::kInternal, error.what());
  }
  return exit_code;
}
