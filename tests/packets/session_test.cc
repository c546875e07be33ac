// Sessions over time: expiry, limits, ports, reloads, next hops. The clock moves only when told.
#include <set>

#include <gtest/gtest.h>

#include "tests/support/walk_harness.h"

namespace bridgehead::test {
namespace {

using Frame = test::Packet;

Bytes Request(uint16_t port, std::string_view client = "203.0.113.7",
              std::string_view listener = "198.51.100.10") {
  return Frame()
      .Eth(kGateway, kRelayWan)
      .IPv4(client, listener)
      .Udp(port, 10000)
      .Payload(StunRequest())
      .Build();
}
Bytes Media(uint16_t port) {
  return Frame()
      .Eth(kGateway, kRelayWan)
      .IPv4("203.0.113.7", "198.51.100.10")
      .Udp(port, 10000)
      .Payload(kRtp)
      .Build();
}
uint16_t NatPort(const Outcome& up) {
  return static_cast<uint16_t>(up.frame.at(34) << 8 | up.frame.at(35));
}
Bytes Reply(uint16_t nat_port) {
  return Frame()
      .Eth(kBridge, kRelayLan)
      .IPv4("10.8.0.11", "10.8.0.2")
      .Udp(10000, nat_port)
      .Payload("reply")
      .Build();
}

// Request, answer, and media after it. Returns the NAT port.
uint16_t Confirm(WalkHarness& harness, uint16_t client_port) {
  uint16_t port = NatPort(harness.Send(kWan, Request(client_port)));
  EXPECT_EQ(harness.Send(kLan, Reply(port)).verdict, Verdict::kTransmit);
  EXPECT_EQ(harness.Send(kWan, Media(client_port)).verdict, Verdict::kTransmit);
  return port;
}

class PacketsSessions : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Workers, PacketsSessions, testing::Values(1, 2));

TEST_P(PacketsSessions, UnconfirmedEndsAfterItsShortTime) {
  WalkHarness harness(BasicSnapshot(true), {.workers = GetParam()});
  harness.Send(kWan, Request(40000));
  harness.Advance(5);
  // The client's own packets do not keep it: only an answer makes a session.
  EXPECT_EQ(harness.Send(kWan, Media(40000)).verdict, Verdict::kTransmit);
  harness.Advance(6);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_active), 0u);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_unconfirmed), 0u);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_expired), 1u);
  EXPECT_EQ(harness.Send(kWan, Media(40000)).drop, Drop::kNotStun);
}

TEST_P(PacketsSessions, ConfirmedEndsAfterTheIdleTimeoutFromTheLastPacket) {
  WalkHarness harness(BasicSnapshot(true), {.workers = GetParam()});
  uint16_t port = Confirm(harness, 40000);
  harness.Advance(290);
  EXPECT_EQ(harness.Send(kWan, Media(40000)).verdict, Verdict::kTransmit);
  harness.Advance(290);
  EXPECT_EQ(harness.Send(kLan, Reply(port)).verdict, Verdict::kTransmit);
  harness.Advance(299);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_active), 1u);
  harness.Advance(2);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_active), 0u);
  EXPECT_EQ(harness.Send(kLan, Reply(port)).drop, Drop::kNoSession);
}

TEST_P(PacketsSessions, TimeoutsLongerThanTheWheelHold) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_timeouts()->set_idle_seconds(5000);
  WalkHarness harness(snapshot, {.workers = GetParam()});
  Confirm(harness, 40000);
  harness.Advance(4990);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_active), 1u);
  harness.Advance(20);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_active), 0u);
}

TEST_P(PacketsSessions, SameClientGetsItsPortAgainAfterARestart) {
  uint16_t before = 0, after = 0;
  for (uint16_t* port : {&before, &after}) {
    WalkHarness harness(BasicSnapshot(true), {.workers = GetParam()});
    *port = NatPort(harness.Send(kWan, Request(40000)));
  }
  EXPECT_EQ(before, after);
}

TEST_P(PacketsSessions, FreedPortRestsForTheQuarantine) {
  WalkHarness harness(BasicSnapshot(true), {.workers = GetParam()});
  uint16_t port = Confirm(harness, 40000);
  harness.Advance(301);
  EXPECT_EQ(harness.Sum(&WorkerCounters::nat_ports_quarantined), 1u);
  harness.Advance(100);
  EXPECT_NE(NatPort(harness.Send(kWan, Request(40000))), port);
  harness.Advance(150);
  EXPECT_EQ(NatPort(harness.Send(kWan, Request(40000))), port);
}

TEST_P(PacketsSessions, PortThatNoBridgeAnsweredToIsFreeAtOnce) {
  WalkHarness harness(BasicSnapshot(true), {.workers = GetParam()});
  uint16_t port = NatPort(harness.Send(kWan, Request(40000)));
  harness.Advance(11);
  EXPECT_EQ(harness.Sum(&WorkerCounters::nat_ports_quarantined), 0u);
  EXPECT_EQ(NatPort(harness.Send(kWan, Request(40000))), port);
}

TEST_P(PacketsSessions, DestinationNatNeedsNoNatAddress) {
  api::Snapshot snapshot = BasicSnapshot(false);
  snapshot.mutable_nat()->clear_addresses();
  WalkHarness harness(snapshot, {.workers = GetParam()});
  EXPECT_EQ(harness.Send(kWan, Request(40000)).verdict, Verdict::kTransmit);
  harness.Advance(11);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_active), 0u);
}

// A reload moves the public address; the client uses the old session and the new one from one
// socket.
TEST_P(PacketsSessions, TheNewerOfTwoSessionsOfOneClientGetsTheAnswers) {
  api::Snapshot snapshot = BasicSnapshot(false);
  WalkHarness harness(snapshot, {.workers = GetParam()});
  harness.Send(kWan, Request(40000));
  snapshot.mutable_media(0)->set_address(AddressBytes("198.51.100.11"));
  ASSERT_EQ(harness.Switch(snapshot), "");
  Bytes moved = Request(40000, "203.0.113.7", "198.51.100.11");
  ASSERT_EQ(harness.Send(kWan, moved).verdict, Verdict::kTransmit);
  Bytes answer = Frame()
                     .Eth(kBridge, kRelayLan)
                     .IPv4("10.8.0.11", "203.0.113.7")
                     .Udp(10000, 40000)
                     .Payload("answer")
                     .Build();
  Bytes expected = Frame()
                       .Eth(kRelayWan, kGateway)
                       .IPv4("198.51.100.11", "203.0.113.7")
                       .Udp(10000, 40000)
                       .Ttl(63)
                       .Payload("answer")
                       .Build();
  EXPECT_EQ(harness.Send(kLan, answer).frame, expected);
  EXPECT_EQ(harness.Send(kWan, moved).verdict, Verdict::kTransmit);
  harness.Advance(12);  // the older one ends; the newer one, confirmed, still answers
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_active), 1u);
  EXPECT_EQ(harness.Send(kLan, answer).frame, expected);
}

TEST_P(PacketsSessions, PortsRunOutByNameAndComeBack) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_nat()->mutable_ports()->set_first(20000);
  snapshot.mutable_nat()->mutable_ports()->set_last(20009);
  snapshot.mutable_timeouts()->set_quarantine_seconds(5);
  WalkHarness harness(snapshot,
                      {.workers = GetParam(), .nat_first_port = 20000, .nat_last_port = 20009});
  std::set<uint16_t> ports;
  size_t refused = 0;
  for (uint16_t i = 0; i < 100; ++i) {
    Outcome out = harness.Send(kWan, Request(static_cast<uint16_t>(30000 + i)));
    if (out.verdict == Verdict::kTransmit) {
      EXPECT_TRUE(ports.insert(NatPort(out)).second) << "port used twice";
      harness.Send(kLan, Reply(NatPort(out)));
    } else {
      EXPECT_EQ(out.drop, Drop::kNatPortsExhausted);
      ++refused;
    }
  }
  EXPECT_EQ(ports.size(), 10u);  // every port of every partition
  EXPECT_EQ(refused, 90u);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_active), 10u);
  harness.Advance(310);
  EXPECT_EQ(harness.Send(kWan, Request(31000)).verdict, Verdict::kTransmit);
}

TEST_P(PacketsSessions, TableFullLeavesTheOthersAlone) {
  api::Snapshot snapshot = BasicSnapshot(false);
  WalkHarness harness(snapshot, {.workers = GetParam(), .max_sessions = 64});
  size_t made = 0, refused = 0;
  for (uint16_t i = 0; i < 400; ++i) {
    const auto port = static_cast<uint16_t>(30000 + i);
    Outcome out = harness.Send(kWan, Request(port));
    made += out.verdict == Verdict::kTransmit;
    refused += out.drop == Drop::kTableFull;
    // Confirmed at once: only then does it not make room for others.
    harness.Send(kLan, Frame()
                           .Eth(kBridge, kRelayLan)
                           .IPv4("10.8.0.11", "203.0.113.7")
                           .Udp(10000, port)
                           .Payload("answer")
                           .Build());
    harness.Send(kWan, Media(port));
  }
  EXPECT_EQ(made, 64 * GetParam());
  EXPECT_EQ(made + refused, 400u);
  EXPECT_EQ(harness.Send(kWan, Media(30000)).verdict, Verdict::kTransmit);
  harness.Advance(301);
  EXPECT_EQ(harness.Send(kWan, Request(31000)).verdict, Verdict::kTransmit);
}

TEST(PacketsLimits, TheOldestUnconfirmedSessionMakesRoom) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_limits()->set_unconfirmed(8);
  WalkHarness harness(snapshot, {});
  Confirm(harness, 29000);
  for (uint16_t i = 0; i < 20; ++i) {
    EXPECT_EQ(harness.Send(kWan, Request(static_cast<uint16_t>(30000 + i))).verdict,
              Verdict::kTransmit);
  }
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_unconfirmed), 8u);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_displaced), 12u);
  // The first twelve are gone, the others and the confirmed one are not.
  EXPECT_EQ(harness.Send(kWan, Media(30011)).drop, Drop::kNotStun);
  EXPECT_EQ(harness.Send(kWan, Media(30012)).verdict, Verdict::kTransmit);
  EXPECT_EQ(harness.Send(kWan, Media(29000)).verdict, Verdict::kTransmit);
}

TEST(PacketsLimits, WhatMadeRoomEndsOnce) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_limits()->set_unconfirmed(8);
  WalkHarness harness(snapshot, {});
  Confirm(harness, 29000);
  for (uint16_t i = 0; i < 100; ++i) harness.Send(kWan, Request(static_cast<uint16_t>(30000 + i)));
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_displaced), 92u);
  harness.Advance(11);  // the time of all of them is over
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_expired), 100u);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_unconfirmed), 0u);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_active), 1u);
  EXPECT_EQ(harness.Sum(&WorkerCounters::nat_ports_in_use), 1u);
}

// The record of a session that made room is used again at once, and has a time of its own.
TEST(PacketsLimits, WhoTakesTheRoomHasItsFullTime) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_limits()->set_unconfirmed(1);
  WalkHarness harness(snapshot, {});
  harness.Send(kWan, Request(30000));
  harness.Advance(5);
  harness.Send(kWan, Request(30001));
  harness.Advance(6);
  EXPECT_EQ(harness.Send(kWan, Media(30001)).verdict, Verdict::kTransmit);
  harness.Advance(5);
  EXPECT_EQ(harness.Send(kWan, Media(30001)).drop, Drop::kNotStun);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_expired), 2u);
}

TEST(PacketsLimits, WhoHasItsSharePushesNobodyOut) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_limits()->set_unconfirmed(4);
  snapshot.mutable_limits()->set_sessions_per_source(3);
  WalkHarness harness(snapshot, {});
  harness.Send(kWan, Request(30000, "203.0.113.8"));
  for (uint16_t i = 0; i < 3; ++i) {
    harness.Send(kWan, Request(static_cast<uint16_t>(31000 + i)));
  }
  for (uint16_t i = 3; i < 20; ++i) {
    EXPECT_EQ(harness.Send(kWan, Request(static_cast<uint16_t>(31000 + i))).drop,
              Drop::kSourceLimit);
  }
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_displaced), 0u);
}

// The burst that displaces a session may hold packets of it, already looked up.
TEST(PacketsLimits, ASessionDisplacedWithinABurstIsNotUsed) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_limits()->set_unconfirmed(1);
  WalkHarness harness(snapshot, {});
  harness.Send(kWan, Request(30000));
  auto out = harness.Send(kWan, {Request(30001), Media(30000), Request(30002), Media(30001)});
  EXPECT_EQ(out[0].verdict, Verdict::kTransmit);
  EXPECT_EQ(out[1].drop, Drop::kNotStun);
  EXPECT_EQ(out[2].verdict, Verdict::kTransmit);
  EXPECT_EQ(out[3].drop, Drop::kNotStun);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_active), 1u);
  EXPECT_EQ(harness.Sum(&WorkerCounters::nat_ports_in_use), 1u);
}

// A forged source never comes twice; a newcomer does.
TEST(PacketsLimits, BeyondTheRateSourcesHaveToAskTwice) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_limits()->set_new_sessions(10);
  WalkHarness harness(snapshot, {});
  for (uint16_t i = 0; i < 10; ++i) {
    EXPECT_EQ(harness.Send(kWan, Request(static_cast<uint16_t>(30000 + i))).verdict,
              Verdict::kTransmit);
  }
  EXPECT_EQ(harness.Send(kWan, Request(31000)).drop, Drop::kAskAgain);
  EXPECT_EQ(harness.Send(kWan, Request(31001)).drop, Drop::kAskAgain);
  EXPECT_EQ(harness.Send(kWan, Request(31000)).verdict, Verdict::kTransmit);
  EXPECT_EQ(harness.Send(kWan, Request(31000, "203.0.113.8")).drop, Drop::kAskAgain);
  // The next second has its own ten.
  harness.Advance(1);
  EXPECT_EQ(harness.Send(kWan, Request(31002)).verdict, Verdict::kTransmit);
  // Sessions there are do not ask anybody.
  EXPECT_EQ(harness.Send(kWan, Media(30000)).verdict, Verdict::kTransmit);
}

TEST(PacketsLimits, ASourceIsForgottenInTime) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_limits()->set_new_sessions(1);
  WalkHarness harness(snapshot, {});
  harness.Send(kWan, Request(30000));  // has the one that is free
  EXPECT_EQ(harness.Send(kWan, Request(31000)).drop, Drop::kAskAgain);
  for (int second = 0; second < 8; ++second) {
    harness.Advance(1);
    // As many requests as it takes to clear a filter piece by piece.
    for (int i = 0; i < 100; ++i) {
      harness.Send(kWan, Request(static_cast<uint16_t>(1000 + 100 * second + i)));
    }
  }
  EXPECT_EQ(harness.Send(kWan, Request(31000)).drop, Drop::kAskAgain);
  EXPECT_EQ(harness.Send(kWan, Request(31000)).verdict, Verdict::kTransmit);
}

TEST(PacketsLimits, SourcePrefixesAndListenersHaveTheirRates) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_limits()->set_new_sessions_per_prefix(3);
  snapshot.mutable_media(0)->set_new_sessions(5);
  WalkHarness harness(snapshot, {});
  for (uint16_t i = 0; i < 3; ++i) {
    EXPECT_EQ(harness.Send(kWan, Request(30000, "203.0.113." + std::to_string(i + 1))).verdict,
              Verdict::kTransmit);
  }
  EXPECT_EQ(harness.Send(kWan, Request(30000, "203.0.113.77")).drop, Drop::kPrefixRate);
  EXPECT_EQ(harness.Send(kWan, Request(30000, "203.0.114.1")).verdict, Verdict::kTransmit);
  EXPECT_EQ(harness.Send(kWan, Request(30000, "203.0.115.1")).verdict, Verdict::kTransmit);
  EXPECT_EQ(harness.Send(kWan, Request(30000, "203.0.116.1")).drop, Drop::kListenerRate);
  harness.Advance(1);
  EXPECT_EQ(harness.Send(kWan, Request(30000, "203.0.113.77")).verdict, Verdict::kTransmit);
}

TEST(PacketsLimits, OneSourceHasItsShare) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_limits()->set_sessions_per_source(3);
  WalkHarness harness(snapshot, {});
  for (uint16_t i = 0; i < 3; ++i) {
    EXPECT_EQ(harness.Send(kWan, Request(static_cast<uint16_t>(30000 + i))).verdict,
              Verdict::kTransmit);
  }
  EXPECT_EQ(harness.Send(kWan, Request(31000)).drop, Drop::kSourceLimit);
  EXPECT_EQ(harness.Send(kWan, Request(31000, "203.0.113.8")).verdict, Verdict::kTransmit);
  harness.Advance(11);
  EXPECT_EQ(harness.Send(kWan, Request(31000)).verdict, Verdict::kTransmit);
}

TEST_P(PacketsSessions, ReloadKeepsSessionsOfARemovedListener) {
  api::Snapshot snapshot = BasicSnapshot(true);
  auto& other = *snapshot.add_media();
  other = snapshot.media(0);
  other.set_name("other");
  other.set_address(AddressBytes("198.51.100.11"));
  WalkHarness harness(snapshot, {.workers = GetParam()});
  Bytes request = Request(40000, "203.0.113.7", "198.51.100.11");
  uint16_t port = NatPort(harness.Send(kWan, request));
  harness.Send(kLan, Reply(port));

  snapshot.mutable_media()->DeleteSubrange(1, 1);
  snapshot.set_id(2);
  ASSERT_EQ(harness.Switch(snapshot), "");
  // The live session goes on, both ways; a new client is refused.
  for (size_t first = 0; first < GetParam(); ++first) {
    EXPECT_EQ(harness.Send(kWan, request, first).verdict, Verdict::kTransmit);
    EXPECT_EQ(harness.Send(kLan, Reply(port), first).verdict, Verdict::kTransmit);
  }
  EXPECT_EQ(harness.Send(kWan, Request(40001, "203.0.113.7", "198.51.100.11")).drop,
            Drop::kNotForUs);
  EXPECT_EQ(harness.snapshot().listeners.size(), 2u);
  // Whoever drives the relay forgets it when its last session has ended.
  ASSERT_EQ(harness.Switch(snapshot, false), "");
  EXPECT_EQ(harness.snapshot().listeners.size(), 1u);
}

TEST(PacketsReload, BadSnapshotsAreRefusedByKeyAndChangeNothing) {
  WalkHarness harness(BasicSnapshot(true), {});
  api::Snapshot bad = BasicSnapshot(true);
  bad.mutable_media(0)->set_bridges(0, "nobody");
  EXPECT_EQ(harness.Switch(bad), "media[meet].bridges: no bridge \"nobody\"");
  bad = BasicSnapshot(true);
  bad.mutable_media(0)->mutable_ports()->set_last(70000);
  EXPECT_EQ(harness.Switch(bad), "media[meet].listen: port range is not valid");
  bad = BasicSnapshot(true);
  bad.mutable_nat()->clear_addresses();
  EXPECT_EQ(harness.Switch(bad),
            "media[meet].nat: source NAT needs dataplane.nat_addresses of the family of \"jvb1\"");
  EXPECT_EQ(harness.Send(kWan, Request(40000)).verdict, Verdict::kTransmit);
}

TEST(PacketsNextHops, MacChangeReachesLiveSessionsWithoutANewGeneration) {
  api::Snapshot snapshot = BasicSnapshot(true);
  WalkHarness harness(snapshot, {});
  harness.Send(kWan, Request(40000));
  uint32_t generation = harness.snapshot().forwarding->generation();
  Mac moved = {0x02, 0, 0, 0, 9, 9};
  snapshot.mutable_routing()->mutable_neighbours(1)->set_mac(MacBytes(moved));
  ASSERT_EQ(harness.Switch(snapshot), "");
  EXPECT_EQ(harness.snapshot().forwarding->generation(), generation);
  Outcome out = harness.Send(kWan, Media(40000));
  ASSERT_EQ(out.verdict, Verdict::kTransmit);
  EXPECT_TRUE(std::equal(moved.begin(), moved.end(), out.frame.begin()));
}

TEST(PacketsNextHops, RouteChangeMovesLiveSessions) {
  api::Snapshot snapshot = BasicSnapshot(true);
  WalkHarness harness(snapshot, {});
  harness.Send(kWan, Request(40000));
  auto& route = *snapshot.mutable_routing()->add_routes();
  route.set_prefix(AddressBytes("10.8.0.11"));
  route.set_prefix_length(32);
  route.set_interface(0);
  route.set_gateway(AddressBytes("198.51.100.1"));
  ASSERT_EQ(harness.Switch(snapshot), "");
  Outcome out = harness.Send(kWan, Media(40000));
  ASSERT_EQ(out.verdict, Verdict::kTransmit);
  EXPECT_EQ(out.port, kWan);
}

TEST(PacketsNextHops, ARoutesOwnMtuCounts) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_routing()->mutable_routes(0)->set_mtu(100);
  WalkHarness harness(snapshot, {});
  uint16_t port = NatPort(harness.Send(kWan, Request(40000)));
  EXPECT_EQ(harness.Send(kLan, Reply(port)).verdict, Verdict::kTransmit);
  Bytes large = Frame()
                    .Eth(kBridge, kRelayLan)
                    .IPv4("10.8.0.11", "10.8.0.2")
                    .Udp(10000, port)
                    .DontFragment()
                    .PayloadSize(73)
                    .Build();
  EXPECT_EQ(harness.Send(kLan, large).drop, Drop::kEgressMtu);
}

TEST(PacketsNextHops, AnInterfacesOwnMacIsOurs) {
  api::Snapshot snapshot = BasicSnapshot(true);
  Mac other = {0x02, 0, 0, 0, 7, 7};
  snapshot.mutable_routing()->mutable_interfaces(0)->set_mac(MacBytes(other));
  WalkHarness harness(snapshot, {});
  Frame frame = Frame().IPv4("203.0.113.7", "198.51.100.10").Udp(40000, 10000);
  frame.Payload(StunRequest());
  EXPECT_EQ(harness.Send(kWan, frame.Eth(kGateway, other).Build()).verdict, Verdict::kTransmit);
  EXPECT_EQ(harness.Send(kWan, frame.Eth(kGateway, kBridge).Build()).drop, Drop::kOtherStation);
}

TEST(PacketsReload, ATableThatNamesNoPortIsRefused) {
  WalkHarness harness(BasicSnapshot(true), {});
  api::Snapshot bad = BasicSnapshot(true);
  bad.mutable_routing()->mutable_interfaces(1)->set_port(200);
  EXPECT_EQ(harness.Switch(bad), "routing: no port 200 or VLAN 0");
}

TEST(PacketsNextHops, NoRouteRefusesAdmission) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_routing()->mutable_routes(0)->set_unreachable(true);
  WalkHarness harness(snapshot, {});
  EXPECT_EQ(harness.Send(kWan, Request(40000)).drop, Drop::kNoRoute);
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_created), 0u);
}

class PacketsUnresolved : public testing::Test {
 protected:
  PacketsUnresolved() : snapshot_(BasicSnapshot(true)) {
    snapshot_.mutable_routing()->mutable_neighbours()->DeleteSubrange(1, 1);
  }
  api::Snapshot snapshot_;
};

TEST_F(PacketsUnresolved, PacketsWaitAndLeaveInOrder) {
  WalkHarness harness(snapshot_, {});
  EXPECT_EQ(harness.Send(kWan, Request(40000)).verdict, Verdict::kHold);
  EXPECT_EQ(harness.Send(kWan, Media(40000)).verdict, Verdict::kHold);
  EXPECT_EQ(harness.Sum(&WorkerCounters::held), 2u);
  auto asked = harness.Asked();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].ifindex, 11u);
  EXPECT_TRUE(asked[0].address == AnyAddress("10.8.0.11"));
  EXPECT_TRUE(harness.RetryHeld().empty());

  ASSERT_EQ(harness.Switch(BasicSnapshot(true)), "");
  auto released = harness.RetryHeld();
  ASSERT_EQ(released.size(), 2u);
  uint16_t port = NatPort(released[0]);
  EXPECT_EQ(released[0].frame, Frame()
                                   .Eth(kRelayLan, kBridge)
                                   .IPv4("10.8.0.2", "10.8.0.11")
                                   .Udp(port, 10000)
                                   .Ttl(63)
                                   .Payload(StunRequest())
                                   .Build());
  EXPECT_EQ(released[1].frame, Frame()
                                   .Eth(kRelayLan, kBridge)
                                   .IPv4("10.8.0.2", "10.8.0.11")
                                   .Udp(port, 10000)
                                   .Ttl(63)
                                   .Payload(kRtp)
                                   .Build());
  EXPECT_EQ(harness.Sum(&WorkerCounters::held), 0u);
}

TEST_F(PacketsUnresolved, OnlySoManyWait) {
  WalkHarness harness(snapshot_, {});
  harness.Send(kWan, Request(40000));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(harness.Send(kWan, Media(40000)).verdict, Verdict::kHold);
  EXPECT_EQ(harness.Send(kWan, Media(40000)).drop, Drop::kHoldFull);
}

TEST_F(PacketsUnresolved, TheyAreGivenUpInTime) {
  WalkHarness harness(snapshot_, {});
  harness.Send(kWan, Request(40000));
  harness.Advance(HoldList::kWaitSeconds - 1);
  EXPECT_TRUE(harness.RetryHeld().empty());
  harness.Advance(1);
  auto released = harness.RetryHeld();
  ASSERT_EQ(released.size(), 1u);
  EXPECT_EQ(released[0].drop, Drop::kNeighbourFailed);
}

TEST_F(PacketsUnresolved, TheKernelsNoIsTaken) {
  WalkHarness harness(snapshot_, {});
  harness.Send(kWan, Request(40000));
  harness.Advance(2);
  auto& failed = *snapshot_.mutable_routing()->add_neighbours();
  failed.set_interface(1);
  failed.set_address(AddressBytes("10.8.0.11"));
  ASSERT_EQ(harness.Switch(snapshot_), "");
  auto released = harness.RetryHeld();
  ASSERT_EQ(released.size(), 1u);
  EXPECT_EQ(released[0].drop, Drop::kNeighbourFailed);
}

TEST(PacketsCopy, ReadersSeeWholeSessionsOnly) {
  WalkHarness harness(BasicSnapshot(true), {.max_sessions = 16});
  Session session;
  for (size_t i = 0; i < 16; ++i) EXPECT_FALSE(harness.shard(0).Copy(i, session));
  harness.Send(kWan, Request(40000));
  size_t seen = 0;
  for (size_t i = 0; i < 16; ++i) {
    if (!harness.shard(0).Copy(i, session)) continue;
    ++seen;
    EXPECT_TRUE(session.client_address() == AnyAddress("203.0.113.7"));
    EXPECT_FALSE(session.confirmed());
  }
  EXPECT_EQ(seen, 1u);
  harness.Advance(11);
  for (size_t i = 0; i < 16; ++i) EXPECT_FALSE(harness.shard(0).Copy(i, session));
}

}  // namespace
}  // namespace bridgehead::test
