// Threads for what takes too long for an event loop: hashing passwords, looking for files.
//
// Who asks pays nothing, and strangers may ask: so a source has a few tasks in the queue at most,
// and cannot fill it alone.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "ctrl/config/address.h"

namespace bridgehead::proxy {

class WorkerPool {
 public:
  struct Limits {
    size_t waiting = 0;    // tasks that no thread has begun with
    size_t of_source = 0;  // tasks of one source that have not ended
  };
  enum class Submitted { kYes, kFull, kFullOfSource };

  // `threads`: 1 or more; they run where the calling thread may, so not on a loop's core if that is
  // the main thread.
  WorkerPool(size_t threads, Limits limits);
  // Waits for tasks that have begun; the others are dropped.
  ~WorkerPool() { End(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Before what tasks use goes: as the destructor, and no task is taken any more.
  void End();
  // From any thread. Of another answer than kYes: `task` will not run. `source`: of whom it is.
  [[nodiscard]] Submitted Submit(const config::Address& source, std::function<void()> task);

 private:
  struct Task {
    config::Address source;
    std::function<void()> run;
  };
  void Work();
  void Forget(const config::Address& source);

  const Limits limits_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<Task> waiting_;
  absl::flat_hash_map<config::Address, size_t> of_source_;  // tasks that have not ended
  bool ended_ = false;
  std::vector<std::thread> threads_;  // last: they use all of the above
};

// Those of the edge. Apart: a token costs next to nothing, and does not wait for passwords, which
// take tenths of a second on purpose.
struct CheckPools {
  static constexpr WorkerPool::Limits kPasswords{256, 8}, kTokens{256, 32};

  void End() {
    passwords.End();
    tokens.End();
  }
  WorkerPool passwords{2, kPasswords};
  WorkerPool tokens{1, kTokens};
};

}  // namespace bridgehead::proxy
