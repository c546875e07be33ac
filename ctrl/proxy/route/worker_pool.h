// Threads for what takes too long for an event loop: hashing passwords, looking for files.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace bridgehead::proxy {

class WorkerPool {
 public:
  // `threads`: 1 or more; they run where the calling thread may, so not on a loop's core if that is
  // the main thread. `max_waiting`: tasks that no thread has begun with.
  WorkerPool(size_t threads, size_t max_waiting);
  // Waits for tasks that have begun; the others are dropped.
  ~WorkerPool() { End(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Before what tasks use goes: as the destructor, and no task is taken any more.
  void End();
  // From any thread. False: too many are waiting, and `task` will not run.
  [[nodiscard]] bool Submit(std::function<void()> task);

 private:
  void Work();

  const size_t max_waiting_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool ended_ = false;
  std::vector<std::thread> threads_;  // last: they use all of the above
};

}  // namespace bridgehead::proxy
