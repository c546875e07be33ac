// One thread's event loop: readiness of file descriptors, timers, and work from other threads.
//
// Built on libevent. Everything made with a loop is used and destroyed on its thread only; Post and
// Stop are the exceptions.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "absl/status/statusor.h"

namespace bridgehead::proxy {

class NextTurn;

class Loop {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kScratchBytes = 64 * 1024;

  // Error: the kernel has no more descriptors.
  static absl::StatusOr<std::unique_ptr<Loop>> Create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Until Stop(), which is for good.
  void Run();
  // One turn of what is ready now, without waiting.
  void RunReady();
  // From any thread.
  void Stop();
  // Runs `task` on the loop's thread. From any thread; tasks keep their order.
  void Post(std::function<void()> task);

  // Read once in each turn of the loop: as old as the work of one turn at most.
  Clock::time_point now() {
    if (now_ == Clock::time_point{}) now_ = Clock::now();
    return now_;
  }
  // For use within one callback: whoever calls others meanwhile must not rely on its content.
  std::span<uint8_t> scratch() { return scratch_; }
  // Destroys `object` when the running callbacks have returned: for what must not destroy itself.
  // From callbacks of this loop, or when it has ended.
  template <typename T>
  void Bury(std::unique_ptr<T> object) {
    graves_.push_back(std::shared_ptr<void>(std::move(object)));
  }
  event_base* base() { return base_; }

 private:
  explicit Loop(event_base* base) : base_(base), scratch_(kScratchBytes) {}
  friend class NextTurn;
  void RunPosted();
  void ActivateNext();
  void Turn();

  event_base* base_;
  int wake_fd_ = -1;
  event wake_{};
  std::vector<NextTurn*> next_, activated_;  // null: it is gone
  event activate_{};
  Clock::time_point now_{};  // the epoch: not read in this turn
  std::vector<uint8_t> scratch_;
  std::vector<std::shared_ptr<void>> graves_;
  bool stopped_ = false;
  std::mutex mutex_;  // of what follows
  std::vector<std::function<void()>> posted_;
};

// Activates an event in the next turn, when all others have had theirs. event_active() does not do
// that: libevent goes on until nothing is active, and who asks again and again would be the only
// one that it serves.
class NextTurn {
 public:
  // `what` is that of a readiness for both directions, and outlives this.
  NextTurn(Loop& loop, event& what) : loop_(loop), what_(what) {}
  ~NextTurn();
  NextTurn(const NextTurn&) = delete;
  NextTurn& operator=(const NextTurn&) = delete;

  void Ask();

 private:
  friend class Loop;
  static constexpr size_t kNone = SIZE_MAX;

  Loop& loop_;
  event& what_;
  size_t place_ = kNone;  // in Loop::next_
};

// Calls back once, a while after Set. Setting it again to a later time costs next to nothing: idle
// timeouts are set anew with every packet.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> callback);
  ~Timer() { Cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void Set(std::chrono::milliseconds after);
  void Cancel();
  bool pending() const { return deadline_ != Loop::Clock::time_point{}; }

 private:
  static void OnTime(int, short, void* self);
  void Arm(Loop::Clock::duration after);

  Loop& loop_;
  const std::function<void()> callback_;
  event event_{};
  Loop::Clock::time_point deadline_{};  // the epoch: not set
  Loop::Clock::time_point armed_{};     // when libevent calls; not later than deadline_
};

}  // namespace bridgehead::proxy
