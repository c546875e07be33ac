// What a client of HTTP/2 may have, and how fast: each limit against a known way to make a server
// work, or hold memory, for next to nothing.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "ctrl/proxy/net/loop.h"

namespace bridgehead::proxy {

// So much at once, and so much a second.
struct H2Rate {
  uint32_t burst, per_second;
};

struct H2Limits {
  static constexpr uint32_t kMaxStreams = 100;
  // What a client may send ahead of what is read: of each stream's body, and of all together. They
  // bound what a connection holds; one slow upstream does not stop the other streams' bodies.
  static constexpr int32_t kStreamWindow = 64 * 1024;
  static constexpr int32_t kConnectionWindow = 1024 * 1024;
  static constexpr uint32_t kHpackTable = 4096;  // in bytes, each direction
  // Fields of one head as they are sent; a table lets a byte stand for 4 KiB of them. A head beyond
  // RequestParser's limits is answered with 431, but is read to its end; beyond this one the
  // connection ends.
  static constexpr size_t kMaxHeadDecoded = 512 * 1024;
  // Frames of one head: HEADERS and these (CVE-2024-28182).
  static constexpr size_t kMaxContinuations = 4;
  // Streams that are reset before they are answered, by the client (CVE-2023-44487) or because of
  // what it sends.
  static constexpr H2Rate kResets{200, 20};
  // Frames that carry nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones.
  // Each frame of a body that is sent makes up for some of them: clients tell of what they have
  // taken for the stream and for the connection, and some do so for each 4 KiB.
  static constexpr H2Rate kEmptyFrames{1000, 100};
  static constexpr uint32_t kEmptyPerData = 2;
  static constexpr size_t kBytesPerEmpty = 2048;  // and one more for so many
  // Answers to PING and SETTINGS that wait because the client does not read.
  static constexpr size_t kMaxWaitingAcks = 100;
  static constexpr size_t kMaxSettings = 32;  // in one frame
  // Frames that wait to be sent: beyond that nothing more is read. More than a client makes the
  // edge send that does as it should, and less than the limits above leave one that does not.
  static constexpr size_t kMaxWaitingFrames = 256;
  static_assert(kMaxWaitingFrames > kMaxStreams + kMaxWaitingAcks);
  static_assert(kMaxWaitingFrames < kResets.burst + kMaxWaitingAcks);
  // Of a response's head, in bytes: what ResponseParser takes, and what the edge adds.
  static constexpr size_t kMaxSentHead = 128 * 1024;
};

class H2Allowance {
 public:
  H2Allowance(H2Rate rate, Loop::Clock::time_point now)
      : rate_(rate), left_(rate.burst), filled_(now) {}

  // False: too many.
  bool Take(Loop::Clock::time_point now) {
    if (left_ == 0) Refill(now);
    if (left_ == 0) return false;
    --left_;
    return true;
  }
  void Give(uint32_t count) { left_ = std::min(rate_.burst, left_ + count); }

 private:
  void Refill(Loop::Clock::time_point now) {
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now - filled_);
    // A minute fills it whatever the rate, and more would overflow.
    const auto ms = static_cast<uint64_t>(std::clamp<int64_t>(since.count(), 0, 60'000));
    const uint64_t more = ms * rate_.per_second / 1000;
    if (more == 0) return;
    filled_ = now;
    left_ = static_cast<uint32_t>(std::min<uint64_t>(rate_.burst, more));
  }

  const H2Rate rate_;
  uint32_t left_;
  Loop::Clock::time_point filled_;
};

}  // namespace bridgehead::proxy
