// IP addresses as values: IPv4 is a be32, IPv6 its 16 bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "relay/net/endian.h"

namespace bridgehead {

// 16 bytes as on the wire. Where an address of either family may stand, IPv4 is ::ffff:a.b.c.d (RFC
// 4291 section 2.5.5.2), which never is on a wire itself.
struct [[gnu::packed]] Ipv6Address {
  std::array<uint8_t, 16> bytes{};

  bool operator==(const Ipv6Address& other) const {
    return High() == other.High() && Low() == other.Low();
  }
  bool operator<(const Ipv6Address& other) const {
    return memcmp(bytes.data(), other.bytes.data(), bytes.size()) < 0;
  }
  // The two halves as raw words, for hashes and checksums.
  uint64_t High() const { return Half(0); }
  uint64_t Low() const { return Half(8); }

  static Ipv6Address Mapped(be32 address) {
    Ipv6Address mapped;
    mapped.bytes[10] = mapped.bytes[11] = 0xff;
    uint32_t raw = address.Raw();
    memcpy(&mapped.bytes[12], &raw, sizeof(raw));
    return mapped;
  }
  bool IsMapped() const {
    return High() == 0 && (Low() & 0xffff'ffff) == 0xffff'0000;  // raw: ff ff is the upper half
  }
  // Only of a mapped one.
  be32 Unmapped() const { return be32::FromRaw(static_cast<uint32_t>(Low() >> 32)); }

 private:
  uint64_t Half(size_t at) const {
    uint64_t half;
    memcpy(&half, bytes.data() + at, sizeof(half));
    return half;
  }
};
static_assert(sizeof(Ipv6Address) == 16 && alignof(Ipv6Address) == 1);

// An address that a host can send from or receive on (RFC 1122 section 3.2.1.3): not in 0/8, 127/8,
// multicast, reserved or broadcast.
// `first`: of its bytes.
constexpr bool IsHostAddress(uint8_t first) {
  return first != 0 && first != 127 && first < 224;
}
constexpr bool IsHostAddress(be32 address) {
  return IsHostAddress(static_cast<uint8_t>(address.Raw()));
}

// The same for IPv6 (RFC 4291): not unspecified, loopback, IPv4-mapped or -compatible, multicast;
// nor link-local, which no router forwards (section 2.5.6).
inline bool IsHostAddress(const Ipv6Address& address) {
  if (address.High() == 0 && (address.IsMapped() || (address.Low() & 0xffff'ffff) == 0)) {
    return false;
  }
  if (address.bytes[0] == 0xff) return false;
  return !(address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80);
}

// Of an address of either family.
inline bool IsAnyHostAddress(const Ipv6Address& any) {
  return any.IsMapped() ? IsHostAddress(any.Unmapped()) : IsHostAddress(any);
}

}  // namespace bridgehead
