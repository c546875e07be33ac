// Every way a configuration can be wrong: one key, one mistake, one message with its place. The
// table is walked against the schema, so that a new key without a bad value here fails.
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/config/config.h"
#include "ctrl/config/schema.h"
#include "tests/unit/config_cases.h"

namespace bridgehead::config {
namespace {

// Good, and with every key in it but pci. Cases change one piece of it.
constexpr char kBase[] = R"(dataplane:
  workers: [1, 2]
  idle: poll
  hugepages: auto
  max_sessions: 65536
  packet_buffers: 32768
  nat_addresses: [10.8.0.2]
  nat_ports: 20000-59999
  ports:
    - name: wan
      device: eth0
      rx_descriptors: 2048
      tx_descriptors: 1024
      verify_udp_checksum: true
      partial_checksums: auto
    - name: lan
      vdev: net_memif0,role=client
      mtu: 1500
      addresses: [10.8.0.1/24]
      routes:
        - {to: 10.9.0.0/16, via: 10.8.0.254}
      neighbours:
        - {address: 10.8.0.253, mac: "02:00:00:00:00:01"}
timeouts:
  idle: 300s
  unconfirmed: 10s
  quarantine: 2m
limits:
  sessions_per_source: 1000
  unconfirmed: 4000
  hold_packets: 60
  new_sessions: 900
  new_sessions_per_prefix: 90
  logged_refusals: 5
  stun_requests_per_source: 9000
bridges:
  - {name: jvb1, address: 10.8.0.11}
  - {name: jvb2, address: 10.8.0.12, health: "stun:10.8.0.12:3478", drain_state: "http://10.8.0.12:8080/colibri/drain", ufrag_prefix: jvb2/}
health_check:
  interval: 5s
  timeout: 3s
  rise: 4
  fall: 6
media:
  - {name: meet, listen: "198.51.100.10:10000", nat: source, bridges: [jvb1], new_sessions: 500, allow: [192.0.2.0/24, "2001:db8::/32"], deny: [192.0.2.128/25]}
  - {name: direct, listen: "198.51.100.11:10000-10050", nat: destination, bridges: [jvb2], bridge_port: 12000}
octo:
  - {name: fleet, listen: "198.51.100.10:4096", bridge: jvb1, bridge_port: 4097, version: 1, allow: [203.0.113.0/24], deny: [203.0.113.7/32]}
outbound:
  addresses: [198.51.100.77]
  ports: [11000, 12000-12010]
  allow: [203.0.112.0/24]
admin:
  listen: 127.0.0.1:9100
)";

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      // dataplane
      {"dataplane:\n", "dataplan:\n", "dataplane", "got nothing", ""},
      {"workers: [1, 2]", "workers: []", "dataplane.workers", "got a list of 0", "workers"},
      {"workers: [1, 2]", "workers: 1", "dataplane.workers", "got \"1\"", "1"},
      {"workers: [1, 2]", "workers: [1, 1]", "dataplane.workers[1]", "got core 1 a second", "1]"},
      {"workers: [1, 2]", "workers: [1, -2]", "dataplane.workers[1]", "got \"-2\"", "-2]"},
      {"workers: [1, 2]", "workers: [1, 1024]", "dataplane.workers[1]", "got 1024", "1024]"},
      {"workers: [1, 2]", "workers: [1, '2']", "dataplane.workers[1]", "got \"2\" (text)", "'2'"},
      {"  workers: [1, 2]\n", "", "dataplane.workers", "got nothing", ""},
      {"idle: poll", "idle: lazy", "dataplane.idle", "got \"lazy\"", "lazy"},
      {"hugepages: auto", "hugepages: on", "dataplane.hugepages", "got \"on\"", "on"},
      {"max_sessions: 65536", "max_sessions: 1023", "dataplane.max_sessions", "got 1023", "1023"},
      {"max_sessions: 65536", "max_sessions: 64k", "dataplane.max_sessions", "got \"64k\"", "64k"},
      {"max_sessions: 65536", "max_sessions:", "dataplane.max_sessions", "got nothing", ""},
      {"max_sessions: 65536", "max_sessions: 065536", "dataplane.max_sessions", "got", "065536"},
      {"max_sessions: 65536", "max_sessions: 99999999999999999999999", "dataplane.max_sessions",
       "got \"99999999999999999999999\"", "9"},
      {"packet_buffers: 32768", "packet_buffers: 4194305", "dataplane.packet_buffers",
       "got 4194305", "4194305"},
      {"nat_addresses: [10.8.0.2]", "nat_addresses: [10.8.0.256]", "dataplane.nat_addresses[0]",
       "got \"10.8.0.256\"", "10.8.0.256"},
      {"nat_addresses: [10.8.0.2]", "nat_addresses: [10.8.0.02]", "dataplane.nat_addresses[0]",
       "got \"10.8.0.02\"", "10.8.0.02"},
      {"nat_addresses: [10.8.0.2]", "nat_addresses: [127.0.0.1]", "dataplane.nat_addresses[0]",
       "got 127.0.0.1, a loopback", "127.0.0.1"},
      {"nat_addresses: [10.8.0.2]", "nat_addresses: [224.0.0.1]", "dataplane.nat_addresses[0]",
       "got 224.0.0.1, a multicast", "224.0.0.1"},
      {"nat_addresses: [10.8.0.2]", "nat_addresses: [255.255.255.255]",
       "dataplane.nat_addresses[0]", "got 255.255.255.255, the broadcast", "255"},
      {"nat_addresses: [10.8.0.2]", "nat_addresses: [0.0.0.0]", "dataplane.nat_addresses[0]",
       "got 0.0.0.0, the unspecified", "0.0.0.0"},
      {"nat_addresses: [10.8.0.2]", "nat_addresses: [10.8.0.2, 10.8.0.2]",
       "dataplane.nat_addresses[1]", "got 10.8.0.2 a second time", "10.8.0.2]"},
      {"nat_ports: 20000-59999", "nat_ports: 1000-2000", "dataplane.nat_ports", "got \"1000-2000\"",
       "1000"},
      {"nat_ports: 20000-59999", "nat_ports: 59999-20000", "dataplane.nat_ports", "got", "59999"},
      {"nat_ports: 20000-59999", "nat_ports: 20000-65536", "dataplane.nat_ports", "got", "20000"},
      {"nat_ports: 20000-59999", "nat_ports: 20000", "dataplane.nat_ports", "got 1 ports", "20000"},
      // dataplane.ports
      {"      device: eth0\n", "      device: eth0\n      pci: \"0000:3b:00.0\"\n",
       "dataplane.ports[0].pci", "got pci", "\"0000"},
      {"name: wan", "name: w/n", "dataplane.ports[0].name", "got \"w/n\"", "w/n"},
      {"name: lan", "name: wan", "dataplane.ports[1].name", "got \"wan\", which", "wan"},
      {"name: wan\n      device", "device", "dataplane.ports[0].name", "got nothing", ""},
      {"device: eth0", "device: \"eth 0\"", "dataplane.ports[0].device", "got \"eth 0\"", "\"eth"},
      {"device: eth0", "device: eth0123456789abc", "dataplane.ports[0].device", "got", "eth0"},
      {"device: eth0", "device: [eth0]", "dataplane.ports[0].device", "got a list", "device"},
      {"      device: eth0\n", "", "dataplane.ports[0].device", "got nothing", ""},
      {"device: eth0", "device: eth0\n      vdev: net_null0", "dataplane.ports[0].vdev", "got both",
       "net_null0"},
      {"net_memif0,role=client", "memif0", "dataplane.ports[1].vdev", "got \"memif0\"", "memif0"},
      {"net_memif0,role=client", "\"net_memif0, role=client\"", "dataplane.ports[1].vdev", "got",
       "\"net"},
      {"net_memif0,role=client", "net_af_xdp0,iface=eth1", "dataplane.ports[1].vdev", "got",
       "net_af_xdp0"},
      {"rx_descriptors: 2048", "rx_descriptors: 1000", "dataplane.ports[0].rx_descriptors",
       "got 1000", "1000"},
      {"tx_descriptors: 1024", "tx_descriptors: 16384", "dataplane.ports[0].tx_descriptors",
       "got 16384", "16384"},
      {"verify_udp_checksum: true", "verify_udp_checksum: yes",
       "dataplane.ports[0].verify_udp_checksum", "got \"yes\"", "yes"},
      {"partial_checksums: auto", "partial_checksums: maybe",
       "dataplane.ports[0].partial_checksums", "got \"maybe\"", "maybe"},
      {"mtu: 1500", "vlan: 4095", "dataplane.ports[1].vlan", "got 4095", "4095"},
      {"device: eth0\n", "device: eth0\n      vlan: 7\n", "dataplane.ports[0].vlan",
       "got vlan on a device", "7"},
      {"mtu: 1500", "mtu: 500", "dataplane.ports[1].mtu", "got 500", "500"},
      {"device: eth0\n", "device: eth0\n      mtu: 1500\n", "dataplane.ports[0].mtu",
       "got mtu on a device", "1500"},
      {"device: eth0\n", "device: eth0\n      addresses: [10.0.0.1/8]\n",
       "dataplane.ports[0].addresses", "got addresses on a device", "addresses"},
      {"10.8.0.1/24", "10.8.0.1", "dataplane.ports[1].addresses[0]", "got \"10.8.0.1\"", "10.8"},
      {"10.8.0.1/24", "10.8.0.1/33", "dataplane.ports[1].addresses[0]", "got \"10.8.0.1/33\"",
       "10"},
      {"10.8.0.1/24", "10.8.0.255/24", "dataplane.ports[1].addresses[0]", "got 10.8.0.255/24",
       "10"},
      {"routes:\n        - {to: 10.9.0.0/16, via: 10.8.0.254}", "routes: 5",
       "dataplane.ports[1].routes", "got \"5\"", "5"},
      {"10.9.0.0/16", "10.9.0.1/16", "dataplane.ports[1].routes[0].to", "got 10.9.0.1/16", "10.9"},
      {"10.9.0.0/16", "default", "dataplane.ports[1].routes[0].to", "got \"default\"", "default"},
      {"via: 10.8.0.254", "via: 10.7.0.254", "dataplane.ports[1].routes[0].via", "got 10.7.0.254",
       "10.7"},
      {"via: 10.8.0.254", "via: 10.8.0.1", "dataplane.ports[1].routes[0].via",
       "got 10.8.0.1, the port's own", "10.8.0.1"},
      {", via: 10.8.0.254", "", "dataplane.ports[1].routes[0].via", "got nothing", ""},
      {"neighbours:\n        - {address: 10.8.0.253, mac: \"02:00:00:00:00:01\"}",
       "neighbours: [5]", "dataplane.ports[1].neighbours[0]", "got \"5\"", "5"},
      {"address: 10.8.0.253", "address: 10.7.0.253", "dataplane.ports[1].neighbours[0].address",
       "got 10.7.0.253", "10.7"},
      {"02:00:00:00:00:01", "02:00:00:00:00", "dataplane.ports[1].neighbours[0].mac",
       "got \"02:00:00:00:00\"", "\"02"},
      {"02:00:00:00:00:01", "01:00:5e:00:00:01", "dataplane.ports[1].neighbours[0].mac", "got",
       "\"01"},
      {"  ports:\n    - name: wan\n      device: eth0\n", "  ports: {}\n  x:\n    - name: y\n",
       "dataplane.ports", "got a group of keys", "ports"},
      // timeouts and limits
      {"  idle: 300s\n  unconfirmed: 10s\n  quarantine: 2m\n", "  - 5\n", "timeouts", "got a list",
       "timeouts"},
      {"idle: 300s", "idle: 300", "timeouts.idle", "got 300 without a unit", "300"},
      {"idle: 300s", "idle: 5w", "timeouts.idle", "got \"5w\"", "5w"},
      {"idle: 300s", "idle: 2d", "timeouts.idle", "got 2d, expected a duration from 1s", "2d"},
      {"idle: 300s", "idle: 25h", "timeouts.idle", "got 25h", "25h"},
      {"unconfirmed: 10s", "unconfirmed: 301s", "timeouts.unconfirmed", "got 301s", "301s"},
      {"idle: 300s\n  unconfirmed: 10s", "idle: 2m\n  unconfirmed: 130s", "timeouts.unconfirmed",
       "got 130s, expected at most timeouts.idle", "130s"},
      {"quarantine: 2m", "quarantine: 2h", "timeouts.quarantine", "got 2h", "2h"},
      {"  sessions_per_source: 1000\n  unconfirmed: 4000\n  hold_packets: 60\n  new_sessions: "
       "900\n  "
       "new_sessions_per_prefix: 90\n  logged_refusals: 5\n  stun_requests_per_source: 9000\n",
       "  - 5\n", "limits", "got a list", "limits"},
      {"sessions_per_source: 1000", "sessions_per_source: 0", "limits.sessions_per_source", "got 0",
       "0"},
      {"unconfirmed: 4000", "unconfirmed: -1", "limits.unconfirmed", "got \"-1\"", "-1"},
      {"unconfirmed: 4000", "unconfirmed: 65537", "limits.unconfirmed", "got 65537", "65537"},
      {"new_sessions: 900", "new_sessions: 1000001", "limits.new_sessions", "got 1000001", "1"},
      {"new_sessions_per_prefix: 90", "new_sessions_per_prefix: many",
       "limits.new_sessions_per_prefix", "got \"many\"", "many"},
      {"stun_requests_per_source: 9000", "stun_requests_per_source: 1000001",
       "limits.stun_requests_per_source", "got 1000001, expected an integer from 0 to 1000000",
       "1000001"},
      {"hold_packets: 60", "hold_packets: 4097", "limits.hold_packets", "got 4097", "4097"},
      {"hold_packets: 60", "hold_packet: 60", "limits.hold_packet", "got an unknown key",
       "hold_packet"},
      {"hold_packets: 60", "hold_packets: 60\n  hold_packets: 61", "limits.hold_packets",
       "got the key a second time", "hold_packets: 61"},
      {"logged_refusals: 5", "logged_refusals: 11", "limits.logged_refusals", "got 11", "11"},
      // bridges
      {"bridges:\n", "bridges: jvb1\nx:\n", "bridges", "got \"jvb1\"", "jvb1"},
      {"name: jvb2", "name: jvb1x!", "bridges[1].name", "got \"jvb1x!\"", "jvb1x!"},
      {"name: jvb1, address: 10.8.0.11}", "name: jvb1, address: jvb1.example}",
       "bridges[0].address", "got \"jvb1.example\"", "jvb1.ex"},
      {"10.8.0.11", "10.8.0.2", "bridges[0].address", "got 10.8.0.2, which is in dataplane.nat",
       "10.8.0.2"},
      {"10.8.0.11", "10.8.0.1", "bridges[0].address", "got 10.8.0.1, which is in dataplane.ports",
       "10.8.0.1"},
      {"10.8.0.11", "198.51.100.11", "bridges[0].address",
       "got 198.51.100.11, which is in media[1]", "198"},
      {"ufrag_prefix: jvb2/", "ufrag_prefix: ''", "bridges[1].ufrag_prefix", "got \"\"", "''"},
      {"ufrag_prefix: jvb2/", "ufrag_prefix: jvb-2", "bridges[1].ufrag_prefix",
       "got \"jvb-2\", exp", "jvb-2"},
      {"ufrag_prefix: jvb2/", "ufrag_prefix: \"jvb2:\"", "bridges[1].ufrag_prefix",
       "got \"jvb2:\", with a colon, at which the bridge itself splits USERNAME", "\"jvb2:"},
      {"ufrag_prefix: jvb2/",
       "ufrag_prefix: a123456789b123456789c123456789d123456789e123456789f123456789g1234",
       "bridges[1].ufrag_prefix", "got a prefix of 65 characters", "a1234"},
      // media
      {"media:\n", "medium:\n", "media", "got nothing", ""},
      {"name: direct", "name: meet", "media[1].name", "got \"meet\", which media[0]", "meet"},
      {"name: meet", "name: ''", "media[0].name", "got \"\"", "''"},
      {"198.51.100.10:10000", "198.51.100.10", "media[0].listen", "got \"198.51.100.10\"", "\"198"},
      {"198.51.100.10:10000", "198.51.100.10:0", "media[0].listen", "got", "\"198"},
      {"198.51.100.10:10000", "*:10000", "media[0].listen", "got \"*:10000\"", "\"*"},
      {"198.51.100.10:10000", "239.1.1.1:10000", "media[0].listen", "got 239.1.1.1:10000, a multi",
       "\"239"},
      {"198.51.100.10:10000", "198.51.100.11:10050", "media[1].listen",
       "got 198.51.100.11:10000-10050, expected ports that media[0]", "\"198.51.100.11:10000"},
      {"198.51.100.10:10000", "10.8.0.2:20000", "media[0].listen",
       "got 10.8.0.2:20000, expected ports outside dataplane.nat_ports", "\"10.8"},
      {"nat: source", "nat: full", "media[0].nat", "got \"full\"", "full"},
      {"  nat_addresses: [10.8.0.2]\n", "", "media[0].nat", "got source without", "source"},
      {"bridges: [jvb1]", "bridges: []", "media[0].bridges", "got a list of 0", "bridges"},
      {"bridges: [jvb1]", "bridges: [jvb3]", "media[0].bridges[0]", "got \"jvb3\"", "jvb3"},
      {"bridges: [jvb1]", "bridges: jvb1", "media[0].bridges", "got \"jvb1\"", "jvb1"},
      {"bridge_port: 12000", "bridge_port: 0", "media[1].bridge_port", "got 0", "0"},
      {"bridge_port: 12000", "bridge_port: 65500", "media[1].bridge_port", "got 65500 for 51 ports",
       "65500"},
      {"nat: source, bridges: [jvb1],", "nat: destination, bridges: [jvb2], bridge_port: 12050,",
       "media[1].bridge_port", "got 10.8.0.12:12000-12050", "12000"},
      {"new_sessions: 500", "new_sessions: -5", "media[0].new_sessions", "got \"-5\"", "-5"},
      {"allow: [192.0.2.0/24,", "allow: [192.0.2.0,", "media[0].allow[0]", "got \"192.0.2.0\"",
       "192.0.2.0"},
      {"allow: [192.0.2.0/24,", "allow: [192.0.2.1/24,", "media[0].allow[0]",
       "got 192.0.2.1/24, expected 192.0.2.0/24: host bits", "192.0.2.1"},
      {"allow: [192.0.2.0/24,", "allow: [\"2001:db8:0::/32\",", "media[0].allow[1]",
       "got 2001:db8::/32 a second time", "\"2001:db8::"},
      {"deny: [192.0.2.128/25]", "deny: [192.0.2.0/25, 192.0.2.0/24]", "media[0].deny[1]",
       "got 192.0.2.0/24, which media[0].allow has", "192.0.2.0/24]"},
      {"allow: [192.0.2.0/24,", "allow: [", "media[0].allow",
       "got no IPv4 network, expected one: 198.51.100.10", "allow"},
      {"deny: [192.0.2.128/25]", "deny: 192.0.2.128/25", "media[0].deny", "got \"192.0.2.128/25\"",
       "192"},
      // octo
      {"octo:\n  - {name", "octo:\n    {name", "octo", "got a group of keys", "octo"},
      {"name: fleet", "name: fleet!", "octo[0].name", "got \"fleet!\"", "fleet!"},
      {"name: fleet", "name: direct", "octo[0].name", "got \"direct\", which media[1]", "direct"},
      {"name: fleet", "name: outbound", "octo[0].name", "got \"outbound\", which counters",
       "outbound"},
      {"name: meet", "name: outbound", "media[0].name", "got \"outbound\", which counters",
       "outbound"},
      {"198.51.100.10:4096", "198.51.100.10", "octo[0].listen", "got \"198.51.100.10\"", "\"198"},
      {"198.51.100.10:4096", "198.51.100.10:9000-11000", "octo[0].listen",
       "got 198.51.100.10:9000-11000, expected ports that media[0] (198.51.100.10:10000)", "\"198"},
      {"198.51.100.10:4096", "198.51.100.77:20000", "octo[0].listen",
       "got 198.51.100.77:20000, expected ports outside dataplane.nat_ports (20000-59999): the "
       "address is in outbound.addresses too",
       "\"198"},
      {"198.51.100.10:4096", "[2001:db8::10]:4096", "octo[0].bridge",
       "got \"jvb1\" at 10.8.0.11, expected a bridge with an IPv6 address: octo keeps the client's",
       "jvb1"},
      {"bridge: jvb1", "bridge: jvb3", "octo[0].bridge", "got \"jvb3\", expected the name", "jvb3"},
      {"bridge: jvb1,", "bridge: [jvb1],", "octo[0].bridge", "got a list", "bridge"},
      {"bridge_port: 4097", "bridge_port: 65536", "octo[0].bridge_port", "got 65536", "65536"},
      {"bridge: jvb1, bridge_port: 4097", "bridge: jvb2, bridge_port: 12050", "octo[0].bridge_port",
       "got 10.8.0.12:12050, expected ports at the bridge that media[1]", "12050"},
      {"version: 1", "version: 2", "octo[0].version", "got \"2\", expected any or 0 or 1", "2"},
      {" allow: [203.0.113.0/24],", "", "octo[0].allow", "got nothing", ""},
      {"allow: [203.0.113.0/24]", "allow: []", "octo[0].allow", "got a list of 0", "allow"},
      {"allow: [203.0.113.0/24]", "allow: [203.0.113.1/24]", "octo[0].allow[0]",
       "got 203.0.113.1/24, expected 203.0.113.0/24", "203"},
      {"deny: [203.0.113.7/32]", "deny: [203.0.113.0/24]", "octo[0].deny[0]",
       "got 203.0.113.0/24, which octo[0].allow has", "203"},
      {"deny: [203.0.113.7/32]", "deny: all", "octo[0].deny", "got \"all\"", "all"},
      // outbound
      {"outbound:\n  addresses: [198.51.100.77]\n  ports: [11000, 12000-12010]\n  allow: "
       "[203.0.112.0/24]\n",
       "outbound: on\n", "outbound", "got \"on\"", "on"},
      {"  addresses: [198.51.100.77]\n", "", "outbound.addresses",
       "got nothing, expected the addresses that others see", ""},
      {"[198.51.100.77]", "[]", "outbound.addresses", "got a list of 0", "addresses"},
      {"[198.51.100.77]", "[198.51.100.77, 198.51.100.77]", "outbound.addresses[1]",
       "got 198.51.100.77 a second time", "198.51.100.77]"},
      {"[198.51.100.77]", "[127.0.0.1]", "outbound.addresses[0]", "got 127.0.0.1, a loop", "127"},
      {"[198.51.100.77]", "[10.8.0.11]", "bridges[0].address",
       "got 10.8.0.11, which is in outbound.addresses too", "10.8.0.11"},
      {"198.51.100.10:10000", "198.51.100.77:20000", "media[0].listen",
       "got 198.51.100.77:20000, expected ports outside dataplane.nat_ports", "\"198"},
      {"[11000, 12000-12010]", "0", "outbound.ports", "got \"0\", expected a port or ports", "0"},
      {"[11000, 12000-12010]", "[]", "outbound.ports", "got a list of 0", "ports"},
      {"[11000, 12000-12010]", "[11000, 12-x]", "outbound.ports[1]", "got \"12-x\"", "12-x"},
      {"[203.0.112.0/24]", "[203.0.112.9/24]", "outbound.allow[0]",
       "got 203.0.112.9/24, expected 203.0.112.0/24", "203"},
      {"[203.0.112.0/24]", "[203.0.112.0/24, 203.0.112.0/24]", "outbound.allow[1]",
       "got 203.0.112.0/24 a second time", "203.0.112.0/24]"},
      {"[203.0.112.0/24]", "any", "outbound.allow", "got \"any\"", "any"},
      // health
      {"health: \"stun:10.8.0.12:3478\"", "health: jvb1", "bridges[1].health",
       "got \"jvb1\", expected http://", "jvb1"},
      {"stun:10.8.0.12:3478", "https://10.8.0.12:8443/about/health", "bridges[1].health",
       "got \"https://10.8.0.12:8443/about/health\", with TLS", "\"https"},
      {"stun:10.8.0.12:3478", "http://jvb2:8080/about/health", "bridges[1].health",
       "got \"http://jvb2:8080/about/health\", without a numeric", "\"http"},
      {"\"stun:10.8.0.12:3478\"", "[x]", "bridges[1].health", "got a list", "health"},
      {"stun:10.8.0.12:3478", "stun:10.8.0.12:99999", "bridges[1].health",
       "got \"stun:10.8.0.12:99999\", without a numeric", "\"stun"},
      {"stun:10.8.0.12:3478", "stun:10.8.0.12:12050", "bridges[1].health",
       "got stun:10.8.0.12:12050, a port that media[1] leads to", "\"stun"},
      {"stun:10.8.0.12:3478", "stun:10.8.0.11:4097", "bridges[1].health",
       "got stun:10.8.0.11:4097, a port that octo[0] leads to", "\"stun"},
      {"\"http://10.8.0.12:8080/colibri/drain\"", "\"stun:10.8.0.11:3478\"",
       "bridges[1].drain_state", "got \"stun:10.8.0.11:3478\", expected http://", "\"stun"},
      {"health_check:\n  interval", "health_check: [1]\nx:\n  interval", "health_check",
       "got a list", ""},
      {"interval: 5s", "interval: 0s", "health_check.interval", "got 0s", "0s"},
      {"interval: 5s", "interval: 500ms", "health_check.interval", "got \"500ms\"", "500ms"},
      {"timeout: 3s", "timeout: 61s", "health_check.timeout", "got 61s, expected a duration",
       "61s"},
      {"timeout: 3s", "timeout: 6s", "health_check.timeout",
       "got 6s, expected at most health_check.interval (5s)", "6s"},
      {"rise: 4", "rise: 0", "health_check.rise", "got 0", "0"},
      {"fall: 6", "fall: 101", "health_check.fall", "got 101", "101"},
      // admin
      {"admin:\n  listen: 127.0.0.1:9100", "admin: off", "admin", "got \"off\"", "off"},
      {"listen: 127.0.0.1:9100", "listen: 9100", "admin.listen", "got \"9100\"", "9100"},
      {"listen: 127.0.0.1:9100", "listen: 127.0.0.1:9100-9101", "admin.listen", "got", "127"},
      {"listen: 127.0.0.1:9100", "listen: 224.0.0.1:9100", "admin.listen", "got 224.0.0.1:9100, a",
       "224"},
  };
  return cases;
}

TEST(ConfigErrors, TheBaseIsGood) {
  const CheckResult result = CheckText(kBase, "t.yaml");
  for (const Finding& error : result.errors) ADD_FAILURE() << error.WithCaret();
  for (const Finding& warning : result.warnings) ADD_FAILURE() << warning.WithCaret();
}

TEST(ConfigErrors, EachIsNamedWithItsPlace) {
  ExpectEachIsNamed(kBase, Cases());
}

TEST(ConfigErrors, EveryKeyOfTheSchemaHasABadValue) {
  // Those of edge: are in config_edge_errors_test.cc.
  ExpectEveryKeyHasACase(Cases(), [](const Key& key) { return !IsOfEdge(key); });
}

TEST(ConfigErrors, TheLineIsExact) {
  const auto config = ParseConfig("dataplane:\n  workers: [x]\n", "a.yaml");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(
      std::string(config.status().message()),
      "a.yaml:1:1: dataplane.ports: got nothing, expected a list, each element a group of keys: "
      "name, device, vdev, pci, rx_descriptors, tx_descriptors, verify_udp_checksum, "
      "partial_checksums, mtu, vlan, addresses, routes, neighbours\n"
      "a.yaml:1:1: bridges: got nothing, expected a list, each element a group of keys: name, "
      "address, ufrag_prefix, health, drain_state\n"
      "a.yaml:1:1: media: got nothing, expected a list, each element a group of keys: name, "
      "listen, nat, bridges, bridge_port, new_sessions, allow, deny\n"
      "a.yaml:2:13: dataplane.workers[0]: got \"x\", expected an integer from 0 to 1023");
}

TEST(ConfigErrors, NamesThatOctoListenersGetAreChecked) {
  std::string text = kBase;
  text.replace(text.find("outbound:"), 0,
               "  - {listen: \"198.51.100.10:4101\", bridge: jvb1, allow: [203.0.113.0/24]}\n"
               "  - {listen: \"198.51.100.10:4102\", bridge: jvb1, allow: [203.0.113.0/24]}\n");
  const CheckResult result = CheckText(text, "t.yaml");
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_EQ(result.errors[0].key, "octo[2].name");
  EXPECT_EQ(result.errors[0].message,
            "got \"octo-jvb1\", which octo[1] has already, expected another name");

  const std::string name(60, 'b');
  text = kBase;
  text.replace(text.find("name: fleet, "), 13, "");
  for (size_t at = 0; (at = text.find("jvb1", at)) != std::string::npos; at += name.size()) {
    text.replace(at, 4, name);
  }
  const CheckResult longer = CheckText(text, "t.yaml");
  ASSERT_EQ(longer.errors.size(), 1u);
  EXPECT_EQ(longer.errors[0].key, "octo[0].name");
  EXPECT_THAT(longer.errors[0].message, testing::StartsWith("got nothing, and \"octo-bbb"));
}

TEST(ConfigErrors, ListenersAreCountedTogether) {
  std::string text = kBase;
  std::string more;
  for (int i = 0; i < 253; i++) {
    more += "  - {name: o" + std::to_string(i) +
            ", listen: \"198.51.100.12:" + std::to_string(10000 + i) +
            "\", bridge: jvb1, allow: [203.0.113.0/24]}\n";
  }
  text.replace(text.find("outbound:"), 0, more);
  const CheckResult result = CheckText(text, "t.yaml");
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_EQ(result.errors[0].key, "octo");
  EXPECT_THAT(result.errors[0].message, testing::StartsWith("got 257 listeners"));
}

TEST(ConfigErrors, OutboundAddressesAloneNeedAPortForEachWorker) {
  const std::string text = R"(dataplane:
  workers: [1, 2]
  nat_ports: 20000
  ports: [{name: wan, device: eth0}]
bridges: [{name: jvb1, address: 10.8.0.11}]
media: [{name: meet, listen: "198.51.100.10:10000", nat: destination, bridges: [jvb1]}]
)";
  EXPECT_TRUE(CheckText(text, "t.yaml").ok());
  const CheckResult result = CheckText(text + "outbound: {addresses: [198.51.100.77]}\n", "t.yaml");
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_EQ(result.errors[0].key, "dataplane.nat_ports");
  EXPECT_EQ(result.errors[0].message, "got 1 ports, expected at least 2: one for each worker");
}

TEST(ConfigErrors, ControlCharactersOfTheFileAreNotEchoed) {
  const CheckResult result = CheckText("bridges: \"\x1b[2J\"\nmedia: \x7f\n", "a.yaml");
  ASSERT_FALSE(result.errors.empty());
  for (const Finding& error : result.errors) {
    for (const std::string& text : {error.Line(), error.WithCaret()}) {
      EXPECT_EQ(text.find_first_of("\x1b\x7f"), std::string::npos) << text;
    }
  }
}

TEST(ConfigErrors, ACaretMarksTheToken) {
  const CheckResult result = CheckText("dataplane: {idle: lazy}\n", "a.yaml");
  bool seen = false;
  for (const Finding& error : result.errors) {
    if (error.key != "dataplane.idle") continue;
    seen = true;
    EXPECT_EQ(error.WithCaret(),
              "a.yaml:1:19: dataplane.idle: got \"lazy\", expected poll or adaptive\n"
              "  dataplane: {idle: lazy}\n"
              "                    ^~~~");
  }
  EXPECT_TRUE(seen);
}

TEST(ConfigErrors, AnUnknownKeySuggestsTheNearest) {
  const CheckResult result =
      CheckText(Changed(kBase, {"idle: poll", "idel: poll", "", "", ""}), "t.yaml");
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_THAT(result.errors[0].message, testing::EndsWith("; did you mean idle?"));
  const CheckResult strange =
      CheckText(Changed(kBase, {"idle: poll", "zzzzzzzzzz: poll", "", "", ""}), "t.yaml");
  ASSERT_EQ(strange.errors.size(), 1u);
  EXPECT_THAT(strange.errors[0].message, testing::Not(testing::HasSubstr("did you mean")));
}

TEST(ConfigErrors, AreCountedBeyondTwenty) {
  std::string text = kBase;
  for (int i = 0; i < 1000; i++) text += "unknown" + std::to_string(i) + ": 1\n";
  const CheckResult result = CheckText(text, "t.yaml");
  EXPECT_EQ(result.errors.size(), kMaxErrors);
  EXPECT_EQ(result.errors_left_off, 1000 - kMaxErrors);
  EXPECT_THAT(std::string(ParseConfig(text, "t.yaml").status().message()),
              testing::EndsWith("\nt.yaml: 980 more errors"));
}

TEST(ConfigWarnings, AreApartFromErrors) {
  struct Warning {
    const char* from;
    const char* to;
    const char* key;
  };
  for (const Warning& w : std::vector<Warning>{
           {"idle: 300s", "idle: 119s", "timeouts.idle"},
           {"quarantine: 2m", "quarantine: 60s", "timeouts.quarantine"},
           {"max_sessions: 65536", "max_sessions: 2048", "limits.unconfirmed"},
           {"127.0.0.1:9100", "0.0.0.0:9100", "admin.listen"},
           {"127.0.0.1:9100", "\"[::]:9100\"", "admin.listen"},
           {"nat: source, bridges: [jvb1]", "nat: destination, bridges: [jvb1]",
            "dataplane.nat_addresses"},
           {"bridges: [jvb2]", "bridges: [jvb1]", "bridges[1].name"},
       }) {
    const CheckResult result = CheckText(Changed(kBase, {w.from, w.to, "", "", ""}), "t.yaml");
    EXPECT_TRUE(result.ok()) << w.to;
    ASSERT_EQ(result.warnings.size(), 1u) << w.to;
    EXPECT_EQ(result.warnings[0].key, w.key);
    EXPECT_THAT(result.config.warnings, testing::ElementsAre(result.warnings[0].Line()));
  }
}

}  // namespace
}  // namespace bridgehead::config
