// tempera sweep
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <map>
#include <memory>

#include "listener.hpp"
#include "option_binding.hpp"
#include "options.hpp"
#include "tempera/core/format.hpp"
#include "tempera/io/data_files.hpp"
#include "tempera/io/files.hpp"
#include "tempera/parallel/tasks.hpp"
#include "tempera/services/config_file.hpp"
#include "tempera/services/report.hpp"
#include "tempera/services/run_directory.hpp"
#include "tempera/services/sweep.hpp"

namespace tempera::apps {
namespace {

namespace fs = std::filesystem;

struct Options {
  CommonOptions common;
  std::string spec;
  std::string out;
  int jobs = 1;
  std::optional<std::int64_t> only;
};

/// Runs that a page lays over each other, the best first.
constexpr std::size_t kReported = 8;

/// A process of this program, whose words go nowhere: what it would say is in its files. It is asked to stop
/// where this process ends before it.
pid_t begin_process(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const std::string program = fs::read_symlink("/proc/self/exe").string();
  const pid_t parent = ::getpid();
  const pid_t process = ::fork();
  if (process < 0) throw WriteError(program + ": cannot be started: " + std::strerror(errno));
  if (process > 0) return process;
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  const int nowhere = ::open("/dev/null", O_WRONLY);
  if (::getppid() == parent && ::dup2(nowhere, STDOUT_FILENO) >= 0 && ::dup2(nowhere, STDERR_FILENO) >= 0)
    ::execv(program.c_str(), arguments.data());
  ::_exit(static_cast<int>(ExitCode::kInternal));
}

/// Trains what is left to be trained, some at a time.
class Workers {
 public:
  Workers(const Options& options, const std::vector<SweepSetting>& settings)
      : options_(options), settings_(settings) {}

  /// Returns the exit codes of those that failed. Throws Interrupted where a signal came: every run has then
  /// left a checkpoint.
  std::map<std::string, int> work(std::vector<std::size_t> left, ConsoleListener& listener) {
    const std::size_t all = left.size();
    std::size_t done = 0;
    bool stopped = false;
    while ((!left.empty() && !stopped) || !running_.empty()) {
      while (!stopped && !left.empty() && running_.size() < static_cast<std::size_t>(options_.jobs)) {
        start(left.back());
        left.pop_back();
      }
      done += reap();
      const std::string detail = format("%zu of %zu runs", done, all);
      const double part = static_cast<double>(done) / static_cast<double>(std::max<std::size_t>(1, all));
      if (listener.progress("sweep", part, detail) == Control::kStop && !stopped) {
        stopped = true;
        // Each leaves a checkpoint.
        for (const auto& [process, k] : running_) ::kill(process, SIGTERM);
      }
      ::usleep(20000);
    }
    if (stopped) throw Interrupted();
    return failed_;
  }

 private:
  void start(std::size_t k) {
    const SweepSetting& setting = settings_[k];
    const fs::path run = directory_of(setting, options_.out);
    const int threads = std::max(1, Executor(options_.common.threads).threads() / options_.jobs);
    std::vector<std::string> words = {"tempera"};
    if (holds_run(run)) {
      words.insert(words.end(), {"resume", run.string()});
    } else {
      const fs::path config = config_of(setting, options_.out);
      make_directories(config.parent_path());
      write_file(config, to_toml(setting.options));
      words.insert(words.end(), {"train", "--config", config.string(), "--out", run.string()});
    }
    words.insert(words.end(), {"--threads", std::to_string(threads), "--quiet"});
    running_[begin_process(words)] = k;
  }

  /// How many have ended.
  std::size_t reap() {
    std::size_t ended = 0;
    int status = 0;
    for (pid_t process = 0; !running_.empty() && (process = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto found = running_.find(process);
      if (found == running_.end()) continue;
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      if (code != 0) failed_[settings_[found->second].name] = code;
      running_.erase(found);
      ++ended;
    }
    return ended;
  }

  const Options& options_;
  const std::vector<SweepSetting>& settings_;
  std::map<pid_t, std::size_t> running_;
  std::map<std::string, int> failed_;
};

void report_best(const Options& options, const std::vector<SweepSetting>& settings,
                 const std::vector<SweepResult>& results, Listener& listener) {
  std::vector<std::size_t> order;
  for (std::size_t k = 0; k < settings.size(); ++k) {
    if (results[k].state == SweepState::kFinished) order.push_back(k);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return results[a].likelihood > results[b].likelihood;
  });
  std::vector<fs::path> runs;
  for (std::size_t k = 0; k < std::min(kReported, order.size()); ++k)
    runs.push_back(directory_of(settings[order[k]], options.out));
  if (runs.empty()) return;
  try {
    write_file(fs::path(options.out) / "report.html", report_page(report_data(runs, listener), false));
  } catch (const NoInputError& error) {
    listener.warn(error.what());  // where the charts are not installed
  }
}

int run(const Options& options) {
  std::vector<SweepSetting> settings = read_sweep(options.spec);
  require_sound(settings);
  for (SweepSetting& setting : settings)
    setting.options.data.data.name = absolute_data(setting.options.data.data.name);
  if (options.only && *options.only >= static_cast<std::int64_t>(settings.size()))
    throw UsageError("sweep: --only " + std::to_string(*options.only) + ": there are settings 0 to " +
                     std::to_string(settings.size() - 1));
  require_same(settings, options.out);
  make_directories(options.out);
  std::vector<SweepResult> results = results_of(settings, options.out);
  std::vector<std::size_t> left;
  for (std::size_t k = settings.size(); k-- > 0;) {
    const bool is_asked = !options.only || static_cast<std::size_t>(*options.only) == k;
    if (is_asked && results[k].state != SweepState::kFinished) left.push_back(k);
  }
  std::map<std::string, int> failed;
  {
    ConsoleListener listener(options.common.quiet);
    failed = Workers(options, settings).work(left, listener);
    results = results_of(settings, options.out);
    if (!options.only) {
      write_file(fs::path(options.out) / "results.csv", csv_of(settings, results));
      report_best(options, settings, results, listener);
    }
    for (const auto& [name, code] : failed)
      listener.warn(name + ": failed with exit code " + std::to_string(code) + "; tempera train --config " +
                    (fs::path(options.out) / "settings" / (name + ".toml")).string() + " says why");
  }
  Json json = {{"out", options.out}, {"runs", settings.size()}, {"failed", failed.size()}};
  for (std::size_t k = 0; k < settings.size(); ++k) {
    if (!results[k].is_best) continue;
    json["best"] = settings[k].name;
    json["log_likelihood"] = results[k].likelihood;
    json["standard_error"] = results[k].standard_error;
  }
  print_result(options.common, json, words(settings, results));
  return failed.empty() ? 0 : static_cast<int>(ExitCode::kInternal);
}

}  // namespace

void setup_sweep(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand(
      "sweep", "many runs of one plan, over grids and lists of options; goes on where it was stopped");
  app.add_option(
         "SPEC", options->spec,
         "TOML file: options of train that hold for all, [grid] with lists of values, [[list]] with settings")
      ->required();
  app.add_option("--out", options->out, "directory: runs/, results.csv, report.html")->required();
  app.add_option("--jobs", options->jobs, "runs at a time, which share the threads")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--only", options->only,
                 "the setting of this number alone, from 0, in the order of their names: for job arrays")
      ->check(CLI::NonNegativeNumber);
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
