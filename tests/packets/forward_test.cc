// The walk, packet in and packet out, byte for byte: both NAT modes, one and two workers.
#include <gtest/gtest.h>

#include "tests/packets/modes.h"

namespace bridgehead::test {
namespace {

using Frame = test::Packet;

class PacketsForward : public testing::TestWithParam<Mode> {
 protected:
  PacketsForward()
      : harness_(BasicSnapshot(GetParam().source_nat, GetParam().net),
                 {.workers = GetParam().workers}) {}

  static const Net& net() { return GetParam().net; }
  static Frame FromClient(uint16_t port = 40000) {
    return Frame().Eth(kGateway, kRelayWan).IP(net().client, net().listener).Udp(port, 10000);
  }
  // What must leave towards the bridge next, but for its payload.
  Frame ToBridge(uint16_t port, uint8_t ttl = 63) {
    Frame frame = Frame().Eth(kRelayLan, kBridge).Ttl(ttl);
    // A number for each packet that may be fragmented behind the relay.
    if (net().ClientIsV6() && !net().BridgeIsV6()) frame.Id(++sent_);
    if (GetParam().source_nat) return frame.IP(net().nat, net().bridge).Udp(port, 10000);
    return frame.IP(net().client, net().bridge).Udp(port, 10000);
  }
  Bytes AtBridge(std::span<const uint8_t> payload, uint16_t port, uint8_t ttl = 63) {
    return ToBridge(port, ttl).Payload(payload).Build();
  }
  static Frame FromBridge(uint16_t port) {
    Frame frame = Frame().Eth(kBridge, kRelayLan);
    if (GetParam().source_nat) return frame.IP(net().bridge, net().nat).Udp(10000, port);
    return frame.IP(net().bridge, net().client).Udp(10000, port);
  }
  static Bytes AtClient(std::string_view payload, uint16_t port = 40000) {
    return Frame()
        .Eth(kRelayWan, kGateway)
        .IP(net().listener, net().client)
        .Udp(10000, port)
        .Ttl(63)
        .Payload(payload)
        .Build();
  }
  // Establishes the session of 203.0.113.7:40000; returns the port the bridge sees.
  uint16_t Establish() {
    Outcome out = harness_.Send(kWan, FromClient().Payload(StunRequest()).Build());
    EXPECT_EQ(out.verdict, Verdict::kTransmit);
    EXPECT_EQ(out.drop, Drop::kNone);
    ++sent_;
    return out.frame.empty() ? uint16_t{0} : SourcePort(out.frame);
  }
  uint64_t Dropped(Drop drop) {
    uint64_t sum = 0;
    for (size_t w = 0; w < harness_.workers(); ++w) {
      sum += harness_.counters(w).drops[DropIndex(drop)].Get();
    }
    return sum;
  }

  WalkHarness harness_;
  uint16_t sent_ = 0;  // towards the bridge
};

INSTANTIATE_TEST_SUITE_P(Modes, PacketsForward,
                         testing::Values(Mode{true, 1}, Mode{true, 2}, Mode{false, 1},
                                         Mode{false, 2}, Mode{true, 1, kNet6}, Mode{true, 2, kNet6},
                                         Mode{false, 1, kNet6}, Mode{false, 2, kNet6},
                                         Mode{true, 1, kNet6To4}, Mode{true, 2, kNet6To4}),
                         ModeName);

TEST_P(PacketsForward, BindingRequestCreatesASessionAndLeavesRewritten) {
  Bytes stun = StunRequest();
  Outcome out = harness_.Send(kWan, FromClient().Payload(stun).Build());
  ASSERT_EQ(out.verdict, Verdict::kTransmit);
  EXPECT_EQ(out.port, kLan);
  EXPECT_EQ(out.frame, AtBridge(stun, SourcePort(out.frame)));
  if (GetParam().source_nat) {
    EXPECT_GE(SourcePort(out.frame), 20000);
    EXPECT_LE(SourcePort(out.frame), 59999);
  }
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_created), 1u);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_active), 1u);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_unconfirmed), 1u);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::nat_ports_in_use), GetParam().source_nat ? 1u : 0u);
}

TEST_P(PacketsForward, ReplyGoesBackToTheClient) {
  uint16_t port = Establish();
  Outcome out = harness_.Send(kLan, FromBridge(port).Payload("answer").Build());
  ASSERT_EQ(out.verdict, Verdict::kTransmit);
  EXPECT_EQ(out.port, kWan);
  EXPECT_EQ(out.frame, AtClient("answer"));
}

// Both have to hear of each other: an answer alone could be one to a forged source.
TEST_P(PacketsForward, SessionIsConfirmedWhenTheClientSendsAfterAnAnswer) {
  uint16_t port = Establish();
  auto unconfirmed = [&] { return harness_.Sum(&WorkerCounters::sessions_unconfirmed); };
  Bytes refusal = StunRequest();
  refusal[0] = 0x01;  // Binding error response
  refusal[1] = 0x11;
  harness_.Send(kLan, FromBridge(port).Payload(refusal).Build());
  harness_.Send(kWan, FromClient().Payload(kRtp).Build());
  EXPECT_EQ(unconfirmed(), 1u);
  harness_.Send(kLan, FromBridge(port).Payload("answer").Build());
  EXPECT_EQ(unconfirmed(), 1u);
  harness_.Send(kWan, FromClient().Payload(kRtp).Build());
  EXPECT_EQ(unconfirmed(), 0u);
  harness_.Send(kWan, FromClient().Payload(kRtp).Build());
  EXPECT_EQ(unconfirmed(), 0u);
}

TEST_P(PacketsForward, MediaFollowsInBothDirections) {
  uint16_t port = Establish();
  for (int i = 0; i < 3; ++i) {
    Outcome up = harness_.Send(kWan, FromClient().Payload(kRtp).Build());
    EXPECT_EQ(up.frame, AtBridge(Bytes(kRtp.begin(), kRtp.end()), port));
    Outcome down = harness_.Send(kLan, FromBridge(port).Payload("media down").Build());
    EXPECT_EQ(down.frame, AtClient("media down"));
  }
  uint64_t to_bridge = 0, to_client = 0;
  for (size_t w = 0; w < harness_.workers(); ++w) {
    to_bridge += harness_.counters(w).listeners[0].packets_to_bridge.Get();
    to_client += harness_.counters(w).bridges[0].packets_to_client.Get();
  }
  EXPECT_EQ(to_bridge, 4u);
  EXPECT_EQ(to_client, 3u);
}

TEST_P(PacketsForward, EveryWorkerHandsOffToTheSameOwner) {
  uint16_t port = Establish();
  for (size_t first = 0; first < GetParam().workers; ++first) {
    EXPECT_EQ(harness_.Send(kWan, FromClient().Payload(kRtp).Build(), first).verdict,
              Verdict::kTransmit);
    EXPECT_EQ(harness_.Send(kLan, FromBridge(port).Payload("x").Build(), first).verdict,
              Verdict::kTransmit);
  }
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_created), 1u);
}

TEST_P(PacketsForward, SameFlowTwiceInOneBurstMakesOneSession) {
  Bytes stun = StunRequest();
  Bytes request = FromClient().Payload(stun).Build();
  auto out = harness_.Send(kWan, {request, request, FromClient().Payload(kRtp).Build()});
  for (const Outcome& one : out) EXPECT_EQ(one.verdict, Verdict::kTransmit);
  EXPECT_EQ(out[1].frame, (++sent_, AtBridge(stun, SourcePort(out[0].frame))));
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_created), 1u);
}

TEST_P(PacketsForward, ManyClientsKeepTheirOwnMapping) {
  std::vector<Bytes> requests;
  for (uint16_t i = 0; i < 500; ++i) {
    requests.push_back(FromClient(static_cast<uint16_t>(30000 + i)).Payload(StunRequest()).Build());
  }
  auto up = harness_.Send(kWan, requests);
  for (uint16_t i = 0; i < 500; ++i) {
    ASSERT_EQ(up[i].verdict, Verdict::kTransmit);
    uint16_t seen = SourcePort(up[i].frame);
    if (!GetParam().source_nat) {
      EXPECT_EQ(seen, 30000 + i);
    }
    Outcome down = harness_.Send(kLan, FromBridge(seen).Payload("r").Build());
    EXPECT_EQ(down.frame, AtClient("r", static_cast<uint16_t>(30000 + i)));
  }
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_active), 500u);
}

TEST_P(PacketsForward, EthernetPaddingIsCutOff) {
  Establish();
  Outcome out = harness_.Send(kWan, FromClient().Payload(kRtp).Trailer(17).Build());
  ASSERT_EQ(out.verdict, Verdict::kTransmit);
  EXPECT_EQ(out.frame.size(), 14u + (net().BridgeIsV6() ? 40 : 20) + 8 + kRtp.size());
}

TEST_P(PacketsForward, UdpWithoutChecksumStaysWithout) {
  uint16_t port = Establish();
  Outcome up = harness_.Send(kWan, FromClient().Payload(kRtp).UdpChecksum(0).Build());
  Outcome down = harness_.Send(kLan, FromBridge(port).Payload("x").UdpChecksum(0).Build());
  if (net().ClientIsV6()) {
    EXPECT_EQ(up.drop, Drop::kUdpNoChecksum);
  } else {
    EXPECT_EQ(up.frame, ToBridge(port).Payload(kRtp).UdpChecksum(0).Build());
  }
  if (net().BridgeIsV6()) {
    EXPECT_EQ(down.drop, Drop::kUdpNoChecksum);
  } else if (net().ClientIsV6()) {
    EXPECT_EQ(down.frame, AtClient("x"));  // RFC 7915 section 4.5: made
  } else {
    EXPECT_NE(down.frame, AtClient("x"));
    EXPECT_EQ(down.verdict, Verdict::kTransmit);
  }
}

TEST_P(PacketsForward, TtlAndTosAndIdAreAsARouterLeavesThem) {
  uint16_t port = Establish();
  for (int ttl : {2, 3, 64, 128, 255}) {
    Outcome out = harness_.Send(kWan, FromClient()
                                          .Ttl(static_cast<uint8_t>(ttl))
                                          .Tos(0xb8)
                                          .Id(0x1234)
                                          .DontFragment()
                                          .PayloadSize(1300)
                                          .Build());
    // What IPv6 has no field for is as RFC 7915 section 5.1 says.
    Frame expected = ToBridge(port, static_cast<uint8_t>(ttl - 1));
    EXPECT_EQ(out.frame, expected.Tos(0xb8)
                             .Id(net().ClientIsV6() ? 0 : 0x1234)
                             .DontFragment()
                             .PayloadSize(1300)
                             .Build());
  }
}

using PacketsArithmetic = PacketsForward;
INSTANTIATE_TEST_SUITE_P(Modes, PacketsArithmetic,
                         testing::Values(Mode{true, 1}, Mode{false, 1}, Mode{true, 1, kNet6},
                                         Mode{false, 1, kNet6}, Mode{true, 1, kNet6To4}),
                         ModeName);

// Every payload word once, so that each checksum value appears, the wrap to all ones included.
TEST_P(PacketsArithmetic, IncrementalChecksumsEqualFullOnes) {
  uint16_t port = Establish();
  std::vector<Bytes> frames, expected;
  for (uint32_t word = 0; word < 65536; ++word) {
    Bytes payload = {0x80, 0, static_cast<uint8_t>(word >> 8), static_cast<uint8_t>(word)};
    frames.push_back(FromClient().Payload(payload).Build());
    expected.push_back(AtBridge(payload, port));
  }
  auto out = harness_.Send(kWan, frames);
  for (uint32_t word = 0; word < 65536; ++word) ASSERT_EQ(out[word].frame, expected[word]);
}

class PacketsPartialChecksums : public PacketsForward {
 protected:
  PacketsPartialChecksums() {
    harness_.~WalkHarness();
    new (&harness_) WalkHarness(BasicSnapshot(GetParam().source_nat, GetParam().net),
                                {.workers = GetParam().workers, .partial_checksums = true});
  }
};
INSTANTIATE_TEST_SUITE_P(Modes, PacketsPartialChecksums,
                         testing::Values(Mode{true, 1}, Mode{false, 2}, Mode{true, 1, kNet6},
                                         Mode{false, 2, kNet6}, Mode{true, 2, kNet6To4}),
                         ModeName);

TEST_P(PacketsPartialChecksums, AreCompletedInBothDirections) {
  Bytes stun = StunRequest();
  Outcome up = harness_.Send(kWan, FromClient().Payload(stun).PartialUdpChecksum().Build());
  ASSERT_EQ(up.verdict, Verdict::kTransmit);
  uint16_t port = SourcePort(up.frame);
  EXPECT_EQ(up.frame, AtBridge(stun, port));
  Outcome down = harness_.Send(kLan, FromBridge(port).Payload("odd").PartialUdpChecksum().Build());
  EXPECT_EQ(down.frame, AtClient("odd"));
  // Full checksums on the same port are updated as ever.
  EXPECT_EQ(harness_.Send(kLan, FromBridge(port).Payload("odd").Build()).frame, AtClient("odd"));
}

TEST(PacketsPartialChecksum, IsLeftToAPortThatFinishesItItself) {
  WalkHarness harness(BasicSnapshot(true),
                      {.partial_checksums = true, .tx_checksum_offload = true});
  Bytes stun = StunRequest();
  Outcome up = harness.Send(kWan, Frame()
                                      .Eth(kGateway, kRelayWan)
                                      .IPv4("203.0.113.7", "198.51.100.10")
                                      .Udp(40000, 10000)
                                      .Payload(stun)
                                      .PartialUdpChecksum()
                                      .Build());
  ASSERT_EQ(up.verdict, Verdict::kTransmit);
  EXPECT_EQ(up.frame, Frame()
                          .Eth(kRelayLan, kBridge)
                          .IPv4("10.8.0.2", "10.8.0.11")
                          .Udp(SourcePort(up.frame), 10000)
                          .Ttl(63)
                          .Payload(stun)
                          .PartialUdpChecksum()
                          .Build());
}

class PacketsVlans : public testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(Modes, PacketsVlans, testing::Values(Mode{true, 1}, Mode{false, 2}),
                         ModeName);

// Tag on one side, none on the other: the frame grows and shrinks in place.
TEST_P(PacketsVlans, TagIsAddedAndTakenOff) {
  api::Snapshot snapshot = BasicSnapshot(GetParam().source_nat);
  snapshot.mutable_routing()->mutable_interfaces(0)->set_vlan(7);
  WalkHarness harness(snapshot, {.workers = GetParam().workers});
  Bytes stun = StunRequest();
  Outcome up = harness.Send(kWan, Frame()
                                      .Eth(kGateway, kRelayWan)
                                      .Vlan(7)
                                      .IPv4("203.0.113.7", "198.51.100.10")
                                      .Udp(40000, 10000)
                                      .Payload(stun)
                                      .Build());
  ASSERT_EQ(up.verdict, Verdict::kTransmit);
  uint16_t port = SourcePort(up.frame);
  std::string seen = GetParam().source_nat ? "10.8.0.2" : "203.0.113.7";
  EXPECT_EQ(up.frame, Frame()
                          .Eth(kRelayLan, kBridge)
                          .IPv4(seen, "10.8.0.11")
                          .Udp(port, 10000)
                          .Ttl(63)
                          .Payload(stun)
                          .Build());
  Outcome down = harness.Send(kLan, Frame()
                                        .Eth(kBridge, kRelayLan)
                                        .IPv4("10.8.0.11", seen)
                                        .Udp(10000, port)
                                        .Payload("d")
                                        .Build());
  EXPECT_EQ(down.frame, Frame()
                            .Eth(kRelayWan, kGateway)
                            .Vlan(7)
                            .IPv4("198.51.100.10", "203.0.113.7")
                            .Udp(10000, 40000)
                            .Ttl(63)
                            .Payload("d")
                            .Build());
}

TEST(PacketsListeners, RangeMapsPortByPortAndBridgePortShifts) {
  api::Snapshot snapshot = BasicSnapshot(true);
  auto& range = *snapshot.add_media();
  range = snapshot.media(0);
  range.set_name("range");
  range.set_address(AddressBytes("198.51.100.11"));
  range.mutable_ports()->set_first(10000);
  range.mutable_ports()->set_last(10050);
  range.set_bridge_first_port(12000);
  WalkHarness harness(snapshot, {});
  for (int port : {10000, 10025, 10050}) {
    Outcome out = harness.Send(kWan, Frame()
                                         .Eth(kGateway, kRelayWan)
                                         .IPv4("203.0.113.7", "198.51.100.11")
                                         .Udp(40000, static_cast<uint16_t>(port))
                                         .Payload(StunRequest())
                                         .Build());
    ASSERT_EQ(out.verdict, Verdict::kTransmit) << port;
    EXPECT_EQ(out.frame[36] << 8 | out.frame[37], port + 2000);
  }
  Outcome out = harness.Send(kWan, Frame()
                                       .Eth(kGateway, kRelayWan)
                                       .IPv4("203.0.113.7", "198.51.100.11")
                                       .Udp(40000, 10051)
                                       .Payload(StunRequest())
                                       .Build());
  EXPECT_EQ(out.drop, Drop::kNotForUs);
}

// One port, one address for everything: a listener and the NAT ports side by side.
TEST(PacketsOneArmed, ListenerAndNatPortsShareAnAddressAndAPort) {
  api::Snapshot snapshot = BasicSnapshot(true);
  auto& routing = *snapshot.mutable_routing();
  routing.mutable_interfaces()->DeleteSubrange(1, 1);
  routing.mutable_routes(2)->set_interface(0);
  routing.mutable_neighbours(1)->set_interface(0);
  snapshot.mutable_nat()->set_addresses(0, AddressBytes("198.51.100.10"));
  WalkHarness harness(snapshot, {});
  Bytes stun = StunRequest();
  Outcome up = harness.Send(kWan, Frame()
                                      .Eth(kGateway, kRelayWan)
                                      .IPv4("203.0.113.7", "198.51.100.10")
                                      .Udp(40000, 10000)
                                      .Payload(stun)
                                      .Build());
  ASSERT_EQ(up.verdict, Verdict::kTransmit);
  uint16_t port = SourcePort(up.frame);
  EXPECT_EQ(up.frame, Frame()
                          .Eth(kRelayWan, kBridge)
                          .IPv4("198.51.100.10", "10.8.0.11")
                          .Udp(port, 10000)
                          .Ttl(63)
                          .Payload(stun)
                          .Build());
  Outcome down = harness.Send(kWan, Frame()
                                        .Eth(kBridge, kRelayWan)
                                        .IPv4("10.8.0.11", "198.51.100.10")
                                        .Udp(10000, port)
                                        .Payload("d")
                                        .Build());
  EXPECT_EQ(down.frame, Frame()
                            .Eth(kRelayWan, kGateway)
                            .IPv4("198.51.100.10", "203.0.113.7")
                            .Udp(10000, 40000)
                            .Ttl(63)
                            .Payload("d")
                            .Build());
}

}  // namespace
}  // namespace bridgehead::test
