// One upstream on one loop: its servers, which of them is next, and the connections kept to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ctrl/config/edge.h"
#include "ctrl/proxy/net/loop.h"
#include "ctrl/proxy/net/socket_address.h"
#include "ctrl/proxy/tls/upstream_context.h"
#include "ctrl/proxy/upstream/balance.h"
#include "ctrl/proxy/upstream/pool.h"

namespace bridgehead::proxy {

class Group : public std::enable_shared_from_this<Group> {
 public:
  // One connection's place at a server. Keeps the group.
  class Lease {
   public:
    Lease() = default;

    explicit operator bool() const { return static_cast<bool>(lease_); }
    size_t server() const { return lease_.server(); }
    const SocketAddress& address() const { return group_->addresses_[server()]; }
    const config::UpstreamServer& settings() const { return group_->settings_.servers[server()]; }
    const std::string& upstream() const { return group_->settings_.name; }
    // See Balancer::Lease.
    bool is_probe() const { return lease_.is_probe(); }
    void Connected() { lease_.Connected(); }
    ServerCounters& counters() const { return group_->balancer_.counters(server()); }
    void Failed(Loop::Clock::time_point now) { lease_.Failed(now); }

   private:
    friend class Group;
    Lease(std::shared_ptr<Group> group, Balancer::Lease lease)
        : group_(std::move(group)), lease_(std::move(lease)) {}

    std::shared_ptr<Group> group_;  // before the lease, which needs its balancer to the end
    Balancer::Lease lease_;
  };

  // `tls`: null for cleartext. `counters`: of each server.
  Group(Loop& loop, const config::Upstream& settings, std::shared_ptr<const UpstreamContext> tls,
        const Balancer::Counters& counters);

  // The server for a client's next connection; empty: there is none, and `why` says so. `tried`: as
  // of Balancer::Pick.
  Lease Choose(const config::Address& client, std::span<const size_t> tried, std::string& why);

  const config::Upstream& settings() const { return settings_; }
  // Of connections from now on.
  void SetTls(std::shared_ptr<const UpstreamContext> tls) { tls_ = std::move(tls); }
  const UpstreamContext* tls() const { return tls_.get(); }
  Pool& pool() { return pool_; }
  Balancer& balancer() { return balancer_; }
  // A kept connection may carry any client's requests: not if a PROXY header has said whose it is.
  bool KeepsConnections() const {
    return settings_.keepalive > 0 && settings_.send_proxy == config::SendProxy::kOff;
  }

 private:
  Loop& loop_;
  const config::Upstream settings_;
  std::shared_ptr<const UpstreamContext> tls_;
  std::vector<SocketAddress> addresses_;
  Balancer balancer_;
  Pool pool_;
};

}  // namespace bridgehead::proxy
