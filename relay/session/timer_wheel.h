// When to look at a session again: a hashed timing wheel (Varghese and Lauck, SOSP 1987, scheme 6)
// with one-second slots, for one worker alone.
//
// Packets never touch it: they only write their time into the flow. When a session's second comes,
// the wheel asks its owner, who answers with the next deadline or that the session is gone. A
// deadline beyond the wheel's span is asked for at its end and put in again. Work is done in
// bounded pieces, so that no packet waits for a second in which very many sessions end.
//
// Slots are doubly linked: a session that ends before its time, to make room, is taken out at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "relay/session/huge_array.h"

namespace bridgehead {

class TimerWheel {
 public:
  static constexpr uint32_t kSpanSeconds = 1024;
  static constexpr uint32_t kGone = 0;  // answer of the owner: do not schedule again

  TimerWheel() { heads_.fill(kEnd); }
  explicit TimerWheel(size_t sessions) : next_(sessions), previous_(sessions) { heads_.fill(kEnd); }

  // `index` must not be scheduled already. `deadline` in seconds of the worker's clock.
  void Schedule(uint32_t index, uint32_t deadline) {
    if (deadline <= done_until_) deadline = done_until_ + 1;
    if (deadline > done_until_ + kSpanSeconds - 1) deadline = done_until_ + kSpanSeconds - 1;
    const uint32_t slot = deadline % kSpanSeconds;
    next_[index] = heads_[slot];
    if (heads_[slot] != kEnd) previous_[heads_[slot]] = index;
    heads_[slot] = index;
    previous_[index] = kFirst | slot;
  }

  // `index` must be scheduled, and not be the one that Advance asks about now.
  void Cancel(uint32_t index) {
    const uint32_t next = next_[index];
    const uint32_t previous = previous_[index];
    if (next != kEnd) previous_[next] = previous;
    if (index == pending_) {
      pending_ = next;
    } else if ((previous & kFirst) != 0) {
      heads_[previous & ~kFirst] = next;
    } else {
      next_[previous] = next;
    }
  }

  // The clock's first value; before any Schedule.
  void Start(uint32_t now) { done_until_ = now; }

  // Handles at most `budget` sessions whose second is `now` or earlier. `due(index)` returns the
  // next deadline, or kGone.
  template <class Due>
  void Advance(uint32_t now, size_t budget, Due&& due) {
    while (budget > 0) {
      if (pending_ == kEnd) {
        if (done_until_ >= now) return;
        ++done_until_;
        pending_ = heads_[done_until_ % kSpanSeconds];
        heads_[done_until_ % kSpanSeconds] = kEnd;
        continue;
      }
      uint32_t index = pending_;
      pending_ = next_[index];
      if (pending_ != kEnd) previous_[pending_] = kFirst;
      uint32_t deadline = due(index);
      if (deadline != kGone) Schedule(index, deadline);
      --budget;
    }
  }

  size_t bytes() const { return next_.bytes() + previous_.bytes(); }

 private:
  static constexpr uint32_t kEnd = 0xffff'ffff;
  static constexpr uint32_t kFirst = 0x8000'0000;  // in previous_: the first of this slot

  std::array<uint32_t, kSpanSeconds> heads_;
  HugeArray<uint32_t> next_;
  HugeArray<uint32_t> previous_;
  uint32_t done_until_ = 0;
  uint32_t pending_ = kEnd;  // what is left of the slot of done_until_, taken from its head
};

}  // namespace bridgehead
