// A worker with established sessions and packets of them, all in memory: what the benchmarks of the
// walk share.
//
// A burst goes through the stages one by one, as Walk::RunBurst joins them, or through the walk
// itself. Frames are made anew for each burst, so that every packet is parsed, found and rewritten
// as from the wire.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "relay/net/family.h"
#include "relay/walk/walk.h"

namespace bridgehead::bench {

enum class Stage : uint8_t {
  kParse,      // walk/parse.h
  kSteer,      // walk/steer.h, and the look-up's first round: hash, prefetch
  kCandidate,  // walk/lookup.h: bucket or NAT slot read, flow prefetched
  kConfirm,    // walk/lookup.h: the flow's key compared
  kRewrite,    // walk/rewrite.h: headers, checksums, Ethernet
  kWalk,       // all of them and what Walk does between: limits, states, counters
};
inline constexpr std::array kStages = {Stage::kParse,   Stage::kSteer,   Stage::kCandidate,
                                       Stage::kConfirm, Stage::kRewrite, Stage::kWalk};
std::string_view Name(Stage stage);

// What makes a session and confirms it (relay/walk/admit.h).
enum class Opening : uint8_t {
  kRequest,      // a STUN request of a client that has no session
  kAnswer,       // the bridge's answer to it
  kNextRequest,  // the client's next one
};

class WalkRig {
 public:
  struct Options {
    size_t sessions = 1024;
    size_t room = 0;  // for sessions beside these
    bool source_nat = true;
    bool ipv6 = false;
  };

  // Throws std::runtime_error when the sessions can not be made.
  static std::unique_ptr<WalkRig> Make(const Options& options);
  virtual ~WalkRig() = default;

  // The next burst: packets of these kBurst sessions, alternately to the bridge and to the client.
  virtual void Fill(const uint32_t* sessions) = 0;
  // The next burst: packets of one of a session's first steps for kBurst sessions beside those that
  // there are. All three in turn, each through the walk, are to be taken of the same ones.
  virtual void FillOpening(Opening step) = 0;
  // Takes the burst through one stage, all of those before it having been through.
  virtual void Run(Stage stage) = 0;
  // Throws std::logic_error unless all of the burst has been forwarded. After kRewrite or kWalk.
  virtual void Check() const = 0;
  // What a worker does between two polls: ends what has been idle for too long, a bounded piece of
  // it. The clock is `seconds` after the last packet's.
  virtual void Advance(uint32_t seconds) = 0;
  virtual size_t active_sessions() const = 0;
  // Of all tables together.
  virtual size_t bytes() const = 0;
};

}  // namespace bridgehead::bench
