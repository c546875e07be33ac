// What the tests of opening ports share: two veth pairs in a network namespace of their own, the
// steering program on one end of each, raw sockets on the other. Needs root.
//
// DPDK starts once per process, so whatever gets as far as that runs in a child: Child() forks one
// that opens ports, forwards between them until it is told to end, and reports in lines.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/api/relay.pb.h"
#include "relay/port/port.h"
#include "relay/port/steer_maps.h"
#include "tests/bpf/child.h"
#include "tests/bpf/wire.h"
#include "tests/support/packet_builder.h"

namespace bridgehead::test {

using port::PortOptions;
using port::PortSet;
using port::SteerRule;
using ::testing::AllOf;
using ::testing::HasSubstr;

inline void Shell(const std::string& command) {
  ASSERT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
}

inline SteerRule Rule(SteerRule::Side side, std::string_view address, uint16_t first,
                      uint16_t last) {
  SteerRule rule{.side = side, .address = {}, .first_port = first, .last_port = last};
  rule.address[10] = rule.address[11] = 0xff;
  const auto ip = Ip4(address);
  std::copy(ip.begin(), ip.end(), rule.address.begin() + 12);
  return rule;
}

inline unsigned FirstCore() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) {
      return core;
    }
  }
  return 0;
}

inline api::Dataplane Dataplane() {
  api::Dataplane dataplane;
  dataplane.add_workers(FirstCore());
  dataplane.set_packet_buffers(16384);
  return dataplane;
}

inline api::Port& AddPort(api::Dataplane& dataplane, const std::string& name) {
  api::Port& port = *dataplane.add_ports();
  port.set_name(name);
  port.set_rx_descriptors(2048);
  port.set_tx_descriptors(2048);
  port.set_verify_udp_checksum(true);
  return port;
}

inline std::string Describe(const port::OpenPort& port) {
  return fmt::format("{} {} rx{} tx{} partial={} mtu={} mac5={:02x}", port.name, port.driver,
                     port.rx_queues, port.tx_queues, port.partial_checksums, port.mtu, port.mac[5]);
}

inline void Forward(PortSet& ports) {
  const size_t count = ports.ports().size();
  for (size_t from = 0; from < count; ++from) {
    rte_mbuf* burst[32];
    const uint16_t got = rte_eth_rx_burst(ports.ports()[from].id, 0, burst, 32);
    const uint16_t sent = rte_eth_tx_burst(ports.ports()[(from + 1) % count].id, 0, burst, got);
    for (uint16_t i = sent; i < got; ++i) {
      rte_pktmbuf_free(burst[i]);
    }
  }
}

class BpfPortOpen : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root";
    }
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    Shell("ip link set lo up");
  }

  void SetUp() override {
    run_dir_ = std::filesystem::temp_directory_path() / fmt::format("port-open-{}", getpid());
    std::filesystem::create_directories(run_dir_);
    for (const char* side : {"a", "b"}) {
      Shell(fmt::format("ip link add dev{0} type veth peer name far{0}", side));
      Shell(fmt::format("ip link set dev{0} up && ip link set far{0} up", side));
      Shell(
          fmt::format("sysctl -w net.ipv6.conf.dev{0}.disable_ipv6=1 "
                      "net.ipv6.conf.far{0}.disable_ipv6=1",
                      side));
    }
  }
  void TearDown() override {
    for (const char* device : {"deva", "devb"}) {
      if (if_nametoindex(device) != 0) {  // gone already when its far end's namespace is
        Shell(fmt::format("ip link del {}", device));
      }
    }
    std::filesystem::remove_all(run_dir_);
  }

  PortOptions Options() const { return {run_dir_, STEER_PROGRAM}; }

  api::Dataplane TwoDevices() const {
    api::Dataplane dataplane = Dataplane();
    AddPort(dataplane, "wan").set_device("deva");
    AddPort(dataplane, "lan").set_device("devb");
    return dataplane;
  }

  // Opens, sets rules, says "open" and one line per port, forwards until told to end.
  void ForwardUntilEnd(Child& self, const api::Dataplane& dataplane,
                       const std::vector<std::vector<SteerRule>>& rule_sets) const {
    auto ports = PortSet::Open(dataplane, Options());
    if (!ports.ok()) {
      self.Say(std::string(ports.status().message()));
      return;
    }
    size_t next = 0;
    const auto apply = [&] {
      const absl::Status status = (*ports)->SetSteerRules(rule_sets.at(next++));
      self.Say(status.ok() ? "open" : std::string(status.message()));
    };
    apply();
    for (const port::OpenPort& port : (*ports)->ports()) {
      self.Say(Describe(port));
    }
    for (;;) {
      for (int i = 0; i < 1000; ++i) {
        Forward(**ports);
      }
      if (self.Heard()) {
        if (self.Hear().empty()) {
          return;
        }
        apply();
      }
    }
  }

  // The error of opening `dataplane`, in a child because some errors come after DPDK's start.
  std::string OpenError(const api::Dataplane& dataplane) const {
    return OpenError(dataplane, Options());
  }
  std::string OpenError(const api::Dataplane& dataplane, const PortOptions& options) const {
    Child child([&](Child& self) {
      const auto ports = PortSet::Open(dataplane, options);
      self.Say(ports.ok() ? "no error" : std::string(ports.status().message()));
    });
    return child.Hear();
  }

  // The name of the XDP program on an interface.
  static std::string Program(const std::string& interface) {
    const auto program = port::QueryProgram(if_nametoindex(interface.c_str()));
    return program.ok() ? program->name : std::string(program.status().message());
  }

  std::string run_dir_;
};

const std::vector<SteerRule> kRules = {
    Rule(SteerRule::Side::kDestination, "198.51.100.10", 10000, 10050),
    Rule(SteerRule::Side::kSource, "10.8.0.11", 10000, 10000),
};
inline Bytes ToListener(uint16_t port) {
  return Packet().Eth().IPv4("203.0.113.7", "198.51.100.10").Udp(40000, port).Payload("to").Build();
}
inline Bytes FromBridge() {
  return Packet().Eth().IPv4("10.8.0.11", "203.0.113.7").Udp(10000, 40000).Payload("from").Build();
}

}  // namespace bridgehead::test
