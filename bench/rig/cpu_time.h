// What the cores of this machine did over a time, from /proc/stat.
#pragma once

#include <vector>

namespace bridgehead::rig {

// Since boot, in seconds, one entry for each core.
struct CoreTimes {
  double idle = 0;     // to the nanosecond where the kernel stops its tick when idle
  double softirq = 0;  // as the kernel's tick has sampled it
};

std::vector<CoreTimes> ReadCoreTimes();

// What passed between two readings that are `seconds` apart, as shares of a core: 1 = all the time.
struct CoreUse {
  double busy = 0;  // not idle, whatever for and whoever for
  double softirq = 0;
};

std::vector<CoreUse> UseBetween(const std::vector<CoreTimes>& begin,
                                const std::vector<CoreTimes>& end, double seconds);

}  // namespace bridgehead::rig
