#include "bench/rig/frame.h"

#include <cstring>
#include <string_view>

namespace bridgehead::rig {
namespace {

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
uint32_t PseudoHeaderSum(const uint8_t* ip, uint16_t udp_length) {
  return Sum(ip + 12, 8, 17U + udp_length);
}

// Headers and both checksums around `payload_bytes` of payload, of which `known` are at their place
// in `out` and the others are zeros.
void Finish(const Flow& flow, size_t payload_bytes, size_t known, uint8_t* out) {
  std::memcpy(out, flow.to_mac.data(), 6);
  std::memcpy(out + 6, flow.from_mac.data(), 6);
  Put16(out + 12, 0x0800);
  uint8_t* ip = out + 14;
  uint8_t* udp = ip + 20;
  const auto udp_length = static_cast<uint16_t>(8 + payload_bytes);
  std::memset(ip, 0, 28);
  ip[0] = 0x45;
  Put16(ip + 2, static_cast<uint16_t>(20 + udp_length));
  Put16(ip + 6, 0x4000);  // don't fragment
  ip[8] = 64;
  ip[9] = 17;
  Put32(ip + 12, flow.from.address);
  Put32(ip + 16, flow.to.address);
  Put16(ip + 10, static_cast<uint16_t>(~Fold(Sum(ip, 20))));
  Put16(udp, flow.from.port);
  Put16(udp + 2, flow.to.port);
  Put16(udp + 4, udp_length);
  const uint16_t checksum =
      static_cast<uint16_t>(~Fold(Sum(udp, 8 + known, PseudoHeaderSum(ip, udp_length))));
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
  std::memset(out, 0, kTemplateBytes);
  uint8_t* rtp = out + kHeaderBytes;
  rtp[0] = 0x80;  // RTP version 2 (RFC 3550)
  rtp[1] = 111;
  Put32(rtp + 8, 0x5eed5eed);  // SSRC
  Put32(rtp + kRtpHeaderBytes, kTagMagic);
  Put32(rtp + kRtpHeaderBytes + 4, tag);
  Finish(flow, frame_bytes - kHeaderBytes, kTemplateBytes - kHeaderBytes, out);
}

size_t BuildStunRequest(const Flow& flow, uint32_t tag, uint8_t* out) {
  static constexpr std::string_view kUsername = "rig0bridge:rig1";  // bridge's ufrag, then ours
  constexpr size_t kPadded = (kUsername.size() + 3) / 4 * 4;
  uint8_t* stun = out + kHeaderBytes;
  std::memset(stun, 0, kStunHeaderBytes + 4 + kPadded);
  StunHeader(kStunRequest, 4 + kPadded, tag, stun);
  uint8_t* attribute = stun + kStunHeaderBytes;
  Put16(attribute, kStunUsername);
  Put16(attribute + 2, kUsername.size());
  std::memcpy(attribute + 4, kUsername.data(), kUsername.size());
  constexpr size_t kPayload = kStunHeaderBytes + 4 + kPadded;
  static_assert(kHeaderBytes + kPayload <= kMaxStunFrame);
  Finish(flow, kPayload, kPayload, out);
  return kHeaderBytes + kPayload;
}

size_t BuildStunResponse(const Flow& flow, uint32_t tag, uint8_t* out) {
  StunHeader(kStunSuccess, 0, tag, out + kHeaderBytes);
  Finish(flow, kStunHeaderBytes, kStunHeaderBytes, out);
  return kHeaderBytes + kStunHeaderBytes;
}

std::optional<Received> ReadFrame(const uint8_t* frame, size_t size) {
  if (size < kHeaderBytes + kStunHeaderBytes || Get16(frame + 12) != 0x0800) return std::nullopt;
  const uint8_t* ip = frame + 14;
  const uint8_t* udp = ip + 20;
  const size_t total = Get16(ip + 2);
  const uint16_t udp_length = Get16(udp + 4);
  if (ip[0] != 0x45 || ip[9] != 17 || 14 + total > size || total != 20U + udp_length ||
      udp_length < 8 + kStunHeaderBytes) {
    return std::nullopt;
  }
  if (Fold(Sum(ip, 20)) != 0xffff) return std::nullopt;
  if (Fold(Sum(udp, udp_length, PseudoHeaderSum(ip, udp_length))) != 0xffff) return std::nullopt;
  const uint8_t* payload = udp + 8;
  const bool stun = payload[0] < 2 && Get32(payload + 4) == kStunCookie;
  const uint8_t* tag = payload + kRtpHeaderBytes;  // the same place in both kinds
  if (Get32(tag) != kTagMagic) return std::nullopt;
  return Received{.from = {Get32(ip + 12), Get16(udp)},
                  .to = {Get32(ip + 16), Get16(udp + 2)},
                  .stun = stun,
                  .tag = Get32(tag + 4)};
}

}  // namespace bridgehead::rig
