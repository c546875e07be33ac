// Fragments of relayed packets, both ways, both NAT modes, within and across the families (RFC 4787
// requirement 14, RFC 7915): in and out of order, bounded, and hand-made ones that must not pass.
#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "tests/packets/call.h"
#include "tests/support/fragments.h"

namespace bridgehead::test {
namespace {

using Frame = test::Packet;

class PacketsFragments : public CallTest {
 protected:
  ~PacketsFragments() override { EXPECT_EQ(Difference(), 0); }

  static Bytes Media(size_t bytes, uint8_t seed = 1) {
    Bytes media(bytes);
    for (size_t i = 0; i < bytes; ++i) media[i] = static_cast<uint8_t>(seed + i * 7);
    media[0] = 0x80;  // RTP
    return media;
  }
  // Frames that were sent on by a Send, and after it.
  std::vector<Bytes> Through(uint8_t port, const std::vector<Bytes>& frames, size_t worker = 0) {
    std::vector<Bytes> out;
    for (const Outcome& outcome : harness_.Send(port, frames, worker)) {
      if (outcome.verdict == Verdict::kTransmit) out.push_back(outcome.frame);
      Count(outcome);
    }
    for (const Outcome& outcome : harness_.Others()) {
      if (outcome.verdict == Verdict::kTransmit) out.push_back(outcome.frame);
      Count(outcome);
    }
    sent_ += frames.size();
    return out;
  }
  void Count(const Outcome& outcome) {
    forwarded_ += outcome.verdict == Verdict::kTransmit;
    dropped_ += outcome.verdict == Verdict::kDrop;
  }
  // What is not forwarded, dropped or held.
  int64_t Difference() {
    return static_cast<int64_t>(sent_ + harness_.Sum(&WorkerCounters::fragments_made)) -
           static_cast<int64_t>(forwarded_ + dropped_ + harness_.Sum(&WorkerCounters::held));
  }
  Drop SendOne(uint8_t port, const Bytes& frame) {
    Outcome out = harness_.Send(port, frame);
    Count(out);
    ++sent_;
    return out.drop;
  }

  size_t sent_ = 0, forwarded_ = 0, dropped_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Modes, PacketsFragments,
                         testing::Values(Mode{true, 1}, Mode{true, 2}, Mode{true, 3},
                                         Mode{false, 1}, Mode{false, 2}, Mode{true, 1, kNet6},
                                         Mode{true, 2, kNet6}, Mode{false, 2, kNet6},
                                         Mode{true, 1, kNet6To4}, Mode{true, 2, kNet6To4}),
                         ModeName);

TEST_P(PacketsFragments, InOrderBothWays) {
  for (size_t worker = 0; worker < GetParam().workers; ++worker) {
    for (uint32_t id = 100; id < 110; ++id) {
      Bytes up = FromClient().Payload(Media(3000)).Build();
      Bytes down = FromBridge().Payload(Media(2500)).Build();
      EXPECT_EQ(Join(Through(kWan, Fragments(up, 1200, id), worker), id),
                ToBridge().Payload(Media(3000)).Build());
      EXPECT_EQ(Join(Through(kLan, Fragments(down, 1200, id), worker), id),
                ToClient().Payload(Media(2500)).Build());
    }
  }
}

TEST_P(PacketsFragments, InAnyOrder) {
  std::mt19937 random(1);
  for (uint32_t id = 1; id <= 40; ++id) {
    Bytes up = FromClient().Payload(Media(4000)).Build();
    std::vector<Bytes> pieces = Fragments(up, 808, id);
    std::shuffle(pieces.begin(), pieces.end(), random);
    EXPECT_EQ(Join(Through(kWan, pieces, id % GetParam().workers), id),
              ToBridge().Payload(Media(4000)).Build());
  }
}

TEST_P(PacketsFragments, TheFirstOneLastOfAll) {
  Bytes down = FromBridge().Payload(Media(3000)).Build();
  std::vector<Bytes> pieces = Fragments(down, 1000);
  std::vector<Bytes> out;
  for (size_t i = pieces.size(); i-- > 0;) {
    std::vector<Bytes> now = Through(kLan, {pieces[i]});
    EXPECT_EQ(now.size(), i > 0 ? 0u : pieces.size());
    out.insert(out.end(), now.begin(), now.end());
  }
  EXPECT_EQ(Join(out), ToClient().Payload(Media(3000)).Build());
  EXPECT_EQ(harness_.Sum(&WorkerCounters::held), 0u);
}

TEST_P(PacketsFragments, PacketsThatAreMixedUpStayApart) {
  std::vector<Bytes> all;
  for (uint32_t id = 1; id <= 20; ++id) {
    Bytes up = FromClient().Payload(Media(2000, static_cast<uint8_t>(id))).Build();
    for (Bytes& piece : Fragments(up, 504, id)) all.push_back(std::move(piece));
  }
  std::shuffle(all.begin(), all.end(), std::mt19937(2));
  std::vector<Bytes> out = Through(kWan, all);
  ASSERT_EQ(out.size(), all.size());
  const bool v6 = IsV6Frame(out[0]);
  for (uint32_t id = 1; id <= 20; ++id) {
    std::vector<Bytes> own;
    std::copy_if(out.begin(), out.end(), std::back_inserter(own),
                 [&](const Bytes& piece) { return Word(piece, v6 ? 14 + 46 : 18) == id; });
    EXPECT_EQ(Join(own, id), ToBridge().Payload(Media(2000, static_cast<uint8_t>(id))).Build());
  }
}

TEST_P(PacketsFragments, CountAsTrafficAndKeepTheSessionAlive) {
  harness_.Send(kLan, FromBridge().Payload("answer").Build());
  harness_.Send(kWan, FromClient().Payload(kRtp).Build());
  Bytes up = FromClient().Payload(Media(2000)).Build();
  for (uint32_t id = 1; id <= 4; ++id) {
    harness_.Advance(200);
    EXPECT_EQ(Through(kWan, Fragments(up, 1200, id)).size(), 2u);
  }
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_active), 1u);
  uint64_t packets = 0;
  for (size_t w = 0; w < GetParam().workers; ++w) {
    packets += harness_.counters(w).listeners[0].packets_to_bridge.Get();
  }
  EXPECT_EQ(packets, 2u + 8u);  // the request and the first media
}

TEST_P(PacketsFragments, OpenNoSession) {
  Bytes up = FromClient(40001).Payload(StunRequest()).Build();
  up = FromClient(40001).Payload(Media(2000)).Build();
  std::vector<Bytes> pieces = Fragments(up, 600);
  for (const Bytes& piece : pieces) EXPECT_EQ(SendOne(kWan, piece), Drop::kFragmentNoSession);
  // What has waited for such a first one goes with it.
  pieces = Fragments(up, 600, 78);
  EXPECT_EQ(Through(kWan, {pieces[2], pieces[1]}).size(), 0u);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::held), 2u);
  Outcome first = harness_.Send(kWan, pieces[0]);
  ++sent_;
  Count(first);
  EXPECT_EQ(first.drop, Drop::kFragmentNoSession);
  for (const Outcome& outcome : harness_.Others()) {
    Count(outcome);
    EXPECT_EQ(outcome.drop, Drop::kFragmentNoSession);
  }
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_created), 1u);
}

TEST_P(PacketsFragments, ASecondCopyIsDroppedAlone) {
  Bytes up = FromClient().Payload(Media(2000)).Build();
  std::vector<Bytes> pieces = Fragments(up, 600);
  std::vector<Bytes> out = Through(kWan, {pieces[0], pieces[1]});
  EXPECT_EQ(SendOne(kWan, pieces[0]), Drop::kFragmentOverlap);
  EXPECT_EQ(SendOne(kWan, pieces[1]), Drop::kFragmentOverlap);
  for (const Bytes& piece : Through(kWan, {pieces[2], pieces[3]})) out.push_back(piece);
  EXPECT_EQ(Join(out), ToBridge().Payload(Media(2000)).Build());
}

// RFC 1858, RFC 3128, RFC 5722: whoever sends bytes twice wants them read in two ways.
TEST_P(PacketsFragments, AnOverlapEndsTheWholePacket) {
  Bytes up = FromClient().Payload(Media(3000)).Build();
  const std::pair<size_t, size_t> overlaps[] = {{592, 1200}, {8, 608}, {600, 2000}, {0, 608}};
  for (uint32_t id = 1; auto [begin, end] : overlaps) {
    std::vector<Bytes> pieces = Fragments(up, 600, id);
    EXPECT_EQ(Through(kWan, {pieces[0], pieces[2]}).size(), 2u);
    EXPECT_EQ(SendOne(kWan, FragmentOf(up, begin, end, id)), Drop::kFragmentOverlap);
    EXPECT_EQ(SendOne(kWan, pieces[1]), Drop::kFragmentOverlap);
    EXPECT_EQ(SendOne(kWan, pieces[3]), Drop::kFragmentOverlap);
    ++id;
  }
}

TEST_P(PacketsFragments, ThatFitNoPacket) {
  Bytes up = FromClient().Payload(Media(3000)).Build();
  auto words = [&](Bytes frame, size_t offset, bool more) {
    if (IsV6Frame(frame)) {
      SetWord(frame, 14 + 42, offset | (more ? 1 : 0));
    } else {
      SetWord(frame, 20, offset / 8 | (more ? 0x2000 : 0));
      SealIpv4(frame);
    }
    return frame;
  };
  // Not a multiple of 8, and more to come.
  EXPECT_EQ(SendOne(kWan, words(FragmentOf(up, 600, 1203, 1), 600, true)),
            Drop::kFragmentMalformed);
  // Past 65535.
  EXPECT_EQ(SendOne(kWan, words(FragmentOf(up, 600, 1200, 2), 65528, false)),
            Drop::kFragmentMalformed);
  // Nothing in it.
  EXPECT_EQ(SendOne(kWan, words(FragmentOf(up, 600, 600, 3), 600, true)), Drop::kFragmentMalformed);
  // Past what the UDP header says, and past the last one.
  EXPECT_EQ(SendOne(kWan, FragmentOf(up, 0, 600, 4)), Drop::kNone);
  EXPECT_EQ(SendOne(kWan, words(FragmentOf(up, 600, 1200, 4), 3000, true)),
            Drop::kFragmentMalformed);
  EXPECT_EQ(Through(kWan, {FragmentOf(up, 2400, 4000, 5)}).size(), 0u);
  EXPECT_EQ(SendOne(kWan, words(FragmentOf(up, 600, 1200, 5), 3200, true)),
            Drop::kFragmentMalformed);
  for (const Outcome& outcome : harness_.Others()) Count(outcome);
}

TEST_P(PacketsFragments, TinyOnes) {
  Bytes up = FromClient().Payload(Media(1000)).Build();
  EXPECT_EQ(SendOne(kWan, FragmentOf(up, 0, 8, 1)), Drop::kFragmentTiny);
  EXPECT_EQ(SendOne(kWan, FragmentOf(up, 248, 496, 1)), Drop::kFragmentTiny);
  // The last may be.
  EXPECT_EQ(Join(Through(kWan, {FragmentOf(up, 0, 1000, 2), FragmentOf(up, 1000, 1008, 2)}), 2),
            ToBridge().Payload(Media(1000)).Build());
}

TEST_P(PacketsFragments, OfAnotherProtocol) {
  Bytes up = FromClient().Payload(Media(1000)).Build();
  Bytes piece = FragmentOf(up, 0, 600, 1);
  if (IsV6Frame(piece)) {
    piece[14 + 40] = 58;
  } else {
    piece[14 + 9] = 1;
    SealIpv4(piece);
  }
  EXPECT_EQ(SendOne(kWan, piece), Drop::kIpFragment);
}

TEST_P(PacketsFragments, WhoseFirstOneNeverComes) {
  Bytes up = FromClient().Payload(Media(2000)).Build();
  std::vector<Bytes> pieces = Fragments(up, 600);
  EXPECT_EQ(Through(kWan, {pieces[1], pieces[2]}).size(), 0u);
  harness_.Advance(4);
  EXPECT_TRUE(harness_.RetryHeld().empty());
  EXPECT_EQ(harness_.Sum(&WorkerCounters::held), 2u);
  harness_.Advance(1);
  std::vector<Outcome> given_up = harness_.RetryHeld();
  ASSERT_EQ(given_up.size(), 2u);
  for (const Outcome& outcome : given_up) {
    Count(outcome);
    EXPECT_EQ(outcome.drop, Drop::kFragmentTimeout);
  }
  // Then it is too late for the others.
  EXPECT_EQ(Through(kWan, {pieces[0]}).size(), 1u);
}

// The first one has found a session that has ended meanwhile; another may have its record.
TEST_P(PacketsFragments, OfASessionThatHasEnded) {
  harness_.Advance(8);
  Bytes up = FromClient().Payload(Media(2000)).Build();
  std::vector<Bytes> pieces = Fragments(up, 600);
  EXPECT_EQ(Through(kWan, {pieces[0]}).size(), 1u);
  harness_.Advance(4);
  ASSERT_EQ(harness_.Sum(&WorkerCounters::sessions_active), 0u);
  harness_.Send(kWan, FromClient(40009).Payload(StunRequest()).Build());
  EXPECT_EQ(SendOne(kWan, pieces[1]), Drop::kFragmentNoSession);
}

TEST_P(PacketsFragments, AFloodOfThemIsBoundedAndDisplacesItself) {
  Bytes up = FromClient().Payload(Media(2000)).Build();
  std::vector<Bytes> flood;
  for (uint32_t id = 1; id <= 5000; ++id) flood.push_back(FragmentOf(up, 600, 1200, id));
  EXPECT_EQ(Through(kWan, flood).size(), 0u);
  EXPECT_LE(harness_.Sum(&WorkerCounters::held), FragmentTable::kHeld * GetParam().workers);
  EXPECT_GT(harness_.Sum(&WorkerCounters::held), 0u);
  EXPECT_EQ(Difference(), 0);
  // Whoever comes now is served, whatever the order.
  std::vector<Bytes> pieces = Fragments(up, 600, 6000);
  std::swap(pieces[0], pieces[2]);
  EXPECT_EQ(Join(Through(kWan, pieces), 6000), ToBridge().Payload(Media(2000)).Build());
  harness_.Advance(5);
  for (const Outcome& outcome : harness_.RetryHeld()) Count(outcome);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::held), 0u);
}

TEST_P(PacketsFragments, AFloodBetweenThePiecesOfAPacketTakesItsOldestOnes) {
  Bytes up = FromClient().Payload(Media(2000)).Build();
  std::vector<Bytes> pieces = Fragments(up, 600, 9);
  std::vector<Bytes> out;
  uint32_t id = 1000;
  for (const Bytes& piece : pieces) {
    for (Bytes& sent : Through(kWan, {piece})) out.push_back(std::move(sent));
    // Fewer than there is room for, all in the same second.
    std::vector<Bytes> flood;
    for (int i = 0; i < 100; ++i) flood.push_back(FragmentOf(up, 600, 1200, id++));
    Through(kWan, flood);
  }
  EXPECT_EQ(Join(out, 9), ToBridge().Payload(Media(2000)).Build());
  harness_.Advance(5);
  for (const Outcome& outcome : harness_.RetryHeld()) Count(outcome);
}

TEST_P(PacketsFragments, OnePacketInVeryManyPieces) {
  Bytes up = FromClient().Payload(Media(40000)).Build();
  std::vector<Bytes> pieces = Fragments(up, 256);
  std::vector<Bytes> out = Through(kWan, pieces);
  EXPECT_EQ(Join(out), ToBridge().Payload(Media(40000)).Build());
  // Out of order with more gaps than are remembered.
  std::vector<Bytes> gaps;
  for (size_t i = 1; i < pieces.size(); i += 2)
    gaps.push_back(FragmentOf(up, i * 256, i * 256 + 256, 5));
  EXPECT_EQ(Through(kWan, gaps).size(), 0u);
  EXPECT_EQ(SendOne(kWan, FragmentOf(up, 0, 256, 5)), Drop::kFragmentOverflow);
}

TEST_P(PacketsFragments, AreHeardOnlyFromTheSessionsBridge) {
  Bytes other = Frame()
                    .Eth(kBridge, kRelayLan)
                    .IP(net().bridge, Seen())
                    .Udp(10001, port_)
                    .Payload(Media(1500))
                    .Build();
  for (const Bytes& piece : Fragments(other, 800)) {
    EXPECT_EQ(SendOne(kLan, piece), Drop::kFragmentNoSession);
  }
  Bytes forged = FromBridge().Eth(kGateway, kRelayWan).Payload(Media(1500)).Build();
  EXPECT_EQ(SendOne(kWan, FragmentOf(forged, 0, 800, 3)), Drop::kWrongIngress);
}

TEST_P(PacketsFragments, OfWhatIsNoMedia) {
  Bytes media = Media(2000);
  media[0] = 0xff;
  for (const Bytes& piece : Fragments(FromClient().Payload(media).Build(), 600)) {
    EXPECT_EQ(SendOne(kWan, piece), Drop::kNotMedia);
  }
}

class PacketsFragmentsAcross : public PacketsFragments {};
INSTANTIATE_TEST_SUITE_P(Modes, PacketsFragmentsAcross,
                         testing::Values(Mode{true, 1, kNet6To4}, Mode{true, 2, kNet6To4}),
                         ModeName);

// RFC 7915 section 4.5: no checksum can be made for what is not there.
TEST_P(PacketsFragmentsAcross, WithoutAChecksumDoNotReachIpv6) {
  Bytes down = FromBridge().Payload(Media(1500)).UdpChecksum(0).Build();
  for (const Bytes& piece : Fragments(down, 800)) {
    EXPECT_EQ(SendOne(kLan, piece), Drop::kUdpNoChecksum);
  }
}

// RFC 7915 section 4.1: whoever lets his packets be cut is not told of a path's MTU.
TEST_P(PacketsFragmentsAcross, LargePacketsBecomeOnesForAnyIpv6Path) {
  Bytes down = FromBridge().Id(300).Payload(Media(1400)).Build();
  std::vector<Bytes> out = Through(kLan, {down});
  ASSERT_EQ(out.size(), 2u);
  for (const Bytes& piece : out) EXPECT_LE(piece.size(), 14u + 1280u);
  EXPECT_EQ(Join(out, 300), ToClient().Payload(Media(1400)).Build());
  EXPECT_EQ(harness_.Sum(&WorkerCounters::fragments_made), 1u);
  // Fragments too.
  out = Through(kLan, Fragments(FromBridge().Payload(Media(2900)).Build(), 1480, 301));
  EXPECT_EQ(out.size(), 4u);
  EXPECT_EQ(Join(out, 301), ToClient().Payload(Media(2900)).Build());
  // Not those that must not be cut.
  Bytes whole = FromBridge().DontFragment().Payload(Media(1400)).Build();
  out = Through(kLan, {whole});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0], ToClient().Payload(Media(1400)).Build());
}

// An IPv6 packet with a fragment header that is not cut (RFC 6946).
TEST(PacketsAtomicFragments, AreForwarded) {
  for (const Net& net : {kNet6, kNet6To4}) {
    WalkHarness harness(BasicSnapshot(true, net), {});
    Frame from = Frame().Eth(kGateway, kRelayWan).IP(net.client, net.listener).Udp(40000, 10000);
    uint16_t port = SourcePort(harness.Send(kWan, from.Payload(StunRequest()).Build()).frame);
    Outcome out = harness.Send(kWan, FragmentOf(from.Payload(kRtp).Build(), 0, 1000, 9));
    ASSERT_EQ(out.verdict, Verdict::kTransmit);
    Frame to = Frame().Eth(kRelayLan, kBridge).IP(net.nat, net.bridge).Udp(port, 10000).Ttl(63);
    EXPECT_EQ(Join({out.frame}, 9), to.Payload(kRtp).Build());
  }
}

class PacketsCut : public PacketsFragments {
 protected:
  // The way to the client is narrower.
  void Narrow(uint32_t mtu) {
    api::Snapshot snapshot = BasicSnapshot(GetParam().source_nat, net());
    snapshot.mutable_routing()->mutable_interfaces(0)->set_mtu(mtu);
    ASSERT_EQ(harness_.Switch(snapshot), "");
  }
};
INSTANTIATE_TEST_SUITE_P(Modes, PacketsCut,
                         testing::Values(Mode{true, 1}, Mode{true, 2}, Mode{false, 1},
                                         Mode{true, 1, kNet6To4}),
                         ModeName);

TEST_P(PacketsCut, WhatIsTooLargeAndMayBeCut) {
  const bool v6 = net().ClientIsV6();
  const size_t mtu = v6 ? 1280 : 700;
  Narrow(static_cast<uint32_t>(mtu));
  for (size_t bytes : {mtu - 100, mtu - 27, size_t{1300}, size_t{1400}}) {
    Bytes down = FromBridge().Id(300).Payload(Media(bytes)).Build();
    std::vector<Bytes> out = Through(kLan, {down});
    for (const Bytes& piece : out) EXPECT_LE(piece.size(), 14 + mtu);
    if (out.size() == 1) {
      EXPECT_EQ(out[0], ToClient().Id(v6 ? 0 : 300).Payload(Media(bytes)).Build());
    } else {
      EXPECT_EQ(Join(out, 300), ToClient().Payload(Media(bytes)).Build());
    }
  }
  // Fragments are cut further.
  std::vector<Bytes> out =
      Through(kLan, Fragments(FromBridge().Payload(Media(4000)).Build(), 1400, 301));
  EXPECT_EQ(Join(out, 301), ToClient().Payload(Media(4000)).Build());
  EXPECT_GT(out.size(), 3u);
}

// Fragments whose sender does not let them be cut further; he is told about the first.
TEST_P(PacketsCut, FragmentsThatMustNotBe) {
  if (net().ClientIsV6()) return;  // see PacketsFragmentsAcross
  Narrow(700);
  std::vector<Bytes> pieces = Fragments(FromBridge().Payload(Media(2000)).Build(), 1200);
  for (Bytes& piece : pieces) {
    piece[20] |= 0x40;
    SealIpv4(piece);
  }
  Outcome first = harness_.Send(kLan, pieces[0]);
  EXPECT_EQ(first.drop, Drop::kEgressMtu);
  EXPECT_EQ(first.verdict, GetParam().source_nat ? Verdict::kTransmit : Verdict::kDrop);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::icmp_sent), GetParam().source_nat ? 1u : 0u);
  EXPECT_EQ(harness_.Send(kLan, pieces[1]).drop, Drop::kEgressMtu);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::fragments_made), 0u);
  sent_ = forwarded_ = dropped_ = 0;
}

// Also while the next hop is not known yet.
TEST_P(PacketsCut, PiecesWaitForTheirNextHop) {
  const bool v6 = net().ClientIsV6();
  api::Snapshot snapshot = BasicSnapshot(GetParam().source_nat, net());
  snapshot.mutable_routing()->mutable_interfaces(0)->set_mtu(v6 ? 1280 : 700);
  api::Snapshot unresolved = snapshot;
  unresolved.mutable_routing()->mutable_neighbours()->DeleteSubrange(0, 1);
  ASSERT_EQ(harness_.Switch(unresolved), "");
  Bytes down = FromBridge().Id(300).Payload(Media(1400)).Build();
  EXPECT_EQ(Through(kLan, {down}).size(), 0u);
  EXPECT_GT(harness_.Sum(&WorkerCounters::held), 1u);
  EXPECT_EQ(Difference(), 0);
  ASSERT_EQ(harness_.Switch(snapshot), "");
  std::vector<Bytes> out;
  for (const Outcome& outcome : harness_.RetryHeld()) {
    Count(outcome);
    out.push_back(outcome.frame);
  }
  EXPECT_EQ(Join(out, 300), ToClient().Payload(Media(1400)).Build());
}

TEST_P(PacketsCut, AKernelSocketsPartialChecksumIsFinishedFirst) {
  WalkHarness::Options options;
  options.partial_checksums = true;
  options.tx_checksum_offload = true;
  api::Snapshot snapshot = BasicSnapshot(GetParam().source_nat, net());
  snapshot.mutable_routing()->mutable_interfaces(0)->set_mtu(net().ClientIsV6() ? 1280 : 700);
  WalkHarness harness(snapshot, options);
  Outcome up = harness.Send(kWan, FromClient().Payload(StunRequest()).Build());
  Bytes down = Frame()
                   .Eth(kBridge, kRelayLan)
                   .IP(net().bridge, Seen())
                   .Udp(10000, SourcePort(up.frame))
                   .Id(300)
                   .PartialUdpChecksum()
                   .Payload(Media(1400))
                   .Build();
  std::vector<Bytes> out = {harness.Send(kLan, down).frame};
  for (const Outcome& other : harness.Others()) out.push_back(other.frame);
  EXPECT_GT(out.size(), 1u);
  EXPECT_EQ(Join(out, 300), ToClient().Payload(Media(1400)).Build());
}

TEST_P(PacketsCut, WithoutABufferIsANamedDrop) {
  Narrow(net().ClientIsV6() ? 1280 : 700);
  harness_.LeaveBuffers(0);
  Bytes down = FromBridge().Payload(Media(1400)).Build();
  EXPECT_EQ(SendOne(kLan, down), Drop::kNoBuffer);
  harness_.LeaveBuffers(2);
  EXPECT_GT(Through(kLan, {down}).size(), 1u);
}

TEST(PacketsCutLimits, NotIntoHundredsOfPieces) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_routing()->mutable_interfaces(1)->set_mtu(68);
  WalkHarness harness(snapshot, {});
  Frame up = Frame().Eth(kGateway, kRelayWan).IPv4("203.0.113.7", "198.51.100.10");
  up.Udp(40000, 10000);
  harness.Send(kWan, up.Payload(StunRequest()).Build());
  harness.Others();
  EXPECT_EQ(harness.Send(kWan, up.PayloadSize(kMostPieces * 48).Build()).drop, Drop::kEgressMtu);
  EXPECT_EQ(harness.Send(kWan, up.PayloadSize(kMostPieces * 48 - 8).Build()).verdict,
            Verdict::kTransmit);
  EXPECT_EQ(harness.Others().size(), kMostPieces - 1);
}

}  // namespace
}  // namespace bridgehead::test
