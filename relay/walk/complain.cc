// ICMP errors of the relay's own: when, to whom, from which address. The packet that is dropped
// becomes the error; both are counted.
#include <type_traits>

#include "relay/walk/icmp.h"
#include "relay/walk/icmp_error.h"
#include "relay/walk/rewrite.h"
#include "relay/walk/walk.h"

namespace bridgehead {
namespace {

Flow& Opposite(Flow& flow) {
  return Session::Of(flow).flow(flow.direction == Direction::kToBridge ? Direction::kToClient
                                                                       : Direction::kToBridge);
}

// RFC 1812 section 4.3.2.4: the address that the sender knows the relay by, or else the interface's
// towards the sender.
template <class Family>
bool OwnAddress(const Packet& packet, const NextHop& back, const Snapshot& snapshot,
                typename Family::Address& address) {
  address = packet.Ip<Family>().destination;
  const LocalAddress* local = snapshot.FindLocal<Family>(address);
  if (local != nullptr && local->ours()) return true;
  const Ipv6Address* own = snapshot.forwarding->AddressOf(back, std::is_same_v<Family, Ipv6>);
  if (own == nullptr) return false;
  address = Family::From(*own);
  return true;
}

}  // namespace

// About a packet as it arrived.
template <class Family>
void Walk::Complain(Packet& packet, Drop drop, Complaint complaint, uint16_t mtu,
                    const Snapshot& snapshot, uint32_t now) {
  packet.End(drop);
  const Adjacency* adjacency = WayOut(Opposite(*packet.flow), snapshot);
  typename Family::Address source;
  if (adjacency == nullptr || !OwnAddress<Family>(packet, adjacency->next_hop, snapshot, source) ||
      !icmp_allowance_.Take(complaint, shard_.IndexOf(*packet.flow), now)) {
    return;
  }
  counters_.drops[DropIndex(drop)].Add(1);
  counters_.icmp_sent.Add(1);
  MakeIcmpError<Family>(packet, complaint, mtu, source);
  WriteEthernet(packet, *adjacency);
}
template void Walk::Complain<Ipv4>(Packet&, Drop, Complaint, uint16_t, const Snapshot&, uint32_t);
template void Walk::Complain<Ipv6>(Packet&, Drop, Complaint, uint16_t, const Snapshot&, uint32_t);

// About a packet that is rewritten already and now has no way out.
void Walk::Unreachable(Packet& packet, const Snapshot& snapshot, uint32_t now) {
  if (packet.drop != Drop::kNoRoute && packet.drop != Drop::kNeighbourFailed) return;
  if (packet.kind != PacketKind::kUdp) return;  // RFC 1812 section 4.3.2.7
  const Complaint complaint =
      packet.drop == Drop::kNoRoute ? Complaint::kNoRoute : Complaint::kHostUnreachable;
  if (packet.ipv6) {
    Unreachable<Ipv6>(packet, complaint, snapshot, now);
  } else {
    Unreachable<Ipv4>(packet, complaint, snapshot, now);
  }
}

// What a router behind the relay would say, put into the sender's terms. The error is written in
// front of the packet, which stays as it is when there is nobody to tell.
template <class Family>
void Walk::Unreachable(Packet& packet, Complaint complaint, const Snapshot& snapshot,
                       uint32_t now) {
  Packet error = packet;
  MakeIcmpError<Family>(error, complaint, 0, packet.Ip<Family>().source);
  error.from_place = false;
  error.place = kNoPlace;
  Classify(error, QuotedAnswer<Family>(error), snapshot);
  if (FindQuoted<Family>(error, shard_, snapshot) != Drop::kNone) return;
  const Adjacency* adjacency = WayOut(*error.flow, snapshot);
  if (adjacency == nullptr || !icmp_allowance_.Take(complaint, shard_.IndexOf(*error.flow), now))
    return;
  if (TranslateIcmp<Family>(error, snapshot) != Drop::kNone) return;
  counters_.drops[DropIndex(packet.drop)].Add(1);
  counters_.icmp_sent.Add(1);
  packet = error;
  WriteEthernet(packet, *adjacency);
}

}  // namespace bridgehead
