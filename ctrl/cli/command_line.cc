#include "ctrl/cli/command_line.h"

#include <sstream>

namespace bridgehead::cli {
namespace {

constexpr char kFooter[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  refused: check found errors, reload kept the old configuration, drain --wait gave up\n"
    "     or was undrained\n"
    "  2  wrong usage\n"
    "  3  the relay or ctrl, as far as the subcommand needs it, does not answer; status: one of\n"
    "     the two is down (what is known is printed all the same); drain, undrain: the relay does\n"
    "     not use it yet";

using Command = int (*)(const Options&, const Streams&);

}  // namespace

std::unique_ptr<CLI::App> MakeCommandLine(Options& options, Command& command) {
  auto app = std::make_unique<CLI::App>("Operator's command of Bridgehead, the media relay.",
                                        "bridgehead");
  app->footer(kFooter);
  app->require_subcommand(0, 1);  // none is Run's to refuse: here it would hide a misspelt one
  app->fallthrough();             // --json and --run-dir after the subcommand too
  app->add_option("--run-dir", options.run_dir, "directory of sockets and counters")
      ->capture_default_str();
  app->add_flag("--json", options.json, "print JSON, for scripts");
  app->set_version_flag("--version", "bridgehead " BRIDGEHEAD_VERSION);

  auto add = [&](const char* name, const char* help, Command function) {
    CLI::App* subcommand = app->add_subcommand(name, help);
    subcommand->callback([&command, function] { command = function; });
    return subcommand;
  };
  auto add_watch = [&](CLI::App* subcommand) {
    subcommand->add_option("--watch", options.watch, "print again every SECONDS, until interrupted")
        ->option_text("SECONDS")
        ->check(CLI::Range(0.1, 3600.0));
  };
  CLI::App* check = add("check", "check a configuration file, without using it", Check);
  CLI::Option* file = check->add_option("FILE", options.file, "the configuration file");
  CLI::Option* reference =
      check->add_flag("--reference", options.reference, "print the reference of all keys instead");
  file->excludes(reference);
  check->callback([&options, &command] {
    if (options.file.empty() && !options.reference) throw CLI::RequiredError("FILE");
    command = Check;
  });
  check->add_flag("--host", options.host,
                  "against this machine as well: interfaces, cores, addresses, ports, memory, the "
                  "TCP edge's files");
  add_watch(add("status", "state of relay and ctrl, ports, workers, listeners", Status));
  CLI::App* sessions = add("sessions", "the relay's sessions", Sessions);
  sessions->add_option("--bridge", options.bridge, "only those to this bridge")
      ->option_text("NAME");
  sessions->add_option("--client", options.client, "only those of this client address")
      ->option_text("ADDRESS");
  sessions->add_option("--limit", options.limit, "at most this many")
      ->capture_default_str()
      ->check(CLI::Range(1u, 10'000'000u));
  CLI::App* drops = add("drops", "dropped packets by reason, and whether the totals add up", Drops);
  drops->add_flag("--all", options.all, "reasons that never happened too");
  add_watch(drops);
  add("bridges", "state, sessions and traffic of each bridge", Bridges);
  add("upstreams", "state, connections and requests of each server of the TCP edge", Upstreams);
  CLI::App* connections = add("connections", "the TCP edge's connections", Connections);
  connections->add_option("--listener", options.listener, "only those of this listener")
      ->option_text("NAME");
  connections->add_option("--upstream", options.upstream, "only those to this upstream's servers")
      ->option_text("NAME");
  connections->add_option("--client", options.client, "only those of this client address")
      ->option_text("ADDRESS");
  connections->add_option("--limit", options.limit, "at most this many")
      ->capture_default_str()
      ->check(CLI::Range(1u, 100'000u));
  add("sources", "who uses the TCP edge most, where it limits what a source may", Sources)
      ->add_option("--limit", options.sources, "at most this many of each list")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1000u));
  CLI::App* drain =
      add("drain",
          "give a bridge no new sessions, or an upstream's server no new connections; "
          "those it has run out",
          Drain);
  drain->add_option("BRIDGE", options.bridge, "its name, or UPSTREAM/SERVER of the TCP edge")
      ->required();
  auto set_wait = [&options](const std::string& seconds) {
    options.wait = true;
    // Without SECONDS CLI11 gives what it gives for a flag.
    if (seconds.empty() || seconds == "true") return;
    double value = 0;
    // Not `value < 0`, which a NaN is not.
    if (!CLI::detail::lexical_cast(seconds, value) || !(value >= 0)) {
      throw CLI::ValidationError("--wait", "got " + seconds + ", expected seconds");
    }
    options.wait_seconds = value;
  };
  drain
      ->add_option_function<std::string>("--wait", set_wait,
                                         "until none is left, but not longer than SECONDS")
      ->option_text("[SECONDS]")
      ->expected(0, 1);
  add("undrain", "give a bridge new sessions again, or a server new connections", Undrain)
      ->add_option("BRIDGE", options.bridge, "its name, or UPSTREAM/SERVER of the TCP edge")
      ->required();
  add("reload", "have ctrl read its configuration file again", Reload);
  add("version", "versions of this command and of the running processes", Version);
  return app;
}

int Run(int argc, const char* const* argv, const Streams& streams) {
  Options options;
  Command command = nullptr;
  std::unique_ptr<CLI::App> app = MakeCommandLine(options, command);
  try {
    app->parse(argc, const_cast<char**>(argv));
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream errors;
    int code = app->exit(error, out, errors);
    if (!out.str().empty()) streams.out(out.str());
    if (!errors.str().empty()) streams.error(errors.str());
    return code == 0 ? kOk : kUsage;
  }
  if (command == nullptr) {
    streams.error("bridgehead: a subcommand is required; see bridgehead --help\n");
    return kUsage;
  }
  return command(options, streams);
}

}  // namespace bridgehead::cli
