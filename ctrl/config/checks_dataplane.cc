// Rules between the keys of `dataplane:`.
#include <algorithm>
#include <map>
#include <set>

#include "ctrl/config/checks.h"
#include "fmt/format.h"

namespace bridgehead::config {

namespace {

constexpr size_t kMaxDeviceName = 15;     // IFNAMSIZ - 1
constexpr uint32_t kLeastIpv6Mtu = 1280;  // RFC 8200 section 5

// Whether the kernel could have an interface of this name (dev_valid_name in net/core/dev.c).
bool PlausibleDevice(const std::string& name) {
  return !name.empty() && name.size() <= kMaxDeviceName && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':'; });
}

// "net_memif0" of "net_memif0,role=client".
std::string VdevName(const std::string& vdev) {
  return vdev.substr(0, vdev.find(','));
}

bool PlausibleVdev(const std::string& vdev) {
  const std::string name = VdevName(vdev);
  const bool prefix =
      (name.starts_with("net_") && name.size() > 4) || name.starts_with("virtio_user");
  const bool characters = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  const bool printable =
      std::all_of(vdev.begin(), vdev.end(), [](char c) { return c > ' ' && c < 0x7f; });
  const bool arguments = vdev.back() != ',' && vdev.find(",,") == std::string::npos;
  return prefix && characters && printable && arguments;
}

void CheckKind(const Port& port, const std::string& path, Findings& findings) {
  const Source& source = findings.source();
  const bool device = source.Has(path + ".device");
  const bool vdev = source.Has(path + ".vdev");
  if (source.Has(path + ".pci")) {
    findings.Error(path + ".pci", "got pci, expected device or vdev: pci is not supported yet");
  } else if (device && vdev) {
    findings.Error(path + ".vdev", "got both device and vdev, expected exactly one of them");
  } else if (!device && !vdev) {
    findings.Error(path + ".device", "got nothing, expected exactly one of device and vdev");
  }
  if (!port.device.empty() && !PlausibleDevice(port.device)) {
    findings.Error(path + ".device",
                   fmt::format("got \"{}\", expected the name of a kernel interface (at most {} "
                               "characters, no '/', ':' or blanks)",
                               port.device, kMaxDeviceName));
  }
  if (VdevName(port.vdev).starts_with("net_af_xdp")) {
    findings.Error(
        path + ".vdev",
        fmt::format("got \"{}\", expected device: INTERFACE, which sets up AF_XDP", port.vdev));
  } else if (!port.vdev.empty() && !PlausibleVdev(port.vdev)) {
    findings.Error(path + ".vdev",
                   fmt::format("got \"{}\", expected DPDK device arguments without blanks, such as "
                               "net_memif0,role=client",
                               port.vdev));
  }
}

void CheckVdevOnly(const Port& port, const std::string& path, Findings& findings) {
  if (port.device.empty() || !port.vdev.empty()) return;
  for (const char* name : {"mtu", "vlan", "addresses", "routes", "neighbours"}) {
    const std::string key = fmt::format("{}.{}", path, name);
    if (!findings.source().Has(key)) continue;
    findings.Error(key, fmt::format("got {} on a device port, expected it on vdev ports only: a "
                                    "device takes it from the kernel",
                                    name));
  }
}

// A next hop has to be another host in one of the port's networks.
void CheckNextHop(const Port& port, const Address& address, const std::string& key,
                  Findings& findings) {
  if (address.empty()) return;
  for (const Prefix& own : port.addresses) {
    if (own.address == address) {
      findings.Error(key, fmt::format("got {}, the port's own address, expected another host's",
                                      address.text()));
      return;
    }
  }
  const bool on_link = std::any_of(port.addresses.begin(), port.addresses.end(),
                                   [&](const Prefix& own) { return own.Contains(address); });
  if (!on_link) {
    findings.Error(key,
                   fmt::format("got {}, expected an address in one of the networks of the port's "
                               "addresses",
                               address.text()));
  }
}

// Whether an address is one that stands for its whole network: all host bits zero, or one (RFC 1122
// section 3.2.1.3). IPv6 has no broadcast, but zeros are every router there (RFC 4291 section
// 2.6.1). A network of one or two addresses has none to spare (RFC 3021, RFC 6164).
bool StandsForNetwork(const Prefix& own) {
  if (own.length + 2 > own.address.bits()) return false;
  return own.address == own.Network() || (own.address.is_v4() && own.address == own.Last());
}

void CheckOwnAddresses(const Port& port, const std::string& path, Findings& findings) {
  bool any_v6 = false;
  for (size_t i = 0; i < port.addresses.size(); i++) {
    const Prefix& own = port.addresses[i];
    any_v6 = any_v6 || own.address.is_v6();
    if (own.length != 0 && !own.address.NotAHost() && !StandsForNetwork(own)) continue;
    findings.Error(fmt::format("{}.addresses[{}]", path, i),
                   fmt::format("got {}, expected a host's address in a network, such as "
                               "192.0.2.10/24 or 2001:db8::10/64",
                               own.text()));
  }
  if (any_v6 && port.mtu < kLeastIpv6Mtu) {
    findings.Error(path + ".mtu",
                   fmt::format("got {} on a port with an IPv6 address, expected at least {}",
                               port.mtu, kLeastIpv6Mtu));
  }
}

void CheckStaticRouting(const Port& port, const std::string& path, Findings& findings) {
  CheckOwnAddresses(port, path, findings);
  if (findings.HasErrorIn(path + ".addresses")) return;
  std::set<Prefix> routes;
  for (size_t i = 0; i < port.routes.size(); i++) {
    const StaticRoute& route = port.routes[i];
    const std::string key = fmt::format("{}.routes[{}]", path, i);
    if (!route.to.address.empty() && route.to.address != route.to.Network()) {
      findings.Error(key + ".to",
                     fmt::format("got {}, expected {}: host bits must be zero", route.to.text(),
                                 Prefix{route.to.Network(), route.to.length}.text()));
    } else if (!route.to.address.empty() && !routes.insert(route.to).second) {
      findings.Error(key + ".to", fmt::format("got {} a second time, expected one route to it",
                                              route.to.text()));
    }
    const bool both = !route.to.address.empty() && !route.via.empty();
    if (both && route.to.address.bits() != route.via.bits()) {
      findings.Error(key + ".via",
                     fmt::format("got {} for {}, expected a gateway with an {} address",
                                 route.via.text(), route.to.text(), route.to.address.family()));
      continue;
    }
    CheckNextHop(port, route.via, key + ".via", findings);
  }
  std::set<Address> neighbours;
  for (size_t i = 0; i < port.neighbours.size(); i++) {
    const Address& address = port.neighbours[i].address;
    const std::string key = fmt::format("{}.neighbours[{}].address", path, i);
    if (!address.empty() && !neighbours.insert(address).second) {
      findings.Error(key, fmt::format("got {} a second time, expected it once", address.text()));
      continue;
    }
    CheckNextHop(port, address, key, findings);
  }
}

// Names, devices and vdevs that must differ between ports.
void CheckDistinctPorts(const std::vector<Port>& ports, Findings& findings) {
  std::map<std::string, size_t> names;
  std::map<std::string, size_t> devices;
  std::map<std::string, size_t> vdevs;
  const auto refuse = [&](std::map<std::string, size_t>& seen, const std::string& value, size_t i,
                          const char* key) {
    if (value.empty()) return;
    const auto [first, fresh] = seen.try_emplace(value, i);
    if (fresh) return;
    findings.Error(
        fmt::format("dataplane.ports[{}].{}", i, key),
        fmt::format("got \"{}\", which dataplane.ports[{}] has already, expected another "
                    "{}",
                    value, first->second, key));
  };
  for (size_t i = 0; i < ports.size(); i++) {
    refuse(names, ports[i].name, i, "name");
    refuse(devices, ports[i].device, i, "device");
    refuse(vdevs, VdevName(ports[i].vdev), i, "vdev");
  }
}

void CheckNatAddresses(const Dataplane& dataplane, bool outbound, Findings& findings) {
  std::set<Address> seen;
  for (size_t i = 0; i < dataplane.nat_addresses.size(); i++) {
    const Address& address = dataplane.nat_addresses[i];
    if (seen.insert(address).second) continue;
    findings.Error(fmt::format("dataplane.nat_addresses[{}]", i),
                   fmt::format("got {} a second time, expected it once", address.text()));
  }
  const size_t workers = dataplane.workers.size();
  if ((outbound || !dataplane.nat_addresses.empty()) && dataplane.nat_ports.count() < workers) {
    findings.Error("dataplane.nat_ports",
                   fmt::format("got {} ports, expected at least {}: one for each worker",
                               dataplane.nat_ports.count(), workers));
  }
}

}  // namespace

void CheckDataplane(const Config& config, Findings& findings) {
  const Dataplane& dataplane = config.dataplane;
  // With an element of a list refused, indices no longer are the file's.
  const bool workers_whole = !findings.HasErrorIn("dataplane.workers");
  std::set<uint32_t> cores;
  for (size_t i = 0; workers_whole && i < dataplane.workers.size(); i++) {
    if (cores.insert(dataplane.workers[i]).second) continue;
    findings.Error(fmt::format("dataplane.workers[{}]", i),
                   fmt::format("got core {} a second time, expected one worker on each core",
                               dataplane.workers[i]));
  }
  if (!findings.HasErrorIn("dataplane.nat_addresses")) {
    CheckNatAddresses(dataplane, !config.outbound.addresses.empty(), findings);
  }
  CheckDistinctPorts(dataplane.ports, findings);
  for (size_t i = 0; i < dataplane.ports.size(); i++) {
    const std::string path = fmt::format("dataplane.ports[{}]", i);
    if (findings.HasErrorAt(path)) continue;  // no group of keys at all
    CheckKind(dataplane.ports[i], path, findings);
    CheckVdevOnly(dataplane.ports[i], path, findings);
    if (!findings.HasErrorIn(path + ".addresses")) {
      CheckStaticRouting(dataplane.ports[i], path, findings);
    }
  }
}

}  // namespace bridgehead::config
