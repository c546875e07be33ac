// Which packets the steering program takes, one by one.
#include <string_view>
#include <tuple>
#include <vector>

#include "tests/bpf/steer_fixture.h"

namespace bridgehead::test {
namespace {

constexpr std::string_view kListener = "198.51.100.10";  // ports 10000-10050
constexpr std::string_view kNat = "10.8.0.2";            // ports 20000-59999
constexpr std::string_view kBridge = "10.8.0.11";        // source rule, port 10000
constexpr std::string_view kClient = "203.0.113.7";

constexpr std::string_view kListener6 = "2001:db8:10::10";  // ports 10000-10050
constexpr std::string_view kBridge6 = "2001:db8:8::11";     // source rule, port 10000
constexpr std::string_view kClient6 = "2001:db8:ffff::7";

class BpfSteer : public SteerProgram {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(SteerProgram::SetUp());
    AddRule(0, BH_STEER_DESTINATION, kListener, 10000, 10050);
    AddRule(1, BH_STEER_DESTINATION, kNat, 20000, 59999);
    AddRule(2, BH_STEER_SOURCE, kBridge, 10000, 10000);
    AddRule(8, BH_STEER_OUTBOUND, kBridge, 12000, 12000);
    AddRule(6, BH_STEER_DESTINATION, kListener6, 10000, 10050);
    AddRule(7, BH_STEER_SOURCE, kBridge6, 10000, 10000);
  }

  // True: taken for the relay. False: left to the kernel.
  bool Ours(const Bytes& frame) {
    const uint32_t fate = Fate(frame);
    EXPECT_LE(fate, uint32_t{BH_STEER_PASSED}) << "dropped";
    return fate == BH_STEER_REDIRECTED;
  }
  bool Ours(const Packet& packet) { return Ours(packet.Build()); }
};

Packet ClientToListener() {
  return Packet().Eth().IPv4(kClient, kListener).Udp(40000, 10000).Payload("stun");
}
Packet BridgeToNat() {
  return Packet().Eth().IPv4("10.8.0.99", kNat).Udp(10000, 20000).Payload("rtp");
}
Packet BridgeToClient() {
  return Packet().Eth().IPv4(kBridge, kClient).Udp(10000, 40000).Payload("rtp");
}

TEST_F(BpfSteer, EachSideOfEachRule) {
  EXPECT_TRUE(Ours(ClientToListener()));
  EXPECT_TRUE(Ours(BridgeToNat()));
  EXPECT_TRUE(Ours(BridgeToClient()));
  // The right address and port on the wrong side.
  EXPECT_FALSE(Ours(Packet().Eth().IPv4(kListener, kClient).Udp(10000, 40000)));
  EXPECT_FALSE(Ours(Packet().Eth().IPv4(kClient, kBridge).Udp(40000, 10000)));
}

TEST_F(BpfSteer, BothEndsOfARange) {
  for (const auto& [address, port, ours] :
       std::vector<std::tuple<std::string_view, uint16_t, bool>>{{kListener, 9999, false},
                                                                 {kListener, 10000, true},
                                                                 {kListener, 10050, true},
                                                                 {kListener, 10051, false},
                                                                 {kListener, 0, false},
                                                                 {kListener, 65535, false},
                                                                 {kNat, 19999, false},
                                                                 {kNat, 20000, true},
                                                                 {kNat, 59999, true},
                                                                 {kNat, 60000, false},
                                                                 {"10.8.0.3", 20000, false}}) {
    EXPECT_EQ(Ours(Packet().Eth().IPv4(kClient, address).Udp(40000, port)), ours)
        << address << ":" << port;
  }
}

TEST_F(BpfSteer, EveryPortWhenTheBitmapIsFull) {
  AddRule(5, BH_STEER_DESTINATION, "192.0.2.5", 0, 65535);
  for (uint32_t port = 0; port <= 65535; port += 257) {
    EXPECT_TRUE(
        Ours(Packet().Eth().IPv4(kClient, "192.0.2.5").Udp(1, static_cast<uint16_t>(port))));
  }
}

TEST_F(BpfSteer, OneVlanTagOfEitherKind) {
  for (uint16_t tpid : {0x8100, 0x88a8}) {
    EXPECT_TRUE(Ours(Packet().Eth().Vlan(5, tpid).IPv4(kClient, kListener).Udp(40000, 10000)));
    EXPECT_FALSE(Ours(Packet().Eth().Vlan(5, tpid).IPv4(kClient, kListener).Udp(40000, 9)));
  }
  EXPECT_FALSE(Ours(Packet().Eth().Vlan(5, 0x88a8).Vlan(6).IPv4(kClient, kListener).Udp(1, 10000)));
}

TEST_F(BpfSteer, OptionsDoNotHideThePorts) {
  EXPECT_TRUE(Ours(ClientToListener().IpOptions({7, 4, 4, 0})));
  Bytes longest = ClientToListener()
                      .IpOptions({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1})
                      .Build();
  ASSERT_EQ(longest[14], 0x4f);
  EXPECT_TRUE(Ours(longest));
}

// Bytes that would pass for the UDP header of another packet.
constexpr uint8_t kLookalike[] = {0x9c, 0x40, 0x03, 0xe7, 0, 12, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};

Packet Later(std::string_view from, std::string_view to, uint16_t id, uint16_t offset = 1480) {
  Packet packet = Packet().Eth().IP(from, to);
  if (from.find(':') == from.npos) {
    packet.Id(id).Fragment(offset, false).Protocol(17);
  } else {
    const auto high = static_cast<uint8_t>(offset >> 8);
    const auto low = static_cast<uint8_t>(offset);
    packet.Extension(44,
                     {0, high, low, 0, 0, static_cast<uint8_t>(id >> 8), static_cast<uint8_t>(id)});
    packet.Protocol(17);
  }
  return packet.Payload(kLookalike).Raw();
}
Packet First(std::string_view from, std::string_view to, uint16_t id, uint16_t port) {
  Packet packet = Packet().Eth().IP(from, to).Udp(40000, port);
  if (from.find(':') == from.npos) {
    packet.Id(id).Fragment(0, true);
  } else {
    packet.Extension(44, {0, 0, 1, 0, 0, static_cast<uint8_t>(id >> 8), static_cast<uint8_t>(id)});
  }
  return packet.Payload("\x80 the first part");
}

TEST_F(BpfSteer, OtherFragmentsGoWhereTheFirstOneWent) {
  for (auto [client, listener] : {std::pair{kClient, kListener}, std::pair{kClient6, kListener6}}) {
    EXPECT_TRUE(Ours(First(client, listener, 1, 10000)));
    EXPECT_TRUE(Ours(Later(client, listener, 1)));
    // A service of the kernel's on the same address.
    EXPECT_FALSE(Ours(First(client, listener, 2, 53)));
    EXPECT_FALSE(Ours(Later(client, listener, 2)));
    EXPECT_FALSE(Ours(Later(client, listener, 2, 2960)));
    // The identification begins anew.
    EXPECT_TRUE(Ours(First(client, listener, 2, 10000)));
    EXPECT_TRUE(Ours(Later(client, listener, 2)));
  }
}

TEST_F(BpfSteer, FragmentsBeforeTheirFirstOneGoByTheirAddresses) {
  EXPECT_TRUE(Ours(Later(kClient, kListener, 9)));
  EXPECT_TRUE(Ours(Later(kClient6, kListener6, 9)));
  EXPECT_TRUE(Ours(Later(kBridge, kClient, 9)));
  EXPECT_TRUE(Ours(Later("10.8.0.99", kNat, 9)));
  EXPECT_FALSE(Ours(Later(kClient, "198.51.100.99", 9)));
  EXPECT_FALSE(Ours(Later(kListener, kClient, 9)));
  // Of TCP, or of an extension header that hides more.
  EXPECT_FALSE(Ours(Later(kClient, kListener, 9).Protocol(6)));
  EXPECT_FALSE(Ours(Later(kClient6, kListener6, 9).Protocol(60)));
}

TEST_F(BpfSteer, AnIpv6PacketThatIsNotCutMayHaveAFragmentHeader) {
  auto atomic = [](uint16_t port) {
    return Packet()
        .Eth()
        .IPv6(kClient6, kListener6)
        .Udp(40000, port)
        .Extension(44, {0, 0, 0, 0, 0, 0, 9})
        .Payload("\x80 all");
  };
  EXPECT_TRUE(Ours(atomic(10000)));
  EXPECT_FALSE(Ours(atomic(53)));
  for (size_t bytes = 14; bytes < 14 + 40 + 8 + 8; ++bytes) {
    EXPECT_FALSE(Ours(atomic(10000).Truncated(bytes))) << bytes;
  }
}

TEST_F(BpfSteer, BrokenHeadersOfOurUdpAreTheRelaysToName) {
  EXPECT_TRUE(Ours(ClientToListener().IpChecksum(0xdead)));
  EXPECT_TRUE(Ours(ClientToListener().UdpChecksum(0xdead)));
  EXPECT_TRUE(Ours(ClientToListener().UdpLength(3)));
  EXPECT_TRUE(Ours(ClientToListener().TotalLength(9000)));
  EXPECT_TRUE(Ours(ClientToListener().Ttl(0)));
}

TEST_F(BpfSteer, NotIPv4WhateverTheEtherTypeSays) {
  EXPECT_FALSE(Ours(ClientToListener().Version(6)));
  EXPECT_FALSE(Ours(ClientToListener().HeaderWords(4)));
  EXPECT_FALSE(Ours(ClientToListener().HeaderWords(0)));
  EXPECT_FALSE(Ours(ClientToListener().EtherType(0x86dd)));
}

TEST_F(BpfSteer, TruncatedAtEveryByteIsTheKernels) {
  const struct {
    const char* what;
    Packet packet;
    size_t needed;  // up to and including the last byte that decides
  } cases[] = {
      {"udp", ClientToListener(), 14 + 20 + 8},
      {"vlan", Packet().Eth().Vlan(5).IPv4(kClient, kListener).Udp(1, 10000).Payload("x"),
       18 + 20 + 8},
      {"options", ClientToListener().IpOptions({1, 1, 1, 1, 1, 1, 1, 1}), 14 + 28 + 8},
      {"icmp",
       Packet()
           .Eth()
           .IPv4("192.0.2.1", kNat)
           .Icmp(3, 3)
           .Quote(Packet().IPv4(kNat, kBridge).Udp(20000, 10000).Payload("x")),
       14 + 20 + 8 + 20 + 8},
  };
  for (const auto& test : cases) {
    const size_t size = test.packet.Build().size();
    for (size_t bytes = 14; bytes <= size; ++bytes) {  // the kernel refuses less than a header
      EXPECT_EQ(Ours(test.packet.Truncated(bytes)), bytes >= test.needed)
          << test.what << " cut to " << bytes;
    }
  }
}

TEST_F(BpfSteer, IcmpErrorsAboutOurPackets) {
  const Packet to_bridge = Packet().IPv4(kNat, kBridge).Udp(20000, 10000).Payload("rtp");
  const Packet to_client = Packet().IPv4(kListener, kClient).Udp(10000, 40000).Payload("rtp");
  const Packet preserved = Packet().IPv4(kClient, kBridge).Udp(40000, 10000).Payload("rtp");
  for (const Packet& quoted : {to_bridge, to_client, preserved}) {
    for (uint8_t type : {3, 11, 12}) {
      const Packet error = Packet().Eth().IPv4("192.0.2.1", kNat).Icmp(type, 1).Quote(quoted, 28);
      EXPECT_TRUE(Ours(error)) << int{type};
    }
    for (uint8_t type : {0, 4, 5, 8, 13, 255}) {
      EXPECT_FALSE(Ours(Packet().Eth().IPv4("192.0.2.1", kNat).Icmp(type, 0).Quote(quoted)))
          << int{type};
    }
  }
  EXPECT_TRUE(Ours(Packet().Eth().Vlan(9).IPv4("192.0.2.1", kNat).Icmp(3, 4).Quote(to_bridge)));
  EXPECT_TRUE(
      Ours(Packet()
               .Eth()
               .IPv4("192.0.2.1", kNat)
               .Icmp(3, 4)
               .Quote(Packet().IPv4(kNat, kBridge).IpOptions({1, 1, 1, 1}).Udp(20000, 10000))));
}

TEST_F(BpfSteer, IcmpErrorsAboutOthersPackets) {
  const Packet others[] = {
      Packet().IPv4(kNat, kBridge).Udp(19999, 10001),       // the kernel's own socket
      Packet().IPv4(kClient, kListener).Udp(40000, 10000),  // the direction we never send
      Packet().IPv4(kNat, kBridge).Tcp(20000, 10000),       // not UDP
      Packet().IPv4(kNat, kBridge).Udp(20000, 10000).Version(5),
      Packet().IPv4(kNat, kBridge).Protocol(17).Fragment(1480, false).PayloadSize(32),
  };
  for (const Packet& quoted : others) {
    EXPECT_FALSE(Ours(Packet().Eth().IPv4("192.0.2.1", kNat).Icmp(3, 3).Quote(quoted)));
  }
}

TEST_F(BpfSteer, AllElseIsTheKernels) {
  EXPECT_FALSE(Ours(Packet().Eth().IPv4(kClient, kListener).Tcp(40000, 10000)));
  EXPECT_FALSE(Ours(Packet().Eth().IPv4(kClient, kListener).Icmp(8, 0, 0x00010001)));
  EXPECT_FALSE(Ours(Packet().Eth().IPv4(kClient, kListener).Udp(40000, 53)));
  EXPECT_FALSE(Ours(Packet().Eth().IPv4(kClient, kListener).Protocol(132).PayloadSize(40)));
  EXPECT_FALSE(Ours(Packet().Eth().EtherType(0x0806).PayloadSize(28, 0)));  // ARP
  EXPECT_FALSE(Ours(Packet().Eth().EtherType(0x86dd).PayloadSize(60, 0x60)));
  EXPECT_FALSE(Ours(Packet().Eth().EtherType(0x88cc).PayloadSize(46, 0)));  // LLDP
  EXPECT_FALSE(Ours(Packet().Eth().EtherType(0x0030).PayloadSize(48, 0)));  // 802.3 length
}

TEST_F(BpfSteer, FlowsThatABridgeMayOpenAndErrorsAboutThem) {
  EXPECT_TRUE(Ours(Packet().Eth().IPv4(kBridge, "192.0.2.5").Udp(51234, 12000)));
  EXPECT_FALSE(Ours(Packet().Eth().IPv4(kBridge, "192.0.2.5").Udp(51234, 53)));
  EXPECT_FALSE(Ours(Packet().Eth().IPv4("192.0.2.5", kBridge).Udp(12000, 51234)));
  const Packet to_bridge = Packet().IPv4("192.0.2.5", kBridge).Udp(12000, 51234);
  EXPECT_TRUE(Ours(Packet().Eth().IPv4(kBridge, "192.0.2.5").Icmp(3, 3).Quote(to_bridge)));
}

Packet Ipv6ToListener() {
  return Packet().Eth().IPv6(kClient6, kListener6).Udp(40000, 10000).Payload("stun");
}

TEST_F(BpfSteer, Ipv6ByTheSameRules) {
  EXPECT_TRUE(Ours(Ipv6ToListener()));
  EXPECT_TRUE(Ours(Packet().Eth().Vlan(5).IPv6(kClient6, kListener6).Udp(1, 10050)));
  EXPECT_TRUE(Ours(Packet().Eth().IPv6(kBridge6, kClient6).Udp(10000, 40000)));
  EXPECT_FALSE(Ours(Packet().Eth().IPv6(kClient6, kListener6).Udp(40000, 10051)));
  EXPECT_FALSE(Ours(Packet().Eth().IPv6(kListener6, kClient6).Udp(10000, 40000)));
  EXPECT_FALSE(Ours(Packet().Eth().IPv6(kClient6, "2001:db8:10::11").Udp(40000, 10000)));
  EXPECT_FALSE(Ours(Packet().Eth().IPv6(kClient6, kListener6).Tcp(40000, 10000)));
  EXPECT_FALSE(Ours(Ipv6ToListener().Version(4)));
  // A rule for an IPv4 address is none for its mapped form on the wire, which the relay refuses.
  EXPECT_FALSE(Ours(Ipv6ToListener().EtherType(0x0800)));
}

TEST_F(BpfSteer, Ipv6ExtensionHeadersAreTheKernels) {
  for (uint8_t type : {0, 43, 60, 135}) {
    EXPECT_FALSE(Ours(Packet()
                          .Eth()
                          .IPv6(kClient6, kListener6)
                          .Extension(type, {0, 0, 0, 0, 0, 0, 0})
                          .Udp(40000, 10000)))
        << int{type};
  }
}

TEST_F(BpfSteer, Ipv6TruncatedAtEveryByteIsTheKernels) {
  const Packet udp = Ipv6ToListener();
  const Packet error = Packet()
                           .Eth()
                           .IPv6("2001:db8::1", kListener6)
                           .Icmp(1, 4)
                           .Quote(Packet().IPv6(kListener6, kClient6).Udp(10000, 40000));
  for (size_t bytes = 14; bytes <= udp.Build().size(); ++bytes) {
    EXPECT_EQ(Ours(udp.Truncated(bytes)), bytes >= 14 + 40 + 8) << bytes;
  }
  for (size_t bytes = 14; bytes <= error.Build().size(); ++bytes) {
    EXPECT_EQ(Ours(error.Truncated(bytes)), bytes >= 14 + 40 + 8 + 40 + 8) << bytes;
  }
}

TEST_F(BpfSteer, Icmpv6ErrorsAboutOurPacketsAndNothingElseOfIt) {
  const Packet to_client = Packet().IPv6(kListener6, kClient6).Udp(10000, 40000).Payload("rtp");
  const Packet preserved = Packet().IPv6(kClient6, kBridge6).Udp(40000, 10000).Payload("rtp");
  for (const Packet& quoted : {to_client, preserved}) {
    for (uint8_t type : {1, 2, 3, 4}) {
      EXPECT_TRUE(Ours(Packet().Eth().IPv6("2001:db8::1", kListener6).Icmp(type, 0).Quote(quoted)))
          << int{type};
    }
    // Echo, neighbour and router discovery are the kernel's.
    for (uint8_t type : {0, 5, 127, 128, 129, 133, 134, 135, 136, 137}) {
      EXPECT_FALSE(Ours(Packet().Eth().IPv6("2001:db8::1", kListener6).Icmp(type, 0).Quote(quoted)))
          << int{type};
    }
  }
  const Packet other = Packet().IPv6(kListener6, kClient6).Udp(9999, 40000);
  EXPECT_FALSE(Ours(Packet().Eth().IPv6("2001:db8::1", kListener6).Icmp(2, 0).Quote(other)));
}

TEST_F(BpfSteer, NothingIsOursWithoutRules) {
  bh_steer_key key{}, next{};
  while (bpf_map_get_next_key(Map(BH_STEER_RULES_MAP), nullptr, &next) == 0) {
    key = next;
    ASSERT_EQ(bpf_map_delete_elem(Map(BH_STEER_RULES_MAP), &key), 0);
  }
  EXPECT_FALSE(Ours(ClientToListener()));
  EXPECT_FALSE(Ours(BridgeToNat()));
  EXPECT_FALSE(Ours(BridgeToClient()));
}

TEST_F(BpfSteer, ARowOutsideTheTableMatchesNothing) {
  const bh_steer_rule rule{.row = BH_STEER_MAX_RULES, .first_guard = 0, .guards = 0};
  bh_steer_key key{};
  key.side = BH_STEER_DESTINATION;
  key.address[10] = key.address[11] = 0xff;
  const auto ip = Ip4(kListener);
  std::copy(ip.begin(), ip.end(), key.address + 12);
  ASSERT_EQ(bpf_map_update_elem(Map(BH_STEER_RULES_MAP), &key, &rule, BPF_ANY), 0);
  EXPECT_FALSE(Ours(ClientToListener()));
}

}  // namespace
}  // namespace bridgehead::test
