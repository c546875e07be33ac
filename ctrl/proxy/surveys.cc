#include "ctrl/proxy/surveys.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include "fmt/format.h"

namespace bridgehead::proxy {

absl::StatusOr<std::unique_ptr<Surveys>> Surveys::Create(event_base* base) {
  std::unique_ptr<Surveys> surveys(new Surveys(base));
  surveys->wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (surveys->wake_fd_ < 0) {
    return absl::UnavailableError(fmt::format("edge: no eventfd: {}", strerror(errno)));
  }
  surveys->wake_.reset(event_new(
      base, surveys->wake_fd_, EV_READ | EV_PERSIST,
      [](int, short, void* self) { static_cast<Surveys*>(self)->OnAnswers(); }, surveys.get()));
  event_add(surveys->wake_.get(), nullptr);
  return surveys;
}

Surveys::~Surveys() {
  wake_.reset();
  if (wake_fd_ >= 0) close(wake_fd_);
}

uint64_t Surveys::Begin(size_t parts, Done done, std::chrono::milliseconds patience) {
  const uint64_t id = ++last_;
  if (parts == 0) {
    done(0);
    return id;
  }
  Running& running = running_[id];
  running = {this, id, parts, std::move(done), nullptr};
  running.patience.reset(evtimer_new(
      base_,
      [](int, short, void* late) {
        auto* survey = static_cast<Running*>(late);
        survey->owner->End(survey->id);
      },
      &running));
  const timeval wait{patience.count() / 1000, patience.count() % 1000 * 1000};
  evtimer_add(running.patience.get(), &wait);
  return id;
}

void Surveys::Answer(uint64_t survey, std::function<void()> take) {
  {
    const std::lock_guard lock(mutex_);
    answers_.push_back({survey, std::move(take)});
  }
  const uint64_t one = 1;
  // Full only when it is readable anyway.
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

void Surveys::OnAnswers() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof(count));
  std::vector<Part> answers;
  {
    const std::lock_guard lock(mutex_);
    answers.swap(answers_);
  }
  for (const Part& answer : answers) {
    const auto survey = running_.find(answer.survey);
    if (survey == running_.end()) continue;
    answer.take();
    if (--survey->second.waiting == 0) End(answer.survey);
  }
}

void Surveys::End(uint64_t survey) {
  // Out of the list first: who is called may begin another.
  const auto ended = running_.extract(survey);
  ended.mapped().done(ended.mapped().waiting);
}

}  // namespace bridgehead::proxy
