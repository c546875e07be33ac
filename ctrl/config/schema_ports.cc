// Schema of `dataplane.ports:`.
#include "ctrl/config/schema.h"
#include "relay/api/counters.h"

namespace bridgehead::config {

namespace {

uint32_t Number(const Value& value) {
  return static_cast<uint32_t>(std::get<uint64_t>(value));
}
Port& Last(Config& config) {
  return config.dataplane.ports.back();
}

std::vector<Key> DeviceKeys() {
  return {
      {.path = "dataplane.ports",
       .list = true,
       .min_items = 1,
       .max_items = kMaxPorts,
       .required = true,
       .reload = Reload::kRelayRestart,
       .doc = "Where packets come in and go out. One port is enough when clients and bridges are "
              "behind the same interface. Each has exactly one of device and vdev.",
       .set = [](Config& c, const Value&) { c.dataplane.ports.emplace_back(); }},
      {.path = "dataplane.ports[].name",
       .type = Type::kName,
       .required = true,
       .reload = Reload::kRelayRestart,
       .doc = "What the port is called in counters, logs and metrics. Names of ports must differ.",
       .set = [](Config& c, const Value& v) { Last(c).name = std::get<std::string>(v); }},
      {.path = "dataplane.ports[].device",
       .type = Type::kText,
       .default_note = "none",
       .reload = Reload::kRelayRestart,
       .doc =
           "A kernel interface, through AF_XDP: the kernel keeps it, and only the relay's UDP (and "
           "ICMP errors about it) is taken out, so ssh, ARP and everything else go on working. "
           "Addresses, routes and neighbours are the kernel's.",
       .source = "Linux IFNAMSIZ: at most 15 characters",
       .set = [](Config& c, const Value& v) { Last(c).device = std::get<std::string>(v); }},
      {.path = "dataplane.ports[].vdev",
       .type = Type::kText,
       .default_note = "none",
       .reload = Reload::kRelayRestart,
       .doc =
           "Any other DPDK virtual device, as EAL takes it: net_NAME, then arguments with commas. "
           "For tests and measuring. The kernel knows nothing of it, so addresses, routes and "
           "neighbours come from the keys below.",
       .source = "DPDK EAL option --vdev",
       .set = [](Config& c, const Value& v) { Last(c).vdev = std::get<std::string>(v); }},
      {.path = "dataplane.ports[].pci",
       .type = Type::kText,
       .default_note = "none",
       .reload = Reload::kRelayRestart,
       .doc =
           "Reserved for a network card that DPDK owns. Not supported yet: every value is refused.",
       .set = [](Config&, const Value&) {}},
      {.path = "dataplane.ports[].rx_descriptors",
       .type = Type::kInteger,
       .unit = "packets",
       .min = 64,
       .max = 8192,
       .power_of_two = true,
       .default_text = "2048",
       .reload = Reload::kRelayRestart,
       .doc =
           "Length of each receive ring. A longer one rides out longer pauses of a worker, at the "
           "price of cache and packet_buffers.",
       .set = [](Config& c, const Value& v) { Last(c).rx_descriptors = Number(v); }},
      {.path = "dataplane.ports[].tx_descriptors",
       .type = Type::kInteger,
       .unit = "packets",
       .min = 64,
       .max = 8192,
       .power_of_two = true,
       .default_text = "2048",
       .reload = Reload::kRelayRestart,
       .doc = "Length of each transmit ring.",
       .set = [](Config& c, const Value& v) { Last(c).tx_descriptors = Number(v); }},
      {.path = "dataplane.ports[].verify_udp_checksum",
       .type = Type::kBoolean,
       .default_text = "false",
       .reload = Reload::kRelayRestart,
       .doc =
           "Whether the relay sums up each packet of a session and drops it (udp_checksum) if its "
           "UDP "
           "checksum is wrong. Otherwise the packet is passed on with a checksum as wrong as it "
           "was, "
           "for its receiver to find, and its payload is never read; what a port's hardware calls "
           "wrong is dropped all the same, and what opens a session is always summed up. A "
           "checksum of zero means that there is none and is accepted over IPv4.",
       .source = "RFC 1122 section 4.1.3.4, RFC 768",
       .set = [](Config& c, const Value& v) { Last(c).verify_udp_checksum = std::get<bool>(v); }},
      {.path = "dataplane.ports[].partial_checksums",
       .type = Type::kChoice,
       .choices = {"auto", "accept", "never"},
       .default_text = "auto",
       .reload = Reload::kRelayRestart,
       .doc = "Whether packets may carry a partial UDP checksum (over the pseudo-header only), as "
              "local senders with checksum offload leave it on veth, virtio and tap interfaces. "
              "accept "
              "recognises and completes them; never takes them for wrong ones; auto accepts on "
              "interfaces whose driver may carry them.",
       .source = "Linux CHECKSUM_PARTIAL",
       .set =
           [](Config& c, const Value& v) {
             Last(c).partial_checksums = static_cast<PartialChecksums>(Number(v));
           }},
  };
}

std::vector<Key> VdevKeys() {
  return {
      {.path = "dataplane.ports[].mtu",
       .type = Type::kInteger,
       .unit = "bytes",
       .min = 576,
       .max = 9000,
       .default_text = "1500",
       .reload = Reload::kRelayRestart,
       .doc =
           "Largest IP packet; at least 1280 with an IPv6 address. vdev ports only: a device has "
           "its kernel interface's.",
       .source = "RFC 791 (576 bytes: every host accepts that much), RFC 8200 section 5 (1280)",
       .set = [](Config& c, const Value& v) { Last(c).mtu = Number(v); }},
      {.path = "dataplane.ports[].vlan",
       .type = Type::kInteger,
       .unit = "VLAN identifier",
       .min = 1,
       .max = 4094,
       .default_note = "none: packets without a tag",
       .doc = "The VLAN of the port's addresses: packets leave with this 802.1Q tag. vdev ports "
              "only: a device has the kernel's VLAN interfaces.",
       .source = "IEEE 802.1Q section 9.6 (0 and 4095 are reserved)",
       .set = [](Config& c, const Value& v) { Last(c).vlan = Number(v); }},
      {.path = "dataplane.ports[].addresses",
       .type = Type::kPrefix,
       .list = true,
       .max_items = 64,
       .default_note = "none",
       .doc = "The port's own addresses, with the length of their networks. vdev ports only.",
       .set = [](Config& c, const Value& v) { Last(c).addresses.push_back(std::get<Prefix>(v)); }},
      {.path = "dataplane.ports[].routes",
       .list = true,
       .max_items = 1024,
       .default_note = "none",
       .doc = "Networks behind gateways on this port. vdev ports only.",
       .set = [](Config& c, const Value&) { Last(c).routes.emplace_back(); }},
      {.path = "dataplane.ports[].routes[].to",
       .type = Type::kPrefix,
       .required = true,
       .doc = "The destination network; host bits must be zero. 0.0.0.0/0 and ::/0 are the default "
              "routes.",
       .set = [](Config& c, const Value& v) { Last(c).routes.back().to = std::get<Prefix>(v); }},
      {.path = "dataplane.ports[].routes[].via",
       .type = Type::kAddress,
       .required = true,
       .doc =
           "The gateway: an address in one of the port's networks, not the port's own, and of the "
           "family of `to`.",
       .set = [](Config& c, const Value& v) { Last(c).routes.back().via = std::get<Address>(v); }},
      {.path = "dataplane.ports[].neighbours",
       .list = true,
       .max_items = 1024,
       .default_note = "none",
       .doc = "Ethernet addresses of next hops: no kernel resolves them here. vdev ports only.",
       .set = [](Config& c, const Value&) { Last(c).neighbours.emplace_back(); }},
      {.path = "dataplane.ports[].neighbours[].address",
       .type = Type::kAddress,
       .required = true,
       .doc = "The next hop: an address in one of the port's networks, not the port's own.",
       .set = [](Config& c,
                 const Value& v) { Last(c).neighbours.back().address = std::get<Address>(v); }},
      {.path = "dataplane.ports[].neighbours[].mac",
       .type = Type::kMac,
       .required = true,
       .doc = "Its Ethernet address; not zero, no multicast address.",
       .source = "IEEE 802.3 (lowest bit of the first octet: group address)",
       .set = [](Config& c,
                 const Value& v) { Last(c).neighbours.back().mac = std::get<MacAddress>(v); }},
  };
}

}  // namespace

std::vector<Key> PortKeys() {
  std::vector<Key> keys = DeviceKeys();
  for (Key& key : VdevKeys()) keys.push_back(std::move(key));
  return keys;
}

}  // namespace bridgehead::config
