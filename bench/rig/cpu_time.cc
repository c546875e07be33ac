#include "bench/rig/cpu_time.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <sstream>
#include <string>

#include <unistd.h>

namespace bridgehead::rig {

std::vector<CoreTimes> ReadCoreTimes() {
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  std::vector<CoreTimes> out;
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    // "cpuN user nice system idle iowait irq softirq steal ..."; "cpu" alone is their sum.
    if (!line.starts_with("cpu") || line.size() < 4 || std::isdigit(line[3]) == 0) continue;
    std::istringstream fields(line);
    std::string name;
    double user, nice, system, idle, iowait, irq, softirq;
    if (fields >> name >> user >> nice >> system >> idle >> iowait >> irq >> softirq) {
      out.push_back({(idle + iowait) / ticks_per_second, softirq / ticks_per_second});
    }
  }
  return out;
}

std::vector<CoreUse> UseBetween(const std::vector<CoreTimes>& begin,
                                const std::vector<CoreTimes>& end, double seconds) {
  std::vector<CoreUse> out;
  for (size_t i = 0; i < std::min(begin.size(), end.size()); ++i) {
    const double idle = (end[i].idle - begin[i].idle) / seconds;
    out.push_back({std::clamp(1 - idle, 0.0, 1.0), (end[i].softirq - begin[i].softirq) / seconds});
  }
  return out;
}

}  // namespace bridgehead::rig
