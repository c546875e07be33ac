// The maps of the steering program on one interface, as the kernel holds them.
//
// net_af_xdp loads and attaches the program itself and keeps its file descriptors. So the maps are
// found the way an operator would: the interface names its program, the program its maps.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "relay/port/steer_rules.h"

struct ring_buffer;

namespace bridgehead::port {

struct AttachedProgram {
  uint32_t id = 0;  // 0: none
  std::string name;
  bool generic = false;  // attached in generic (skb) mode: the driver has no XDP of its own
};

absl::StatusOr<AttachedProgram> QueryProgram(unsigned ifindex);

// No more than the number (0: none): one netlink exchange, and no privilege needed.
absl::StatusOr<uint32_t> QueryProgramId(unsigned ifindex);

// Takes `program` off the interface; OK when it is no longer there.
absl::Status DetachProgram(unsigned ifindex, const AttachedProgram& program);

class SteerMaps {
 public:
  // The maps of the program attached to `ifindex`.
  static absl::StatusOr<SteerMaps> Find(unsigned ifindex);
  SteerMaps(SteerMaps&& other) noexcept;
  SteerMaps& operator=(SteerMaps&& other) noexcept;
  ~SteerMaps();

  // See PortSet::SetSteerRules.
  absl::Status Apply(const SteerTable& table);
  // Sums over all CPUs.
  SteerCounts ReadCounts() const;
  // Denied packets since the last call: a few of each second.
  std::vector<bh_refused> TakeRefused();

 private:
  // One map each; kMaps is their number.
  enum Map { kRules, kPorts, kGuards, kAccess, kCounters, kRefused, kMaps };
  struct Wanted {
    const char* name;
    uint32_t value_bytes;
  };
  static const std::array<Wanted, kMaps> kWanted;

  struct RingDeleter {
    void operator()(ring_buffer* ring) const;
  };

  SteerMaps() { fds_.fill(-1); }
  absl::Status OpenRing();
  absl::Status Execute(const SteerChange& change);
  absl::Status Update(Map map, const void* key, const void* value, const char* what);
  absl::Status AddList(uint32_t number, const SteerList& list);
  absl::Status ForgetList(uint32_t number, const SteerList& list);
  absl::Status Put(const SteerChange::Put& put);
  absl::Status Remove(const bh_steer_key& key);

  std::array<int, kMaps> fds_;
  SteerRows rows_;
  SteerTable applied_;  // what the maps say
  std::unique_ptr<std::vector<bh_refused>> refused_;
  std::unique_ptr<ring_buffer, RingDeleter> ring_;
};

}  // namespace bridgehead::port
