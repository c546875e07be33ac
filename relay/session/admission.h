// How many new sessions strangers may ask for: what keeps a flood of forged requests from the
// table, the NAT ports and the bridges, while newcomers still get in. For one worker alone, in
// memory of a fixed size.
//
// Three limits, in this order:
//  - Beyond `unproved` new sessions a second, a request makes a session only when the same source
//    has asked within the last seconds. ICE repeats its checks every few ten to hundred
//    milliseconds (RFC 8445 section 14), so a newcomer is late by one repetition; a forged source
//    never comes twice. The memory of sources is a pair of Bloom filters that take turns, with all
//    bits of a source in one cache line. Under a million forged sources a second it takes one in a
//    few hundred for known: not more sessions than their pool holds for about a second.
//  - Each source prefix (IPv4 /24, IPv6 /56) has so many a second.
//  - So has each listener.
//
// The order matters: what the first limit stops uses up nothing of the others.
//
// Beside them each source address has so many STUN requests a second in all, whether they make
// sessions or belong to some. The XDP program counts the same where there is one.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "relay/api/counters.h"
#include "relay/net/address.h"
#include "relay/session/flow_table.h"
#include "relay/session/huge_array.h"
#include "relay/walk/drop.h"

namespace bridgehead {

// At most `rate` in one second of the clock.
class RateLimit {
 public:
  // `rate` 0: no limit. `now` in seconds.
  bool Take(uint32_t rate, uint32_t now) {
    if (rate == 0) return true;
    if (now != second_) {
      second_ = now;
      used_ = 0;
    }
    if (used_ >= rate) return false;
    ++used_;
    return true;
  }

 private:
  uint32_t second_ = 0;
  uint32_t used_ = 0;
};

// All per second and worker; 0: no limit.
struct AdmissionLimits {
  uint32_t unproved = 1000;          // new sessions before sources have to ask twice
  uint32_t per_prefix = 500;         // new sessions of one source prefix
  uint32_t requests_per_source = 0;  // STUN requests of one IPv4 address or IPv6 /64
};

class Admission {
 public:
  Admission() = default;
  explicit Admission(const HashKey& key);

  // Whether a well-formed request from `source` may make a session now: kNone, or which limit says
  // no. `listener`: number in the counter segment, with its own limit.
  Drop Ask(const Ipv6Address& source, be16 port, uint16_t listener, uint32_t listener_rate,
           const AdmissionLimits& limits, uint32_t now);

  // Whether `source` may send one more STUN request now.
  bool MayRequest(const Ipv6Address& source, const AdmissionLimits& limits, uint32_t now);

  size_t bytes() const {
    return seen_[0].bytes() + seen_[1].bytes() + prefixes_.bytes() + requests_.bytes();
  }

 private:
  static constexpr size_t kFilterLines = size_t{1} << 16;  // of 512 bits: 4 MiB
  static constexpr size_t kWordsPerLine = kCacheLine / sizeof(uint64_t);
  static constexpr int kBitsPerSource = 4;
  static constexpr size_t kPrefixes = size_t{1} << 16;  // prefixes share limits by hash
  static constexpr size_t kSources = size_t{1} << 16;   // likewise
  static constexpr uint32_t kTurn = 2;                  // seconds; a source is known for one or two

  bool SeenBefore(uint64_t hash, uint32_t now);

  HashKey key_;
  RateLimit unproved_;
  std::array<HugeArray<uint64_t>, 2> seen_;
  size_t current_ = 0;
  uint32_t turn_began_ = 0;
  size_t to_clear_ = 0;  // words of the filter that is next, not yet cleared
  HugeArray<RateLimit> prefixes_;
  HugeArray<RateLimit> requests_;
  std::array<RateLimit, kMaxListeners> listeners_;
};

}  // namespace bridgehead
