// The TCP edge as the rest of ctrl sees it: its workers, and the configuration they work by.
//
// All methods are for the main thread, but for Totals.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ctrl/config/edge.h"
#include "ctrl/proxy/accept/listening_socket.h"
#include "ctrl/proxy/operations.h"
#include "ctrl/proxy/route/worker_pool.h"
#include "ctrl/proxy/seats.h"
#include "ctrl/proxy/snapshot.h"
#include "ctrl/proxy/stats/totals.h"
#include "ctrl/proxy/surveys.h"
#include "ctrl/proxy/upstream/server_checks.h"
#include "ctrl/proxy/upstream/server_drains.h"
#include "ctrl/proxy/worker.h"

namespace bridgehead::proxy {

class Edge {
 public:
  Edge() = default;
  ~Edge();
  Edge(const Edge&) = delete;
  Edge& operator=(const Edge&) = delete;

  // Makes everything ready for `next` without changing anything: reads its files, opens the sockets
  // of new addresses, starts the workers of new cores. Error: one line that names what cannot be;
  // then all stays as it is.
  // `warnings` gets what operators should know: certificates that end soon.
  absl::Status Prepare(const config::Edge& next, std::vector<std::string>& warnings);
  // What was prepared counts from now on, or is forgotten. After each successful Prepare.
  void Commit();
  void Rollback();

  // Log files are opened anew: they may have been moved away. Commit does so too.
  void ReopenLogs();
  // The end: takes no new connection and no new configuration, and lets requests end. Returns how
  // many connections there are, and over how long they will be closed.
  struct Drain {
    size_t connections = 0;
    std::chrono::milliseconds time{0};
  };
  Drain BeginDrain();
  // The next step, every kDrainStep: closes tunnels bit by bit over the configuration's drain_time.
  // False: nothing is left, or the time is over.
  static constexpr std::chrono::milliseconds kDrainStep{100};
  bool DrainMore();

  // What all workers have counted. From any thread.
  EdgeTotals Totals() const;

  // Before all else: the event loop to check servers and answer operators on, and where their
  // drains are kept.
  absl::Status Serve(event_base* base, const std::string& drain_file);
  // As of ServerDrains::Drain. Workers go by it from soon on; Totals says which do.
  absl::Status DrainServer(const std::string& upstream, const std::string& server, bool drained);
  // Operators' questions. `done` is called on the event loop, at once or later: workers may be
  // busy.
  void Connections(const api::CtrlConnectionsQuery& query,
                   std::function<void(const api::CtrlConnections&)> done);
  void Sources(const api::CtrlSourcesQuery& query,
               std::function<void(const api::CtrlSources&)> done);

 private:
  struct Prepared {
    std::shared_ptr<const Snapshot> snapshot;
    Seats seats;
    Workers workers;                        // behind those there are
    std::vector<ListeningSockets> sockets;  // of each worker
  };
  static std::set<config::Endpoint> AddressesOf(const Snapshot* snapshot);
  // Of each worker.
  std::vector<size_t> Count(size_t (*count)(Worker&)) const;
  size_t Sessions() const;
  void TellServerStates();

  Lasting lasting_;
  std::unique_ptr<ServerDrains> drains_;
  std::unique_ptr<ServerChecks> server_checks_;
  std::unique_ptr<CheckPools> pools_;  // outlives the workers
  std::unique_ptr<Surveys> surveys_;   // likewise
  Workers workers_;
  Seats seats_;  // of workers_
  bool draining_ = false;
  std::chrono::steady_clock::time_point drain_began_;
  std::vector<size_t> tunnels_;  // of each worker when the drain began
  mutable std::mutex counted_mutex_;
  std::vector<const EdgeCounters*> counted_;  // of workers_, for other threads
  std::shared_ptr<const Snapshot> current_;
  std::optional<Prepared> prepared_;
};

}  // namespace bridgehead::proxy
