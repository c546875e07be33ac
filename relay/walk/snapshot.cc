#include "relay/walk/snapshot.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include "fmt/format.h"
#include "relay/api/counters.h"
#include "relay/api/relay.pb.h"
#include "relay/walk/address_bytes.h"

namespace bridgehead {

absl::StatusOr<Ipv6Address> MessageAddress(const std::string& bytes, const std::string& what) {
  Ipv6Address address;
  if (!AddressOfBytes(bytes, address) || !IsAnyHostAddress(address)) {
    return absl::InvalidArgumentError(what + ": not the address of a host");
  }
  return address;
}

const ListenerBridge* Listener::BridgeOf(std::string_view ufrag) const {
  // The last prefix that is not greater than the ufrag is the only one it can begin with.
  auto after = std::upper_bound(
      bridges.begin(), bridges.end(), ufrag,
      [](std::string_view u, const ListenerBridge& bridge) { return u < bridge.ufrag_prefix; });
  if (after == bridges.begin()) return nullptr;
  const ListenerBridge& bridge = *std::prev(after);
  return ufrag.starts_with(bridge.ufrag_prefix) ? &bridge : nullptr;
}

const ListenerBridge* Listener::BridgeAt(const Ipv6Address& bridge_address) const {
  for (const ListenerBridge& bridge : bridges) {
    if (bridge.address == bridge_address) return &bridge;
  }
  return nullptr;
}

template <class Family>
void LocalAddressTable<Family>::Build(std::span<const Entry> entries) {
  // At most half full, so that a search ends soon.
  table_.assign(std::bit_ceil(std::max<size_t>(entries.size() * 2, 2)), Entry{});
  mask_ = table_.size() - 1;
  for (const Entry& entry : entries) {
    size_t at = Home(entry.address);
    while (table_[at].local.valid) at = (at + 1) & mask_;
    table_[at] = entry;
    table_[at].local.valid = true;
  }
}
template class LocalAddressTable<Ipv4>;
template class LocalAddressTable<Ipv6>;

const Listener* Snapshot::FindBridgeSource(const Ipv6Address& address, uint16_t port) const {
  for (const Listener& listener : listeners) {
    if (!listener.source_nat && listener.IsBridgePort(port) &&
        listener.BridgeAt(address) != nullptr) {
      return &listener;
    }
  }
  return nullptr;
}

const ListenerBridge* Outbound::BridgeAt(const Ipv6Address& address) const {
  for (const ListenerBridge& bridge : bridges) {
    if (bridge.address == address) return &bridge;
  }
  return nullptr;
}

bool Outbound::Takes(uint16_t port) const {
  return std::any_of(ports.begin(), ports.end(),
                     [&](const Ports& range) { return port >= range.first && port <= range.last; });
}

const Listener* Snapshot::FindOctoOf(const Ipv6Address& bridge, uint16_t port) const {
  for (const Listener& listener : listeners) {
    if (listener.octo && !listener.retired && listener.IsBridgePort(port) &&
        listener.BridgeAt(bridge) != nullptr) {
      return &listener;
    }
  }
  return nullptr;
}

absl::StatusOr<Place> PlaceRegistry::NumberOf(const Ipv6Address& address) {
  auto [entry, added] = places_.try_emplace(address, static_cast<Place>(addresses_.size()));
  if (!added) return entry->second;
  if (addresses_.size() >= kNoPlace) {
    places_.erase(entry);
    return absl::ResourceExhaustedError(fmt::format(
        "one address too many: the relay has known {} since it started; restart it", kNoPlace));
  }
  addresses_.push_back(address);
  return entry->second;
}

absl::StatusOr<uint16_t> NumberRegistry::NumberOf(const std::string& name) {
  auto found = std::find(names_.begin(), names_.end(), name);
  if (found != names_.end()) return static_cast<uint16_t>(found - names_.begin());
  if (names_.size() >= limit_) {
    return absl::ResourceExhaustedError(fmt::format(
        "\"{}\" is one name too many: the relay has known {} since it started; restart it", name,
        limit_));
  }
  names_.push_back(name);
  return static_cast<uint16_t>(names_.size() - 1);
}

namespace {

// For Listener::BridgeOf. Error: two bridges that one ufrag could belong to.
absl::Status SortByPrefix(std::vector<ListenerBridge>& bridges) {
  if (bridges.empty()) return absl::InvalidArgumentError("bridges: none");
  std::sort(bridges.begin(), bridges.end(), [](const ListenerBridge& a, const ListenerBridge& b) {
    return a.ufrag_prefix < b.ufrag_prefix;
  });
  for (size_t i = 1; i < bridges.size(); ++i) {
    if (bridges[i].ufrag_prefix.starts_with(bridges[i - 1].ufrag_prefix)) {
      return absl::InvalidArgumentError(
          fmt::format("bridges: ufrag prefix \"{}\" begins with \"{}\", another one's",
                      bridges[i].ufrag_prefix, bridges[i - 1].ufrag_prefix));
    }
  }
  return absl::OkStatus();
}

absl::Status AddPrefixes(const google::protobuf::RepeatedPtrField<api::Prefix>& from, bool allowed,
                         Access& access) {
  for (const api::Prefix& prefix : from) {
    Ipv6Address address;
    if (!AddressOfBytes(prefix.address(), address)) {
      return absl::InvalidArgumentError(allowed ? "allow: not a prefix" : "deny: not a prefix");
    }
    access.prefixes.Add(address, prefix.length(), allowed);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Access>> BuildAccess(const api::MediaListener& media) {
  auto access = std::make_shared<Access>();
  access->others = media.allow().empty() && media.kind() != api::MediaListener::KIND_OCTO;
  // A prefix in both lists is denied.
  absl::Status status = AddPrefixes(media.deny(), false, *access);
  if (status.ok()) status = AddPrefixes(media.allow(), true, *access);
  if (!status.ok()) return status;
  return access;
}

BridgeState StateOf(api::Bridge::State state) {
  switch (state) {
    case api::Bridge::DRAINING:
      return BridgeState::kDraining;
    case api::Bridge::DOWN:
      return BridgeState::kDown;
    default:
      return BridgeState::kUp;
  }
}

OctoVersion VersionOf(api::MediaListener::OctoVersion version) {
  switch (version) {
    case api::MediaListener::OCTO_V0:
      return OctoVersion::kV0;
    case api::MediaListener::OCTO_V1:
      return OctoVersion::kV1;
    default:
      return OctoVersion::kAny;
  }
}

}  // namespace

absl::StatusOr<Listener> SnapshotBuilder::BuildListener(const api::MediaListener& media,
                                                        const api::Snapshot& message) {
  const std::string key = fmt::format("media[{}]", media.name());
  Listener listener;
  auto address = MessageAddress(media.address(), key + ".listen");
  if (!address.ok()) return address.status();
  uint32_t first = media.ports().first();
  uint32_t last = media.ports().last();
  uint32_t bridge_first = media.bridge_first_port();
  if (first == 0 || last > 0xffff || first > last || bridge_first == 0 || bridge_first > 0xffff ||
      bridge_first + (last - first) > 0xffff) {
    return absl::InvalidArgumentError(key + ".listen: port range is not valid");
  }
  auto place = places_.NumberOf(*address);
  if (!place.ok()) return place.status();
  auto number = listener_numbers_.NumberOf(media.name());
  if (!number.ok()) return number.status();

  listener.address = *address;
  listener.place = *place;
  listener.first_port = static_cast<uint16_t>(first);
  listener.last_port = static_cast<uint16_t>(last);
  listener.source_nat = media.nat() == api::MediaListener::NAT_SOURCE;
  listener.number = *number;
  listener.bridge_first_port = static_cast<uint16_t>(bridge_first);
  listener.new_sessions = media.new_sessions();
  auto access = BuildAccess(media);
  if (!access.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("{}.{}", key, std::string(access.status().message())));
  }
  listener.access = *std::move(access);
  if (media.kind() == api::MediaListener::KIND_OCTO) {
    listener.octo = VersionOf(media.octo_version());
    if (listener.source_nat || media.bridges_size() != 1) {
      return absl::InvalidArgumentError(key + ": octo is destination NAT to one bridge");
    }
  }
  for (const std::string& name : media.bridges()) {
    auto bridge = BuildBridge(name, listener, message);
    if (!bridge.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("{}.{}", key, std::string(bridge.status().message())));
    }
    listener.bridges.push_back(*std::move(bridge));
  }
  if (absl::Status status = SortByPrefix(listener.bridges); !status.ok()) {
    return absl::InvalidArgumentError(fmt::format("{}.{}", key, std::string(status.message())));
  }
  return listener;
}

absl::StatusOr<ListenerBridge> SnapshotBuilder::BuildBridge(const std::string& name,
                                                            const Listener& listener,
                                                            const api::Snapshot& message) {
  auto from = std::find_if(message.bridges().begin(), message.bridges().end(),
                           [&](const api::Bridge& b) { return b.name() == name; });
  if (from == message.bridges().end()) {
    return absl::InvalidArgumentError(fmt::format("bridges: no bridge \"{}\"", name));
  }
  auto address = MessageAddress(from->address(), "bridges");
  if (!address.ok()) return address.status();
  if (!listener.source_nat && address->IsMapped() != listener.address.IsMapped()) {
    return absl::InvalidArgumentError(fmt::format(
        "nat: destination NAT can not lead to \"{}\", which has an address of the other "
        "family",
        name));
  }
  if (listener.address.IsMapped() && !address->IsMapped()) {
    return absl::InvalidArgumentError(fmt::format(
        "bridges: \"{}\" has an IPv6 address, which IPv4 clients can not be led to", name));
  }
  auto same_family = [&](const std::string& nat) {
    return (nat.size() == sizeof(uint32_t)) == address->IsMapped();
  };
  if (listener.source_nat && std::none_of(message.nat().addresses().begin(),
                                          message.nat().addresses().end(), same_family)) {
    return absl::InvalidArgumentError(
        fmt::format("nat: source NAT needs dataplane.nat_addresses of the family of \"{}\"", name));
  }
  auto place = places_.NumberOf(*address);
  if (!place.ok()) return place.status();
  auto number = bridge_numbers_.NumberOf(name);
  if (!number.ok()) return number.status();
  return ListenerBridge{*address, *place, *number, from->ufrag_prefix(), StateOf(from->state())};
}

absl::StatusOr<std::vector<NatAddress>> SnapshotBuilder::NatAddresses(
    const api::Snapshot& message) {
  std::vector<NatAddress> addresses;
  auto add = [&](const std::string& bytes, const char* key, bool outside) {
    auto address = MessageAddress(bytes, key);
    if (!address.ok()) return address.status();
    auto place = places_.NumberOf(*address);
    if (!place.ok()) return place.status();
    auto same = std::find_if(addresses.begin(), addresses.end(),
                             [&](const NatAddress& nat) { return nat.place == *place; });
    if (same == addresses.end()) same = addresses.insert(same, {*address, *place, false, false});
    (outside ? same->outside : same->inside) = true;
    return absl::OkStatus();
  };
  for (const std::string& bytes : message.nat().addresses()) {
    if (auto status = add(bytes, "dataplane.nat_addresses", false); !status.ok()) return status;
  }
  for (const std::string& bytes : message.nat().outside_addresses()) {
    if (auto status = add(bytes, "outbound.addresses", true); !status.ok()) return status;
  }
  return addresses;
}

absl::StatusOr<std::optional<Outbound>> SnapshotBuilder::BuildOutbound(
    const api::Snapshot& message) {
  if (message.nat().outside_addresses().empty()) return std::nullopt;
  Outbound outbound;
  outbound.access.others = message.outbound().allow().empty();
  if (auto status = AddPrefixes(message.outbound().allow(), true, outbound.access); !status.ok()) {
    return absl::InvalidArgumentError("outbound." + std::string(status.message()));
  }
  for (const api::PortRange& range : message.outbound().ports()) {
    if (range.first() == 0 || range.last() > 0xffff || range.first() > range.last()) {
      return absl::InvalidArgumentError("outbound.ports: not a port range");
    }
    outbound.ports.push_back(
        {static_cast<uint16_t>(range.first()), static_cast<uint16_t>(range.last())});
  }
  auto number = listener_numbers_.NumberOf("outbound");
  if (!number.ok()) return number.status();
  outbound.listener_number = *number;
  for (const api::Bridge& from : message.bridges()) {
    auto address = MessageAddress(from.address(), "bridges");
    if (!address.ok()) return address.status();
    auto place = places_.NumberOf(*address);
    if (!place.ok()) return place.status();
    auto bridge_number = bridge_numbers_.NumberOf(from.name());
    if (!bridge_number.ok()) return bridge_number.status();
    outbound.bridges.push_back({*address, *place, *bridge_number, "", BridgeState::kUp});
  }
  return outbound;
}

namespace {

// Whether every session of `old` could be one of `now`.
bool Covers(const Listener& now, const Listener& old) {
  auto has = [&](const ListenerBridge& bridge) { return now.BridgeAt(bridge.address) != nullptr; };
  return now.address == old.address && now.first_port == old.first_port &&
         now.last_port == old.last_port && now.source_nat == old.source_nat &&
         now.bridge_first_port == old.bridge_first_port &&
         now.octo.has_value() == old.octo.has_value() &&
         std::all_of(old.bridges.begin(), old.bridges.end(), has);
}

// Every address of ours and of the bridges.
std::map<Ipv6Address, LocalAddress> CollectLocal(const std::vector<NatAddress>& nat,
                                                 const std::vector<Listener>& listeners,
                                                 const std::optional<Outbound>& outbound) {
  std::map<Ipv6Address, LocalAddress> local;
  for (size_t i = 0; i < nat.size(); ++i) {
    LocalAddress& entry = local[nat[i].address];
    entry.nat_address = static_cast<int16_t>(i);
    entry.place = nat[i].place;
  }
  for (size_t i = 0; i < listeners.size(); ++i) {
    LocalAddress& entry = local[listeners[i].address];
    if (entry.listener_count++ == 0) entry.first_listener = static_cast<uint16_t>(i);
    entry.place = listeners[i].place;
    for (const ListenerBridge& bridge : listeners[i].bridges) {
      LocalAddress& other = local[bridge.address];
      other.bridge = true;
      other.place = bridge.place;
    }
  }
  if (!outbound) return local;
  for (const ListenerBridge& bridge : outbound->bridges) {
    LocalAddress& other = local[bridge.address];
    other.bridge = true;
    other.place = bridge.place;
  }
  return local;
}

void BuildLocal(const std::vector<NatAddress>& nat, Snapshot& snapshot) {
  std::vector<LocalAddressTable<Ipv4>::Entry> v4;
  std::vector<LocalAddressTable<Ipv6>::Entry> v6;
  for (const auto& [address, local] : CollectLocal(nat, snapshot.listeners, snapshot.outbound)) {
    if (address.IsMapped()) {
      v4.push_back({address.Unmapped(), local});
    } else {
      v6.push_back({address, local});
    }
  }
  snapshot.local_v4.Build(v4);
  snapshot.local_v6.Build(v6);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Snapshot>> SnapshotBuilder::Build(
    const api::Snapshot& message, const std::vector<MacAddress>& port_macs, const Snapshot* before,
    std::span<const Listener> kept) {
  auto snapshot = std::make_unique<Snapshot>();
  snapshot->id = message.id();
  for (const api::MediaListener& media : message.media()) {
    auto listener = BuildListener(media, message);
    if (!listener.ok()) return listener.status();
    snapshot->listeners.push_back(*listener);
  }
  for (Listener listener : kept) {
    bool still_there = std::any_of(snapshot->listeners.begin(), snapshot->listeners.end(),
                                   [&](const Listener& l) { return Covers(l, listener); });
    if (still_there) continue;
    listener.retired = true;
    snapshot->listeners.push_back(listener);
  }
  if (snapshot->listeners.size() > kMaxListeners) {
    return absl::ResourceExhaustedError(
        fmt::format("media: {} listeners, removed ones with live sessions included, are more than "
                    "{}",
                    snapshot->listeners.size(), kMaxListeners));
  }
  // Retired ones last on their address: a listener that took over their ports comes first.
  std::stable_sort(snapshot->listeners.begin(), snapshot->listeners.end(),
                   [](const Listener& a, const Listener& b) {
                     if (!(a.address == b.address)) return a.address < b.address;
                     return a.retired < b.retired;
                   });
  auto nat = NatAddresses(message);
  if (!nat.ok()) return nat.status();
  auto outbound = BuildOutbound(message);
  if (!outbound.ok()) return outbound.status();
  snapshot->outbound = *std::move(outbound);
  BuildLocal(*nat, *snapshot);
  snapshot->places = places_.addresses();
  snapshot->nat_first_port = static_cast<uint16_t>(message.nat().ports().first());
  snapshot->nat_last_port = static_cast<uint16_t>(message.nat().ports().last());
  snapshot->timeouts = {message.timeouts().idle_seconds(), message.timeouts().unconfirmed_seconds(),
                        message.timeouts().quarantine_seconds()};
  snapshot->limits = {message.limits().sessions_per_source(),
                      message.limits().unconfirmed(),
                      {message.limits().new_sessions(), message.limits().new_sessions_per_prefix(),
                       message.limits().stun_requests_per_source()}};
  snapshot->hold_packets = message.limits().hold_packets();
  auto forwarding =
      Forwarding::Build(message.routing(), port_macs, before ? before->forwarding.get() : nullptr);
  if (!forwarding.ok()) return forwarding.status();
  snapshot->forwarding = *std::move(forwarding);
  return snapshot;
}

}  // namespace bridgehead
