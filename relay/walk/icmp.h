// ICMP errors about packets that the relay has sent, on their way to whoever sent those: the outer
// packet, the message and the quoted packet are all put into the receiver's terms.
//
// A quoted packet is one that has left here. Whatever would answer it matches the flow of the other
// direction, and the error goes where that flow's packets go.
#pragma once

#include <type_traits>

#include "relay/session/shard.h"
#include "relay/walk/packet.h"
#include "relay/walk/snapshot.h"

namespace bridgehead {

template <class Family>
IcmpHeader& IcmpOf(const Packet& packet) {
  return *reinterpret_cast<IcmpHeader*>(packet.frame + packet.ip_offset + Family::kHeaderBytes);
}

// After the parser has checked that they are there: the quoted header, and the first eight bytes
// behind it.
template <class Family>
typename Family::Header& QuotedIp(const Packet& packet) {
  return *reinterpret_cast<typename Family::Header*>(&IcmpOf<Family>(packet) + 1);
}
// The fragment header of a quoted IPv6 packet that was cut, or nullptr: IPv4 has it in its own.
template <class Family>
Ipv6FragmentHeader* QuotedFragment(const Packet& packet) {
  if constexpr (std::is_same_v<Family, Ipv6>) {
    auto& ip = QuotedIp<Ipv6>(packet);
    if (ip.next_header == kProtocolFragment) return reinterpret_cast<Ipv6FragmentHeader*>(&ip + 1);
  }
  return nullptr;
}
template <class Family>
UdpHeader& QuotedUdp(const Packet& packet) {
  auto* fragment = QuotedFragment<Family>(packet);
  void* behind = fragment != nullptr ? static_cast<void*>(fragment + 1)
                                     : static_cast<void*>(&QuotedIp<Family>(packet) + 1);
  return *static_cast<UdpHeader*>(behind);
}

// What an answer to the quoted packet would have.
template <class Family>
FlowKey<Family> QuotedAnswer(const Packet& packet) {
  const auto& ip = QuotedIp<Family>(packet);
  const auto& udp = QuotedUdp<Family>(packet);
  return {ip.destination, ip.source, udp.destination, udp.source};
}

// Sets packet.flow to the flow that answers to the quoted packet take. kIcmpNoSession: none.
template <class Family>
Drop FindQuoted(Packet& packet, SessionShard& shard, const Snapshot& snapshot);

// Makes of it what packet.flow's destination is to receive (RFC 5508 section 4, RFC 7915 sections
// 4.2 and 5.2), but for the Ethernet header. kIcmpUntranslatable: the other family has no such
// error.
template <class Family>
Drop TranslateIcmp(Packet& packet, const Snapshot& snapshot);

}  // namespace bridgehead
