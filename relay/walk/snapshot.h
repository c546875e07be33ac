// The configuration as the workers use it: one immutable object, switched as a whole.
//
// The control thread builds it (walk/snapshot.cc) and puts it in place; a worker reads the pointer
// once for each burst. Sessions never point into a snapshot, so a switch leaves them alone.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/status/statusor.h"
#include "relay/net/family.h"
#include "relay/net/octo.h"
#include "relay/net/prefix_table.h"
#include "relay/session/shard.h"
#include "relay/walk/forwarding.h"

namespace bridgehead {

namespace api {
class MediaListener;
class Snapshot;
}  // namespace api

enum class BridgeState : uint8_t { kUp, kDraining, kDown };

// A bridge as a listener leads to it.
struct ListenerBridge {
  Ipv6Address address;  // either family
  Place place = kNoPlace;
  uint16_t number = 0;                   // in the counter segment
  std::string ufrag_prefix;              // empty: any ufrag
  BridgeState state = BridgeState::kUp;  // otherwise it takes no new sessions
  bool operator==(const ListenerBridge&) const = default;
};

// Which sources a listener takes.
struct Access {
  AnyPrefixTable<bool> prefixes;  // true: allowed; the longest one decides
  bool others = true;             // what no prefix holds

  bool Allows(const Ipv6Address& source) const {
    const bool* found = prefixes.Find(source);
    return found != nullptr ? *found : others;
  }
};

struct Listener {
  Ipv6Address address;  // either family
  Place place = kNoPlace;
  uint16_t first_port = 0;  // host order, inclusive
  uint16_t last_port = 0;
  bool source_nat = true;
  bool retired = false;  // gone from the configuration: keeps its sessions, takes no new ones
  uint16_t number = 0;   // in the counter segment
  uint16_t bridge_first_port = 0;
  uint32_t new_sessions = 0;            // per second and worker; 0: no limit
  std::vector<ListenerBridge> bridges;  // by ufrag prefix, sorted; at least one
  std::optional<OctoVersion> octo;      // other bridges are the clients, and there is no STUN
  std::shared_ptr<const Access> access;

  bool Takes(uint16_t port) const { return port >= first_port && port <= last_port; }
  uint16_t BridgePort(uint16_t port) const {
    return static_cast<uint16_t>(bridge_first_port + (port - first_port));
  }
  bool IsBridgePort(uint16_t port) const {
    return port >= bridge_first_port && port - bridge_first_port <= last_port - first_port;
  }
  // The bridge whose prefix `ufrag` begins with, or nullptr. No prefix begins with another one.
  const ListenerBridge* BridgeOf(std::string_view ufrag) const;
  const ListenerBridge* BridgeAt(const Ipv6Address& address) const;
};

// Flows that bridges open to the outside.
struct Outbound {
  struct Ports {
    uint16_t first = 0, last = 0;  // host order, inclusive
  };
  Access access;             // where to
  std::vector<Ports> ports;  // and to which ports there
  std::vector<ListenerBridge> bridges;
  uint16_t listener_number = 0;  // what it is counted under

  const ListenerBridge* BridgeAt(const Ipv6Address& address) const;
  bool Takes(uint16_t port) const;
};

// What the relay knows about an address of its own, or of a bridge.
struct LocalAddress {
  Place place = kNoPlace;
  bool valid = false;
  bool bridge = false;          // a bridge's
  int16_t nat_address = -1;     // number of the NAT address, or -1
  uint16_t first_listener = 0;  // a run in Snapshot::listeners
  uint16_t listener_count = 0;

  bool ours() const { return nat_address >= 0 || listener_count > 0; }
};

// The same by address: an open hash table, small enough to stay in the L1 cache.
template <class Family>
class LocalAddressTable {
 public:
  using Address = typename Family::Address;
  struct alignas(sizeof(Address) == 4 ? 16 : 32) Entry {
    Address address;
    LocalAddress local;
  };

  void Build(std::span<const Entry> entries);
  const LocalAddress* Find(const Address& address) const {
    for (size_t at = Home(address);; at = (at + 1) & mask_) {
      const Entry& entry = table_[at];
      if (!entry.local.valid) return nullptr;
      if (entry.address == address) return &entry.local;
    }
  }

 private:
  size_t Home(be32 address) const { return (address.Raw() * 0x9e3779b1u >> 16) & mask_; }
  size_t Home(const Ipv6Address& address) const {
    return ((address.High() ^ address.Low()) * 0x9e3779b97f4a7c15 >> 40) & mask_;
  }
  std::vector<Entry> table_ = std::vector<Entry>(2);
  size_t mask_ = 1;
};

struct Snapshot {
  uint64_t id = 0;
  std::vector<Listener> listeners;  // sorted by address: an address's listeners are neighbours
  LocalAddressTable<Ipv4> local_v4;
  LocalAddressTable<Ipv6> local_v6;
  std::vector<Ipv6Address> places;  // by number, either family
  uint16_t nat_first_port = 0;
  uint16_t nat_last_port = 0;
  SessionTimeouts timeouts;
  SessionLimits limits;
  uint32_t hold_packets = 64;
  std::optional<Outbound> outbound;
  std::shared_ptr<const Forwarding> forwarding;

  // The listener that takes (address, port), or nullptr.
  const Listener* FindListener(const LocalAddress& local_address, uint16_t port) const {
    for (const Listener& listener :
         std::span(listeners).subspan(local_address.first_listener, local_address.listener_count)) {
      if (listener.Takes(port)) return &listener;
    }
    return nullptr;
  }
  const Listener* FindListenerAt(const Ipv6Address& any, uint16_t port) const {
    const LocalAddress* local = any.IsMapped() ? local_v4.Find(any.Unmapped()) : local_v6.Find(any);
    return local != nullptr ? FindListener(*local, port) : nullptr;
  }
  // What is known about an address, or nullptr.
  template <class Family>
  const LocalAddress* FindLocal(const typename Family::Address& address) const {
    if constexpr (std::is_same_v<Family, Ipv4>) {
      return local_v4.Find(address);
    } else {
      return local_v6.Find(address);
    }
  }
  bool IsBridge(const Ipv6Address& any) const {
    const LocalAddress* local = any.IsMapped() ? local_v4.Find(any.Unmapped()) : local_v6.Find(any);
    return local != nullptr && local->bridge;
  }
  // The octo listener whose bridge has this address and sends from this port, or nullptr.
  const Listener* FindOctoOf(const Ipv6Address& bridge, uint16_t port) const;
  // The destination-NAT listener one of whose bridges answers from (address, port), or nullptr.
  const Listener* FindBridgeSource(const Ipv6Address& address, uint16_t port) const;
  // Whether packets with this key are of a flow that a bridge has opened, or may. With `outbound`
  // only.
  template <class Family>
  bool MayOpen(const FlowKey<Family>& key) const {
    const LocalAddress* source = FindLocal<Family>(key.source);
    if (source == nullptr || !source->bridge) return false;
    if (!outbound->Takes(key.destination_port.ToHost())) return false;
    // Unless it is what the bridge serves its clients by.
    const Ipv6Address bridge = Family::Any(key.source);
    const uint16_t port = key.source_port.ToHost();
    return FindOctoOf(bridge, port) == nullptr && FindBridgeSource(bridge, port) == nullptr;
  }
  const Ipv6Address& AddressAt(Place place) const { return places[place]; }
};

// Numbers for names: a listener or bridge keeps its number in the counters as long as the relay
// runs, whatever reloads do.
class NumberRegistry {
 public:
  explicit NumberRegistry(size_t limit) : limit_(limit) {}
  // Error: no number left (the relay must be restarted to forget old names).
  absl::StatusOr<uint16_t> NumberOf(const std::string& name);
  const std::vector<std::string>& names() const { return names_; }

 private:
  size_t limit_;
  std::vector<std::string> names_;
};

// Numbers for addresses, see session/place.h.
class PlaceRegistry {
 public:
  // Error: no number left (the relay must be restarted to forget old addresses).
  absl::StatusOr<Place> NumberOf(const Ipv6Address& address);
  const std::vector<Ipv6Address>& addresses() const { return addresses_; }

 private:
  std::vector<Ipv6Address> addresses_;
  std::map<Ipv6Address, Place> places_;
};

// Checks a snapshot message and makes the workers' form of it. `before` (may be null) lends its
// forwarding's numbering. Of the listeners in `kept`, those that the message does not name stay,
// retired.
class SnapshotBuilder {
 public:
  SnapshotBuilder(size_t max_listeners, size_t max_bridges)
      : listener_numbers_(max_listeners), bridge_numbers_(max_bridges) {}

  absl::StatusOr<std::unique_ptr<const Snapshot>> Build(const api::Snapshot& message,
                                                        const std::vector<MacAddress>& port_macs,
                                                        const Snapshot* before,
                                                        std::span<const Listener> kept);

  // The numbers of the message's NAT addresses, in its order. They may be asked for before the
  // first Build.
  absl::StatusOr<std::vector<NatAddress>> NatAddresses(const api::Snapshot& message);

  const std::vector<std::string>& listener_names() const { return listener_numbers_.names(); }
  const std::vector<std::string>& bridge_names() const { return bridge_numbers_.names(); }

 private:
  absl::StatusOr<Listener> BuildListener(const api::MediaListener& media,
                                         const api::Snapshot& message);
  absl::StatusOr<ListenerBridge> BuildBridge(const std::string& name, const Listener& listener,
                                             const api::Snapshot& message);

  absl::StatusOr<std::optional<Outbound>> BuildOutbound(const api::Snapshot& message);

  PlaceRegistry places_;
  NumberRegistry listener_numbers_;
  NumberRegistry bridge_numbers_;
};

// An address of either family in a message; error when it can not be a host's.
absl::StatusOr<Ipv6Address> MessageAddress(const std::string& bytes, const std::string& what);

}  // namespace bridgehead
