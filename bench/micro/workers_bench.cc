// What workers cost each other, in cycles per forwarded packet, receiving and sending included.
//
// established: every packet comes to the worker that has its session. With two threads, two workers
// run at the same time on cores of their own, with one configuration, one steering and one counter
// segment; whatever they had to share would make a packet dearer than with one.
//
// handed_over: every packet comes to the other worker, which parses it, finds whose it is and puts
// it into that worker's ring. With one thread both workers take turns on one core, so that only the
// work counts; with two the packets also change caches.
#include <algorithm>
#include <string>

#include <benchmark/benchmark.h>
#include <pthread.h>

#include "bench/micro/run_benchmarks.h"
#include "bench/micro/tsc.h"
#include "bench/micro/workers_rig.h"
#include "fmt/format.h"

namespace bridgehead::bench {
namespace {

constexpr size_t kSessions = 1024;  // of each worker

WorkersRig& Rig() {
  static WorkersRig rig(2, kSessions);
  return rig;
}

void PinTo(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  pthread_setaffinity_np(pthread_self(), sizeof(cores), &cores);
}

void Run(benchmark::State& state, bool handed_over) {
  WorkersRig& rig = Rig();
  const auto own = static_cast<size_t>(state.thread_index());
  const bool alone = state.threads() == 1;
  PinTo(state.thread_index());
  uint64_t cycles = 0, packets = 0;
  for ([[maybe_unused]] auto _ : state) {
    rig.Feed(handed_over ? 1 - own : own, own);
    const uint64_t took = CyclesOf([&] {
      rig.Turn(own);
      if (handed_over && alone) rig.Turn(1 - own);
    });
    packets += rig.Collect(own) + (handed_over && alone ? rig.Collect(1 - own) : 0);
    cycles += took;
    state.SetIterationTime(static_cast<double>(took) / TscHz());
  }
  // The other's packets may come only after a first short run.
  if (packets == 0 && state.iterations() > 1000) state.SkipWithError("nothing was forwarded");
  state.counters["cycles/packet"] = benchmark::Counter(
      static_cast<double>(cycles) / static_cast<double>(std::max<uint64_t>(packets, 1)),
      benchmark::Counter::kAvgThreads);
}

void RegisterAll() {
  for (const bool handed_over : {false, true}) {
    for (const int threads : {1, 2}) {
      benchmark::RegisterBenchmark(handed_over ? "handed_over" : "established",
                                   [=](benchmark::State& state) { Run(state, handed_over); })
          ->UseManualTime()
          ->Threads(threads);
    }
  }
}

}  // namespace
}  // namespace bridgehead::bench

int main(int argc, char** argv) {
  return bridgehead::bench::RunBenchmarks(argc, argv, bridgehead::bench::RegisterAll);
}
