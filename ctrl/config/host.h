// Checks of a configuration against the machine it is to run on. Apart from config.h, so that a
// file can be checked on any machine, and with injectable inputs, so that tests need no particular
// one.
//
// NAT and listener addresses usually belong to a kernel interface. The kernel must then never use
// their ports for a socket of its own: the answers would be redirected to the relay. So nat_ports,
// and listeners' ports, must lie outside net.ipv4.ip_local_port_range or inside
// net.ipv4.ip_local_reserved_ports. The kernel takes both for IPv6 sockets too.
#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctrl/config/config.h"

namespace bridgehead::config {

// A kernel interface of this network namespace.
struct HostInterface {
  std::string name;
  bool loopback = false;
  bool up = false;
  uint32_t mtu = 0;  // bytes
};

struct HostSources {
  std::string local_port_range = "/proc/sys/net/ipv4/ip_local_port_range";
  std::string local_reserved_ports = "/proc/sys/net/ipv4/ip_local_reserved_ports";
  std::string meminfo = "/proc/meminfo";
  // Addresses of the kernel's interfaces in this network namespace; empty function: getifaddrs(3).
  std::function<absl::StatusOr<std::vector<Address>>()> kernel_addresses;

  // For CheckHostForRelay alone.
  std::string online_cores = "/sys/devices/system/cpu/online";
  std::string hugepages = "/sys/kernel/mm/hugepages";  // a folder for each page size in it
  // Empty function: if_nameindex(3) and ioctl(2).
  std::function<absl::StatusOr<std::vector<HostInterface>>()> interfaces;
  // 0, or the errno of trying to listen on a TCP port; empty function: the attempt itself.
  std::function<int(const Endpoint&)> try_to_listen;

  // For CheckHostForEdge alone: the time; empty function: time(2).
  std::function<time_t()> now;
};

struct HostFindings {
  std::vector<Finding> errors;
  std::vector<Finding> warnings;
  bool ok() const { return errors.empty(); }
};

// `config` must come from LoadConfig or ParseConfig. A source that can not be read is a warning.
//
// What bridgehead-ctrl itself makes a condition of its start and of a reload.
HostFindings CheckHost(const Config& config, const HostSources& sources = {});

// What bridgehead-relay would refuse when it starts (interfaces, cores, hugepages), and what else
// would be in the way of media or of the admin address. Not for ctrl, which may run before an
// interface is there. Adds to `findings`.
void CheckHostForRelay(const Config& config, const HostSources& sources, HostFindings& findings);

// What the TCP edge needs: its cores and addresses, and the files it reads. A file that the caller
// may not read is a warning, since bridgehead-ctrl may be of another user. Adds to `findings`.
void CheckHostForEdge(const Config& config, const HostSources& sources, HostFindings& findings);

// The part of it that bridgehead-ctrl refuses a reload for: cores, and the files and folders of
// hosts. Addresses and certificates it tries itself.
void CheckEdgePlaces(const Config& config, const HostSources& sources, HostFindings& findings);

}  // namespace bridgehead::config
