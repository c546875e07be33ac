// The main program of benchmarks that are registered by code and may throw.
#pragma once

#include <exception>
#include <iostream>

#include <benchmark/benchmark.h>

namespace bridgehead::bench {

// Returns the exit code. `register_all()` registers the benchmarks.
template <typename Register>
int RunBenchmarks(int argc, char** argv, Register&& register_all) {
  try {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    register_all();
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
  } catch (const std::exception& error) {
    std::cerr << "the benchmark failed: " << error.what() << "\n";
    return 1;
  }
  return 0;
}

}  // namespace bridgehead::bench
