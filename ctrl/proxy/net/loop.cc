#include "ctrl/proxy/net/loop.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace bridgehead::proxy {

absl::StatusOr<std::unique_ptr<Loop>> Loop::Create() {
  event_config* config = event_config_new();
  // One thread uses it; others come by the eventfd.
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_O1);
  event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  if (base == nullptr) return absl::UnavailableError("edge: no event loop can be made");
  std::unique_ptr<Loop> loop(new Loop(base));
  loop->wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (loop->wake_fd_ < 0) {
    return absl::UnavailableError(fmt::format("edge: no event loop: {}", strerror(errno)));
  }
  event_assign(
      &loop->wake_, base, loop->wake_fd_, EV_READ | EV_PERSIST,
      [](int, short, void* self) { static_cast<Loop*>(self)->RunPosted(); }, loop.get());
  event_add(&loop->wake_, nullptr);
  evtimer_assign(
      &loop->activate_, base,
      [](int, short, void* self) { static_cast<Loop*>(self)->ActivateNext(); }, loop.get());
  return loop;
}

Loop::~Loop() {
  Turn();
  if (wake_fd_ >= 0) {
    event_del(&wake_);
    event_del(&activate_);
    close(wake_fd_);
  }
  event_base_free(base_);
}

void Loop::Run() {
  while (!stopped_) {
    if (event_base_loop(base_, EVLOOP_ONCE) != 0) break;
    Turn();
  }
}

void Loop::RunReady() {
  event_base_loop(base_, EVLOOP_NONBLOCK);
  Turn();
}

// After the callbacks of one turn. What dies may bury others.
void Loop::Turn() {
  while (!graves_.empty()) {
    std::vector<std::shared_ptr<void>> dead = std::exchange(graves_, {});
    dead.clear();
  }
  now_ = {};
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

void Loop::RunPosted() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof(count));
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    tasks.swap(posted_);
  }
  for (const auto& task : tasks) task();
}

void Loop::ActivateNext() {
  activated_.swap(next_);
  for (NextTurn* asked : activated_) {
    if (asked == nullptr) continue;
    asked->place_ = NextTurn::kNone;
    event_active(&asked->what_, EV_READ | EV_WRITE, 0);
  }
  activated_.clear();
}

NextTurn::~NextTurn() {
  if (place_ != kNone) loop_.next_[place_] = nullptr;
}

void NextTurn::Ask() {
  if (place_ != kNone) return;
  place_ = loop_.next_.size();
  loop_.next_.push_back(this);
  const timeval now{0, 0};
  if (place_ == 0) event_add(&loop_.activate_, &now);
}

Timer::Timer(Loop& loop, std::function<void()> callback)
    : loop_(loop), callback_(std::move(callback)) {
  evtimer_assign(&event_, loop.base(), OnTime, this);
}

void Timer::Set(std::chrono::milliseconds after) {
  deadline_ = loop_.now() + after;
  if (armed_ == Loop::Clock::time_point{} || deadline_ < armed_) Arm(after);
}

void Timer::Cancel() {
  deadline_ = {};
  if (armed_ != Loop::Clock::time_point{}) event_del(&event_);
  armed_ = {};
}

void Timer::Arm(Loop::Clock::duration after) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(after).count();
  const timeval wait{us / 1'000'000, us % 1'000'000};
  event_add(&event_, &wait);
  armed_ = loop_.now() + after;
}

void Timer::OnTime(int, short, void* self) {
  auto* timer = static_cast<Timer*>(self);
  timer->armed_ = {};
  if (!timer->pending()) return;
  const auto left = timer->deadline_ - Loop::Clock::now();
  if (left > Loop::Clock::duration{}) {
    timer->Arm(left);
    return;
  }
  timer->deadline_ = {};
  timer->callback_();
}

}  // namespace bridgehead::proxy
