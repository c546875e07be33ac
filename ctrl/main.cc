// bridgehead-ctrl: reads the configuration, mirrors the kernel's routing, checks the bridges, keeps
// the relay supplied with all three, answers operators (command line, metrics), and serves TCP
// (proxy/). It never touches a packet of the relay's: the relay goes on forwarding while ctrl is
// stopped, upgraded or crashed.
//
// Needs no privilege. RUN_DIR has to be writable for its user or group, and so does relay.sock in
// it; deploy/systemd/ shows an arrangement of users and directories.
#include <cstdio>
#include <memory>
#include <string>

#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "ctrl/admin/ctrl_socket.h"
#include "ctrl/admin/http.h"
#include "ctrl/admin/run_dir.h"
#include "ctrl/config/host.h"
#include "ctrl/health/drain_file.h"
#include "ctrl/health/monitor.h"
#include "ctrl/mirror/mirror.h"
#include "ctrl/proxy/edge.h"
#include "ctrl/publish/controller.h"
#include "ctrl/publish/publisher.h"
#include "ctrl/view/edge.h"
#include "ctrl/view/report.h"
#include "fmt/format.h"
#include "relay/api/framing.h"
#include "relay/api/log.h"

namespace bridgehead {
namespace {

constexpr int kExitError = 1;
constexpr int kExitBadStart = 2;

struct Options {
  std::string config_file;
  std::string run_dir = kDefaultRunDir;
};

struct EventBaseFree {
  void operator()(event_base* base) const { event_base_free(base); }
};
struct EventFree {
  void operator()(event* e) const { event_free(e); }
};

// The parts, and how they are joined. Members are destroyed from the last to the first.
class App {
 public:
  explicit App(const Options& options)
      : options_(options), counters_(options.run_dir + "/" + kCountersFileName) {}

  absl::Status Start();
  // Until a signal says so. False: the event loop failed.
  bool Run() {
    sd_notify(0, "READY=1");
    Notify();
    const bool good = event_base_dispatch(base_.get()) == 0;
    return good;
  }

 private:
  using Signal = std::unique_ptr<event, EventFree>;

  Controller::Hooks MakeHooks();
  absl::Status CheckEdge(const config::Config& config, std::vector<std::string>& warnings) const;
  absl::Status PrepareServices(const config::Config& config, std::vector<std::string>& warnings);
  void FinishServices(bool commit);
  absl::Status PrepareAdmin(const config::Config& config);
  void FinishAdmin(bool commit);
  Signal Catch(int number, event_callback_fn callback);
  api::CtrlStatus Status();
  api::CtrlDrainResult Drain(const api::CtrlDrain& drain);
  void OnHangup();
  void OnEnd();
  void DrainMore();
  void Notify();

  const Options options_;
  std::unique_ptr<admin::RunDir> run_dir_;
  std::unique_ptr<event_base, EventBaseFree> base_;
  Signal term_, interrupt_, hangup_, reopen_, drain_step_;
  admin::CounterSource counters_;
  admin::StatusBoard board_;
  proxy::Edge edge_;
  admin::AdminPages pages_{counters_, board_, [this] { return edge_.Totals(); }};
  std::optional<config::Endpoint> admin_listen_, next_admin_listen_;
  std::unique_ptr<admin::AdminServer> admin_, next_admin_;
  std::unique_ptr<mirror::Mirror> mirror_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<Controller> controller_;
  std::unique_ptr<health::Monitor> monitor_;
  std::unique_ptr<admin::CtrlSocket> socket_;
  std::string notified_;
  bool started_ = false;
};

std::string Lines(const std::vector<config::Finding>& errors) {
  std::string lines;
  for (const config::Finding& error : errors) {
    if (!lines.empty()) lines += "\n";
    lines += error.Line();
  }
  return lines;
}

absl::Status CheckMachine(const config::Config& config, std::vector<std::string>& warnings) {
  config::HostFindings findings = config::CheckHost(config);
  for (const config::Finding& warning : findings.warnings) warnings.push_back(warning.Line());
  return findings.ok() ? absl::OkStatus() : absl::InvalidArgumentError(Lines(findings.errors));
}

Controller::Hooks App::MakeHooks() {
  Controller::Hooks hooks;
  hooks.routing = [this](api::Routing& routing) {
    if (!mirror_->ready()) return false;
    routing = mirror_->routing();
    return true;
  };
  hooks.own_addresses = [this] { return mirror_->own_addresses(); };
  hooks.set_devices = [this](std::vector<std::string> devices) {
    mirror_->SetDevices(std::move(devices));
  };
  hooks.publish = [this](api::Snapshot snapshot) { publisher_->Publish(std::move(snapshot)); };
  hooks.publisher_state = [this] { return publisher_ ? publisher_->state() : PublisherState{}; };
  hooks.mirror_warnings = [this] { return mirror_->warnings(); };
  hooks.mirror_resyncs = [this] { return mirror_->resyncs(); };
  hooks.check_host = CheckMachine;
  hooks.prepare_services = [this](const config::Config& config,
                                  std::vector<std::string>& warnings) {
    return PrepareServices(config, warnings);
  };
  hooks.finish_services = [this](bool commit) { FinishServices(commit); };
  hooks.configured = [this](const config::Config& config) { monitor_->Configure(config); };
  hooks.bridge_health = [this] { return monitor_->Describe(); };
  hooks.status_changed = [this] {
    board_.Set(controller_->Status());
    Notify();
  };
  return hooks;
}

// The kernel lets only one of two such listen: an unspecified address is every one of its family.
bool Overlap(const config::Endpoint& a, const config::Endpoint& b) {
  return a.ports == b.ports && a.address.is_v4() == b.address.is_v4() &&
         (a.address.IsUnspecified() || b.address.IsUnspecified());
}

// What `bridgehead check --host` finds out about folders and cores. When the machine starts they
// are no reason not to serve the rest; an operator who reloads is told.
absl::Status App::CheckEdge(const config::Config& config,
                            std::vector<std::string>& warnings) const {
  config::HostFindings findings;
  config::CheckEdgePlaces(config, {}, findings);
  if (started_ && !findings.ok()) return absl::InvalidArgumentError(Lines(findings.errors));
  for (const config::Finding& error : findings.errors) warnings.push_back(error.Line());
  return absl::OkStatus();
}

absl::Status App::PrepareServices(const config::Config& config,
                                  std::vector<std::string>& warnings) {
  if (absl::Status status = CheckEdge(config, warnings); !status.ok()) return status;
  if (absl::Status status = edge_.Prepare(config.edge, warnings); !status.ok()) return status;
  absl::Status status = PrepareAdmin(config);
  if (!status.ok()) edge_.Rollback();
  return status;
}

void App::FinishServices(bool commit) {
  if (commit) {
    edge_.Commit();
  } else {
    edge_.Rollback();
  }
  FinishAdmin(commit);
}

absl::Status App::PrepareAdmin(const config::Config& config) {
  next_admin_listen_ = config.admin.listen;
  if (!next_admin_listen_ || (admin_ && next_admin_listen_ == admin_listen_)) {
    return absl::OkStatus();
  }
  if (admin_ && Overlap(*admin_listen_, *next_admin_listen_)) admin_.reset();
  // At the machine's start an address may come later than ctrl; an operator who reloads is told.
  const auto if_absent = started_ ? config::IfAbsent::kFail : config::IfAbsent::kListen;
  auto server = admin::AdminServer::Start(*next_admin_listen_, pages_, if_absent);
  if (!server.ok()) return server.status();
  next_admin_ = *std::move(server);
  return absl::OkStatus();
}

void App::FinishAdmin(bool commit) {
  if (commit && (next_admin_ || next_admin_listen_ != admin_listen_)) {
    admin_ = std::move(next_admin_);
    admin_listen_ = next_admin_listen_;
  }
  next_admin_.reset();
  if (admin_ || !admin_listen_) return;
  // It had made room for the one that is not to be.
  auto server = admin::AdminServer::Start(*admin_listen_, pages_, config::IfAbsent::kListen);
  if (server.ok()) {
    admin_ = *std::move(server);
  } else {
    log::Error("{}; reload to try again", std::string(server.status().message()));
  }
}

App::Signal App::Catch(int number, event_callback_fn callback) {
  Signal caught(evsignal_new(base_.get(), number, callback, this));
  evsignal_add(caught.get(), nullptr);
  return caught;
}

absl::Status App::Start() {
  auto run_dir = admin::RunDir::Take(options_.run_dir);
  if (!run_dir.ok()) return run_dir.status();
  run_dir_ = *std::move(run_dir);
  base_.reset(event_base_new());
  if (!base_) return absl::UnavailableError("no event loop can be made");
  if (absl::Status served =
          edge_.Serve(base_.get(), options_.run_dir + "/" + proxy::kServerDrainFileName);
      !served.ok())
    return served;
  auto end = [](int, short, void* self) { static_cast<App*>(self)->OnEnd(); };
  term_ = Catch(SIGTERM, end);
  interrupt_ = Catch(SIGINT, end);
  hangup_ = Catch(SIGHUP, [](int, short, void* self) { static_cast<App*>(self)->OnHangup(); });
  reopen_ =
      Catch(SIGUSR1, [](int, short, void* self) { static_cast<App*>(self)->edge_.ReopenLogs(); });

  mirror_ =
      std::make_unique<mirror::Mirror>(base_.get(), [this] { controller_->OnRoutingChanged(); });
  health::Monitor::Hooks health;
  health.states_changed = [this] { controller_->OnBridgeStatesChanged(); };
  health.figures_changed = [this] { board_.Set(controller_->Status()); };
  monitor_ = std::make_unique<health::Monitor>(
      base_.get(), options_.run_dir + "/" + health::kDrainFileName, std::move(health));
  controller_ = std::make_unique<Controller>(base_.get(), options_.config_file, MakeHooks());
  absl::Status status = controller_->Start();
  if (!status.ok()) return status;
  started_ = true;
  admin::CtrlSocket::Handlers handlers;
  handlers.status = [this] { return Status(); };
  handlers.reload = [this](Controller::ReloadDone done) { controller_->Reload(std::move(done)); };
  handlers.drain = [this](const api::CtrlDrain& drain) { return Drain(drain); };
  handlers.connections = [this](const auto& query, auto done) {
    edge_.Connections(query, std::move(done));
  };
  handlers.sources = [this](const auto& query, auto done) {
    edge_.Sources(query, std::move(done));
  };
  auto socket = admin::CtrlSocket::Open(base_.get(), options_.run_dir + "/" + kCtrlSocketName,
                                        std::move(handlers));
  if (!socket.ok()) return socket.status();
  socket_ = *std::move(socket);
  publisher_ = std::make_unique<Publisher>(base_.get(), options_.run_dir + "/" + kRelaySocketName,
                                           [this] { controller_->OnPublisherChanged(); });
  return mirror_->Start();
}

api::CtrlStatus App::Status() {
  api::CtrlStatus status = controller_->Status();
  const proxy::EdgeTotals edge = edge_.Totals();
  if (edge.workers > 0) *status.mutable_edge() = view::EdgeStatusOf(edge);
  return status;
}

api::CtrlDrainResult App::Drain(const api::CtrlDrain& drain) {
  api::CtrlDrainResult result;
  const std::string& bridge = drain.bridge();
  const bool of_server = !drain.upstream().empty() || !drain.server().empty();
  absl::Status status = of_server
                            ? edge_.DrainServer(drain.upstream(), drain.server(), drain.drained())
                            : monitor_->Drain(bridge, drain.drained());
  result.set_accepted(status.ok());
  result.set_unknown_bridge(absl::IsNotFound(status));
  result.set_message(std::string(status.message()));
  if (!status.ok() || of_server) return result;
  for (const api::BridgeHealth& health : monitor_->Describe()) {
    if (health.name() == bridge) *result.mutable_health() = health;
  }
  // At once, so that who waits for the last session knows from when on there is no new one.
  result.set_snapshot_id(controller_->OnBridgeStatesChanged().value_or(0));
  return result;
}

void App::OnHangup() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  sd_notify(
      0, fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1'000'000 + now.tv_nsec / 1000)
             .c_str());
  // Outcome and reasons are logged by the controller.
  controller_->Reload([](bool, const std::string&) { sd_notify(0, "READY=1"); });
}

// All goes on while connections of the TCP edge end: operators are answered, bridges are checked.
void App::OnEnd() {
  if (drain_step_) {
    log::Info("a second signal: ends at once");
    event_base_loopbreak(base_.get());
    return;
  }
  sd_notify(0, "STOPPING=1");
  const proxy::Edge::Drain drain = edge_.BeginDrain();
  drain_step_.reset(evtimer_new(
      base_.get(), [](int, short, void* self) { static_cast<App*>(self)->DrainMore(); }, this));
  if (drain.connections > 0) {
    const std::string ending = fmt::format(
        "ending: {} connections of the TCP edge have up to {} s (edge.drain_time); a second "
        "signal ends them at once",
        drain.connections, std::chrono::duration_cast<std::chrono::seconds>(drain.time).count());
    log::Info("{}", ending);
    sd_notify(0, ("STATUS=" + ending).c_str());
  }
  DrainMore();
}

void App::DrainMore() {
  if (!edge_.DrainMore()) {
    event_base_loopbreak(base_.get());
    return;
  }
  const timeval step{0, std::chrono::microseconds(proxy::Edge::kDrainStep).count()};
  evtimer_add(drain_step_.get(), &step);
}

// Tells systemd the state in a line, when it is another one.
void App::Notify() {
  view::Readiness readiness = view::ReadinessOf(board_.Get());
  std::string status = readiness.ready ? "relay forwards" : "not ready: " + readiness.reason;
  if (status == notified_) return;
  notified_ = status;
  log::Info("{}", status);
  sd_notify(0, ("STATUS=" + status).c_str());
}

// Checks of a thousand bridges that are all silent wait on as many sockets.
void RaiseFileLimit() {
  struct rlimit files {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

constexpr char kUsage[] =
    "Usage: bridgehead-ctrl --config FILE [OPTIONS]\n"
    "Bridgehead's control process: configuration, routing mirror, health checks, metrics.\n\n"
    "  --config FILE         configuration (YAML); required\n"
    "  --run-dir DIR         directory of the sockets and the counters [{}]\n"
    "  --log-level LEVEL     debug, info, warning or error [info]\n"
    "  --version             print the version\n"
    "  --help                print this\n\n"
    "Signals: HUP reloads the configuration and opens log files anew, USR1 does the latter alone; "
    "TERM and\n"
    "INT end, over edge.drain_time where there are connections of the TCP edge, a second one at "
    "once.\n"
    "Exit codes: 0 ended in good order, 1 ended by an error, 2 could not start.\n";

int UsageError(const std::string& what) {
  fmt::print(stderr, "bridgehead-ctrl: {}; see bridgehead-ctrl --help\n", what);
  return kExitBadStart;
}

int Main(int argc, char** argv) {
  Options options;
  log::Level level = log::Level::kInfo;
  enum : int { kConfig = 1, kRunDir, kLogLevel, kVersion, kHelp };
  const struct option known[] = {{"config", required_argument, nullptr, kConfig},
                                 {"run-dir", required_argument, nullptr, kRunDir},
                                 {"log-level", required_argument, nullptr, kLogLevel},
                                 {"version", no_argument, nullptr, kVersion},
                                 {"help", no_argument, nullptr, kHelp},
                                 {}};
  for (int got; (got = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    switch (got) {
      case kConfig:
        options.config_file = optarg;
        break;
      case kRunDir:
        options.run_dir = optarg;
        break;
      case kLogLevel:
        if (log::ParseLevel(optarg, level)) break;
        return UsageError(fmt::format("--log-level: no level \"{}\"", optarg));
      case kVersion:
        fmt::print("bridgehead-ctrl {}\n", BRIDGEHEAD_VERSION);
        return 0;
      case kHelp:
        fmt::print(kUsage, kDefaultRunDir);
        return 0;
      default:
        return UsageError("bad arguments");  // getopt_long has said which
    }
  }
  if (optind < argc) return UsageError(fmt::format("unexpected argument \"{}\"", argv[optind]));
  if (options.config_file.empty()) return UsageError("--config is required");
  signal(SIGPIPE, SIG_IGN);
  log::Start("ctrl", level);
  RaiseFileLimit();

  App app(options);
  absl::Status status = app.Start();
  if (!status.ok()) {
    fmt::print(stderr, "{}\n", std::string(status.message()));
    return kExitBadStart;
  }
  try {
    if (app.Run()) return 0;
    log::Error("the event loop failed");
  } catch (const std::exception& error) {
    log::Error("{}", error.what());
  }
  return kExitError;  // systemd starts it again, which it does not after a bad start
}

}  // namespace
}  // namespace bridgehead

int main(int argc, char** argv) {
  try {
    return bridgehead::Main(argc, argv);
  } catch (const std::exception& error) {
    fprintf(stderr, "bridgehead-ctrl: %s\n", error.what());
    return bridgehead::kExitBadStart;
  }
}
