// Rules between timeouts, limits, bridges, outbound flows and the addresses of the data plane.
#include <map>
#include <set>

#include "ctrl/config/checks.h"
#include "fmt/format.h"

namespace bridgehead::config {

namespace {

constexpr std::chrono::seconds kTwoMinutes{120};

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

// The listener, if any, that leads to this port of a bridge without source NAT: what comes from
// there is media to the relay's XDP program, an answer to ctrl too.
std::string TakerOf(const Endpoint& at, const std::map<std::string, Address>& bridges,
                    const std::vector<PlacedListener>& listeners) {
  for (const PlacedListener& placed : listeners) {
    const MediaListener& listener = *placed.listener;
    if (listener.nat == NatMode::kSource) continue;
    if (!listener.BridgePorts().Contains(at.ports.first)) continue;
    for (const std::string& name : listener.bridges) {
      const auto bridge = bridges.find(name);
      if (bridge != bridges.end() && bridge->second == at.address) return placed.path;
    }
  }
  return "";
}

void CheckHealthChecks(const Config& config, Findings& findings) {
  const HealthCheck& check = config.health_check;
  if (check.timeout > check.interval && !findings.HasErrorIn("health_check")) {
    findings.Error("health_check.timeout",
                   fmt::format("got {}s, expected at most health_check.interval ({}s)",
                               check.timeout.count(), check.interval.count()));
  }
  std::map<std::string, Address> bridges;
  for (const Bridge& bridge : config.bridges) bridges.try_emplace(bridge.name, bridge.address);
  const std::vector<PlacedListener> listeners = AllListeners(config);
  for (size_t i = 0; i < config.bridges.size(); i++) {
    const std::optional<CheckUrl>& health = config.bridges[i].health;
    if (!health || health->kind != CheckUrl::Kind::kStun) continue;
    const std::string taker = TakerOf(health->at, bridges, listeners);
    if (taker.empty()) continue;
    findings.Error(fmt::format("bridges[{}].health", i),
                   fmt::format("got {}, a port that {} leads to without source NAT, expected "
                               "another port or http://: its answers would be taken for media",
                               health->text(), taker));
  }
}

void CheckBridgeNames(const std::vector<Bridge>& bridges, Findings& findings) {
  std::map<std::string, size_t> seen;
  for (size_t i = 0; i < bridges.size(); i++) {
    if (bridges[i].name.empty()) continue;
    const auto [first, fresh] = seen.try_emplace(bridges[i].name, i);
    if (fresh) continue;
    findings.Error(fmt::format("bridges[{}].name", i),
                   fmt::format("got \"{}\", which bridges[{}] has already, expected another name",
                               bridges[i].name, first->second));
  }
}

// Its addresses are checked against the listeners' in CheckListeners.
void CheckOutbound(const Config& config, Findings& findings) {
  const Outbound& outbound = config.outbound;
  CheckAccess("outbound", outbound.allow, {}, outbound.addresses, findings);
  if (findings.HasErrorAt("outbound") || findings.HasErrorIn("outbound.addresses")) return;
  if (findings.source().Has("outbound") && outbound.addresses.empty()) {
    findings.Error("outbound.addresses",
                   "got nothing, expected the addresses that others see; without outbound: "
                   "bridges open no flows");
  }
  std::set<Address> seen;
  for (size_t i = 0; i < outbound.addresses.size(); i++) {
    if (seen.insert(outbound.addresses[i]).second) continue;
    findings.Error(
        fmt::format("outbound.addresses[{}]", i),
        fmt::format("got {} a second time, expected it once", outbound.addresses[i].text()));
  }
}

void CheckBridgeAddresses(const Config& config, Findings& findings) {
  std::map<Address, std::string> own;
  for (const PlacedAddress& nat : AllNatAddresses(config)) {
    own.try_emplace(nat.address, nat.path.substr(0, nat.path.find('[')));
  }
  for (const PlacedListener& placed : AllListeners(config)) {
    own.try_emplace(placed.listener->listen.address, placed.path + ".listen");
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
  for (const PlacedListener& placed : AllListeners(config)) {
    const MediaListener& listener = *placed.listener;
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
  CheckBridgeNames(config.bridges, findings);
  CheckHealthChecks(config, findings);
  CheckListeners(config, findings);
  CheckOutbound(config, findings);
  CheckBridgeAddresses(config, findings);
  CheckUnused(config, findings);
}

}  // namespace bridgehead::config
