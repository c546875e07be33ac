// ICMP errors about relayed packets, byte for byte: both directions, both NAT modes, within and
// across the families (RFC 5508, RFC 7915).
#include <gtest/gtest.h>

#include "tests/packets/call.h"
#include "tests/support/fragments.h"

namespace bridgehead::test {
namespace {

using Frame = test::Packet;

// One error in the words of both families.
struct Error {
  uint8_t v4_type, v4_code;
  uint32_t v4_rest;
  uint8_t v6_type, v6_code;
  uint32_t v6_rest;

  Frame& On(Frame& frame, bool v6) const {
    return v6 ? frame.Icmp(v6_type, v6_code, v6_rest) : frame.Icmp(v4_type, v4_code, v4_rest);
  }
};
constexpr Error kPortUnreachable{3, 3, 0, 1, 4, 0};
constexpr Error kTimeExceeded{11, 0, 0, 3, 0, 0};
constexpr Error kTooBig{3, 4, 1400, 2, 0, 1420};  // the same limit, in each family's own bytes

class PacketsIcmp : public CallTest {
 protected:
  static const char* Router(bool v6) { return v6 ? "2001:db8:77::1" : "192.0.2.77"; }
  // What a router between relay and bridge says about a packet to the bridge.
  Bytes ErrorFromBridgeSide(const Error& error, size_t quoted_bytes = 548) const {
    Frame frame = Frame().Eth(kBridge, kRelayLan).IP(Router(net().BridgeIsV6()), Seen());
    return error.On(frame, net().BridgeIsV6())
        .Quote(ToBridge().Payload("media up"), quoted_bytes)
        .Build();
  }
  static Bytes AtClient(const Error& error, size_t quoted_bytes = 548) {
    Frame frame = Frame().Eth(kRelayWan, kGateway).IP(net().listener, net().client).Ttl(63);
    return error.On(frame, net().ClientIsV6())
        .Quote(FromClient().Ttl(63).Payload("media up"), quoted_bytes)
        .Build();
  }
  // The other way.
  static Bytes ErrorFromClientSide(const Error& error) {
    Frame frame = Frame().Eth(kGateway, kRelayWan).IP(Router(net().ClientIsV6()), net().listener);
    return error.On(frame, net().ClientIsV6()).Quote(ToClient().Payload("media down")).Build();
  }
  Bytes AtBridge(const Error& error) const {
    Frame frame = Frame().Eth(kRelayLan, kBridge).Ttl(63);
    frame.IP(Across() ? net().nat : Router(net().BridgeIsV6()), net().bridge);
    Frame quoted = FromBridge().Ttl(63).Payload("media down");
    if (Across()) quoted.DontFragment();
    return error.On(frame, net().BridgeIsV6()).Quote(quoted).Build();
  }
};

INSTANTIATE_TEST_SUITE_P(Modes, PacketsIcmp,
                         testing::Values(Mode{true, 1}, Mode{true, 2}, Mode{false, 1},
                                         Mode{false, 2}, Mode{true, 1, kNet6}, Mode{true, 2, kNet6},
                                         Mode{false, 1, kNet6}, Mode{true, 1, kNet6To4},
                                         Mode{true, 2, kNet6To4}),
                         ModeName);

TEST_P(PacketsIcmp, ErrorsAboutPacketsToTheBridgeReachTheClient) {
  for (const Error& error : {kPortUnreachable, kTimeExceeded, kTooBig}) {
    for (size_t first = 0; first < GetParam().workers; ++first) {
      Outcome out = harness_.Send(kLan, ErrorFromBridgeSide(error), first);
      EXPECT_EQ(out.verdict, Verdict::kTransmit);
      EXPECT_EQ(out.drop, Drop::kNone);
      EXPECT_EQ(out.port, kWan);
      EXPECT_EQ(out.frame, AtClient(error));
    }
  }
}

TEST_P(PacketsIcmp, ErrorsAboutPacketsToTheClientReachTheBridge) {
  for (const Error& error : {kPortUnreachable, kTimeExceeded, kTooBig}) {
    for (size_t first = 0; first < GetParam().workers; ++first) {
      Outcome out = harness_.Send(kWan, ErrorFromClientSide(error), first);
      EXPECT_EQ(out.verdict, Verdict::kTransmit);
      EXPECT_EQ(out.drop, Drop::kNone);
      EXPECT_EQ(out.port, kLan);
      EXPECT_EQ(out.frame, AtBridge(error));
    }
  }
}

// What left in fragments is quoted as one; IPv4 has no header more for that.
TEST_P(PacketsIcmp, ErrorsAboutFragmentsReachTheirSender) {
  auto error = [&](const Error& words, const Frame& outer, bool v6, const Bytes& quoted) {
    Frame frame = outer;
    words.On(frame, v6).Payload(
        std::span(quoted).subspan(14, std::min<size_t>(540, quoted.size() - 14)));
    return frame.Build();
  };
  const Bytes media(2000, 0x80);
  const Bytes left = FragmentOf(ToBridge().Payload(media).Build(), 0, 1200, 77);
  const Bytes came = FragmentOf(FromClient().Ttl(63).Payload(media).Build(), 0, 1200, 77);
  Outcome out = harness_.Send(
      kLan,
      error(kTimeExceeded, Frame().Eth(kBridge, kRelayLan).IP(Router(net().BridgeIsV6()), Seen()),
            net().BridgeIsV6(), left));
  ASSERT_EQ(out.verdict, Verdict::kTransmit);
  if (Across()) return;  // the families' quotes differ in more than their addresses
  EXPECT_EQ(out.frame,
            error(kTimeExceeded,
                  Frame().Eth(kRelayWan, kGateway).IP(net().listener, net().client).Ttl(63),
                  net().ClientIsV6(), came));
  // A later one names no ports.
  const Bytes later = FragmentOf(ToBridge().Payload(media).Build(), 1200, 2008, 77);
  out = harness_.Send(
      kLan,
      error(kTimeExceeded, Frame().Eth(kBridge, kRelayLan).IP(Router(net().BridgeIsV6()), Seen()),
            net().BridgeIsV6(), later));
  EXPECT_EQ(out.drop, Drop::kIcmpNoSession);
}

// RFC 792 asks for no more than the header and eight bytes.
TEST_P(PacketsIcmp, TheShortestQuoteIsEnough) {
  const size_t bytes = (net().BridgeIsV6() ? 40 : 20) + 8;
  Outcome out = harness_.Send(kLan, ErrorFromBridgeSide(kPortUnreachable, bytes));
  EXPECT_EQ(out.frame, AtClient(kPortUnreachable, (net().ClientIsV6() ? 40 : 20) + 8));
}

TEST_P(PacketsIcmp, ErrorsAboutOthersPacketsAreNamed) {
  Frame frame = Frame().Eth(kBridge, kRelayLan).IP(Router(net().BridgeIsV6()), Seen());
  kPortUnreachable.On(frame, net().BridgeIsV6());
  Frame other_port = Frame().IP(Seen(), net().bridge).Udp(static_cast<uint16_t>(port_ ^ 1), 10000);
  Frame other_peer = Frame().IP(Seen(), net().bridge).Udp(port_, 10001);
  for (const Frame& quoted : {other_port, other_peer}) {
    EXPECT_EQ(harness_.Send(kLan, frame.Quote(quoted).Build()).drop, Drop::kIcmpNoSession);
  }
}

TEST_P(PacketsIcmp, ErrorsNeitherKeepASessionNorEndIt) {
  harness_.Send(kLan, FromBridge().Payload("answer").Build());
  harness_.Send(kWan, FromClient().Payload(kRtp).Build());
  uint64_t packets = harness_.Sum(&WorkerCounters::sessions_active);
  for (int i = 0; i < 3; ++i) {
    harness_.Advance(100);
    EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_active), i < 2 ? packets : 0u);
    harness_.Send(kLan, ErrorFromBridgeSide(kPortUnreachable));
    harness_.Send(kWan, ErrorFromClientSide(kPortUnreachable));
  }
}

TEST_P(PacketsIcmp, AnUnconfirmedSessionIsNotConfirmedByErrors) {
  harness_.Send(kLan, ErrorFromBridgeSide(kPortUnreachable));
  harness_.Send(kWan, FromClient().Payload(kRtp).Build());
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_unconfirmed), 1u);
}

class PacketsIcmpAcross : public PacketsIcmp {};
INSTANTIATE_TEST_SUITE_P(Modes, PacketsIcmpAcross, testing::Values(Mode{true, 1, kNet6To4}),
                         ModeName);

TEST_P(PacketsIcmpAcross, EachErrorInTheOtherFamilysWords) {
  const Error to_v6[] = {
      {3, 0, 0, 1, 0, 0},         {3, 1, 0, 1, 0, 0},
      {3, 2, 0, 4, 1, 6},         {3, 5, 0, 1, 0, 0},
      {3, 9, 0, 1, 1, 0},         {3, 10, 0, 1, 1, 0},
      {3, 13, 0, 1, 1, 0},        {3, 15, 0, 1, 1, 0},
      {3, 4, 576, 2, 0, 1280},  // no IPv6 link is smaller
      {3, 4, 1480, 2, 0, 1500},   {11, 1, 0, 3, 1, 0},
      {12, 0, 9u << 24, 4, 0, 6}, {12, 0, 16u << 24, 4, 0, 24},
  };
  for (const Error& error : to_v6) {
    EXPECT_EQ(harness_.Send(kLan, ErrorFromBridgeSide(error)).frame, AtClient(error))
        << int{error.v4_type} << "/" << int{error.v4_code};
  }
  const Error to_v4[] = {
      {3, 1, 0, 1, 0, 0}, {3, 10, 0, 1, 1, 0},        {3, 1, 0, 1, 2, 0},
      {3, 1, 0, 1, 3, 0}, {3, 4, 1260, 2, 0, 1280},   {11, 1, 0, 3, 1, 0},
      {3, 2, 0, 4, 1, 6}, {12, 0, 8u << 24, 4, 0, 7}, {12, 0, 12u << 24, 4, 0, 10},
  };
  for (const Error& error : to_v4) {
    EXPECT_EQ(harness_.Send(kWan, ErrorFromClientSide(error)).frame, AtBridge(error))
        << int{error.v6_type} << "/" << int{error.v6_code};
  }
}

TEST_P(PacketsIcmpAcross, WhatHasNoWordIsNamed) {
  for (const Error& error : {Error{3, 14, 0, 0, 0, 0}, Error{3, 16, 0, 0, 0, 0},
                             Error{12, 1, 0, 0, 0, 0}, Error{12, 0, 5u << 24, 0, 0, 0}}) {
    EXPECT_EQ(harness_.Send(kLan, ErrorFromBridgeSide(error)).drop, Drop::kIcmpUntranslatable);
  }
  for (const Error& error : {Error{0, 0, 0, 1, 5, 0}, Error{0, 0, 0, 4, 2, 0},
                             Error{0, 0, 0, 4, 0, 2}, Error{0, 0, 0, 4, 0, 77}}) {
    EXPECT_EQ(harness_.Send(kWan, ErrorFromClientSide(error)).drop, Drop::kIcmpUntranslatable);
  }
}

// RFC 1191 section 7.1: a router from before it says zero; the next smaller usual size is taken.
TEST_P(PacketsIcmpAcross, AnUnnamedMtuIsGuessed) {
  Frame frame = Frame().Eth(kBridge, kRelayLan).IPv4(Router(false), net().nat).Icmp(3, 4, 0);
  Frame sent = ToBridge().PayloadSize(1600);
  Outcome out = harness_.Send(kLan, frame.Quote(sent, 28).Build());
  ASSERT_EQ(out.verdict, Verdict::kTransmit);
  const size_t mtu = 14 + 40 + 4;
  EXPECT_EQ(out.frame[mtu + 2] << 8 | out.frame[mtu + 3], 1492 + 20);
}

// No error is larger than its family's receivers must take.
TEST_P(PacketsIcmpAcross, LongQuotesAreCut) {
  Frame frame = Frame().Eth(kBridge, kRelayLan).IPv4(Router(false), net().nat).Icmp(3, 3);
  Outcome up = harness_.Send(kLan, frame.Quote(ToBridge().PayloadSize(1400), 1428).Build());
  EXPECT_EQ(up.frame.size(), 14u + 1280);
  Frame other = Frame().Eth(kGateway, kRelayWan).IPv6(Router(true), net().listener).Icmp(1, 4);
  Outcome down = harness_.Send(kWan, other.Quote(ToClient().PayloadSize(1400), 1448).Build());
  EXPECT_EQ(down.frame.size(), 14u + 576);
}

}  // namespace
}  // namespace bridgehead::test
