// CPU time of the process that is measured.
#pragma once

#include <cstdint>
#include <vector>

#include <sys/types.h>

namespace bridgehead::edge_load {

// User and system time of all threads of the processes, in ns, from /proc/PID/task/*/schedstat,
// which is finer than the clock ticks of /proc/PID/stat. The threads must not end meanwhile. Ends
// the program when a process is not there.
uint64_t CpuTime(const std::vector<pid_t>& processes);

}  // namespace bridgehead::edge_load
