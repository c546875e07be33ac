// Stage 2, steer: which worker owns this packet's session?
//
// A reply to a NAT port: the owner of the port's partition. Everything else: a function of the
// client's address and port alone, the Toeplitz hash and redirection table that NICs use, so that a
// NIC which spreads by the same fields already delivers to the owner and this stage only confirms
// it. The client is the source, unless the source is a bridge in destination NAT. Flows that a
// bridge opens belong where the hash of the bridge's own end says: those of one port share a NAT
// port.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "relay/net/toeplitz.h"
#include "relay/session/nat_ports.h"
#include "relay/walk/packet.h"
#include "relay/walk/snapshot.h"

namespace bridgehead {

// Fixed for the life of the relay.
class Steering {
 public:
  static constexpr size_t kTableSize = 128;  // redirection table entries, as most NICs have

  Steering(size_t workers, uint16_t nat_first, uint16_t nat_last)
      : workers_(workers),
        nat_first_(nat_first),
        port_owner_(static_cast<size_t>(nat_last - nat_first) + 1) {
    for (size_t i = 0; i < kTableSize; ++i) table_[i] = static_cast<uint8_t>(i % workers);
    for (size_t w = 0; w < workers; ++w) {
      PortPartition part = PartitionOf(nat_first, nat_last, w, workers);
      std::fill_n(port_owner_.begin() + (part.first - nat_first), part.count,
                  static_cast<uint8_t>(w));
    }
  }

  size_t workers() const { return workers_; }
  // `port` must be one of the NAT ports.
  uint8_t OwnerOfNatPort(uint16_t port) const { return port_owner_[port - nat_first_]; }

  // Of a packet in fragments, by FragmentKey::Hash.
  uint8_t OwnerOfDatagram(size_t hash) const { return static_cast<uint8_t>(hash >> 32) % workers_; }

  uint8_t OwnerOfClient(be32 address, be16 port) const {
    return table_[HashClient(toeplitz_v4_, address, port) % kTableSize];
  }
  uint8_t OwnerOfClient(const Ipv6Address& address, be16 port) const {
    return table_[HashClient(toeplitz_v6_, address, port) % kTableSize];
  }

 private:
  template <class Table, class Address>
  static uint32_t HashClient(const Table& table, const Address& address, be16 port) {
    uint8_t input[sizeof(address) + sizeof(port)];
    memcpy(input, &address, sizeof(address));
    memcpy(input + sizeof(address), &port, sizeof(port));
    return table.Hash(input);
  }

  size_t workers_;
  uint16_t nat_first_;
  std::array<uint8_t, kTableSize> table_{};
  std::vector<uint8_t> port_owner_;
  ToeplitzTable<6> toeplitz_v4_;
  ToeplitzTable<18> toeplitz_v6_;
};

// `key`: the packet's own, or what a packet would have that answers the one that an ICMP error is
// about.
//
// Notes what the look-up needs too: whether that is a reply to a NAT port, and for IPv6 the place
// that it goes to or, in destination NAT, comes from. Returns what is known of the destination.
template <class Family>
inline const LocalAddress* Classify(Packet& packet, const FlowKey<Family>& key,
                                    const Snapshot& snapshot) {
  const LocalAddress* local = snapshot.FindLocal<Family>(key.destination);
  uint16_t port = key.destination_port.ToHost();
  packet.nat_reply = local != nullptr && local->nat_address >= 0 &&
                     port >= snapshot.nat_first_port && port <= snapshot.nat_last_port;
  if (packet.nat_reply) packet.nat_address = static_cast<uint16_t>(local->nat_address);
  if constexpr (std::is_same_v<Family, Ipv6>) {
    if (local != nullptr && local->ours()) {
      packet.place = local->place;
    } else if (const LocalAddress* source = snapshot.FindLocal<Family>(key.source)) {
      packet.place = source->place;
      packet.from_place = true;
    }
  }
  return local;
}

// After Classify, whose result `local` is.
template <class Family>
inline uint8_t OwnerOf(const Packet& packet, const FlowKey<Family>& key, const LocalAddress* local,
                       const Snapshot& snapshot, const Steering& steering) {
  if (packet.nat_reply) return steering.OwnerOfNatPort(key.destination_port.ToHost());
  const bool by_source =
      (local != nullptr && snapshot.FindListener(*local, key.destination_port.ToHost())) ||
      (snapshot.outbound && snapshot.MayOpen(key));
  return by_source ? steering.OwnerOfClient(key.source, key.source_port)
                   : steering.OwnerOfClient(key.destination, key.destination_port);
}

}  // namespace bridgehead
