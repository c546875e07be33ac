// Opening ports for real, and what then passes through them.
#include "tests/bpf/port_fixture.h"

namespace bridgehead::test {
namespace {

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
