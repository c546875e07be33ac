// What the files of host.h share.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
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

// host_relay.cc: whether this machine has the cores of the list `key`, and whether a socket of
// ctrl's could listen where `key` says.
void CheckCores(const Config& config, const std::string& key, const std::vector<uint32_t>& cores,
                const HostSources& sources, HostFindings& findings);
void CheckListening(const Config& config, const std::string& key, const Endpoint& listen,
                    const HostSources& sources, HostFindings& findings);

// host_edge.cc: what the regular file holds. Nothing, with a finding at `key`, when it can not be
// read or is of more than a MiB. Does not wait for what is no regular file.
std::optional<std::string> ReadFileOf(const Config& config, const std::string& key,
                                      const std::string& path, HostFindings& findings);

// host_certificates.cc: the files of edge.listeners[].tls and edge.upstreams[].tls, at the time
// `now`.
void CheckCertificates(const Config& config, time_t now, HostFindings& findings);

}  // namespace bridgehead::config
