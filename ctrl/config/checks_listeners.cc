// Rules for the listeners of media: and octo:, and between them.
#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "ctrl/config/checks.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "relay/api/counters.h"

namespace bridgehead::config {

namespace {

using BridgesByName = std::map<std::string_view, const Bridge*>;

// A place in a listener's bridges and the bridge that it names.
struct NamedBridge {
  size_t place;
  const Bridge* bridge;
};

// The listener's bridges without those whose name or address is wrong.
std::vector<NamedBridge> BridgesOf(const MediaListener& listener, const BridgesByName& by_name) {
  std::vector<NamedBridge> found;
  for (size_t j = 0; j < listener.bridges.size(); j++) {
    const auto bridge = by_name.find(listener.bridges[j]);
    if (bridge == by_name.end() || bridge->second->address.empty()) continue;
    found.push_back({j, bridge->second});
  }
  return found;
}

void CheckBridgeNames(const Config& config, const PlacedListener& placed,
                      const BridgesByName& by_name, Findings& findings) {
  const MediaListener& listener = *placed.listener;
  std::map<std::string_view, size_t> seen;
  for (size_t j = 0; j < listener.bridges.size(); j++) {
    const std::string& name = listener.bridges[j];
    if (const auto [first, fresh] = seen.try_emplace(name, j); !fresh) {
      findings.Error(placed.BridgeKey(j),
                     fmt::format("got \"{}\" a second time, expected each bridge once", name));
      continue;
    }
    // A bridge whose own name is wrong may be the one that is meant.
    if (by_name.contains(name) || findings.HasErrorIn("bridges")) continue;
    std::vector<std::string> names;
    for (const Bridge& bridge : config.bridges) names.push_back(bridge.name);
    if (names.size() > 10) names.resize(10);
    findings.Error(placed.BridgeKey(j), fmt::format("got \"{}\", expected the name of a bridge: {}",
                                                    name, fmt::join(names, ", ")));
  }
}

// Two bridges of one listener: the second one's prefix begins with the first one's.
std::string AmbiguousPrefixes(const Bridge& first, const Bridge& second) {
  if (first.ufrag_prefix == second.ufrag_prefix) {
    return fmt::format(
        "got \"{}\", whose ufrag_prefix \"{}\" is that of \"{}\" too, expected another one for "
        "each bridge",
        second.name, second.ufrag_prefix, first.name);
  }
  std::string message = fmt::format(
      "got \"{}\", whose ufrag_prefix \"{}\" begins with the \"{}\" of \"{}\", expected prefixes "
      "of which none begins with another: a Jitsi bridge goes on with digits 0-9a-v, so that a "
      "ufrag may be of either",
      second.name, second.ufrag_prefix, first.ufrag_prefix, first.name);
  const std::string ended = first.ufrag_prefix + "/";
  if (second.ufrag_prefix.starts_with(ended)) return message;
  return fmt::format("{}; {} and {}/ would do", message, ended, second.ufrag_prefix);
}

// What several bridges behind one listener need, to be told apart.
void CheckSeveralBridges(std::vector<NamedBridge> bridges, const std::string& key,
                         Findings& findings) {
  std::map<Address, const Bridge*> addresses;
  for (const NamedBridge& named : bridges) {
    const auto [first, fresh] = addresses.try_emplace(named.bridge->address, named.bridge);
    if (fresh || first->second == named.bridge) continue;
    findings.Error(
        fmt::format("{}[{}]", key, named.place),
        fmt::format("got \"{}\", which has the address {} of \"{}\", expected bridges at "
                    "different addresses",
                    named.bridge->name, named.bridge->address.text(), first->second->name));
  }
  // A prefix that is wrong itself may be the one that tells them apart.
  if (findings.HasErrorIn(key) || findings.HasErrorIn("bridges")) return;
  for (const NamedBridge& named : bridges) {
    if (!named.bridge->ufrag_prefix.empty()) continue;
    findings.Error(fmt::format("{}[{}]", key, named.place),
                   fmt::format("got \"{}\", which has no ufrag_prefix, expected one for each of "
                               "several bridges: nothing else in a client's first packet says "
                               "which bridge it is for",
                               named.bridge->name));
  }
  if (findings.HasErrorIn(key)) return;
  // Sorted, what begins with a prefix follows it; `around` are the prefixes of the last one.
  std::stable_sort(bridges.begin(), bridges.end(), [](const NamedBridge& a, const NamedBridge& b) {
    return a.bridge->ufrag_prefix < b.bridge->ufrag_prefix;
  });
  std::vector<const Bridge*> around;
  for (const NamedBridge& named : bridges) {
    const std::string& prefix = named.bridge->ufrag_prefix;
    while (!around.empty() && !prefix.starts_with(around.back()->ufrag_prefix)) around.pop_back();
    if (!around.empty()) {
      findings.Error(fmt::format("{}[{}]", key, named.place),
                     AmbiguousPrefixes(*around.back(), *named.bridge));
    }
    around.push_back(named.bridge);
  }
}

// Which families may stand on the two sides of a listener. In source NAT the bridge sees a NAT
// address of its own family, and its answers to an IPv6 client come from there; the way from IPv4
// to IPv6 is not built. Destination NAT keeps the client's address.
void CheckFamilies(const Config& config, const PlacedListener& placed,
                   const std::vector<NamedBridge>& bridges, Findings& findings) {
  const MediaListener& listener = *placed.listener;
  const Address& listen = listener.listen.address;
  const std::vector<Address>& nat = config.dataplane.nat_addresses;
  const bool nat_known = !nat.empty() && !findings.HasErrorIn("dataplane.nat_addresses");
  for (const NamedBridge& named : bridges) {
    const Address& bridge = named.bridge->address;
    std::string expected;
    if (!listen.empty() && bridge.bits() != listen.bits()) {
      if (listener.nat == NatMode::kDestination) {
        expected = fmt::format("a bridge with an {} address: {} keeps the client's",
                               listen.family(), listener.octo ? "octo" : "nat: destination");
      } else if (listen.is_v4()) {
        expected =
            "a bridge with an IPv4 address: only IPv6 listeners lead to bridges of both families";
      }
    }
    const bool has_nat = std::any_of(nat.begin(), nat.end(), [&](const Address& address) {
      return address.bits() == bridge.bits();
    });
    if (expected.empty() && listener.nat == NatMode::kSource && nat_known && !has_nat) {
      expected = fmt::format("an {} address in dataplane.nat_addresses for nat: source towards it",
                             bridge.family());
    }
    if (expected.empty()) continue;
    findings.Error(
        placed.BridgeKey(named.place),
        fmt::format("got \"{}\" at {}, expected {}", named.bridge->name, bridge.text(), expected));
  }
}

void CheckListener(const Config& config, const PlacedListener& placed, const BridgesByName& by_name,
                   Findings& findings) {
  const MediaListener& listener = *placed.listener;
  const Dataplane& dataplane = config.dataplane;
  const std::string& path = placed.path;
  const bool mode_known = !findings.HasErrorIn(path + ".nat");
  // With an element of the list refused, places no longer are the file's.
  if (!findings.HasErrorIn(placed.BridgesKey())) {
    CheckBridgeNames(config, placed, by_name, findings);
    const std::vector<NamedBridge> bridges = BridgesOf(listener, by_name);
    if (listener.bridges.size() > 1) CheckSeveralBridges(bridges, placed.BridgesKey(), findings);
    if (mode_known) CheckFamilies(config, placed, bridges, findings);
  }
  if (mode_known && listener.nat == NatMode::kSource && dataplane.nat_addresses.empty() &&
      !findings.HasErrorIn("dataplane.nat_addresses")) {
    findings.Error(path + ".nat",
                   "got source without dataplane.nat_addresses, expected addresses there or nat: "
                   "destination");
  }
  // A listener of the wrong family is one mistake, not two.
  std::vector<Address> families;
  if (!findings.HasErrorIn(placed.BridgesKey())) families.push_back(listener.listen.address);
  CheckAccess(path, listener.allow, listener.deny, families, findings);
  if (listener.listen.empty()) return;
  const uint32_t count = listener.listen.ports.count();
  if (uint32_t{listener.bridge_port} + count - 1 > 65535) {
    findings.Error(path + ".bridge_port",
                   fmt::format("got {} for {} ports, expected at most {}: the range must end by "
                               "65535",
                               listener.bridge_port, count, 65536 - count));
  }
  const std::vector<PlacedAddress> nat = AllNatAddresses(config);
  const auto shared = std::find_if(nat.begin(), nat.end(), [&](const PlacedAddress& own) {
    return own.address == listener.listen.address;
  });
  if (shared != nat.end() && listener.listen.ports.Overlaps(dataplane.nat_ports)) {
    findings.Error(path + ".listen",
                   fmt::format("got {}, expected ports outside dataplane.nat_ports ({}): the "
                               "address is in {} too",
                               listener.listen.text(), dataplane.nat_ports.text(),
                               shared->path.substr(0, shared->path.find('['))));
  }
}

// The addresses of a listener's bridges, where answers could be confused (see CheckPairs).
std::set<Address> AnswersFrom(const MediaListener& listener, const BridgesByName& by_name) {
  std::set<Address> addresses;
  if (listener.listen.empty() || listener.nat != NatMode::kDestination) return addresses;
  for (const NamedBridge& named : BridgesOf(listener, by_name)) {
    const Address& address = named.bridge->address;
    if (address.bits() == listener.listen.address.bits()) addresses.insert(address);
  }
  return addresses;
}

// Two listeners that could not be told apart: by where clients send to, or, in destination NAT, by
// where a bridge's answer comes from. There the answer carries the bridge's port and the client's
// own address, and one client socket may well use both listeners: browsers check every candidate
// pair from the same socket. In source NAT the answer's destination is a NAT port, so that may
// overlap.
void CheckPairs(const std::vector<PlacedListener>& listeners, const BridgesByName& by_name,
                Findings& findings) {
  std::vector<std::set<Address>> answers;
  for (const PlacedListener& placed : listeners) {
    const MediaListener& later = *placed.listener;
    const size_t i = answers.size();
    const std::set<Address>& own = answers.emplace_back(AnswersFrom(later, by_name));
    for (size_t j = 0; j < i && !later.listen.empty(); j++) {
      const MediaListener& first = *listeners[j].listener;
      if (later.listen.address == first.listen.address &&
          later.listen.ports.Overlaps(first.listen.ports)) {
        findings.Error(placed.path + ".listen",
                       fmt::format("got {}, expected ports that {} ({}) does not have",
                                   later.listen.text(), listeners[j].path, first.listen.text()));
        continue;
      }
      if (!later.BridgePorts().Overlaps(first.BridgePorts())) continue;
      const auto common = std::find_if(own.begin(), own.end(), [&](const Address& address) {
        return answers[j].contains(address);
      });
      if (common == own.end()) continue;
      findings.Error(placed.path + ".bridge_port",
                     fmt::format("got {}, expected ports at the bridge that {} ({}) does not lead "
                                 "to: with nat: destination answers could not be told apart",
                                 Endpoint{*common, later.BridgePorts()}.text(), listeners[j].path,
                                 first.BridgePorts().text()));
    }
  }
}

// A listener or outbound flows count under a name of their own, and the relay has room for so many.
void CheckNumber(const Config& config, Findings& findings) {
  const size_t outbound = config.outbound.addresses.empty() ? 0 : 1;
  const size_t count = config.media.size() + config.octo.size() + outbound;
  if (count <= kMaxListeners) return;
  findings.Error(config.octo.empty() ? "media" : "octo",
                 fmt::format("got {} listeners of media and octo, outbound included, expected at "
                             "most {} in all",
                             count, kMaxListeners));
}

void CheckListenerNames(const std::vector<PlacedListener>& listeners, Findings& findings) {
  std::map<std::string_view, std::string_view> seen;
  for (const PlacedListener& placed : listeners) {
    const std::string& name = placed.listener->name;
    if (name.empty()) continue;
    const std::string key = placed.path + ".name";
    const auto [first, fresh] = seen.try_emplace(name, placed.path);
    if (!fresh) {
      findings.Error(key, fmt::format("got \"{}\", which {} has already, expected another name",
                                      name, first->second));
    } else if (name == kOutboundName) {
      findings.Error(key, fmt::format("got \"{}\", which counters call the flows that bridges "
                                      "open, expected another name",
                                      name));
    } else if (name.size() > kMaxNameLength) {
      findings.Error(key, fmt::format("got nothing, and \"{}\" is longer than {} characters, "
                                      "expected a name",
                                      name, kMaxNameLength));
    }
  }
}

}  // namespace

void CheckListeners(const Config& config, Findings& findings) {
  const std::vector<PlacedListener> listeners = AllListeners(config);
  BridgesByName by_name;
  for (const Bridge& bridge : config.bridges) by_name.try_emplace(bridge.name, &bridge);
  CheckNumber(config, findings);
  CheckListenerNames(listeners, findings);
  for (const PlacedListener& placed : listeners) CheckListener(config, placed, by_name, findings);
  CheckPairs(listeners, by_name, findings);
}

}  // namespace bridgehead::config
