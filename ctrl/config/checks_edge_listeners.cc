// Rules for `edge.listeners:`.
#include <algorithm>
#include <map>
#include <set>

#include "ctrl/config/checks.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::config {

namespace {

constexpr size_t kNamesInMessages = 10;

// Whether a socket on one of them is in the way of one on the other: [::] takes no IPv4 clients.
bool Collide(const Endpoint& a, const Endpoint& b) {
  if (a.empty() || b.empty() || a.ports.first != b.ports.first) return false;
  if (a.address.family() != b.address.family()) return false;
  return a.address == b.address || a.address.IsUnspecified() || b.address.IsUnspecified();
}

void CheckListen(const Config& config, size_t place, Findings& findings) {
  const Endpoint& listen = config.edge.listeners[place].listen;
  const std::string key = fmt::format("edge.listeners[{}].listen", place);
  const auto check = [&](const std::string& name, const Endpoint& other) {
    if (!Collide(listen, other)) return false;
    findings.Error(key, fmt::format("got {}, where {} ({}) listens already, expected another "
                                    "address or port",
                                    listen.text(), name, other.text()));
    return true;
  };
  if (config.admin.listen && check("admin.listen", *config.admin.listen)) return;
  for (size_t i = 0; i < place; i++) {
    if (check(fmt::format("edge.listeners[{}]", i), config.edge.listeners[i].listen)) return;
  }
}

void CheckRule(const Config& config, const PassRule& rule, const std::string& path,
               Findings& findings) {
  const Source& source = findings.source();
  if (findings.HasErrorIn(path)) return;
  const bool forward = source.Has(path + ".forward");
  const bool serve = source.Has(path + ".serve");
  if (forward == serve) {
    findings.Error(path, fmt::format("got {} forward and serve, expected exactly one of them",
                                     forward ? "both" : "neither"));
  }
  CheckUpstreamName(config, path + ".forward", rule.upstream, findings);
  CheckNetworks(path + ".sources", rule.sources, findings);
  const bool of_tls = !rule.sni.empty() || !rule.alpn.empty();
  if (rule.protocol == PassRule::Protocol::kOther && of_tls) {
    findings.Error(path + ".protocol",
                   "got other with sni or alpn, expected tls: nothing else has "
                   "them");
  }
  if (rule.protocol == PassRule::Protocol::kAny && !of_tls && rule.sources.empty()) {
    findings.Error(path,
                   "got none of protocol, sni, alpn and sources, expected one at least: "
                   "without them a rule is for everybody");
  }
}

// The names of the hosts that are served here: two hosts can not both answer for one.
void CheckServedNames(const std::map<std::string_view, const Host*>& hosts,
                      const EdgeListener& listener, const std::string& path, Findings& findings) {
  std::map<std::string_view, std::string_view> names;  // and the host that has it
  for (size_t i = 0; i < listener.hosts.size(); i++) {
    const auto host = hosts.find(listener.hosts[i]);
    if (host == hosts.end()) continue;
    for (const std::string& name : host->second->names) {
      const auto [first, fresh] = names.try_emplace(name, host->first);
      if (fresh || first->second == host->first) continue;
      findings.Error(fmt::format("{}.hosts[{}]", path, i),
                     fmt::format("got \"{}\", which has the name \"{}\" as \"{}\" has, expected "
                                 "hosts of different names",
                                 host->first, name, first->second));
      break;
    }
  }
}

void CheckHosts(const Config& config, const EdgeListener& listener, const std::string& path,
                Findings& findings) {
  if (findings.HasErrorIn(path + ".hosts")) return;
  std::map<std::string_view, const Host*> hosts;
  std::vector<std::string_view> known;
  for (const Host& host : config.edge.hosts) {
    hosts.try_emplace(host.name, &host);
    if (known.size() < kNamesInMessages) known.push_back(host.name);
  }
  std::set<std::string_view> seen;
  for (size_t i = 0; i < listener.hosts.size(); i++) {
    const std::string key = fmt::format("{}.hosts[{}]", path, i);
    const std::string& name = listener.hosts[i];
    if (!seen.insert(name).second) {
      findings.Error(key, fmt::format("got \"{}\" a second time, expected each host once", name));
    } else if (!hosts.contains(name) && !findings.HasErrorIn("edge.hosts")) {
      findings.Error(
          key,
          fmt::format("got \"{}\", expected the name of one of edge.hosts: {}", name,
                      known.empty() ? "there is none" : fmt::format("{}", fmt::join(known, ", "))));
    }
  }
  if (!findings.HasErrorIn(path + ".hosts")) CheckServedNames(hosts, listener, path, findings);
}

// Keys that mean nothing on a listener of this kind.
void CheckMisplaced(const EdgeListener& listener, const std::string& path, Findings& findings) {
  const auto refuse = [&](std::string_view name, std::string_view without, std::string_view with) {
    const std::string key = fmt::format("{}.{}", path, name);
    if (!findings.source().Has(key) || findings.HasErrorIn(key)) return;
    findings.Error(key,
                   fmt::format("got {} without {}, expected it only with {}", name, without, with));
  };
  if (listener.hosts.empty()) {
    for (const char* name :
         {"http2", "http2_websocket", "request_timeout", "body_timeout", "keepalive_timeout"}) {
      refuse(name, "hosts", "hosts");
    }
  } else if (!listener.tls && listener.http2) {
    refuse("http2", "tls", "tls: browsers speak HTTP/2 over TLS alone");
  }
  if (listener.forward.empty() && listener.rules.empty()) {
    refuse("idle_timeout", "forward or rules", "one of them");
  }
  if (listener.rules.empty()) refuse("peek_timeout", "rules", "rules");
  if (!listener.http2_websocket || findings.HasErrorIn(path + ".http2_websocket")) return;
  if (!listener.http2 || !listener.tls) {
    findings.Error(path + ".http2_websocket",
                   fmt::format("got true without {}, expected HTTP/2 to be there",
                               listener.http2 ? "tls" : "http2"));
  }
}

void CheckCertificates(const ListenerTls& tls, const std::string& path, Findings& findings) {
  std::map<std::string_view, size_t> seen;
  for (size_t i = 0; i < tls.certificates.size(); i++) {
    const std::string& file = tls.certificates[i].certificate_file;
    if (file.empty()) continue;
    const auto [first, fresh] = seen.try_emplace(file, i);
    if (fresh) continue;
    findings.Error(fmt::format("{}.tls.certificates[{}].certificate_file", path, i),
                   fmt::format("got {}, which certificates[{}] has already, expected each once",
                               file, first->second));
  }
}

void CheckListener(const Config& config, size_t place, Findings& findings) {
  const EdgeListener& listener = config.edge.listeners[place];
  const std::string path = fmt::format("edge.listeners[{}]", place);
  const bool forward = findings.source().Has(path + ".forward");
  const bool hosts = findings.source().Has(path + ".hosts");
  if (forward && hosts) {
    findings.Error(path + ".hosts", "got both forward and hosts, expected exactly one of them");
  } else if (!forward && !hosts) {
    findings.Error(path, "got neither forward nor hosts, expected exactly one of them");
  } else if (!findings.HasErrorIn(path + ".forward") && !findings.HasErrorIn(path + ".hosts")) {
    CheckMisplaced(listener, path, findings);
  }
  CheckListen(config, place, findings);
  CheckUpstreamName(config, path + ".forward", listener.forward, findings);
  CheckHosts(config, listener, path, findings);
  CheckNetworks(path + ".accept_proxy_from", listener.accept_proxy_from, findings);
  CheckAccess(path, listener.access.allow, listener.access.deny, {}, findings);
  for (size_t i = 0; i < listener.rules.size(); i++) {
    CheckRule(config, listener.rules[i], fmt::format("{}.rules[{}]", path, i), findings);
  }
  if (listener.tls) CheckCertificates(*listener.tls, path, findings);
}

}  // namespace

void CheckEdgeListeners(const Config& config, Findings& findings) {
  const std::vector<EdgeListener>& listeners = config.edge.listeners;
  if (listeners.empty() && !findings.HasErrorIn("edge.listeners")) {
    findings.Error("edge.listeners", "got nothing, expected a list of listeners");
    return;
  }
  std::map<std::string_view, size_t> names;
  for (size_t i = 0; i < listeners.size(); i++) {
    CheckListener(config, i, findings);
    if (listeners[i].name.empty()) continue;
    const auto [first, fresh] = names.try_emplace(listeners[i].name, i);
    if (fresh) continue;
    findings.Error(fmt::format("edge.listeners[{}].name", i),
                   fmt::format("got \"{}\", which edge.listeners[{}] has already, expected another "
                               "name",
                               listeners[i].name, first->second));
  }
}

}  // namespace bridgehead::config
