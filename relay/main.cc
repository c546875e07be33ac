// bridgehead-relay: the data plane's process.
//
// Waits on its Unix socket for the first snapshot from bridgehead-ctrl, opens the ports, starts the
// workers, and from then on takes new snapshots and answers questions. Exit codes: 0 after SIGTERM
// or SIGINT, 1 for trouble with the run directory, 2 when the data plane can not start as
// configured, 3 when a port was lost while it ran.
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "fmt/format.h"
#include "relay/api/log.h"
#include "relay/api/server.h"
#include "relay/dataplane.h"

namespace bridgehead {
namespace {

constexpr int kTickMs = 2;  // how long a worker's question to the kernel may lie

class Relay {
 public:
  explicit Relay(DataPlaneOptions options) : options_(std::move(options)) {}

  int Run();

 private:
  absl::Status TakeRunDir();
  void Handle(const api::Request& request, api::Response& response);
  void HandleSnapshot(const api::Snapshot& snapshot, api::SnapshotResult& result);
  void FillStatus(api::RelayStatus& status) const;

  DataPlaneOptions options_;
  std::unique_ptr<DataPlane> plane_;
  std::optional<std::string> fatal_;  // the data plane can not start: why
  const time_t start_ = time(nullptr);
};

// Root, with no more of it than the data plane takes: XDP programs (BPF, PERFMON, NET_ADMIN),
// AF_XDP and netlink (NET_ADMIN, NET_RAW), locked memory (IPC_LOCK, SYS_RESOURCE), threads on their
// cores (SYS_NICE), the group of the control socket (CHOWN), and a run directory of another owner
// (DAC_OVERRIDE). Before any thread starts: capabilities belong to threads.
void DropPrivileges() {
  capng_get_caps_process();
  if (capng_have_capabilities(CAPNG_SELECT_CAPS) <= CAPNG_NONE)
    return;  // not root: the port will say
  const std::set<int> kept = {CAP_BPF,          CAP_PERFMON,      CAP_NET_ADMIN, CAP_NET_RAW,
                              CAP_IPC_LOCK,     CAP_SYS_RESOURCE, CAP_SYS_NICE,  CAP_CHOWN,
                              CAP_DAC_OVERRIDE, CAP_SYS_ADMIN};
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if (kept.contains(capability)) continue;
    capng_update(CAPNG_DROP,
                 static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE),
                 static_cast<unsigned>(capability));
  }
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) log::Warn("cannot drop capabilities");
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

// One relay for each run directory: the lock dies with its holder, however that ends.
absl::Status Relay::TakeRunDir() {
  if (mkdir(options_.run_dir.c_str(), 0755) != 0 && errno != EEXIST) {
    return absl::UnavailableError(
        fmt::format("--run-dir: cannot make {}: {}; make it or run as root", options_.run_dir,
                    strerror(errno)));
  }
  std::string path = options_.run_dir + "/relay.lock";
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) {
    return absl::PermissionDeniedError(
        fmt::format("--run-dir: cannot open {}: {}; run as root", path, strerror(errno)));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return absl::AlreadyExistsError(fmt::format(
        "--run-dir: another bridgehead-relay runs on {}; stop it, or give this one its own "
        "directory",
        options_.run_dir));
  }
  return absl::OkStatus();  // the lock is kept until the process ends
}

void Relay::Handle(const api::Request& request, api::Response& response) {
  switch (request.body_case()) {
    case api::Request::kSnapshot:
      HandleSnapshot(request.snapshot(), *response.mutable_snapshot());
      return;
    case api::Request::kStatus:
      FillStatus(*response.mutable_status());
      return;
    case api::Request::kSessions: {
      if (plane_ == nullptr) {
        response.set_error("not forwarding yet: no configuration from bridgehead-ctrl");
        return;
      }
      auto page = plane_->Sessions(request.sessions());
      if (page.ok()) {
        *response.mutable_sessions() = *std::move(page);
      } else {
        response.set_error(std::string(page.status().message()));
      }
      return;
    }
    default:
      response.set_error("the relay does not know this request");
  }
}

void Relay::HandleSnapshot(const api::Snapshot& snapshot, api::SnapshotResult& result) {
  result.set_id(snapshot.id());
  absl::Status status;
  if (plane_ != nullptr) {
    status = plane_->Apply(snapshot);
  } else {
    auto plane = DataPlane::Start(snapshot, options_);
    status = plane.status();
    if (plane.ok()) {
      plane_ = *std::move(plane);
      log::Info("forwarding");
      sd_notify(0, "READY=1\nSTATUS=forwarding");
    } else {
      fatal_ = std::string(status.message());
    }
  }
  result.set_accepted(status.ok());
  result.set_error(std::string(status.message()));
  result.set_restart_required(absl::IsFailedPrecondition(status));
}

void Relay::FillStatus(api::RelayStatus& status) const {
  status.set_version(BRIDGEHEAD_VERSION);
  status.set_pid(static_cast<uint32_t>(getpid()));
  status.set_start_time_unix(static_cast<uint64_t>(start_));
  if (plane_ == nullptr) {
    status.set_problem("waiting for a configuration from bridgehead-ctrl");
  } else {
    plane_->FillStatus(status);
  }
}

int Relay::Run() {
  DropPrivileges();
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals,
            SIGHUP);  // the terminal is gone; the relay has no configuration to read again
  signal(SIGPIPE, SIG_IGN);
  // Before any thread starts, so that all inherit it.
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  int signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);

  absl::Status status = TakeRunDir();
  if (!status.ok()) {
    fmt::print(stderr, "bridgehead-relay: {}\n", std::string(status.message()));
    return 1;
  }
  auto server = ApiServer::Listen(
      options_.run_dir + "/" + kRelaySocketName, BRIDGEHEAD_VERSION,
      [this](const api::Request& request, api::Response& response) { Handle(request, response); });
  if (!server.ok()) {
    fmt::print(stderr, "bridgehead-relay: {}\n", std::string(server.status().message()));
    return 1;
  }
  log::Info("bridgehead-relay {} waits for bridgehead-ctrl on {}/{}", BRIDGEHEAD_VERSION,
            options_.run_dir, kRelaySocketName);
  while (true) {
    (*server)->Poll(plane_ ? kTickMs : -1, signal_fd);
    if (fatal_) {
      (*server)->Flush(1000);
      fmt::print(stderr, "bridgehead-relay: {}\n", *fatal_);
      return 2;
    }
    struct signalfd_siginfo info {};
    if (read(signal_fd, &info, sizeof(info)) == sizeof(info)) break;
    if (!plane_) continue;
    if (absl::Status alive = plane_->Tick(); !alive.ok()) {
      log::Error("{}: the relay ends, to be started again", std::string(alive.message()));
      plane_.reset();
      return 3;
    }
  }
  log::Info("stopping");
  sd_notify(0, "STOPPING=1");
  plane_.reset();
  return 0;
}

// The XDP program: beside this executable when that lies in a build directory, else where it was
// installed.
std::string FindSteerProgram() {
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  auto built = self.parent_path().parent_path() / "bpf" / "steer.bpf.o";
  if (!error && std::filesystem::exists(built, error)) return built;
  return BRIDGEHEAD_STEER_PROGRAM;
}

}  // namespace
}  // namespace bridgehead

namespace {

constexpr char kUsage[] =
    "Usage: bridgehead-relay [OPTIONS]\n"
    "Bridgehead's data plane: forwards WebRTC media between clients and bridges.\n\n"
    "  --run-dir DIR         directory of the control socket and the counters [/run/bridgehead]\n"
    "  --steer-program FILE  XDP object file for device: ports\n"
    "  --log-level LEVEL     debug, info, warning or error [info]\n"
    "  --version             print the version\n"
    "  --help                print this\n\n"
    "Signals: TERM and INT end.\n"
    "Exit codes: 0 ended in good order, 1 trouble with the run directory, 2 can not start as\n"
    "configured, 3 an interface or its XDP program was taken away.\n";

int UsageError(const std::string& what) {
  fmt::print(stderr, "bridgehead-relay: {}\n{}", what, kUsage);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  bridgehead::DataPlaneOptions options;
  options.run_dir = bridgehead::kDefaultRunDir;
  options.steer_program = bridgehead::FindSteerProgram();
  bridgehead::log::Level level = bridgehead::log::Level::kInfo;
  enum : int { kRunDir = 1, kSteerProgram, kLogLevel, kVersion, kHelp };
  const struct option known[] = {{"run-dir", required_argument, nullptr, kRunDir},
                                 {"steer-program", required_argument, nullptr, kSteerProgram},
                                 {"log-level", required_argument, nullptr, kLogLevel},
                                 {"version", no_argument, nullptr, kVersion},
                                 {"help", no_argument, nullptr, kHelp},
                                 {}};
  for (int got; (got = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    switch (got) {
      case kRunDir:
        options.run_dir = optarg;
        break;
      case kSteerProgram:
        options.steer_program = optarg;
        break;
      case kLogLevel:
        if (bridgehead::log::ParseLevel(optarg, level)) break;
        return UsageError(fmt::format("--log-level: no level \"{}\"", optarg));
      case kVersion:
        fmt::print("bridgehead-relay {}\n", BRIDGEHEAD_VERSION);
        return 0;
      case kHelp:
        fmt::print("{}", kUsage);
        return 0;
      default:  // getopt_long has said what is wrong
        fmt::print(stderr, "{}", kUsage);
        return 2;
    }
  }
  if (optind < argc) return UsageError(fmt::format("unexpected argument \"{}\"", argv[optind]));
  bridgehead::log::Start("relay", level);
  return bridgehead::Relay(std::move(options)).Run();
}
