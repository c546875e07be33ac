// A second reading of frames, which shares nothing with the relay's parser: where the layers are,
// whether checksums hold, and how to make them hold.
#pragma once

#include <optional>
#include <span>

#include "tests/fuzz/fuzz.h"
#include "tests/support/packet_builder.h"

namespace bridgehead::fuzz {

inline uint16_t Get16(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
inline void Put16(std::span<uint8_t> bytes, size_t at, size_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}
inline bool Same(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// An IP packet without options and extension headers.
struct IpPacket {
  bool v6 = false;
  bool fragment = false;
  uint8_t ttl = 0;
  uint8_t protocol = 0;
  size_t length = 0;                   // as its header says
  std::span<const uint8_t> header;     // 20 or 40 bytes
  std::span<const uint8_t> addresses;  // source, destination
  std::span<const uint8_t> l4;         // what is there of the rest

  std::span<const uint8_t> source() const { return addresses.first(addresses.size() / 2); }
  std::span<const uint8_t> destination() const { return addresses.last(addresses.size() / 2); }
  bool udp() const { return protocol == 17; }
  bool icmp() const { return protocol == (v6 ? 58 : 1); }
};

inline std::optional<IpPacket> ReadIp(std::span<const uint8_t> bytes) {
  IpPacket ip;
  if (bytes.empty()) return std::nullopt;
  ip.v6 = bytes[0] >> 4 == 6;
  const size_t header = ip.v6 ? 40 : 20;
  if (bytes.size() < header || (!ip.v6 && bytes[0] != 0x45)) return std::nullopt;
  ip.header = bytes.first(header);
  ip.addresses = ip.v6 ? bytes.subspan(8, 32) : bytes.subspan(12, 8);
  ip.ttl = bytes[ip.v6 ? 7 : 8];
  ip.protocol = bytes[ip.v6 ? 6 : 9];
  ip.length = ip.v6 ? size_t{40} + Get16(bytes, 4) : Get16(bytes, 2);
  ip.fragment = ip.v6 ? ip.protocol == 44 : (Get16(bytes, 6) & 0x3fff) != 0;
  if (ip.length < header) return std::nullopt;
  ip.l4 = bytes.subspan(header, std::min(bytes.size(), ip.length) - header);
  return ip;
}

// From a frame's first byte to its IP header, past one VLAN tag at most.
inline size_t IpOffset(std::span<const uint8_t> frame) {
  return frame.size() >= 18 && Get16(frame, 12) == 0x8100 ? 18 : 14;
}
inline std::optional<IpPacket> ReadFrame(std::span<const uint8_t> frame) {
  const size_t offset = IpOffset(frame);
  if (frame.size() < offset) return std::nullopt;
  return ReadIp(frame.subspan(offset));
}

// What a checksum over `l4` has to make all ones.
inline uint32_t L4Sum(const IpPacket& ip, std::span<const uint8_t> l4) {
  const bool pseudo = ip.v6 || ip.protocol != 1;
  return test::ChecksumAdd(
      l4, pseudo ? test::PseudoHeaderSum(ip.addresses, ip.protocol, l4.size()) : 0);
}
inline bool L4ChecksumHolds(const IpPacket& ip) {
  return L4Sum(ip, ip.l4) == 0xffff;
}
inline bool HeaderChecksumHolds(const IpPacket& ip) {
  return ip.v6 || test::ChecksumAdd(ip.header) == 0xffff;
}

// Makes an IPv4 header's checksum hold; leaves alone what is none.
inline void RepairHeader(std::span<uint8_t> ip) {
  if (ip.size() < 20 || ip[0] >> 4 == 6) return;
  Put16(ip, 10, 0);
  Put16(ip, 10, test::ChecksumFinish(test::ChecksumAdd(ip.first(20))));
}

// Makes the checksums of a UDP packet or ICMP message hold and, with `lengths`, its lengths: so
// that damage elsewhere gets past the first checks. Leaves alone what is no such packet.
inline void Repair(std::span<uint8_t> ip, bool lengths) {
  if (ip.empty()) return;
  const bool v6 = ip[0] >> 4 == 6;
  const size_t header = v6 ? 40 : 20;
  if (ip.size() < header || ip.size() > 65535) return;
  if (lengths) {
    if (v6) {
      Put16(ip, 4, ip.size() - header);
    } else {
      Put16(ip, 2, ip.size());
    }
    if (ip[v6 ? 6 : 9] == 17 && ip.size() >= header + 6) Put16(ip, header + 4, ip.size() - header);
  }
  RepairHeader(ip);
  const auto packet = ReadIp(ip);
  if (!packet || packet->length > ip.size()) return;
  const size_t at = packet->udp() ? 6 : 2;
  if ((!packet->udp() && !packet->icmp()) || packet->l4.size() < at + 2) return;
  const auto l4 = ip.subspan(header, packet->l4.size());
  Put16(l4, at, 0);
  const uint16_t sum = test::ChecksumFinish(L4Sum(*packet, l4));
  Put16(l4, at, packet->udp() && sum == 0 ? 0xffff : sum);
}

}  // namespace bridgehead::fuzz
