// The DPDK environment: which cores, which memory, and its one start and end in this process.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::port {

// The EAL's --lcores argument: lcore 0 (control thread) on the allowed cores that no worker has, or
// on all of them when every one is taken; lcore i + 1 on workers[i].
// Errors name dataplane.workers.
absl::StatusOr<std::string> LcoresArgument(std::span<const uint32_t> workers,
                                           std::span<const unsigned> allowed);

// Free hugepages of one size.
struct HugepagePool {
  uint64_t page_bytes = 0;
  uint64_t free_pages = 0;
};
std::vector<HugepagePool> ReadHugepages();

struct MemoryPlan {
  bool hugepages = false;
  uint64_t megabytes = 0;  // of ordinary memory to set aside when not
  std::string notice;      // for the log: what ordinary pages cost and the remedy; may be empty
};
// Errors name dataplane.hugepages.
absl::StatusOr<MemoryPlan> PlanMemory(api::Dataplane::Hugepages wanted, uint64_t bytes_needed,
                                      std::span<const HugepagePool> pools);

// Starts the EAL, whose few files go to `run_dir`/dpdk: two relays on one machine stay apart.
absl::Status StartEal(const std::string& lcores, const MemoryPlan& memory,
                      const std::string& run_dir);
void StopEal(const std::string& run_dir);

}  // namespace bridgehead::port
