// Every broken or unwanted packet ends under exactly one name, and nothing else changes.
#include <cstring>

#include <gtest/gtest.h>

#include "tests/support/walk_harness.h"

namespace bridgehead::test {
namespace {

using Frame = test::Packet;

struct Case {
  const char* name;
  Drop drop;
  uint8_t port;
  Bytes frame;
};

Frame Client() {
  return Frame()
      .Eth(kGateway, kRelayWan)
      .IPv4("203.0.113.7", "198.51.100.10")
      .Udp(40000, 10000)
      .Payload(StunRequest());
}

Bytes WithStun(size_t offset, std::initializer_list<uint8_t> bytes) {
  Bytes stun = StunRequest();
  std::copy(bytes.begin(), bytes.end(), stun.begin() + static_cast<ptrdiff_t>(offset));
  return Client().Payload(stun).Build();
}

Bytes WithoutLast(Bytes bytes, size_t count) {
  bytes.resize(bytes.size() - count);
  return bytes;
}

std::vector<Case> Cases() {
  Frame quoted = Frame().Eth().IPv4("198.51.100.10", "203.0.113.7").Udp(10000, 40000);
  return {
      {"EmptyFrame", Drop::kFrameTooShort, kWan, Client().Truncated(0)},
      {"HalfEthernet", Drop::kFrameTooShort, kWan, Client().Truncated(13)},
      {"HalfVlanTag", Drop::kFrameTooShort, kWan, Client().Vlan(5).Truncated(16)},
      {"OtherStation", Drop::kOtherStation, kWan, Client().Eth(kGateway, kBridge).Build()},
      {"Broadcast", Drop::kOtherStation, kWan,
       Client().Eth(kGateway, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}).Build()},
      {"TwoTags", Drop::kVlanStacked, kWan, Client().Vlan(5).Vlan(6).Build()},
      {"ServiceTag", Drop::kVlanStacked, kWan, Client().Vlan(5, 0x88a8).Build()},
      {"Arp", Drop::kNotIp, kWan, Client().EtherType(0x0806).Build()},
      {"Ipv6ThatIsNot", Drop::kIpVersion, kWan, Client().EtherType(0x86dd).Build()},
      {"HalfIp", Drop::kIpTruncated, kWan, Client().Truncated(14 + 19)},
      {"ShorterThanTotalLength", Drop::kIpTruncated, kWan, WithoutLast(Client().Build(), 1)},
      {"Version6", Drop::kIpVersion, kWan, Client().Version(6).Build()},
      {"HeaderOf16", Drop::kIpHeaderLength, kWan, Client().HeaderWords(4).Build()},
      {"HeaderPastTotal", Drop::kIpHeaderLength, kWan,
       Client().TotalLength(20).HeaderWords(6).Build()},
      {"WrongIpChecksum", Drop::kIpChecksum, kWan, Client().IpChecksum(0x1234).Build()},
      {"Options", Drop::kIpOptions, kWan, Client().IpOptions({0x94, 0x04, 0, 0}).Build()},
      {"TinyFragment", Drop::kFragmentTiny, kWan,
       Client().PayloadSize(240).Fragment(0, true).Build()},
      {"FragmentOfOddSize", Drop::kFragmentMalformed, kWan,
       Client().PayloadSize(301).Fragment(8, true).Build()},
      {"Tcp", Drop::kIpProtocol, kWan,
       Frame().Eth(kGateway, kRelayWan).IPv4("203.0.113.7", "198.51.100.10").Tcp(1, 2).Build()},
      {"SourceZero", Drop::kMartianSource, kWan, Client().IPv4("0.0.0.0", "198.51.100.10").Build()},
      {"SourceLoopback", Drop::kMartianSource, kWan,
       Client().IPv4("127.0.0.1", "198.51.100.10").Build()},
      {"SourceMulticast", Drop::kMartianSource, kWan,
       Client().IPv4("224.0.0.1", "198.51.100.10").Build()},
      {"SourceBroadcast", Drop::kMartianSource, kWan,
       Client().IPv4("255.255.255.255", "198.51.100.10").Build()},
      {"SourceIsListener", Drop::kMartianSource, kWan,
       Client().IPv4("198.51.100.10", "198.51.100.10").Build()},
      {"SourceIsNatAddress", Drop::kMartianSource, kWan,
       Client().IPv4("10.8.0.2", "198.51.100.10").Build()},
      {"SourceIsTheBridge", Drop::kMartianSource, kLan,
       Client().Eth(kBridge, kRelayLan).IPv4("10.8.0.11", "198.51.100.10").Build()},
      {"SourceIsTheBridgeFromOutside", Drop::kWrongIngress, kWan,
       Client().IPv4("10.8.0.11", "198.51.100.10").Build()},
      {"HalfUdp", Drop::kUdpTruncated, kWan,
       Client().Raw().Protocol(17).Payload({1, 2, 3, 4, 5, 6, 7}).Build()},
      {"UdpTooLong", Drop::kUdpLength, kWan, Client().UdpLength(200).Build()},
      {"UdpTooShort", Drop::kUdpLength, kWan, Client().UdpLength(7).Build()},
      {"WrongUdpChecksum", Drop::kUdpChecksum, kWan, Client().UdpChecksum(0x1234).Build()},
      {"PartialWhereNoneCanBe", Drop::kUdpChecksum, kWan, Client().PartialUdpChecksum().Build()},
      {"SourcePortZero", Drop::kUdpPortZero, kWan, Client().Udp(0, 10000).Build()},
      {"DestinationPortZero", Drop::kUdpPortZero, kWan, Client().Udp(40000, 0).Build()},
      {"HalfIcmp", Drop::kIcmpTruncated, kWan,
       Client().Raw().Protocol(1).Payload({3, 1, 0, 0}).Build()},
      {"IcmpQuotesNothing", Drop::kIcmpTruncated, kWan, Client().Icmp(3, 3).Payload("").Build()},
      {"IcmpQuotesTooLittle", Drop::kIcmpTruncated, kWan,
       Client().Icmp(3, 3).Quote(quoted, 27).Build()},
      {"Ping", Drop::kIcmpType, kWan, Client().Icmp(8, 0).Payload("ping").Build()},
      {"SourceQuench", Drop::kIcmpType, kWan, Client().Icmp(4, 0).Quote(quoted).Build()},
      {"WrongIcmpChecksum", Drop::kIcmpChecksum, kWan,
       Client().Icmp(3, 3).Quote(quoted).IcmpChecksum(1).Build()},
      {"WrongChecksumOfTheQuotedHeader", Drop::kIcmpChecksum, kWan,
       Client().Icmp(3, 3).Quote(Frame(quoted).IpChecksum(0x1234)).Build()},
      {"IcmpAboutHalfAHeader", Drop::kIcmpNoSession, kWan,
       Client().Icmp(3, 3).Quote(Frame(quoted).TotalLength(27)).Build()},
      {"PortUnreachable", Drop::kIcmpNoSession, kWan, Client().Icmp(3, 3).Quote(quoted).Build()},
      {"IcmpAboutTcp", Drop::kIcmpNoSession, kWan,
       Client().Icmp(3, 3).Quote(Frame().IPv4("198.51.100.10", "203.0.113.7").Tcp(1, 2)).Build()},
      {"IcmpAboutOptions", Drop::kIcmpNoSession, kWan,
       Client().Icmp(3, 3).Quote(Frame(quoted).IpOptions({1, 1, 1, 1})).Build()},
      {"IcmpAboutALaterFragment", Drop::kIcmpNoSession, kWan,
       Client().Icmp(3, 3).Quote(Frame(quoted).Fragment(1480, false)).Build()},
      {"OtherPort", Drop::kNotForUs, kWan, Client().Udp(40000, 10001).Build()},
      {"OtherAddress", Drop::kNotForUs, kWan,
       Client().IPv4("203.0.113.7", "198.51.100.99").Build()},
      {"UnusedNatPort", Drop::kNoSession, kLan,
       Client().Eth(kBridge, kRelayLan).IPv4("10.8.0.11", "10.8.0.2").Udp(10000, 20000).Build()},
      {"NotStun", Drop::kNotStun, kWan, Client().Payload("\x80\x6f hello, this is RTP").Build()},
      {"Empty", Drop::kNotStun, kWan, Client().Payload("").Build()},
      {"WrongCookie", Drop::kNotStun, kWan, WithStun(4, {0x21, 0x12, 0xa4, 0x43})},
      {"StunLengthOdd", Drop::kStunMalformed, kWan, WithStun(3, {0x1d})},
      {"StunLengthTooLong", Drop::kStunMalformed, kWan, WithStun(2, {0x01, 0x00})},
      {"AttributePastTheEnd", Drop::kStunMalformed, kWan, WithStun(22, {0x01, 0x00})},
      {"BindingResponse", Drop::kStunNotBindingRequest, kWan, WithStun(0, {0x01, 0x01})},
      {"AllocateRequest", Drop::kStunNotBindingRequest, kWan, WithStun(0, {0x00, 0x03})},
      {"NoColon", Drop::kStunNoUsername, kWan,
       Client().Payload(StunRequest("bridgeclient")).Build()},
      {"EmptyUfrag", Drop::kStunNoUsername, kWan, Client().Payload(StunRequest(":client")).Build()},
      {"WrongFingerprint", Drop::kStunFingerprint, kWan,
       WithStun(StunRequest().size() - 1, {0x00})},
      {"TtlOne", Drop::kTtlExpired, kWan, Client().Ttl(1).Build()},
      {"TtlZero", Drop::kTtlExpired, kWan, Client().Ttl(0).Build()},
  };
}

Frame Client6() {
  return Frame()
      .Eth(kGateway, kRelayWan)
      .IPv6(kNet6.client, kNet6.listener)
      .Udp(40000, 10000)
      .Payload(StunRequest());
}

std::vector<Case> Ipv6Cases() {
  Frame quoted = Frame().Eth().IPv6(kNet6.listener, kNet6.client).Udp(10000, 40000);
  auto extension = [](uint8_t type) {
    return Client6().Extension(type, {0, 0, 0, 0, 0, 0, 0}).Build();
  };
  auto from = [](std::string_view source) {
    return Client6().IPv6(source, kNet6.listener).Build();
  };
  return {
      {"HalfIp", Drop::kIpTruncated, kWan, Client6().Truncated(14 + 39)},
      {"ShorterThanPayloadLength", Drop::kIpTruncated, kWan, WithoutLast(Client6().Build(), 1)},
      {"LongestPayloadLength", Drop::kIpTruncated, kWan, Client6().TotalLength(39).Build()},
      {"Version4", Drop::kIpVersion, kWan, Client6().Version(4).Build()},
      {"HopByHop", Drop::kIpOptions, kWan, extension(0)},
      {"Routing", Drop::kIpOptions, kWan, extension(43)},
      {"Fragment", Drop::kFragmentNoSession, kWan, extension(44)},
      {"DestinationOptions", Drop::kIpOptions, kWan, extension(60)},
      {"NoNextHeader", Drop::kIpProtocol, kWan, extension(59)},
      {"Tcp", Drop::kIpProtocol, kWan,
       Frame().Eth(kGateway, kRelayWan).IPv6(kNet6.client, kNet6.listener).Tcp(1, 2).Build()},
      {"SourceUnspecified", Drop::kMartianSource, kWan, from("::")},
      {"SourceLoopback", Drop::kMartianSource, kWan, from("::1")},
      {"SourceMapped", Drop::kMartianSource, kWan, from("::ffff:203.0.113.7")},
      {"SourceLinkLocal", Drop::kMartianSource, kWan, from("fe80::1")},
      {"SourceMulticast", Drop::kMartianSource, kWan, from("ff02::1")},
      {"SourceIsListener", Drop::kMartianSource, kWan, from(kNet6.listener)},
      {"SourceIsNatAddress", Drop::kMartianSource, kWan, from(kNet6.nat)},
      {"SourceIsTheBridgeFromOutside", Drop::kWrongIngress, kWan, from(kNet6.bridge)},
      {"HalfUdp", Drop::kUdpTruncated, kWan,
       Client6().Raw().Protocol(17).Payload({1, 2, 3, 4, 5, 6, 7}).Build()},
      {"UdpTooLong", Drop::kUdpLength, kWan, Client6().UdpLength(200).Build()},
      {"WrongUdpChecksum", Drop::kUdpChecksum, kWan, Client6().UdpChecksum(0x1234).Build()},
      {"NoUdpChecksum", Drop::kUdpNoChecksum, kWan, Client6().UdpChecksum(0).Build()},
      {"SourcePortZero", Drop::kUdpPortZero, kWan, Client6().Udp(0, 10000).Build()},
      {"IcmpQuotesTooLittle", Drop::kIcmpTruncated, kWan,
       Client6().Icmp(1, 4).Quote(quoted, 47).Build()},
      {"Ping", Drop::kIcmpType, kWan, Client6().Icmp(128, 0).Payload("ping").Build()},
      {"NeighbourSolicitation", Drop::kIcmpType, kWan, Client6().Icmp(135, 0).Build()},
      {"WrongIcmpChecksum", Drop::kIcmpChecksum, kWan,
       Client6().Icmp(1, 4).Quote(quoted).IcmpChecksum(1).Build()},
      {"IcmpAboutHalfAHeader", Drop::kIcmpNoSession, kWan,
       Client6().Icmp(1, 4).Quote(Frame(quoted).TotalLength(47)).Build()},
      {"PortUnreachable", Drop::kIcmpNoSession, kWan, Client6().Icmp(1, 4).Quote(quoted).Build()},
      {"OtherPort", Drop::kNotForUs, kWan, Client6().Udp(40000, 10001).Build()},
      {"OtherAddress", Drop::kNotForUs, kWan,
       Client6().IPv6(kNet6.client, "2001:db8:10::99").Build()},
      {"UnusedNatPort", Drop::kNoSession, kLan,
       Client6().Eth(kBridge, kRelayLan).IPv6(kNet6.bridge, kNet6.nat).Udp(10000, 20000).Build()},
      {"NotStun", Drop::kNotStun, kWan, Client6().Payload("\x80\x6f this is RTP").Build()},
      {"HopLimitOne", Drop::kTtlExpired, kWan, Client6().Ttl(1).Build()},
      {"HopLimitZero", Drop::kTtlExpired, kWan, Client6().Ttl(0).Build()},
  };
}

class PacketsDropped : public testing::TestWithParam<size_t> {};

TEST_P(PacketsDropped, ByItsOneName) {
  std::vector<Case> cases = Cases();
  const size_t ipv4 = cases.size();
  for (const Case& one : Ipv6Cases()) cases.push_back(one);
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& one = cases[i];
    const Net& net = i < ipv4 ? kNet4 : kNet6;
    SCOPED_TRACE(std::string(net.name) + one.name);
    WalkHarness harness(BasicSnapshot(true, net), {.workers = GetParam()});
    Outcome out = harness.Send(one.port, one.frame);
    EXPECT_EQ(out.verdict, Verdict::kDrop);
    EXPECT_EQ(out.drop, one.drop) << "got " << kDropInfo[DropIndex(out.drop)].label;
    EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_created), 0u);
  }
}
INSTANTIATE_TEST_SUITE_P(Workers, PacketsDropped, testing::Values(1, 2));

TEST(PacketsDrops, NoFingerprintIsFine) {
  WalkHarness harness(BasicSnapshot(true), {});
  Outcome out = harness.Send(kWan, Client().Payload(StunRequest("a:b", false)).Build());
  EXPECT_EQ(out.verdict, Verdict::kTransmit);
}

TEST(PacketsDrops, EveryTruncationOfAGoodFrameIsNamed) {
  Bytes whole = Client().Vlan(9).Build();
  WalkHarness harness(BasicSnapshot(true), {});
  for (size_t size = 0; size < whole.size(); ++size) {
    Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    Outcome out = harness.Send(kWan, cut);
    EXPECT_EQ(out.verdict, Verdict::kDrop) << size;
  }
  EXPECT_EQ(harness.Send(kWan, whole).verdict, Verdict::kTransmit);
}

TEST(PacketsDrops, NicChecksumVerdictsAreTaken) {
  WalkHarness harness(BasicSnapshot(true), {});
  EXPECT_EQ(harness.Send(kWan, Client().Build(), 0, kIpChecksumBad).drop, Drop::kIpChecksum);
  EXPECT_EQ(harness.Send(kWan, Client().Build(), 0, kIpChecksumGood | kUdpChecksumBad).drop,
            Drop::kUdpChecksum);
  EXPECT_EQ(harness.Send(kWan, Client().Build(), 0, kIpChecksumGood | kUdpChecksumGood).verdict,
            Verdict::kTransmit);
}

TEST(PacketsDrops, AdmissionSumsEvenWhereThePortDoesNot) {
  WalkHarness harness(BasicSnapshot(true), {.verify_udp_checksum = false});
  EXPECT_EQ(harness.Send(kWan, Client().UdpChecksum(0x1234).Build()).drop, Drop::kUdpChecksum);
}

// RFC 1624: what is wrong with a checksum stays, for the receiver to find.
TEST(PacketsDrops, AWrongChecksumOfASessionStaysWrongWhereThePortDoesNotSum) {
  WalkHarness harness(BasicSnapshot(true), {.verify_udp_checksum = false});
  ASSERT_EQ(harness.Send(kWan, Client().Build()).verdict, Verdict::kTransmit);
  const auto media = [] { return Client().Payload(kRtp); };
  const Outcome right = harness.Send(kWan, media().Build());
  const Outcome wrong = harness.Send(kWan, media().UdpChecksum(0x1234).Build());
  ASSERT_EQ(right.verdict, Verdict::kTransmit);
  ASSERT_EQ(wrong.verdict, Verdict::kTransmit);
  constexpr size_t kChecksum = 14 + 20 + 6;
  Bytes mended = wrong.frame;
  ASSERT_EQ(mended.size(), right.frame.size());
  EXPECT_NE(std::memcmp(&mended[kChecksum], &right.frame[kChecksum], 2), 0);
  std::memcpy(&mended[kChecksum], &right.frame[kChecksum], 2);
  EXPECT_EQ(mended, right.frame);
  EXPECT_EQ(harness.Send(kWan, media().UdpChecksum(0x1234).Build(), 0, kUdpChecksumBad).drop,
            Drop::kUdpChecksum);
}

TEST(PacketsDrops, DestinationModeNamesABridgeWithoutASession) {
  WalkHarness harness(BasicSnapshot(false), {});
  Outcome out = harness.Send(kLan, Frame()
                                       .Eth(kBridge, kRelayLan)
                                       .IPv4("10.8.0.11", "203.0.113.7")
                                       .Udp(10000, 40000)
                                       .Payload("x")
                                       .Build());
  EXPECT_EQ(out.drop, Drop::kNoSession);
}

TEST(PacketsDrops, FilteringIsEndpointDependent) {
  WalkHarness harness(BasicSnapshot(true), {});
  Outcome up = harness.Send(kWan, Client().Build());
  auto port = static_cast<uint16_t>(up.frame[34] << 8 | up.frame[35]);
  auto reply = [&](std::string_view from, uint16_t from_port) {
    return harness.Send(kLan, Frame()
                                  .Eth(kBridge, kRelayLan)
                                  .IPv4(from, "10.8.0.2")
                                  .Udp(from_port, port)
                                  .Payload("x")
                                  .Build());
  };
  EXPECT_EQ(reply("10.8.0.12", 10000).drop, Drop::kWrongPeer);
  EXPECT_EQ(reply("10.8.0.11", 10001).drop, Drop::kWrongPeer);
  EXPECT_EQ(reply("10.8.0.11", 10000).verdict, Verdict::kTransmit);
}

TEST(PacketsDrops, ABridgeAddressFromTheWrongSideIsAForgery) {
  for (bool source_nat : {true, false}) {
    WalkHarness harness(BasicSnapshot(source_nat), {});
    Outcome up = harness.Send(kWan, Client().Build());
    auto port = static_cast<uint16_t>(up.frame[34] << 8 | up.frame[35]);
    Frame forged = Frame().Eth(kGateway, kRelayWan);
    forged.IPv4("10.8.0.11", source_nat ? "10.8.0.2" : "203.0.113.7").Udp(10000, port);
    EXPECT_EQ(harness.Send(kWan, forged.Payload("x").Build()).drop, Drop::kWrongIngress);
    EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_unconfirmed), 1u);
  }
}

TEST(PacketsDrops, TooLargeForTheWayOut) {
  api::Snapshot snapshot = BasicSnapshot(true);
  snapshot.mutable_routing()->mutable_interfaces(1)->set_mtu(1000);
  WalkHarness harness(snapshot, {});
  EXPECT_EQ(harness.Send(kWan, Client().Build()).verdict, Verdict::kTransmit);
  EXPECT_EQ(harness.Send(kWan, Client().DontFragment().PayloadSize(973).Build()).drop,
            Drop::kEgressMtu);
  EXPECT_EQ(harness.Send(kWan, Client().PayloadSize(972).Build()).verdict, Verdict::kTransmit);
}

}  // namespace
}  // namespace bridgehead::test
