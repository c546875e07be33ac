#include "relay/walk/split.h"

#include <cstring>
#include <type_traits>

#include "relay/net/headers.h"
#include "relay/walk/icmp_build.h"

namespace bridgehead {
namespace {

// IPv4 keeps in its header what IPv6 puts behind it.
template <class Family>
constexpr size_t kPieceHeader = std::is_same_v<Family, Ipv4>
                                    ? sizeof(Ipv4Header)
                                    : sizeof(Ipv6Header) + sizeof(Ipv6FragmentHeader);

bool IsFragment(const Ipv6Header& ip) {
  return ip.next_header == kProtocolFragment;
}

// Makes sure that there is a fragment header to change in each piece.
void Prepare(Packet&, Ipv4, uint32_t) {}
void Prepare(Packet& packet, Ipv6, uint32_t id) {
  const Ipv6Header before = packet.Ip<Ipv6>();
  if (IsFragment(before)) return;
  packet.frame -= sizeof(Ipv6FragmentHeader);
  packet.ip_length = static_cast<uint16_t>(packet.ip_length + sizeof(Ipv6FragmentHeader));
  auto& ip = packet.Ip<Ipv6>();
  ip = before;
  ip.next_header = kProtocolFragment;
  *reinterpret_cast<Ipv6FragmentHeader*>(&ip + 1) = {before.next_header, 0, be16(),
                                                     be32::FromHost(id)};
}

struct Position {
  size_t offset;  // in the whole packet
  bool more;
};

Position PositionOf(const Ipv4Header& ip) {
  const uint16_t field = ip.fragment.ToHost();
  return {(field & kIpv4OffsetMask) * size_t{8}, (field & kIpv4MoreFragments) != 0};
}
Position PositionOf(const Ipv6Header& ip) {
  const uint16_t field = reinterpret_cast<const Ipv6FragmentHeader*>(&ip + 1)->offset.ToHost();
  return {field & size_t{kIpv6OffsetMask}, (field & kIpv6MoreFragments) != 0};
}

void SetPosition(Ipv4Header& ip, const Position& place, size_t bytes) {
  ip.total_length = be16::FromHost(static_cast<uint16_t>(sizeof(ip) + bytes));
  ip.fragment = be16::FromHost(
      static_cast<uint16_t>(place.offset / 8 | (place.more ? kIpv4MoreFragments : 0)));
  SealIp(ip);
}
void SetPosition(Ipv6Header& ip, const Position& place, size_t bytes) {
  ip.payload_length = be16::FromHost(static_cast<uint16_t>(sizeof(Ipv6FragmentHeader) + bytes));
  reinterpret_cast<Ipv6FragmentHeader*>(&ip + 1)->offset =
      be16::FromHost(static_cast<uint16_t>(place.offset | (place.more ? kIpv6MoreFragments : 0)));
}

template <class Family>
void Finish(Packet& packet, const Position& place, size_t bytes) {
  packet.ip_length = static_cast<uint16_t>(kPieceHeader<Family> + bytes);
  packet.length = packet.ip_offset + packet.ip_length;
  SetPosition(packet.Ip<Family>(), place, bytes);
}

}  // namespace

template <class Family>
Drop Split(Packet& packet, uint16_t mtu, uint32_t id, BufferSource& buffers,
           std::vector<Packet>& pieces) {
  constexpr size_t kHeader = kPieceHeader<Family>;
  if (mtu < kHeader + 8) return Drop::kEgressMtu;
  const size_t step = (mtu - kHeader) / 8 * 8;
  size_t payload = packet.ip_length - kHeader;
  if constexpr (std::is_same_v<Family, Ipv6>) {
    if (!IsFragment(packet.Ip<Ipv6>())) payload += sizeof(Ipv6FragmentHeader);
  }
  const size_t count = (payload + step - 1) / step;
  if (count > kMostPieces) return Drop::kEgressMtu;
  const size_t before = pieces.size();
  for (size_t i = 1; i < count; ++i) {
    Packet piece = packet;
    piece.ip_offset = sizeof(EthernetHeader);
    const size_t bytes = std::min(step, payload - i * step);
    if (!buffers.Take(piece, piece.ip_offset + kHeader + bytes)) {
      for (; pieces.size() > before; pieces.pop_back()) buffers.GiveBack(pieces.back());
      return Drop::kNoBuffer;
    }
    pieces.push_back(piece);
  }
  Prepare(packet, Family(), id);
  const uint8_t* ip = packet.frame + packet.ip_offset;
  const Position whole = PositionOf(packet.Ip<Family>());
  for (size_t i = 1; i < count; ++i) {
    Packet& piece = pieces[before + i - 1];
    const size_t bytes = std::min(step, payload - i * step);
    uint8_t* to = piece.frame + piece.ip_offset;
    memcpy(to, ip, kHeader);
    memcpy(to + kHeader, ip + kHeader + i * step, bytes);
    Finish<Family>(piece, {whole.offset + i * step, whole.more || i + 1 < count}, bytes);
  }
  const size_t first = std::min(step, payload);
  Finish<Family>(packet, {whole.offset, whole.more || count > 1}, first);
  return Drop::kNone;
}
template Drop Split<Ipv4>(Packet&, uint16_t, uint32_t, BufferSource&, std::vector<Packet>&);
template Drop Split<Ipv6>(Packet&, uint16_t, uint32_t, BufferSource&, std::vector<Packet>&);

}  // namespace bridgehead
