#include "ctrl/config/edge_summary.h"

#include <string_view>
#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::config {

namespace {

std::string Counted(size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Of Endpoint, Prefix and the like.
template <typename T>
std::vector<std::string> Texts(const std::vector<T>& list) {
  std::vector<std::string> texts;
  texts.reserve(list.size());
  for (const T& element : list) texts.push_back(element.text());
  return texts;
}

std::string RuleText(const PassRule& rule) {
  std::vector<std::string> of;
  if (rule.protocol == PassRule::Protocol::kTls) of.emplace_back("TLS");
  if (rule.protocol == PassRule::Protocol::kOther) of.emplace_back("other than TLS");
  if (!rule.sni.empty()) of.push_back(fmt::format("for {}", fmt::join(rule.sni, ", ")));
  if (!rule.alpn.empty()) of.push_back(fmt::format("with {}", fmt::join(rule.alpn, ", ")));
  if (!rule.sources.empty()) {
    of.push_back(fmt::format("from {}", fmt::join(Texts(rule.sources), ", ")));
  }
  return fmt::format("    {} -> {}\n", fmt::join(of, " "),
                     rule.upstream.empty() ? "served" : rule.upstream);
}

std::string ListenerText(const EdgeListener& listener) {
  std::string text = fmt::format("  listener {} on {}", listener.name, listener.listen.text());
  if (!listener.accept_proxy_from.empty()) text += ", PROXY protocol";
  if (listener.tls) {
    text += fmt::format(", TLS {} with {}",
                        listener.tls->min_version == TlsVersion::k13 ? "1.3" : "1.2 and 1.3",
                        Counted(listener.tls->certificates.size(), "certificate"));
    if (listener.http2 && listener.forward.empty()) text += ", HTTP/2";
  }
  text += listener.forward.empty() ? fmt::format(": serves {}\n", fmt::join(listener.hosts, ", "))
                                   : fmt::format(": forwards to {}\n", listener.forward);
  for (const PassRule& rule : listener.rules) text += RuleText(rule);
  return text;
}

struct ActionText {
  std::string operator()(const ProxyAction& action) const {
    return action.upstream + (action.rewrite ? " as " + *action.rewrite : "") +
           (action.websocket ? ", WebSockets too" : "");
  }
  std::string operator()(const ServerIdAction& action) const {
    return "one of " + Counted(action.servers.size(), "server") + " by id";
  }
  std::string operator()(const RedirectAction& action) const {
    return fmt::format("{} to {}", action.status, action.to);
  }
  std::string operator()(const FilesAction& action) const { return "files in " + action.root; }
  std::string operator()(const RespondAction& action) const {
    return fmt::format("{}", action.status);
  }
};

std::string RouteText(const Route& route) {
  const std::string_view kind = route.match == PathMatch::kExact   ? "exact"
                                : route.match == PathMatch::kRegex ? "regex"
                                                                   : "path";
  std::vector<std::string_view> guards;
  if (!route.access.allow.empty() || !route.access.deny.empty()) guards.emplace_back("by source");
  if (route.basic_auth) guards.emplace_back("by password");
  if (route.cookie_token) guards.emplace_back("by token");
  return fmt::format("    {} {} -> {}{}\n", kind, route.path,
                     std::visit(ActionText(), route.action),
                     guards.empty() ? "" : fmt::format(" (guarded {})", fmt::join(guards, ", ")));
}

std::string UpstreamText(const Upstream& upstream) {
  std::vector<std::string> servers;
  for (const UpstreamServer& server : upstream.servers) {
    servers.push_back(server.address.text() +
                      (server.weight == 1 ? "" : fmt::format(" weight {}", server.weight)) +
                      (server.backup ? " backup" : ""));
  }
  std::string text = fmt::format("  upstream {}: {}", upstream.name, fmt::join(servers, ", "));
  if (upstream.tls) text += upstream.tls->verify ? "; TLS" : "; TLS, NOT VERIFIED";
  if (upstream.send_proxy != SendProxy::kOff) {
    text += upstream.send_proxy == SendProxy::kV1 ? "; PROXY v1" : "; PROXY v2";
  }
  if (upstream.health) {
    text += fmt::format("; checked every {}s", upstream.health->interval.count());
  }
  return text + "\n";
}

}  // namespace

std::string EdgeSummary(const Edge& edge) {
  if (edge.cores.empty()) return "";
  std::string text = fmt::format("the TCP edge, on core {}:\n", fmt::join(edge.cores, ", "));
  for (const EdgeListener& listener : edge.listeners) text += ListenerText(listener);
  for (const Host& host : edge.hosts) {
    text += fmt::format("  host {}: {}\n", host.name, fmt::join(host.names, ", "));
    for (const Route& route : host.routes) text += RouteText(route);
  }
  for (const Upstream& upstream : edge.upstreams) text += UpstreamText(upstream);
  return text;
}

}  // namespace bridgehead::config
