// Asks the servers of upstreams that have a `health`, again and again: ctrl/health/ does the asking
// and knows when a server is down, here is how it is asked: through what its upstream has.
//
// A server that a reload leaves keeps its state. Its checks begin anew, counts included, when they
// are made otherwise than before; a file of authorities that has changed counts from the next check
// on. Each change of a state is logged once, and those within a moment are told together.
//
// For the main thread, but for AddTo.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <utility>

#include <event2/event.h>

#include "ctrl/config/edge.h"
#include "ctrl/health/probe.h"
#include "ctrl/health/state.h"
#include "ctrl/proxy/snapshot.h"
#include "ctrl/proxy/stats/totals.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::proxy {

class ServerChecks {
 public:
  // `changed`: down() is another one now. Not called from within Configure.
  ServerChecks(event_base* base, std::function<void()> changed, health::MonitorTiming timing = {});
  ServerChecks(const ServerChecks&) = delete;
  ServerChecks& operator=(const ServerChecks&) = delete;

  // The configuration in force.
  void Configure(const Snapshot& snapshot);

  // As ServerDrains::NameOf has it.
  const std::set<std::string>& down() const { return down_; }
  // From any thread: what is known of those servers in `totals` that are checked.
  void AddTo(EdgeTotals& totals) const;

 private:
  using Name = std::pair<std::string, std::string>;  // upstream, server
  struct Watched {
    explicit Watched(health::Thresholds thresholds);
    config::UpstreamServer server;
    config::Upstream how;  // its upstream without its servers
    std::shared_ptr<const UpstreamContext> tls;
    health::BridgeState state;
    std::unique_ptr<health::Probe> probe;
    bool has_news = true;  // that are not in known_ yet
  };
  struct FreeEvent {
    void operator()(event* e) const { event_free(e); }
  };

  std::unique_ptr<Watched> Adopt(const config::Upstream& upstream,
                                 const config::UpstreamServer& server);
  void Start(Watched& watched);
  void OnResult(Watched& watched, const health::CheckResult& result);
  void LogState(const Watched& watched) const;
  void Tell();
  // Whether down_ is another one now.
  bool Refresh();

  event_base* const base_;
  const std::function<void()> changed_;
  const health::MonitorTiming timing_;
  std::minstd_rand random_;
  std::map<Name, std::unique_ptr<Watched>> servers_;
  std::set<std::string> down_;
  std::unique_ptr<event, FreeEvent> tell_;

  mutable std::mutex mutex_;  // of known_
  std::map<Name, api::BridgeHealth> known_;
};

}  // namespace bridgehead::proxy
