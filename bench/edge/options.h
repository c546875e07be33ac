// Command line of bridgehead-edge-load.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "bench/edge/client.h"
#include "bench/edge/hold.h"
#include "bench/edge/origin.h"

namespace bridgehead::edge_load {

struct Options {
  std::string what;  // the subcommand
  int core = -1;
  OriginOptions origin;
  HoldOptions hold;  // its client is that of every scenario
  double warmup_seconds = 0.5;
  double seconds = 3;
  std::vector<pid_t> processes;  // whose CPU time is measured
};

// std::nullopt: help was asked for, or something is wrong; `*exit_code` says which.
std::optional<Options> ParseOptions(int argc, char** argv, int* exit_code);

}  // namespace bridgehead::edge_load
