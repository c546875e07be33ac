// `drain` and `undrain`: ctrl keeps it, the relay's counters say how many sessions are left.
#include <chrono>
#include <optional>
#include <thread>

#include <nlohmann/json.hpp>

#include "ctrl/cli/ask.h"
#include "ctrl/cli/commands.h"
#include "ctrl/cli/format.h"
#include "ctrl/view/report.h"
#include "fmt/format.h"

namespace bridgehead::cli {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{200};
constexpr std::chrono::seconds kToApply{10};  // the relay takes a snapshot within milliseconds

struct Left {
  uint64_t sessions = 0;
  bool applied = false;  // every worker refuses new ones
};

// Error: no relay forwards, so that there are no sessions.
absl::StatusOr<Left> Look(const Options& options, const api::CtrlDrainResult& drain) {
  auto reader = CounterReader::Open(options.run_dir + "/" + kCountersFileName);
  if (!reader.ok()) return reader.status();
  const CounterTotals totals = (*reader)->Read();
  if (totals.closed) return absl::UnavailableError("the relay has ended");
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

// Until the last session has ended.
int Wait(const Options& options, const Streams& streams, const api::CtrlDrainResult& result) {
  const auto start = steady_clock::now();
  std::optional<uint64_t> shown;
  while (true) {
    const absl::StatusOr<Left> left = Look(options, result);
    if (!left.ok()) {
      return Unreachable(options, streams,
                         "drained, but nobody can say what is left: " + Text(left.status()));
    }
    if (!options.json && shown != left->sessions) {
      streams.out(fmt::format("{}: {}\n", options.bridge, LeftText(left->sessions)));
    }
    shown = left->sessions;
    if (left->applied && left->sessions == 0) {
      if (options.json) PrintJson(options, streams, result, shown, "");
      return kOk;
    }
    const auto waited = steady_clock::now() - start;
    if (!left->applied && waited > kToApply) {
      return Unreachable(options, streams,
                         "drained, but the relay does not use it yet: see bridgehead status");
    }
    if (options.wait_seconds && waited >= std::chrono::duration<double>(*options.wait_seconds)) {
      const std::string message = fmt::format("{}: {} after {:g} s", options.bridge,
                                              LeftText(left->sessions), *options.wait_seconds);
      if (options.json) PrintJson(options, streams, result, shown, message);
      streams.error(message + "\n");
      return kRefused;
    }
    std::this_thread::sleep_for(kLook);
  }
}

int Set(const Options& options, const Streams& streams, bool drained) {
  api::Request request;
  request.mutable_drain()->set_bridge(options.bridge);
  request.mutable_drain()->set_drained(drained);
  absl::StatusOr<api::Response> response = Ask(options, kCtrlSocketName, std::move(request));
  if (!response.ok()) {
    return Unreachable(options, streams, "ctrl is not reachable: " + Text(response.status()));
  }
  const api::CtrlDrainResult& result = response->drain();
  if (!result.accepted()) {
    const std::string message = (result.unknown_bridge() ? "BRIDGE: " : "") + result.message();
    if (options.json) PrintJson(options, streams, result, std::nullopt, message);
    streams.error(Printable(message) + "\n");
    return result.unknown_bridge() ? kUsage : kRefused;
  }
  if (drained && options.wait) return Wait(options, streams, result);
  const absl::StatusOr<Left> left = Look(options, result);
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

}  // namespace

int Drain(const Options& options, const Streams& streams) {
  return Set(options, streams, true);
}

int Undrain(const Options& options, const Streams& streams) {
  return Set(options, streams, false);
}

}  // namespace bridgehead::cli
