// A full table: a million sessions on one worker, what they cost, and what happens when there is
// room for no more.
#include <cstdio>

#include <gtest/gtest.h>

#include "tests/packets/modes.h"

namespace bridgehead::test {
namespace {

using Frame = test::Packet;

// One worker gets the million; a sanitizer makes that ten times as slow, and the other modes differ
// in nothing that depends on the size.
uint32_t SessionsOf(const Mode& mode) {
#ifdef __SANITIZE_ADDRESS__
  constexpr bool kSlow = true;
#else
  constexpr bool kSlow = false;
#endif
  return mode.source_nat && mode.workers == 1 && !kSlow ? 1'000'000 : 50'000;
}
constexpr uint32_t kPortsOfAClient = 500;

class PacketsCapacity : public testing::TestWithParam<Mode> {
 protected:
  static WalkHarness::Options Options() {
    WalkHarness::Options options;
    options.workers = GetParam().workers;
    // The hash gives no worker exactly its share; the test fills each.
    options.max_sessions = SessionsOf(GetParam()) / GetParam().workers;
    return options;
  }
  static api::Snapshot Config() {
    api::Snapshot snapshot = BasicSnapshot(GetParam().source_nat);
    snapshot.mutable_limits()->set_unconfirmed(65536);
    for (uint32_t i = 3; i < 33; ++i) {
      snapshot.mutable_nat()->add_addresses(AddressBytes("10.8.0." + std::to_string(100 + i)));
    }
    return snapshot;
  }
  PacketsCapacity() : harness_(Config(), Options()) {
    request_ = Frame()
                   .Eth(kGateway, kRelayWan)
                   .IPv4("203.0.113.7", "198.51.100.10")
                   .Udp(40000, 10000)
                   .UdpChecksum(0)
                   .Payload(StunRequest())
                   .Build();
    media_ = Frame()
                 .Eth(kGateway, kRelayWan)
                 .IPv4("203.0.113.7", "198.51.100.10")
                 .Udp(40000, 10000)
                 .UdpChecksum(0)
                 .Payload(kRtp)
                 .Build();
    answer_ = Frame()
                  .Eth(kBridge, kRelayLan)
                  .IPv4("10.8.0.11", "10.8.0.2")
                  .Udp(10000, 40000)
                  .UdpChecksum(0)
                  .Payload("answer")
                  .Build();
  }

  // Client number `n`'s, its address and port written over the template's.
  static Bytes From(Bytes frame, uint32_t n) {
    const uint32_t client = n / kPortsOfAClient;
    frame[26] = 100;
    frame[27] = static_cast<uint8_t>(client >> 16);
    frame[28] = static_cast<uint8_t>(client >> 8);
    frame[29] = static_cast<uint8_t>(client);
    SetPort(frame, 34, n);
    return frame;
  }
  static void SetPort(Bytes& frame, size_t at, uint32_t n) {
    const auto port = static_cast<uint16_t>(1024 + n % kPortsOfAClient);
    frame[at] = static_cast<uint8_t>(port >> 8);
    frame[at + 1] = static_cast<uint8_t>(port);
  }
  std::vector<Outcome> Send(uint8_t port, const std::vector<Bytes>& frames) {
    auto outcomes = harness_.Send(port, frames, 0, kIpChecksumGood);
    harness_.ForgetFrames();
    return outcomes;
  }
  // Takes clients [begin, end) through request, answer and media. Returns how many are let in; who
  // is not, is so for `refusal`.
  size_t Connect(uint32_t begin, uint32_t end, Drop refusal) {
    size_t connected = 0;
    for (uint32_t n = begin; n < end;) {
      std::vector<Bytes> requests, answers, media;
      const uint32_t first = n;
      for (; n < end && requests.size() < 4096; ++n) requests.push_back(From(request_, n));
      auto outcomes = Send(kWan, requests);
      for (size_t i = 0; i < outcomes.size(); ++i) {
        if (outcomes[i].verdict != Verdict::kTransmit) {
          EXPECT_EQ(outcomes[i].drop, refusal);
          continue;
        }
        ++connected;
        // To where the request came from, as the bridge saw it.
        answers.push_back(answer_);
        memcpy(&answers.back()[30], &outcomes[i].frame[26], 4);
        memcpy(&answers.back()[36], &outcomes[i].frame[34], 2);
        media.push_back(From(media_, first + static_cast<uint32_t>(i)));
      }
      for (const Outcome& out : Send(kLan, answers)) EXPECT_EQ(out.verdict, Verdict::kTransmit);
      for (const Outcome& out : Send(kWan, media)) EXPECT_EQ(out.verdict, Verdict::kTransmit);
      if (testing::Test::HasFailure()) break;
    }
    return connected;
  }

  WalkHarness harness_;
  Bytes request_, media_, answer_;
};

INSTANTIATE_TEST_SUITE_P(Modes, PacketsCapacity,
                         testing::Values(Mode{true, 1}, Mode{true, 2}, Mode{false, 1}), ModeName);

TEST_P(PacketsCapacity, AMillionSessionsInBoundedMemoryAndRecovery) {
  const uint32_t sessions = SessionsOf(GetParam());
  size_t bytes = 0;
  for (size_t w = 0; w < GetParam().workers; ++w) bytes += harness_.shard(w).bytes();
  printf("%u sessions: %.1f MiB, %.0f bytes each, all tables included\n", sessions,
         static_cast<double>(bytes) / (1 << 20), static_cast<double>(bytes) / sessions);
  // Some of it each worker has whatever its size: filters, rates, the list of NAT ports.
  EXPECT_LT(bytes, sessions * 200u + GetParam().workers * (32u << 20));

  size_t connected = Connect(0, sessions, Drop::kTableFull);
  if (GetParam().workers > 1) {  // some worker was full before the other
    connected += Connect(sessions, sessions + sessions / 20, Drop::kTableFull);
  }
  EXPECT_EQ(connected, sessions);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_active), sessions);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_unconfirmed), 0u);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::nat_ports_in_use), GetParam().source_nat ? sessions : 0);

  // Full: newcomers are refused by name, and nobody else notices.
  const uint32_t beyond = 2 * sessions;
  EXPECT_EQ(Connect(beyond, beyond + 1000, Drop::kTableFull), 0u);
  std::vector<Bytes> media;
  for (uint32_t n = 0; n < 4096; ++n) media.push_back(From(media_, n));
  size_t forwarded = 0;
  for (const Outcome& out : Send(kWan, media)) forwarded += out.verdict == Verdict::kTransmit;
  EXPECT_GE(forwarded, media.size() - media.size() / 50);  // the last of two workers' were refused
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_active), sessions);

  // All but those 4096 end; their room is there for others, ports after their rest.
  harness_.Advance(200);
  Send(kWan, media);
  harness_.Advance(110);
  harness_.RunTimers(sessions / 8);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_expired), sessions - forwarded);
  EXPECT_EQ(Connect(beyond, beyond + 10'000, Drop::kNone), 10'000u);
}

}  // namespace
}  // namespace bridgehead::test
