#include "bench/rig/frame.h"

#include <cstring>
#include <string_view>

namespace bridgehead::rig {
namespace {

constexpr uint16_t kEtherTypeIpv4 = 0x0800;
constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
constexpr uint16_t kStunRequest = 0x0001;
constexpr uint16_t kStunSuccess = 0x0101;
constexpr uint32_t kStunCookie = 0x2112A442;
constexpr uint16_t kStunUsername = 0x0006;
constexpr size_t kStunHeaderBytes = 20;
constexpr size_t kRtpHeaderBytes = 12;
constexpr uint32_t kTagMagic = 0x62687267;  // "bhrg", before every tag

void Put16(uint8_t* at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
void Put32(uint8_t* at, uint32_t value) {
  Put16(at, static_cast<uint16_t>(value >> 16));
  Put16(at + 2, static_cast<uint16_t>(value));
}
uint16_t Get16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}
uint32_t Get32(const uint8_t* at) {
  return static_cast<uint32_t>(Get16(at)) << 16 | Get16(at + 2);
}

// RFC 1071, not folded.
uint32_t Sum(const uint8_t* data, size_t size, uint32_t sum = 0) {
  for (; size > 1; data += 2, size -= 2) sum += Get16(data);
  if (size == 1) sum += static_cast<uint32_t>(*data) << 8;
  return sum;
}
uint16_t Fold(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}
// Of the addresses at `addresses`, the protocol and the length (RFC 768, RFC 8200 section 8.1).
uint32_t PseudoHeaderSum(const uint8_t* addresses, size_t size, uint16_t udp_length) {
  return Sum(addresses, size, 17U + udp_length);
}

void PutIpv6Address(uint8_t* at, uint32_t address) {
  std::memcpy(at, kIpv6Prefix.data(), kIpv6Prefix.size());
  Put32(at + kIpv6Prefix.size(), address);
}

// The IP header of `flow` for a datagram of `udp_length`. Returns the pseudo header's sum.
uint32_t PutIpv4(const Flow& flow, uint16_t udp_length, uint8_t* ip) {
  std::memset(ip, 0, 20);
  ip[0] = 0x45;
  Put16(ip + 2, static_cast<uint16_t>(20 + udp_length));
  Put16(ip + 6, 0x4000);  // don't fragment
  ip[8] = 64;
  ip[9] = 17;
  Put32(ip + 12, flow.from.address);
  Put32(ip + 16, flow.to.address);
  Put16(ip + 10, static_cast<uint16_t>(~Fold(Sum(ip, 20))));
  return PseudoHeaderSum(ip + 12, 8, udp_length);
}

uint32_t PutIpv6(const Flow& flow, uint16_t udp_length, uint8_t* ip) {
  std::memset(ip, 0, 8);
  ip[0] = 0x60;
  Put16(ip + 4, udp_length);
  ip[6] = 17;
  ip[7] = 64;
  PutIpv6Address(ip + 8, flow.from.address);
  PutIpv6Address(ip + 24, flow.to.address);
  return PseudoHeaderSum(ip + 8, 32, udp_length);
}

// Headers and both checksums around `payload_bytes` of payload, of which `known` are at their place
// in `out` and the others are zeros.
void Finish(const Flow& flow, size_t payload_bytes, size_t known, uint8_t* out) {
  std::memcpy(out, flow.to_mac.data(), 6);
  std::memcpy(out + 6, flow.from_mac.data(), 6);
  Put16(out + 12, flow.ipv6 ? kEtherTypeIpv6 : kEtherTypeIpv4);
  uint8_t* udp = out + HeaderBytes(flow.ipv6) - 8;
  const auto udp_length = static_cast<uint16_t>(8 + payload_bytes);
  const uint32_t pseudo =
      flow.ipv6 ? PutIpv6(flow, udp_length, out + 14) : PutIpv4(flow, udp_length, out + 14);
  Put16(udp, flow.from.port);
  Put16(udp + 2, flow.to.port);
  Put16(udp + 4, udp_length);
  Put16(udp + 6, 0);
  const auto checksum = static_cast<uint16_t>(~Fold(Sum(udp, 8 + known, pseudo)));
  Put16(udp + 6, checksum == 0 ? 0xffff : checksum);
}

// STUN header with the tag in the transaction id (RFC 8489 section 5).
void StunHeader(uint16_t type, uint16_t length, uint32_t tag, uint8_t* at) {
  Put16(at, type);
  Put16(at + 2, length);
  Put32(at + 4, kStunCookie);
  Put32(at + 8, 0);
  Put32(at + 12, kTagMagic);
  Put32(at + 16, tag);
}

}  // namespace

void BuildMedia(const Flow& flow, uint32_t tag, size_t frame_bytes, uint8_t* out) {
  const size_t header = HeaderBytes(flow.ipv6);
  const size_t known = TemplateBytes(flow.ipv6) - header;
  uint8_t* rtp = out + header;
  std::memset(rtp, 0, known);
  rtp[0] = 0x80;  // RTP version 2 (RFC 3550)
  rtp[1] = 111;
  Put32(rtp + 8, 0x5eed5eed);  // SSRC
  Put32(rtp + kRtpHeaderBytes, kTagMagic);
  Put32(rtp + kRtpHeaderBytes + 4, tag);
  Finish(flow, frame_bytes - header, known, out);
}

size_t BuildStunRequest(const Flow& flow, uint32_t tag, uint8_t* out) {
  static constexpr std::string_view kUsername = "rig0bridge:rig1";  // bridge's ufrag, then ours
  constexpr size_t kPadded = (kUsername.size() + 3) / 4 * 4;
  constexpr size_t kPayload = kStunHeaderBytes + 4 + kPadded;
  static_assert(HeaderBytes(true) + kPayload <= kMaxStunFrame);
  uint8_t* stun = out + HeaderBytes(flow.ipv6);
  std::memset(stun, 0, kPayload);
  StunHeader(kStunRequest, 4 + kPadded, tag, stun);
  uint8_t* attribute = stun + kStunHeaderBytes;
  Put16(attribute, kStunUsername);
  Put16(attribute + 2, kUsername.size());
  std::memcpy(attribute + 4, kUsername.data(), kUsername.size());
  Finish(flow, kPayload, kPayload, out);
  return HeaderBytes(flow.ipv6) + kPayload;
}

size_t BuildStunResponse(const Flow& flow, uint32_t tag, uint8_t* out) {
  StunHeader(kStunSuccess, 0, tag, out + HeaderBytes(flow.ipv6));
  Finish(flow, kStunHeaderBytes, kStunHeaderBytes, out);
  return HeaderBytes(flow.ipv6) + kStunHeaderBytes;
}

namespace {

bool IsIpv6(const uint8_t* frame) {
  return Get16(frame + 12) == kEtherTypeIpv6;
}

// The IP header's own rules, with `udp_length` what the datagram says. Fills the addresses and the
// pseudo header's sum.
bool ReadIpv4(const uint8_t* ip, size_t size, uint16_t udp_length, Received& received,
              uint32_t& pseudo) {
  const size_t total = Get16(ip + 2);
  if (ip[0] != 0x45 || ip[9] != 17 || total > size || total != 20U + udp_length) return false;
  if (Fold(Sum(ip, 20)) != 0xffff) return false;
  received.from.address = Get32(ip + 12);
  received.to.address = Get32(ip + 16);
  pseudo = PseudoHeaderSum(ip + 12, 8, udp_length);
  return true;
}

bool ReadIpv6(const uint8_t* ip, size_t size, uint16_t udp_length, Received& received,
              uint32_t& pseudo) {
  const auto ours = [](const uint8_t* address) {
    return std::memcmp(address, kIpv6Prefix.data(), kIpv6Prefix.size()) == 0;
  };
  if (ip[0] >> 4 != 6 || ip[6] != 17 || Get16(ip + 4) != udp_length || 40U + udp_length > size)
    return false;
  if (!ours(ip + 8) || !ours(ip + 24)) return false;
  received.from.address = Get32(ip + 8 + kIpv6Prefix.size());
  received.to.address = Get32(ip + 24 + kIpv6Prefix.size());
  pseudo = PseudoHeaderSum(ip + 8, 32, udp_length);
  return true;
}

}  // namespace

bool IsStun(const uint8_t* frame) {
  return frame[HeaderBytes(IsIpv6(frame))] < 2;
}

uint32_t TagOf(const uint8_t* frame) {
  return Get32(frame + HeaderBytes(IsIpv6(frame)) + kRtpHeaderBytes + 4);
}

std::optional<Received> ReadFrame(const uint8_t* frame, size_t size) {
  if (size < 14) return std::nullopt;
  const bool ipv6 = IsIpv6(frame);
  const size_t header = HeaderBytes(ipv6);
  if (size < header + kStunHeaderBytes || (!ipv6 && Get16(frame + 12) != kEtherTypeIpv4))
    return std::nullopt;
  const uint8_t* udp = frame + header - 8;
  const uint16_t udp_length = Get16(udp + 4);
  if (udp_length < 8 + kStunHeaderBytes) return std::nullopt;
  Received received;
  uint32_t pseudo = 0;
  const bool good = ipv6 ? ReadIpv6(frame + 14, size - 14, udp_length, received, pseudo)
                         : ReadIpv4(frame + 14, size - 14, udp_length, received, pseudo);
  if (!good || Fold(Sum(udp, udp_length, pseudo)) != 0xffff) return std::nullopt;
  const uint8_t* payload = udp + 8;
  const uint8_t* tag = payload + kRtpHeaderBytes;  // the same place in both kinds
  if (Get32(tag) != kTagMagic) return std::nullopt;
  received.from.port = Get16(udp);
  received.to.port = Get16(udp + 2);
  received.stun = payload[0] < 2 && Get32(payload + 4) == kStunCookie;
  received.tag = Get32(tag + 4);
  return received;
}

}  // namespace bridgehead::rig
