// The names of all refusals, from refusals.def, and their counters.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace bridgehead::proxy {

enum class AcceptRefusal : uint8_t {
  kNone = 0,  // not refused; the only value without an entry in refusals.def
#define BH_REFUSAL(identifier, label, text) identifier,
#include "ctrl/proxy/accept/refusals.def"
#undef BH_REFUSAL
};

struct RefusalInfo {
  std::string_view label;  // metric label and CLI name, stable
  std::string_view text;   // one line for people
};

// Indexed by static_cast<size_t>(AcceptRefusal) - 1: kNone has no entry.
inline constexpr RefusalInfo kRefusalInfo[] = {
#define BH_REFUSAL(identifier, label, text) {label, text},
#include "ctrl/proxy/accept/refusals.def"
#undef BH_REFUSAL
};

inline constexpr size_t kRefusalCount = std::size(kRefusalInfo);

constexpr size_t RefusalIndex(AcceptRefusal refusal) {
  return static_cast<size_t>(refusal) - 1;
}

// Of one listener on one loop: its thread counts, any thread reads.
class AcceptCounters {
 public:
  void Open() { Add(open_, 1); }
  void Close() { Add(open_, -1); }
  void CountAccepted() { Add(accepted_, 1); }
  void CountPause() { Add(pauses_, 1); }
  void Count(AcceptRefusal refusal) { Add(refused_[RefusalIndex(refusal)], 1); }

  // Connections that are there now.
  uint64_t open() const { return open_.load(std::memory_order_relaxed); }
  // Handed on.
  uint64_t accepted() const { return accepted_.load(std::memory_order_relaxed); }
  // Times that accepting rested because the kernel could not hand a connection over.
  uint64_t pauses() const { return pauses_.load(std::memory_order_relaxed); }
  uint64_t refused(AcceptRefusal refusal) const {
    return refused_[RefusalIndex(refusal)].load(std::memory_order_relaxed);
  }

 private:
  using Number = std::atomic<uint64_t>;
  // One writer: no locked instruction.
  static void Add(Number& number, int64_t count) {
    number.store(number.load(std::memory_order_relaxed) + static_cast<uint64_t>(count),
                 std::memory_order_relaxed);
  }

  Number open_{0}, accepted_{0}, pauses_{0};
  std::array<Number, kRefusalCount> refused_{};
};

}  // namespace bridgehead::proxy
