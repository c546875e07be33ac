// The walk in memory: cycles per packet of established sessions, both directions mixed, of each
// stage and of all together, by number of sessions and the order of their packets.
//
// One iteration is one burst. Only the stage named is measured. "cycles/packet" is TSC cycles.
#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/micro/run_benchmarks.h"
#include "bench/micro/tsc.h"
#include "bench/micro/walk_rig.h"
#include "fmt/format.h"

namespace bridgehead::bench {
namespace {

enum class Order { kInTurn, kUniform, kZipf };
constexpr std::string_view kOrderNames[] = {"in_turn", "uniform", "zipf"};

// The rig of the last benchmark, as long as the next one wants the same: millions of sessions take
// seconds to make.
WalkRig& Rig(const WalkRig::Options& options) {
  static WalkRig::Options made;
  static std::unique_ptr<WalkRig> rig;
  if (!rig || made.sessions != options.sessions || made.source_nat != options.source_nat ||
      made.ipv6 != options.ipv6) {
    rig.reset();
    rig = WalkRig::Make(options);
    made = options;
  }
  return *rig;
}

// Which sessions the packets are of. Zipf with exponent 1: the n-th most frequent one has 1/n of
// the packets of the first; where they lie in the tables is another matter.
std::vector<uint32_t> Sessions(Order order, size_t sessions) {
  std::vector<uint32_t> all(size_t{1} << 20);
  std::mt19937_64 random(1);
  if (order == Order::kInTurn) {
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint32_t>(i % sessions);
  } else if (order == Order::kUniform) {
    for (uint32_t& one : all) one = static_cast<uint32_t>(random() % sessions);
  } else {
    std::vector<uint32_t> by_rank(sessions);
    std::iota(by_rank.begin(), by_rank.end(), 0);
    std::shuffle(by_rank.begin(), by_rank.end(), random);
    std::vector<double> sums(sessions);
    for (size_t i = 0; i < sessions; ++i) {
      sums[i] = (i == 0 ? 0 : sums[i - 1]) + 1 / static_cast<double>(i + 1);
    }
    std::uniform_real_distribution<double> draw(0, sums.back());
    for (uint32_t& one : all) {
      const auto found = std::upper_bound(sums.begin(), sums.end() - 1, draw(random));
      one = by_rank[static_cast<size_t>(found - sums.begin())];
    }
  }
  return all;
}

uint64_t Measure(WalkRig& rig, Stage stage, const uint32_t* sessions) {
  rig.Fill(sessions);
  if (stage != Stage::kWalk) {
    for (const Stage before : kStages) {
      if (before == stage) break;
      rig.Run(before);
    }
  }
  const uint64_t cycles = CyclesOf([&] { rig.Run(stage); });
  if (stage >= Stage::kRewrite) rig.Check();
  return cycles;
}

void Run(benchmark::State& state, Stage stage, const WalkRig::Options& options, Order order) {
  WalkRig& rig = Rig(options);
  const std::vector<uint32_t> sessions = Sessions(order, options.sessions);
  uint64_t cycles = 0;
  size_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    const uint64_t took = Measure(rig, stage, &sessions[at]);
    at = (at + kBurst) % sessions.size();
    cycles += took;
    state.SetIterationTime(static_cast<double>(took) / TscHz());
  }
  const auto packets = static_cast<double>(state.iterations() * kBurst);
  state.counters["cycles/packet"] = static_cast<double>(cycles) / packets;
  state.counters["bytes/session"] =
      static_cast<double>(rig.bytes()) / static_cast<double>(options.sessions);
}

void Register(Stage stage, const WalkRig::Options& options, Order order) {
  const std::string name =
      fmt::format("{}/{}/{}/{}/{}", Name(stage), options.ipv6 ? "ipv6" : "ipv4",
                  options.source_nat ? "source" : "destination", options.sessions,
                  kOrderNames[static_cast<size_t>(order)]);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    Run(state, stage, options, order);
  })->UseManualTime();
}

void RegisterAll() {
  for (const bool ipv6 : {false, true}) {
    for (const bool source_nat : {true, false}) {
      for (const size_t sessions : {1U << 10, 1U << 16, 1U << 20, 1U << 22}) {
        const WalkRig::Options options{sessions, source_nat, ipv6};
        for (const Order order : {Order::kInTurn, Order::kUniform, Order::kZipf}) {
          Register(Stage::kWalk, options, order);
        }
        for (const Stage stage : kStages) {
          if (stage != Stage::kWalk) Register(stage, options, Order::kUniform);
        }
      }
    }
  }
}

}  // namespace
}  // namespace bridgehead::bench

int main(int argc, char** argv) {
  return bridgehead::bench::RunBenchmarks(argc, argv, bridgehead::bench::RegisterAll);
}
