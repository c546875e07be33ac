// Rules for `edge.upstreams:`.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "ctrl/config/checks.h"
#include "fmt/format.h"

namespace bridgehead::config {

namespace {

void CheckServers(const Upstream& upstream, const std::string& path, Findings& findings) {
  std::map<Endpoint, size_t> addresses;
  std::map<std::string_view, size_t> names;
  for (size_t i = 0; i < upstream.servers.size(); i++) {
    const UpstreamServer& server = upstream.servers[i];
    const std::string key = fmt::format("{}.servers[{}]", path, i);
    if (server.address.empty()) continue;
    if (const auto [first, fresh] = addresses.try_emplace(server.address, i); !fresh) {
      findings.Error(key + ".address",
                     fmt::format("got {}, which servers[{}] has already, expected each server once",
                                 server.address.text(), first->second));
    } else if (const auto [named, unused] = names.try_emplace(server.name, i); !unused) {
      findings.Error(key + ".name",
                     fmt::format("got \"{}\", which servers[{}] has already, expected another name",
                                 server.name, named->second));
    }
  }
  const auto is_backup = [](const UpstreamServer& server) { return server.backup; };
  if (!upstream.servers.empty() &&
      std::all_of(upstream.servers.begin(), upstream.servers.end(), is_backup)) {
    findings.Error(path + ".servers",
                   "got servers that are all backup, expected one that is not: what would they "
                   "stand in for");
  }
}

void CheckTls(const Upstream& upstream, const std::string& path, Findings& findings) {
  if (!upstream.tls || upstream.tls->verify || findings.HasErrorIn(path + ".tls.verify")) return;
  findings.Warning(path + ".tls.verify",
                   fmt::format("got off for the upstream \"{}\", expected on: whoever answers at "
                               "its addresses is trusted",
                               upstream.name));
  if (!upstream.tls->ca_file.empty()) {
    findings.Error(path + ".tls.ca_file",
                   "got a file that nothing is verified with, expected verify: on");
  }
}

void CheckHealth(const Upstream& upstream, const std::string& path, Findings& findings) {
  if (!upstream.health) return;
  const UpstreamHealth& health = *upstream.health;
  if (health.timeout > health.interval && !findings.HasErrorIn(path + ".health")) {
    findings.Error(path + ".health.timeout",
                   fmt::format("got {}s, expected at most interval ({}s)", health.timeout.count(),
                               health.interval.count()));
  }
  if (!health.path.empty() || findings.HasErrorIn(path + ".health.path")) return;
  for (const auto& [key, is_set] :
       {std::pair("host", !health.host.empty()), std::pair("expect", !health.expect.empty())}) {
    if (!is_set) continue;
    return findings.Error(fmt::format("{}.health.{}", path, key),
                          fmt::format("got {} without path, expected both or neither", key));
  }
}

// Checks begin on one thread, some with a TLS handshake.
void CheckHowManyAreChecked(const Edge& edge, Findings& findings) {
  constexpr size_t kMostChecked = 4096;
  size_t checked = 0;
  for (size_t i = 0; i < edge.upstreams.size(); i++) {
    if (!edge.upstreams[i].health) continue;
    checked += edge.upstreams[i].servers.size();
    if (checked <= kMostChecked) continue;
    findings.Error(fmt::format("edge.upstreams[{}].health", i),
                   fmt::format("got {} servers to check, with those of upstreams above it, "
                               "expected at most {}",
                               checked, kMostChecked));
    return;
  }
}

std::set<std::string_view> UsedUpstreams(const Edge& edge) {
  std::set<std::string_view> used;
  for (const Host& host : edge.hosts) {
    for (const Route& route : host.routes) {
      if (const auto* proxy = std::get_if<ProxyAction>(&route.action)) used.insert(proxy->upstream);
      const auto* by_id = std::get_if<ServerIdAction>(&route.action);
      if (by_id == nullptr) continue;
      for (const auto& server : by_id->servers) used.insert(server.upstream);
    }
  }
  for (const EdgeListener& listener : edge.listeners) {
    used.insert(listener.forward);
    for (const PassRule& rule : listener.rules) used.insert(rule.upstream);
  }
  return used;
}

}  // namespace

void CheckEdgeUpstreams(const Config& config, Findings& findings) {
  const std::set<std::string_view> used = UsedUpstreams(config.edge);
  CheckHowManyAreChecked(config.edge, findings);
  std::map<std::string_view, size_t> names;
  for (size_t i = 0; i < config.edge.upstreams.size(); i++) {
    const Upstream& upstream = config.edge.upstreams[i];
    const std::string path = fmt::format("edge.upstreams[{}]", i);
    CheckServers(upstream, path, findings);
    CheckTls(upstream, path, findings);
    CheckHealth(upstream, path, findings);
    if (upstream.name.empty()) continue;
    const auto [first, fresh] = names.try_emplace(upstream.name, i);
    if (!fresh) {
      findings.Error(path + ".name",
                     fmt::format("got \"{}\", which edge.upstreams[{}] has already, expected "
                                 "another name",
                                 upstream.name, first->second));
    } else if (!used.contains(upstream.name)) {
      findings.Warning(path + ".name",
                       fmt::format("got \"{}\", which no route, rule or listener leads to, "
                                   "expected one that does",
                                   upstream.name));
    }
  }
}

}  // namespace bridgehead::config
