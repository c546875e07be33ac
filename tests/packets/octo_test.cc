// Bridge to bridge: octo listeners with their access lists, flows that bridges open to the outside,
// and both between two bridges behind the same relay.
#include <gtest/gtest.h>

#include "tests/packets/modes.h"

namespace bridgehead::test {
namespace {

using Frame = test::Packet;

constexpr Mac kSecondBridge = {0x02, 0, 0, 0, 2, 0x03};
// Version 1, video, then RTP.
const Bytes kOctoV1 = {0,    0,  0, 9, 0xab, 0xcd, 0, 1, 0x40, 0, 0, 0,
                       0x80, 96, 0, 1, 0,    0,    0, 1, 0,    0, 0, 2};
// Version 0, audio, then RTP.
const Bytes kOctoV0 = {0x00, 0, 0, 9, 0xab, 0xcd, 0, 1, 0x80, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2};

class PacketsOcto : public testing::TestWithParam<Mode> {
 protected:
  PacketsOcto() : snapshot_(Octo()), harness_(snapshot_, {.workers = GetParam().workers}) {}

  static const Net& net() { return GetParam().net; }
  static bool V6() { return net().ClientIsV6(); }
  static const char* Peer() { return V6() ? "2001:db8:9::5" : "192.0.2.5"; }
  static const char* Stranger() { return V6() ? "2001:db8:99::5" : "192.0.99.5"; }
  static const char* SecondBridge() { return V6() ? "2001:db8:8::12" : "10.8.0.12"; }
  static const char* SecondPublic() { return V6() ? "2001:db8:10::11" : "198.51.100.11"; }
  static const char* Outside() { return V6() ? "2001:db8:10::77" : "198.51.100.77"; }

  static void AddOcto(const char* name, std::string_view address, const char* bridge,
                      api::Snapshot& snapshot) {
    api::MediaListener& octo = *snapshot.add_media();
    octo.set_name(name);
    octo.set_address(AddressBytes(address));
    octo.mutable_ports()->set_first(4096);
    octo.mutable_ports()->set_last(4096);
    octo.set_bridge_first_port(4096);
    octo.set_nat(api::MediaListener::NAT_DESTINATION);
    octo.set_kind(api::MediaListener::KIND_OCTO);
    octo.add_bridges(bridge);
    for (std::string_view prefix : {std::string_view(Peer()), std::string_view(net().listener),
                                    std::string_view(SecondPublic())}) {
      api::Prefix& allow = *octo.add_allow();
      allow.set_address(AddressBytes(prefix));
      allow.set_length(prefix == Peer() ? (V6() ? 48 : 24) : (V6() ? 128 : 32));
    }
  }
  static api::Snapshot Octo() {
    api::Snapshot snapshot = BasicSnapshot(true, net());
    api::Bridge& second = *snapshot.add_bridges();
    second.set_name("jvb2");
    second.set_address(AddressBytes(SecondBridge()));
    api::Neighbour& neighbour = *snapshot.mutable_routing()->add_neighbours();
    neighbour.set_interface(1);
    neighbour.set_address(AddressBytes(SecondBridge()));
    neighbour.set_mac(MacBytes(kSecondBridge));
    AddOcto("octo1", net().listener, "jvb1", snapshot);
    AddOcto("octo2", SecondPublic(), "jvb2", snapshot);
    snapshot.mutable_nat()->add_outside_addresses(AddressBytes(Outside()));
    api::PortRange& ports = *snapshot.mutable_outbound()->add_ports();
    ports.set_first(10000);
    ports.set_last(10010);
    return snapshot;
  }
  Outcome FromPeer(std::string_view source, const Bytes& payload = kOctoV1, uint16_t port = 4096) {
    return harness_.Send(kWan, Frame()
                                   .Eth(kGateway, kRelayWan)
                                   .IP(source, net().listener)
                                   .Udp(port, 4096)
                                   .Payload(payload)
                                   .Build());
  }
  static Frame FromBridge(std::string_view to, uint16_t source_port, uint16_t port,
                          const Bytes& payload) {
    return Frame()
        .Eth(kBridge, kRelayLan)
        .IP(net().bridge, to)
        .Udp(source_port, port)
        .Payload(payload);
  }
  static Bytes AtPeer(std::string_view source, uint16_t source_port, std::string_view to,
                      uint16_t port, const Bytes& payload) {
    return Frame()
        .Eth(kRelayWan, kGateway)
        .IP(source, to)
        .Udp(source_port, port)
        .Ttl(63)
        .Payload(payload)
        .Build();
  }

  api::Snapshot snapshot_;
  WalkHarness harness_;
};

INSTANTIATE_TEST_SUITE_P(Modes, PacketsOcto,
                         testing::Values(Mode{true, 1}, Mode{true, 2}, Mode{true, 1, kNet6},
                                         Mode{true, 2, kNet6}),
                         ModeName);

TEST_P(PacketsOcto, OneToOneInBothDirectionsWithTheAddressesTheBridgesKnow) {
  EXPECT_EQ(FromPeer(Peer()).frame, Frame()
                                        .Eth(kRelayLan, kBridge)
                                        .IP(Peer(), net().bridge)
                                        .Udp(4096, 4096)
                                        .Ttl(63)
                                        .Payload(kOctoV1)
                                        .Build());
  Outcome back = harness_.Send(kLan, FromBridge(Peer(), 4096, 4096, kOctoV1).Build());
  EXPECT_EQ(back.frame, AtPeer(net().listener, 4096, Peer(), 4096, kOctoV1));
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_created), 1u);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_unconfirmed), 0u);
}

TEST_P(PacketsOcto, EitherSideMayBegin) {
  Outcome out = harness_.Send(kLan, FromBridge(Peer(), 4096, 4096, kOctoV1).Build());
  EXPECT_EQ(out.frame, AtPeer(net().listener, 4096, Peer(), 4096, kOctoV1));
  EXPECT_EQ(FromPeer(Peer()).verdict, Verdict::kTransmit);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_created), 1u);
}

TEST_P(PacketsOcto, OnlyAllowedPeersBothWays) {
  EXPECT_EQ(FromPeer(Stranger()).drop, Drop::kDenied);
  EXPECT_EQ(harness_.Send(kLan, FromBridge(Stranger(), 4096, 4096, kOctoV1).Build()).drop,
            Drop::kDenied);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_created), 0u);
}

TEST_P(PacketsOcto, WithoutAListNobodyIs) {
  snapshot_.mutable_media(1)->clear_allow();
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(FromPeer(Peer()).drop, Drop::kDenied);
}

TEST_P(PacketsOcto, OnlyWhatLooksLikeOctoOpensAFlow) {
  EXPECT_EQ(FromPeer(Peer(), StunRequest()).drop, Drop::kOctoMalformed);
  EXPECT_EQ(FromPeer(Peer(), Bytes(kOctoV1.begin(), kOctoV1.begin() + 12)).drop,
            Drop::kOctoMalformed);
  Bytes reserved = kOctoV1;
  reserved[10] = 1;
  reserved[0] = 7;
  EXPECT_EQ(FromPeer(Peer(), reserved).drop, Drop::kOctoMalformed);
  EXPECT_EQ(FromPeer(Peer(), kOctoV0, 4097).verdict, Verdict::kTransmit);
  snapshot_.mutable_media(1)->set_octo_version(api::MediaListener::OCTO_V1);
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(FromPeer(Peer(), kOctoV0, 4098).drop, Drop::kOctoMalformed);
  EXPECT_EQ(FromPeer(Peer(), kOctoV1, 4098).verdict, Verdict::kTransmit);
}

// RFC 4787 requirement 9: each sees the other under its public address.
TEST_P(PacketsOcto, TwoBridgesBehindTheSameRelay) {
  Outcome there = harness_.Send(kLan, FromBridge(SecondPublic(), 4096, 4096, kOctoV1).Build());
  EXPECT_EQ(there.frame, Frame()
                             .Eth(kRelayLan, kSecondBridge)
                             .IP(net().listener, SecondBridge())
                             .Udp(4096, 4096)
                             .Ttl(63)
                             .Payload(kOctoV1)
                             .Build());
  Outcome back = harness_.Send(kLan, Frame()
                                         .Eth(kSecondBridge, kRelayLan)
                                         .IP(SecondBridge(), net().listener)
                                         .Udp(4096, 4096)
                                         .Payload(kOctoV0)
                                         .Build());
  EXPECT_EQ(back.frame, Frame()
                            .Eth(kRelayLan, kBridge)
                            .IP(SecondPublic(), net().bridge)
                            .Udp(4096, 4096)
                            .Ttl(63)
                            .Payload(kOctoV0)
                            .Build());
}

// RFC 5508 requirement 7: the error goes to the bridge that has sent, about what that has sent, and
// comes from the address that it knows the other one by. Once both have sent: each direction has a
// session of its own, and the error takes the one that an answer would take.
TEST_P(PacketsOcto, ErrorsAboutHairpinnedPacketsReachTheirSender) {
  harness_.Send(kLan, FromBridge(SecondPublic(), 4096, 4096, kOctoV1).Build());
  Frame back = Frame().Eth(kSecondBridge, kRelayLan).IP(SecondBridge(), net().listener);
  harness_.Send(kLan, back.Udp(4096, 4096).Payload(kOctoV0).Build());
  auto unreachable = [](Frame frame) { return V6() ? frame.Icmp(1, 4) : frame.Icmp(3, 3); };
  Frame arrived = Frame().IP(net().listener, SecondBridge()).Udp(4096, 4096).Ttl(63);
  Frame sent = Frame().IP(net().bridge, SecondPublic()).Udp(4096, 4096).Ttl(63);
  Frame error = Frame().Eth(kSecondBridge, kRelayLan).IP(SecondBridge(), net().listener);
  Frame expected = Frame().Eth(kRelayLan, kBridge).IP(SecondPublic(), net().bridge).Ttl(63);
  for (size_t first = 0; first < GetParam().workers; ++first) {
    Bytes frame = unreachable(error).Quote(arrived.Payload(kOctoV1)).Build();
    EXPECT_EQ(harness_.Send(kLan, frame, first).frame,
              unreachable(expected).Quote(sent.Payload(kOctoV1)).Build());
  }
}

// A private address of ours from outside would otherwise pass for a bridge's public one.
TEST_P(PacketsOcto, ABridgesAddressFromOutsideOpensAndJoinsNothing) {
  Frame there = FromBridge(SecondPublic(), 4096, 4096, kOctoV1);
  Frame forged = Frame(there).Eth(kGateway, kRelayWan);
  EXPECT_EQ(harness_.Send(kWan, forged.Build()).drop, Drop::kWrongIngress);
  EXPECT_EQ(harness_.Send(kLan, there.Build()).verdict, Verdict::kTransmit);
  EXPECT_EQ(harness_.Send(kWan, forged.Build()).drop, Drop::kWrongIngress);
  // A route that changes makes every session look again, and changes nothing about that.
  snapshot_.mutable_routing()->mutable_interfaces(0)->set_mtu(1400);
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(harness_.Send(kLan, there.Build()).verdict, Verdict::kTransmit);
  EXPECT_EQ(harness_.Send(kWan, forged.Build()).drop, Drop::kWrongIngress);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_created), 1u);
}

TEST_P(PacketsOcto, ADamagedRequestOpensNothing) {
  Bytes frame = Frame()
                    .Eth(kGateway, kRelayWan)
                    .IP(Peer(), net().listener)
                    .Udp(4096, 4096)
                    .Payload(kOctoV1)
                    .UdpChecksum(0x1234)
                    .Build();
  EXPECT_EQ(harness_.Send(kWan, frame, 0, kUdpChecksumGood).drop, Drop::kUdpChecksum);
}

using PacketsOutbound = PacketsOcto;
INSTANTIATE_TEST_SUITE_P(Modes, PacketsOutbound,
                         testing::Values(Mode{true, 1}, Mode{true, 2}, Mode{true, 1, kNet6},
                                         Mode{true, 2, kNet6}),
                         ModeName);

TEST_P(PacketsOutbound, ABridgeOpensAFlowFromAPortOfItsOwnChoice) {
  Bytes check = StunRequest();
  Outcome out = harness_.Send(kLan, FromBridge(Peer(), 51234, 10000, check).Build());
  ASSERT_EQ(out.verdict, Verdict::kTransmit);
  const uint16_t port = SourcePort(out.frame);
  EXPECT_GE(port, 20000);
  EXPECT_EQ(out.frame, AtPeer(Outside(), port, Peer(), 10000, check));
  for (const Bytes& payload : {StunRequest("x:y"), Bytes{1, 2, 3}}) {
    Frame answer = Frame().Eth(kGateway, kRelayWan).IP(Peer(), Outside()).Udp(10000, port);
    EXPECT_EQ(harness_.Send(kWan, answer.Payload(payload).Build()).frame,
              Frame()
                  .Eth(kRelayLan, kBridge)
                  .IP(Peer(), net().bridge)
                  .Udp(10000, 51234)
                  .Ttl(63)
                  .Payload(payload)
                  .Build());
  }
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_created), 1u);
  // Endpoint-dependent filtering.
  Frame other = Frame().Eth(kGateway, kRelayWan).IP(Stranger(), Outside()).Udp(10000, port);
  EXPECT_EQ(harness_.Send(kWan, other.Payload("x").Build()).drop, Drop::kWrongPeer);
  harness_.Advance(301);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_active), 0u);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::nat_ports_in_use), 0u);
}

// RFC 4787 requirement 1: endpoint-independent mapping.
TEST_P(PacketsOutbound, OneMappingWhateverTheDestination) {
  auto open = [&](std::string_view peer, uint16_t peer_port, uint16_t from = 51234) {
    Outcome out = harness_.Send(kLan, FromBridge(peer, from, peer_port, {1}).Build());
    EXPECT_EQ(out.verdict, Verdict::kTransmit);
    return SourcePort(out.frame);
  };
  auto answer = [&](std::string_view peer, uint16_t peer_port, uint16_t port) {
    Frame frame = Frame().Eth(kGateway, kRelayWan).IP(peer, Outside()).Udp(peer_port, port);
    return harness_.Send(kWan, frame.Payload("answer").Build());
  };
  const uint16_t port = open(Peer(), 10000);
  EXPECT_EQ(open(Stranger(), 10000), port);
  EXPECT_EQ(open(Stranger(), 10001), port);
  EXPECT_NE(open(Peer(), 10000, 51235), port);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_active), 4u);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::nat_ports_in_use), 2u);
  for (auto [peer, peer_port] : {std::pair{Peer(), uint16_t{10000}},
                                 {Stranger(), uint16_t{10000}},
                                 {Stranger(), uint16_t{10001}}}) {
    Frame at_bridge = Frame().Eth(kRelayLan, kBridge).IP(peer, net().bridge);
    at_bridge.Udp(peer_port, 51234).Ttl(63).Payload("answer");
    EXPECT_EQ(answer(peer, peer_port, port).frame, at_bridge.Build());
  }
  EXPECT_EQ(answer(Peer(), 10001, port).drop, Drop::kWrongPeer);
  // An error about one of the flows, and fragments, find theirs too.
  Frame error = Frame().Eth(kGateway, kRelayWan).IP(Stranger(), Outside());
  error.Icmp(V6() ? 1 : 3, V6() ? 4 : 3);
  Frame quoted = Frame().IP(Outside(), Stranger()).Udp(port, 10001).Payload("x");
  EXPECT_EQ(harness_.Send(kWan, error.Quote(quoted).Build()).verdict, Verdict::kTransmit);
  // The first flow ends, the others go on and keep the port; others get other ones.
  for (int i = 0; i < 4; ++i) {
    harness_.Advance(200);
    EXPECT_EQ(answer(Stranger(), 10001, port).verdict, Verdict::kTransmit);
  }
  EXPECT_EQ(open(Peer(), 10002), port);
  EXPECT_NE(open(Peer(), 10000, 51236), port);
  harness_.Advance(1300);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_active), 0u);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::nat_ports_in_use), 0u);
  // The same again afterwards: the choice depends on nothing but the bridge's end.
  EXPECT_EQ(open(Stranger(), 10000), port);
}

TEST_P(PacketsOutbound, OnlyToWhereItIsAllowed) {
  api::Prefix& allow = *snapshot_.mutable_outbound()->add_allow();
  allow.set_address(AddressBytes(Peer()));
  allow.set_length(V6() ? 128 : 32);
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(harness_.Send(kLan, FromBridge(Peer(), 51234, 10000, {1}).Build()).verdict,
            Verdict::kTransmit);
  EXPECT_EQ(harness_.Send(kLan, FromBridge(Stranger(), 51234, 10000, {1}).Build()).drop,
            Drop::kDenied);
  EXPECT_EQ(harness_.Send(kLan, FromBridge(Peer(), 51234, 10010, {1}).Build()).verdict,
            Verdict::kTransmit);
  EXPECT_EQ(harness_.Send(kLan, FromBridge(Peer(), 51234, 53, {1}).Build()).drop, Drop::kNotForUs);
}

TEST_P(PacketsOutbound, OnlyFromWhereTheBridgeIs) {
  Frame forged = FromBridge(Peer(), 51234, 10000, {1}).Eth(kGateway, kRelayWan);
  EXPECT_EQ(harness_.Send(kWan, forged.Build()).drop, Drop::kWrongIngress);
}

TEST_P(PacketsOutbound, OffUnlessConfigured) {
  snapshot_.mutable_nat()->clear_outside_addresses();
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(harness_.Send(kLan, FromBridge(Peer(), 51234, 10000, {1}).Build()).drop,
            Drop::kNotForUs);
}

// Secure octo between two bridges behind the relay: an ordinary client of the other's listener.
TEST_P(PacketsOutbound, HairpinToAMediaListenerIsSourceNat) {
  snapshot_.mutable_media(0)->set_bridges(0, "jvb2");
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  Bytes check = StunRequest();
  Outcome out = harness_.Send(kLan, FromBridge(net().listener, 51234, 10000, check).Build());
  ASSERT_EQ(out.verdict, Verdict::kTransmit);
  const uint16_t port = SourcePort(out.frame);
  EXPECT_EQ(out.frame, Frame()
                           .Eth(kRelayLan, kSecondBridge)
                           .IP(net().nat, SecondBridge())
                           .Udp(port, 10000)
                           .Ttl(63)
                           .Payload(check)
                           .Build());
  Frame answer = Frame().Eth(kSecondBridge, kRelayLan).IP(SecondBridge(), net().nat);
  EXPECT_EQ(harness_.Send(kLan, answer.Udp(10000, port).Payload("answer").Build()).frame,
            Frame()
                .Eth(kRelayLan, kBridge)
                .IP(net().listener, net().bridge)
                .Udp(10000, 51234)
                .Ttl(63)
                .Payload("answer")
                .Build());
}

TEST_P(PacketsOutbound, ErrorsAboutHairpinnedPacketsReachTheirSender) {
  snapshot_.mutable_media(0)->set_bridges(0, "jvb2");
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  Frame check = FromBridge(net().listener, 51234, 10000, StunRequest());
  Outcome out = harness_.Send(kLan, check.Build());
  ASSERT_EQ(out.verdict, Verdict::kTransmit);
  auto unreachable = [](Frame frame) { return V6() ? frame.Icmp(1, 4) : frame.Icmp(3, 3); };
  Frame arrived = Frame().IP(net().nat, SecondBridge()).Udp(SourcePort(out.frame), 10000).Ttl(63);
  Frame error = Frame().Eth(kSecondBridge, kRelayLan).IP(SecondBridge(), net().nat);
  Frame expected = Frame().Eth(kRelayLan, kBridge).IP(net().listener, net().bridge).Ttl(63);
  for (size_t first = 0; first < GetParam().workers; ++first) {
    Bytes frame = unreachable(error).Quote(arrived.Payload(StunRequest())).Build();
    EXPECT_EQ(harness_.Send(kLan, frame, first).frame,
              unreachable(expected).Quote(check.Ttl(63)).Build());
  }
}

using PacketsAccess = PacketsOcto;
INSTANTIATE_TEST_SUITE_P(Modes, PacketsAccess, testing::Values(Mode{true, 1}, Mode{true, 2, kNet6}),
                         ModeName);

TEST_P(PacketsAccess, TheLongestPrefixDecides) {
  api::MediaListener& media = *snapshot_.mutable_media(0);
  auto add = [&](api::Prefix& prefix, uint32_t v4_length, uint32_t v6_length) {
    prefix.set_address(AddressBytes(net().client));
    prefix.set_length(V6() ? v6_length : v4_length);
  };
  auto ask = [&](std::string_view source) {
    return harness_.Send(kWan, Frame()
                                   .Eth(kGateway, kRelayWan)
                                   .IP(source, net().listener)
                                   .Udp(40000, 10000)
                                   .Payload(StunRequest())
                                   .Build());
  };
  add(*media.add_deny(), 24, 48);
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(ask(net().client).drop, Drop::kDenied);
  EXPECT_EQ(ask(Stranger()).verdict, Verdict::kTransmit);
  add(*media.add_allow(), 32, 128);
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(ask(net().client).verdict, Verdict::kTransmit);
  EXPECT_EQ(ask(Peer()).drop, Drop::kDenied);  // with an allow-list, others are not
}

}  // namespace
}  // namespace bridgehead::test
