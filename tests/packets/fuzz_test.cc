// Random damage: whatever arrives, the walk ends every packet by name, reads nothing past its end
// (each frame has memory of its exact size, for the sanitizer to watch), and loses no session.
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/support/fragments.h"
#include "tests/support/walk_harness.h"

namespace bridgehead::test {
namespace {

using Frame = test::Packet;

Frame Client(uint16_t port) {
  return Frame().Eth(kGateway, kRelayWan).IPv4("203.0.113.7", "198.51.100.10").Udp(port, 10000);
}

// A frame damaged in one to four ways.
Bytes Damage(Bytes frame, std::mt19937& random) {
  for (unsigned i = 0; i <= random() % 4; ++i) {
    if (frame.empty()) return frame;
    size_t at = random() % frame.size();
    switch (random() % 6) {
      case 0:
        frame[at] = static_cast<uint8_t>(random());
        break;
      case 1:
        frame[at] ^= static_cast<uint8_t>(1 << random() % 8);
        break;
      case 2:
        frame.resize(at);
        break;
      case 3:
        frame.insert(frame.begin() + static_cast<ptrdiff_t>(at), random() % 64, 0xff);
        break;
      case 4:
        frame.resize(frame.size() + random() % 64);
        break;
      default:  // the headers, where every bit means something
        frame[at % std::min<size_t>(frame.size(), 62)] = static_cast<uint8_t>(random());
        break;
    }
  }
  return frame;
}

struct Way {
  bool source_nat;
  const Net& net;
};

class PacketsFuzzed : public testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(Ways, PacketsFuzzed,
                         testing::Values(Way{true, kNet4}, Way{false, kNet4}, Way{true, kNet6},
                                         Way{false, kNet6}, Way{true, kNet6To4}),
                         [](const auto& way) {
                           return std::string(way.param.source_nat ? "Source" : "Destination") +
                                  way.param.net.name;
                         });

TEST_P(PacketsFuzzed, EveryPacketEndsByNameAndTheCountsAddUp) {
  const Net& net = GetParam().net;
  auto client = [&](uint16_t port) {
    return Frame().Eth(kGateway, kRelayWan).IP(net.client, net.listener).Udp(port, 10000);
  };
  for (size_t workers : {1u, 2u}) {
    for (uint32_t seed = 0; seed < 10; ++seed) {
      WalkHarness harness(BasicSnapshot(GetParam().source_nat, net),
                          {.workers = workers, .partial_checksums = seed % 2 == 1});
      std::mt19937 random(seed);
      Frame quoted = Frame().Eth().IP(net.listener, net.client).Udp(10000, 40000);
      Frame answer = Frame().Eth(kBridge, kRelayLan);
      const Bytes large = client(40000).PayloadSize(1000).Build();
      const std::vector<Bytes> seeds = {
          client(40000).Payload(StunRequest()).Build(),
          client(40000).Vlan(5).Payload(StunRequest("a:b", false)).Build(),
          client(40000).PartialUdpChecksum().Payload(StunRequest()).Build(),
          client(40001).Payload(kRtp).Build(),
          client(40002).Icmp(3, 4).Quote(quoted).Build(),
          answer.IP(net.bridge, net.nat).Udp(10000, 30000).Build(),
          FragmentOf(large, 0, 400, 1),
          FragmentOf(large, 400, 800, 1),
          FragmentOf(large, 800, 1400, 2),
      };
      ASSERT_EQ(harness.Send(kWan, seeds[0]).verdict, Verdict::kTransmit);
      std::vector<Bytes> frames;
      frames.reserve(2000);
      for (int i = 0; i < 2000; ++i)
        frames.push_back(Damage(seeds[random() % seeds.size()], random));
      std::map<Verdict, size_t> verdicts;
      size_t complaints = 0;
      auto outcomes = harness.Send(random() % 2 ? kWan : kLan, frames, random() % workers);
      for (const Outcome& outcome : outcomes) {
        ++verdicts[outcome.verdict];
        // What is sent for a dropped packet is an ICMP error about it.
        complaints += outcome.verdict == Verdict::kTransmit && outcome.drop != Drop::kNone;
        ASSERT_TRUE(outcome.verdict != Verdict::kDrop || outcome.drop != Drop::kNone);
        if (outcome.verdict != Verdict::kTransmit) continue;
        ASSERT_GE(outcome.frame.size(), 14u + 28);
      }
      ASSERT_EQ(verdicts[Verdict::kTransmit] + verdicts[Verdict::kDrop] + verdicts[Verdict::kHold],
                frames.size());
      EXPECT_EQ(complaints, harness.Sum(&WorkerCounters::icmp_sent));
      EXPECT_GT(verdicts[Verdict::kDrop], frames.size() / 4);
      EXPECT_EQ(harness.Send(kWan, client(40000).Payload(kRtp).Build()).verdict,
                Verdict::kTransmit);
    }
  }
}

// ICMP errors whose own checksum is right, about packets of a session or nearly so: what the quoted
// packet says about itself can not be trusted.
class PacketsFuzzedIcmp : public testing::TestWithParam<Net> {};
INSTANTIATE_TEST_SUITE_P(Nets, PacketsFuzzedIcmp, testing::Values(kNet4, kNet6, kNet6To4),
                         [](const auto& net) { return std::string(net.param.name); });

TEST_P(PacketsFuzzedIcmp, WhateverIsQuoted) {
  const Net& net = GetParam();
  WalkHarness harness(BasicSnapshot(true, net), {});
  std::mt19937 random(7);
  Frame client = Frame().Eth(kGateway, kRelayWan).IP(net.client, net.listener).Udp(40000, 10000);
  Outcome up = harness.Send(kWan, client.Payload(StunRequest()).Build());
  ASSERT_EQ(up.verdict, Verdict::kTransmit);
  const Bytes to_bridge(up.frame.begin() + 14, up.frame.end());
  Frame down = Frame().IP(net.listener, net.client).Udp(10000, 40000).PayloadSize(1000);
  const Bytes to_client = down.Build();
  size_t translated = 0;
  for (int i = 0; i < 20'000; ++i) {
    const bool from_bridge = random() % 2 == 0;
    Bytes quoted = from_bridge ? to_bridge : to_client;
    // Half of them only cut, so that the translation is reached.
    quoted = random() % 2 == 0 ? Damage(quoted, random) : quoted;
    quoted.resize(std::min<size_t>(quoted.size(), random() % 1400));
    Frame error = from_bridge ? Frame().Eth(kBridge, kRelayLan).IP(net.bridge, net.nat)
                              : Frame().Eth(kGateway, kRelayWan).IP(net.client, net.listener);
    error.Icmp(static_cast<uint8_t>(random() % 14), static_cast<uint8_t>(random() % 6),
               static_cast<uint32_t>(random()));
    Outcome out = harness.Send(from_bridge ? kLan : kWan, error.Payload(quoted).Build());
    ASSERT_EQ(out.verdict == Verdict::kDrop, out.drop != Drop::kNone);
    translated += out.verdict == Verdict::kTransmit;
  }
  EXPECT_GT(translated, 1000u);
}

// Pure noise behind a valid IP and UDP header: only STUN gets in.
TEST(PacketsFuzzedPayload, NoNoiseMakesASession) {
  WalkHarness harness(BasicSnapshot(true), {});
  std::mt19937 random(99);
  for (int i = 0; i < 20'000; ++i) {
    Bytes payload(random() % 200);
    for (uint8_t& byte : payload) byte = static_cast<uint8_t>(random());
    // Half of them with a good cookie, so that the attributes are reached.
    if (i % 2 == 0 && payload.size() >= 20) {
      const uint8_t head[] = {0,    1,    0,    static_cast<uint8_t>(payload.size() - 20),
                              0x21, 0x12, 0xa4, 0x42};
      std::copy(std::begin(head), std::end(head), payload.begin());
    }
    Outcome out = harness.Send(
        kWan, Client(static_cast<uint16_t>(1024 + i % 60'000)).Payload(payload).Build());
    ASSERT_EQ(out.verdict, Verdict::kDrop) << i;
  }
  EXPECT_EQ(harness.Sum(&WorkerCounters::sessions_created), 0u);
}

}  // namespace
}  // namespace bridgehead::test
