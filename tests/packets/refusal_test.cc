// Samples of what admission refuses, and the lines that the log makes of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relay/refusal_log.h"
#include "tests/packets/modes.h"

namespace bridgehead::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Frame = test::Packet;

class PacketsRefusals : public testing::TestWithParam<Mode> {
 protected:
  static const Net& net() { return GetParam().net; }
  static api::Snapshot OneBridge(api::Bridge::State state) {
    api::Snapshot snapshot = BasicSnapshot(GetParam().source_nat, net());
    snapshot.mutable_bridges(0)->set_ufrag_prefix("jvb1/");
    snapshot.mutable_bridges(0)->set_state(state);
    return snapshot;
  }
  static Bytes Asked(uint16_t port, std::string_view username = "jvb1/a:b") {
    return Frame()
        .Eth(kGateway, kRelayWan)
        .IP(net().client, net().listener)
        .Udp(port, 10000)
        .Payload(StunRequest(username))
        .Build();
  }
  static std::vector<Refusal> Take(WalkHarness& harness) {
    std::vector<Refusal> all;
    Refusal refusal;
    for (size_t w = 0; w < harness.workers(); ++w) {
      while (harness.shard(w).refusals().Pop(refusal)) all.push_back(refusal);
    }
    return all;
  }
};

TEST_P(PacketsRefusals, SayWhoAndWhy) {
  for (auto [state, drop] : {std::pair(api::Bridge::DRAINING, Drop::kBridgeDraining),
                             std::pair(api::Bridge::DOWN, Drop::kBridgeDown)}) {
    WalkHarness harness(OneBridge(state), {.workers = GetParam().workers});
    EXPECT_EQ(harness.Send(kWan, Asked(40001)).drop, drop);
    EXPECT_EQ(harness.Send(kWan, Asked(40002, "jvb2/a:b")).drop, Drop::kStunUnknownUfrag);
    std::vector<Refusal> refusals = Take(harness);
    ASSERT_EQ(refusals.size(), 2u);
    std::sort(refusals.begin(), refusals.end(), [](const Refusal& a, const Refusal& b) {
      return a.source_port.ToHost() < b.source_port.ToHost();
    });
    EXPECT_EQ(refusals[0].drop, drop);
    EXPECT_EQ(refusals[0].source, AnyAddress(net().client));
    EXPECT_EQ(refusals[0].destination, AnyAddress(net().listener));
    EXPECT_EQ(refusals[0].source_port.ToHost(), 40001);
    EXPECT_EQ(refusals[0].destination_port.ToHost(), 10000);
    EXPECT_EQ(refusals[0].listener, 0);
    EXPECT_EQ(refusals[1].drop, Drop::kStunUnknownUfrag);
    EXPECT_EQ(refusals[1].source_port.ToHost(), 40002);
  }
}

TEST_P(PacketsRefusals, AreNotMadeOfWhatIsForwardedOrBroken) {
  WalkHarness harness(OneBridge(api::Bridge::UP), {.workers = GetParam().workers});
  EXPECT_EQ(harness.Send(kWan, Asked(40001)).verdict, Verdict::kTransmit);
  const Bytes noise = Frame()
                          .Eth(kGateway, kRelayWan)
                          .IP(net().client, net().listener)
                          .Udp(40002, 10000)
                          .Payload(kRtp)
                          .Build();
  EXPECT_EQ(harness.Send(kWan, noise).drop, Drop::kNotStun);
  EXPECT_THAT(Take(harness), IsEmpty());
}

TEST_P(PacketsRefusals, OfAFloodAreAFewEachSecond) {
  WalkHarness harness(OneBridge(api::Bridge::DOWN), {.workers = GetParam().workers});
  const size_t most = RefusalSampler::kPerSecond * GetParam().workers;
  for (int second = 0; second < 3; ++second) {
    std::vector<Bytes> flood;
    for (uint16_t port = 1000; port < 3000; ++port) flood.push_back(Asked(port));
    harness.Send(kWan, flood);
    EXPECT_EQ(Take(harness).size(), most);
    // Another reason has room of its own.
    harness.Send(kWan, Asked(40002, "jvb2/a:b"));
    EXPECT_EQ(Take(harness).size(), 1u);
    harness.Advance(1);
  }
  // Nobody reads: the queue holds what it can, and the worker goes on.
  for (int second = 0; second < 100; ++second) {
    EXPECT_EQ(harness.Send(kWan, Asked(40001)).drop, Drop::kBridgeDown);
    harness.Advance(1);
  }
  EXPECT_EQ(Take(harness).size(), 100u);
}

INSTANTIATE_TEST_SUITE_P(Modes, PacketsRefusals,
                         testing::Values(Mode{true, 1}, Mode{true, 2}, Mode{false, 2},
                                         Mode{true, 2, kNet6}, Mode{true, 1, kNet6To4}),
                         ModeName);

TEST(SpscQueue, LosesWhatDoesNotFitAndWrapsAround) {
  SpscQueue<int, 4> queue;
  int item = -1;
  EXPECT_FALSE(queue.Pop(item));
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 6; ++i) queue.Push(round * 10 + i);
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(queue.Pop(item));
      EXPECT_EQ(item, round * 10 + i);
    }
    EXPECT_FALSE(queue.Pop(item));
  }
}

class RefusalLogTest : public testing::Test {
 protected:
  RefusalLogTest() : log_([this](const std::string& line) { lines_.push_back(line); }) {
    log_.SetLines(2);
  }
  static Refusal From(const char* source, uint16_t port, Drop drop = Drop::kDenied) {
    Refusal refusal;
    refusal.source = AnyAddress(source);
    refusal.destination = AnyAddress(ListenerFor(source));
    refusal.source_port = be16::FromHost(port);
    refusal.destination_port = be16::FromHost(4096);
    refusal.drop = drop;
    return refusal;
  }
  static const char* ListenerFor(std::string_view source) {
    return source.find(':') == source.npos ? "198.51.100.10" : "2001:db8::10";
  }
  RefusalLog::Totals& Dropped(uint64_t packets, Drop drop = Drop::kDenied) {
    totals_[DropIndex(drop)] += packets;
    return totals_;
  }
  std::vector<std::string> Lines() { return std::exchange(lines_, {}); }

  std::vector<std::string> lines_;
  RefusalLog::Totals totals_{};
  RefusalLog log_;
};

TEST_F(RefusalLogTest, TheFirstAreNamedAndTheOthersCounted) {
  for (uint16_t i = 0; i < 5; ++i) log_.Note(From("203.0.113.5", 4000 + i), "octo-jvb1");
  EXPECT_THAT(
      Lines(),
      ElementsAre("refused 203.0.113.5:4000 -> 198.51.100.10:4096 (listener octo-jvb1): denied",
                  "refused 203.0.113.5:4001 -> 198.51.100.10:4096 (listener octo-jvb1): denied"));
  log_.EndWindow(Dropped(1236));
  EXPECT_THAT(Lines(), ElementsAre("refused 203.0.113.5:4004 -> 198.51.100.10:4096 (listener "
                                   "octo-jvb1): denied; 1233 more in the last 10 s"));
  // The next window is a new one.
  log_.Note(From("2001:db8:1::7", 9), "");
  log_.EndWindow(Dropped(1));
  EXPECT_THAT(Lines(), ElementsAre("refused [2001:db8:1::7]:9 -> [2001:db8::10]:4096 (from a "
                                   "bridge): denied"));
  log_.EndWindow(totals_);
  EXPECT_THAT(Lines(), IsEmpty());
}

TEST_F(RefusalLogTest, ReasonsDoNotTakeEachOthersLines) {
  for (int i = 0; i < 9; ++i) log_.Note(From("203.0.113.5", 1), "a");
  log_.Note(From("203.0.113.6", 2, Drop::kTableFull), "a");
  EXPECT_EQ(Lines().size(), 3u);
  Dropped(9);
  log_.EndWindow(Dropped(1, Drop::kTableFull));
  EXPECT_EQ(Lines().size(), 1u);
}

TEST_F(RefusalLogTest, CountsWhatNobodySampled) {
  log_.EndWindow(Dropped(40));
  EXPECT_THAT(Lines(), ElementsAre("refused: denied: 40 more in the last 10 s"));
  // One beyond the lines has its own, and nothing to count.
  for (uint16_t i = 0; i < 3; ++i) log_.Note(From("203.0.113.5", i), "a");
  Lines();
  log_.EndWindow(Dropped(3));
  EXPECT_THAT(Lines(),
              ElementsAre("refused 203.0.113.5:2 -> 198.51.100.10:4096 (listener a): denied"));
}

TEST_F(RefusalLogTest, ALineAheadOfItsCounterIsNotCountedTwice) {
  log_.Note(From("203.0.113.5", 1), "a");
  log_.EndWindow(totals_);  // the worker has not counted it yet
  EXPECT_EQ(Lines().size(), 1u);
  log_.EndWindow(Dropped(1));
  EXPECT_THAT(Lines(), IsEmpty());
}

TEST_F(RefusalLogTest, IsSilentWithoutLinesAndForgetsThatTime) {
  log_.SetLines(0);
  log_.Note(From("203.0.113.5", 1), "a");
  log_.EndWindow(Dropped(1000));
  EXPECT_THAT(Lines(), IsEmpty());
  log_.SetLines(2);
  log_.EndWindow(totals_);
  EXPECT_THAT(Lines(), IsEmpty());
}

TEST_F(RefusalLogTest, WhatIsNotARefusalIsNotLogged) {
  Dropped(7, Drop::kNotStun);
  log_.EndWindow(Dropped(7, Drop::kAskAgain));
  EXPECT_THAT(Lines(), IsEmpty());
}

}  // namespace
}  // namespace bridgehead::test
