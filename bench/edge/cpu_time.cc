#include "bench/edge/cpu_time.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include "bench/edge/sockets.h"

namespace bridgehead::edge_load {

uint64_t CpuTime(const std::vector<pid_t>& processes) {
  uint64_t sum = 0;
  for (const pid_t process : processes) {
    const std::string threads = fmt::format("/proc/{}/task", process);
    std::error_code error;
    for (const auto& thread : std::filesystem::directory_iterator(threads, error)) {
      uint64_t ran = 0;
      std::ifstream file(thread.path() / "schedstat");
      if (!(file >> ran)) {
        Fail(
            fmt::format("{} can not be read: the process ended, or the kernel is without "
                        "CONFIG_SCHED_INFO",
                        (thread.path() / "schedstat").string()));
      }
      sum += ran;
    }
    if (error) Fail(fmt::format("{}: {}; did the proxy end?", threads, error.message()));
  }
  return sum;
}

}  // namespace bridgehead::edge_load
