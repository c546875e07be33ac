#include "relay/walk/hold.h"

#include "relay/walk/rewrite.h"

namespace bridgehead {

HoldList::HoldList(ResolveQueue& resolve) : resolve_(resolve), nodes_(kPackets) {
  for (size_t i = 0; i < kPackets; ++i) {
    nodes_[i].next = i + 1 < kPackets ? static_cast<uint16_t>(i + 1) : kEnd;
  }
}

HoldList::Waiting* HoldList::FindOrMake(const NextHop& next_hop, uint32_t now) {
  Waiting* empty = nullptr;
  for (Waiting& waiting : waiting_) {
    if (waiting.count > 0 && waiting.next_hop == next_hop) return &waiting;
    if (waiting.count == 0) empty = &waiting;
  }
  if (empty != nullptr) *empty = Waiting{next_hop, now + kWaitSeconds, 0, kEnd, kEnd, 0};
  return empty;
}

void HoldList::Ask(Waiting& waiting, const Snapshot& snapshot, uint32_t now) {
  if (waiting.asked == now) return;  // at most once a second
  waiting.asked = now;
  resolve_.Push({snapshot.forwarding->IfindexOf(waiting.next_hop), waiting.next_hop.address});
}

Drop HoldList::Add(const Packet& packet, const Snapshot& snapshot, uint32_t now) {
  auto hop = snapshot.forwarding->Route(packet.Destination());
  if (!hop) return Drop::kNoRoute;
  Waiting* waiting = FindOrMake(*hop, now);
  if (waiting == nullptr || waiting->count >= snapshot.hold_packets || free_ == kEnd) {
    return Drop::kHoldFull;
  }
  uint16_t index = free_;
  free_ = nodes_[index].next;
  nodes_[index] = {packet, kEnd};
  if (waiting->count++ == 0) {
    waiting->first = index;
  } else {
    nodes_[waiting->last].next = index;
  }
  waiting->last = index;
  ++held_;
  Ask(*waiting, snapshot, now);
  return Drop::kNone;
}

Packet HoldList::Take(Waiting& waiting) {
  uint16_t index = waiting.first;
  waiting.first = nodes_[index].next;
  --waiting.count;
  --held_;
  nodes_[index].next = free_;
  free_ = index;
  return nodes_[index].packet;
}

Drop HoldList::Judge(Waiting& waiting, const Snapshot& snapshot, uint32_t now,
                     Adjacency& adjacency) {
  // The route itself may have changed: the first packet speaks for all.
  auto hop = snapshot.forwarding->Route(nodes_[waiting.first].packet.Destination());
  if (!hop) return Drop::kNoRoute;
  waiting.next_hop = *hop;
  const Adjacency* found = snapshot.forwarding->Get(snapshot.forwarding->Find(*hop));
  // A failure that the kernel remembers from before our question is not an answer to it.
  bool waited = now > waiting.deadline - kWaitSeconds + 1;
  if (found != nullptr && found->state == Adjacency::State::kFailed && waited) {
    return Drop::kNeighbourFailed;
  }
  if (found != nullptr) adjacency = *found;
  if (adjacency.state == Adjacency::State::kResolved) return Drop::kNone;
  if (now >= waiting.deadline) return Drop::kNeighbourFailed;
  Ask(waiting, snapshot, now);
  return Drop::kNone;
}

void HoldList::WriteHeader(Packet& packet, const Adjacency& adjacency) {
  if (packet.ip_length > adjacency.next_hop.mtu) {
    packet.End(Drop::kEgressMtu);
    return;
  }
  WriteEthernet(packet, adjacency);
}

}  // namespace bridgehead
