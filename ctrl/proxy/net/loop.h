// One thread's event loop: readiness of file descriptors, timers, and work from other threads.
//
// On epoll itself. libevent tells of a reset as of a socket that can be read and written, which
// every socket with bytes in it is: each read would take a second one, to see whether an end stands
// behind the bytes. That was half of all system calls of a request.
//
// Everything made with a loop is used and destroyed on its thread only; Post and Stop are the
// exceptions.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/statusor.h"

namespace bridgehead::proxy {

class Pipe;
class Timer;

// What a loop tells of its file descriptor.
class Watcher {
 public:
  // `events`: EPOLLIN and so on; 0: asked for by Loop::Again.
  virtual void OnEvents(uint32_t events) = 0;

 protected:
  ~Watcher() = default;
};

class Loop final : private Watcher {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kScratchBytes = 64 * 1024;
  static constexpr int kEventsPerTurn = 256;

  // Error: the kernel has no more descriptors.
  static absl::StatusOr<std::unique_ptr<Loop>> Create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Until Stop(), which is for good.
  void Run();
  // One turn, which does not wait.
  void Poll() { Turn(false); }
  // From any thread.
  void Stop();
  // Runs `task` on the loop's thread. From any thread; tasks keep their order.
  void Post(std::function<void()> task);

  // Tells `watcher` of `events` of `fd`, as epoll_ctl(2) has them, from the next turn on. Of one
  // that is watched already: of others than before.
  void Watch(int fd, uint32_t events, Watcher& watcher);
  // The next turn calls the watcher, whatever happens.
  void Again(int fd);
  void Unwatch(int fd);
  // Instead, if it is closed at once: the kernel forgets it then.
  void Forget(int fd);

  // Read once in each turn of the loop: as old as the work of one turn at most.
  Clock::time_point now() {
    if (now_ == Clock::time_point{}) now_ = Clock::now();
    return now_;
  }
  // For use within one callback: whoever calls others meanwhile must not rely on its content.
  std::span<uint8_t> scratch() { return scratch_; }
  // For use within one callback, which leaves it empty. Null: there is none.
  Pipe* pipe();
  // Destroys `object` when the running callbacks have returned: for what must not destroy itself.
  // From callbacks of this loop, or when it has ended.
  template <typename T>
  void Bury(std::unique_ptr<T> object) {
    graves_.push_back(std::shared_ptr<void>(std::move(object)));
  }

 private:
  friend class Timer;
  // Of one file descriptor. What the kernel tells of one that was closed meanwhile has another
  // generation.
  struct Watched {
    Watcher* watcher = nullptr;
    uint32_t generation = 0;
    bool again = false;  // in again_
  };
  struct Called {
    int fd;
    uint32_t generation;
  };

  explicit Loop(int epoll);
  void OnEvents(uint32_t events) override;
  void Turn(bool wait);
  int MillisecondsToWait() const;
  void Tell(Called called, uint32_t events);
  void RunTimers();
  void EmptyGraves();

  const int epoll_;
  int wake_fd_ = -1;
  std::vector<Watched> watched_;  // by file descriptor
  std::vector<Called> again_;
  absl::btree_set<std::pair<Clock::time_point, Timer*>> timers_;
  Clock::time_point now_{};  // the epoch: not read in this turn
  std::vector<uint8_t> scratch_;
  std::unique_ptr<Pipe> pipe_;
  std::vector<std::shared_ptr<void>> graves_;
  bool stopped_ = false;
  std::mutex mutex_;  // of what follows
  std::vector<std::function<void()>> posted_;
};

// Calls back once, a while after Set. Setting it again to a later time costs next to nothing: idle
// timeouts are set anew with every packet. Nor does Cancel: the loop looks at it once more.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> callback) : loop_(loop), callback_(std::move(callback)) {}
  ~Timer() { Disarm(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void Set(std::chrono::milliseconds after);
  void Cancel() { deadline_ = {}; }
  bool pending() const { return deadline_ != Loop::Clock::time_point{}; }

 private:
  friend class Loop;
  void OnTime();
  void Arm(Loop::Clock::time_point at);
  void Disarm();

  Loop& loop_;
  const std::function<void()> callback_;
  Loop::Clock::time_point deadline_{};  // the epoch: not set
  Loop::Clock::time_point armed_{};     // when the loop looks at it; not later than deadline_
};

}  // namespace bridgehead::proxy
