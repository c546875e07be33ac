// NAT mode, workers and families: what most tests of the walk are run in.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "tests/support/walk_harness.h"

namespace bridgehead::test {

struct Mode {
  bool source_nat;
  size_t workers;
  const Net& net = kNet4;
};

inline std::string ModeName(const testing::TestParamInfo<Mode>& info) {
  return std::string(info.param.source_nat ? "Source" : "Destination") +
         std::to_string(info.param.workers) + info.param.net.name;
}

// The source port that a forwarded frame carries, host order.
inline uint16_t SourcePort(const Bytes& frame) {
  const size_t udp = frame.at(12) == 0x86 ? 14 + 40 : 14 + 20;
  return static_cast<uint16_t>(frame.at(udp) << 8 | frame.at(udp + 1));
}

}  // namespace bridgehead::test
