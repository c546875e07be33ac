// Schema of `timeouts:`, `limits:`, `media:` and `admin:`; between them stand the keys of other
// files.
#include "ctrl/config/schema.h"
#include "relay/api/counters.h"
#include "relay/session/shard.h"

namespace bridgehead::config {

namespace {

using std::chrono::seconds;

constexpr uint64_t kMaxNewSessions = 1000000;  // per second: more than a worker can make
constexpr uint64_t kMaxRequests = 1000000;     // per second, of one source

uint32_t Number(const Value& value) {
  return static_cast<uint32_t>(std::get<uint64_t>(value));
}

std::vector<Key> TimeoutAndLimitKeys() {
  return {
      {.path = "timeouts", .doc = "How long things live without a packet."},
      {.path = "timeouts.idle",
       .type = Type::kDuration,
       .min = 1,
       .max = 86400,
       .default_text = "300s",
       .doc =
           "A session ends when neither side has sent for this long, in whole seconds. A reload "
           "that shortens it reaches sessions when their old time is over. Under 120s is a "
           "warning: calls with long silences would lose their mapping, and a bridge answers the "
           "new one with an error.",
       .source = "RFC 4787 REQ-5 (not under 2 minutes, 5 recommended)",
       .set = [](Config& c, const Value& v) { c.timeouts.idle = std::get<seconds>(v); }},
      {.path = "timeouts.unconfirmed",
       .type = Type::kDuration,
       .min = 1,
       .max = 300,
       .default_text = "10s",
       .doc = "A session that the bridge has not answered yet ends after this long. At most idle.",
       .set = [](Config& c, const Value& v) { c.timeouts.unconfirmed = std::get<seconds>(v); }},
      {.path = "timeouts.quarantine",
       .type = Type::kDuration,
       .min = 0,
       .max = 3600,
       .default_text = "120s",
       .doc =
           "A NAT port that becomes free is not given to another client for this long, because the "
           "bridge may still take its packets for the old client's. Under 120s is a warning.",
       .source = "a bridge's own expiry of an endpoint is about two minutes",
       .set = [](Config& c, const Value& v) { c.timeouts.quarantine = std::get<seconds>(v); }},
      {.path = "limits",
       .doc = "What one sender, or packets that lead nowhere, can use up at most."},
      {.path = "limits.sessions_per_source",
       .type = Type::kInteger,
       .unit = "sessions per source address and worker",
       .min = 1,
       .max = 16777216,
       .default_text = "1024",
       .doc = "Sessions of one client address; in IPv6 of one /64, since whoever has one address "
              "there has them all. Large networks behind one address need many: about two for each "
              "participant. Beyond it packets are dropped as source_limit.",
       .source = "RFC 6177 (an end site has a /64 at least)",
       .set = [](Config& c, const Value& v) { c.limits.sessions_per_source = Number(v); }},
      {.path = "limits.unconfirmed",
       .type = Type::kInteger,
       .unit = "sessions per worker",
       .min = 1,
       .max = kMaxUnconfirmed,
       .default_text = "4096",
       .doc = "Sessions that no bridge has answered yet. Beyond it the oldest of them makes room "
              "for the new one; confirmed sessions are not touched.",
       .set = [](Config& c, const Value& v) { c.limits.unconfirmed = Number(v); }},
      {.path = "limits.hold_packets",
       .type = Type::kInteger,
       .unit = "packets per next hop and worker",
       .min = 1,
       .max = 1024,
       .default_text = "64",
       .doc =
           "Packets that wait while the kernel resolves their next hop. Beyond it they are dropped "
           "as hold_full.",
       .source = "RFC 1122 section 2.3.2.2 (keep at least one)",
       .set = [](Config& c, const Value& v) { c.limits.hold_packets = Number(v); }},
      {.path = "limits.new_sessions",
       .type = Type::kInteger,
       .unit = "new sessions per second and worker",
       .min = 0,
       .max = kMaxNewSessions,
       .default_text = "1000",
       .doc =
           "Beyond it a source has to ask twice within a few seconds before it gets a session: its "
           "first request is dropped as ask_again. ICE repeats its requests anyway, so that a "
           "newcomer is late by one repetition, while forged sources hardly ever come twice. 0: no "
           "limit.",
       .source = "RFC 8445 section 14 (a check is repeated)",
       .set = [](Config& c, const Value& v) { c.limits.new_sessions = Number(v); }},
      {.path = "limits.new_sessions_per_prefix",
       .type = Type::kInteger,
       .unit = "new sessions per second, source prefix and worker",
       .min = 0,
       .max = kMaxNewSessions,
       .default_text = "500",
       .doc =
           "New sessions of one source prefix, an IPv4 /24 or an IPv6 /56. Beyond it its requests "
           "are dropped as prefix_rate. A large network behind few addresses, or a load test, may "
           "need more. 0: no limit.",
       .source = "RFC 6177 (sites are given a /48 or a /56)",
       .set = [](Config& c, const Value& v) { c.limits.new_sessions_per_prefix = Number(v); }},
      {.path = "limits.logged_refusals",
       .type = Type::kInteger,
       .unit = "lines per reason and 10 seconds",
       .min = 0,
       .max = 10,
       .default_text = "3",
       .doc =
           "How many refused sessions of one kind (denied, stun_unknown_ufrag, octo_malformed, "
           "bridge_draining, bridge_down, table_full, prefix_rate, listener_rate, source_limit, "
           "nat_ports_exhausted) the relay's log names one by one, with addresses; one line more "
           "then counts the others. `bridgehead drops` counts them all. 0: none is logged.",
       .set = [](Config& c, const Value& v) { c.limits.logged_refusals = Number(v); }},
      {.path = "limits.stun_requests_per_source",
       .type = Type::kInteger,
       .unit = "STUN Binding Requests per second and source address",
       .min = 0,
       .max = kMaxRequests,
       .default_text = "10000",
       .doc =
           "STUN Binding Requests that media listeners take from one client address, in IPv6 from "
           "one /64, of calls that are there too; as many may come at once. The XDP program of a "
           "device: port counts them for the port, the relay for each worker where there is no "
           "such program (vdev:). Beyond it requests are dropped as stun_rate, other media never. "
           "A browser that connects sends some 20 to 50 a second, later one every few seconds: the "
           "default lets 200 people behind one address connect in the same second, and thousands "
           "talk. Whoever forges an address may use its share up, but ends no call: clients that "
           "have asked before (device:) or are confirmed (vdev:) go on. 0: no limit.",
       .source = "RFC 8445 section 14 (checks are paced by 50 ms), RFC 7675 (consent)",
       .set = [](Config& c, const Value& v) { c.limits.stun_requests_per_source = Number(v); }},
  };
}

std::vector<Key> MediaKeys() {
  return {
      {.path = "media",
       .list = true,
       .min_items = 1,
       .max_items = kMaxListeners,
       .required = true,
       .doc = "The public addresses and UDP ports that clients send media to.",
       .set = [](Config& c, const Value&) { c.media.emplace_back(); }},
      {.path = "media[].name",
       .type = Type::kName,
       .required = true,
       .doc = "What counters and metrics call the listener. Names of listeners must differ; "
              "outbound is taken.",
       .set = [](Config& c, const Value& v) { c.media.back().name = std::get<std::string>(v); }},
      {.path = "media[].listen",
       .type = Type::kEndpoint,
       .min = 1,
       .max = 65535,
       .required = true,
       .doc =
           "Address and port, or ports first-last; IPv6 as \"[2001:db8::10]:10000\". The address "
           "should be configured on a kernel interface, which then answers ARP or neighbour "
           "solicitations for it; other services may share it on other ports. Listeners must not "
           "overlap, nor lie within nat_ports on a NAT address or one of outbound.addresses.",
       .set = [](Config& c, const Value& v) { c.media.back().listen = std::get<Endpoint>(v); }},
      {.path = "media[].nat",
       .type = Type::kChoice,
       .choices = {"source", "destination"},
       .required = true,
       .doc = "source: the bridge sees one of nat_addresses; works in every topology. destination: "
              "the bridge sees the client's own address, so both are of one family, and must route "
              "back through the relay.",
       .set = [](Config& c,
                 const Value& v) { c.media.back().nat = static_cast<NatMode>(Number(v)); }},
      {.path = "media[].bridges",
       .type = Type::kName,
       .list = true,
       .min_items = 1,
       .max_items = kMaxBridges,
       .required = true,
       .doc =
           "The bridges that the listener leads to: one, or several at different addresses that "
           "each have a ufrag_prefix. An IPv6 listener with nat: source may lead to IPv4 bridges; "
           "an IPv4 listener leads to IPv4 bridges only.",
       .set = [](Config& c,
                 const Value& v) { c.media.back().bridges.push_back(std::get<std::string>(v)); }},
      {.path = "media[].bridge_port",
       .type = Type::kInteger,
       .unit = "UDP port",
       .min = 1,
       .max = 65535,
       .default_note = "first port of listen",
       .doc =
           "The port at the bridge that the first port of listen leads to; a range maps one to one "
           "from there and must end by 65535. In destination NAT no two listeners may lead to the "
           "same port of the same bridge: an answer could not be told apart.",
       .set =
           [](Config& c, const Value& v) {
             c.media.back().bridge_port = static_cast<uint16_t>(Number(v));
           }},
      {.path = "media[].new_sessions",
       .type = Type::kInteger,
       .unit = "new sessions per second and worker",
       .min = 0,
       .max = kMaxNewSessions,
       .default_text = "0",
       .doc = "What this listener takes at most, behind the limits of all (limits.new_sessions and "
              "limits.new_sessions_per_prefix). Beyond it requests are dropped as listener_rate. "
              "0: no limit of its own.",
       .set = [](Config& c, const Value& v) { c.media.back().new_sessions = Number(v); }},
      {.path = "media[].allow",
       .type = Type::kPrefix,
       .list = true,
       .max_items = kMaxAccessPrefixes,
       .default_note = "none: every source that is not in deny",
       .doc =
           "Sources that may open sessions, as networks (host bits zero). Of the prefixes in allow "
           "and deny that hold a source the longest decides; a source in neither list is allowed "
           "only when allow is empty. No prefix may be in both lists, or twice in one. Others are "
           "dropped as denied: by the XDP program of a device: port all that they send, by the "
           "relay their requests, so that a call whose address a reload denies loses its consent "
           "to send (RFC 7675) and ends.",
       .set = [](Config& c,
                 const Value& v) { c.media.back().allow.push_back(std::get<Prefix>(v)); }},
      {.path = "media[].deny",
       .type = Type::kPrefix,
       .list = true,
       .max_items = kMaxAccessPrefixes,
       .default_note = "none",
       .doc = "Sources that may not open sessions: see allow.",
       .set = [](Config& c,
                 const Value& v) { c.media.back().deny.push_back(std::get<Prefix>(v)); }},
  };
}

}  // namespace

std::vector<Key> ServiceKeys() {
  std::vector<Key> keys = TimeoutAndLimitKeys();
  for (Key& key : BridgeKeys()) keys.push_back(std::move(key));
  for (Key& key : MediaKeys()) keys.push_back(std::move(key));
  for (Key& key : OctoKeys()) keys.push_back(std::move(key));
  keys.push_back({.path = "admin",
                  .reload = Reload::kLive,
                  .doc = "The HTTP side of bridgehead-ctrl: /metrics, /healthz, /readyz, and as "
                         "JSON /api/v1/status, /api/v1/drops, /api/v1/bridges."});
  keys.push_back({.path = "admin.listen",
                  .type = Type::kEndpointOrOff,
                  .unit = "TCP port",
                  .min = 1,
                  .max = 65535,
                  .default_text = "127.0.0.1:9100",
                  .reload = Reload::kLive,
                  .doc =
                      "Address and port, IPv6 as \"[::1]:9100\", or off. It has neither encryption "
                      "nor passwords: keep it on a loopback or management address. 0.0.0.0 and "
                      "[::] are a warning. An address that no interface has is one too when "
                      "bridgehead-ctrl starts, since it may come later, and an error in a reload.",
                  .set = [](Config& c, const Value& v) {
                    if (const auto* endpoint = std::get_if<Endpoint>(&v)) {
                      c.admin.listen = *endpoint;
                    } else {
                      c.admin.listen.reset();
                    }
                  }});
  return keys;
}

}  // namespace bridgehead::config
