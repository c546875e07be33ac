// Which server of an upstream the next connection goes to.
//
// Theory of operation. A server can be used when it is up (health checks), not draining, not at its
// max_connections, and not left alone after failures. Backup servers are looked at only when no
// other can be used. Among those that are left:
//  - round robin is smooth: of weights 5, 1, 1 the heavy one is not asked five times in a row. Each
//    pick adds every usable server's weight to its credit, takes the one with the most, and takes
//    the sum of the weights from it.
//  - least connections: the least of (connections + 1) / weight; ties go round.
//  - source hash: weighted rendezvous. Each server has a score of its own for each source, and the
//    best usable one wins, so when a server leaves, its sources move and no others do. Scores come
//    from the servers' names, and are the same in every process. Cost: one logarithm per server.
//
// Passive failures: max_failures connects in a row that fail, and a server is left alone for
// failure_timeout. Then one connection tries it, and decides. An upstream with one server has
// nowhere else to go, so that one is always tried.
//
// One loop's; no I/O and no clock of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "ctrl/config/edge.h"
#include "ctrl/proxy/stats/counters.h"

namespace bridgehead::proxy {

class Balancer {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr size_t kNone = static_cast<size_t>(-1);

  // One connection's claim on a server, from the choice until the connection is closed. Counts in
  // max_connections. The balancer must outlive it.
  class Lease {
   public:
    Lease() = default;
    ~Lease() { Release(); }
    Lease(Lease&& other) noexcept { *this = std::move(other); }
    Lease& operator=(Lease&& other) noexcept;

    explicit operator bool() const { return balancer_ != nullptr; }
    size_t server() const { return server_; }  // index in Upstream::servers; kNone of an empty one
    // It tries a server that was left alone: by a connection that is made for it.
    bool is_probe() const { return probe_; }
    // The connection is there. Ends a row of failures.
    void Connected();
    // There was none: refused, no way there, too late. Empties the lease. (Whoever gives up for
    // another reason, such as a client that is gone, just lets go of the lease.)
    void Failed(Time now);

   private:
    friend class Balancer;
    Lease(Balancer* balancer, size_t server, bool probe)
        : balancer_(balancer), server_(server), probe_(probe) {}
    void Release();

    Balancer* balancer_ = nullptr;
    size_t server_ = kNone;
    bool probe_ = false;  // the one that tries a server left alone, and has not yet
  };

  enum class Refusal : uint8_t {
    kNone,
    kDown,  // none is up and not draining or left alone, or all of those were tried
    kFull,  // those that are have max_connections
  };
  struct Choice {
    Lease lease;
    Refusal refusal = Refusal::kNone;  // why it is empty
  };

  // `counters`: of each server, in their order; without them it makes its own.
  using Counters = std::vector<std::shared_ptr<ServerCounters>>;
  explicit Balancer(const config::Upstream& upstream, Counters counters = {});
  Balancer(const Balancer&) = delete;
  Balancer& operator=(const Balancer&) = delete;

  // `source`: the client's, for kSourceHash (IPv6 counts by its /64). `tried`: servers that this
  // request has tried and is not to get again.
  Choice Pick(const config::Address& source, Time now, std::span<const size_t> tried = {});

  // From health checks and the operator. Servers are up and not draining to begin with.
  void SetUp(size_t server, bool up);
  void SetDraining(size_t server, bool draining);

  struct View {
    bool up = true, draining = false;
    bool left_alone = false;  // for failures
    uint32_t connections = 0;
    uint64_t picked = 0, failed = 0;  // in all, of its name
  };
  View view(size_t server, Time now) const;
  ServerCounters& counters(size_t server) { return *servers_[server].counters; }
  size_t size() const { return servers_.size(); }

 private:
  struct Server {
    uint64_t seed = 0;  // of its name
    uint32_t weight = 1;
    bool backup = false;
    bool up = true, draining = false;
    bool probing = false;  // a connection tries it after it was left alone
    uint32_t connections = 0;
    uint32_t failures = 0;  // in a row
    Time alone_until{};
    int64_t credit = 0;  // of round robin
    std::shared_ptr<ServerCounters> counters;
  };
  bool IsOut(const Server& server) const;
  Refusal WhyNot(const Server& server, Time now) const;
  // In usable_, those of one class; why there is none.
  Refusal CollectUsable(bool backup, Time now, std::span<const size_t> tried);
  size_t PickRoundRobin();
  size_t PickLeastConnections();
  size_t PickBySource(const config::Address& source) const;

  const config::Balance balance_;
  const uint32_t max_failures_, max_connections_;
  const std::chrono::seconds failure_timeout_;
  std::vector<Server> servers_;
  std::vector<size_t> usable_;  // of the running Pick
  size_t turn_ = 0;             // where ties of kLeastConnections begin
};

}  // namespace bridgehead::proxy
