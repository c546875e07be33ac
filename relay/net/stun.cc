#include "relay/net/stun.h"

#include <zlib.h>

namespace bridgehead {
namespace {

constexpr uint16_t kBindingRequestType = BH_STUN_BINDING_REQUEST;
constexpr uint16_t kUsername = 0x0006;
constexpr uint16_t kMessageIntegrity = 0x0008;
constexpr uint16_t kMessageIntegritySha256 = 0x001c;
constexpr uint16_t kFingerprint = 0x8028;
constexpr uint32_t kFingerprintXor = 0x5354554e;

uint16_t Read16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}
uint32_t Read32(const uint8_t* at) {
  return static_cast<uint32_t>(Read16(at)) << 16 | Read16(at + 2);
}

struct Attributes {
  std::string_view username;
  bool username_seen = false;
  bool integrity = false;
  size_t fingerprint_at = 0;  // offset of the attribute; 0: none
};

// Checks one attribute's own length and its place. False: malformed.
bool TakeAttribute(std::span<const uint8_t> message, size_t at, uint16_t type, uint16_t length,
                   Attributes& found) {
  if (found.fingerprint_at != 0) return false;  // RFC 8489 section 14.7: it is the last one
  if (type == kFingerprint) {
    if (length != 4) return false;
    found.fingerprint_at = at;
    return true;
  }
  if (type == kMessageIntegrity || type == kMessageIntegritySha256) {
    // Sections 14.5 and 14.6: 20 bytes; 16 to 32 in steps of four.
    bool fits =
        type == kMessageIntegrity ? length == 20 : length >= 16 && length <= 32 && length % 4 == 0;
    found.integrity = true;
    return fits;
  }
  // Attributes after MESSAGE-INTEGRITY are ignored (section 14.5): a USERNAME there is not signed.
  if (type != kUsername || found.integrity || found.username_seen) return true;
  if (length > kStunMaxUsernameBytes) return false;
  found.username_seen = true;
  found.username = {reinterpret_cast<const char*>(message.data()) + at + 4, length};
  return true;
}

bool FingerprintMatches(std::span<const uint8_t> message, size_t at) {
  // Section 14.7: CRC-32 (ITU V.42) of everything before the attribute, XOR "STUN". The header's
  // length already includes the attribute, which is last.
  auto crc = static_cast<uint32_t>(crc32(0, message.data(), static_cast<uInt>(at)));
  return (crc ^ kFingerprintXor) == Read32(message.data() + at + 4);
}

}  // namespace

bool LooksLikeStunRequest(std::span<const uint8_t> message) {
  return message.size() >= kStunHeaderBytes && Read16(message.data()) == kBindingRequestType &&
         Read32(message.data() + 4) == kStunMagicCookie;
}

bool IsStunError(std::span<const uint8_t> message) {
  constexpr uint16_t kNotStunOrClass = 0xc110;
  constexpr uint16_t kErrorClass = 0x0110;
  return message.size() >= kStunHeaderBytes && Read32(message.data() + 4) == kStunMagicCookie &&
         (Read16(message.data()) & kNotStunOrClass) == kErrorClass;
}

StunResult ParseStunBindingRequest(std::span<const uint8_t> message, StunBindingRequest& request) {
  if (message.size() < kStunHeaderBytes) return StunResult::kNotStun;
  // Section 5: the two most significant bits are zero; section 6.3: then the cookie.
  if ((message[0] & 0xc0) != 0 || Read32(message.data() + 4) != kStunMagicCookie) {
    return StunResult::kNotStun;
  }
  size_t body = Read16(message.data() + 2);
  if (body % 4 != 0 || body != message.size() - kStunHeaderBytes) return StunResult::kMalformed;

  Attributes found;
  for (size_t at = kStunHeaderBytes; at < message.size();) {
    if (message.size() - at < 4) return StunResult::kMalformed;
    uint16_t type = Read16(message.data() + at);
    uint16_t length = Read16(message.data() + at + 2);
    size_t padded = (static_cast<size_t>(length) + 3) & ~size_t{3};
    if (message.size() - at - 4 < padded) return StunResult::kMalformed;
    if (!TakeAttribute(message, at, type, length, found)) return StunResult::kMalformed;
    at += 4 + padded;
  }

  if (Read16(message.data()) != kBindingRequestType) return StunResult::kNotBindingRequest;
  if (found.fingerprint_at != 0 && !FingerprintMatches(message, found.fingerprint_at)) {
    return StunResult::kBadFingerprint;
  }
  size_t colon = found.username.find(':');
  if (!found.username_seen || colon == std::string_view::npos || colon == 0) {
    return StunResult::kNoUsername;
  }
  request.username = found.username;
  request.server_ufrag = found.username.substr(0, colon);
  request.has_fingerprint = found.fingerprint_at != 0;
  request.has_integrity = found.integrity;
  return StunResult::kBindingRequest;
}

}  // namespace bridgehead
