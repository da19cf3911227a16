// The command `tempera`: one file per subcommand, see options.hpp.
#include <malloc.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <new>
#include <numeric>
#include <vector>

#include "manual.hpp"
#include "options.hpp"
#include "ranks.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/core/version.hpp"

namespace {

/// Letters to change, leave out or add until a is b.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row.back();
}

/// What is nearest to a word that is none of these, where any is near.
std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = 1 + word.size() / 3;
  for (const std::string& one : known) {
    const std::size_t d = distance(word, one);
    if (d > 0 && d <= least && (best.empty() || d < distance(word, best))) best = one;
  }
  return best;
}

/// "; did you mean --updates?" for what the command line has and no command knows.
std::string advice(const CLI::App& program, int argc, char** argv) {
  const std::vector<CLI::App*> used = program.get_subcommands();
  std::vector<std::string> known;
  if (used.empty()) {
    for (const CLI::App* command : program.get_subcommands({})) known.push_back(command->get_name());
  } else {
    for (const CLI::Option* option : used.front()->get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
  }
  for (int k = 1; k < argc; ++k) {
    std::string word = argv[k];
    word = word.substr(0, word.find('='));
    const bool is_option = word.rfind("--", 0) == 0;
    if (is_option == used.empty() || std::find(known.begin(), known.end(), word) != known.end()) continue;
    const std::string found = nearest(word, known);
    if (!found.empty()) return "; did you mean " + found + "?";
  }
  return "";
}

int run(int argc, char** argv) {
  using tempera::ExitCode;
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like any other
  std::vector<char*> words(argv, argv + argc);
  // "tempera help" and "tempera help train" are what people try first.
  std::string help = "--help";
  if (argc == 3 && argv[1] == std::string("help")) {
    if (const std::string text = tempera::apps::topic(argv[2]); !text.empty()) {
      std::cout << text << std::flush;
      return 0;
    }
  }
  if (argc > 1 && argv[1] == std::string("help")) {
    words.erase(words.begin() + 1);
    words.push_back(help.data());
  }
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
  tempera::apps::setup_couplings(program, exit_code);
  tempera::apps::setup_export(program, exit_code);
  tempera::apps::setup_sample(program, exit_code);
  tempera::apps::setup_features(program, exit_code);
  tempera::apps::setup_info(program, exit_code);
  tempera::apps::setup_import(program, exit_code);
  tempera::apps::setup_data(program, exit_code);
  tempera::apps::setup_report(program, exit_code);
  tempera::apps::setup_sweep(program, exit_code);
  tempera::apps::setup_manual(program, exit_code);
  tempera::apps::setup_prune(program, exit_code);
  tempera::apps::setup_encode(program, exit_code);
  tempera::apps::setup_bench(program, exit_code);
  // Where --help shows everything, --help-all is the same.
  for (CLI::App* const command : program.get_subcommands({})) {
    if (command->get_option_no_throw("--help-all") == nullptr)
      command->add_flag_callback(
          "--help-all", [] { throw CLI::CallForHelp(); }, "Print every option and exit");
  }
  const auto fail = [](ExitCode code, const std::string& message) {
    const std::string line = "tempera: error: " + tempera::apps::printable(message);
    tempera::apps::world().fail(static_cast<int>(code), [&] { std::cerr << line << std::endl; });
    return static_cast<int>(code);
  };
  try {
    tempera::apps::join_ranks(argc, argv);
    program.parse(static_cast<int>(words.size()), words.data());
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      program.exit(error);
      return std::cout.flush() ? 0 : fail(ExitCode::kCannotWrite, "standard output: cannot be written");
    }
    return fail(ExitCode::kUsage, error.what() + advice(program, argc, argv));
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

}  // namespace

int main(int argc, char** argv) {
  const int exit_code = run(argc, argv);
  tempera::apps::leave_ranks();
  return exit_code;
}
