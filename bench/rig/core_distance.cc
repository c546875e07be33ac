// bridgehead-core-distance: how far two cores of this machine are from each other right now, as the
// round trip of a cache line that both write. Prints nanoseconds.
//
// A virtual machine's cores are threads of its host, which may put two of them on one physical
// core, and on two distant ones a second later. What passes packets between them is several times
// slower then, whatever program it is: see bench/README.md.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <pthread.h>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSamples = 9;
constexpr std::chrono::milliseconds kSample{4};
constexpr unsigned kEnd = 0;  // instead of a turn

alignas(64) std::atomic<unsigned> turn{1};  // odd: it is the first core's

bool PinTo(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  return pthread_setaffinity_np(pthread_self(), sizeof(cores), &cores) == 0;
}

void Answer(int core) {
  if (!PinTo(core)) std::abort();
  while (true) {
    const unsigned now = turn.load(std::memory_order_acquire);
    if (now == kEnd) return;
    if (now % 2 == 0) turn.store(now + 1, std::memory_order_release);
  }
}

// One round trip. 2^32 of them are more than a run has.
void Ask() {
  const unsigned asked = turn.load(std::memory_order_relaxed) + 1;
  turn.store(asked, std::memory_order_release);
  while (turn.load(std::memory_order_acquire) == asked) {
  }
}

double Sample() {
  const Clock::time_point begin = Clock::now();
  int trips = 0;
  while (Clock::now() - begin < kSample) {
    for (int i = 0; i < 100; ++i) Ask();
    trips += 100;
  }
  const std::chrono::duration<double, std::nano> passed = Clock::now() - begin;
  return passed.count() / trips;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bridgehead-core-distance CORE CORE\n");
    return 2;
  }
  const int first = std::atoi(argv[1]), second = std::atoi(argv[2]);
  if (first == second || first < 0 || second < 0 || !PinTo(second) || !PinTo(first)) {
    std::fprintf(stderr, "bridgehead-core-distance: wants two different cores of this machine\n");
    return 2;
  }
  std::thread other(Answer, second);
  std::array<double, kSamples> samples{};
  for (double& sample : samples) sample = Sample();
  turn.store(kEnd, std::memory_order_release);
  other.join();
  std::sort(samples.begin(), samples.end());
  std::printf("%.0f\n", samples[kSamples / 2]);
  return 0;
}
