// bridgehead-edge-load: the clients and the origin of bench/compare/edge.sh. See bench/README.md.
//
// Clients work in a closed loop: what is measured is the proxy's CPU time per unit of work, so it
// does not matter which side is the slower one. The figure covers a window in which the load is
// steady: its units and the CPU time are read at both ends.
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/edge/client.h"
#include "bench/edge/cpu_time.h"
#include "bench/edge/hold.h"
#include "bench/edge/options.h"
#include "bench/edge/origin.h"
#include "bench/edge/scenarios.h"
#include "bench/edge/sockets.h"

namespace bridgehead::edge_load {
namespace {

using Seconds = std::chrono::duration<double>;

struct Sample {
  Clock::time_point time;
  Counts counts;
  uint64_t cpu_ns;
};

std::unique_ptr<Scenario> Make(const Options& options) {
  const ClientOptions& client = options.hold.client;
  if (options.what == "requests") return std::make_unique<Requests>(client);
  if (options.what == "handshakes" || options.what == "resumptions") {
    return std::make_unique<Handshakes>(client);
  }
  if (options.what == "download") return std::make_unique<Download>(client);
  if (options.what == "messages") return std::make_unique<Messages>(client);
  return std::make_unique<Tunnel>();  // decrypted or passed through, as the client's `tls` says
}

void Measure(const Options& options) {
  const std::unique_ptr<Scenario> scenario = Make(options);
  Client client(options.hold.client, *scenario);
  const auto run = [&](double seconds) {
    client.RunUntil(Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(seconds)));
    return Sample{Clock::now(), client.counts(), CpuTime(options.processes)};
  };
  const Sample begin = run(options.warmup_seconds);
  const Sample end = run(options.seconds);
  const Seconds passed = end.time - begin.time;
  std::cout << nlohmann::json(
                   {{"seconds", passed.count()},
                    {"units", end.counts.units - begin.counts.units},
                    {"resumed", end.counts.resumed - begin.counts.resumed},
                    {"failed", end.counts.failed},
                    {"failure", client.failure()},
                    {"cpu_seconds", static_cast<double>(end.cpu_ns - begin.cpu_ns) / 1e9}})
            << std::endl;
}

int Main(int argc, char** argv) {
  int exit_code = 0;
  const auto options = ParseOptions(argc, argv, &exit_code);
  if (!options) return exit_code;
  signal(SIGPIPE, SIG_IGN);
  RunOnCore(options->core);
  RaiseFileLimit();
  if (options->what == "origin") RunOrigin(options->origin);
  if (options->what == "hold") return RunHold(options->hold) ? 0 : 1;
  Measure(*options);
  return 0;
}

}  // namespace
}  // namespace bridgehead::edge_load

int main(int argc, char** argv) {
  try {
    return bridgehead::edge_load::Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "bridgehead-edge-load: " << error.what() << "\n";
    return 1;
  }
}
