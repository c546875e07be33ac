// Schema of what bridges have with each other: `octo:` and `outbound:`.
#include "ctrl/config/schema.h"
#include "relay/api/counters.h"

namespace bridgehead::config {

namespace {

std::vector<Key> OctoListenerKeys() {
  return {
      {.path = "octo",
       .list = true,
       .max_items = kMaxListeners,
       .default_note = "none",
       .doc = "The public addresses and UDP ports at which other bridges reach a bridge by octo, "
              "the cleartext protocol between older bridges (removed from Jitsi Videobridge in "
              "June 2022). A bridge checks no source, so allow is all that keeps strangers out. It "
              "sees the other bridge's own address, and must route back through the relay. A "
              "bridge announces its octo address and port to others: each bridge has a listener "
              "of its own.",
       .set =
           [](Config& c, const Value&) {
             MediaListener& listener = c.octo.emplace_back();
             listener.nat = NatMode::kDestination;
             listener.octo = OctoVersion::kAny;
           }},
      {.path = "octo[].name",
       .type = Type::kName,
       .default_note = "`octo-` and the bridge's name",
       .doc = "What counters and metrics call the listener. Names of listeners must differ, those "
              "of media included; outbound is taken.",
       .set = [](Config& c, const Value& v) { c.octo.back().name = std::get<std::string>(v); }},
      {.path = "octo[].listen",
       .type = Type::kEndpoint,
       .min = 1,
       .max = 65535,
       .required = true,
       .doc = "Address and port, or ports first-last, as in media[].listen, of the family of the "
              "bridge's address. Must not overlap with any other listener, nor lie within "
              "nat_ports on a NAT address or one of outbound.addresses.",
       .set = [](Config& c, const Value& v) { c.octo.back().listen = std::get<Endpoint>(v); }},
      {.path = "octo[].bridge",
       .type = Type::kName,
       .required = true,
       .doc = "The bridge that the listener leads to.",
       .set = [](Config& c,
                 const Value& v) { c.octo.back().bridges = {std::get<std::string>(v)}; }},
      {.path = "octo[].bridge_port",
       .type = Type::kInteger,
       .unit = "UDP port",
       .min = 1,
       .max = 65535,
       .default_note = "first port of listen",
       .doc = "The port at the bridge that the first port of listen leads to (bind-port of its "
              "octo settings), as in media[].bridge_port. No two listeners that keep the client's "
              "address may lead to the same port of the same bridge.",
       .set =
           [](Config& c, const Value& v) {
             c.octo.back().bridge_port = static_cast<uint16_t>(std::get<uint64_t>(v));
           }},
      {.path = "octo[].version",
       .type = Type::kChoice,
       .choices = {"any", "0", "1"},
       .default_text = "any",
       .doc = "The version of octo's header: 0 has 8 bytes (since 2017), 1 has 12 (since June "
              "2020). What opens no session because it does not begin with that is dropped as "
              "octo_malformed.",
       .set =
           [](Config& c, const Value& v) {
             c.octo.back().octo = static_cast<OctoVersion>(std::get<uint64_t>(v));
           }},
      {.path = "octo[].allow",
       .type = Type::kPrefix,
       .list = true,
       .min_items = 1,
       .max_items = kMaxAccessPrefixes,
       .required = true,
       .doc = "The other bridges, as networks (host bits zero). Of the prefixes in allow and deny "
              "that hold an address the longest decides; an address in neither list is denied. A "
              "bridge behind this relay is known by its own octo listener's address. Others are "
              "dropped as denied: by the XDP program of a device: port all that they send, by the "
              "relay what would open a session; one that is there stays until it is idle.",
       .set = [](Config& c,
                 const Value& v) { c.octo.back().allow.push_back(std::get<Prefix>(v)); }},
      {.path = "octo[].deny",
       .type = Type::kPrefix,
       .list = true,
       .max_items = kMaxAccessPrefixes,
       .default_note = "none",
       .doc = "Exceptions from allow. No prefix may be in both lists, or twice in one.",
       .set = [](Config& c, const Value& v) { c.octo.back().deny.push_back(std::get<Prefix>(v)); }},
  };
}

std::vector<Key> OutboundKeys() {
  return {
      {.path = "outbound",
       .doc = "Flows that bridges open themselves, from ports of their own choice, to other "
              "bridges' public addresses: what newer Jitsi Videobridges do between each other "
              "(secure octo: ICE and DTLS). The other side sees one of addresses. Off without "
              "addresses. Counters and metrics call it outbound, as if it were a listener."},
      {.path = "outbound.addresses",
       .type = Type::kAddress,
       .list = true,
       .min_items = 1,
       .max_items = 64,
       .default_note = "none: off; required when any other key of outbound is there",
       .reload = Reload::kRelayRestart,
       .doc =
           "The relay's own addresses towards other bridges: what they see instead of a bridge's "
           "address, of the same family. Each should be configured on the kernel interface that "
           "leads there. The relay takes nat_ports of each, as of nat_addresses, in which an "
           "address may stand too.",
       .source = "RFC 4787 REQ-2 (one bridge stays on one of them)",
       .set = [](Config& c,
                 const Value& v) { c.outbound.addresses.push_back(std::get<Address>(v)); }},
      {.path = "outbound.ports",
       .type = Type::kPortRange,
       .unit = "UDP ports",
       .min = 1,
       .max = 65535,
       .list = true,
       .or_one = true,
       .min_items = 1,
       .max_items = 64,
       .default_text = "10000",
       .doc = "The ports over there that bridges may open flows to. Packets of a bridge to other "
              "ports are dropped as not_for_us, unless they belong to a session.",
       .source = "videobridge.ice.udp.port is 10000 unless changed",
       .set = [](Config& c,
                 const Value& v) { c.outbound.ports.push_back(std::get<PortRange>(v)); }},
      {.path = "outbound.allow",
       .type = Type::kPrefix,
       .list = true,
       .max_items = kMaxAccessPrefixes,
       .default_note = "none: anywhere",
       .doc =
           "Where bridges may open flows to, as networks (host bits zero). Others are dropped as "
           "denied; sessions that are there stay.",
       .set = [](Config& c, const Value& v) { c.outbound.allow.push_back(std::get<Prefix>(v)); }},
  };
}

}  // namespace

std::vector<Key> OctoKeys() {
  std::vector<Key> keys = OctoListenerKeys();
  for (Key& key : OutboundKeys()) keys.push_back(std::move(key));
  return keys;
}

}  // namespace bridgehead::config
