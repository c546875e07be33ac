// Schema of everything but `dataplane:`.
#include "ctrl/config/schema.h"
#include "relay/api/counters.h"

namespace bridgehead::config {

namespace {

using std::chrono::seconds;

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
       .doc =
           "Sessions of one client address. Large networks behind one address need many: about two "
           "for each participant. Beyond it packets are dropped as source_limit.",
       .set = [](Config& c, const Value& v) { c.limits.sessions_per_source = Number(v); }},
      {.path = "limits.unconfirmed",
       .type = Type::kInteger,
       .unit = "sessions per worker",
       .min = 1,
       .max = 1048576,
       .default_text = "4096",
       .doc =
           "Sessions that no bridge has answered yet. Beyond it packets of new clients are dropped "
           "as unconfirmed_full; confirmed sessions are not touched.",
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
  };
}

std::vector<Key> MediaKeys() {
  return {
      {.path = "bridges",
       .list = true,
       .min_items = 1,
       .max_items = kMaxBridges,
       .required = true,
       .doc = "The media servers behind the relay.",
       .set = [](Config& c, const Value&) { c.bridges.emplace_back(); }},
      {.path = "bridges[].name",
       .type = Type::kName,
       .required = true,
       .doc = "What listeners, counters and metrics call it. Names of bridges must differ.",
       .set = [](Config& c, const Value& v) { c.bridges.back().name = std::get<std::string>(v); }},
      {.path = "bridges[].address",
       .type = Type::kAddress,
       .required = true,
       .doc = "Where it receives media. Not an address of a listener or of nat_addresses.",
       .set = [](Config& c, const Value& v) { c.bridges.back().address = std::get<Address>(v); }},
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
       .doc = "What counters and metrics call the listener. Names of listeners must differ.",
       .set = [](Config& c, const Value& v) { c.media.back().name = std::get<std::string>(v); }},
      {.path = "media[].listen",
       .type = Type::kEndpoint,
       .min = 1,
       .max = 65535,
       .required = true,
       .doc =
           "IPv4:port or IPv4:first-last. The address should be configured on a kernel interface, "
           "which then answers ARP for it; other services may share it on other ports. Listeners "
           "must not overlap, nor lie within nat_ports on a NAT address.",
       .set = [](Config& c, const Value& v) { c.media.back().listen = std::get<Endpoint>(v); }},
      {.path = "media[].nat",
       .type = Type::kChoice,
       .choices = {"source", "destination"},
       .required = true,
       .doc = "source: the bridge sees one of nat_addresses; works in every topology. destination: "
              "the bridge sees the client's own address, and must route back through the relay.",
       .set = [](Config& c,
                 const Value& v) { c.media.back().nat = static_cast<NatMode>(Number(v)); }},
      {.path = "media[].bridges",
       .type = Type::kName,
       .list = true,
       .min_items = 1,
       .max_items = kMaxBridges,
       .required = true,
       .doc = "The bridges that the listener leads to. Exactly one in this version.",
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
  };
}

}  // namespace

std::vector<Key> ServiceKeys() {
  std::vector<Key> keys = TimeoutAndLimitKeys();
  for (Key& key : MediaKeys()) keys.push_back(std::move(key));
  keys.push_back({.path = "admin",
                  .reload = Reload::kLive,
                  .doc = "The HTTP side of bridgehead-ctrl: /metrics, /healthz, /readyz."});
  keys.push_back({.path = "admin.listen",
                  .type = Type::kEndpointOrOff,
                  .unit = "TCP port",
                  .min = 1,
                  .max = 65535,
                  .default_text = "127.0.0.1:9100",
                  .reload = Reload::kLive,
                  .doc = "IPv4:port, or off. It has neither encryption nor passwords: keep it on a "
                         "loopback or management address. 0.0.0.0 is a warning.",
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
