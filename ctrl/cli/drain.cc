// `drain` and `undrain`: ctrl keeps it, the relay's counters say how many sessions are left.
#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include <errno.h>
#include <nlohmann/json.hpp>
#include <signal.h>

#include "ctrl/cli/ask.h"
#include "ctrl/cli/commands.h"
#include "ctrl/cli/drain_server.h"
#include "ctrl/cli/format.h"
#include "ctrl/view/report.h"
#include "fmt/format.h"

namespace bridgehead::cli {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{200};
constexpr std::chrono::seconds kAskAgain{1};
// The relay takes a snapshot within milliseconds.
constexpr std::chrono::milliseconds kLookSoon{20};
constexpr std::chrono::seconds kToConfirm{2};
constexpr std::chrono::seconds kToApply{10};  // --wait: enough for one that starts anew
constexpr char kNotInUse[] = "but the relay does not use it yet: see bridgehead status";

struct Left {
  uint64_t sessions = 0;
  bool applied = false;  // every worker goes by it
};

// It says so itself, or it was killed. A process of another PID namespace is not seen from here,
// but reached.
bool HasEnded(const Options& options, const CounterTotals& totals) {
  if (totals.closed) return true;
  if (kill(static_cast<pid_t>(totals.pid), 0) == 0 || errno != ESRCH) return false;
  return !ApiClient::Connect(options.run_dir + "/" + kRelaySocketName, "bridgehead command",
                             kQueryTimeoutMs)
              .ok();
}

// Error: no relay forwards, so that there are no sessions.
absl::StatusOr<Left> Look(const Options& options, const api::CtrlDrainResult& drain) {
  auto reader = CounterReader::Open(options.run_dir + "/" + kCountersFileName);
  if (!reader.ok()) return reader.status();
  const CounterTotals totals = (*reader)->Read();
  if (HasEnded(options, totals)) return absl::UnavailableError("the relay has ended");
  Left left;
  for (const auto& bridge : totals.bridges) {
    if (bridge.name == options.bridge) left.sessions = bridge.sessions_active;
  }
  left.applied = drain.snapshot_id() != 0;
  for (const auto& worker : totals.workers) {
    left.applied = left.applied && worker.snapshot_id >= drain.snapshot_id();
  }
  return left;
}

std::string LeftText(uint64_t sessions) {
  return sessions == 0   ? "no sessions left"
         : sessions == 1 ? "1 session left"
                         : Thousands(sessions) + " sessions left";
}

void PrintJson(const Options& options, const Streams& streams, const api::CtrlDrainResult& result,
               const std::optional<uint64_t>& sessions, const std::string& message) {
  using Json = nlohmann::ordered_json;
  Json json = {
      {"bridge", options.bridge},
      {"accepted", result.accepted()},
      {"drained", result.accepted() ? Json(result.health().drained()) : Json(nullptr)},
      {"state", result.accepted() ? Json(view::StateWord(result.health().state())) : Json(nullptr)},
      {"sessions_left", sessions ? Json(*sessions) : Json(nullptr)},
      {"message", message.empty() ? Json(nullptr) : Json(message)}};
  streams.out(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

absl::StatusOr<api::CtrlDrainResult> Send(const Options& options, bool drained) {
  api::Request request;
  request.mutable_drain()->set_bridge(options.bridge);
  request.mutable_drain()->set_drained(drained);
  absl::StatusOr<api::Response> response = Ask(options, kCtrlSocketName, std::move(request));
  if (!response.ok()) return response.status();
  return response->drain();
}

// A ctrl that has just started has only noted it, and no snapshot yet to watch for.
void LearnSnapshot(const Options& options, bool drained, api::CtrlDrainResult& result) {
  if (result.snapshot_id() != 0) return;
  absl::StatusOr<api::CtrlDrainResult> again = Send(options, drained);
  if (again.ok() && again->accepted()) result = *std::move(again);
}

// False: somebody has undrained it meanwhile. Without ctrl the relay keeps what it has.
bool StillDrained(const Options& options) {
  api::Request request;
  request.mutable_ctrl();
  absl::StatusOr<api::Response> response = Ask(options, kCtrlSocketName, std::move(request));
  if (!response.ok()) return true;
  const auto& all = response->ctrl().health();
  return std::any_of(all.begin(), all.end(), [&](const api::BridgeHealth& bridge) {
    return bridge.name() == options.bridge && bridge.drained();
  });
}

// Until the last session has ended. A relay that starts anew meanwhile is waited for.
class Wait {
 public:
  Wait(const Options& options, const Streams& streams, api::CtrlDrainResult result)
      : options_(options), streams_(streams), result_(std::move(result)) {}

  int Run() {
    while (true) {
      if (std::optional<int> code = Turn()) return *code;
      std::this_thread::sleep_for(kLook);
    }
  }

 private:
  std::optional<int> Turn() {
    const absl::StatusOr<Left> left = Look(options_, result_);
    const auto now = steady_clock::now();
    if (left.ok()) Show(left->sessions);
    if (left.ok() && left->applied) {
      if (left->sessions == 0) {
        if (options_.json) PrintJson(options_, streams_, result_, shown_, "");
        return kOk;
      }
      in_use_ = now;
    } else if ((!left.ok() && !shown_) || now - in_use_ > kToApply) {
      return Unreachable(options_, streams_,
                         left.ok()
                             ? fmt::format("drained, {}", kNotInUse)
                             : "drained, but nobody can say what is left: " + Text(left.status()));
    }
    if (options_.wait_seconds &&
        now - start_ >= std::chrono::duration<double>(*options_.wait_seconds)) {
      return GiveUp(fmt::format("{}: {} after {:g} s", options_.bridge,
                                LeftText(shown_.value_or(0)), *options_.wait_seconds));
    }
    if (now - asked_ < kAskAgain) return std::nullopt;
    asked_ = now;
    if (!StillDrained(options_)) {
      result_.mutable_health()->set_drained(false);
      return GiveUp(fmt::format("{}: no longer drained, the wait is over", options_.bridge));
    }
    LearnSnapshot(options_, /*drained=*/true, result_);
    return std::nullopt;
  }

  void Show(uint64_t sessions) {
    if (!options_.json && shown_ != sessions) {
      streams_.out(fmt::format("{}: {}\n", options_.bridge, LeftText(sessions)));
    }
    shown_ = sessions;
  }

  int GiveUp(const std::string& message) const {
    if (options_.json) PrintJson(options_, streams_, result_, shown_, message);
    streams_.error(message + "\n");
    return kRefused;
  }

  const Options& options_;
  const Streams& streams_;
  api::CtrlDrainResult result_;
  const steady_clock::time_point start_ = steady_clock::now();
  steady_clock::time_point asked_ = start_;
  steady_clock::time_point in_use_ = start_;  // when the relay was last seen to go by it
  std::optional<uint64_t> shown_;
};

// Until the relay goes by it, or is not there to, or has had time enough.
absl::StatusOr<Left> Confirm(const Options& options, bool drained, api::CtrlDrainResult& result) {
  const auto start = steady_clock::now();
  while (true) {
    absl::StatusOr<Left> left = Look(options, result);
    if (!left.ok() || left->applied || steady_clock::now() - start > kToConfirm) return left;
    std::this_thread::sleep_for(kLookSoon);
    LearnSnapshot(options, drained, result);
  }
}

int Set(const Options& options, const Streams& streams, bool drained) {
  absl::StatusOr<api::CtrlDrainResult> answer = Send(options, drained);
  if (!answer.ok()) {
    return Unreachable(options, streams, "ctrl is not reachable: " + Text(answer.status()));
  }
  api::CtrlDrainResult& result = *answer;
  if (!result.accepted()) {
    const std::string message = (result.unknown_bridge() ? "BRIDGE: " : "") + result.message();
    if (options.json) PrintJson(options, streams, result, std::nullopt, message);
    streams.error(Printable(message) + "\n");
    return result.unknown_bridge() ? kUsage : kRefused;
  }
  if (drained && options.wait) return Wait(options, streams, std::move(result)).Run();
  const absl::StatusOr<Left> left = Confirm(options, drained, result);
  if (left.ok() && !left->applied) {
    return Unreachable(options, streams, fmt::format("{}: noted, {}", options.bridge, kNotInUse));
  }
  std::optional<uint64_t> sessions;
  if (left.ok()) sessions = left->sessions;
  if (options.json) {
    PrintJson(options, streams, result, sessions, "");
    return kOk;
  }
  const api::BridgeHealth& health = result.health();
  const std::string what = health.state() == api::Bridge::UP
                               ? "takes new sessions"
                               : "takes no new sessions: " + health.reason();
  streams.out(fmt::format("{} {}; {}\n", options.bridge, what,
                          sessions ? LeftText(*sessions) : "the relay is not running"));
  return kOk;
}

// No bridge's name has a slash in it.
bool IsServer(const Options& options) {
  return options.bridge.find('/') != std::string::npos;
}

}  // namespace

int Drain(const Options& options, const Streams& streams) {
  return IsServer(options) ? DrainServer(options, streams, true) : Set(options, streams, true);
}

int Undrain(const Options& options, const Streams& streams) {
  return IsServer(options) ? DrainServer(options, streams, false) : Set(options, streams, false);
}

}  // namespace bridgehead::cli
