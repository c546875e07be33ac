#include "ctrl/proxy/route/worker_pool.h"

#include <utility>

namespace bridgehead::proxy {

WorkerPool::WorkerPool(size_t threads, Limits limits) : limits_(limits) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

void WorkerPool::End() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

WorkerPool::Submitted WorkerPool::Submit(const config::Address& source,
                                         std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || waiting_.size() >= limits_.waiting) return Submitted::kFull;
    size_t& of_source = of_source_[source];
    if (of_source >= limits_.of_source) return Submitted::kFullOfSource;
    ++of_source;
    waiting_.push_back({source, std::move(task)});
  }
  changed_.notify_one();
  return Submitted::kYes;
}

void WorkerPool::Forget(const config::Address& source) {
  const auto found = of_source_.find(source);
  if (--found->second == 0) of_source_.erase(found);
}

void WorkerPool::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
    if (ended_) return;
    Task task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    task.run();
    task.run = nullptr;  // what it holds goes without the lock
    lock.lock();
    Forget(task.source);
  }
}

}  // namespace bridgehead::proxy
