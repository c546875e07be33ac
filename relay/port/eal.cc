#include "relay/port/eal.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rte_eal.h>
#include <rte_errno.h>

#include "relay/api/log.h"
#include "relay/port/dpdk_log.h"

namespace bridgehead::port {
namespace {

constexpr uint64_t kMegabyte = 1 << 20;

// "0-3,5"
std::string CoreList(std::span<const unsigned> cores) {
  std::string out;
  for (size_t i = 0; i < cores.size();) {
    size_t last = i;
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) {
      ++last;
    }
    out += fmt::format("{}{}", out.empty() ? "" : ",", cores[i]);
    if (last > i) {
      out += fmt::format("-{}", cores[last]);
    }
    i = last + 1;
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> LcoresArgument(std::span<const uint32_t> workers,
                                           std::span<const unsigned> allowed) {
  if (workers.empty()) {
    return absl::InvalidArgumentError(
        "dataplane.workers: no core is listed; list at least one, for example [1]");
  }
  std::set<uint32_t> taken;
  std::string out;
  for (size_t i = 0; i < workers.size(); ++i) {
    const uint32_t core = workers[i];
    if (std::find(allowed.begin(), allowed.end(), core) == allowed.end()) {
      return absl::InvalidArgumentError(
          fmt::format("dataplane.workers[{}]: core {} is not there or not allowed to this process; "
                      "use cores of {}",
                      i, core, CoreList(allowed)));
    }
    if (!taken.insert(core).second) {
      return absl::InvalidArgumentError(fmt::format(
          "dataplane.workers[{}]: core {} is listed twice; give each worker its own core", i,
          core));
    }
    out += fmt::format(",{}@{}", i + 1, core);
  }
  std::vector<unsigned> control;
  std::copy_if(allowed.begin(), allowed.end(), std::back_inserter(control),
               [&](unsigned core) { return !taken.contains(core); });
  if (control.empty()) {
    control.assign(allowed.begin(), allowed.end());
  }
  return fmt::format("(0)@({}){}", CoreList(control), out);
}

std::vector<HugepagePool> ReadHugepages() {
  std::vector<HugepagePool> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", error)) {
    HugepagePool pool;
    const std::string name = entry.path().filename();  // hugepages-2048kB
    unsigned long long kilobytes = 0;
    if (std::sscanf(name.c_str(), "hugepages-%llukB", &kilobytes) != 1) {
      continue;
    }
    pool.page_bytes = kilobytes * 1024;
    std::ifstream(entry.path() / "free_hugepages") >> pool.free_pages;
    out.push_back(pool);
  }
  return out;
}

absl::StatusOr<MemoryPlan> PlanMemory(api::Dataplane::Hugepages wanted, uint64_t bytes_needed,
                                      std::span<const HugepagePool> pools) {
  uint64_t free_bytes = 0;
  uint64_t default_page = 2 * kMegabyte;
  for (const HugepagePool& pool : pools) {
    // The packet pool has to lie in one piece, so one size must suffice by itself.
    free_bytes = std::max(free_bytes, pool.page_bytes * pool.free_pages);
  }
  MemoryPlan plan;
  plan.megabytes = (bytes_needed + kMegabyte - 1) / kMegabyte;
  plan.hugepages = wanted != api::Dataplane::HUGEPAGES_OFF && free_bytes >= bytes_needed;
  if (plan.hugepages || wanted == api::Dataplane::HUGEPAGES_OFF) {
    return plan;
  }
  const uint64_t pages = (bytes_needed + default_page - 1) / default_page;
  const std::string what = fmt::format("{} MiB of free hugepages are needed, {} MiB are there",
                                       plan.megabytes, free_bytes / kMegabyte);
  const std::string remedy =
      fmt::format("get them with: echo {} > /proc/sys/vm/nr_hugepages", pages);
  if (wanted == api::Dataplane::HUGEPAGES_REQUIRE) {
    return absl::FailedPreconditionError(fmt::format("dataplane.hugepages: {}; {}", what, remedy));
  }
  plan.notice = fmt::format(
      "dataplane.hugepages: {}: running on ordinary pages, which is slower (more TLB misses) and "
      "has no "
      "zero-copy on NICs; {}",
      what, remedy);
  return plan;
}

absl::Status StartEal(const std::string& lcores, const MemoryPlan& memory,
                      const std::string& run_dir) {
  std::vector<std::string> arguments = {
      "bridgehead-relay", "--lcores=" + lcores, "--no-pci", "--no-telemetry",
      "--iova-mode=va",  // no port does DMA by itself: the kernel does it for AF_XDP
  };
  if (memory.hugepages) {
    // No files at all: nothing is left behind however this process ends.
    arguments.emplace_back("--in-memory");
  } else {
    arguments.emplace_back("--no-huge");
    arguments.emplace_back("--no-shconf");
    arguments.emplace_back(fmt::format("-m{}", memory.megabytes));
  }
  // The EAL keeps its few files in $RUNTIME_DIRECTORY/dpdk (systemd's variable).
  setenv("RUNTIME_DIRECTORY", run_dir.c_str(), /*overwrite=*/1);

  std::vector<char*> argv;
  argv.reserve(arguments.size());
  for (std::string& argument : arguments) {
    argv.push_back(argument.data());
  }
  RouteLibraryLogs();
  ClearLibraryErrors();
  log::Debug("EAL arguments: {}", fmt::join(arguments, " "));
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    return absl::InternalError(
        fmt::format("dataplane: DPDK did not start: {}", LibraryErrors(rte_strerror(rte_errno))));
  }
  return absl::OkStatus();
}

void StopEal(const std::string& run_dir) {
  rte_eal_cleanup();
  std::error_code ignored;
  std::filesystem::remove_all(std::filesystem::path(run_dir) / "dpdk", ignored);
}

}  // namespace bridgehead::port
