// Schema of `edge:` but for its upstreams, hosts and listeners.
#include "ctrl/config/schema_edge.h"

namespace bridgehead::config {

namespace {

constexpr size_t kMaxCores = 64;

std::vector<Key> TopKeys() {
  return {
      {.path = "edge",
       .doc = "The TCP edge: what accepts TCP connections in front of the bridges, passes them "
              "through or decrypts them, and serves them as HTTP. A connection's way: a listener "
              "accepts it; the first of its rules that matches may pass it through; else it is "
              "decrypted (tls), and then forwarded to an upstream (forward) or served as HTTP "
              "(hosts), where the request's host and path choose a route. Off without cores."},
      {.path = "edge.cores",
       .type = Type::kInteger,
       .unit = "core number",
       .min = 0,
       .max = 1023,
       .list = true,
       .min_items = 1,
       .max_items = kMaxCores,
       .default_note = "none: off; required when any other key of edge is there",
       .doc =
           "The cores of the TCP edge, one thread on each. A thread waits when nothing happens, "
           "so that others can use its core; one of dataplane.workers is a warning, since a "
           "worker does not. In a reload threads move to other cores with their connections; what "
           "a thread that is too many has goes on on the others' cores until it ends.",
       .set = [](Config& c, const Value& v) { c.edge.cores.push_back(Number(v)); }},
      {.path = "edge.drain_time",
       .type = Type::kDuration,
       .min = 0,
       .max = 3600,
       .default_text = "30s",
       .doc = "When bridgehead-ctrl ends, connections are closed spread over this time, so that "
              "clients do not all come back at once. Nobody is let in meanwhile, and a restart "
              "begins anew only behind it: a restart where that counts takes 0s. A second SIGTERM "
              "or SIGINT ends at once. Reloads close nothing.",
       .set = [](Config& c, const Value& v) { c.edge.drain_time = Seconds(v); }},
      {.path = "edge.access_log",
       .doc =
           "A line for each request, when it is over. Two for each forwarded connection and each "
           "WebSocket: one when its server has it, and one at its end. One for each connection "
           "that fails before: no server, no TLS handshake (but not of who sends nothing). "
           "Passwords and tokens in paths are left out."},
      {.path = "edge.access_log.file",
       .type = Type::kForm,
       .form = &kFilePathForm,
       .default_note = "none: no access log",
       .doc =
           "Where the lines go, for every host without an access_log of its own. Those of "
           "connections, and of requests of no host (refused with 400, 408, 414, 421, 431, 501, "
           "505 and the like), go here only; what such a request did not say is -. Opened anew by "
           "SIGUSR1 and by each reload, for who has moved it away (logrotate).",
       .set = [](Config& c, const Value& v) { c.edge.access_log.file = Text(v); }},
      {.path = "edge.access_log.fields",
       .type = Type::kChoice,
       .choices = {"time",       "listener", "client", "host",     "method",
                   "path",       "protocol", "status", "bytes_in", "bytes_out",
                   "duration",   "upstream", "server", "route",    "referer",
                   "user_agent", "user",     "tls",    "sni",      "event"},
       .list = true,
       .min_items = 1,
       .max_items = 20,
       .default_note = "time, event, listener, client, host, method, path, protocol, status, "
                       "bytes_in, bytes_out, duration, upstream, server",
       .doc =
           "What a line has, in this order; each once. Behind them stands error, where "
           "something went wrong. time is when the request or connection came, also at its end "
           "(UTC, to the millisecond); duration is in seconds. event is request, tunnel_begin and "
           "tunnel_end (of forwarded connections too), or connection for one that failed.",
       .set = [](Config& c,
                 const Value& v) { c.edge.access_log.fields.push_back(LogField(Number(v))); }},
  };
}

}  // namespace

std::vector<Key> EdgeKeys() {
  std::vector<Key> keys = TopKeys();
  for (auto* part : {EdgeUpstreamKeys, EdgeHostKeys, EdgeListenerKeys}) {
    for (Key& key : part()) keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace bridgehead::config
