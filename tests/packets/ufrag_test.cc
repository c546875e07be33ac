// Several bridges behind one listener, told apart by the ufrag that a STUN request names, and ICE
// restarts: in both NAT modes, with one and two workers, over IPv4 and IPv6.
#include <gtest/gtest.h>

#include "tests/packets/modes.h"

namespace bridgehead::test {
namespace {

using Frame = test::Packet;

constexpr Mac kSecondBridge = {0x02, 0, 0, 0, 2, 0x03};

class PacketsUfrag : public testing::TestWithParam<Mode> {
 protected:
  PacketsUfrag() : snapshot_(TwoBridges()), harness_(snapshot_, {.workers = GetParam().workers}) {}

  static const Net& net() { return GetParam().net; }
  static std::string SecondAddress() { return net().BridgeIsV6() ? "2001:db8:8::12" : "10.8.0.12"; }
  static api::Snapshot TwoBridges() {
    api::Snapshot snapshot = BasicSnapshot(GetParam().source_nat, GetParam().net);
    snapshot.mutable_bridges(0)->set_ufrag_prefix("jvb1/");
    api::Bridge& second = *snapshot.add_bridges();
    second.set_name("jvb2");
    second.set_address(AddressBytes(SecondAddress()));
    second.set_ufrag_prefix("jvb2/");
    snapshot.mutable_media(0)->add_bridges("jvb2");
    api::Neighbour& neighbour = *snapshot.mutable_routing()->add_neighbours();
    neighbour.set_interface(1);
    neighbour.set_address(AddressBytes(SecondAddress()));
    neighbour.set_mac(MacBytes(kSecondBridge));
    return snapshot;
  }
  static Frame FromClient(uint16_t port = 40000) {
    return Frame().Eth(kGateway, kRelayWan).IP(net().client, net().listener).Udp(port, 10000);
  }
  Outcome Ask(std::string_view username, uint16_t port = 40000) {
    return harness_.Send(kWan, FromClient(port).Payload(StunRequest(username)).Build());
  }
  Outcome SendMedia(uint16_t port = 40000) {
    return harness_.Send(kWan, FromClient(port).Payload(kRtp).Build());
  }
  Outcome Answer(std::string_view bridge, uint16_t port, std::string_view payload = "answer") {
    Frame frame = Frame().Eth(kBridge, kRelayLan);
    frame.IP(bridge, GetParam().source_nat ? net().nat : net().client).Udp(10000, port);
    return harness_.Send(kLan, frame.Payload(payload).Build());
  }
  static Mac To(const Outcome& out) {
    Mac mac{};
    std::copy_n(out.frame.begin(), std::min(out.frame.size(), mac.size()), mac.begin());
    return mac;
  }
  static uint16_t SourcePort(const Outcome& out) {
    return out.frame.empty() ? uint16_t{0} : test::SourcePort(out.frame);
  }
  uint64_t Active() { return harness_.Sum(&WorkerCounters::sessions_active); }

  api::Snapshot snapshot_;
  WalkHarness harness_;
};

INSTANTIATE_TEST_SUITE_P(Modes, PacketsUfrag,
                         testing::Values(Mode{true, 1}, Mode{true, 2}, Mode{false, 1},
                                         Mode{false, 2}, Mode{true, 2, kNet6},
                                         Mode{false, 1, kNet6}, Mode{true, 1, kNet6To4}),
                         ModeName);

TEST_P(PacketsUfrag, PrefixChoosesTheBridge) {
  EXPECT_EQ(To(Ask("jvb1/abc:x", 40001)), kBridge);
  EXPECT_EQ(To(Ask("jvb2/abc:x", 40002)), kSecondBridge);
  EXPECT_EQ(To(Ask("jvb1/:x", 40003)), kBridge);
  EXPECT_EQ(To(SendMedia(40002)), kSecondBridge);
  uint64_t second = 0;
  for (size_t w = 0; w < harness_.workers(); ++w) {
    second += harness_.counters(w).bridges[1].packets_to_bridge.Get();
  }
  EXPECT_EQ(second, 2u);
}

TEST_P(PacketsUfrag, UnknownPrefixIsANamedDropOfTheListener) {
  for (std::string_view username : {"jvb3/abc:x", "jvb1:x", "jvb:x", "a:x", "zzz/:x", "/:jvb1/"}) {
    EXPECT_EQ(Ask(username).drop, Drop::kStunUnknownUfrag) << username;
  }
  EXPECT_EQ(Active(), 0u);
  uint64_t refused = 0;
  for (size_t w = 0; w < harness_.workers(); ++w) {
    refused += harness_.counters(w).listeners[0].refused_ufrag.Get();
  }
  EXPECT_EQ(refused, 6u);
}

TEST_P(PacketsUfrag, RestartOnAnotherBridgeLivesBesideTheOldSessionUntilItIsAnswered) {
  Outcome first = Ask("jvb1/old:x");
  Answer(net().bridge, SourcePort(first));
  EXPECT_EQ(To(SendMedia()), kBridge);

  Outcome second = Ask("jvb2/new:x");
  EXPECT_EQ(To(second), kSecondBridge);
  EXPECT_EQ(Active(), 2u);
  // Until the new bridge has answered, media and the old bridge's checks go on as they were.
  EXPECT_EQ(To(SendMedia()), kBridge);
  EXPECT_EQ(To(Ask("jvb1/old:x")), kBridge);
  EXPECT_EQ(Answer(net().bridge, SourcePort(first)).verdict, Verdict::kTransmit);
  EXPECT_EQ(Answer(SecondAddress(), SourcePort(second)).verdict, Verdict::kTransmit);
  EXPECT_EQ(To(SendMedia()), kSecondBridge);
  EXPECT_EQ(To(Ask("jvb1/old:x")), kBridge);
  EXPECT_EQ(Answer(net().bridge, SourcePort(first)).verdict, Verdict::kTransmit);
  EXPECT_EQ(Active(), 2u);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_unconfirmed), 0u);
  // Each ends on its own.
  harness_.Advance(200);
  SendMedia();
  harness_.Advance(150);
  EXPECT_EQ(Active(), 1u);
  EXPECT_EQ(To(SendMedia()), kSecondBridge);
  harness_.Advance(301);
  EXPECT_EQ(Active(), 0u);
}

// RFC 8445 section 9: the bridge's new agent must see a new address, or it is taken for the old
// one.
TEST_P(PacketsUfrag, RestartOnTheSameBridgeGetsAFreshUpstreamPort) {
  Outcome first = Ask("jvb1/old:x");
  Answer(net().bridge, SourcePort(first));
  SendMedia();
  Outcome second = Ask("jvb1/new:x");
  EXPECT_EQ(To(second), kBridge);
  if (!GetParam().source_nat) {
    EXPECT_EQ(SourcePort(second), 40000);  // the client's own: there is no second one
    EXPECT_EQ(Active(), 1u);
    return;
  }
  EXPECT_NE(SourcePort(second), SourcePort(first));
  EXPECT_EQ(SourcePort(Ask("jvb1/new:x")), SourcePort(second));
  EXPECT_EQ(SourcePort(Ask("jvb1/old:x")), SourcePort(first));
  Answer(net().bridge, SourcePort(second));
  EXPECT_EQ(SourcePort(SendMedia()), SourcePort(second));
  EXPECT_EQ(Active(), 2u);
}

TEST_P(PacketsUfrag, RestartThatCouldNotBeForwardedMakesNoSession) {
  Ask("jvb1/old:x");
  Bytes last_hop = FromClient().Ttl(1).Payload(StunRequest("jvb2/new:x")).Build();
  EXPECT_EQ(harness_.Send(kWan, last_hop).drop, Drop::kTtlExpired);
  EXPECT_EQ(Active(), 1u);
}

TEST_P(PacketsUfrag, RestartThatIsNeverAnsweredChangesNothing) {
  Outcome first = Ask("jvb1/old:x");
  Answer(net().bridge, SourcePort(first));
  SendMedia();
  Ask("jvb2/new:x");
  harness_.Advance(11);
  EXPECT_EQ(Active(), 1u);
  EXPECT_EQ(To(SendMedia()), kBridge);
}

TEST_P(PacketsUfrag, SessionLeftBesideAnEndedOneTakesOver) {
  Outcome first = Ask("jvb1/old:x");
  Outcome second = Ask("jvb2/new:x");
  Answer(SecondAddress(), SourcePort(second));
  Ask("jvb2/new:x");
  Answer(net().bridge, SourcePort(first));
  Ask("jvb1/old:x");  // answered last: it is the client's current session
  EXPECT_EQ(To(SendMedia()), kBridge);
  // Only the second one is kept alive, by its bridge.
  for (int i = 0; i < 4; ++i) {
    harness_.Advance(100);
    Answer(SecondAddress(), SourcePort(second));
  }
  EXPECT_EQ(Active(), 1u);
  EXPECT_EQ(SendMedia().drop, Drop::kNotStun);
  EXPECT_EQ(To(Ask("jvb2/new:x")), kSecondBridge);
  EXPECT_EQ(To(SendMedia()), kSecondBridge);
  EXPECT_EQ(Active(), 1u);
}

TEST_P(PacketsUfrag, RoamingClientIsRoutedByItsUsername) {
  Answer(SecondAddress(), SourcePort(Ask("jvb2/call:x", 40000)));
  EXPECT_EQ(SendMedia(41000).drop, Drop::kNotStun);
  EXPECT_EQ(To(Ask("jvb2/call:x", 41000)), kSecondBridge);
  EXPECT_EQ(To(SendMedia(41000)), kSecondBridge);
}

TEST_P(PacketsUfrag, RemovedBridgeKeepsItsSessionsAndTakesNoNewOnes) {
  Outcome first = Ask("jvb2/call:x");
  Answer(SecondAddress(), SourcePort(first));
  SendMedia();
  snapshot_.mutable_media(0)->mutable_bridges()->DeleteSubrange(1, 1);
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(To(SendMedia()), kSecondBridge);
  EXPECT_EQ(Answer(SecondAddress(), SourcePort(first)).verdict, Verdict::kTransmit);
  EXPECT_EQ(Ask("jvb2/call:x", 41000).drop, Drop::kStunUnknownUfrag);
  EXPECT_EQ(To(Ask("jvb1/call:x", 41001)), kBridge);
}

TEST_P(PacketsUfrag, BridgeThatTakesNoNewSessionsKeepsThoseItHas) {
  Outcome first = Ask("jvb2/call:x");
  Answer(SecondAddress(), SourcePort(first));
  SendMedia();
  for (auto [state, drop] : {std::pair(api::Bridge::DRAINING, Drop::kBridgeDraining),
                             std::pair(api::Bridge::DOWN, Drop::kBridgeDown)}) {
    snapshot_.mutable_bridges(1)->set_state(state);
    ASSERT_EQ(harness_.Switch(snapshot_), "");
    EXPECT_EQ(Ask("jvb2/other:x", 41000).drop, drop);
    EXPECT_EQ(To(Ask("jvb1/other:x", 41001)), kBridge);
    EXPECT_EQ(To(SendMedia()), kSecondBridge);
    EXPECT_EQ(To(Ask("jvb2/call:x")), kSecondBridge);
    EXPECT_EQ(To(Ask("jvb2/restarted:x")), kSecondBridge);
  }
  snapshot_.mutable_bridges(1)->set_state(api::Bridge::UP);
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(To(Ask("jvb2/other:x", 41000)), kSecondBridge);
}

TEST_P(PacketsUfrag, AmbiguousPrefixesAreRefused) {
  for (std::string_view prefix : {"", "jvb1/", "jvb1/x", "j"}) {
    api::Snapshot bad = snapshot_;
    bad.mutable_bridges(1)->set_ufrag_prefix(std::string(prefix));
    EXPECT_NE(harness_.Switch(bad), "") << prefix;
  }
}

}  // namespace
}  // namespace bridgehead::test
