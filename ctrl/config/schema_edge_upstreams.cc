// Schema of `edge.upstreams:`.
#include "ctrl/config/schema_edge.h"

namespace bridgehead::config {

namespace {

constexpr size_t kMaxUpstreams = 1024;
constexpr size_t kMaxServers = 256;
constexpr uint64_t kMaxConnections = 1000000;

UpstreamServer& LastServer(Config& c) {
  return LastUpstream(c).servers.back();
}

std::vector<Key> ServerKeys() {
  return {
      {.path = "edge.upstreams",
       .list = true,
       .max_items = kMaxUpstreams,
       .default_note = "none",
       .doc = "Where connections and requests can be sent: groups of servers that can take each "
              "other's place.",
       .set = [](Config& c, const Value&) { c.edge.upstreams.emplace_back(); }},
      {.path = "edge.upstreams[].name",
       .type = Type::kName,
       .required = true,
       .doc = "What routes, rules, logs and metrics call the upstream. Names of upstreams must "
              "differ.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).name = Text(v); }},
      {.path = "edge.upstreams[].servers",
       .list = true,
       .min_items = 1,
       .max_items = kMaxServers,
       .required = true,
       .doc = "The upstream's servers, at different addresses or ports. Not all may be backup.",
       .set = [](Config& c, const Value&) { LastUpstream(c).servers.emplace_back(); }},
      {.path = "edge.upstreams[].servers[].address",
       .type = Type::kTcpServer,
       .unit = "TCP port",
       .min = 1,
       .max = 65535,
       .required = true,
       .doc = "Numeric address and port; IPv6 as \"[2001:db8::11]:8080\". No name server is asked.",
       .set = [](Config& c, const Value& v) { LastServer(c).address = std::get<Endpoint>(v); }},
      {.path = "edge.upstreams[].servers[].name",
       .type = Type::kName,
       .default_note = "address",
       .doc = "What logs, metrics and `bridgehead upstreams` call the server. Names within an "
              "upstream must differ.",
       .set = [](Config& c, const Value& v) { LastServer(c).name = Text(v); }},
      {.path = "edge.upstreams[].servers[].weight",
       .type = Type::kInteger,
       .unit = "shares",
       .min = 1,
       .max = 256,
       .default_text = "1",
       .doc = "The server's share among those of the upstream, whatever balance is.",
       .set = [](Config& c, const Value& v) { LastServer(c).weight = Number(v); }},
      {.path = "edge.upstreams[].servers[].backup",
       .type = Type::kBoolean,
       .default_text = "false",
       .doc = "Used only while no server without it can be.",
       .set = [](Config& c, const Value& v) { LastServer(c).backup = std::get<bool>(v); }},
      {.path = "edge.upstreams[].balance",
       .type = Type::kChoice,
       .choices = {"round_robin", "least_connections", "source_hash"},
       .default_text = "round_robin",
       .doc = "Which server the next connection or request gets. source_hash: by the client's "
              "address, which stays with its server when another one leaves or comes back.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).balance = Balance(Number(v)); }},
      {.path = "edge.upstreams[].send_proxy",
       .type = Type::kChoice,
       .choices = {"off", "v1", "v2"},
       .default_text = "off",
       .doc = "Each connection to a server begins with a PROXY protocol header that names the "
              "client. A server that does not expect one refuses it. With v1 or v2 a connection "
              "is not shared by clients, so keepalive does not apply.",
       .source = "PROXY protocol, versions 1 and 2 (haproxy.org)",
       .set = [](Config& c, const Value& v) { LastUpstream(c).send_proxy = SendProxy(Number(v)); }},
  };
}

std::vector<Key> TlsKeys() {
  return {
      {.path = "edge.upstreams[].tls",
       .default_note = "none: cleartext",
       .doc = "Connections to the servers are encrypted. `tls: {}` verifies the server's address "
              "against the system's certificate authorities.",
       .set = [](Config& c, const Value&) { LastUpstream(c).tls.emplace(); }},
      {.path = "edge.upstreams[].tls.verify",
       .type = Type::kChoice,
       .choices = {"off", "on"},
       .default_text = "on",
       .doc = "on: the server's certificate must be valid and be its own. off: whoever answers is "
              "trusted; a warning at each start and in `bridgehead status`.",
       .source = "RFC 9525 (which names a certificate must have)",
       .set = [](Config& c, const Value& v) { LastUpstream(c).tls->verify = Number(v) == 1; }},
      {.path = "edge.upstreams[].tls.ca_file",
       .type = Type::kForm,
       .form = &kFilePathForm,
       .default_note = "the system's certificate authorities",
       .doc = "PEM file of the authorities that are trusted instead of the system's, or the "
              "server's own self-signed certificate.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).tls->ca_file = Text(v); }},
      {.path = "edge.upstreams[].tls.server_name",
       .type = Type::kForm,
       .form = &kHostNameForm,
       .default_note = "none: no SNI, and the certificate must name the server's address",
       .doc = "The name that is sent to the server (SNI) and that its certificate must have.",
       .source = "RFC 6066 section 3",
       .set = [](Config& c, const Value& v) { LastUpstream(c).tls->server_name = Text(v); }},
  };
}

std::vector<Key> HealthKeys() {
  return {
      {.path = "edge.upstreams[].health",
       .default_note = "none: servers are judged by connections alone (max_failures)",
       .doc =
           "Each server is asked regularly, and one that is down gets no new connections and "
           "requests; those it has go on. `health: {}` is content with a connection. A check is "
           "made like a connection of the upstream: with tls, a handshake and its verification "
           "belong to it; with send_proxy, it begins with a header that names no client (v1 "
           "UNKNOWN, v2 LOCAL). A server counts as up until its first check has ended, or, where "
           "that got no answer at all, until fall checks have. While all of an upstream are down, "
           "requests are answered with 503. Of all upstreams at most 4096 servers are checked.",
       .source = "PROXY protocol, section 2.2 (LOCAL: health checks)",
       .set = [](Config& c, const Value&) { LastUpstream(c).health.emplace(); }},
      {.path = "edge.upstreams[].health.path",
       .type = Type::kForm,
       .form = &kTargetForm,
       .default_note = "none: a connection is enough",
       .doc = "A GET of this over HTTP/1.1 is good when it is answered with a status of expect. "
              "Redirects are not followed, and a body is not read.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).health->path = Text(v); }},
      {.path = "edge.upstreams[].health.host",
       .type = Type::kForm,
       .form = &kHostNameForm,
       .default_note = "tls.server_name, or else the server's address",
       .doc = "The Host header of that GET.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).health->host = Text(v); }},
      {.path = "edge.upstreams[].health.expect",
       .type = Type::kInteger,
       .unit = "HTTP status",
       .min = 200,
       .max = 599,
       .list = true,
       .or_one = true,
       .min_items = 1,
       .max_items = 100,
       .default_note = "200 to 399",
       .doc = "Which statuses say that the server is well.",
       .set =
           [](Config& c, const Value& v) {
             LastUpstream(c).health->expect.push_back(static_cast<uint16_t>(Number(v)));
           }},
      {.path = "edge.upstreams[].health.port",
       .type = Type::kInteger,
       .unit = "TCP port",
       .min = 1,
       .max = 65535,
       .default_note = "the server's own",
       .doc = "Where the servers are asked instead, such as 8080 for a Jitsi Videobridge's "
              "/about/health. Always in cleartext and without a PROXY header, whatever the "
              "upstream has.",
       .set =
           [](Config& c, const Value& v) {
             LastUpstream(c).health->port = static_cast<uint16_t>(Number(v));
           }},
      {.path = "edge.upstreams[].health.interval",
       .type = Type::kDuration,
       .min = 1,
       .max = 3600,
       .default_text = "2s",
       .doc = "From the beginning of a check to that of the next one.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).health->interval = Seconds(v); }},
      {.path = "edge.upstreams[].health.timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = 60,
       .default_text = "1s",
       .doc = "A check that has no answer by then has failed. At most interval.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).health->timeout = Seconds(v); }},
      {.path = "edge.upstreams[].health.rise",
       .type = Type::kInteger,
       .unit = "checks in a row",
       .min = 1,
       .max = 100,
       .default_text = "2",
       .doc = "Good checks until a server that was down is up.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).health->rise = Number(v); }},
      {.path = "edge.upstreams[].health.fall",
       .type = Type::kInteger,
       .unit = "checks in a row",
       .min = 1,
       .max = 100,
       .default_text = "3",
       .doc = "Failed checks until a server that was up is down.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).health->fall = Number(v); }},
  };
}

std::vector<Key> LimitKeys() {
  return {
      {.path = "edge.upstreams[].max_failures",
       .type = Type::kInteger,
       .unit = "connects in a row",
       .min = 0,
       .max = 1000,
       .default_text = "3",
       .doc = "A server that refuses or does not answer this many connections in a row is left "
              "alone for failure_timeout. 0: never.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).max_failures = Number(v); }},
      {.path = "edge.upstreams[].failure_timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = 3600,
       .default_text = "10s",
       .doc = "How long that is.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).failure_timeout = Seconds(v); }},
      {.path = "edge.upstreams[].connect_timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = 300,
       .default_text = "5s",
       .doc = "For a connection to a server, its TLS handshake included.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).connect_timeout = Seconds(v); }},
      {.path = "edge.upstreams[].max_connections",
       .type = Type::kInteger,
       .unit = "connections per server and core",
       .min = 0,
       .max = kMaxConnections,
       .default_text = "0",
       .doc = "What one server gets at most. 0: no limit.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).max_connections = Number(v); }},
      {.path = "edge.upstreams[].keepalive",
       .type = Type::kInteger,
       .unit = "idle connections per server and core",
       .min = 0,
       .max = 10000,
       .default_text = "64",
       .doc = "HTTP connections that are kept for the next request. 0: none.",
       .set = [](Config& c, const Value& v) { LastUpstream(c).keepalive = Number(v); }},
      {.path = "edge.upstreams[].retries",
       .type = Type::kInteger,
       .unit = "other servers",
       .min = 0,
       .max = 10,
       .default_text = "1",
       .doc = "How many other servers are tried when one can not be reached. A request that a "
              "server may have begun to work on is repeated only where HTTP allows it.",
       .source = "RFC 9110 section 9.2.2 (idempotent methods)",
       .set = [](Config& c, const Value& v) { LastUpstream(c).retries = Number(v); }},
  };
}

}  // namespace

std::vector<Key> EdgeUpstreamKeys() {
  std::vector<Key> keys = ServerKeys();
  for (auto* part : {TlsKeys, HealthKeys, LimitKeys}) {
    for (Key& key : part()) keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace bridgehead::config
