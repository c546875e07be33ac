// Frames the rig sends and what it reads from those that come back.
//
// Built apart from the relay's own packet code on purpose: a wrong checksum there must not be
// matched by the same mistake here. No DPDK: plain bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace bridgehead::rig {

using Mac = std::array<uint8_t, 6>;

// Locally administered; the device under test is given kDevice* by its vdev's mac= argument.
inline constexpr Mac kRigClientMac{0x02, 0x62, 0x68, 0x00, 0x01, 0x01};
inline constexpr Mac kDeviceClientMac{0x02, 0x62, 0x68, 0x00, 0x01, 0x02};
inline constexpr Mac kRigBridgeMac{0x02, 0x62, 0x68, 0x00, 0x02, 0x01};
inline constexpr Mac kDeviceBridgeMac{0x02, 0x62, 0x68, 0x00, 0x02, 0x02};

// 2001:db8::/96 (RFC 3849).
inline constexpr std::array<uint8_t, 12> kIpv6Prefix{0x20, 0x01, 0x0d, 0xb8};

// Host order. On IPv6 the address is the last 32 bits behind kIpv6Prefix.
struct Endpoint {
  uint32_t address = 0;
  uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

struct Flow {
  bool ipv6 = false;
  Mac from_mac{};
  Mac to_mac{};
  Endpoint from;
  Endpoint to;
};

constexpr size_t HeaderBytes(bool ipv6) {
  return 14 + (ipv6 ? 40 : 20) + 8;
}
// A media frame's first bytes; the rest of a longer one is zeros, so this is all that differs.
constexpr size_t TemplateBytes(bool ipv6) {
  return ipv6 ? 84 : 64;
}
inline constexpr size_t kMaxTemplateBytes = TemplateBytes(true);
inline constexpr size_t kMaxStunFrame = 128;

// Fills `out` (TemplateBytes) with the start of a `frame_bytes` long RTP-like frame that carries
// `tag`, with both checksums right.
void BuildMedia(const Flow& flow, uint32_t tag, size_t frame_bytes, uint8_t* out);

// A STUN Binding Request (RFC 8489) with a USERNAME, or the success response to it. `tag` goes into
// the transaction id. Returns the frame's length, at most kMaxStunFrame.
size_t BuildStunRequest(const Flow& flow, uint32_t tag, uint8_t* out);
size_t BuildStunResponse(const Flow& flow, uint32_t tag, uint8_t* out);

// Whether a frame made by one of the builders is STUN, and which tag it carries: unchecked.
bool IsStun(const uint8_t* frame);
uint32_t TagOf(const uint8_t* frame);

struct Received {
  Endpoint from;
  Endpoint to;
  bool stun = false;
  uint32_t tag = 0;
};

// Reads a frame made by one of the builders and translated on the way. Empty when it is no such
// frame or one of its checksums is wrong.
std::optional<Received> ReadFrame(const uint8_t* frame, size_t size);

}  // namespace bridgehead::rig
