// Bursts through the walk's stages up to one, for callgrind to count: see instructions.py. Prints
// nothing; with --fill alone it makes the packets only, which is what the others cost beside their
// stages.
#include <cstdint>
#include <exception>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "bench/micro/walk_rig.h"

namespace bridgehead::bench {
namespace {

constexpr size_t kSessions = 1024;

void Run(const WalkRig::Options& options, const std::string& last, unsigned bursts) {
  const std::unique_ptr<WalkRig> rig = WalkRig::Make(options);
  std::vector<uint32_t> sessions(kSessions);
  std::iota(sessions.begin(), sessions.end(), 0);
  for (unsigned i = 0; i < bursts; ++i) {
    rig->Fill(&sessions[i * kBurst % kSessions]);
    if (last == Name(Stage::kWalk)) {
      rig->Run(Stage::kWalk);
      rig->Check();
    } else if (last != "fill") {
      for (const Stage stage : kStages) {
        rig->Run(stage);
        if (Name(stage) == last) break;
      }
    }
  }
}

int Main(int argc, char** argv) {
  WalkRig::Options options;
  std::string last = "walk";
  unsigned bursts = 1;
  std::vector<std::string> names = {"fill"};
  for (const Stage stage : kStages) names.emplace_back(Name(stage));
  CLI::App app{"Bursts of packets through the relay's walk"};
  app.add_option("--last", last, "the last stage")->check(CLI::IsMember(names));
  app.add_option("--bursts", bursts, "how many");
  app.add_flag("!--destination-nat", options.source_nat, "instead of source NAT");
  app.add_flag("--ipv6", options.ipv6, "clients and bridge of IPv6");
  CLI11_PARSE(app, argc, argv);
  Run(options, last, bursts);
  return 0;
}

}  // namespace
}  // namespace bridgehead::bench

int main(int argc, char** argv) {
  try {
    return bridgehead::bench::Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "walk_count: " << error.what() << "\n";
    return 1;
  }
}
