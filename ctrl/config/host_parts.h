// What host.cc and host_relay.cc share.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctrl/config/host.h"

namespace bridgehead::config {

// Without the blanks and line ends at its end.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

// At the key's place in the configuration's file.
Finding MakeFinding(const Config& config, const std::string& key, std::string message);

absl::StatusOr<std::vector<Address>> AddressesOf(const HostSources& sources);

}  // namespace bridgehead::config
