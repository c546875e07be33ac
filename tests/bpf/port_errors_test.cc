// Ports that can not be opened: each says why, and leaves nothing attached.
#include "tests/bpf/port_fixture.h"

namespace bridgehead::test {
namespace {

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

}  // namespace
}  // namespace bridgehead::test
