// The two parsers say the same: what ParsePlain takes, ParseAny takes with the same facts.
#include "relay/walk/parse.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/walk_harness.h"

namespace bridgehead {
namespace {

using test::Bytes;

class Parsers : public testing::Test {
 protected:
  Parsers() {
    api::Routing routing;
    test::AddRouting(test::kNet4, routing);
    forwarding_ = *Forwarding::Build(routing, {test::kRelayWan, test::kRelayLan}, nullptr);
  }

  static Packet RecordOf(Bytes& frame, uint8_t checksum_flags) {
    Packet packet;
    packet.frame = frame.data();
    packet.length = static_cast<uint32_t>(frame.size());
    packet.checksum_flags = checksum_flags;
    return packet;
  }

  // Whether it is plain; and if it is, that both say so.
  bool Compare(Bytes frame, const PortTraits& port, uint8_t checksum_flags = 0) {
    const Bytes before = frame;
    Packet plain = RecordOf(frame, checksum_flags);
    const bool taken = ParsePlain(plain, port);
    EXPECT_EQ(frame, before);
    if (!taken) return false;
    Packet any = RecordOf(frame, checksum_flags);
    EXPECT_EQ(ParseAny(any, port, *forwarding_), Drop::kNone);
    EXPECT_EQ(plain.frame, any.frame);
    EXPECT_EQ(plain.length, any.length);
    EXPECT_EQ(plain.ip_offset, any.ip_offset);
    EXPECT_EQ(plain.ip_length, any.ip_length);
    EXPECT_EQ(plain.ipv6, any.ipv6);
    EXPECT_EQ(plain.partial_checksum, any.partial_checksum);
    EXPECT_EQ(plain.kind, PacketKind::kUdp);
    EXPECT_EQ(any.kind, PacketKind::kUdp);
    return true;
  }

  std::shared_ptr<const Forwarding> forwarding_;
};

test::Packet Frame(const test::Net& net) {
  return test::Packet()
      .Eth(test::kGateway, test::kRelayWan)
      .IP(net.client, net.listener)
      .Udp(40000, 10000)
      .Payload(Bytes(31, 0x80));
}

// All that a port may ask for.
std::vector<PortTraits> AllTraits() {
  std::vector<PortTraits> all;
  for (unsigned bits = 0; bits < 8; ++bits) {
    PortTraits port;
    port.mac = MacAddress(test::kRelayWan);
    port.check_mac = (bits & 1) != 0;
    port.verify_udp_checksum = (bits & 2) != 0;
    port.partial_checksums = (bits & 4) != 0;
    all.push_back(port);
  }
  return all;
}

TEST_F(Parsers, OrdinaryPacketsArePlain) {
  for (const PortTraits& port : AllTraits()) {
    for (const test::Net& net : {test::kNet4, test::kNet6}) {
      EXPECT_TRUE(Compare(Frame(net).Build(), port)) << net.name;
      Bytes padded = Frame(net).Build();
      padded.resize(padded.size() + 7);
      EXPECT_TRUE(Compare(padded, port)) << net.name;
      const bool recognised = port.partial_checksums || !port.verify_udp_checksum;
      EXPECT_EQ(Compare(Frame(net).PartialUdpChecksum().Build(), port), recognised) << net.name;
    }
    EXPECT_TRUE(Compare(Frame(test::kNet4).UdpChecksum(0).Build(), port));
    EXPECT_FALSE(Compare(Frame(test::kNet6).UdpChecksum(0).Build(), port));
    EXPECT_FALSE(Compare(Frame(test::kNet4).Vlan(5).Build(), port));
  }
}

TEST_F(Parsers, ThatOfPlainPacketsTakesNothingThatTheOtherRefuses) {
  std::mt19937 random(1);
  const std::vector<PortTraits> traits = AllTraits();
  size_t plain = 0, other = 0;
  for (const test::Net& net : {test::kNet4, test::kNet6}) {
    const Bytes whole = Frame(net).Build();
    for (int i = 0; i < 100'000; ++i) {
      Bytes frame = whole;
      for (unsigned damage = random() % 3; damage > 0; --damage) {
        // The headers, where every bit means something.
        frame[random() % 62] = static_cast<uint8_t>(random() % 4 == 0 ? random() : random() % 8);
      }
      if (random() % 4 == 0) frame.resize(random() % (frame.size() + 1));
      ++(Compare(frame, traits[random() % traits.size()], random() % 16) ? plain : other);
    }
  }
  // Both happen often, or this would say nothing.
  EXPECT_GT(plain, 20'000u);
  EXPECT_GT(other, 20'000u);
}

}  // namespace
}  // namespace bridgehead
