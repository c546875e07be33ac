// The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//
// Sums are kept in network byte order as raw 16-bit words: one's complement addition gives the same
// result in either order (RFC 1071 section 2B), so nothing is swapped on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "relay/net/address.h"

namespace bridgehead {

// Folds a sum of 16-bit words into 16 bits.
constexpr uint16_t FoldChecksum(uint64_t sum) {
  sum = (sum & 0xffff'ffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

// One's complement sum of `size` bytes, not folded to 16 bits and not complemented. An odd last
// byte counts as the high byte of a word (RFC 1071). `size` up to 64 KiB.
inline uint64_t SumBytes(const void* data, size_t size, uint64_t sum = 0) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  // Words of 32 bits in 64-bit accumulators: 16 Ki words can not overflow them. Two accumulators
  // keep the additions independent.
  uint64_t other = 0;
  for (; size >= 16; size -= 16, bytes += 16) {
    uint64_t words[2];
    memcpy(words, bytes, 16);
    sum += (words[0] & 0xffff'ffff) + (words[0] >> 32);
    other += (words[1] & 0xffff'ffff) + (words[1] >> 32);
  }
  sum += other;
  for (; size >= 4; size -= 4, bytes += 4) {
    uint32_t word;
    memcpy(&word, bytes, 4);
    sum += word;
  }
  if (size >= 2) {
    uint16_t word;
    memcpy(&word, bytes, 2);
    sum += word;
    bytes += 2;
    size -= 2;
  }
  if (size == 1)
    sum += *bytes;  // little-endian: the low byte of a raw word is the first on the wire
  return sum;
}

// What to add to the complement of a checksum when `before` becomes `after` (both raw words):
// RFC 1624 equation 3, HC' = ~(~HC + ~m + m').
constexpr uint16_t ChecksumDelta(uint64_t before_sum, uint64_t after_sum) {
  uint16_t before = FoldChecksum(before_sum);
  uint16_t after = FoldChecksum(after_sum);
  return FoldChecksum(static_cast<uint64_t>(static_cast<uint16_t>(~before)) + after);
}

constexpr uint16_t ApplyDelta(uint16_t checksum, uint16_t delta) {
  uint32_t sum = static_cast<uint32_t>(static_cast<uint16_t>(~checksum)) + delta;
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// The same for UDP, with its zero rules (RFC 768): "no checksum" stays so, and a result of zero is
// sent as all ones.
constexpr uint16_t ApplyUdpDelta(uint16_t checksum, uint16_t delta) {
  if (checksum == 0) return 0;
  uint16_t result = ApplyDelta(checksum, delta);
  return result == 0 ? 0xffff : result;
}

// The words of an IPv6 address.
inline uint64_t SumAddress(const Ipv6Address& address) {
  uint64_t high = address.High();
  uint64_t low = address.Low();
  return (high & 0xffff'ffff) + (high >> 32) + (low & 0xffff'ffff) + (low >> 32);
}
constexpr uint64_t SumAddress(be32 address) {
  return address.Raw();
}

// Sum of the pseudo header of UDP or ICMPv6 over either family (RFC 768; RFC 8200 section 8.1,
// whose wider fields are zero but for these bytes).
template <class Address>
constexpr uint64_t PseudoHeaderSum(const Address& source, const Address& destination,
                                   uint8_t protocol, uint16_t length) {
  return SumAddress(source) + SumAddress(destination) +
         __builtin_bswap16(static_cast<uint16_t>(protocol)) + __builtin_bswap16(length);
}

}  // namespace bridgehead
