// What the rig is asked to do, from its command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bridgehead::rig {

enum class NatMode { kSource, kDestination };

struct Options {
  // The wires.
  std::string socket = "/run/bridgehead-rig/memif.sock";
  std::string role = "client";  // ours; the device under test has the other one
  bool zero_copy = false;       // only a memif client can
  unsigned ring_log2 = 10;      // descriptors per ring, as a power of two
  unsigned burst = 32;          // frames per call, at most kMaxBurst
  unsigned core = 0;
  bool hugepages = true;
  double link_wait_seconds = 20;
  std::vector<std::string> interfaces;  // towards clients and bridges; empty = memif

  // The sessions.
  uint32_t sessions = 1024;
  uint32_t sessions_per_source = 512;
  NatMode nat = NatMode::kSource;
  bool ipv6 = false;
  bool stateless = false;         // no sessions: frames for a device that only swaps addresses
  uint32_t listener_address = 0;  // host order, as all addresses and ports here
  uint16_t listener_port = 10000;
  uint32_t bridge_address = 0;
  uint16_t bridge_port = 10000;
  uint32_t first_client = 0;  // clients are this address and those after it
  double setup_seconds = 30;  // to establish all sessions

  // The load.
  double seconds = 2;
  double warmup_seconds = 0.3;
  double rate = 0;            // frames per second, both directions together; 0 = as fast as it goes
  uint32_t frame_bytes = 64;  // without FCS
  bool random_order = false;  // of sessions; otherwise round robin
  bool latency = false;       // measure it
  double open_rate = 0;       // new sessions per second beside the load
  uint32_t open_sessions() const { return static_cast<uint32_t>(open_rate * seconds); }

  std::string json;  // file for the result; empty = standard output
};

inline constexpr unsigned kMaxBurst = 256;

// Empty when the program shall end at once with `exit_code` (help asked for, or a bad option,
// already explained on stderr).
std::optional<Options> ParseOptions(int argc, char** argv, int* exit_code);

}  // namespace bridgehead::rig
