// The configuration as the workers use it: one immutable object, switched as a whole.
//
// The control thread builds it (walk/snapshot.cc) and puts it in place; a worker reads the pointer
// once for each burst. Sessions never point into a snapshot, so a switch leaves them alone.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "relay/net/family.h"
#include "relay/session/shard.h"
#include "relay/walk/forwarding.h"

namespace bridgehead {

namespace api {
class MediaListener;
class Snapshot;
}  // namespace api

struct Listener {
  be32 address;
  uint16_t first_port = 0;  // host order, inclusive
  uint16_t last_port = 0;
  bool source_nat = true;
  bool retired = false;  // gone from the configuration: keeps its sessions, takes no new ones
  uint16_t number = 0;   // in the counter segment
  uint16_t bridge_number = 0;
  be32 bridge_address;
  uint16_t bridge_first_port = 0;

  bool Takes(uint16_t port) const { return port >= first_port && port <= last_port; }
  uint16_t BridgePort(uint16_t port) const {
    return static_cast<uint16_t>(bridge_first_port + (port - first_port));
  }
};

// What the relay knows about one of its own addresses.
struct LocalAddress {
  be32 address;
  bool valid = false;
  int16_t nat_address = -1;     // number of the NAT address, or -1
  uint16_t first_listener = 0;  // a run in Snapshot::listeners
  uint16_t listener_count = 0;
};

// Local addresses by value: an open hash table, small enough to stay in the L1 cache.
class LocalAddressTable {
 public:
  void Build(std::span<const LocalAddress> addresses);
  const LocalAddress* Find(be32 address) const {
    for (size_t at = Home(address);; at = (at + 1) & mask_) {
      const LocalAddress& entry = table_[at];
      if (!entry.valid) return nullptr;
      if (entry.address == address) return &entry;
    }
  }

 private:
  size_t Home(be32 address) const { return (address.Raw() * 0x9e3779b1u >> 16) & mask_; }
  std::vector<LocalAddress> table_ = std::vector<LocalAddress>(2);
  size_t mask_ = 1;
};

struct Snapshot {
  uint64_t id = 0;
  std::vector<Listener> listeners;  // sorted by address: an address's listeners are neighbours
  LocalAddressTable local;
  uint16_t nat_first_port = 0;
  uint16_t nat_last_port = 0;
  SessionTimeouts timeouts;
  SessionLimits limits;
  uint32_t hold_packets = 64;
  std::shared_ptr<const Forwarding> forwarding;

  // The listener that takes (address, port), or nullptr.
  const Listener* FindListener(const LocalAddress& local_address, uint16_t port) const {
    for (const Listener& listener :
         std::span(listeners).subspan(local_address.first_listener, local_address.listener_count)) {
      if (listener.Takes(port)) return &listener;
    }
    return nullptr;
  }
  // The destination-NAT listener whose bridge answers from (address, port), or nullptr.
  const Listener* FindBridgeSource(be32 address, uint16_t port) const;
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

  const std::vector<std::string>& listener_names() const { return listener_numbers_.names(); }
  const std::vector<std::string>& bridge_names() const { return bridge_numbers_.names(); }

 private:
  absl::StatusOr<Listener> BuildListener(const api::MediaListener& media,
                                         const api::Snapshot& message);

  NumberRegistry listener_numbers_;
  NumberRegistry bridge_numbers_;
};

// The raw form of an address in a message; error when it is not an IPv4 host address.
absl::StatusOr<be32> MessageAddress(const std::string& bytes, const std::string& what);

}  // namespace bridgehead
