#include "relay/walk/snapshot.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include "fmt/format.h"
#include "relay/api/counters.h"
#include "relay/api/relay.pb.h"

namespace bridgehead {

absl::StatusOr<be32> MessageAddress(const std::string& bytes, const std::string& what) {
  uint32_t raw = 0;
  if (bytes.size() == sizeof(raw)) memcpy(&raw, bytes.data(), sizeof(raw));
  be32 address = be32::FromRaw(raw);
  if (!IsHostAddress(address)) {
    return absl::InvalidArgumentError(what + ": not an IPv4 host address");
  }
  return address;
}

void LocalAddressTable::Build(std::span<const LocalAddress> addresses) {
  // At most half full, so that a search ends soon.
  table_.assign(std::bit_ceil(std::max<size_t>(addresses.size() * 2, 2)), LocalAddress{});
  mask_ = table_.size() - 1;
  for (const LocalAddress& entry : addresses) {
    size_t at = Home(entry.address);
    while (table_[at].valid) at = (at + 1) & mask_;
    table_[at] = entry;
    table_[at].valid = true;
  }
}

const Listener* Snapshot::FindBridgeSource(be32 address, uint16_t port) const {
  for (const Listener& listener : listeners) {
    if (!listener.source_nat && listener.bridge_address == address &&
        port >= listener.bridge_first_port &&
        port - listener.bridge_first_port <= listener.last_port - listener.first_port) {
      return &listener;
    }
  }
  return nullptr;
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
  auto bridge = std::find_if(message.bridges().begin(), message.bridges().end(),
                             [&](const api::Bridge& b) { return b.name() == media.bridge(); });
  if (bridge == message.bridges().end()) {
    return absl::InvalidArgumentError(
        fmt::format("{}.bridges: no bridge \"{}\"", key, media.bridge()));
  }
  auto bridge_address = MessageAddress(bridge->address(), key + ".bridges");
  if (!bridge_address.ok()) return bridge_address.status();
  auto number = listener_numbers_.NumberOf(media.name());
  if (!number.ok()) return number.status();
  auto bridge_number = bridge_numbers_.NumberOf(bridge->name());
  if (!bridge_number.ok()) return bridge_number.status();

  listener.address = *address;
  listener.first_port = static_cast<uint16_t>(first);
  listener.last_port = static_cast<uint16_t>(last);
  listener.source_nat = media.nat() == api::MediaListener::NAT_SOURCE;
  if (listener.source_nat && message.nat().addresses().empty()) {
    return absl::InvalidArgumentError(key + ".nat: source NAT needs dataplane.nat_addresses");
  }
  listener.number = *number;
  listener.bridge_number = *bridge_number;
  listener.bridge_address = *bridge_address;
  listener.bridge_first_port = static_cast<uint16_t>(bridge_first);
  return listener;
}

namespace {

bool SameWay(const Listener& a, const Listener& b) {
  return a.address == b.address && a.first_port == b.first_port && a.last_port == b.last_port &&
         a.source_nat == b.source_nat && a.bridge_address == b.bridge_address &&
         a.bridge_first_port == b.bridge_first_port;
}

absl::StatusOr<std::vector<LocalAddress>> BuildLocal(const api::Snapshot& message,
                                                     const std::vector<Listener>& listeners) {
  std::map<uint32_t, LocalAddress> local;
  for (int i = 0; i < message.nat().addresses_size(); ++i) {
    auto address = MessageAddress(message.nat().addresses(i), "dataplane.nat_addresses");
    if (!address.ok()) return address.status();
    local[address->Raw()].nat_address = static_cast<int16_t>(i);
  }
  for (size_t i = 0; i < listeners.size(); ++i) {
    LocalAddress& entry = local[listeners[i].address.Raw()];
    if (entry.listener_count++ == 0) entry.first_listener = static_cast<uint16_t>(i);
  }
  std::vector<LocalAddress> result;
  for (auto& [raw, entry] : local) {
    entry.address = be32::FromRaw(raw);
    result.push_back(entry);
  }
  return result;
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
                                   [&](const Listener& l) { return SameWay(l, listener); });
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
                     if (!(a.address == b.address)) return a.address.Raw() < b.address.Raw();
                     return a.retired < b.retired;
                   });
  auto local = BuildLocal(message, snapshot->listeners);
  if (!local.ok()) return local.status();
  snapshot->local.Build(*local);
  snapshot->nat_first_port = static_cast<uint16_t>(message.nat().ports().first());
  snapshot->nat_last_port = static_cast<uint16_t>(message.nat().ports().last());
  snapshot->timeouts = {message.timeouts().idle_seconds(), message.timeouts().unconfirmed_seconds(),
                        message.timeouts().quarantine_seconds()};
  snapshot->limits = {message.limits().sessions_per_source(), message.limits().unconfirmed()};
  snapshot->hold_packets = message.limits().hold_packets();
  auto forwarding =
      Forwarding::Build(message.routing(), port_macs, before ? before->forwarding.get() : nullptr);
  if (!forwarding.ok()) return forwarding.status();
  snapshot->forwarding = *std::move(forwarding);
  return snapshot;
}

}  // namespace bridgehead
