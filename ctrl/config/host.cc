#include "ctrl/config/host.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <set>

#include <ifaddrs.h>
#include <netinet/in.h>

#include "absl/status/status.h"
#include "ctrl/config/host_parts.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::config {

namespace {

absl::StatusOr<std::vector<Address>> KernelAddresses() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return absl::ErrnoToStatus(errno, "getifaddrs");
  std::vector<Address> addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const auto* bytes = reinterpret_cast<const char*>(entry->ifa_addr);
    if (entry->ifa_addr->sa_family == AF_INET) {
      bytes += offsetof(sockaddr_in, sin_addr);
      addresses.push_back(*Address::FromBytes({bytes, sizeof(in_addr)}));
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      bytes += offsetof(sockaddr_in6, sin6_addr);
      addresses.push_back(*Address::FromBytes({bytes, sizeof(in6_addr)}));
    }
  }
  freeifaddrs(list);
  return addresses;
}

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  constexpr size_t kMaxBytes = 1024 * 1024;
  std::ifstream file(path);
  if (!file) return absl::NotFoundError("can not read " + path);
  std::string text;
  for (char c; text.size() < kMaxBytes && file.get(c);) text.push_back(c);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

Finding MakeFinding(const Config& config, const std::string& key, std::string message) {
  Finding finding{config.source->file, config.source->Find(key), key, std::move(message), ""};
  const auto line = static_cast<size_t>(finding.location.line);
  if (line <= config.source->lines.size()) finding.source_line = config.source->lines[line - 1];
  return finding;
}

absl::StatusOr<std::vector<Address>> AddressesOf(const HostSources& sources) {
  return sources.kernel_addresses ? sources.kernel_addresses() : KernelAddresses();
}

namespace {

// "1000-2000,3000": ip_local_reserved_ports. Nothing when it is something else.
std::optional<std::vector<PortRange>> ParsePortList(std::string_view text) {
  std::vector<PortRange> ranges;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const auto range = PortRange::Parse(text.substr(0, comma));
    if (!range) return std::nullopt;
    ranges.push_back(*range);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return ranges;
}

// Sorted, with what touches or overlaps joined.
std::vector<PortRange> Joined(std::vector<PortRange> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<PortRange> result;
  for (const PortRange& range : ranges) {
    if (!result.empty() && range.first <= uint32_t{result.back().last} + 1) {
      result.back().last = std::max(result.back().last, range.last);
    } else {
      result.push_back(range);
    }
  }
  return result;
}

// What the kernel may give to sockets of its own.
struct EphemeralPorts {
  PortRange range;
  std::vector<PortRange> reserved;  // joined

  bool MayUse(const PortRange& ports) const {
    if (!ports.Overlaps(range)) return false;
    const PortRange common{std::max(ports.first, range.first), std::min(ports.last, range.last)};
    return std::none_of(reserved.begin(), reserved.end(), [&](const PortRange& kept) {
      return kept.first <= common.first && kept.last >= common.last;
    });
  }
};

absl::StatusOr<EphemeralPorts> ReadEphemeralPorts(const HostSources& sources) {
  auto range_text = ReadSmallFile(sources.local_port_range);
  if (!range_text.ok()) return range_text.status();
  auto reserved_text = ReadSmallFile(sources.local_reserved_ports);
  if (!reserved_text.ok()) return reserved_text.status();
  // "32768\t60999"
  for (char& c : *range_text) c = c == '\t' || c == ' ' ? '-' : c;
  const auto range = PortRange::Parse(*range_text);
  if (!range) return absl::DataLossError("can not understand " + sources.local_port_range);
  auto reserved = ParsePortList(*reserved_text);
  if (!reserved) return absl::DataLossError("can not understand " + sources.local_reserved_ports);
  return EphemeralPorts{*range, Joined(*std::move(reserved))};
}

// All of the relay's ports on the machine's own addresses. Their conflicts have one common remedy.
struct OwnPorts {
  std::string key;
  Address address;
  PortRange ports;
};

std::vector<OwnPorts> PortsOnKernelAddresses(const Config& config,
                                             const std::vector<Address>& kernel) {
  const std::set<Address> own(kernel.begin(), kernel.end());
  std::vector<OwnPorts> result;
  for (const PlacedAddress& nat : AllNatAddresses(config)) {
    if (!own.contains(nat.address)) continue;
    result.push_back({"dataplane.nat_ports", nat.address, config.dataplane.nat_ports});
    break;  // the ports are the same on all of them
  }
  for (const PlacedListener& placed : AllListeners(config)) {
    const Endpoint& listen = placed.listener->listen;
    if (!own.contains(listen.address)) continue;
    result.push_back({placed.path + ".listen", listen.address, listen.ports});
  }
  return result;
}

void CheckEphemeralPorts(const Config& config, const HostSources& sources, HostFindings& findings) {
  auto kernel = AddressesOf(sources);
  const auto ephemeral = ReadEphemeralPorts(sources);
  if (!kernel.ok() || !ephemeral.ok()) {
    const absl::Status& status = kernel.ok() ? ephemeral.status() : kernel.status();
    findings.warnings.push_back(MakeFinding(
        config, "dataplane.nat_ports",
        fmt::format("got no answer whether the kernel uses these ports ({}), expected one",
                    std::string(status.message()))));
    return;
  }
  const std::vector<OwnPorts> own = PortsOnKernelAddresses(config, *kernel);
  std::vector<PortRange> wanted = ephemeral->reserved;
  for (const OwnPorts& entry : own) {
    if (ephemeral->MayUse(entry.ports)) wanted.push_back(entry.ports);
  }
  std::vector<std::string> texts;
  for (const PortRange& range : Joined(wanted)) texts.push_back(range.text());
  for (const OwnPorts& entry : own) {
    if (!ephemeral->MayUse(entry.ports)) continue;
    findings.errors.push_back(MakeFinding(
        config, entry.key,
        fmt::format("got {}, which the kernel may use for its own sockets on {} "
                    "(net.ipv4.ip_local_port_range {}), expected reserved ports: sysctl -w "
                    "net.ipv4.ip_local_reserved_ports={} (and, to keep it over a reboot, in "
                    "/etc/sysctl.d/90-bridgehead.conf)",
                    entry.ports.text(), entry.address.text(), ephemeral->range.text(),
                    fmt::join(texts, ","))));
  }
}

void CheckMemory(const Config& config, const HostSources& sources, HostFindings& findings) {
  const auto text = ReadSmallFile(sources.meminfo);
  if (!text.ok()) return;
  constexpr std::string_view kTotal = "MemTotal:";
  const size_t at = text->find(kTotal);
  if (at == std::string::npos) return;
  const size_t begin = text->find_first_not_of(' ', at + kTotal.size());
  if (begin == std::string::npos) return;
  const size_t end = text->find(' ', begin);
  const auto kibibytes =
      ParseDecimal(std::string_view(*text).substr(begin, end - begin), UINT64_MAX / 1024);
  const uint64_t needed = EstimateMemory(config).total();
  if (!kibibytes || needed <= *kibibytes * 1024) return;
  findings.warnings.push_back(MakeFinding(
      config, "dataplane.max_sessions",
      fmt::format("got a need of about {} MiB with packet_buffers, expected at most the machine's "
                  "{} MiB",
                  needed >> 20, *kibibytes >> 10)));
}

}  // namespace

HostFindings CheckHost(const Config& config, const HostSources& sources) {
  HostFindings findings;
  CheckEphemeralPorts(config, sources, findings);
  CheckMemory(config, sources, findings);
  return findings;
}

}  // namespace bridgehead::config
