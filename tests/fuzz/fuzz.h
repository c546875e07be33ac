// What all fuzz targets share: seeds, a reader of the input, and a check that names what is wrong.
//
// A target is one file with LLVMFuzzerTestOneInput and Seeds(), and one line in meson.build. It
// checks what must hold for every input; that nothing is read or written out of bounds the
// sanitizers watch. `TARGET --seeds=DIR` writes the seeds, `TARGET FILE` runs one input.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace bridgehead::fuzz {

using Bytes = std::vector<uint8_t>;

// Valid inputs that the search begins with. Each target defines it.
std::vector<Bytes> Seeds();

#define FUZZ_CHECK(condition)                                                             \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                            \
    }                                                                                     \
  } while (false)

// The input as a sequence of numbers and bytes, from its first byte on; zeros behind its end. (The
// reader that comes with clang takes numbers from the end: no seed could be written by hand.)
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(data, size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t U8() {
    if (rest_.empty()) return 0;
    const uint8_t value = rest_[0];
    rest_ = rest_.subspan(1);
    return value;
  }
  uint16_t U16() {
    const uint8_t high = U8();
    return static_cast<uint16_t>(high << 8 | U8());
  }
  uint32_t U32() {
    const uint32_t high = U16();
    return high << 16 | U16();
  }
  // At most `count`, and what there is.
  std::span<const uint8_t> Take(size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  std::span<const uint8_t> TakeRest() { return Take(rest_.size()); }

 private:
  std::span<const uint8_t> rest_;
};

enum Resize : uint8_t { kKeepSize, kCut, kAppend, kInsert, kResizes };

// What the input says is to be changed: single bytes first, then the size.
inline void Damage(Bytes& frame, Input& input) {
  for (int changes = input.U8() % 8; changes > 0 && !frame.empty(); --changes) {
    const size_t at = input.U16() % frame.size();
    frame[at] ^= input.U8();
  }
  switch (input.U8() % kResizes) {
    case kCut:
      frame.resize(input.U16() % (frame.size() + 1));
      break;
    case kAppend:
      frame.resize(frame.size() + input.U8(), 0x5a);
      break;
    case kInsert: {
      const size_t at = input.U16() % (frame.size() + 1);
      const auto bytes = input.Take(input.U8());
      frame.insert(frame.begin() + static_cast<ptrdiff_t>(at), bytes.begin(), bytes.end());
      break;
    }
    default:
      break;
  }
}

// Memory of exactly the bytes' size, so that AddressSanitizer sees a read past their end.
class Exact {
 public:
  explicit Exact(std::span<const uint8_t> bytes)
      : memory_(std::make_unique<uint8_t[]>(bytes.size())), size_(bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), memory_.get());
  }
  std::span<uint8_t> span() const { return {memory_.get(), size_}; }

 private:
  std::unique_ptr<uint8_t[]> memory_;
  size_t size_;
};

inline std::string_view AsText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes FromText(std::string_view text) {
  return {text.begin(), text.end()};
}

}  // namespace bridgehead::fuzz
