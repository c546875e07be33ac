// A bounded queue from one writing thread to one reading thread: a worker's way to tell the control
// thread something. Neither waits for the other, allocates or makes a system call.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace bridgehead {

// kSize: a power of two, so that the counts may wrap around.
template <class Item, uint32_t kSize>
class SpscQueue {
  static_assert((kSize & (kSize - 1)) == 0);

 public:
  // A full queue loses the item.
  void Push(const Item& item) {
    uint32_t write = write_.load(std::memory_order_relaxed);
    if (write - read_.load(std::memory_order_acquire) == kSize) return;
    items_[write % kSize] = item;
    write_.store(write + 1, std::memory_order_release);
  }
  bool Pop(Item& item) {
    uint32_t read = read_.load(std::memory_order_relaxed);
    if (read == write_.load(std::memory_order_acquire)) return false;
    item = items_[read % kSize];
    read_.store(read + 1, std::memory_order_release);
    return true;
  }

 private:
  std::array<Item, kSize> items_;
  alignas(64) std::atomic<uint32_t> write_{0};
  alignas(64) std::atomic<uint32_t> read_{0};
};

}  // namespace bridgehead
