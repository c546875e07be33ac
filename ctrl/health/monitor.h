// Watches the bridges of the configuration: asks each one that has a `health` or a `drain_state`,
// again and again, and knows which ones the operator drains.
//
// A bridge that a reload does not change is not disturbed: its state, counts and timers go on. With
// another interval or timeout its checks begin anew, counts included; its state stays. Each change
// of a state is logged once. What has changed within a moment is told together, so that many
// bridges that go at once make one snapshot.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <event2/event.h>

#include "absl/status/status.h"
#include "ctrl/config/config.h"
#include "ctrl/health/probe.h"
#include "ctrl/health/state.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::health {

class Monitor {
 public:
  struct Hooks {
    std::function<void()> states_changed;   // the relay is to know
    std::function<void()> figures_changed;  // Describe() says something new about checks
  };

  // Reads the drain file; where it can not be read, that is logged, and no bridge is drained.
  Monitor(event_base* base, std::string drain_file, Hooks hooks, MonitorTiming timing = {});
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // The configuration in force. The drain of a bridge that it does not name is forgotten.
  void Configure(const config::Config& config);

  // For the operator. NotFound: no such bridge. Another error: the drain file can not be written,
  // and nothing has changed.
  absl::Status Drain(const std::string& bridge, bool drained);

  // In the configuration's order.
  std::vector<api::BridgeHealth> Describe() const;

 private:
  struct Watched {
    Watched(const config::Bridge& from, const config::HealthCheck& check);
    config::Bridge bridge;
    BridgeState state;
    std::unique_ptr<Probe> health, drain_state;
  };
  struct FreeEvent {
    void operator()(event* e) const { event_free(e); }
  };
  using Timer = std::unique_ptr<event, FreeEvent>;

  std::unique_ptr<Watched> Adopt(const config::Bridge& bridge, const config::HealthCheck& check);
  void StartProbes(Watched& watched, const config::HealthCheck& check);
  void OnDrainState(Watched& watched, CheckResult& result, const std::string& body);
  static void LogState(const Watched& watched);
  void OnChanged(const Watched& watched);
  void WarnWhenAllAreDown();
  void ForgetRemoved();
  static void TellWithin(const Timer& timer, int milliseconds);

  event_base* const base_;
  const std::string drain_file_;
  const Hooks hooks_;
  const MonitorTiming timing_;
  std::set<std::string> drained_;
  config::HealthCheck check_;
  std::minstd_rand random_;
  std::vector<std::unique_ptr<Watched>> bridges_;
  Timer states_, figures_;
  bool all_down_ = false;
};

}  // namespace bridgehead::health
