#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "ctrl/config/host.h"
#include "ctrl/config/host_parts.h"
#include "ctrl/config/listen.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "relay/port/limits.h"

namespace bridgehead::config {

namespace {

absl::StatusOr<std::vector<HostInterface>> KernelInterfaces() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct if_nameindex* all = if_nameindex();
  if (fd < 0 || all == nullptr) {
    const int error = errno;
    if (fd >= 0) close(fd);
    if (all != nullptr) if_freenameindex(all);
    return absl::ErrnoToStatus(error, "if_nameindex");
  }
  std::vector<HostInterface> interfaces;
  for (const struct if_nameindex* at = all; at->if_index != 0; ++at) {
    HostInterface& interface = interfaces.emplace_back();
    interface.name = at->if_name;
    ifreq request{};
    strncpy(request.ifr_name, at->if_name, IFNAMSIZ - 1);
    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
      interface.loopback = (request.ifr_flags & IFF_LOOPBACK) != 0;
      interface.up = (request.ifr_flags & IFF_UP) != 0;
    }
    if (ioctl(fd, SIOCGIFMTU, &request) == 0) {
      interface.mtu = static_cast<uint32_t>(request.ifr_mtu);
    }
  }
  if_freenameindex(all);
  close(fd);
  return interfaces;
}

int TryToListen(const Endpoint& endpoint) {
  const int fd = ListenOn(endpoint);
  if (fd < 0) return -fd;
  close(fd);
  return 0;
}

// Returns the largest MTU among the devices, 1500 at least.
uint32_t CheckDevices(const Config& config, const HostSources& sources, HostFindings& findings) {
  const auto interfaces = sources.interfaces ? sources.interfaces() : KernelInterfaces();
  uint32_t largest = 1500;
  std::vector<std::string> names;
  if (interfaces.ok()) {
    for (const HostInterface& interface : *interfaces) {
      if (!interface.loopback) names.push_back(interface.name);
    }
  }
  for (size_t i = 0; i < config.dataplane.ports.size(); ++i) {
    const std::string& device = config.dataplane.ports[i].device;
    if (device.empty()) continue;
    const std::string key = fmt::format("dataplane.ports[{}].device", i);
    const auto refuse = [&](const std::string& message) {
      findings.errors.push_back(
          MakeFinding(config, key, fmt::format("got \"{}\", {}", device, message)));
    };
    if (!interfaces.ok()) {
      findings.warnings.push_back(
          MakeFinding(config, key,
                      fmt::format("got no answer which interfaces there are ({}), expected one",
                                  std::string(interfaces.status().message()))));
      continue;
    }
    const auto found =
        std::find_if(interfaces->begin(), interfaces->end(),
                     [&](const HostInterface& interface) { return interface.name == device; });
    if (found == interfaces->end()) {
      refuse(fmt::format("expected an interface of this machine: {}", fmt::join(names, ", ")));
    } else if (found->loopback) {
      refuse(fmt::format("the loopback interface, expected one with a network: {}",
                         fmt::join(names, ", ")));
    } else if (found->mtu > port::kMaxAfXdpMtu) {
      refuse(
          fmt::format("which has an MTU of {}, expected at most {}, what AF_XDP carries: ip link "
                      "set dev {} mtu 1500 (and at the other end)",
                      found->mtu, port::kMaxAfXdpMtu, device));
    } else if (!found->up) {
      refuse(fmt::format("which is down, expected it up: ip link set dev {} up", device));
    } else {
      largest = std::max(largest, found->mtu);
    }
  }
  return largest;
}

// "0-3,5": nothing when it is something else. Cores are many fewer than ports: bounded by them.
std::optional<std::vector<uint32_t>> ParseCores(std::string_view text) {
  constexpr uint64_t kMaxCore = 65535;
  std::vector<uint32_t> cores;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    const size_t dash = part.find('-');
    const auto first = ParseDecimal(part.substr(0, dash), kMaxCore);
    const auto last =
        dash == std::string_view::npos ? first : ParseDecimal(part.substr(dash + 1), kMaxCore);
    if (!first || !last) return std::nullopt;
    for (uint64_t core = *first; core <= *last; ++core) {
      cores.push_back(static_cast<uint32_t>(core));
    }
    text.remove_prefix(std::min(text.size(), part.size() + 1));
  }
  return cores;
}

struct HugepageSize {
  uint64_t page = 0, all = 0, free = 0;  // bytes
};

std::vector<HugepageSize> ReadHugepages(const std::string& folder) {
  std::vector<HugepageSize> sizes;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    // hugepages-2048kB
    const std::string name = at->path().filename();
    constexpr std::string_view kPrefix = "hugepages-", kSuffix = "kB";
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    const std::string_view digits = std::string_view(name).substr(
        kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
    const auto kibibytes = ParseDecimal(digits, 1ull << 40);
    const auto count = [&](const char* file) {
      const auto text = ReadSmallFile(at->path() / file);
      return text.ok() ? ParseDecimal(*text, UINT32_MAX).value_or(0) : 0;
    };
    if (!kibibytes) continue;
    const uint64_t page = *kibibytes * 1024;
    sizes.push_back({page, page * count("nr_hugepages"), page * count("free_hugepages")});
  }
  return sizes;
}

// The relay's own rule: one page size has to suffice by itself.
void CheckHugepages(const Config& config, uint32_t mtu, const HostSources& sources,
                    HostFindings& findings) {
  if (config.dataplane.hugepages != Hugepages::kRequire) return;
  const uint64_t needed = EstimateMemory(config, mtu).dpdk();
  uint64_t all = 0, free = 0;
  for (const HugepageSize& size : ReadHugepages(sources.hugepages)) {
    all = std::max(all, size.all);
    free = std::max(free, size.free);
  }
  if (free >= needed) return;
  constexpr uint64_t kMebibyte = 1 << 20;
  const uint64_t pages = (needed + 2 * kMebibyte - 1) / (2 * kMebibyte);
  const std::string got =
      fmt::format("got require, and {} MiB of free hugepages", free / kMebibyte);
  if (all < needed) {
    findings.errors.push_back(
        MakeFinding(config, "dataplane.hugepages",
                    fmt::format("{}, expected {} MiB: sysctl -w vm.nr_hugepages={}", got,
                                (needed + kMebibyte - 1) / kMebibyte, pages)));
    return;
  }
  findings.warnings.push_back(
      MakeFinding(config, "dataplane.hugepages",
                  fmt::format("{} of {} MiB, expected {} MiB free unless a running relay has them",
                              got, all / kMebibyte, (needed + kMebibyte - 1) / kMebibyte)));
}

// What `bridgehead status` warns of while ctrl runs.
void CheckAddresses(const Config& config, const HostSources& sources, HostFindings& findings) {
  const auto own = AddressesOf(sources);
  const auto& ports = config.dataplane.ports;
  const bool any_device = std::any_of(ports.begin(), ports.end(),
                                      [](const Port& port) { return !port.device.empty(); });
  if (!own.ok() || !any_device) return;
  const auto check = [&](const std::string& key, const Address& address) {
    if (std::find(own->begin(), own->end(), address) != own->end()) return;
    findings.warnings.push_back(MakeFinding(
        config, key,
        fmt::format("got {}, which no interface of this machine has: nobody answers {} for it; "
                    "expected it on one (ip address add {}/{} dev ...) unless it is routed here",
                    address.text(), address.is_v4() ? "ARP" : "neighbour solicitations",
                    address.text(), address.bits())));
  };
  for (const PlacedAddress& nat : AllNatAddresses(config)) check(nat.path, nat.address);
  for (const PlacedListener& placed : AllListeners(config)) {
    check(placed.path + ".listen", placed.listener->listen.address);
  }
}

}  // namespace

void CheckCores(const Config& config, const std::string& key, const std::vector<uint32_t>& cores,
                const HostSources& sources, HostFindings& findings) {
  const auto text = ReadSmallFile(sources.online_cores);
  const auto online = text.ok() ? ParseCores(*text) : std::nullopt;
  if (!online) {
    findings.warnings.push_back(
        MakeFinding(config, key,
                    fmt::format("got no answer which cores there are ({}), expected one",
                                text.ok() ? "can not understand " + sources.online_cores
                                          : std::string(text.status().message()))));
    return;
  }
  for (size_t i = 0; i < cores.size(); ++i) {
    if (std::find(online->begin(), online->end(), cores[i]) != online->end()) continue;
    findings.errors.push_back(MakeFinding(
        config, fmt::format("{}[{}]", key, i),
        fmt::format("got core {}, expected one that this machine has: {}", cores[i], *text)));
  }
}

void CheckListening(const Config& config, const std::string& key, const Endpoint& listen,
                    const HostSources& sources, HostFindings& findings) {
  const int error = sources.try_to_listen ? sources.try_to_listen(listen) : TryToListen(listen);
  // Whether it may have a port below 1024 depends on who runs bridgehead-ctrl.
  if (error == EADDRINUSE) {
    findings.warnings.push_back(
        MakeFinding(config, key,
                    fmt::format("got {}, where a program listens already, expected it to be the "
                                "running bridgehead-ctrl",
                                listen.text())));
  } else if (error == EADDRNOTAVAIL) {
    findings.errors.push_back(
        MakeFinding(config, key,
                    fmt::format("got {}, expected an address that an interface of this machine has",
                                listen.text())));
  }
}

void CheckHostForRelay(const Config& config, const HostSources& sources, HostFindings& findings) {
  const uint32_t mtu = CheckDevices(config, sources, findings);
  CheckCores(config, "dataplane.workers", config.dataplane.workers, sources, findings);
  CheckHugepages(config, mtu, sources, findings);
  CheckAddresses(config, sources, findings);
  if (config.admin.listen) {
    CheckListening(config, "admin.listen", *config.admin.listen, sources, findings);
  }
}

}  // namespace bridgehead::config
