// The headers that Jitsi bridges used to put in front of what they send each other ("octo", until
// 2022), as much as tells one from noise. Nothing in it says who sent it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bridgehead {

enum class OctoVersion : uint8_t { kAny, kV0, kV1 };

namespace internal {

constexpr uint8_t kOctoAudio = 0, kOctoVideo = 1, kOctoData = 2;

// Behind the header: RTP or RTCP, version 2 (RFC 3550 section 5.1), or text.
constexpr bool IsOctoPayload(std::span<const uint8_t> payload, uint8_t media_type) {
  if (payload.empty()) return false;
  return media_type == kOctoData || (media_type <= kOctoVideo && payload[0] >> 6 == 2);
}

// Eight bytes: relay flag 1, media type 2, layer 2, zero 3; conference 24; endpoint 32.
constexpr bool IsOctoV0(std::span<const uint8_t> message) {
  constexpr size_t kHeader = 8;
  return message.size() > kHeader && (message[0] & 0x07) == 0 &&
         IsOctoPayload(message.subspan(kHeader), message[0] >> 5 & 3);
}

// Twelve bytes: conference 32; endpoint 32; media type 2, zero 30.
constexpr bool IsOctoV1(std::span<const uint8_t> message) {
  constexpr size_t kHeader = 12;
  return message.size() > kHeader && (message[8] & 0x3f) == 0 && message[9] == 0 &&
         message[10] == 0 && message[11] == 0 &&
         IsOctoPayload(message.subspan(kHeader), message[8] >> 6);
}

}  // namespace internal

// Whether a UDP payload could be octo of this version.
constexpr bool IsOcto(std::span<const uint8_t> message, OctoVersion version) {
  return (version != OctoVersion::kV1 && internal::IsOctoV0(message)) ||
         (version != OctoVersion::kV0 && internal::IsOctoV1(message));
}

}  // namespace bridgehead
