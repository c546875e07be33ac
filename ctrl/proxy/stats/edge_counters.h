// All that one worker counts, by the names of the configuration.
//
// Names are looked up when a configuration is taken; whoever counts has its counters in hand. The
// lock is for that and for readers: counting takes none.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "ctrl/config/edge.h"
#include "ctrl/proxy/accept/accepted.h"
#include "ctrl/proxy/stats/counters.h"
#include "ctrl/proxy/stats/totals.h"

namespace bridgehead::proxy {

class EdgeCounters {
 public:
  EdgeCounters() = default;
  EdgeCounters(const EdgeCounters&) = delete;
  EdgeCounters& operator=(const EdgeCounters&) = delete;

  // By the worker: the same counters for the same names, from one configuration to the next.
  std::shared_ptr<RouteCounters> Route(const std::string& host, const std::string& route);
  std::shared_ptr<ServerCounters> Server(const std::string& upstream, const std::string& server);
  // Counted by its state, and by those that it had before. The worker takes connections.
  void AddListener(const std::string& name, std::shared_ptr<ListenerState> state);
  // The worker rests: it is none of those that are counted, and what it knows of servers is old.
  void Rest();
  // Drops what is not in `edge` and what nobody uses any more.
  void Forget(const config::Edge& edge);

  // From any thread. `totals`: of workers before this one, or empty; stays sorted by name. `now`:
  // servers that are left alone until later are counted as such.
  void AddTo(EdgeTotals& totals, std::chrono::steady_clock::time_point now) const;

 private:
  using Name = std::pair<std::string, std::string>;

  mutable std::mutex mutex_;  // of the maps, not of what is in them
  bool resting_ = false;
  std::multimap<std::string, std::shared_ptr<ListenerState>> listeners_;
  std::map<std::string, EdgeTotals::Listener> past_;  // of states that are over, by name
  std::map<Name, std::shared_ptr<RouteCounters>> routes_;
  std::map<Name, std::shared_ptr<ServerCounters>> servers_;
};

}  // namespace bridgehead::proxy
