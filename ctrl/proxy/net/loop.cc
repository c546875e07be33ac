#include "ctrl/proxy/net/loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "ctrl/proxy/net/pipe.h"
#include "fmt/format.h"

namespace bridgehead::proxy {

absl::StatusOr<std::unique_ptr<Loop>> Loop::Create() {
  const auto failed = [] {
    return absl::UnavailableError(fmt::format("edge: no event loop: {}", strerror(errno)));
  };
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return failed();
  std::unique_ptr<Loop> loop(new Loop(epoll));
  loop->wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (loop->wake_fd_ < 0) return failed();
  loop->Watch(loop->wake_fd_, EPOLLIN, *loop);
  return loop;
}

Loop::Loop(int epoll) : epoll_(epoll), scratch_(kScratchBytes) {}

Loop::~Loop() {
  EmptyGraves();
  if (wake_fd_ >= 0) close(wake_fd_);
  close(epoll_);
}

void Loop::Run() {
  while (!stopped_) Turn(true);
}

void Loop::Turn(bool wait) {
  // Whoever asks again in this turn is called in the next one.
  const std::vector<Called> again = std::exchange(again_, {});
  std::array<epoll_event, kEventsPerTurn> events;
  const int timeout = !wait || !again.empty() ? 0 : MillisecondsToWait();
  // An error is EINTR: no events.
  const int count = epoll_wait(epoll_, events.data(), kEventsPerTurn, timeout);
  now_ = {};
  for (int i = 0; i < count; ++i) {
    const uint64_t key = events[i].data.u64;
    Tell({static_cast<int>(key >> 32), static_cast<uint32_t>(key)}, events[i].events);
  }
  for (const Called called : again) {
    Watched& watched = watched_[static_cast<size_t>(called.fd)];
    if (watched.generation != called.generation) continue;
    watched.again = false;
    Tell(called, 0);
  }
  RunTimers();
  EmptyGraves();
}

// By the time of the turn before: a timer is late by that turn's work at most.
int Loop::MillisecondsToWait() const {
  if (timers_.empty()) return -1;
  const auto left = timers_.begin()->first - (now_ == Clock::time_point{} ? Clock::now() : now_);
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  constexpr decltype(ms) kLongest = 60'000;  // epoll_wait takes an int
  return static_cast<int>(std::clamp<decltype(ms)>(ms, 0, kLongest));
}

void Loop::Tell(Called called, uint32_t events) {
  const Watched& watched = watched_[static_cast<size_t>(called.fd)];
  if (watched.generation != called.generation || watched.watcher == nullptr) return;
  watched.watcher->OnEvents(events);
}

void Loop::RunTimers() {
  // Of those that are set meanwhile none is due: they would keep the loop for themselves.
  for (size_t left = timers_.size(); left > 0 && !timers_.empty(); --left) {
    const auto first = timers_.begin();
    if (first->first > now()) return;
    Timer* timer = first->second;
    timers_.erase(first);
    timer->OnTime();
  }
}

// What dies may bury others.
void Loop::EmptyGraves() {
  while (!graves_.empty()) {
    std::vector<std::shared_ptr<void>> dead = std::exchange(graves_, {});
    dead.clear();
  }
}

Pipe* Loop::pipe() {
  if (!pipe_) pipe_ = Pipe::Create();
  return pipe_.get();
}

void Loop::Watch(int fd, uint32_t events, Watcher& watcher) {
  const auto index = static_cast<size_t>(fd);
  if (index >= watched_.size()) watched_.resize(index + 1);
  Watched& watched = watched_[index];
  const int operation = watched.watcher == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (operation == EPOLL_CTL_ADD) watched = {nullptr, watched.generation + 1};
  watched.watcher = &watcher;
  epoll_event event{};
  event.events = events;
  event.data.u64 = uint64_t{index} << 32 | watched.generation;
  // Fails without memory in the kernel: its timeouts end it.
  epoll_ctl(epoll_, operation, fd, &event);
}

void Loop::Again(int fd) {
  Watched& watched = watched_[static_cast<size_t>(fd)];
  if (watched.again) return;
  watched.again = true;
  again_.push_back({fd, watched.generation});
}

void Loop::Unwatch(int fd) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  Forget(fd);
}

void Loop::Forget(int fd) {
  watched_[static_cast<size_t>(fd)].watcher = nullptr;
}

void Loop::Stop() {
  Post([this] { stopped_ = true; });
}

void Loop::Post(std::function<void()> task) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    posted_.push_back(std::move(task));
  }
  const uint64_t one = 1;
  // Full only when it is readable anyway.
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

// Somebody has posted something.
void Loop::OnEvents(uint32_t) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof(count));
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    tasks.swap(posted_);
  }
  for (const auto& task : tasks) task();
}

void Timer::Set(std::chrono::milliseconds after) {
  deadline_ = loop_.now() + after;
  if (armed_ == Loop::Clock::time_point{} || deadline_ < armed_) Arm(deadline_);
}

void Timer::Arm(Loop::Clock::time_point at) {
  Disarm();
  armed_ = at;
  loop_.timers_.emplace(at, this);
}

void Timer::Disarm() {
  if (armed_ == Loop::Clock::time_point{}) return;
  loop_.timers_.erase({armed_, this});
  armed_ = {};
}

// The loop has taken it out.
void Timer::OnTime() {
  armed_ = {};
  if (!pending()) return;
  if (deadline_ > loop_.now()) return Arm(deadline_);
  deadline_ = {};
  callback_();
}

}  // namespace bridgehead::proxy
