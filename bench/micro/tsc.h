// The clock of the micro benchmarks.
#pragma once

#include <chrono>
#include <cstdint>

#include <x86intrin.h>

namespace bridgehead::bench {

// TSC cycles in a second, measured once.
inline double TscHz() {
  static const double hz = [] {
    auto begin = std::chrono::steady_clock::now();
    uint64_t start = __rdtsc();
    while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(20)) {
    }
    uint64_t cycles = __rdtsc() - start;
    std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    return static_cast<double>(cycles) / passed.count();
  }();
  return hz;
}

// Cycles that `work()` takes, all of its loads done.
template <typename Work>
uint64_t CyclesOf(Work&& work) {
  _mm_lfence();
  const uint64_t start = __rdtsc();
  work();
  _mm_lfence();
  return __rdtsc() - start;
}

}  // namespace bridgehead::bench
