// Questions from the main thread to all workers, without waiting for them: one that is busy holds
// nobody up, and is reported as silent.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include <event2/event.h>

#include "absl/status/statusor.h"

namespace bridgehead::proxy {

class Surveys {
 public:
  static constexpr std::chrono::milliseconds kPatience{2000};
  // `silent`: of whom nothing has come in time.
  using Done = std::function<void(size_t silent)>;

  // On `base`, which outlives this, is the main thread. Error: the kernel has no more descriptors.
  static absl::StatusOr<std::unique_ptr<Surveys>> Create(event_base* base);
  ~Surveys();
  Surveys(const Surveys&) = delete;
  Surveys& operator=(const Surveys&) = delete;

  // On the main thread: `parts` answers are to come. Calls `done` there when they have, or after
  // `patience`; at once, from within, if there are none. Not at all once this is destroyed.
  uint64_t Begin(size_t parts, Done done, std::chrono::milliseconds patience = kPatience);
  // From any thread: runs `take` on the main thread, unless the survey is over.
  void Answer(uint64_t survey, std::function<void()> take);

 private:
  struct EventFree {
    void operator()(event* e) const { event_free(e); }
  };
  using Event = std::unique_ptr<event, EventFree>;
  struct Running {
    Surveys* owner = nullptr;
    uint64_t id = 0;
    size_t waiting = 0;
    Done done;
    Event patience;
  };
  struct Part {
    uint64_t survey;
    std::function<void()> take;
  };

  explicit Surveys(event_base* base) : base_(base) {}
  void OnAnswers();
  void End(uint64_t survey);

  event_base* const base_;
  int wake_fd_ = -1;
  Event wake_;
  uint64_t last_ = 0;
  std::map<uint64_t, Running> running_;
  std::mutex mutex_;
  std::vector<Part> answers_;  // those that have come and were not looked at
};

}  // namespace bridgehead::proxy
