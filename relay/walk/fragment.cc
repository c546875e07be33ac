#include "relay/walk/fragment.h"

#include <algorithm>

namespace bridgehead {

template <>
Fragment FragmentOf<Ipv4>(const Packet& packet) {
  auto& ip = packet.Ip<Ipv4>();
  const uint16_t field = ip.fragment.ToHost();
  Fragment fragment;
  fragment.key = {Ipv4::Any(ip.source), Ipv4::Any(ip.destination), ip.identification.ToHost()};
  fragment.payload = reinterpret_cast<uint8_t*>(&ip + 1);
  fragment.offset = (field & kIpv4OffsetMask) * 8u;
  fragment.bytes = packet.ip_length - static_cast<uint32_t>(sizeof(Ipv4Header));
  fragment.more = (field & kIpv4MoreFragments) != 0;
  return fragment;
}

template <>
Fragment FragmentOf<Ipv6>(const Packet& packet) {
  auto& ip = packet.Ip<Ipv6>();
  auto& header = *reinterpret_cast<Ipv6FragmentHeader*>(&ip + 1);
  const uint16_t field = header.offset.ToHost();
  Fragment fragment;
  fragment.key = {ip.source, ip.destination, header.identification.ToHost()};
  fragment.payload = reinterpret_cast<uint8_t*>(&header + 1);
  fragment.offset = field & kIpv6OffsetMask;
  fragment.bytes =
      packet.ip_length - static_cast<uint32_t>(sizeof(Ipv6Header) + sizeof(Ipv6FragmentHeader));
  fragment.more = (field & kIpv6MoreFragments) != 0;
  return fragment;
}

FragmentTable::FragmentTable() : datagrams_(kDatagrams), nodes_(kHeld) {}

FragmentTable::Datagram* FragmentTable::Find(const FragmentKey& key, uint32_t now) {
  auto [first, last] = SetOf(key);
  auto found = std::find_if(
      first, last, [&](const Datagram& known) { return known.until > now && known.key == key; });
  return found == last ? nullptr : found;
}

FragmentTable::Datagram& FragmentTable::PlaceFor(const FragmentKey& key, uint32_t now) {
  auto [first, last] = SetOf(key);
  // The one whose time is over, or else the oldest: seconds do not tell those of a flood apart.
  auto age = [&](const Datagram& known) {
    return known.until <= now ? UINT32_MAX : made_ - known.made;
  };
  return *std::max_element(first, last,
                           [&](const Datagram& a, const Datagram& b) { return age(a) < age(b); });
}

Drop FragmentTable::Note(Datagram& datagram, const Fragment& fragment, bool& whole_packet) {
  whole_packet = true;
  auto* const begin = datagram.pieces.data();
  auto* end = begin + datagram.piece_count;
  auto* next = std::find_if(
      begin, end, [&](const Datagram::Piece& piece) { return piece.end >= fragment.offset; });
  // A copy is what networks make; anything else that overlaps is made by hand.
  if (next != end && fragment.offset >= next->begin && fragment.end() <= next->end) {
    whole_packet = false;
    return Drop::kFragmentOverlap;
  }
  const bool joins_before = next != end && next->end == fragment.offset;
  const auto* after = joins_before ? next + 1 : next;
  if (after != end && after->begin < fragment.end()) return Drop::kFragmentOverlap;
  // The first one names the length of the whole in its UDP header, the last one ends it.
  const uint32_t known_end = end == begin ? 0 : end[-1].end;
  uint32_t whole = datagram.end;
  if (fragment.first()) whole = fragment.udp().length.ToHost();
  if (!fragment.more) whole = fragment.end();
  if (datagram.end != 0 && datagram.end != whole) return Drop::kFragmentMalformed;
  if (whole != 0 && std::max(known_end, fragment.end() + fragment.more) > whole) {
    return Drop::kFragmentMalformed;
  }
  datagram.end = whole;
  const bool joins_after = after != end && after->begin == fragment.end();
  if (joins_before && joins_after) {
    next->end = next[1].end;
    std::copy(next + 2, end, next + 1);
    --datagram.piece_count;
  } else if (joins_before) {
    next->end = fragment.end();
  } else if (joins_after) {
    next->begin = fragment.offset;
  } else {
    if (datagram.piece_count == datagram.pieces.size()) return Drop::kFragmentOverflow;
    std::copy_backward(next, end, end + 1);
    *next = {fragment.offset, fragment.end()};
    ++datagram.piece_count;
  }
  return Drop::kNone;
}

void FragmentTable::Link(Datagram& datagram, const Packet& packet) {
  const uint16_t index = next_node_;
  next_node_ = static_cast<uint16_t>((next_node_ + 1u) % kHeld);
  nodes_[index] = {packet, kEnd, static_cast<uint16_t>(&datagram - datagrams_.data()), true};
  if (datagram.held++ == 0) {
    datagram.first_held = index;
  } else {
    nodes_[datagram.last_held].next = index;
  }
  datagram.last_held = index;
  ++held_;
}

Packet FragmentTable::Take(Datagram& datagram) {
  Node& node = nodes_[datagram.first_held];
  datagram.first_held = node.next;
  --datagram.held;
  --held_;
  node.used = false;
  return node.packet;
}

}  // namespace bridgehead
