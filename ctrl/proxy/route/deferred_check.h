// Questions about a secret that must not be answered on the event loop: is this password right, is
// there a file of this name.
//
// A pool of threads answers. What was answered with yes is remembered for a while, by a keyed hash
// of the secret, so that the requests of one client do not ask again each time; a no is not
// remembered, or guessing would push the others out. Equal questions wait for one answer: a page's
// twenty requests cost one hash. Of one source few questions and few requests wait at a time: who
// guesses is not in others' way. A source is an IPv4 address or an IPv6 /64.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

#include "ctrl/proxy/route/worker_pool.h"

namespace bridgehead::proxy {

inline constexpr size_t kMaxRemembered = 4096;              // of one check
inline constexpr size_t kMaxWaitingRequests = 1024;         // of one check
inline constexpr size_t kMaxWaitingRequestsOfSource = 128;  // of these

class DeferredCheck {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // Runs a task on the loop's thread: Loop::Post.
  using Post = std::function<void(std::function<void()>)>;
  using Done = std::function<void(bool yes)>;
  enum class Answer {
    kYes,
    kNo,
    kLater,         // `done` will be called, on the loop's thread
    kBusy,          // too many questions are waiting: 503
    kBusyOfSource,  // too many of this source's are: 429
  };

  // `good_for`: how long a yes is believed. The pool must end before what `post` posts to does.
  DeferredCheck(WorkerPool& pool, Post post, std::chrono::milliseconds good_for);
  // Who still waits is not told.
  ~DeferredCheck();
  DeferredCheck(const DeferredCheck&) = delete;
  DeferredCheck& operator=(const DeferredCheck&) = delete;

  // On the loop's thread, for a client at `source`. `question` runs on another thread, once at most
  // for all who ask about the same `secret` meanwhile; it must not refer to what may be gone by
  // then. Never kNo.
  Answer Ask(std::string_view secret, const config::Address& source, Time now,
             std::function<bool()> question, Done done);

 private:
  struct State;
  WorkerPool& pool_;
  const Post post_;
  const std::chrono::milliseconds good_for_;
  const std::shared_ptr<State> state_;
};

}  // namespace bridgehead::proxy
