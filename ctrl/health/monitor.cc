#include "ctrl/health/monitor.h"

#include <algorithm>
#include <utility>

#include <time.h>

#include "ctrl/health/drain_file.h"
#include "ctrl/health/http_check.h"
#include "ctrl/health/stun_check.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "relay/api/log.h"

namespace bridgehead::health {
namespace {

uint64_t Now() {
  return static_cast<uint64_t>(time(nullptr));
}

const char* Word(BridgeState::State state) {
  return state == api::Bridge::UP ? "up" : state == api::Bridge::DOWN ? "down" : "draining";
}

}  // namespace

Monitor::Watched::Watched(const config::Bridge& from, const config::HealthCheck& check)
    : bridge(from), state({check.rise, check.fall}, Now()) {}

Monitor::Monitor(event_base* base, std::string drain_file, Hooks hooks, MonitorTiming timing)
    : base_(base),
      drain_file_(std::move(drain_file)),
      hooks_(std::move(hooks)),
      timing_(timing),
      random_(std::random_device{}()) {
  absl::StatusOr<std::set<std::string>> drained = ReadDrainFile(drain_file_);
  if (drained.ok()) {
    drained_ = *std::move(drained);
  } else {
    log::Error("{}: no bridge is drained; drain them again",
               std::string(drained.status().message()));
  }
  states_.reset(evtimer_new(
      base, [](int, short, void* self) { static_cast<Monitor*>(self)->hooks_.states_changed(); },
      this));
  figures_.reset(evtimer_new(
      base, [](int, short, void* self) { static_cast<Monitor*>(self)->hooks_.figures_changed(); },
      this));
}

Monitor::~Monitor() = default;

// The first change of a moment starts its time; later ones do not put it off.
void Monitor::TellWithin(const Timer& timer, int milliseconds) {
  if (evtimer_pending(timer.get(), nullptr)) return;
  const timeval time{milliseconds / 1000, milliseconds % 1000 * 1000};
  evtimer_add(timer.get(), &time);
}

void Monitor::Configure(const config::Config& config) {
  std::vector<std::unique_ptr<Watched>> next;
  for (const config::Bridge& bridge : config.bridges) {
    next.push_back(Adopt(bridge, config.health_check));
  }
  bridges_ = std::move(next);
  check_ = config.health_check;
  ForgetRemoved();
  WarnWhenAllAreDown();
  // What was sent with the configuration may have been another bridge's state by the same name.
  TellWithin(states_, timing_.together_ms);
}

// The bridge as it is watched already, where it is still the same one and asked in the same way.
std::unique_ptr<Monitor::Watched> Monitor::Adopt(const config::Bridge& bridge,
                                                 const config::HealthCheck& check) {
  const auto old = std::find_if(bridges_.begin(), bridges_.end(), [&](const auto& watched) {
    return watched != nullptr && watched->bridge.name == bridge.name &&
           watched->bridge.address == bridge.address && watched->bridge.health == bridge.health &&
           watched->bridge.drain_state == bridge.drain_state;
  });
  if (old == bridges_.end()) {
    auto watched = std::make_unique<Watched>(bridge, check);
    if (watched->state.SetDrained(drained_.contains(bridge.name), Now())) LogState(*watched);
    StartProbes(*watched, check);
    return watched;
  }
  std::unique_ptr<Watched> watched = std::move(*old);
  watched->state.SetThresholds({check.rise, check.fall});
  if (check.interval != check_.interval || check.timeout != check_.timeout) {
    StartProbes(*watched, check);
  }
  return watched;
}

void Monitor::StartProbes(Watched& watched, const config::HealthCheck& check) {
  const auto start = [&](const std::optional<config::CheckUrl>& url, Probe::Judge judge) {
    const auto make = [this, &url](std::chrono::milliseconds timeout,
                                   Check::Done done) -> std::unique_ptr<Check> {
      if (url->kind == config::CheckUrl::Kind::kStun) {
        return std::make_unique<StunCheck>(base_, *url, timeout, std::move(done));
      }
      return std::make_unique<HttpCheck>(base_, *url, timeout, std::move(done));
    };
    return url ? std::make_unique<Probe>(base_, url->text(), make, check, timing_, random_,
                                         std::move(judge))
               : nullptr;
  };
  watched.health =
      start(watched.bridge.health, [this, &watched](CheckResult& result, const std::string&) {
        if (watched.state.NoteHealth(result, Now())) OnChanged(watched);
        TellWithin(figures_, timing_.figures_ms);
      });
  watched.drain_state = start(watched.bridge.drain_state,
                              [this, &watched](CheckResult& result, const std::string& body) {
                                OnDrainState(watched, result, body);
                                TellWithin(figures_, timing_.figures_ms);
                              });
}

void Monitor::OnDrainState(Watched& watched, CheckResult& result, const std::string& body) {
  if (result.failure) return;
  const std::optional<bool> draining = ParseDrainState(body);
  if (!draining) {
    result.failure = Failure::kMalformed;
    result.reason = "answer does not say whether the bridge drains";
  } else if (watched.state.NoteSaysDraining(*draining, Now())) {
    OnChanged(watched);
  }
}

void Monitor::LogState(const Watched& watched) {
  const std::string reason = watched.state.reason();
  const std::string line =
      fmt::format("bridge {}: {}{}{}", watched.bridge.name, Word(watched.state.state()),
                  reason.empty() ? "" : ": ", reason);
  if (watched.state.state() == api::Bridge::DOWN) {
    log::Warn("{}", line);
  } else {
    log::Info("{}", line);
  }
}

void Monitor::OnChanged(const Watched& watched) {
  LogState(watched);
  WarnWhenAllAreDown();
  TellWithin(states_, timing_.together_ms);
}

void Monitor::WarnWhenAllAreDown() {
  size_t checked = 0, down = 0;
  for (const auto& watched : bridges_) {
    if (!watched->health) continue;
    ++checked;
    if (watched->state.state() == api::Bridge::DOWN) ++down;
  }
  const bool all = checked > 1 && down == checked;
  if (all && !all_down_) {
    log::Error(
        "all {} bridges that are checked are down: if they are not, it is this machine's way to "
        "them; no new session can begin until one is up",
        checked);
  }
  all_down_ = all;
}

void Monitor::ForgetRemoved() {
  std::set<std::string> kept;
  for (const auto& watched : bridges_) {
    if (watched->state.drained()) kept.insert(watched->bridge.name);
  }
  if (kept == drained_) return;
  std::vector<std::string> gone;
  std::set_difference(drained_.begin(), drained_.end(), kept.begin(), kept.end(),
                      std::back_inserter(gone));
  log::Warn("drain of {} forgotten: not in the configuration", fmt::join(gone, ", "));
  drained_ = std::move(kept);
  absl::Status written = WriteDrainFile(drain_file_, drained_);
  if (!written.ok()) log::Error("{}", std::string(written.message()));
}

absl::Status Monitor::Drain(const std::string& bridge, bool drained) {
  const auto found = std::find_if(bridges_.begin(), bridges_.end(), [&](const auto& watched) {
    return watched->bridge.name == bridge;
  });
  if (found == bridges_.end()) {
    std::vector<std::string> names;
    for (const auto& watched : bridges_) names.push_back(watched->bridge.name);
    return absl::NotFoundError(
        fmt::format("got \"{}\", expected one of: {}", bridge, fmt::join(names, ", ")));
  }
  std::set<std::string> next = drained_;
  if (drained) {
    next.insert(bridge);
  } else {
    next.erase(bridge);
  }
  if (next == drained_) return absl::OkStatus();
  // On disk first: what was promised to the operator holds after a crash.
  absl::Status written = WriteDrainFile(drain_file_, next);
  if (!written.ok()) return written;
  drained_ = std::move(next);
  Watched& watched = **found;
  if (watched.state.SetDrained(drained, Now())) {
    OnChanged(watched);
  } else {
    log::Info("bridge {}: {} by the operator, and still {}", bridge,
              drained ? "drained" : "no longer drained", Word(watched.state.state()));
  }
  return absl::OkStatus();
}

std::vector<api::BridgeHealth> Monitor::Describe() const {
  std::vector<api::BridgeHealth> all;
  for (const auto& watched : bridges_) {
    api::BridgeHealth& to = all.emplace_back();
    to.set_name(watched->bridge.name);
    to.set_state(watched->state.state());
    to.set_since_unix(watched->state.since_unix());
    to.set_reason(watched->state.reason());
    to.set_drained(watched->state.drained());
    to.set_says_draining(watched->state.says_draining());
    if (watched->health) watched->health->Describe(*to.mutable_health());
    if (watched->drain_state) watched->drain_state->Describe(*to.mutable_drain_state());
  }
  return all;
}

}  // namespace bridgehead::health
