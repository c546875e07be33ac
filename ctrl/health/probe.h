// One way to ask one bridge or server, again and again: when to ask next, and what came of it so
// far.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <string>

#include <event2/event.h>

#include "ctrl/config/config.h"
#include "ctrl/health/check.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::health {

struct MonitorTiming {
  int together_ms = 20;       // changes of states are told this late, all in one
  int figures_ms = 1000;      // new figures of checks are told at most this often
  int first_check_ms = 1000;  // the first checks are spread over this time
  int second_ms = 1000;       // what a second of the configuration lasts
};

class Probe {
 public:
  // After each check. May turn a good result into a failure, before it is counted.
  using Judge = std::function<void(CheckResult& result, const std::string& body)>;

  using Make =
      std::function<std::unique_ptr<Check>(std::chrono::milliseconds timeout, Check::Done done)>;

  // `url`: what is asked, for people. `random` outlives the probe.
  Probe(event_base* base, std::string url, const Make& make, const config::HealthCheck& settings,
        const MonitorTiming& timing, std::minstd_rand& random, Judge judge);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  void Describe(api::BridgeCheck& to) const;

 private:
  void Wait(std::chrono::milliseconds time);
  void Ask();
  void OnDone(CheckResult result, const std::string& body);

  const std::string url_;
  const std::chrono::milliseconds interval_;
  std::minstd_rand& random_;
  const Judge judge_;
  event* timer_;
  std::unique_ptr<Check> check_;
  std::chrono::steady_clock::time_point next_;
  uint64_t checks_ = 0;
  CheckResult last_;
  std::array<uint64_t, kFailureCount> failures_{};
};

}  // namespace bridgehead::health
