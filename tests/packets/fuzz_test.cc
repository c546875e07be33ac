// Random damage: whatever arrives, the walk ends every packet by name, reads nothing past its end
// (each frame has memory of its exact size, for the sanitizer to watch), and loses no session.
#include <map>
#include <random>

#include <gtest/gtest.h>

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

class PacketsFuzzed : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(NatModes, PacketsFuzzed, testing::Bool());

TEST_P(PacketsFuzzed, EveryPacketEndsByNameAndTheCountsAddUp) {
  for (size_t workers : {1u, 2u}) {
    for (uint32_t seed = 0; seed < 20; ++seed) {
      WalkHarness harness(BasicSnapshot(GetParam()),
                          {.workers = workers, .partial_checksums = seed % 2 == 1});
      std::mt19937 random(seed);
      Frame quoted = Frame().Eth().IPv4("198.51.100.10", "203.0.113.7").Udp(10000, 40000);
      const std::vector<Bytes> seeds = {
          Client(40000).Payload(StunRequest()).Build(),
          Client(40000).Vlan(5).Payload(StunRequest("a:b", false)).Build(),
          Client(40000).PartialUdpChecksum().Payload(StunRequest()).Build(),
          Client(40001).Payload("media").Build(),
          Client(40002).Icmp(3, 4).Quote(quoted).Build(),
          Frame().Eth(kBridge, kRelayLan).IPv4("10.8.0.11", "10.8.0.2").Udp(10000, 30000).Build(),
      };
      ASSERT_EQ(harness.Send(kWan, seeds[0]).verdict, Verdict::kTransmit);
      std::vector<Bytes> frames;
      frames.reserve(2000);
      for (int i = 0; i < 2000; ++i) frames.push_back(Damage(seeds[random() % 6], random));
      std::map<Verdict, size_t> verdicts;
      auto outcomes = harness.Send(random() % 2 ? kWan : kLan, frames, random() % workers);
      for (const Outcome& outcome : outcomes) {
        ++verdicts[outcome.verdict];
        ASSERT_EQ(outcome.verdict == Verdict::kDrop, outcome.drop != Drop::kNone);
        if (outcome.verdict != Verdict::kTransmit) continue;
        ASSERT_GE(outcome.frame.size(), 14u + 28);
      }
      ASSERT_EQ(verdicts[Verdict::kTransmit] + verdicts[Verdict::kDrop] + verdicts[Verdict::kHold],
                frames.size());
      EXPECT_GT(verdicts[Verdict::kDrop], frames.size() / 4);
      EXPECT_EQ(harness.Send(kWan, Client(40000).Payload("still here").Build()).verdict,
                Verdict::kTransmit);
    }
  }
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
