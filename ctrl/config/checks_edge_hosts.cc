// Rules for `edge.hosts:` and their routes.
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "ctrl/config/checks.h"
#include "ctrl/config/text_form.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::config {

namespace {

constexpr size_t kMaxRegexes = 64;  // of one host: each is tried with each path
constexpr std::array<std::string_view, 3> kPaths = {"path", "exact", "regex"};
constexpr std::array<std::string_view, 5> kActions = {"upstream", "servers_by_id", "redirect",
                                                      "files", "respond"};
// What belongs to one action or two.
struct ActionKey {
  std::string_view key;
  std::string_view of;       // the actions that it may stand with, for messages
  std::array<bool, 2> with;  // upstream, servers_by_id
};
constexpr std::array<ActionKey, 5> kActionKeys = {{
    {"rewrite", "upstream", {true, false}},
    {"websocket", "upstream", {true, false}},
    {"response_timeout", "upstream", {true, false}},
    {"origins", "upstream or servers_by_id", {true, true}},
    {"tunnel_idle_timeout", "upstream or servers_by_id", {true, true}},
}};

// Of `names`, those that stand in the file at `path`.
template <size_t kCount>
std::vector<std::string_view> Present(const std::array<std::string_view, kCount>& names,
                                      const std::string& path, const Findings& findings) {
  std::vector<std::string_view> present;
  for (const std::string_view name : names) {
    if (findings.source().Has(fmt::format("{}.{}", path, name))) present.push_back(name);
  }
  return present;
}

// False when there is not exactly one.
template <size_t kCount>
bool CheckOneOf(const std::array<std::string_view, kCount>& names, const std::string& path,
                Findings& findings) {
  const std::vector<std::string_view> present = Present(names, path, findings);
  if (present.size() == 1) return true;
  if (present.empty()) {
    findings.Error(
        path, fmt::format("got none of {}, expected exactly one of them", fmt::join(names, ", ")));
  } else {
    findings.Error(fmt::format("{}.{}", path, present[1]),
                   fmt::format("got {}, expected exactly one of {}", fmt::join(present, " and "),
                               fmt::join(names, ", ")));
  }
  return false;
}

void CheckHeaders(const std::string& list, const std::vector<HeaderChange>& changes, bool request,
                  Findings& findings) {
  constexpr std::array<std::string_view, 3> kOps = {"set", "append", "remove"};
  for (size_t i = 0; i < changes.size(); i++) {
    const std::string path = fmt::format("{}[{}]", list, i);
    if (findings.HasErrorIn(path) || !CheckOneOf(kOps, path, findings)) continue;
    const HeaderChange& change = changes[i];
    if (!absl::EqualsIgnoreCase(change.name, "host")) continue;
    // RFC 9110 section 7.2, RFC 9112 section 3.2: a request has one, a response none.
    if (!request) {
      findings.Error(path + ".name", "got Host, expected a header that responses have");
    } else if (change.op != HeaderOp::kSet || change.value.empty()) {
      findings.Error(path + ".name",
                     "got Host, expected it only with set and a value: a request "
                     "has exactly one (RFC 9112 section 3.2)");
    }
  }
}

void CheckActionKeys(const Route& route, const std::string& path, Findings& findings) {
  const size_t action = route.action.index();
  for (const ActionKey& known : kActionKeys) {
    const std::string key = fmt::format("{}.{}", path, known.key);
    if (!findings.source().Has(key) || findings.HasErrorIn(key)) continue;
    if (action < known.with.size() && known.with[action]) continue;
    findings.Error(key, fmt::format("got {} with {}, expected it only with {}", known.key,
                                    kActions[action], known.of));
  }
  const auto* proxy = std::get_if<ProxyAction>(&route.action);
  if (proxy == nullptr || proxy->websocket || findings.HasErrorIn(path + ".websocket")) return;
  for (const std::string_view name : {"origins", "tunnel_idle_timeout"}) {
    const std::string key = fmt::format("{}.{}", path, name);
    if (!findings.source().Has(key) || findings.HasErrorIn(key)) continue;
    findings.Error(key, fmt::format("got {} without websocket: true, expected both", name));
  }
}

// Groups that a rewrite fills in are the regex's.
void CheckRewrite(const Route& route, const std::string& path, Findings& findings) {
  const auto* proxy = std::get_if<ProxyAction>(&route.action);
  if (proxy == nullptr || !proxy->rewrite) return;
  const int groups = route.match == PathMatch::kRegex ? RegexGroups(route.path) : 0;
  for (size_t at = 0; (at = proxy->rewrite->find('\\', at)) != std::string::npos; at++) {
    const int group = (*proxy->rewrite)[at + 1] - '0';
    if (group <= groups) continue;
    const std::string key = path + ".rewrite";
    if (route.match != PathMatch::kRegex) {
      findings.Error(key,
                     fmt::format("got \\{} without regex, expected a regex with groups", group));
    } else {
      findings.Error(
          key, fmt::format("got \\{}, expected one of the {} groups of regex", group, groups));
    }
    return;
  }
}

void CheckServerIds(const Config& config, const ServerIdAction& action, const std::string& path,
                    Findings& findings) {
  std::map<std::string_view, size_t> seen;
  for (size_t i = 0; i < action.servers.size(); i++) {
    const std::string key = fmt::format("{}.servers_by_id[{}]", path, i);
    CheckUpstreamName(config, key + ".upstream", action.servers[i].upstream, findings);
    if (action.servers[i].id.empty()) continue;
    const auto [first, fresh] = seen.try_emplace(action.servers[i].id, i);
    if (fresh) continue;
    findings.Error(key + ".id", fmt::format("got \"{}\", which servers_by_id[{}] has already, "
                                            "expected each id once",
                                            action.servers[i].id, first->second));
  }
}

void CheckAction(const Config& config, const Route& route, const std::string& path,
                 Findings& findings) {
  if (const auto* proxy = std::get_if<ProxyAction>(&route.action)) {
    CheckUpstreamName(config, path + ".upstream", proxy->upstream, findings);
  } else if (const auto* by_id = std::get_if<ServerIdAction>(&route.action)) {
    CheckServerIds(config, *by_id, path, findings);
    if (route.match != PathMatch::kPrefix && !findings.HasErrorIn(path)) {
      findings.Error(path + ".servers_by_id",
                     fmt::format("got servers_by_id with {}, expected path: the server-id follows "
                                 "it",
                                 Present(kPaths, path, findings)[0]));
    }
  } else if (std::holds_alternative<FilesAction>(route.action)) {
    if (route.match == PathMatch::kRegex) {
      findings.Error(path + ".files", "got files with regex, expected path or exact");
    }
  } else if (const auto* respond = std::get_if<RespondAction>(&route.action)) {
    // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
    const uint16_t status = respond->status;
    if ((status == 204 || status == 205 || status == 304) && !respond->body.empty()) {
      findings.Error(path + ".respond.body",
                     fmt::format("got a body with status {}, expected none", status));
    }
  }
}

void CheckRoute(const Config& config, const Route& route, const std::string& path,
                Findings& findings) {
  const bool one_path = CheckOneOf(kPaths, path, findings);
  // What is refused already can not contradict anything.
  if (CheckOneOf(kActions, path, findings) &&
      !findings.HasErrorIn(fmt::format("{}.{}", path, Present(kActions, path, findings)[0]))) {
    CheckActionKeys(route, path, findings);
    if (one_path && !route.path.empty()) {
      CheckRewrite(route, path, findings);
      CheckAction(config, route, path, findings);
    }
  }
  CheckAccess(path, route.access.allow, route.access.deny, {}, findings);
  CheckHeaders(path + ".request_headers", route.request_headers, true, findings);
  CheckHeaders(path + ".response_headers", route.response_headers, false, findings);
}

void CheckRoutes(const Config& config, const Host& host, const std::string& path,
                 Findings& findings) {
  const auto regexes =
      std::count_if(host.routes.begin(), host.routes.end(),
                    [](const Route& route) { return route.match == PathMatch::kRegex; });
  if (static_cast<size_t>(regexes) > kMaxRegexes) {
    findings.Error(path + ".routes", fmt::format("got {} routes with a regex, expected at most {}",
                                                 regexes, kMaxRegexes));
  }
  std::map<std::pair<PathMatch, std::string_view>, size_t> paths;
  std::map<std::string_view, size_t> names;
  for (size_t i = 0; i < host.routes.size(); i++) {
    const Route& route = host.routes[i];
    const std::string key = fmt::format("{}.routes[{}]", path, i);
    CheckRoute(config, route, key, findings);
    if (route.path.empty() || findings.HasErrorIn(key)) continue;
    if (const auto [first, fresh] = paths.try_emplace({route.match, route.path}, i); !fresh) {
      findings.Error(key, fmt::format("got \"{}\", which routes[{}] has already, expected each "
                                      "path once",
                                      route.path, first->second));
    } else if (const auto [named, unused] = names.try_emplace(route.name, i); !unused) {
      // A path and an exact one are called the same unless they have names.
      findings.Error(key + ".name", fmt::format("got \"{}\", which routes[{}] is called already, "
                                                "expected another name",
                                                route.name, named->second));
    }
  }
}

void CheckErrorPages(const Host& host, const std::string& path, Findings& findings) {
  std::map<uint16_t, size_t> seen;
  for (size_t i = 0; i < host.error_pages.size(); i++) {
    const std::string key = fmt::format("{}.error_pages[{}].statuses", path, i);
    if (findings.HasErrorIn(key)) continue;
    for (const uint16_t status : host.error_pages[i].statuses) {
      const auto [first, fresh] = seen.try_emplace(status, i);
      if (fresh) continue;
      findings.Error(key, fmt::format("got {}, which error_pages[{}] has already, expected each "
                                      "status once",
                                      status, first->second));
      break;
    }
  }
}

void CheckNames(const Host& host, const std::string& path, Findings& findings) {
  if (findings.HasErrorIn(path + ".names")) return;
  std::set<std::string_view> seen;
  for (size_t i = 0; i < host.names.size(); i++) {
    if (seen.insert(host.names[i]).second) continue;
    findings.Error(fmt::format("{}.names[{}]", path, i),
                   fmt::format("got \"{}\" a second time, expected it once", host.names[i]));
  }
}

}  // namespace

void CheckEdgeHosts(const Config& config, Findings& findings) {
  std::set<std::string_view> used;
  for (const EdgeListener& listener : config.edge.listeners) {
    used.insert(listener.hosts.begin(), listener.hosts.end());
  }
  std::map<std::string_view, size_t> seen;
  for (size_t i = 0; i < config.edge.hosts.size(); i++) {
    const Host& host = config.edge.hosts[i];
    const std::string path = fmt::format("edge.hosts[{}]", i);
    CheckNames(host, path, findings);
    CheckNetworks(path + ".trusted_proxies", host.trusted_proxies, findings);
    if (!host.forwarded_headers && !host.trusted_proxies.empty()) {
      findings.Error(path + ".trusted_proxies",
                     "got proxies with forwarded_headers: false, expected true: nothing is "
                     "appended");
    }
    CheckHeaders(path + ".request_headers", host.request_headers, true, findings);
    CheckHeaders(path + ".response_headers", host.response_headers, false, findings);
    CheckErrorPages(host, path, findings);
    CheckRoutes(config, host, path, findings);
    if (host.name.empty()) continue;
    const auto [first, fresh] = seen.try_emplace(host.name, i);
    if (!fresh) {
      findings.Error(path + ".name",
                     fmt::format("got \"{}\", which edge.hosts[{}] is called already, expected a "
                                 "name of its own",
                                 host.name, first->second));
    } else if (!used.contains(host.name)) {
      findings.Warning(path, fmt::format("got \"{}\", which no listener serves, expected it in a "
                                         "listener's hosts",
                                         host.name));
    }
  }
}

}  // namespace bridgehead::config
