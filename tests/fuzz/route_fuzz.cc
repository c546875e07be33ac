// From a request's target and name to a route: no refused form of a path gets to an action, what is
// matched is what is sent, and host and route are those that a second, slow reading finds.
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "ctrl/proxy/log/redact.h"
#include "ctrl/proxy/route/host_table.h"
#include "ctrl/proxy/route/location.h"
#include "ctrl/proxy/route/path.h"
#include "ctrl/proxy/route/route_table.h"
#include "tests/fuzz/fuzz.h"

namespace bridgehead::fuzz {

using namespace bridgehead::proxy;
using config::PathMatch;

// HOST, a line's end, the target.
std::vector<Bytes> Seeds() {
  std::vector<Bytes> seeds;
  for (const char* text :
       {"meet.example.org\n/colibri-ws/jvb1/c/e?pwd=x", "a.b.example.org:443\n/app/x/",
        "[2001:db8::1]:8443\n/app//x", "EU.example.org.\n/%61pp/%c3%a9", "x\n/room/a.b/7",
        "x\n/room/..a/./7", "x\n/app/%2e%2e/admin", "x\n/app/..;/", "x\n/app%2f..%5cx%00",
        "x\n/%c0%ae%c0%ae/%ed%a0%80", "*\n/%25%32%65?%6awt%3Dx&next=%253Ftoken%253Dy"}) {
    seeds.push_back(FromText(text));
  }
  return seeds;
}

namespace {

struct Scenery {
  std::vector<config::Route> routes;
  std::optional<RouteTable> table;
  HostTable hosts;
  std::optional<ServerIds> ids;
};
constexpr std::string_view kHosts[] = {"meet.example.org", "*.example.org", "*.b.example.org",
                                       "[2001:db8::1]"};

const Scenery& TheScenery() {
  static const Scenery* scenery = [] {
    auto* made = new Scenery();
    const auto add = [&](PathMatch match, const char* path, const char* rewrite) {
      config::ProxyAction action;
      if (rewrite != nullptr) action.rewrite = rewrite;
      config::Route route;
      route.match = match;
      route.path = path;
      route.action = action;
      made->routes.push_back(route);
    };
    add(PathMatch::kPrefix, "/colibri-ws", nullptr);
    add(PathMatch::kPrefix, "/app/", "/srv");
    add(PathMatch::kPrefix, "/app/x", "/y/");
    add(PathMatch::kExact, "/app/x/", "/z");
    add(PathMatch::kRegex, "^/room/([^/]*)/(.*)$", "/\\2/\\1.");
    add(PathMatch::kRegex, "(.)(.)$", "/\\1\\2\\1");
    made->table.emplace(*RouteTable::Build(made->routes));
    for (uint32_t i = 0; i < std::size(kHosts); ++i) {
      FUZZ_CHECK(made->hosts.Add(kHosts[i], i).ok());
    }
    config::ServerIdAction action;
    action.servers = {{"jvb1", "one"}, {"jvb-2", "two"}};
    made->ids.emplace(*ServerIds::Build(action));
    return made;
  }();
  return *scenery;
}

// As an upstream would decode it, once.
std::string Decoded(std::string_view path) {
  std::string out;
  for (size_t at = 0; at < path.size(); ++at) {
    if (path[at] != '%') {
      out += path[at];
      continue;
    }
    FUZZ_CHECK(at + 2 < path.size() && isxdigit(path[at + 1]) && isxdigit(path[at + 2]));
    out += static_cast<char>(std::stoi(std::string(path.substr(at + 1, 2)), nullptr, 16));
    at += 2;
  }
  return out;
}

// What no path may have that gets anywhere.
void CheckHarmless(std::string_view path) {
  FUZZ_CHECK(path.starts_with('/') && path.size() <= kMaxPathBytes);
  const std::string decoded = Decoded(path);
  FUZZ_CHECK(std::count(decoded.begin(), decoded.end(), '/') ==
             std::count(path.begin(), path.end(), '/'));
  for (const char c : decoded) {
    const auto byte = static_cast<uint8_t>(c);
    FUZZ_CHECK(byte >= ' ' && byte != 0x7f && byte != '\\' && byte != 0xc0 && byte != 0xc1);
  }
  size_t begin = 1;
  while (begin <= decoded.size()) {
    const size_t end = std::min(decoded.find('/', begin), decoded.size());
    const std::string segment = decoded.substr(begin, end - begin);
    const std::string name = segment.substr(0, segment.find(';'));
    FUZZ_CHECK(name != "." && name != "..");
    FUZZ_CHECK(!segment.empty() || end == decoded.size());
    begin = end + 1;
  }
  std::string scratch;
  const CheckedPath again = CheckPath(path, scratch);
  FUZZ_CHECK(again.error == PathError::kNone && again.path == path);
}

// By looking at each route; regular expressions are RE2's.
std::optional<size_t> NaiveRoute(std::string_view path) {
  const auto& routes = TheScenery().routes;
  std::optional<size_t> best;
  for (size_t i = 0; i < routes.size(); ++i) {
    const auto& route = routes[i];
    if (route.match == PathMatch::kExact && route.path == path) return i;
    if (route.match != PathMatch::kPrefix || !path.starts_with(route.path)) continue;
    const std::string_view rest = path.substr(route.path.size());
    if (!route.path.ends_with('/') && !rest.empty() && rest[0] != '/') continue;
    if (!best || routes[*best].path.size() < route.path.size()) best = i;
  }
  return best;
}

void CheckRoute(std::string_view path) {
  const Scenery& scenery = TheScenery();
  const auto match = scenery.table->Find(path);
  const auto naive = NaiveRoute(path);
  FUZZ_CHECK(!naive || (match && match->route == *naive));
  if (!match) return;
  const auto& route = scenery.routes[match->route];
  FUZZ_CHECK(naive || route.match == PathMatch::kRegex);
  FUZZ_CHECK(path.ends_with(match->rest));
  std::string made;
  const auto sent = scenery.table->Rewrite(*match, path, made);
  if (!sent) return;
  CheckHarmless(*sent);
  if (!std::get<config::ProxyAction>(route.action).rewrite) {
    FUZZ_CHECK(sent->data() == path.data() && sent->size() == path.size());
    const auto id = scenery.ids->Find(match->rest);
    FUZZ_CHECK(!id || match->rest.starts_with(*id == 0 ? "/jvb1/" : "/jvb-2/"));
  } else if (route.match == PathMatch::kPrefix && match->rest.size() > 1) {
    const LocationContext context{"https", "h", "http", "u", "192.0.2.1:80"};
    FUZZ_CHECK(MapLocation(*scenery.table, match->route, *sent, context) == std::string(path));
  }
}

void CheckHost(std::string_view field) {
  HostBuffer buffer, other;
  const auto host = NormalizeHost(field, buffer);
  if (!host) return;
  const auto again = NormalizeHost(*host, other);
  FUZZ_CHECK(again && *again == *host);
  std::optional<uint32_t> naive;
  size_t longest = 0;
  for (uint32_t i = 0; i < std::size(kHosts); ++i) {
    const std::string_view name = kHosts[i];
    if (name == *host) naive = i, longest = SIZE_MAX;
    const std::string_view suffix = name.substr(name.starts_with('*') ? 1 : name.size());
    if (suffix.empty() || !host->ends_with(suffix) || suffix.size() <= longest) continue;
    naive = i, longest = suffix.size();
  }
  FUZZ_CHECK(TheScenery().hosts.Find(*host) == naive);
}

}  // namespace
}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead;
  using namespace bridgehead::fuzz;
  const Exact exact({data, size});
  const std::string_view text = AsText(exact.span());
  const size_t line = std::min(text.find('\n'), text.size());
  CheckHost(text.substr(0, line));
  const std::string_view target = text.substr(std::min(line + 1, text.size()));
  std::string scratch;
  const CheckedPath checked = CheckPath(target.substr(0, target.find('?')), scratch);
  FUZZ_CHECK((checked.error == PathError::kNone) == !checked.path.empty());
  if (checked.error == PathError::kNone) {
    CheckHarmless(checked.path);
    CheckRoute(checked.path);
  }
  std::string logged;
  AppendRedacted(logged, target);
  FUZZ_CHECK(logged.size() <= kMaxLoggedBytes + 3);
  for (const char c : logged) FUZZ_CHECK(c >= ' ' && c < 0x7f && c != '"');
  return 0;
}
