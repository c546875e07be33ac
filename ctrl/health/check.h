// One question to a bridge over a socket of its own, and the answer: what HTTP and STUN checks have
// in common. The whole of it, from connect to the answer's last byte, has one deadline.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <event2/event.h>

#include "ctrl/config/address.h"
#include "ctrl/health/state.h"

namespace bridgehead::health {

class Check {
 public:
  // `body`: of the answer, where a check has one. Called once for each Start, from within it or
  // later; must not destroy the check.
  using Done = std::function<void(const CheckResult& result, const std::string& body)>;

  virtual ~Check();  // a check that runs is given up, without a word
  Check(const Check&) = delete;
  Check& operator=(const Check&) = delete;

  // Asks. Not while the last question still waits for its answer.
  void Start();

 protected:
  // `to` has one port; `type` is SOCK_STREAM or SOCK_DGRAM.
  Check(event_base* base, const config::Endpoint& to, int type, std::chrono::milliseconds timeout,
        Done done);

  // What to send once connected, a kilobyte or two at most.
  virtual std::string Question() = 0;
  // More of the answer; for a datagram all of one. Calls Finish when it is whole.
  virtual void OnData(const char* data, size_t size) = 0;
  // The other side has closed.
  virtual void OnEnd() = 0;
  // What there was of the answer is not wanted any more.
  virtual void OnFinished() {}
  // What there is of the answer when the time is over, in words.
  virtual std::string WhenLate() const = 0;

  void Good(const std::string& body = "") { Finish(std::nullopt, "", body); }
  void Fail(Failure failure, const std::string& reason) { Finish(failure, reason, ""); }

 private:
  struct FreeEvent {
    void operator()(event* e) const { event_free(e); }
  };

  void Finish(std::optional<Failure> failure, const std::string& reason, const std::string& body);
  void FailWith(int error);
  void OnWritable();
  void OnReadable();
  void Wait(short what);
  void Close();

  event_base* const base_;
  const config::Endpoint to_;
  const int type_;
  const std::chrono::milliseconds timeout_;
  const Done done_;
  int fd_ = -1;
  std::string question_;
  std::unique_ptr<event, FreeEvent> ready_;
  std::unique_ptr<event, FreeEvent> deadline_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace bridgehead::health
