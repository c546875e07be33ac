// Integers as they stand on the wire: big-endian, at any alignment, converted only on request.
#pragma once

#include <bit>
#include <cstdint>

namespace bridgehead {

static_assert(std::endian::native == std::endian::little, "be16 and be32 assume little-endian");

// Packed, so that a header mapped onto a packet at any offset is read without undefined behaviour.
class [[gnu::packed]] be16 {
 public:
  constexpr be16() = default;
  static constexpr be16 FromHost(uint16_t host) { return be16(__builtin_bswap16(host)); }
  static constexpr be16 FromRaw(uint16_t raw) { return be16(raw); }
  constexpr uint16_t ToHost() const { return __builtin_bswap16(raw_); }
  constexpr uint16_t Raw() const { return raw_; }  // the wire's bytes, for copies and checksums
  constexpr bool operator==(const be16& other) const { return raw_ == other.raw_; }

 private:
  explicit constexpr be16(uint16_t raw) : raw_(raw) {}
  uint16_t raw_ = 0;
};

class [[gnu::packed]] be32 {
 public:
  constexpr be32() = default;
  static constexpr be32 FromHost(uint32_t host) { return be32(__builtin_bswap32(host)); }
  static constexpr be32 FromRaw(uint32_t raw) { return be32(raw); }
  constexpr uint32_t ToHost() const { return __builtin_bswap32(raw_); }
  constexpr uint32_t Raw() const { return raw_; }
  constexpr bool operator==(const be32& other) const { return raw_ == other.raw_; }

 private:
  explicit constexpr be32(uint32_t raw) : raw_(raw) {}
  uint32_t raw_ = 0;
};

static_assert(sizeof(be16) == 2 && alignof(be16) == 1);
static_assert(sizeof(be32) == 4 && alignof(be32) == 1);

}  // namespace bridgehead
