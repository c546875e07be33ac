// One core of the edge: a thread with an event loop, and all that lives on it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "ctrl/proxy/accept/listener_set.h"
#include "ctrl/proxy/accept/refusal_log.h"
#include "ctrl/proxy/arrival.h"
#include "ctrl/proxy/log/access_log.h"
#include "ctrl/proxy/snapshot.h"
#include "ctrl/proxy/stats/edge_counters.h"

namespace bridgehead::proxy {

class TunnelSession;

// Servers that get nothing new, as "UPSTREAM/SERVER", and why.
struct ServerStates {
  std::set<std::string> drained, down;  // by the operator; by their health checks
};

// What a source has of a listener (connections), or of a host's route (requests).
struct SourceUse {
  std::string listener, host, route, source;
  uint64_t used = 0, refused = 0;
};

class Worker final : private ListenerSet::Taker, private Arrival::Owner {
 public:
  // Starts the thread, on core `core`. `checks` must outlive it. Error: no event loop can be made.
  static absl::StatusOr<std::unique_ptr<Worker>> Start(uint32_t core, CheckPools& checks);
  // Closes what is still open.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // From any thread. New connections and requests go by `snapshot` from soon on. `sockets`: of the
  // addresses that the snapshot before did not have; of all after a rest.
  void Apply(std::shared_ptr<const Snapshot> snapshot, ListeningSockets sockets);
  // From any thread: takes no connection until the next Apply. Those of HTTP end with their next
  // answer; what is asked until then goes by `snapshot`.
  void Rest(std::shared_ptr<const Snapshot> snapshot);
  // From any thread: the thread goes on on `cores`, at least one.
  void MoveTo(const std::vector<uint32_t>& cores);
  // From any thread: runs `task` on the worker's thread.
  void Run(std::function<void(Worker&)> task);

  // Any thread may read them.
  const EdgeCounters& counters() const { return counters_; }

  // On the worker's thread:
  // Takes no connection any more, and closes those that can be without loss.
  void BeginDrain();
  // Goes over all sessions until `most` match.
  std::vector<SessionInfo> Describe(size_t most, const SessionFilter& filter);
  // At most `most` of each listener, and of requests.
  std::vector<SourceUse> BusiestSources(size_t most) const;
  size_t session_count() const { return sessions_.size(); }
  size_t CountTunnels();
  // Closes tunnels until `left` are left.
  void CloseTunnelsUntil(size_t left);
  // Instead of those before. Holds for groups that are made later too.
  void SetServerStates(std::shared_ptr<const ServerStates> states);

 private:
  Worker(std::unique_ptr<Loop> loop, uint32_t core, CheckPools& checks);
  void Main();
  void Stay(const std::vector<uint32_t>& cores) const;
  void Use(std::shared_ptr<const Snapshot> snapshot);
  void Listen(ListeningSockets sockets);
  void CloseListeners();
  void MakeGroups();
  void ApplyStates(Group& group) const;
  TunnelSession& MakeTunnel(const char* kind, const ClientInfo& client,
                            std::unique_ptr<Stream> stream, TunnelPlan plan);
  template <typename Connection>
  void Begin(ClientInfo client, std::unique_ptr<Stream> stream);

  // ListenerSet::Taker
  void OnConnection(AcceptedConnection connection) override;
  void OnRefused(const config::EdgeListener& listener, const SocketAddress& client,
                 AcceptRefusal refusal) override;
  // SessionOwner
  Loop& loop() override { return *loop_; }
  std::shared_ptr<Group> FindGroup(std::string_view upstream) override;
  void Log(const AccessRecord& record) override;
  void Ended(Session& session) override;
  // HttpService
  std::shared_ptr<LoopSite> SiteOf(const config::EdgeListener& listener) override;
  RateTable& rates() override { return rates_; }
  std::shared_ptr<LogFile> log() override { return snapshot_->log(); }
  void StartTunnel(Session& session, const ClientInfo& client, std::unique_ptr<Stream> stream,
                   std::string_view to_server, std::string_view head, TunnelPlan plan) override;
  void AddTunnel(const ClientInfo& client, std::unique_ptr<Stream> stream,
                 TunnelPlan plan) override;
  // Arrival::Owner
  void StartHttp(Session& session, ClientInfo client, std::unique_ptr<Stream> stream,
                 std::string_view protocol) override;

  const std::unique_ptr<Loop> loop_;
  const uint32_t core_;
  CheckPools& checks_;
  EdgeCounters counters_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::map<config::Endpoint, std::shared_ptr<LoopSite>> sites_;
  std::map<std::string, std::shared_ptr<Group>, std::less<>> groups_;
  std::shared_ptr<const ServerStates> server_states_ = std::make_shared<const ServerStates>();
  AccessLog log_;
  RateTable rates_;
  AcceptRefusalLog refusals_;
  Timer refusals_window_;
  ListenerSet listeners_;
  SessionList sessions_;
  bool draining_ = false, resting_ = false;
  std::thread thread_;
};

}  // namespace bridgehead::proxy
