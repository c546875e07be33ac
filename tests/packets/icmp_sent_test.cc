// ICMP errors of the relay's own, byte for byte (RFC 1812 section 4.3, RFC 4443).
#include <gtest/gtest.h>

#include "tests/packets/call.h"

namespace bridgehead::test {
namespace {

using Frame = test::Packet;

class PacketsIcmpSent : public CallTest {
 protected:
  PacketsIcmpSent() : CallTest(Config()) {}

  static api::Snapshot Config() {
    api::Snapshot snapshot = BasicSnapshot(GetParam().source_nat, net());
    auto& lan = *snapshot.mutable_routing()->mutable_interfaces(1);
    lan.add_addresses(AddressBytes("fe80::1"));
    lan.add_addresses(AddressBytes(LanAddress()));
    return snapshot;
  }
  static const char* LanAddress() { return net().BridgeIsV6() ? "2001:db8:8::1" : "10.8.0.1"; }
  struct Words {
    uint8_t type, code;
    uint32_t rest = 0;
  };
  static Frame Error(Frame outer, bool v6, const Words& v4_words, const Words& v6_words) {
    const Words& words = v6 ? v6_words : v4_words;
    outer.Tos(0xc0).Ttl(64);
    return outer.Icmp(words.type, words.code, words.rest);
  }
  static Bytes AtClient(const Words& v4, const Words& v6, const Frame& quoted, size_t bytes) {
    Frame outer = Frame().Eth(kRelayWan, kGateway).IP(net().listener, net().client);
    return Error(outer, net().ClientIsV6(), v4, v6).Quote(quoted, bytes).Build();
  }
  // In destination NAT the bridge knows no address of the relay but the interface's.
  static Bytes AtBridge(const Words& v4, const Words& v6, const Frame& quoted, size_t bytes) {
    Frame outer = Frame().Eth(kRelayLan, kBridge);
    outer.IP(GetParam().source_nat ? net().nat : LanAddress(), net().bridge);
    return Error(outer, net().BridgeIsV6(), v4, v6).Quote(quoted, bytes).Build();
  }
  void ExpectSent(uint64_t count, Drop drop) {
    EXPECT_EQ(harness_.Sum(&WorkerCounters::icmp_sent), count);
    uint64_t drops = 0;
    for (size_t w = 0; w < harness_.workers(); ++w) {
      drops += harness_.counters(w).drops[DropIndex(drop)].Get();
    }
    EXPECT_EQ(drops, count);
  }
  // As much of a packet as an error quotes.
  static size_t Quoted(bool v6) { return v6 ? 1280 - 48 : 576 - 28; }
};

INSTANTIATE_TEST_SUITE_P(Modes, PacketsIcmpSent,
                         testing::Values(Mode{true, 1}, Mode{true, 2}, Mode{false, 1},
                                         Mode{false, 2}, Mode{true, 1, kNet6},
                                         Mode{false, 2, kNet6}, Mode{true, 1, kNet6To4},
                                         Mode{true, 2, kNet6To4}),
                         ModeName);

TEST_P(PacketsIcmpSent, TimeExceeded) {
  Frame up = FromClient().Ttl(1).PayloadSize(1000);
  Outcome out = harness_.Send(kWan, up.Build());
  EXPECT_EQ(out.verdict, Verdict::kTransmit);
  EXPECT_EQ(out.port, kWan);
  EXPECT_EQ(out.frame, AtClient({11, 0}, {3, 0}, up, Quoted(net().ClientIsV6())));
  Frame down = FromBridge().Ttl(1).PayloadSize(1000);
  out = harness_.Send(kLan, down.Build());
  EXPECT_EQ(out.port, kLan);
  EXPECT_EQ(out.frame, AtBridge({11, 0}, {3, 0}, down, Quoted(net().BridgeIsV6())));
  ExpectSent(2, Drop::kTtlExpired);
}

TEST_P(PacketsIcmpSent, TooLarge) {
  api::Snapshot snapshot = Config();
  snapshot.mutable_routing()->mutable_interfaces(1)->set_mtu(1300);
  ASSERT_EQ(harness_.Switch(snapshot), "");
  const bool across = net().ClientIsV6() != net().BridgeIsV6();
  Frame up = FromClient().DontFragment(!net().ClientIsV6()).PayloadSize(1400);
  Outcome out = harness_.Send(kWan, up.Build());
  const uint32_t mtu = across ? 1320 : 1300;
  EXPECT_EQ(out.frame, AtClient({3, 4, mtu}, {2, 0, mtu}, up, Quoted(net().ClientIsV6())));
  ExpectSent(1, Drop::kEgressMtu);
}

TEST_P(PacketsIcmpSent, TooLargeTheOtherWay) {
  api::Snapshot snapshot = Config();
  snapshot.mutable_routing()->mutable_interfaces(0)->set_mtu(1300);
  ASSERT_EQ(harness_.Switch(snapshot), "");
  const bool across = net().ClientIsV6() != net().BridgeIsV6();
  Frame down = FromBridge().DontFragment(!net().BridgeIsV6()).PayloadSize(1400);
  Outcome out = harness_.Send(kLan, down.Build());
  const uint32_t mtu = across ? 1280 : 1300;
  EXPECT_EQ(out.frame, AtBridge({3, 4, mtu}, {2, 0, mtu}, down, Quoted(net().BridgeIsV6())));
  ExpectSent(1, Drop::kEgressMtu);
}

TEST_P(PacketsIcmpSent, ABoundedNumberEachSecond) {
  auto sent = [&](uint16_t port) {
    Bytes up = FromClient().Udp(port, 10000).Ttl(1).Payload(kRtp).Build();
    size_t count = 0;
    for (const Outcome& out : harness_.Send(kWan, std::vector<Bytes>(50, up))) {
      count += out.verdict == Verdict::kTransmit;
      EXPECT_EQ(out.drop, Drop::kTtlExpired);
    }
    return count;
  };
  EXPECT_EQ(sent(40000), IcmpAllowance::kOfOneSession);
  EXPECT_EQ(sent(40000), 0u);
  // Others have theirs, up to what all of a worker have together.
  for (uint16_t port = 41000; port < 41050; ++port) {
    harness_.Send(kWan, FromClient().Udp(port, 10000).Payload(StunRequest()).Build());
  }
  size_t all = IcmpAllowance::kOfOneSession;
  for (uint16_t port = 41000; port < 41050; ++port) all += sent(port);
  EXPECT_EQ(all, IcmpAllowance::kPerSecond * GetParam().workers);
  // And nobody keeps path MTUs from being found.
  api::Snapshot snapshot = Config();
  snapshot.mutable_routing()->mutable_interfaces(1)->set_mtu(1300);
  ASSERT_EQ(harness_.Switch(snapshot), "");
  Frame large = FromClient().Udp(41010, 10000).DontFragment(!net().ClientIsV6());
  Outcome out = harness_.Send(kWan, large.Payload(Bytes(1400, 0x80)).Build());
  EXPECT_EQ(out.drop, Drop::kEgressMtu);
  harness_.Advance(1);
  EXPECT_EQ(sent(40000), IcmpAllowance::kOfOneSession);
}

TEST_P(PacketsIcmpSent, NoRoute) {
  api::Snapshot snapshot = Config();
  snapshot.mutable_routing()->mutable_routes()->rbegin()->set_unreachable(true);
  ASSERT_EQ(harness_.Switch(snapshot), "");
  Frame up = FromClient().Payload(kRtp);
  Outcome out = harness_.Send(kWan, up.Build());
  EXPECT_EQ(out.drop, Drop::kNoRoute);
  ASSERT_EQ(out.verdict, Verdict::kTransmit);
  // As the sender's own packet would be quoted behind the relay: with one hop less.
  Frame outer = Frame().Eth(kRelayWan, kGateway).IP(net().listener, net().client);
  outer.Tos(0xc0).Ttl(63);
  net().ClientIsV6() ? outer.Icmp(1, 0) : outer.Icmp(3, 0);
  EXPECT_EQ(out.frame, outer.Quote(up.Ttl(63)).Build());
}

TEST_P(PacketsIcmpSent, TheNextHopDoesNotAnswer) {
  api::Snapshot snapshot = Config();
  snapshot.mutable_routing()->mutable_neighbours()->RemoveLast();
  ASSERT_EQ(harness_.Switch(snapshot), "");
  Frame up = FromClient().Payload(kRtp);
  EXPECT_EQ(harness_.Send(kWan, up.Build()).verdict, Verdict::kHold);
  harness_.Advance(HoldList::kWaitSeconds);
  std::vector<Outcome> out = harness_.RetryHeld();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].drop, Drop::kNeighbourFailed);
  ASSERT_EQ(out[0].verdict, Verdict::kTransmit);
  const bool across = net().ClientIsV6() != net().BridgeIsV6();
  Frame outer = Frame().Eth(kRelayWan, kGateway).IP(net().listener, net().client);
  outer.Tos(0xc0).Ttl(63);
  net().ClientIsV6() ? outer.Icmp(1, across ? 0 : 3) : outer.Icmp(3, 1);
  EXPECT_EQ(out[0].frame, outer.Quote(up.Ttl(63)).Build());
  ExpectSent(1, Drop::kNeighbourFailed);
}

TEST_P(PacketsIcmpSent, NothingAboutStrangersPackets) {
  Bytes stranger = Frame()
                       .Eth(kGateway, kRelayWan)
                       .IP(net().client, net().listener)
                       .Udp(40001, 10000)
                       .Ttl(1)
                       .Payload(StunRequest())
                       .Build();
  EXPECT_EQ(harness_.Send(kWan, stranger).verdict, Verdict::kDrop);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::icmp_sent), 0u);
}

// Without an address towards the bridge there is none to send from.
TEST(PacketsIcmpSentFrom, NoAddressNoError) {
  WalkHarness harness(BasicSnapshot(false), {});
  harness.Send(kWan, Frame()
                         .Eth(kGateway, kRelayWan)
                         .IPv4("203.0.113.7", "198.51.100.10")
                         .Udp(40000, 10000)
                         .Payload(StunRequest())
                         .Build());
  Frame down = Frame().Eth(kBridge, kRelayLan).IPv4("10.8.0.11", "203.0.113.7");
  EXPECT_EQ(harness.Send(kLan, down.Udp(10000, 40000).Ttl(1).Payload("x").Build()).verdict,
            Verdict::kDrop);
  EXPECT_EQ(harness.Sum(&WorkerCounters::icmp_sent), 0u);
}

}  // namespace
}  // namespace bridgehead::test
