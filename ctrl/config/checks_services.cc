// Rules between timeouts, limits, bridges, listeners and the addresses of the data plane.
#include <algorithm>
#include <map>
#include <set>

#include "ctrl/config/checks.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::config {

namespace {

constexpr std::chrono::seconds kTwoMinutes{120};

std::string MediaPath(size_t i) {
  return fmt::format("media[{}]", i);
}

void CheckTimes(const Config& config, Findings& findings) {
  const Timeouts& timeouts = config.timeouts;
  if (timeouts.idle < kTwoMinutes) {
    findings.Warning("timeouts.idle",
                     fmt::format("got {}s, expected at least 120s (RFC 4787 REQ-5): silent calls "
                                 "will lose their mapping",
                                 timeouts.idle.count()));
  }
  if (timeouts.quarantine < kTwoMinutes) {
    findings.Warning("timeouts.quarantine",
                     fmt::format("got {}s, expected at least 120s: bridges may take a new client's "
                                 "packets for the port's former client's",
                                 timeouts.quarantine.count()));
  }
  if (timeouts.unconfirmed > timeouts.idle && !findings.HasErrorIn("timeouts")) {
    findings.Error("timeouts.unconfirmed",
                   fmt::format("got {}s, expected at most timeouts.idle ({}s)",
                               timeouts.unconfirmed.count(), timeouts.idle.count()));
  }
  const uint32_t max_sessions = config.dataplane.max_sessions;
  if (config.limits.unconfirmed > max_sessions) {
    findings.Warning("limits.unconfirmed",
                     fmt::format("got {}, expected at most dataplane.max_sessions ({}): a flood "
                                 "could take all sessions",
                                 config.limits.unconfirmed, max_sessions));
  }
  if (config.admin.listen && config.admin.listen->address.IsUnspecified()) {
    findings.Warning("admin.listen",
                     fmt::format("got {}, expected a loopback or management address: it is open to "
                                 "everyone",
                                 config.admin.listen->text()));
  }
}

template <typename Element>
void CheckNames(const std::vector<Element>& elements, const char* list, Findings& findings) {
  std::map<std::string, size_t> seen;
  for (size_t i = 0; i < elements.size(); i++) {
    if (elements[i].name.empty()) continue;
    const auto [first, fresh] = seen.try_emplace(elements[i].name, i);
    if (fresh) continue;
    findings.Error(fmt::format("{}[{}].name", list, i),
                   fmt::format("got \"{}\", which {}[{}] has already, expected another name",
                               elements[i].name, list, first->second));
  }
}

// The listener's bridge, or null when its key is wrong.
const Bridge* BridgeOf(const Config& config, const MediaListener& listener) {
  if (listener.bridges.size() != 1) return nullptr;
  const auto found =
      std::find_if(config.bridges.begin(), config.bridges.end(),
                   [&](const Bridge& bridge) { return bridge.name == listener.bridges[0]; });
  return found == config.bridges.end() || found->address.empty() ? nullptr : &*found;
}

void CheckBridgeNames(const Config& config, size_t i, Findings& findings) {
  const MediaListener& listener = config.media[i];
  const std::string key = MediaPath(i) + ".bridges";
  if (findings.HasErrorIn(key)) return;
  if (listener.bridges.size() > 1) {
    findings.Error(key, fmt::format("got {} bridges, expected exactly one: this version can not "
                                    "choose between several",
                                    listener.bridges.size()));
  }
  for (size_t j = 0; j < listener.bridges.size(); j++) {
    const std::string& name = listener.bridges[j];
    const bool known = std::any_of(config.bridges.begin(), config.bridges.end(),
                                   [&](const Bridge& bridge) { return bridge.name == name; });
    // A bridge whose own name is wrong may be the one that is meant.
    if (known || findings.HasErrorIn("bridges")) continue;
    std::vector<std::string> names;
    for (const Bridge& bridge : config.bridges) names.push_back(bridge.name);
    if (names.size() > 10) names.resize(10);
    findings.Error(
        fmt::format("{}[{}]", key, j),
        fmt::format("got \"{}\", expected the name of a bridge: {}", name, fmt::join(names, ", ")));
  }
}

void CheckListener(const Config& config, size_t i, Findings& findings) {
  const MediaListener& listener = config.media[i];
  const Dataplane& dataplane = config.dataplane;
  const std::string path = MediaPath(i);
  CheckBridgeNames(config, i, findings);
  const bool mode_known = !findings.HasErrorIn(path + ".nat");
  if (mode_known && listener.nat == NatMode::kSource && dataplane.nat_addresses.empty() &&
      !findings.HasErrorIn("dataplane.nat_addresses")) {
    findings.Error(path + ".nat",
                   "got source without dataplane.nat_addresses, expected addresses there or nat: "
                   "destination");
  }
  if (listener.listen.empty()) return;
  const uint32_t count = listener.listen.ports.count();
  if (uint32_t{listener.bridge_port} + count - 1 > 65535) {
    findings.Error(path + ".bridge_port",
                   fmt::format("got {} for {} ports, expected at most {}: the range must end by "
                               "65535",
                               listener.bridge_port, count, 65536 - count));
  }
  const bool nat_address = std::find(dataplane.nat_addresses.begin(), dataplane.nat_addresses.end(),
                                     listener.listen.address) != dataplane.nat_addresses.end();
  if (nat_address && listener.listen.ports.Overlaps(dataplane.nat_ports)) {
    findings.Error(
        path + ".listen",
        fmt::format("got {}, expected ports outside dataplane.nat_ports ({}): the address "
                    "is a NAT address too",
                    listener.listen.text(), dataplane.nat_ports.text()));
  }
}

// Two listeners that could not be told apart: by where clients send to, or, in destination NAT, by
// where a bridge's answer comes from. There the answer carries the bridge's port and the client's
// own address, and one client socket may well use both listeners: browsers check every candidate
// pair from the same socket. In source NAT the answer's destination is a NAT port, so that may
// overlap.
void CheckPairs(const Config& config, Findings& findings) {
  for (size_t i = 0; i < config.media.size(); i++) {
    for (size_t j = 0; j < i; j++) {
      const MediaListener& later = config.media[i];
      const MediaListener& first = config.media[j];
      if (later.listen.empty() || first.listen.empty()) continue;
      if (later.listen.address == first.listen.address &&
          later.listen.ports.Overlaps(first.listen.ports)) {
        findings.Error(MediaPath(i) + ".listen",
                       fmt::format("got {}, expected ports that {} ({}) does not have",
                                   later.listen.text(), MediaPath(j), first.listen.text()));
        continue;
      }
      if (later.nat != NatMode::kDestination || first.nat != NatMode::kDestination) continue;
      const Bridge* later_bridge = BridgeOf(config, later);
      const Bridge* first_bridge = BridgeOf(config, first);
      if (later_bridge == nullptr || first_bridge == nullptr ||
          later_bridge->address != first_bridge->address ||
          !later.BridgePorts().Overlaps(first.BridgePorts())) {
        continue;
      }
      findings.Error(
          MediaPath(i) + ".bridge_port",
          fmt::format("got {}:{}, expected ports at the bridge that {} ({}) does not lead "
                      "to: with nat: destination answers could not be told apart",
                      later_bridge->address.text(), later.BridgePorts().text(), MediaPath(j),
                      first.BridgePorts().text()));
    }
  }
}

void CheckBridgeAddresses(const Config& config, Findings& findings) {
  std::map<Address, std::string> own;
  for (const Address& address : config.dataplane.nat_addresses) {
    own.try_emplace(address, "dataplane.nat_addresses");
  }
  for (size_t i = 0; i < config.media.size(); i++) {
    own.try_emplace(config.media[i].listen.address, MediaPath(i) + ".listen");
  }
  for (size_t i = 0; i < config.dataplane.ports.size(); i++) {
    for (const Prefix& prefix : config.dataplane.ports[i].addresses) {
      own.try_emplace(prefix.address, fmt::format("dataplane.ports[{}].addresses", i));
    }
  }
  for (size_t i = 0; i < config.bridges.size(); i++) {
    const Address& address = config.bridges[i].address;
    const auto found = own.find(address);
    if (address.empty() || found == own.end()) continue;
    findings.Error(fmt::format("bridges[{}].address", i),
                   fmt::format("got {}, which is in {} too, expected an address that is not the "
                               "relay's",
                               address.text(), found->second));
  }
}

void CheckUnused(const Config& config, Findings& findings) {
  std::set<std::string> used;
  bool source_nat = false;
  for (const MediaListener& listener : config.media) {
    used.insert(listener.bridges.begin(), listener.bridges.end());
    source_nat = source_nat || listener.nat == NatMode::kSource;
  }
  for (size_t i = 0; i < config.bridges.size(); i++) {
    if (config.bridges[i].name.empty() || used.contains(config.bridges[i].name)) continue;
    findings.Warning(fmt::format("bridges[{}].name", i),
                     fmt::format("got \"{}\", which no listener leads to, expected it in a "
                                 "listener's bridges",
                                 config.bridges[i].name));
  }
  if (!source_nat && !config.dataplane.nat_addresses.empty()) {
    findings.Warning("dataplane.nat_addresses",
                     "got addresses that no listener uses, expected a listener with nat: source");
  }
}

}  // namespace

void CheckServices(const Config& config, Findings& findings) {
  CheckTimes(config, findings);
  CheckNames(config.bridges, "bridges", findings);
  CheckNames(config.media, "media", findings);
  for (size_t i = 0; i < config.media.size(); i++) CheckListener(config, i, findings);
  CheckPairs(config, findings);
  CheckBridgeAddresses(config, findings);
  CheckUnused(config, findings);
}

}  // namespace bridgehead::config
