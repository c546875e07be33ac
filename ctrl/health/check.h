// One question to a bridge or an upstream's server over a socket of its own, and the answer: what
// all checks have in common. The whole of it, from connect to the answer's last byte, has one
// deadline, and nothing of it waits: who is asked may be somebody else by now, and ill-disposed.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <event2/event.h>
#include <sys/socket.h>

#include "ctrl/config/address.h"
#include "ctrl/health/state.h"
#include "ctrl/health/tls_filter.h"

namespace bridgehead::health {

// How a question gets to whom it is for.
struct Way {
  config::Endpoint to;     // one port
  int type = SOCK_STREAM;  // or SOCK_DGRAM
  // Of SOCK_STREAM:
  std::string greeting;  // sent in front of all else, TLS included: a PROXY header
  NewTls tls;            // asked in each check; none: cleartext
};

class Check {
 public:
  // Of one check over TLS, in bytes: the 100 KB of certificates that OpenSSL takes at most, and the
  // head of an answer, have room in it.
  static constexpr size_t kMaxTlsBytes = 192 * 1024;

  // `body`: of the answer, where a check has one. Called once for each Start, from within it or
  // later; must not destroy the check.
  using Done = std::function<void(const CheckResult& result, const std::string& body)>;

  virtual ~Check();  // a check that runs is given up, without a word
  Check(const Check&) = delete;
  Check& operator=(const Check&) = delete;

  // Asks. Not while the last question still waits for its answer.
  void Start();

 protected:
  Check(event_base* base, Way way, std::chrono::milliseconds timeout, Done done);

  // What to send once connected (and encrypted, where it is to be), a kilobyte or two at most.
  // Empty: there is nothing to ask, and that was good.
  virtual std::string Question() = 0;
  // More of the answer; for a datagram all of one. Calls Finish when it is whole.
  virtual void OnData(const char* data, size_t size) = 0;
  // The other side has closed.
  virtual void OnEnd() = 0;
  // What there was of the answer is not wanted any more.
  virtual void OnFinished() {}
  // What there is of the answer when the time is over, in words. Not asked about TLS.
  virtual std::string WhenLate() const = 0;

  void Good(const std::string& body = "") { Finish(std::nullopt, "", body); }
  void Fail(Failure failure, const std::string& reason) { Finish(failure, reason, ""); }

 private:
  struct FreeEvent {
    void operator()(event* e) const { event_free(e); }
  };

  void Finish(std::optional<Failure> failure, const std::string& reason, const std::string& body);
  void FailWith(int error);
  void OnLate();
  void OnWritable();
  void OnReadable();
  void OnClosed();
  void Decrypt(std::string_view bytes);
  void Ask();
  bool Send(std::string_view bytes);
  void Wait(short what);
  void Close();

  event_base* const base_;
  const Way way_;
  const std::chrono::milliseconds timeout_;
  const Done done_;
  int fd_ = -1;
  std::string question_;
  std::unique_ptr<TlsFilter> tls_;  // while it is spoken
  size_t tls_bytes_ = 0;            // received
  bool asked_ = false;
  std::unique_ptr<event, FreeEvent> ready_;
  std::unique_ptr<event, FreeEvent> deadline_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace bridgehead::health
