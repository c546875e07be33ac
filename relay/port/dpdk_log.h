// Where DPDK's and libbpf's own log lines go: to our log at debug level, and the last errors into a
// small store, so that an error of ours can quote the one line that says why.
#pragma once

#include <string>

namespace bridgehead::port {

// Takes over both logs for the rest of the process. Before rte_eal_init.
void RouteLibraryLogs();

// Forgets the stored lines; called before something that may fail.
void ClearLibraryErrors();

// What the kernel said, when it said something; else the stored error lines joined by "; ", or
// `otherwise` when there are none.
std::string LibraryErrors(const std::string& otherwise);

}  // namespace bridgehead::port
