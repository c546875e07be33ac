#include "relay/walk/admit.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>

#include "relay/net/checksum.h"
#include "relay/net/stun.h"
#include "relay/walk/lookup.h"

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
template <class Family>
bool ChecksumHolds(const Packet& packet) {
  const auto& ip = packet.Ip<Family>();
  const auto& udp = packet.Udp<Family>();
  if (packet.partial_checksum || udp.checksum.Raw() == 0) return true;
  size_t size = udp.length.ToHost();
  uint64_t pseudo = PseudoHeaderSum(ip.source, ip.destination, kProtocolUdp, udp.length.ToHost());
  return FoldChecksum(SumBytes(&udp, size, pseudo)) == 0xffff;
}

template <class Family>
std::span<const uint8_t> PayloadOf(const Packet& packet) {
  return {packet.Payload(), packet.Udp<Family>().length.ToHost() - sizeof(UdpHeader)};
}

// Why a packet that no listener takes is refused.
template <class Family>
Drop NameStranger(const Packet& packet, const Snapshot& snapshot) {
  if (packet.nat_reply) return packet.flow == nullptr ? Drop::kNoSession : Drop::kWrongPeer;
  const FlowKey<Family>& key = packet.Key<Family>();
  const LocalAddress* source = snapshot.FindLocal<Family>(key.source);
  bool from_bridge = source != nullptr && source->bridge &&
                     snapshot.FindBridgeSource(Family::Any(key.source), key.source_port.ToHost());
  return from_bridge ? Drop::kNoSession : Drop::kNotForUs;
}

struct WayOut {
  uint16_t adjacency = kNoAdjacency;
  uint8_t port = kAnyPort;
  bool found = false;
};

WayOut FindWay(const Forwarding& forwarding, const Ipv6Address& destination) {
  auto hop = forwarding.Route(destination);
  if (!hop) return {};
  return {forwarding.Find(*hop), hop->port, true};
}

template <class Family>
const Listener* ListenerOf(const Packet& packet, const Snapshot& snapshot) {
  if (packet.nat_reply) return nullptr;
  const FlowKey<Family>& key = packet.Key<Family>();
  const LocalAddress* local = snapshot.FindLocal<Family>(key.destination);
  return local ? snapshot.FindListener(*local, key.destination_port.ToHost()) : nullptr;
}

// What a session is remembered to belong to: two endpoints of one bridge share a tag by a chance of
// one in four thousand million.
uint32_t TagOf(std::string_view ufrag, const HashKey& key) {
  uint64_t hash = ufrag.size();
  while (!ufrag.empty()) {
    uint64_t word = 0;
    memcpy(&word, ufrag.data(), std::min(ufrag.size(), sizeof(word)));
    hash = HashWords(hash, word, key);
    ufrag.remove_prefix(std::min(ufrag.size(), sizeof(word)));
  }
  return static_cast<uint32_t>(hash >> 32);
}

// Whether the packet came in by the port that its source's route leads out of. A bridge's address
// from anywhere else is forged: access lists and hair-pinning rely on it.
bool ComesFromItsRoute(const Packet& packet, const Ipv6Address& source, const Snapshot& snapshot) {
  WayOut back = FindWay(*snapshot.forwarding, source);
  return back.found && back.port == packet.port;
}

// Creates the session once its ways out are known. packet.flow becomes the flow towards the bridge.
Drop Create(NewSession& wanted, bool sibling, Packet& packet, SessionShard& shard,
            const Snapshot& snapshot, uint32_t now) {
  const Forwarding& forwarding = *snapshot.forwarding;
  WayOut to_bridge = FindWay(forwarding, wanted.bridge.address);
  WayOut to_client = FindWay(forwarding, wanted.client.address);
  if (!to_bridge.found || !to_client.found) return Drop::kNoRoute;
  wanted.route_generation = forwarding.generation();
  wanted.client_adjacency = to_client.adjacency;
  wanted.bridge_adjacency = to_bridge.adjacency;
  wanted.bridge_ingress = to_bridge.port;
  // Strangers may come in by any way; a bridge that is the client here only by its own.
  if (snapshot.IsBridge(wanted.client.address)) wanted.client_ingress = to_client.port;
  return shard.Create(wanted, sibling, now, snapshot.timeouts, snapshot.limits, packet.flow);
}

NewSession Describe(const Listener& listener, const ListenerBridge& bridge, const Endpoint& client,
                    be16 listener_port) {
  NewSession wanted;
  wanted.client = client;
  wanted.listener = {listener.address, listener_port, listener.place};
  wanted.bridge = {bridge.address, be16::FromHost(listener.BridgePort(listener_port.ToHost())),
                   bridge.place};
  wanted.source_nat = listener.source_nat;
  wanted.listener_number = listener.number;
  wanted.bridge_number = bridge.number;
  return wanted;
}

// Rates first: a refused request has cost nothing but its parsing.
template <class Family>
Drop MakeSession(Packet& packet, const Listener& listener, const ListenerBridge& bridge,
                 uint32_t ufrag_tag, bool sibling, SessionShard& shard, const Snapshot& snapshot,
                 uint32_t now) {
  const FlowKey<Family>& key = packet.Key<Family>();
  const Ipv6Address client = Family::Any(key.source);
  Drop drop = shard.admission().Ask(client, key.source_port, listener.number, listener.new_sessions,
                                    snapshot.limits.admission, now);
  if (drop != Drop::kNone) return drop;
  NewSession wanted = Describe(listener, bridge, {client, key.source_port}, key.destination_port);
  wanted.ufrag_tag = ufrag_tag;
  wanted.media = true;
  return Create(wanted, sibling, packet, shard, snapshot, now);
}

// From another bridge to an octo listener. It may be one behind this relay, which then is to be
// seen under its own public address (hairpinning, RFC 4787 requirement 9).
template <class Family>
Drop AdmitOcto(const Listener& listener, Packet& packet, SessionShard& shard,
               const Snapshot& snapshot, uint32_t now) {
  const FlowKey<Family>& key = packet.Key<Family>();
  const Endpoint peer{Family::Any(key.source), key.source_port};
  const Listener* own = snapshot.FindOctoOf(peer.address, key.source_port.ToHost());
  if (!listener.access->Allows(own != nullptr ? own->address : peer.address)) return Drop::kDenied;
  if (!IsOcto(PayloadOf<Family>(packet), *listener.octo)) return Drop::kOctoMalformed;
  if (!ChecksumHolds<Family>(packet)) return Drop::kUdpChecksum;
  NewSession wanted = Describe(listener, listener.bridges[0], peer, key.destination_port);
  wanted.trusted = true;
  if (own != nullptr) {
    const auto port = static_cast<uint16_t>(own->first_port +
                                            (key.source_port.ToHost() - own->bridge_first_port));
    wanted.seen_as = Endpoint{own->address, be16::FromHost(port), own->place};
  }
  return Create(wanted, /*sibling=*/false, packet, shard, snapshot, now);
}

// From a bridge to somewhere outside: octo to a peer that has not sent anything yet.
template <class Family>
Drop AdmitOctoFromBridge(const Listener& listener, Packet& packet, SessionShard& shard,
                         const Snapshot& snapshot, uint32_t now) {
  const FlowKey<Family>& key = packet.Key<Family>();
  const Endpoint peer{Family::Any(key.destination), key.destination_port};
  if (!listener.access->Allows(peer.address)) return Drop::kDenied;
  if (!IsOcto(PayloadOf<Family>(packet), *listener.octo)) return Drop::kOctoMalformed;
  const auto port = static_cast<uint16_t>(listener.first_port +
                                          (key.source_port.ToHost() - listener.bridge_first_port));
  NewSession wanted = Describe(listener, listener.bridges[0], peer, be16::FromHost(port));
  wanted.trusted = true;
  Drop drop = Create(wanted, /*sibling=*/false, packet, shard, snapshot, now);
  if (drop == Drop::kNone) packet.flow = &Session::Of(*packet.flow).to_client;
  return drop;
}

// From a bridge to another bridge's public address, from a port of its own choice ("secure octo":
// ICE and DTLS). The bridge gets a NAT port on an outside address; what comes back to that is its
// own.
template <class Family>
Drop AdmitOutbound(Packet& packet, const ListenerBridge& bridge, SessionShard& shard,
                   const Snapshot& snapshot, uint32_t now) {
  const FlowKey<Family>& key = packet.Key<Family>();
  const Ipv6Address remote = Family::Any(key.destination);
  if (!snapshot.outbound->access.Allows(remote)) return Drop::kDenied;
  NewSession wanted;
  wanted.client = {remote, key.destination_port};
  wanted.bridge = {bridge.address, key.source_port, bridge.place};
  wanted.source_nat = false;
  wanted.outbound = true;
  wanted.trusted = true;
  wanted.listener_number = snapshot.outbound->listener_number;
  wanted.bridge_number = bridge.number;
  Drop drop = Create(wanted, /*sibling=*/false, packet, shard, snapshot, now);
  if (drop == Drop::kNone) packet.flow = &Session::Of(*packet.flow).to_client;
  return drop;
}

// The flow that packets of this client, listener and ufrag have beside the current one, or nullptr.
template <class Family>
Flow* FindSibling(const Packet& packet, uint32_t ufrag_tag, SessionShard& shard,
                  const Snapshot& snapshot) {
  return shard.Find(shard.SiblingHash(packet.hash, ufrag_tag), [&](Flow& flow) {
    return Takes(flow, packet, packet.Key<Family>(), snapshot) &&
           Session::Of(flow).ufrag_tag() == ufrag_tag;
  });
}

template <class Family>
Drop AdmitTo(const Listener& listener, Packet& packet, SessionShard& shard, const PortTraits& port,
             const Snapshot& snapshot, uint32_t now) {
  // Our own address as a source is a forgery, or a loop.
  const LocalAddress* source = snapshot.FindLocal<Family>(packet.Key<Family>().source);
  if (source != nullptr && source->ours()) return Drop::kMartianSource;
  const Ipv6Address client = Family::Any(packet.Key<Family>().source);
  if (source != nullptr && source->bridge && !ComesFromItsRoute(packet, client, snapshot)) {
    return Drop::kWrongIngress;
  }
  // It would end in the rewrite; a session must not come of it before.
  if (Family::HopLimit(packet.Ip<Family>()) <= 1) return Drop::kTtlExpired;
  if (listener.octo) return AdmitOcto<Family>(listener, packet, shard, snapshot, now);
  if (!listener.access->Allows(client)) return Drop::kDenied;
  Drop drop =
      RefuseMedia(PayloadOf<Family>(packet), client, port.charge_requests, shard, snapshot, now);
  if (drop != Drop::kNone) return drop;

  StunBindingRequest request;
  drop = DropOf(ParseStunBindingRequest(PayloadOf<Family>(packet), request));
  if (drop != Drop::kNone) return drop;
  if (!ChecksumHolds<Family>(packet)) return Drop::kUdpChecksum;
  const ListenerBridge* bridge = listener.BridgeOf(request.server_ufrag);
  if (bridge == nullptr) return Drop::kStunUnknownUfrag;
  // A bridge may be another one's client, but not its own; and where it would be seen under its
  // private address, the answers would not come this way.
  if (source != nullptr && (source->place == bridge->place || !listener.source_nat)) {
    return Drop::kMartianSource;
  }

  const uint32_t tag = TagOf(request.server_ufrag, shard.hash_key());
  // One that was left beside a session which has ended.
  if (Flow* sibling = FindSibling<Family>(packet, tag, shard, snapshot)) {
    packet.flow = sibling;
    shard.MakeCurrent(*sibling);
    return Drop::kNone;
  }
  if (bridge->state != BridgeState::kUp) {
    return bridge->state == BridgeState::kDown ? Drop::kBridgeDown : Drop::kBridgeDraining;
  }
  return MakeSession<Family>(packet, listener, *bridge, tag, /*sibling=*/false, shard, snapshot,
                             now);
}

// An ICE restart is part of a call that is there: a bridge that takes no new sessions takes this.
template <class Family>
Drop FollowUfragTo(const Listener& listener, Packet& packet, std::string_view ufrag, uint32_t tag,
                   SessionShard& shard, const Snapshot& snapshot, uint32_t now) {
  if (Family::HopLimit(packet.Ip<Family>()) <= 1) return Drop::kTtlExpired;
  if (!ChecksumHolds<Family>(packet)) return Drop::kUdpChecksum;
  const ListenerBridge* bridge = listener.BridgeOf(ufrag);
  if (bridge == nullptr) return Drop::kStunUnknownUfrag;
  Session& session = Session::Of(*packet.flow);
  if (!listener.source_nat && session.bridge_address(snapshot.places) == bridge->address) {
    // The bridge sees the client's own address, which there can be no second one of.
    session.set_ufrag_tag(tag);
    return Drop::kNone;
  }
  return MakeSession<Family>(packet, listener, *bridge, tag, /*sibling=*/true, shard, snapshot,
                             now);
}

// What a bridge may begin by itself. kNotForUs: this is nothing of the kind.
template <class Family>
Drop AdmitFromBridge(Packet& packet, SessionShard& shard, const Snapshot& snapshot, uint32_t now) {
  const FlowKey<Family>& key = packet.Key<Family>();
  const LocalAddress* source = snapshot.FindLocal<Family>(key.source);
  const LocalAddress* destination = snapshot.FindLocal<Family>(key.destination);
  if (source == nullptr || !source->bridge) return Drop::kNotForUs;
  if (destination != nullptr && destination->ours()) return Drop::kNotForUs;
  const Ipv6Address bridge = Family::Any(key.source);
  const Listener* octo = snapshot.FindOctoOf(bridge, key.source_port.ToHost());
  const bool may_open = octo == nullptr && snapshot.outbound && snapshot.MayOpen(key);
  const ListenerBridge* outbound = may_open ? snapshot.outbound->BridgeAt(bridge) : nullptr;
  if (octo == nullptr && outbound == nullptr) return Drop::kNotForUs;
  if (!IsHostAddress(key.destination)) return Drop::kNotForUs;
  if (Family::HopLimit(packet.Ip<Family>()) <= 1) return Drop::kTtlExpired;
  if (!ComesFromItsRoute(packet, bridge, snapshot)) return Drop::kWrongIngress;
  if (!ChecksumHolds<Family>(packet)) return Drop::kUdpChecksum;
  return octo != nullptr ? AdmitOctoFromBridge<Family>(*octo, packet, shard, snapshot, now)
                         : AdmitOutbound<Family>(packet, *outbound, shard, snapshot, now);
}

template <class Family>
void SampleRefusal(const Packet& packet, uint16_t listener, Drop drop, SessionShard& shard,
                   uint32_t now) {
  if (!shard.refusals().Takes(drop, now)) return;
  const FlowKey<Family>& key = packet.Key<Family>();
  shard.refusals().Push({Family::Any(key.source), Family::Any(key.destination), key.source_port,
                         key.destination_port, listener, drop});
}

}  // namespace

Drop RefuseMedia(std::span<const uint8_t> payload, const Ipv6Address& source, bool charge,
                 SessionShard& shard, const Snapshot& snapshot, uint32_t now) {
  if (payload.empty()) return Drop::kNone;  // left to who asks for more
  if (!bh_may_be_media(payload[0])) return Drop::kNotMedia;
  if (!charge || !LooksLikeStunRequest(payload)) return Drop::kNone;
  return shard.admission().MayRequest(source, snapshot.limits.admission, now) ? Drop::kNone
                                                                              : Drop::kStunRate;
}

template <class Family>
Drop Admit(Packet& packet, SessionShard& shard, const PortTraits& port, const Snapshot& snapshot,
           uint32_t now) {
  const Listener* listener = ListenerOf<Family>(packet, snapshot);
  if (listener == nullptr || listener->retired) {
    Drop drop = AdmitFromBridge<Family>(packet, shard, snapshot, now);
    if (drop == Drop::kNotForUs) return NameStranger<Family>(packet, snapshot);
    if (drop != Drop::kNone) SampleRefusal<Family>(packet, kNoListener, drop, shard, now);
    return drop;
  }
  Drop drop = AdmitTo<Family>(*listener, packet, shard, port, snapshot, now);
  if (drop != Drop::kNone) {
    shard.CountRefused(listener->number, drop);
    SampleRefusal<Family>(packet, listener->number, drop, shard, now);
  }
  return drop;
}
template Drop Admit<Ipv4>(Packet&, SessionShard&, const PortTraits&, const Snapshot&, uint32_t);
template Drop Admit<Ipv6>(Packet&, SessionShard&, const PortTraits&, const Snapshot&, uint32_t);

template <class Family>
Drop FollowClient(Packet& packet, SessionShard& shard, const PortTraits& port,
                  const Snapshot& snapshot, uint32_t now) {
  if ((packet.flow->state & kMedia) == 0) return Drop::kNone;
  // Whoever is confirmed is where he says: a forger who sends requests under his address must not
  // use up what he needs to stay.
  const bool charge = port.charge_requests && (packet.flow->state & kConfirmed) == 0;
  Drop drop = RefuseMedia(PayloadOf<Family>(packet), Family::Any(packet.Key<Family>().source),
                          charge, shard, snapshot, now);
  if (drop != Drop::kNone || !LooksLikeStunRequest(PayloadOf<Family>(packet))) return drop;
  const Listener* listener = ListenerOf<Family>(packet, snapshot);
  if (listener != nullptr && !listener->access->Allows(Family::Any(packet.Key<Family>().source))) {
    return Drop::kDenied;
  }
  StunBindingRequest request;
  if (ParseStunBindingRequest(PayloadOf<Family>(packet), request) != StunResult::kBindingRequest) {
    return Drop::kNone;
  }
  const uint32_t tag = TagOf(request.server_ufrag, shard.hash_key());
  if (tag == Session::Of(*packet.flow).ufrag_tag()) return Drop::kNone;
  if (Flow* sibling = FindSibling<Family>(packet, tag, shard, snapshot)) {
    packet.flow = sibling;
    return Drop::kNone;
  }
  if (listener == nullptr || listener->retired || listener->octo) return Drop::kNone;
  drop = FollowUfragTo<Family>(*listener, packet, request.server_ufrag, tag, shard, snapshot, now);
  if (drop != Drop::kNone) {
    shard.CountRefused(listener->number, drop);
    SampleRefusal<Family>(packet, listener->number, drop, shard, now);
  }
  return drop;
}
template Drop FollowClient<Ipv4>(Packet&, SessionShard&, const PortTraits&, const Snapshot&,
                                 uint32_t);
template Drop FollowClient<Ipv6>(Packet&, SessionShard&, const PortTraits&, const Snapshot&,
                                 uint32_t);

}  // namespace bridgehead
