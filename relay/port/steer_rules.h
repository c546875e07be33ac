// Steering rules as the XDP program wants them: one row per (side, address), with all its ports in
// one bitmap. Pure: no kernel, no DPDK.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "bpf/shared.h"
#include "relay/port/port.h"

namespace bridgehead::port {

struct SteerKeyLess {
  bool operator()(const bh_steer_key& a, const bh_steer_key& b) const;
};

// Bitmaps are 8 KiB each: on the heap, and shared between ports that apply the same rules.
using SteerTable = std::map<bh_steer_key, std::shared_ptr<const bh_steer_ports>, SteerKeyLess>;

// Merges rules of the same side and address. InvalidArgument when a range is upside down,
// ResourceExhausted when there are more than BH_STEER_MAX_RULES addresses.
absl::StatusOr<SteerTable> BuildSteerTable(std::span<const SteerRule> rules);

// What turns the rows of one interface into another table. Done in the order put, remove, a packet
// that both tables match is matched at every moment: its bit is set in the old and the new bitmap.
struct SteerChange {
  struct Put {
    bh_steer_key key;
    uint32_t row;
    std::shared_ptr<const bh_steer_ports> ports;
    bool add_key;  // false: the key has this row already, only its ports change
  };
  std::vector<Put> puts;
  std::vector<bh_steer_key> removals;
  // Old and new together need more rows than there are: remove first, rows are reused at once.
  bool remove_first = false;
};

// The rows in use on one interface.
class SteerRows {
 public:
  SteerRows();
  // Plans the change and takes it as done.
  SteerChange ChangeTo(const SteerTable& wanted);

 private:
  struct Row {
    uint32_t index;
    std::shared_ptr<const bh_steer_ports> ports;
  };
  std::map<bh_steer_key, Row, SteerKeyLess> used_;
  std::vector<uint32_t> free_;
};

}  // namespace bridgehead::port
