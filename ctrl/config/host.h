// Checks of a configuration against the machine it is to run on. Apart from config.h, so that a
// file can be checked on any machine, and with injectable inputs, so that tests need no particular
// one.
//
// NAT and listener addresses usually belong to a kernel interface. The kernel must then never use
// their ports for a socket of its own: the answers would be redirected to the relay. So nat_ports,
// and listeners' ports, must lie outside net.ipv4.ip_local_port_range or inside
// net.ipv4.ip_local_reserved_ports. The kernel takes both for IPv6 sockets too.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctrl/config/config.h"

namespace bridgehead::config {

struct HostSources {
  std::string local_port_range = "/proc/sys/net/ipv4/ip_local_port_range";
  std::string local_reserved_ports = "/proc/sys/net/ipv4/ip_local_reserved_ports";
  std::string meminfo = "/proc/meminfo";
  // Addresses of the kernel's interfaces in this network namespace; empty function: getifaddrs(3).
  std::function<absl::StatusOr<std::vector<Address>>()> kernel_addresses;
};

struct HostFindings {
  std::vector<Finding> errors;
  std::vector<Finding> warnings;
  bool ok() const { return errors.empty(); }
};

// `config` must come from LoadConfig or ParseConfig. A source that can not be read is a warning.
HostFindings CheckHost(const Config& config, const HostSources& sources = {});

}  // namespace bridgehead::config
