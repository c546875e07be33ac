// Opening ports for real: two veth pairs in a network namespace of this test's own, the steering
// program on one end of each, raw sockets on the other. Needs root.
//
// DPDK starts once per process, so whatever gets as far as that runs in a child: Child() forks one
// that opens ports, forwards between them until it is told to end, and reports in lines.
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
namespace {

using port::PortOptions;
using port::PortSet;
using port::SteerRule;
using ::testing::AllOf;
using ::testing::HasSubstr;

void Shell(const std::string& command) {
  ASSERT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
}

SteerRule Rule(SteerRule::Side side, std::string_view address, uint16_t first, uint16_t last) {
  SteerRule rule{.side = side, .address = {}, .first_port = first, .last_port = last};
  rule.address[10] = rule.address[11] = 0xff;
  const auto ip = Ip4(address);
  std::copy(ip.begin(), ip.end(), rule.address.begin() + 12);
  return rule;
}

unsigned FirstCore() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) {
      return core;
    }
  }
  return 0;
}

api::Dataplane Dataplane() {
  api::Dataplane dataplane;
  dataplane.add_workers(FirstCore());
  dataplane.set_packet_buffers(16384);
  return dataplane;
}

api::Port& AddPort(api::Dataplane& dataplane, const std::string& name) {
  api::Port& port = *dataplane.add_ports();
  port.set_name(name);
  port.set_rx_descriptors(2048);
  port.set_tx_descriptors(2048);
  port.set_verify_udp_checksum(true);
  return port;
}

std::string Describe(const port::OpenPort& port) {
  return fmt::format("{} {} rx{} tx{} partial={} mtu={} mac5={:02x}", port.name, port.driver,
                     port.rx_queues, port.tx_queues, port.partial_checksums, port.mtu, port.mac[5]);
}

void Forward(PortSet& ports) {
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
Bytes ToListener(uint16_t port) {
  return Packet().Eth().IPv4("203.0.113.7", "198.51.100.10").Udp(40000, port).Payload("to").Build();
}
Bytes FromBridge() {
  return Packet().Eth().IPv4("10.8.0.11", "203.0.113.7").Udp(10000, 40000).Payload("from").Build();
}

TEST_F(BpfPortOpen, ForwardsOursBothWaysAndLeavesNothingBehind) {
  Wire far_a("fara"), far_b("farb");
  Child child([&](Child& self) { ForwardUntilEnd(self, TwoDevices(), {kRules}); });
  ASSERT_EQ(child.Hear(), "open");
  EXPECT_THAT(child.Hear(), HasSubstr("wan net_af_xdp rx1 tx1 partial=true mtu=1500"));
  EXPECT_THAT(child.Hear(), HasSubstr("lan net_af_xdp rx1 tx1"));
  EXPECT_EQ(Program("deva"), BH_STEER_PROGRAM);

  // More than the rings hold, so that every buffer of the pool has been around.
  for (uint16_t i = 0; i < 20000; ++i) {
    Bytes frame = ToListener(static_cast<uint16_t>(10000 + i % 51));
    frame.push_back(static_cast<uint8_t>(i));
    frame.push_back(static_cast<uint8_t>(i >> 8));
    far_a.Send(frame);
    ASSERT_TRUE(far_b.Sees(frame, 2000)) << "packet " << i;
  }
  far_b.Send(FromBridge());
  EXPECT_TRUE(far_a.Sees(FromBridge(), 2000));

  far_a.Send(ToListener(9999));
  far_a.Send(Packet().Eth().IPv4("203.0.113.7", "198.51.100.10").Tcp(40000, 10000).Build());
  EXPECT_FALSE(far_b.Sees(ToListener(9999), 100));

  EXPECT_EQ(child.End(), 0);
  EXPECT_EQ(Program("deva"), "");
  EXPECT_EQ(Program("devb"), "");
  for (const auto& left : std::filesystem::recursive_directory_iterator(run_dir_)) {
    ADD_FAILURE() << "left behind: " << left.path();
  }
}

TEST_F(BpfPortOpen, LargestMtuAndOneByteMore) {
  Shell("ip link set deva mtu 3500 && ip link set devb mtu 3500");
  Shell("ip link set fara mtu 3500 && ip link set farb mtu 3500");
  Wire far_a("fara"), far_b("farb");
  {
    Child child([&](Child& self) { ForwardUntilEnd(self, TwoDevices(), {kRules}); });
    ASSERT_EQ(child.Hear(), "open");
    const Bytes largest = Packet()
                              .Eth()
                              .Vlan(5)
                              .IPv4("203.0.113.7", "198.51.100.10")
                              .Udp(40000, 10000)
                              .PayloadSize(3500 - 28)
                              .Build();
    far_a.Send(largest);
    EXPECT_TRUE(far_b.Sees(largest, 2000));
  }
  Shell("ip link set deva mtu 3501");
  EXPECT_EQ(OpenError(TwoDevices()),
            "dataplane.ports[wan].device: \"deva\" has an MTU of 3501, but AF_XDP carries at most "
            "3500; lower it with: ip link set dev deva mtu 1500 (and at the other end)");
}

TEST_F(BpfPortOpen, NewRulesTakeOverFromOldOnes) {
  Wire far_a("fara"), far_b("farb");
  const auto destination = SteerRule::Side::kDestination;
  const SteerRule first = Rule(destination, "198.51.100.10", 10000, 10000);
  const SteerRule second = Rule(destination, "198.51.100.10", 20000, 20000);
  Child child([&](Child& self) {
    ForwardUntilEnd(self, TwoDevices(), {{first}, {first, second}, {second}, {}});
  });
  for (const auto& [one, two] :
       {std::pair{true, false}, {true, true}, {false, true}, {false, false}}) {
    std::string line = child.Hear();
    while (line.starts_with("wan ") || line.starts_with("lan ")) {
      line = child.Hear();
    }
    ASSERT_EQ(line, "open");
    far_a.Send(ToListener(10000));
    EXPECT_EQ(far_b.Sees(ToListener(10000), one ? 2000 : 100), one);
    far_a.Send(ToListener(20000));
    EXPECT_EQ(far_b.Sees(ToListener(20000), two ? 2000 : 100), two);
    if (one || two) {
      child.Say("next");
    }
  }
}

// The kernel's own traffic over the same interface, from a namespace on the far end.
TEST_F(BpfPortOpen, PingAndTcpGoOnThroughTheKernel) {
  Shell("ip addr add 192.0.2.1/24 dev deva");
  Child relay([&](Child& self) { ForwardUntilEnd(self, TwoDevices(), {kRules}); });
  ASSERT_EQ(relay.Hear(), "open");

  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(10000);  // ours for UDP, not for TCP
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  Child client([&](Child& self) {
    unshare(CLONE_NEWNET);
    self.Say(std::to_string(getpid()));
    self.Hear();
    Shell("ip link set lo up; ip addr add 192.0.2.2/24 dev fara && ip link set fara up");
    self.Say(std::system("ping -c 3 -i 0.2 -W 1 192.0.2.1 >/dev/null 2>&1") == 0 ? "ping" : "lost");
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(10000);
    inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
    self.Say(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0 ? "tcp" : "refused");
  });
  const std::string pid = client.Hear();
  Shell("ip link set fara netns " + pid);
  client.Say("go");
  EXPECT_EQ(client.Hear(), "ping");
  EXPECT_EQ(client.Hear(), "tcp");
  close(listener);
}

TEST_F(BpfPortOpen, AKilledRelayIsSweptUpAndALiveOneIsNot) {
  Child live([&](Child& self) { ForwardUntilEnd(self, TwoDevices(), {kRules}); });
  ASSERT_EQ(live.Hear(), "open");
  EXPECT_THAT(OpenError(TwoDevices()),
              AllOf(HasSubstr("dataplane.ports[wan].device: \"deva\" is already used by another "
                              "bridgehead-relay (pid "),
                    HasSubstr("; stop that one or use another interface")));
  EXPECT_EQ(Program("deva"), BH_STEER_PROGRAM);

  live.Kill();
  EXPECT_EQ(Program("deva"), BH_STEER_PROGRAM);  // it outlives its relay
  Wire far_a("fara"), far_b("farb");
  Child next([&](Child& self) { ForwardUntilEnd(self, TwoDevices(), {kRules}); });
  ASSERT_EQ(next.Hear(), "open");
  far_a.Send(ToListener(10000));
  EXPECT_TRUE(far_b.Sees(ToListener(10000), 2000));
}

TEST_F(BpfPortOpen, AnotherXdpProgramIsLeftAlone) {
  const bpf_insn pass[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  const int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "guard", "GPL", pass, 2, nullptr);
  ASSERT_GE(program, 0);
  const int ifindex = static_cast<int>(if_nametoindex("devb"));
  ASSERT_EQ(bpf_xdp_attach(ifindex, program, 0, nullptr), 0);
  EXPECT_THAT(OpenError(TwoDevices()),
              AllOf(HasSubstr("dataplane.ports[lan].device: \"devb\" already has an XDP program, "
                              "\"guard\" (id "),
                    HasSubstr("ip link set dev devb xdp off")));
  EXPECT_EQ(Program("devb"), "guard");
  EXPECT_EQ(Program("deva"), "");
  bpf_xdp_detach(ifindex, 0, nullptr);
  close(program);
}

TEST_F(BpfPortOpen, WhatTheKernelRefusesIsQuoted) {
  Shell("ip link set fara mtu 9000");
  EXPECT_THAT(OpenError(TwoDevices()), AllOf(HasSubstr("dataplane.ports[wan].device: "),
                                             HasSubstr("Peer MTU is too large to set XDP")));
  EXPECT_EQ(Program("deva"), "");
}

TEST_F(BpfPortOpen, AQueueWithoutASocketIsRefused) {
  Shell("ethtool -L deva rx 2");
  EXPECT_EQ(
      OpenError(TwoDevices()),
      "dataplane.ports[wan].device: \"deva\" has 2 receive queues, of which AF_XDP can serve "
      "one on this driver (veth), and the packets of the others would bypass the relay; leave "
      "one with: ethtool -L deva rx 1 (after `ethtool -L PEER tx 1` on its peer)");
}

TEST_F(BpfPortOpen, InterfaceErrors) {
  api::Dataplane dataplane = TwoDevices();
  dataplane.mutable_ports(1)->set_device("eth9");
  EXPECT_THAT(OpenError(dataplane), AllOf(HasSubstr("dataplane.ports[lan].device: no interface "
                                                    "\"eth9\"; those there are: "),
                                          HasSubstr("deva")));
  dataplane.mutable_ports(1)->set_device("deva");
  EXPECT_EQ(
      OpenError(dataplane),
      "dataplane.ports[lan].device: \"deva\" is already another port's device; give each port "
      "its own");
  Shell("ip link set deva down");
  EXPECT_EQ(OpenError(TwoDevices()),
            "dataplane.ports[wan].device: \"deva\" is down; bring it up with: ip link set dev deva "
            "up");
}

TEST_F(BpfPortOpen, WithoutPermission) {
  Child child([&](Child& self) {
    ASSERT_EQ(setresuid(65534, 65534, 65534), 0);
    const auto ports = PortSet::Open(TwoDevices(), Options());
    self.Say(std::string(ports.status().message()));
  });
  EXPECT_EQ(
      child.Hear(),
      "dataplane.ports[wan].device: no permission to attach to it (CAP_NET_ADMIN, CAP_NET_RAW, "
      "CAP_BPF missing); start bridgehead-relay as root or with these capabilities");
}

TEST_F(BpfPortOpen, DataplaneErrors) {
  api::Dataplane dataplane = TwoDevices();
  dataplane.add_workers(4000);
  EXPECT_THAT(OpenError(dataplane), HasSubstr("dataplane.workers[1]: core 4000 is not there"));

  dataplane = TwoDevices();
  dataplane.set_packet_buffers(4096);
  EXPECT_EQ(OpenError(dataplane),
            "dataplane.packet_buffers: 4096 are too few for 2 port(s) and 1 worker(s); set it to "
            "5120 or more");

  dataplane = TwoDevices();
  dataplane.set_packet_buffers(4194304);
  dataplane.set_hugepages(api::Dataplane::HUGEPAGES_REQUIRE);
  EXPECT_THAT(OpenError(dataplane),
              AllOf(HasSubstr("dataplane.hugepages: "), HasSubstr("/proc/sys/vm/nr_hugepages")));

  PortOptions options = Options();
  options.steer_program = "/nowhere/steer.bpf.o";
  EXPECT_EQ(OpenError(TwoDevices(), options),
            "--steer-program: no file /nowhere/steer.bpf.o; install it or name the steer.bpf.o of "
            "this build");
  EXPECT_EQ(Program("deva"), "");
}

// A driver without XDP of its own: the kernel's generic XDP, which is attached and found
// differently.
TEST_F(BpfPortOpen, GenericXdp) {
  if (std::system("ip link add plain0 type ifb >/dev/null 2>&1 && ip link set plain0 up") != 0) {
    GTEST_SKIP() << "this kernel has no ifb interfaces";
  }
  api::Dataplane dataplane = Dataplane();
  AddPort(dataplane, "plain").set_device("plain0");
  for (const bool killed : {true, false}) {
    Child child([&](Child& self) { ForwardUntilEnd(self, dataplane, {kRules}); });
    EXPECT_EQ(child.Hear(), "open");
    const auto program = port::QueryProgram(if_nametoindex("plain0"));
    EXPECT_TRUE(program.ok() && program->generic && program->name == BH_STEER_PROGRAM);
    if (killed) {
      child.Kill();
    } else {
      EXPECT_EQ(child.End(), 0);
    }
  }
  EXPECT_EQ(Program("plain0"), "");
  Shell("ip link del plain0");
}

// A relay that does not look: what its socket can not take is counted as lost, to the packet.
TEST_F(BpfPortOpen, LossesAreCounted) {
  constexpr uint64_t kSent = 3000;
  Wire far_a("fara");
  Child child([&](Child& self) {
    const auto ports = PortSet::Open(TwoDevices(), Options());
    self.Say(ports.ok() ? "open" : std::string(ports.status().message()));
    EXPECT_TRUE((*ports)->SetSteerRules(kRules).ok());
    self.Say("ready");
    self.Hear();
    uint64_t received = 0;
    rte_mbuf* burst[32];
    while (const uint16_t got = rte_eth_rx_burst((*ports)->ports()[0].id, 0, burst, 32)) {
      rte_pktmbuf_free_bulk(burst, got);
      received += got;
    }
    const port::PortLosses losses = (*ports)->ReadLosses(0);
    self.Say(received < kSent && losses.link_up ? "overflowed" : "not full");
    self.Say(std::to_string(received + losses.missed + losses.no_buffer));
  });
  ASSERT_EQ(child.Hear(), "open");
  ASSERT_EQ(child.Hear(), "ready");
  for (uint64_t i = 0; i < kSent; ++i) {
    far_a.Send(ToListener(10000));
  }
  usleep(200'000);  // the kernel delivers on its own time
  child.Say("look");
  EXPECT_EQ(child.Hear(), "overflowed");
  EXPECT_EQ(child.Hear(), std::to_string(kSent));
}

TEST_F(BpfPortOpen, EachWorkerHasItsCoreAndAVethOneQueue) {
  api::Dataplane dataplane = TwoDevices();
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  if (CPU_COUNT(&set) < 2) {
    GTEST_SKIP() << "needs two cores";
  }
  unsigned second = FirstCore() + 1;
  while (!CPU_ISSET(second, &set)) {
    ++second;
  }
  dataplane.clear_workers();
  dataplane.add_workers(second);
  dataplane.add_workers(FirstCore());
  Child child([&](Child& self) {
    const auto ports = PortSet::Open(dataplane, Options());
    if (!ports.ok()) {
      self.Say(std::string(ports.status().message()));
      return;
    }
    self.Say(Describe((*ports)->ports()[0]));
    for (unsigned worker = 0; worker < 2; ++worker) {
      self.Say(fmt::format("core {}",
                           rte_lcore_to_cpu_id(static_cast<int>(port::LcoreOfWorker(worker)))));
    }
    self.Say(fmt::format("lcores {}", rte_lcore_count()));
  });
  EXPECT_THAT(child.Hear(), HasSubstr("wan net_af_xdp rx1 tx1"));
  EXPECT_EQ(child.Hear(), fmt::format("core {}", second));
  EXPECT_EQ(child.Hear(), fmt::format("core {}", FirstCore()));
  EXPECT_EQ(child.Hear(), "lcores 3");
}

TEST_F(BpfPortOpen, VdevPorts) {
  api::Dataplane dataplane = Dataplane();
  AddPort(dataplane, "left").set_vdev("net_ring0");
  AddPort(dataplane, "right").set_vdev("net_null0,size=60");
  Child child([&](Child& self) {
    const auto ports = PortSet::Open(dataplane, Options());
    self.Say(ports.ok() ? Describe((*ports)->ports().at(1))
                        : std::string(ports.status().message()));
  });
  EXPECT_THAT(child.Hear(), HasSubstr("right net_null rx1 tx1 partial=false mtu=1500"));
  EXPECT_EQ(child.End(), 0);

  dataplane.mutable_ports(1)->set_vdev("net_memif0,role=boss");
  EXPECT_THAT(
      OpenError(dataplane),
      HasSubstr("dataplane.ports[right].vdev: DPDK can not make \"net_memif0,role=boss\": "));
  dataplane.mutable_ports(1)->set_vdev("net_nothing0");
  EXPECT_THAT(OpenError(dataplane),
              HasSubstr("dataplane.ports[right].vdev: DPDK can not make \"net_nothing0\": "));
}

TEST_F(BpfPortOpen, ADeviceBesideALargeVdevMtu) {
  api::Dataplane dataplane = Dataplane();
  AddPort(dataplane, "wan").set_device("deva");
  api::Port& jumbo = AddPort(dataplane, "lab");
  jumbo.set_vdev("net_ring0");
  jumbo.set_mtu(9000);
  EXPECT_EQ(OpenError(dataplane),
            "dataplane.ports[lab].mtu: 9000 is more than the 3500 that fit one buffer when another "
            "port is a device:; lower it");
}

}  // namespace
}  // namespace bridgehead::test
