// Schema of `dataplane:`, without its ports (schema_ports.cc).
#include "ctrl/config/schema.h"
#include "relay/api/counters.h"

namespace bridgehead::config {

namespace {

uint32_t Number(const Value& value) {
  return static_cast<uint32_t>(std::get<uint64_t>(value));
}

}  // namespace

std::vector<Key> DataplaneKeys() {
  return {
      {.path = "dataplane",
       .required = true,
       .reload = Reload::kRelayRestart,
       .doc = "The packet forwarding part: cores, ports, addresses towards bridges, and sizes. The "
              "relay sets these up once when it starts."},
      {.path = "dataplane.workers",
       .type = Type::kInteger,
       .unit = "core number",
       .min = 0,
       .max = 1023,
       .list = true,
       .min_items = 1,
       .max_items = kMaxWorkers,
       .required = true,
       .reload = Reload::kRelayRestart,
       .doc =
           "The cores that forward packets, one worker on each. A worker keeps its core busy all "
           "the time (see idle), so leave at least one core to the kernel and to bridgehead-ctrl. "
           "Core numbers are those of /proc/cpuinfo and must differ.",
       .set = [](Config& c, const Value& v) { c.dataplane.workers.push_back(Number(v)); }},
      {.path = "dataplane.idle",
       .type = Type::kChoice,
       .choices = {"poll", "adaptive"},
       .default_text = "poll",
       .reload = Reload::kRelayRestart,
       .doc =
           "What a worker does when no packet is there. poll asks again at once: the lowest "
           "latency, a core at 100 %. adaptive sleeps for some microseconds after a while without "
           "packets: for machines that share their cores, such as laptops.",
       .set = [](Config& c, const Value& v) { c.dataplane.idle = static_cast<Idle>(Number(v)); }},
      {.path = "dataplane.hugepages",
       .type = Type::kChoice,
       .choices = {"auto", "require", "off"},
       .default_text = "auto",
       .reload = Reload::kRelayRestart,
       .doc =
           "Whether packet buffers live in hugepages. auto takes them when there are enough and "
           "says in the log when there are not; require refuses to start without; off never takes "
           "them. Without hugepages each packet costs more TLB misses.",
       .set = [](Config& c,
                 const Value& v) { c.dataplane.hugepages = static_cast<Hugepages>(Number(v)); }},
      {.path = "dataplane.max_sessions",
       .type = Type::kInteger,
       .unit = "sessions per worker",
       .min = 1024,
       .max = 16777216,
       .default_text = "65536",
       .reload = Reload::kRelayRestart,
       .doc =
           "How many sessions (client address and port, listener) one worker can hold. The memory "
           "is taken at start; `bridgehead check` prints how much. Beyond it packets of new "
           "clients are dropped as table_full.",
       .set = [](Config& c, const Value& v) { c.dataplane.max_sessions = Number(v); }},
      {.path = "dataplane.packet_buffers",
       .type = Type::kInteger,
       .unit = "packets",
       .min = 4096,
       .max = 4194304,
       .default_text = "32768",
       .reload = Reload::kRelayRestart,
       .doc =
           "Packet buffers in all, shared by the ports: receive and transmit rings, hand-off rings "
           "and packets that wait for a next hop all come out of it. About 2.4 kB each.",
       .set = [](Config& c, const Value& v) { c.dataplane.packet_buffers = Number(v); }},
      {.path = "dataplane.nat_addresses",
       .type = Type::kAddress,
       .list = true,
       .max_items = 64,
       .default_note = "none",
       .reload = Reload::kRelayRestart,
       .doc =
           "The relay's own addresses towards bridges in source NAT: what a bridge sees instead of "
           "the client's address. Each should be configured on the kernel interface that leads to "
           "the bridges, which then answers ARP or neighbour solicitations for it. A listener with "
           "nat: source needs at least one of the family of each of its bridges' addresses.",
       .source = "RFC 4787 REQ-2 (one client stays on one of them)",
       .set = [](Config& c,
                 const Value& v) { c.dataplane.nat_addresses.push_back(std::get<Address>(v)); }},
      {.path = "dataplane.nat_ports",
       .type = Type::kPortRange,
       .unit = "UDP ports",
       .min = 1024,
       .max = 65535,
       .default_text = "20000-59999",
       .reload = Reload::kRelayRestart,
       .doc =
           "The UDP ports of every NAT address, and of each of outbound.addresses, that belong to "
           "the relay, split evenly over the workers. One source NAT session, or flow that a "
           "bridge opened, takes one, so addresses times ports is the most that "
           "can exist at a time. The kernel must not use them for sockets of its own: they have to "
           "be outside net.ipv4.ip_local_port_range or inside net.ipv4.ip_local_reserved_ports, "
           "which hold for IPv6 too; this is checked at start.",
       .source = "RFC 6335 section 6 (system ports end at 1023)",
       .set = [](Config& c, const Value& v) { c.dataplane.nat_ports = std::get<PortRange>(v); }},
  };
}

}  // namespace bridgehead::config
