// New sessions and the end of old ones, in memory, beside as many sessions as the name says.
//
// open: one iteration opens kBurst sessions: a STUN request each, the bridge's answer, the client's
// next request. "cycles/session" is of the three walks together.
//
// expire: one iteration is one call of what a worker does between two polls, while sessions end
// that have been idle for too long, each with its table entries, its NAT port and its share of the
// limits. "worst_us" is the longest of the calls: no packet waits longer for its sake. A core that
// the machine takes away for a while shows up there too, so the 99th and 99.9th percentiles stand
// beside it.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/micro/run_benchmarks.h"
#include "bench/micro/tsc.h"
#include "bench/micro/walk_rig.h"
#include "fmt/format.h"

namespace bridgehead::bench {
namespace {

constexpr uint32_t kLongAfter = 1'000'000;  // seconds: every session's time is over

void Open(benchmark::State& state, WalkRig::Options options) {
  options.room = state.max_iterations * kBurst;
  const std::unique_ptr<WalkRig> rig = WalkRig::Make(options);
  uint64_t cycles = 0;
  for ([[maybe_unused]] auto _ : state) {
    uint64_t took = 0;
    for (const Opening step : {Opening::kRequest, Opening::kAnswer, Opening::kNextRequest}) {
      rig->FillOpening(step);
      took += CyclesOf([&] { rig->Run(Stage::kWalk); });
      rig->Check();
    }
    cycles += took;
    state.SetIterationTime(static_cast<double>(took) / TscHz());
  }
  const auto sessions = static_cast<double>(state.iterations() * kBurst);
  state.counters["cycles/session"] = static_cast<double>(cycles) / sessions;
  state.SetItemsProcessed(static_cast<int64_t>(sessions));
}

void Expire(benchmark::State& state, const WalkRig::Options& options) {
  const std::unique_ptr<WalkRig> rig = WalkRig::Make(options);
  std::vector<double> calls;
  uint64_t cycles = 0;
  // The wheel turns second by second to there, which ends nothing.
  for ([[maybe_unused]] auto _ : state) {
    const size_t before = rig->active_sessions();
    const uint64_t took = CyclesOf([&] { rig->Advance(kLongAfter); });
    state.SetIterationTime(static_cast<double>(took) / TscHz());
    if (before == 0) state.SkipWithError("no session is left");
    cycles += took;
    calls.push_back(static_cast<double>(took) / TscHz() * 1e6);
  }
  std::sort(calls.begin(), calls.end());
  const size_t ended = options.sessions - rig->active_sessions();
  state.counters["cycles/session"] = static_cast<double>(cycles) / static_cast<double>(ended);
  state.counters["p99_us"] = calls[calls.size() * 99 / 100];
  state.counters["p99.9_us"] = calls[calls.size() * 999 / 1000];
  state.counters["worst_us"] = calls.back();
}

void RegisterAll() {
  for (const bool ipv6 : {false, true}) {
    for (const bool source_nat : {true, false}) {
      const std::string suffix =
          fmt::format("{}/{}", ipv6 ? "ipv6" : "ipv4", source_nat ? "source" : "destination");
      for (const size_t sessions : {1U << 10, 1U << 16, 1U << 20}) {
        const WalkRig::Options options{
            .sessions = sessions, .source_nat = source_nat, .ipv6 = ipv6};
        benchmark::RegisterBenchmark(fmt::format("open/{}/{}", suffix, sessions).c_str(),
                                     [=](benchmark::State& state) { Open(state, options); })
            ->UseManualTime()
            ->Iterations(8192);
      }
      const WalkRig::Options options{.sessions = 1U << 20, .source_nat = source_nat, .ipv6 = ipv6};
      benchmark::RegisterBenchmark(fmt::format("expire/{}/{}", suffix, options.sessions).c_str(),
                                   [=](benchmark::State& state) { Expire(state, options); })
          ->UseManualTime()
          ->Iterations(30000);
    }
  }
}

}  // namespace
}  // namespace bridgehead::bench

int main(int argc, char** argv) {
  return bridgehead::bench::RunBenchmarks(argc, argv, bridgehead::bench::RegisterAll);
}
