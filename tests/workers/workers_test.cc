// Two workers with queues of their own: what they share.
#include <algorithm>
#include <iterator>
#include <memory>
#include <semaphore>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/micro/workers_rig.h"
#include "tests/workers/memory_watch.h"

namespace bridgehead {
namespace {

using bench::WorkersRig;
using test::MemoryWatch;

constexpr size_t kSessions = 256;  // of each worker

// A thread with a stack of its own that does one thing again and again, when it is told to.
class Doer {
 public:
  template <class Work>
  explicit Doer(Work work)
      : thread_([this, work] {
          for (go_.acquire(); !ending_; go_.acquire()) {
            work();
            done_.release();
          }
        }) {}
  ~Doer() {
    ending_ = true;
    go_.release();
    thread_.join();
  }
  void Do() {
    go_.release();
    done_.acquire();
  }

 private:
  alignas(64) std::binary_semaphore go_{0};
  alignas(64) std::binary_semaphore done_{0};
  bool ending_ = false;
  std::thread thread_;
};

// The lines that one writes, and then the other, and both.
struct Lines {
  std::set<uintptr_t> first, second, both;
};

Lines Written(Doer& first, Doer& second) {
  MemoryWatch memory;
  memory.Look(0);
  first.Do();
  memory.Look(1);
  second.Do();
  memory.Look(2);
  Lines lines{memory.ChangedAfter(0), memory.ChangedAfter(1), {}};
  std::set_intersection(lines.first.begin(), lines.first.end(), lines.second.begin(),
                        lines.second.end(), std::inserter(lines.both, lines.both.begin()));
  return lines;
}

class Workers : public testing::Test {
 protected:
  static WorkersRig& Rig() {
    static WorkersRig rig(2, kSessions);
    return rig;
  }

  static Lines WrittenInTurns(void (WorkersRig::*turn)(size_t)) {
    turn_of_all_ = turn;
    return Written(*doers_[0], *doers_[1]);
  }

  static void SetUpTestSuite() {
    for (size_t w = 0; w < 2; ++w) {
      doers_[w] = std::make_unique<Doer>([w] { (Rig().*turn_of_all_)(w); });
    }
  }
  static void TearDownTestSuite() {
    for (auto& doer : doers_) doer.reset();
  }

  static inline void (WorkersRig::*turn_of_all_)(size_t) = nullptr;
  static inline std::unique_ptr<Doer> doers_[2];
};

TEST_F(Workers, WriteNoCacheLineInCommonForPacketsOfTheirOwn) {
  std::set<uintptr_t> of_devices;
  for (int round = 0; round < 3; ++round) {  // the first one also touches what is touched once
    for (const auto turn : {&WorkersRig::TurnOfDevices, &WorkersRig::Turn}) {
      for (size_t w = 0; w < 2; ++w) Rig().Feed(w, w);
      Lines lines = WrittenInTurns(turn);
      EXPECT_EQ(Rig().Collect(0), kBurst);
      EXPECT_EQ(Rig().Collect(1), kBurst);
      if (turn == &WorkersRig::TurnOfDevices) {
        of_devices = lines.both;  // ring devices count the packets of all queues next to each other
        continue;
      }
      // A flow each, at least.
      EXPECT_GE(lines.first.size(), kBurst);
      EXPECT_GE(lines.second.size(), kBurst);
      std::erase_if(lines.both, [&](uintptr_t line) { return of_devices.contains(line); });
      if (round > 0) {
        EXPECT_THAT(lines.both, testing::IsEmpty());
      }
    }
  }
}

// That the comparison finds one: two counters side by side.
TEST(MemoryWatch, FindsTheLineThatTwoThreadsWrite) {
  struct alignas(64) Line {
    uint64_t counters[2] = {};
  };
  const auto lines = std::make_unique<Line[]>(3);
  Doer first([&] { ++lines[1].counters[0]; });
  Doer second([&] { ++lines[1].counters[1], ++lines[2].counters[0]; });
  EXPECT_THAT(Written(first, second).both,
              testing::ElementsAre(reinterpret_cast<uintptr_t>(&lines[1])));
}

}  // namespace
}  // namespace bridgehead
