// tempera report
#include <httplib.h>

#include <filesystem>
#include <memory>

#include "listener.hpp"
#include "options.hpp"
#include "tempera/io/files.hpp"
#include "tempera/io/tables.hpp"
#include "tempera/services/report.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::vector<std::string> runs;
  std::string out = "report.html";
  bool watch = false;
  std::optional<int> port;  // nothing: one that is free
};

/// Serves the page on the loopback device until a signal comes: what the files tell at the time of asking.
int serve(const Options& options, const std::vector<std::filesystem::path>& runs) {
  httplib::Server server;
  const auto answer = [&](httplib::Response& response, const char* type,
                          const std::function<std::string(const std::string&)>& made) {
    Listener silent;
    try {
      response.set_content(made(report_data(runs, silent)), type);
    } catch (const std::exception& error) {
      // A run that begins has no files for a while.
      response.status = 503;
      response.set_content(error.what(), "text/plain");
    }
  };
  server.Get("/", [&](const httplib::Request&, httplib::Response& response) {
    answer(response, "text/html; charset=utf-8",
           [](const std::string& data) { return report_page(data, true); });
  });
  server.Get("/data.json", [&](const httplib::Request&, httplib::Response& response) {
    answer(response, "application/json", [](const std::string& data) { return data; });
  });
  // One at a time: the HDF5 library knows no threads.
  server.new_task_queue = [] { return new httplib::ThreadPool(1); };
  constexpr const char* kLoopback = "127.0.0.1";
  const int port = options.port ? (server.bind_to_port(kLoopback, *options.port) ? *options.port : -1)
                                : server.bind_to_any_port(kLoopback);
  if (port < 0) throw UsageError("report: port " + std::to_string(options.port.value_or(0)) + " is taken");
  const std::string address = "http://" + std::string(kLoopback) + ":" + std::to_string(port) + "/";
  print_result(options.common, {{"address", address}}, address + "  (Ctrl-C ends)");
  server.listen_after_bind();
  return 0;
}

int run(const Options& options) {
  std::vector<std::filesystem::path> runs(options.runs.begin(), options.runs.end());
  if (options.watch) return serve(options, runs);
  require_output(options.out, {});
  std::string page;
  {
    ConsoleListener listener(options.common.quiet);
    page = report_page(report_data(runs, listener), false);
  }
  write_file(options.out, page);
  print_result(options.common, {{"out", options.out}, {"runs", options.runs}}, options.out);
  return 0;
}

}  // namespace

void setup_report(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand(
      "report",
      "one page of a run, or of several laid over each other: curves, ladder, pictures, weights, verdict");
  app.add_option("DIR", options->runs, "run directories")->required();
  app.add_option("--out", options->out, "the page, an HTML file that needs nothing else")
      ->capture_default_str();
  app.add_flag("--watch", options->watch,
               "serve the page on this machine alone, and keep it up to date while training runs");
  app.add_option("--port", options->port, "port of --watch; one that is free where not given")
      ->check(CLI::Range(1, 65535));
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
