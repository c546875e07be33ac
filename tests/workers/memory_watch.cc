#include "tests/workers/memory_watch.h"

#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>

#include <sys/mman.h>

namespace bridgehead::test {
namespace {

constexpr size_t kLine = 64;

}  // namespace

MemoryWatch::MemoryWatch() {
  const std::unique_ptr<FILE, int (*)(FILE*)> maps(fopen("/proc/self/maps", "r"), fclose);
  if (!maps) throw std::runtime_error("can not read /proc/self/maps");
  const auto stack = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  char line[512];
  while (fgets(line, sizeof(line), maps.get()) != nullptr) {
    uintptr_t begin = 0, end = 0;
    char rights[5] = {};
    if (sscanf(line, "%lx-%lx %4s", &begin, &end, rights) != 3 || strncmp(rights, "rw", 2) != 0 ||
        (stack >= begin && stack < end)) {
      continue;
    }
    parts_.push_back({begin, end - begin});
    bytes_ += end - begin;
  }
  for (uint8_t*& copy : copies_) {
    void* memory =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no memory to keep a look in");
    copy = static_cast<uint8_t*>(memory);
  }
}

MemoryWatch::~MemoryWatch() {
  for (uint8_t* copy : copies_) munmap(copy, bytes_);
}

void MemoryWatch::Look(size_t look) {
  uint8_t* at = copies_[look];
  for (const Part& part : parts_) {
    memcpy(at, reinterpret_cast<const void*>(part.begin), part.size);
    at += part.size;
  }
}

std::set<uintptr_t> MemoryWatch::ChangedAfter(size_t look) const {
  std::set<uintptr_t> lines;
  const uint8_t* before = copies_[look];
  const uint8_t* after = copies_[look + 1];
  for (const Part& part : parts_) {
    for (size_t at = 0; at < part.size; at += kLine) {
      if (memcmp(before + at, after + at, kLine) != 0) lines.insert(part.begin + at);
    }
    before += part.size;
    after += part.size;
  }
  return lines;
}

}  // namespace bridgehead::test
