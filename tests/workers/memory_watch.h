// Which cache lines a piece of code has written, found by comparing all writable memory of the
// process before and after it. A write of the value that was there already is not seen.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

namespace bridgehead::test {

class MemoryWatch {
 public:
  // Of what is mapped now, but for this thread's stack.
  MemoryWatch();
  ~MemoryWatch();
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  static constexpr size_t kLooks = 3;
  // Keeps what memory holds now, as look number `look`. Writes nothing but that.
  void Look(size_t look);
  // Where the lines begin that changed between this look and the next one.
  std::set<uintptr_t> ChangedAfter(size_t look) const;

 private:
  struct Part {
    uintptr_t begin = 0;
    size_t size = 0;
  };
  std::vector<Part> parts_;
  std::array<uint8_t*, kLooks> copies_{};
  size_t bytes_ = 0;
};

}  // namespace bridgehead::test
