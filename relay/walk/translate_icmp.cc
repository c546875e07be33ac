#include <algorithm>
#include <cstring>
#include <optional>

#include "relay/net/checksum.h"
#include "relay/walk/icmp.h"
#include "relay/walk/icmp_build.h"
#include "relay/walk/lookup.h"
#include "relay/walk/rewrite.h"

namespace bridgehead {
namespace {

constexpr uint32_t kGrowth = sizeof(Ipv6Header) - sizeof(Ipv4Header);

// What an error says, apart from what it quotes.
struct Message {
  uint8_t type;
  uint8_t code;
  uint32_t rest;  // host order
  // Bytes of the quoted packet before extensions begin (RFC 4884 section 4); 0: all of it.
  size_t quoted_bytes = 0;
};

// The greatest MTU of the table in RFC 1191 section 7.1 that is under `bytes`: routers from before
// that RFC name none.
uint32_t MtuBelow(uint32_t bytes) {
  for (uint32_t mtu : {32000u, 17914u, 8166u, 4352u, 2002u, 1492u, 1006u, 508u, 296u}) {
    if (mtu < bytes) return mtu;
  }
  return 68;
}

// RFC 7915 section 4.2, figure 3.
std::optional<uint32_t> PointerToIpv6(uint32_t pointer) {
  if (pointer <= 1) return pointer;
  if (pointer <= 3) return 4;
  if (pointer == 8) return 7;
  if (pointer == 9) return 6;
  if (pointer >= 12 && pointer <= 15) return 8;
  if (pointer >= 16 && pointer <= 19) return 24;
  return std::nullopt;
}

// RFC 7915 section 5.2, figure 6.
std::optional<uint32_t> PointerToIpv4(uint32_t pointer) {
  if (pointer <= 1) return pointer;
  if (pointer == 4 || pointer == 5) return 2;
  if (pointer == 6) return 9;
  if (pointer == 7) return 8;
  if (pointer >= 8 && pointer <= 23) return 12;
  if (pointer >= 24 && pointer <= 39) return 16;
  return std::nullopt;
}

std::optional<Message> UnreachableToIpv6(const Message& from, uint16_t quoted_length) {
  switch (from.code) {
    case kIcmpCodeProtocolUnreachable:  // the next header field of the quoted packet
      return Message{kIcmpv6ParameterProblem, 1, 6};
    case kIcmpCodePortUnreachable:
      return Message{kIcmpv6Unreachable, 4, 0};
    case kIcmpCodeFragmentationNeeded: {
      uint32_t mtu = from.rest & 0xffff;
      if (mtu == 0) mtu = MtuBelow(quoted_length);
      return Message{kIcmpv6PacketTooBig, 0, std::max<uint32_t>(mtu + kGrowth, kSmallestMtuOfIpv6)};
    }
    case 9:   // network administratively prohibited
    case 10:  // host
    case 13:  // communication
    case 15:  // precedence cutoff
      return Message{kIcmpv6Unreachable, 1, 0};
    case 14:  // host precedence violation
      return std::nullopt;
    default:
      if (from.code > 15) return std::nullopt;
      return Message{kIcmpv6Unreachable, 0, 0};
  }
}

// RFC 7915 section 4.2. `quoted_length`: the total length of the quoted packet.
std::optional<Message> ToIpv6(const Message& from, uint16_t quoted_length) {
  switch (from.type) {
    case kIcmpUnreachable:
      return UnreachableToIpv6(from, quoted_length);
    case kIcmpTimeExceeded:
      return Message{kIcmpv6TimeExceeded, from.code, 0};
    case kIcmpParameterProblem: {
      auto pointer = PointerToIpv6(from.rest >> 24);
      if ((from.code != 0 && from.code != 2) || !pointer) return std::nullopt;
      return Message{kIcmpv6ParameterProblem, 0, *pointer};
    }
    default:
      return std::nullopt;
  }
}

// RFC 7915 section 5.2.
std::optional<Message> ToIpv4(const Message& from) {
  switch (from.type) {
    case kIcmpv6Unreachable:
      if (from.code > 4) return std::nullopt;
      if (from.code == 1) return Message{kIcmpUnreachable, 10, 0};
      if (from.code == 4) return Message{kIcmpUnreachable, kIcmpCodePortUnreachable, 0};
      return Message{kIcmpUnreachable, 1, 0};
    case kIcmpv6PacketTooBig:
      return Message{kIcmpUnreachable, kIcmpCodeFragmentationNeeded,
                     std::clamp<uint32_t>(from.rest, kGrowth, UINT16_MAX) - kGrowth};
    case kIcmpv6TimeExceeded:
      return Message{kIcmpTimeExceeded, from.code, 0};
    default: {
      if (from.code == 1) return Message{kIcmpUnreachable, kIcmpCodeProtocolUnreachable, 0};
      auto pointer = PointerToIpv4(from.rest);
      if (from.code != 0 || !pointer) return std::nullopt;
      return Message{kIcmpParameterProblem, 0, *pointer << 24};
    }
  }
}

// The packet that the quoted one was when it came in.
template <class Family>
FlowKey<Family> Original(const Flow& sent, const Snapshot& snapshot) {
  if constexpr (std::is_same_v<Family, Ipv4>) {
    if (sent.families == Families::k4To4) return sent.v4.match;
  }
  const Endpoints& ends = sent.endpoints;
  if (sent.direction == Direction::kToBridge) {
    return {Family::From(ends.client), Family::From(snapshot.AddressAt(ends.listener)),
            ends.client_port, ends.listener_port};
  }
  const Ipv6Address& nat = ends.nat == kNoPlace ? ends.client : snapshot.AddressAt(ends.nat);
  return {Family::From(snapshot.AddressAt(ends.bridge)), Family::From(nat), ends.bridge_port,
          ends.nat_port};
}

// The quoted header in the other family (RFC 7915 sections 4.3 and 5.3): its fields, not yet its
// addresses.
template <class Out, class In>
typename Out::Header QuotedHeader(const typename In::Header& from) {
  if constexpr (std::is_same_v<In, Out>) {
    return from;
  } else if constexpr (std::is_same_v<Out, Ipv6>) {
    Ipv6Header to{};
    to.version_class_flow = be32::FromHost(6u << 28 | uint32_t{from.tos} << 20);
    uint16_t length = from.total_length.ToHost();
    to.payload_length = be16::FromHost(
        static_cast<uint16_t>(length - std::min<size_t>(length, sizeof(Ipv4Header))));
    to.next_header = kProtocolUdp;
    to.hop_limit = from.ttl;
    return to;
  } else {
    Ipv4Header to{};
    to.version_ihl = 0x45;
    to.tos = static_cast<uint8_t>(from.version_class_flow.ToHost() >> 20);
    to.total_length =
        be16::FromHost(static_cast<uint16_t>(from.payload_length.ToHost() + sizeof(Ipv4Header)));
    to.fragment = be16::FromHost(kIpv4DontFragment);
    to.ttl = from.hop_limit;
    to.protocol = kProtocolUdp;
    return to;
  }
}

// The first fragment of an IPv6 packet in IPv4's words (RFC 7915 section 5.1.1).
void MakeFragment(Ipv4Header& ip, const Ipv6FragmentHeader& fragment) {
  const bool more = (fragment.offset.ToHost() & kIpv6MoreFragments) != 0;
  ip.total_length =
      be16::FromHost(static_cast<uint16_t>(ip.total_length.ToHost() - sizeof(fragment)));
  ip.identification =
      be16::FromHost(static_cast<uint16_t>(fragment.identification.ToHost() & 0xffff));
  ip.fragment = be16::FromHost(more ? kIpv4MoreFragments : uint16_t{0});
}

void SetAddresses(Ipv4Header& ip, be32 source, be32 destination) {
  ip.checksum = be16::FromRaw(ApplyDelta(
      ip.checksum.Raw(), ChecksumDelta(SumAddress(ip.source) + SumAddress(ip.destination),
                                       SumAddress(source) + SumAddress(destination))));
  ip.source = source;
  ip.destination = destination;
}
void SetAddresses(Ipv6Header& ip, const Ipv6Address& source, const Ipv6Address& destination) {
  ip.source = source;
  ip.destination = destination;
}

template <class In>
Message Read(const Packet& packet) {
  const IcmpHeader& icmp = IcmpOf<In>(packet);
  Message message{icmp.type, icmp.code, icmp.rest.ToHost()};
  if constexpr (std::is_same_v<In, Ipv4>) {
    message.quoted_bytes = (message.rest >> 16 & 0xff) * 4;
  } else if (icmp.type == kIcmpv6Unreachable || icmp.type == kIcmpv6TimeExceeded) {
    message.quoted_bytes = (message.rest >> 24) * 8;
  }
  return message;
}

// Writes everything in front of the quoted UDP header anew, which stays where it is.
template <class In, class Out>
void Rebuild(Packet& packet, const Message& message, const Snapshot& snapshot) {
  const Flow& answers = *packet.flow;
  const Flow& sent = Session::Of(*packet.flow)
                         .flow(answers.direction == Direction::kToBridge ? Direction::kToClient
                                                                         : Direction::kToBridge);
  const typename In::Header outer = packet.Ip<In>();
  const FlowKey<Out> original = Original<Out>(sent, snapshot);
  const Ipv6FragmentHeader* fragment = QuotedFragment<In>(packet);
  typename Out::Header quoted = QuotedHeader<Out, In>(QuotedIp<In>(packet));
  if constexpr (std::is_same_v<In, Ipv6> && std::is_same_v<Out, Ipv4>) {
    if (fragment != nullptr) MakeFragment(quoted, *fragment);
  }
  SetAddresses(quoted, original.source, original.destination);
  if constexpr (std::is_same_v<Out, Ipv4> && std::is_same_v<In, Ipv6>) SealIp(quoted);

  UdpHeader& udp = QuotedUdp<In>(packet);
  udp.source = original.source_port;
  udp.destination = original.destination_port;
  // What the rewrite has added is taken away again.
  udp.checksum = be16::FromRaw(
      ApplyUdpDelta(udp.checksum.Raw(), static_cast<uint16_t>(~sent.transport_delta)));

  auto* tail = reinterpret_cast<uint8_t*>(&udp);
  if (fragment != nullptr && std::is_same_v<In, Out>) tail -= sizeof(*fragment);
  const auto* start = reinterpret_cast<const uint8_t*>(&QuotedIp<In>(packet));
  const uint8_t* end = packet.frame + packet.ip_offset + packet.ip_length;
  constexpr size_t kHeaders = 2 * Out::kHeaderBytes + sizeof(IcmpHeader);
  auto tail_bytes = static_cast<size_t>(end - tail);
  if constexpr (!std::is_same_v<In, Out>) {
    tail_bytes = std::min(tail_bytes, kMostIcmpBytes<Out> - kHeaders);
    const auto before_tail = static_cast<size_t>(tail - start);
    if (message.quoted_bytes > before_tail + sizeof(UdpHeader)) {
      tail_bytes = std::min(tail_bytes, message.quoted_bytes - before_tail);
    }
  }

  uint8_t* at = tail - Out::kHeaderBytes;
  memcpy(at, &quoted, sizeof(quoted));
  at -= sizeof(IcmpHeader);
  auto& icmp = *reinterpret_cast<IcmpHeader*>(at);
  icmp = IcmpHeader{message.type, message.code, be16(), be32::FromHost(message.rest)};
  at -= Out::kHeaderBytes;
  auto& ip = *reinterpret_cast<typename Out::Header*>(at);
  const size_t icmp_bytes = sizeof(IcmpHeader) + Out::kHeaderBytes + tail_bytes;
  typename In::Header before = outer;
  FillIcmpOuter(ip, static_cast<uint8_t>(In::HopLimit(before) - 1), TrafficClass(outer),
                icmp_bytes);
  // RFC 5508 requirements 4 and 5: towards the bridge the router that complains shows itself, but
  // not from another family, nor a bridge its private address to another one; towards the client
  // everything comes from the listener.
  ip.destination = original.source;
  ip.source = original.destination;
  if constexpr (std::is_same_v<In, Out>) {
    const bool inside = snapshot.IsBridge(In::Any(outer.source));
    if (answers.direction == Direction::kToBridge && !inside) ip.source = outer.source;
  }
  SealIcmp<Out>(ip, icmp, icmp_bytes);
  if constexpr (std::is_same_v<Out, Ipv4>) SealIp(ip);

  packet.ip_offset = sizeof(EthernetHeader);
  packet.frame = at - packet.ip_offset;
  packet.ip_length = static_cast<uint16_t>(Out::kHeaderBytes + icmp_bytes);
  packet.length = packet.ip_offset + packet.ip_length;
  packet.ipv6 = std::is_same_v<Out, Ipv6>;
}

}  // namespace

template <class Family>
Drop FindQuoted(Packet& packet, SessionShard& shard, const Snapshot& snapshot) {
  packet.flow = FindFlow(packet, QuotedAnswer<Family>(packet), shard, snapshot);
  return packet.flow == nullptr ? Drop::kIcmpNoSession : Drop::kNone;
}
template Drop FindQuoted<Ipv4>(Packet&, SessionShard&, const Snapshot&);
template Drop FindQuoted<Ipv6>(Packet&, SessionShard&, const Snapshot&);

template <>
Drop TranslateIcmp<Ipv4>(Packet& packet, const Snapshot& snapshot) {
  const Message message = Read<Ipv4>(packet);
  if (!LeavesAsIpv6<Ipv4>(*packet.flow)) {
    Rebuild<Ipv4, Ipv4>(packet, message, snapshot);
    return Drop::kNone;
  }
  auto translated = ToIpv6(message, QuotedIp<Ipv4>(packet).total_length.ToHost());
  if (!translated) return Drop::kIcmpUntranslatable;
  translated->quoted_bytes = message.quoted_bytes;
  Rebuild<Ipv4, Ipv6>(packet, *translated, snapshot);
  return Drop::kNone;
}

template <>
Drop TranslateIcmp<Ipv6>(Packet& packet, const Snapshot& snapshot) {
  const Message message = Read<Ipv6>(packet);
  if (LeavesAsIpv6<Ipv6>(*packet.flow)) {
    Rebuild<Ipv6, Ipv6>(packet, message, snapshot);
    return Drop::kNone;
  }
  auto translated = ToIpv4(message);
  if (!translated) return Drop::kIcmpUntranslatable;
  translated->quoted_bytes = message.quoted_bytes;
  Rebuild<Ipv6, Ipv4>(packet, *translated, snapshot);
  return Drop::kNone;
}

}  // namespace bridgehead
