// A fixed array in its own memory mapping, in huge pages where the kernel has some: the tables that
// every packet reads at random places must not miss the TLB as well.
//
// All pages are touched on construction, so a worker never faults one in.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

#include <sys/mman.h>

namespace bridgehead {

template <class T>
class HugeArray {
 public:
  HugeArray() = default;
  // `size` value-initialised elements. Throws std::bad_alloc when memory is short.
  explicit HugeArray(size_t size) : size_(size) {
    if (size == 0) return;
    constexpr size_t kHugePage = size_t{2} << 20;
    bytes_ = size * sizeof(T);
    // Under a huge page there is nothing to win. Above it: reserved huge pages first, then
    // transparent ones, which the kernel gives at 2 MiB boundaries.
    if (bytes_ >= kHugePage) {
      bytes_ = (bytes_ + kHugePage - 1) & ~(kHugePage - 1);
      Map(MAP_HUGETLB);
    }
    if (data_ == nullptr) {
      bytes_ = size * sizeof(T);
      Map(0);
      if (data_ == nullptr) throw std::bad_alloc();
      madvise(data_, bytes_, MADV_HUGEPAGE);
    }
    for (size_t i = 0; i < size; ++i) new (&data_[i]) T();
  }
  ~HugeArray() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }
  HugeArray(HugeArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(other.size_), bytes_(other.bytes_) {}
  HugeArray& operator=(HugeArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  HugeArray(const HugeArray&) = delete;
  HugeArray& operator=(const HugeArray&) = delete;

  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }
  size_t size() const { return size_; }
  size_t bytes() const { return bytes_; }

 private:
  void Map(int extra_flags) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);
    data_ = memory == MAP_FAILED ? nullptr : static_cast<T*>(memory);
  }

  T* data_ = nullptr;
  size_t size_ = 0;
  size_t bytes_ = 0;
};

}  // namespace bridgehead
