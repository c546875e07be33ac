#include "ctrl/proxy/stats/edge_counters.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <vector>

namespace bridgehead::proxy {
namespace {

// The entry with this key in what is sorted by keys; made if there is none.
template <typename Item, typename Key, typename KeyOf>
Item& Entry(std::vector<Item>& items, const Key& key, KeyOf key_of) {
  const auto at =
      std::lower_bound(items.begin(), items.end(), key,
                       [&](const Item& item, const Key& wanted) { return key_of(item) < wanted; });
  return at != items.end() && key_of(*at) == key ? *at : *items.emplace(at);
}

void Add(EdgeTotals::Listener& to, const ListenerState& state) {
  to.open += state.counters.open();
  to.accepted += state.counters.accepted();
  to.pauses += state.counters.pauses();
  to.refused.resize(kRefusalCount);
  for (size_t i = 0; i < kRefusalCount; ++i) {
    to.refused[i].label = kRefusalInfo[i].label;
    to.refused[i].connections += state.counters.refused(AcceptRefusal(i + 1));
  }
  to.tls_full += state.more.tls_full.Get();
  to.tls_resumed += state.more.tls_resumed.Get();
  to.tls_failed += state.more.tls_failed.Get();
  to.bytes_to_server += state.more.bytes.to_server.Get();
  to.bytes_to_client += state.more.bytes.to_client.Get();
  state.more.unrouted.AddTo(to.unrouted);
}

void Add(EdgeTotals::Listener& to, const EdgeTotals::Listener& from) {
  to.accepted += from.accepted;
  to.pauses += from.pauses;
  to.refused.resize(kRefusalCount);
  for (size_t i = 0; i < kRefusalCount; ++i) {
    to.refused[i].label = from.refused[i].label;
    to.refused[i].connections += from.refused[i].connections;
  }
  to.tls_full += from.tls_full;
  to.tls_resumed += from.tls_resumed;
  to.tls_failed += from.tls_failed;
  to.bytes_to_server += from.bytes_to_server;
  to.bytes_to_client += from.bytes_to_client;
  for (size_t i = 0; i < kStatusClasses; ++i) to.unrouted[i] += from.unrouted[i];
}

void Add(EdgeTotals::Route& to, const RouteCounters& from) {
  from.requests.AddTo(to.requests);
  to.tunnels_begun += from.tunnels_begun.Get();
  to.tunnels += from.tunnels.Get();
  to.bytes_to_server += from.bytes.to_server.Get();
  to.bytes_to_client += from.bytes.to_client.Get();
}

void AddState(EdgeTotals::Server& to, const ServerCounters& from,
              std::chrono::steady_clock::time_point now) {
  to.up = to.up && from.down.Get() == 0;
  to.draining += from.draining.Get();
  const std::chrono::nanoseconds passed = now.time_since_epoch();
  to.left_alone += from.alone_until.Get() > static_cast<uint64_t>(passed.count()) ? 1 : 0;
}

void Add(EdgeTotals::Server& to, const ServerCounters& from) {
  to.connections += from.connections.Get();
  to.kept += from.kept.Get();
  to.picked += from.picked.Get();
  to.failed += from.failed.Get();
  to.requests += from.requests.Get();
}

}  // namespace

std::shared_ptr<RouteCounters> EdgeCounters::Route(const std::string& host,
                                                   const std::string& route) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<RouteCounters>& counters = routes_[{host, route}];
  if (!counters) counters = std::make_shared<RouteCounters>();
  return counters;
}

std::shared_ptr<ServerCounters> EdgeCounters::Server(const std::string& upstream,
                                                     const std::string& server) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<ServerCounters>& counters = servers_[{upstream, server}];
  if (!counters) counters = std::make_shared<ServerCounters>();
  return counters;
}

void EdgeCounters::AddListener(const std::string& name, std::shared_ptr<ListenerState> state) {
  const std::lock_guard lock(mutex_);
  std::erase_if(listeners_, [&](const auto& known) { return known.second == state; });
  listeners_.emplace(name, std::move(state));
  resting_ = false;
}

void EdgeCounters::Rest() {
  const std::lock_guard lock(mutex_);
  resting_ = true;
}

void EdgeCounters::Forget(const config::Edge& edge) {
  std::set<Name> routes, servers;
  std::set<std::string> listeners;
  for (const config::EdgeListener& listener : edge.listeners) listeners.insert(listener.name);
  for (const config::Host& host : edge.hosts) {
    for (const config::Route& route : host.routes) routes.emplace(host.name, route.name);
  }
  for (const config::Upstream& upstream : edge.upstreams) {
    for (const config::UpstreamServer& server : upstream.servers) {
      servers.emplace(upstream.name, server.name);
    }
  }
  const std::lock_guard lock(mutex_);
  // Others than these take no part in it: a pointer that is only here stays the only one.
  std::erase_if(listeners_, [&](const auto& known) {
    if (known.second.use_count() > 1) return false;
    // A counter never goes back while its name is there.
    if (listeners.contains(known.first)) Add(past_[known.first], *known.second);
    return true;
  });
  std::erase_if(past_, [&](const auto& known) { return !listeners.contains(known.first); });
  std::erase_if(routes_, [&](const auto& known) {
    return known.second.use_count() == 1 && !routes.contains(known.first);
  });
  std::erase_if(servers_, [&](const auto& known) {
    return known.second.use_count() == 1 && !servers.contains(known.first);
  });
}

void EdgeCounters::AddTo(EdgeTotals& totals, std::chrono::steady_clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  if (!resting_) ++totals.workers;
  const auto by_name = [](const auto& known) { return known.name; };
  for (const auto& [name, state] : listeners_) {
    auto& to = Entry(totals.listeners, name, by_name);
    to.name = name;
    Add(to, *state);
  }
  for (const auto& [name, past] : past_) {
    auto& to = Entry(totals.listeners, name, by_name);
    to.name = name;
    Add(to, past);
  }
  for (const auto& [key, counters] : routes_) {
    auto& to =
        Entry(totals.routes, key, [](const auto& known) { return Name(known.host, known.name); });
    std::tie(to.host, to.name) = key;
    Add(to, *counters);
  }
  for (const auto& [key, counters] : servers_) {
    auto& to = Entry(totals.servers, key,
                     [](const auto& known) { return Name(known.upstream, known.name); });
    std::tie(to.upstream, to.name) = key;
    if (!resting_) AddState(to, *counters, now);
    Add(to, *counters);
  }
}

}  // namespace bridgehead::proxy
