#include "relay/walk/admit.h"

#include "relay/net/checksum.h"
#include "relay/net/stun.h"

namespace bridgehead {
namespace {

Drop DropOf(StunResult result) {
  switch (result) {
    case StunResult::kBindingRequest:
      return Drop::kNone;
    case StunResult::kNotStun:
      return Drop::kNotStun;
    case StunResult::kMalformed:
      return Drop::kStunMalformed;
    case StunResult::kNotBindingRequest:
      return Drop::kStunNotBindingRequest;
    case StunResult::kNoUsername:
      return Drop::kStunNoUsername;
    case StunResult::kBadFingerprint:
      return Drop::kStunFingerprint;
  }
  return Drop::kNotStun;
}

// A request that makes a session must be whole, also where established packets are not summed.
bool ChecksumHolds(const Packet& packet) {
  const auto& ip = packet.Ip<Ipv4>();
  const auto& udp = packet.Udp<Ipv4>();
  if (packet.partial_checksum || udp.checksum.Raw() == 0) return true;
  size_t size = udp.length.ToHost();
  uint64_t pseudo =
      PseudoHeaderSum(ip.source.Raw(), ip.destination.Raw(), kProtocolUdp, udp.length.ToHost());
  return FoldChecksum(SumBytes(&udp, size, pseudo)) == 0xffff;
}

// Why a packet that no listener takes is refused.
Drop NameStranger(const Packet& packet, const Snapshot& snapshot) {
  if (packet.nat_reply) return packet.flow == nullptr ? Drop::kNoSession : Drop::kWrongPeer;
  const FlowKey<Ipv4>& key = packet.Key();
  bool from_bridge = snapshot.FindBridgeSource(key.source, key.source_port.ToHost()) != nullptr;
  return from_bridge ? Drop::kNoSession : Drop::kNotForUs;
}

struct WayOut {
  uint16_t adjacency = kNoAdjacency;
  uint8_t port = kAnyPort;
  bool found = false;
};

WayOut FindWay(const Forwarding& forwarding, be32 destination) {
  auto hop = forwarding.Route(destination);
  if (!hop) return {};
  return {forwarding.Find(*hop), hop->port, true};
}

}  // namespace

Drop Admit(Packet& packet, SessionShard& shard, const Snapshot& snapshot, uint32_t now) {
  const FlowKey<Ipv4>& key = packet.Key();
  const LocalAddress* local = packet.nat_reply ? nullptr : snapshot.local.Find(key.destination);
  const Listener* listener =
      local ? snapshot.FindListener(*local, key.destination_port.ToHost()) : nullptr;
  if (listener == nullptr || listener->retired) return NameStranger(packet, snapshot);
  // Our own address as a source is a forgery, or a loop.
  if (snapshot.local.Find(key.source) != nullptr || key.source == listener->bridge_address) {
    return Drop::kMartianSource;
  }

  // It would end in the rewrite; a session must not come of it before.
  if (packet.Ip<Ipv4>().ttl <= 1) return Drop::kTtlExpired;

  const auto& udp = packet.Udp<Ipv4>();
  const auto* payload = reinterpret_cast<const uint8_t*>(&udp) + sizeof(UdpHeader);
  StunBindingRequest request;
  Drop drop = DropOf(ParseStunBindingRequest(
      {payload, static_cast<size_t>(udp.length.ToHost() - sizeof(UdpHeader))}, request));
  if (drop != Drop::kNone) return drop;
  if (!ChecksumHolds(packet)) return Drop::kUdpChecksum;

  const Forwarding& forwarding = *snapshot.forwarding;
  WayOut to_bridge = FindWay(forwarding, listener->bridge_address);
  WayOut to_client = FindWay(forwarding, key.source);
  if (!to_bridge.found || !to_client.found) return Drop::kNoRoute;

  NewSession wanted;
  wanted.client = key;
  wanted.bridge = listener->bridge_address;
  wanted.bridge_port = listener->BridgePort(key.destination_port.ToHost());
  wanted.source_nat = listener->source_nat;
  wanted.listener = listener->number;
  wanted.bridge_number = listener->bridge_number;
  wanted.route_generation = forwarding.generation();
  wanted.client_adjacency = to_client.adjacency;
  wanted.bridge_adjacency = to_bridge.adjacency;
  wanted.bridge_ingress = to_bridge.port;
  return shard.Create(wanted, now, snapshot.timeouts, snapshot.limits, packet.flow);
}

}  // namespace bridgehead
