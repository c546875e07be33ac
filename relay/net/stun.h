// STUN (RFC 8489), as much as admission needs: is this, to its last byte, a Binding Request, and
// what is its USERNAME? Never writes: MESSAGE-INTEGRITY covers the body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "bpf/demux.h"

namespace bridgehead {

enum class StunResult : uint8_t {
  kBindingRequest,
  kNotStun,            // first two bits, magic cookie or size say it is something else
  kMalformed,          // STUN, but a length or an attribute does not fit
  kNotBindingRequest,  // well formed, another class or method
  kNoUsername,         // no USERNAME, or one without the ICE form "a:b" (RFC 8445 section 7.2.2)
  kBadFingerprint,     // FINGERPRINT is there and wrong (RFC 8489 section 14.7)
};

struct StunBindingRequest {
  std::string_view username;      // whole, points into the message
  std::string_view server_ufrag;  // before the first colon: the bridge's ufrag
  bool has_fingerprint = false;
  bool has_integrity = false;
};

inline constexpr size_t kStunHeaderBytes = BH_STUN_HEADER_BYTES;
inline constexpr uint32_t kStunMagicCookie = BH_STUN_MAGIC_COOKIE;
inline constexpr size_t kStunMaxUsernameBytes = 508;  // RFC 8489 section 14.3: fewer than 509

// Whether a UDP payload begins like a Binding Request; the rest of it may be anything.
bool LooksLikeStunRequest(std::span<const uint8_t> message);

// Whether a UDP payload is a STUN error response: the server has refused a request (section 5).
bool IsStunError(std::span<const uint8_t> message);

// Parses a whole UDP payload. Fills `request` only on kBindingRequest.
StunResult ParseStunBindingRequest(std::span<const uint8_t> message, StunBindingRequest& request);

}  // namespace bridgehead
