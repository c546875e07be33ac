// The Toeplitz hash that NICs use for receive side scaling, in software and over the client's
// address and port only: 6 bytes for IPv4.
//
// One key and one redirection table serve the hardware and this code, so that both name the same
// owner for a packet. Byte tables make it one load per byte; 6 KiB for IPv4 stay in the L1 cache.
#pragma once

#include <array>
#include <cstdint>

namespace bridgehead {

// The key of Microsoft's RSS verification suite, which NIC drivers take as their default.
inline constexpr std::array<uint8_t, 40> kToeplitzKey = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

template <size_t kInputBytes>
class ToeplitzTable {
 public:
  static_assert(kInputBytes + 4 <= kToeplitzKey.size());

  constexpr ToeplitzTable() {
    for (size_t byte = 0; byte < kInputBytes; ++byte) {
      for (size_t bit = 0; bit < 8; ++bit) {
        uint32_t window = KeyWindow(byte * 8 + bit);
        for (size_t value = 0; value < 256; ++value) {
          if (value & (0x80u >> bit)) table_[byte][value] ^= window;
        }
      }
    }
  }

  // `input` in the order of the wire.
  constexpr uint32_t Hash(const uint8_t* input) const {
    uint32_t hash = 0;
    for (size_t i = 0; i < kInputBytes; ++i) hash ^= table_[i][input[i]];
    return hash;
  }

 private:
  // The 32 key bits that begin at bit `first`.
  static constexpr uint32_t KeyWindow(size_t first) {
    uint64_t bits = 0;
    for (size_t i = 0; i < 5; ++i) bits = bits << 8 | kToeplitzKey[first / 8 + i];
    return static_cast<uint32_t>(bits >> (8 - first % 8));
  }

  std::array<std::array<uint32_t, 256>, kInputBytes> table_{};
};

}  // namespace bridgehead
