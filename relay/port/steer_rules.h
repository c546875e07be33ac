// Steering rules as the XDP program wants them: one row per (side, address), with all its ports in
// one bitmap, and the guards of the listeners at that address. Pure: no kernel, no DPDK.
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

// Numbers for access lists: equal lists share one, a list keeps its number while it is in use, and
// no number comes twice. So what the maps hold under a number never changes.
class SteerLists {
 public:
  using Numbered = std::map<uint32_t, std::shared_ptr<const SteerList>>;

  // Begins a new table: what was asked for since the last Take() is forgotten.
  void Begin() { used_.clear(); }
  // From 1 on.
  uint32_t NumberOf(const std::shared_ptr<const SteerList>& list);
  // Those asked for since Begin(); the others are forgotten.
  Numbered Take();

 private:
  struct ContentLess {
    bool operator()(const std::shared_ptr<const SteerList>& a,
                    const std::shared_ptr<const SteerList>& b) const {
      return *a < *b;
    }
  };
  using Numbers = std::map<std::shared_ptr<const SteerList>, uint32_t, ContentLess>;
  Numbers before_, used_;
  uint32_t last_ = 0;
};

struct SteerTable {
  struct Entry {
    std::shared_ptr<const bh_steer_ports> ports;  // 8 KiB, shared by ports with the same rules
    std::vector<bh_steer_guard> guards;           // in the order in which they are asked
  };
  std::map<bh_steer_key, Entry, SteerKeyLess> entries;
  SteerLists::Numbered lists;  // that guards name
};

// Merges rules of the same side and address. InvalidArgument when a range is upside down,
// ResourceExhausted when there are more than BH_STEER_MAX_RULES addresses or BH_STEER_MAX_GUARDS
// guards.
absl::StatusOr<SteerTable> BuildSteerTable(std::span<const SteerRule> rules, SteerLists& lists);

// What turns the rows of one interface into another table. Done in the order lists, guards, puts,
// removals, forgotten lists, a packet that both tables match is matched at every moment, since its
// bit is set in the old and the new bitmap; and what judges it is either the old table's guards or
// the new one's, whole: those not in use are written, and then each rule changes over to them.
struct SteerChange {
  struct Put {
    bh_steer_key key;
    bh_steer_rule rule;
    std::shared_ptr<const bh_steer_ports> ports;  // null: as they are
    bool write_rule;                              // false: the key has this rule already
  };
  SteerLists::Numbered lists;  // new ones
  std::map<uint32_t, bh_steer_guard> guards;
  std::vector<Put> puts;
  std::vector<bh_steer_key> removals;
  // Old and new together need more rows than there are: remove first, rows are reused at once.
  bool remove_first = false;
  SteerLists::Numbered forgotten;
};

// The rows in use on one interface.
class SteerRows {
 public:
  SteerRows();
  // Plans the change and takes it as done.
  SteerChange ChangeTo(const SteerTable& wanted);

 private:
  struct Row {
    bh_steer_rule rule;
    std::shared_ptr<const bh_steer_ports> ports;
  };
  struct Run {
    uint16_t first;  // in steer_guards
    std::vector<bh_steer_guard> guards;
  };
  using Runs = std::map<bh_steer_key, Run, SteerKeyLess>;

  void PlanLists(const SteerTable& wanted, SteerChange& change);
  void PlanGuards(const SteerTable& wanted, SteerChange& change);
  bh_steer_rule RuleOf(const bh_steer_key& key, uint32_t row) const;

  std::map<bh_steer_key, Row, SteerKeyLess> used_;
  std::vector<uint32_t> free_;
  SteerLists::Numbered lists_;
  Runs runs_;                 // of keys that have guards
  bool second_half_ = false;  // of steer_guards, is in use
};

}  // namespace bridgehead::port
