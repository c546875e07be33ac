// What is known of one bridge, and whether it takes new sessions. No I/O and no clock of its own.
// Of an upstream's server too, which has the first voice only.
//
// Three voices: the health check (up or down, slow to change its mind: rise and fall), the bridge
// itself (draining or not) and the operator (drained or not). Down outweighs draining, which
// outweighs up; each voice is remembered while another one is louder.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "relay/api/relay.pb.h"

namespace bridgehead::health {

// Why a check failed. Labels are part of the operator's interface: add, never rename.
enum class Failure : uint8_t {
  kRefused,      // nobody listens there
  kUnreachable,  // no way there
  kTimeout,      // no whole answer in time
  kClosed,       // the connection ended early
  kStatus,       // an answer that says no
  kMalformed,    // an answer that is none
  kTooLong,      // an answer without end
  kTls,          // a handshake that failed: a certificate that is not to be trusted
  kLocal,        // this machine could not ask: says nothing about the bridge
};
inline constexpr size_t kFailureCount = 9;
std::string_view Label(Failure failure);

struct CheckResult {
  std::optional<Failure> failure;  // none: good
  std::string reason;              // one line; empty when good
  std::chrono::microseconds took{0};
};

struct Thresholds {
  uint32_t rise = 2;  // good checks in a row until it is up again
  uint32_t fall = 3;  // failed ones until it is down
};

class BridgeState {
 public:
  using State = api::Bridge::State;

  BridgeState(Thresholds thresholds, uint64_t now_unix)
      : thresholds_(thresholds), since_unix_(now_unix) {}

  // Each says whether state() is another one now.
  bool NoteHealth(const CheckResult& result, uint64_t now_unix);
  bool NoteSaysDraining(bool draining, uint64_t now_unix);
  bool SetDrained(bool drained, uint64_t now_unix);

  // Holds from the next result on.
  void SetThresholds(Thresholds thresholds) { thresholds_ = thresholds; }

  State state() const;
  uint64_t since_unix() const { return since_unix_; }
  bool drained() const { return drained_; }
  bool says_draining() const { return says_draining_; }
  // Why it is not up, or what the last check found although it is; empty: nothing to say.
  std::string reason() const;

 private:
  bool Changed(State before, uint64_t now_unix);

  Thresholds thresholds_;
  uint64_t since_unix_;
  bool judged_ = false;  // not only assumed to be up any more
  bool down_ = false;
  uint32_t against_ = 0;    // results in a row that speak against down_
  std::string last_error_;  // of the last check; empty: it was good
  bool drained_ = false;
  bool says_draining_ = false;
};

}  // namespace bridgehead::health
