// Schema of `edge.hosts[].routes:`.
#include "ctrl/config/schema_edge.h"
#include "ctrl/config/schema_edge_headers.h"

namespace bridgehead::config {

namespace {

constexpr size_t kMaxRoutes = 256;
constexpr size_t kMaxServerIds = 1024;
constexpr size_t kMaxOrigins = 64;
constexpr uint64_t kMaxBodyBytes = uint64_t{1} << 40;
constexpr uint64_t kMaxRequests = 1000000;  // per second
constexpr uint16_t kRedirects[] = {301, 302, 303, 307, 308};

std::vector<HeaderChange>& RequestHeaders(Config& c) {
  return LastRoute(c).request_headers;
}
std::vector<HeaderChange>& ResponseHeaders(Config& c) {
  return LastRoute(c).response_headers;
}

// The route's action as the one that a key is about. Of two actions in one route, which is an
// error, the later one stays, and keys of the other one go nowhere.
template <typename Action>
Action* ActionOf(Config& c) {
  return std::get_if<Action>(&LastRoute(c).action);
}

void SetPath(Config& c, PathMatch match, const Value& v) {
  LastRoute(c).match = match;
  LastRoute(c).path = Text(v);
}

std::vector<Key> PathKeys() {
  return {
      {.path = "edge.hosts[].routes",
       .list = true,
       .min_items = 1,
       .max_items = kMaxRoutes,
       .required = true,
       .doc = "What answers which path. Each route has exactly one of path, exact and regex, and "
              "exactly one of upstream, servers_by_id, redirect, files and respond. An exact path "
              "is taken before the longest path, that before the first regex that matches, and any "
              "of them before the path /. Where none matches the answer is 404. At most 64 routes "
              "of a host may have a regex: each is tried.",
       .set = [](Config& c, const Value&) { LastHost(c).routes.emplace_back(); }},
      {.path = "edge.hosts[].routes[].name",
       .type = Type::kName,
       .default_note = "path, exact or regex",
       .doc = "What logs and metrics call the route. Names within a host must differ.",
       .set = [](Config& c, const Value& v) { LastRoute(c).name = Text(v); }},
      {.path = "edge.hosts[].routes[].path",
       .type = Type::kForm,
       .form = &kUrlPathForm,
       .default_note = "none",
       .doc = "Requests whose path is this or goes on behind it with a new segment: /files is for "
              "/files and /files/a, not for /filesystem; /files/ is for what is below alone; / is "
              "for all. Paths are compared in canonical form (RFC 3986 section 6.2.2); one with a "
              "dot segment or an escaped slash in it is refused before, and one whose parameters "
              "(/files;a=b/c) hide from some servers which route it has.",
       .set = [](Config& c, const Value& v) { SetPath(c, PathMatch::kPrefix, v); }},
      {.path = "edge.hosts[].routes[].exact",
       .type = Type::kForm,
       .form = &kUrlPathForm,
       .default_note = "none",
       .doc = "Requests with just this path, whatever their query.",
       .set = [](Config& c, const Value& v) { SetPath(c, PathMatch::kExact, v); }},
      {.path = "edge.hosts[].routes[].regex",
       .type = Type::kForm,
       .form = &kRegexForm,
       .default_note = "none",
       .doc = "Requests whose path this finds something in; ^ and $ bind it to the path's ends. "
              "The syntax is RE2's, which needs linear time only.",
       .source = "github.com/google/re2/wiki/Syntax",
       .set = [](Config& c, const Value& v) { SetPath(c, PathMatch::kRegex, v); }},
  };
}

std::vector<Key> ProxyKeys() {
  return {
      {.path = "edge.hosts[].routes[].upstream",
       .type = Type::kName,
       .default_note = "none",
       .doc = "The upstream that requests are passed on to.",
       .set =
           [](Config& c, const Value& v) {
             LastRoute(c).action.emplace<ProxyAction>().upstream = Text(v);
           }},
      {.path = "edge.hosts[].routes[].servers_by_id",
       .list = true,
       .min_items = 1,
       .max_items = kMaxServerIds,
       .default_note = "none",
       .doc = "For /colibri-ws/<server-id>/... and /colibri-relay-ws/<server-id>/...: the path's "
              "second segment names the bridge, and this list where that is. Another id is "
              "answered with 404; the path never names a host. WebSockets are passed on.",
       .set =
           [](Config& c, const Value&) {
             auto* action = ActionOf<ServerIdAction>(c);
             if (action == nullptr) action = &LastRoute(c).action.emplace<ServerIdAction>();
             action->servers.emplace_back();
           }},
      {.path = "edge.hosts[].routes[].servers_by_id[].id",
       .type = Type::kForm,
       .form = &kServerIdForm,
       .required = true,
       .doc = "The server-id: videobridge.websockets.server-id of a Jitsi Videobridge. Each once.",
       .set = [](Config& c,
                 const Value& v) { ActionOf<ServerIdAction>(c)->servers.back().id = Text(v); }},
      {.path = "edge.hosts[].routes[].servers_by_id[].upstream",
       .type = Type::kName,
       .required = true,
       .doc = "The upstream of this server.",
       .set =
           [](Config& c, const Value& v) {
             ActionOf<ServerIdAction>(c)->servers.back().upstream = Text(v);
           }},
      {.path = "edge.hosts[].routes[].rewrite",
       .type = Type::kForm,
       .form = &kRewriteForm,
       .default_note = "none: the path goes on as it came",
       .doc =
           "With upstream: what stands in place of path or exact in the path that is passed on, "
           "or of the whole path with regex, whose groups \\1 to \\9 are. Location headers of "
           "answers are mapped back. Arguments behind it, as in /http-bind?prefix=\\1, are set in "
           "the query, behind what the client has there; its own of the same names are left out.",
       .set =
           [](Config& c, const Value& v) {
             if (auto* action = ActionOf<ProxyAction>(c)) action->rewrite = Text(v);
           }},
      {.path = "edge.hosts[].routes[].websocket",
       .type = Type::kBoolean,
       .default_text = "false",
       .doc = "With upstream: upgrades to WebSocket are passed on. Without it they are answered "
              "with 400.",
       .source = "RFC 6455, RFC 8441",
       .set =
           [](Config& c, const Value& v) {
             if (auto* action = ActionOf<ProxyAction>(c)) action->websocket = std::get<bool>(v);
           }},
      {.path = "edge.hosts[].routes[].origins",
       .type = Type::kForm,
       .form = &kOriginForm,
       .list = true,
       .or_one = true,
       .min_items = 1,
       .max_items = kMaxOrigins,
       .default_note = "none: any",
       .doc = "With servers_by_id, or upstream and websocket: the sites whose pages may open "
              "WebSockets here. An upgrade with another Origin, or without one, is answered with "
              "403.",
       .source = "RFC 6455 section 10.2, RFC 6454 section 6.2",
       .set =
           [](Config& c, const Value& v) {
             if (auto* proxy = ActionOf<ProxyAction>(c)) proxy->origins.push_back(Text(v));
             if (auto* by_id = ActionOf<ServerIdAction>(c)) by_id->origins.push_back(Text(v));
           }},
      {.path = "edge.hosts[].routes[].response_timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = 86400,
       .default_text = "60s",
       .doc = "With upstream: the longest wait for the next part of the response. Longer than a "
              "BOSH request is held (60s by default).",
       .source = "XEP-0124 section 7.2 (wait)",
       .set =
           [](Config& c, const Value& v) {
             if (auto* action = ActionOf<ProxyAction>(c)) action->response_timeout = Seconds(v);
           }},
      {.path = "edge.hosts[].routes[].tunnel_idle_timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = kMaxTunnelIdle,
       .default_text = "10m",
       .doc = "With servers_by_id, or upstream and websocket: a WebSocket on which nothing was "
              "sent either way for this long is closed; after 10 minutes at the latest if one side "
              "has ended its direction.",
       .set =
           [](Config& c, const Value& v) {
             if (auto* proxy = ActionOf<ProxyAction>(c)) proxy->tunnel_idle_timeout = Seconds(v);
             if (auto* by_id = ActionOf<ServerIdAction>(c)) by_id->tunnel_idle_timeout = Seconds(v);
           }},
  };
}

std::vector<Key> AnswerKeys() {
  return {
      {.path = "edge.hosts[].routes[].redirect",
       .default_note = "none",
       .doc = "The edge sends the client elsewhere.",
       .set = [](Config& c, const Value&) { LastRoute(c).action.emplace<RedirectAction>(); }},
      {.path = "edge.hosts[].routes[].redirect.to",
       .type = Type::kForm,
       .form = &kRedirectForm,
       .required = true,
       .doc = "A URL (http or https) or a path. $host is the name that the request is for, $path "
              "its path, $query its query with the ? before it, or nothing: "
              "https://$host$path$query. $$ is a dollar sign.",
       .set = [](Config& c, const Value& v) { ActionOf<RedirectAction>(c)->to = Text(v); }},
      {.path = "edge.hosts[].routes[].redirect.status",
       .type = Type::kChoice,
       .choices = {"301", "302", "303", "307", "308"},
       .default_text = "301",
       .doc = "301 and 308 are kept by browsers; 307 and 308 keep the method.",
       .source = "RFC 9110 section 15.4",
       .set = [](Config& c,
                 const Value& v) { ActionOf<RedirectAction>(c)->status = kRedirects[Number(v)]; }},
      {.path = "edge.hosts[].routes[].files",
       .default_note = "none",
       .doc = "The edge answers with files of a folder, to GET and HEAD. Not with regex.",
       .set = [](Config& c, const Value&) { LastRoute(c).action.emplace<FilesAction>(); }},
      {.path = "edge.hosts[].routes[].files.root",
       .type = Type::kForm,
       .form = &kFilePathForm,
       .required = true,
       .doc = "The folder. What the request's path has behind path is looked for in it; with exact "
              "the one file is index.",
       .set = [](Config& c, const Value& v) { ActionOf<FilesAction>(c)->root = Text(v); }},
      {.path = "edge.hosts[].routes[].files.index",
       .type = Type::kForm,
       .form = &kFileNameForm,
       .default_text = "index.html",
       .doc = "The file of a folder itself.",
       .set = [](Config& c, const Value& v) { ActionOf<FilesAction>(c)->index = Text(v); }},
      {.path = "edge.hosts[].routes[].files.cors_origin",
       .type = Type::kForm,
       .form = &kCorsOriginForm,
       .default_note = "none: not sent",
       .doc = "Access-Control-Allow-Origin: the site whose pages may read the files.",
       .set = [](Config& c, const Value& v) { ActionOf<FilesAction>(c)->cors_origin = Text(v); }},
      {.path = "edge.hosts[].routes[].respond",
       .default_note = "none",
       .doc = "The edge answers by itself. `respond: {}` is 404.",
       .set = [](Config& c, const Value&) { LastRoute(c).action.emplace<RespondAction>(); }},
      {.path = "edge.hosts[].routes[].respond.status",
       .type = Type::kInteger,
       .unit = "HTTP status",
       .min = 200,
       .max = 599,
       .default_text = "404",
       .doc = "Of the answer.",
       .source = "RFC 9110 section 15",
       .set =
           [](Config& c, const Value& v) {
             ActionOf<RespondAction>(c)->status = static_cast<uint16_t>(Number(v));
           }},
      {.path = "edge.hosts[].routes[].respond.body",
       .type = Type::kForm,
       .form = &kBodyForm,
       .default_note = "none",
       .doc = "Its text. Statuses 204, 205 and 304 have none.",
       .set = [](Config& c, const Value& v) { ActionOf<RespondAction>(c)->body = Text(v); }},
  };
}

std::vector<Key> AccessKeys() {
  return {
      {.path = "edge.hosts[].routes[].allow",
       .type = Type::kPrefix,
       .list = true,
       .max_items = kMaxAccessPrefixes,
       .default_note = "none: every source that is not in deny",
       .doc = "Clients that may use the route, as networks (host bits zero). Of the prefixes in "
              "allow and deny that hold a client the longest decides; a client in neither list is "
              "allowed only when allow is empty. Others are answered with 403.",
       .set = [](Config& c,
                 const Value& v) { LastRoute(c).access.allow.push_back(std::get<Prefix>(v)); }},
      {.path = "edge.hosts[].routes[].deny",
       .type = Type::kPrefix,
       .list = true,
       .max_items = kMaxAccessPrefixes,
       .default_note = "none",
       .doc = "Clients that may not use the route: see allow.",
       .set = [](Config& c,
                 const Value& v) { LastRoute(c).access.deny.push_back(std::get<Prefix>(v)); }},
      {.path = "edge.hosts[].routes[].basic_auth",
       .default_note = "none",
       .doc = "Only users with a name and password. Others are answered with 401; with 429 while "
              "8 passwords of the same source (an IPv4 address or an IPv6 /64) are being checked.",
       .source = "RFC 7617",
       .set = [](Config& c, const Value&) { LastRoute(c).basic_auth.emplace(); }},
      {.path = "edge.hosts[].routes[].basic_auth.realm",
       .type = Type::kForm,
       .form = &kRealmForm,
       .default_text = "Restricted",
       .doc = "What browsers show when they ask for it.",
       .set = [](Config& c, const Value& v) { LastRoute(c).basic_auth->realm = Text(v); }},
      {.path = "edge.hosts[].routes[].basic_auth.file",
       .type = Type::kForm,
       .form = &kFilePathForm,
       .required = true,
       .doc = "File of lines name:hash as htpasswd writes them, with hashes of bcrypt (htpasswd "
              "-B), SHA-256, SHA-512 or yescrypt, as crypt(3) knows them.",
       .set = [](Config& c, const Value& v) { LastRoute(c).basic_auth->file = Text(v); }},
      {.path = "edge.hosts[].routes[].cookie_token",
       .default_note = "none",
       .doc = "Only clients with a cookie whose value is the name of a file in a folder. Others "
              "are answered with 403; with 429 while 32 tokens of the same source (as of "
              "basic_auth) are being looked for.",
       .set = [](Config& c, const Value&) { LastRoute(c).cookie_token.emplace(); }},
      {.path = "edge.hosts[].routes[].cookie_token.cookie",
       .type = Type::kForm,
       .form = &kTokenForm,
       .required = true,
       .doc = "The cookie's name.",
       .source = "RFC 6265 section 4.1.1",
       .set = [](Config& c, const Value& v) { LastRoute(c).cookie_token->cookie = Text(v); }},
      {.path = "edge.hosts[].routes[].cookie_token.folder",
       .type = Type::kForm,
       .form = &kFilePathForm,
       .required = true,
       .doc = "The folder. Regular files in it count, no links and nothing below.",
       .set = [](Config& c, const Value& v) { LastRoute(c).cookie_token->folder = Text(v); }},
      {.path = "edge.hosts[].routes[].max_body",
       .type = Type::kBytes,
       .min = 0,
       .max = kMaxBodyBytes,
       .default_text = "1MiB",
       .doc = "A request with a larger body is answered with 413. 0: no limit.",
       .source = "RFC 9110 section 15.5.14",
       .set = [](Config& c, const Value& v) { LastRoute(c).max_body = std::get<uint64_t>(v); }},
      {.path = "edge.hosts[].routes[].requests_per_source",
       .type = Type::kInteger,
       .unit = "requests per second, source address and core",
       .min = 0,
       .max = kMaxRequests,
       .default_text = "0",
       .doc = "Of one client address, in IPv6 of one /64, on all listeners of the host together. "
              "Beyond it requests are answered with 429. 0: no limit.",
       .source = "RFC 6585 section 4",
       .set = [](Config& c, const Value& v) { LastRoute(c).requests_per_source = Number(v); }},
  };
}

}  // namespace

std::vector<Key> EdgeRouteKeys() {
  std::vector<Key> keys = PathKeys();
  for (auto* part : {ProxyKeys, AnswerKeys, AccessKeys}) {
    for (Key& key : part()) keys.push_back(std::move(key));
  }
  for (Key& key :
       HeaderKeys<RequestHeaders>("edge.hosts[].routes[].request_headers", kRequestValueForm,
                                  "Changes to requests before they are passed on, in this order, "
                                  "after those of the host.")) {
    keys.push_back(std::move(key));
  }
  for (Key& key : HeaderKeys<ResponseHeaders>(
           "edge.hosts[].routes[].response_headers", kResponseValueForm,
           "Changes to responses, in this order, after those of the host.")) {
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace bridgehead::config
