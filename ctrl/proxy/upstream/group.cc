#include "ctrl/proxy/upstream/group.h"

#include <utility>

namespace bridgehead::proxy {

Group::Group(Loop& loop, const config::Upstream& settings,
             std::shared_ptr<const UpstreamContext> tls, const Balancer::Counters& counters)
    : loop_(loop),
      settings_(settings),
      tls_(std::move(tls)),
      balancer_(settings_, counters),
      pool_(loop, counters, settings_.keepalive) {
  for (const config::UpstreamServer& server : settings_.servers) {
    addresses_.emplace_back(server.address.address, server.address.ports.first);
  }
}

Group::Lease Group::Choose(const config::Address& client, std::span<const size_t> tried,
                           std::string& why) {
  Balancer::Choice choice = balancer_.Pick(client, loop_.now(), tried);
  if (choice.lease) return {shared_from_this(), std::move(choice.lease)};
  // What was tried before says more than that there is nothing else to try.
  if (tried.empty()) {
    why = choice.refusal == Balancer::Refusal::kFull ? "every server has its max_connections"
                                                     : "no server is up";
  }
  return {};
}

}  // namespace bridgehead::proxy
