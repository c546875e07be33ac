#include "relay/session/admission.h"

namespace bridgehead {
namespace {

// The prefix that shares a bucket.
uint64_t PrefixOf(const Ipv6Address& source) {
  constexpr uint64_t kIpv4Mask = 0x00ff'ffff'ffff'ffff;  // raw words: the last byte is on top
  return source.IsMapped() ? source.Low() & kIpv4Mask : source.High() & kIpv4Mask;
}

}  // namespace

Admission::Admission(const HashKey& key)
    : key_(key),
      seen_{HugeArray<uint64_t>(kFilterLines * kWordsPerLine),
            HugeArray<uint64_t>(kFilterLines * kWordsPerLine)},
      prefixes_(kPrefixes),
      requests_(kSources) {}

Drop Admission::Ask(const Ipv6Address& source, be16 port, uint16_t listener, uint32_t listener_rate,
                    const AdmissionLimits& limits, uint32_t now) {
  const uint64_t hash = HashWords(HashWords(source.High(), source.Low(), key_),
                                  static_cast<uint64_t>(listener) << 16 | port.Raw(), key_);
  // Always noted: what comes before the limit is reached is known when it is.
  const bool seen = SeenBefore(hash, now);
  if (!unproved_.Take(limits.unproved, now) && !seen) return Drop::kAskAgain;
  RateLimit& prefix = prefixes_[HashWords(PrefixOf(source), 0, key_) % kPrefixes];
  if (!prefix.Take(limits.per_prefix, now)) return Drop::kPrefixRate;
  if (!listeners_[listener].Take(listener_rate, now)) return Drop::kListenerRate;
  return Drop::kNone;
}

// Sources share their limits by hash. One of forged requests comes once, so that a flood takes from
// each limit only its rate divided by kSources: a million a second cost a stranger 15 requests a
// second. Confirmed clients are not asked here.
bool Admission::MayRequest(const Ipv6Address& source, const AdmissionLimits& limits, uint32_t now) {
  if (limits.requests_per_source == 0) return true;
  const uint64_t address = source.IsMapped() ? source.Low() : source.High();
  return requests_[HashWords(address, 1, key_) % kSources].Take(limits.requests_per_source, now);
}

bool Admission::SeenBefore(uint64_t hash, uint32_t now) {
  // The older filter is cleared piece by piece while it is the older one: no packet waits for all.
  if (now - turn_began_ >= kTurn) {
    HugeArray<uint64_t>& next = seen_[1 - current_];
    constexpr size_t kPiece = 4096;
    const size_t words = next.size();
    for (size_t end = std::min(words, to_clear_ + kPiece); to_clear_ < end; ++to_clear_) {
      next[to_clear_] = 0;
    }
    if (to_clear_ == words) {
      current_ = 1 - current_;
      turn_began_ = now;
      to_clear_ = 0;
    }
  }
  bool in_current = true;
  bool in_older = true;
  const size_t line = (hash >> 48) % kFilterLines * kWordsPerLine;
  for (int i = 0; i < kBitsPerSource; ++i) {
    const size_t bit = hash >> 9 * i & 511;
    const uint64_t mask = uint64_t{1} << bit % 64;
    uint64_t& word = seen_[current_][line + bit / 64];
    in_current = in_current && (word & mask) != 0;
    in_older = in_older && (seen_[1 - current_][line + bit / 64] & mask) != 0;
    word |= mask;
  }
  return in_current || in_older;
}

}  // namespace bridgehead
