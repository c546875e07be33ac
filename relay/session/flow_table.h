// From a packet's hash to a flow: a cuckoo table of one-cache-line buckets, for one worker alone.
//
// A bucket holds eight 16-bit tags and the eight values they stand for, so a lookup reads one line,
// compares all tags at once, and goes on to the flow itself, whose key decides. An entry lives in
// its first bucket or in the one that its tag leads to from there (partial-key cuckoo hashing, Fan
// et al., NSDI 2013 "MemC3"): moving an entry needs no key. The hash is keyed, so nobody outside
// can aim at one bucket. Memory: 64 bytes for eight entries.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include <emmintrin.h>

#include "relay/net/family.h"
#include "relay/session/huge_array.h"
#include "relay/session/place.h"

namespace bridgehead {

struct HashKey {
  uint64_t first = 0x9e3779b97f4a7c15;
  uint64_t second = 0xd6e8feb86659fd93;
};

// 64x64 to 128-bit multiplication, folded. Keyed: an attacker who does not know `key` can not
// choose inputs that collide.
inline uint64_t HashWords(uint64_t a, uint64_t b, const HashKey& key) {
  unsigned __int128 product =
      static_cast<unsigned __int128>(a ^ key.first) * (b ^ std::rotl(a, 32) ^ key.second);
  uint64_t folded = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  return folded * 0x9e3779b97f4a7c15 ^ folded >> 32;
}

inline uint64_t HashFlow(const FlowKey<Ipv4>& flow, const HashKey& key) {
  uint64_t addresses;
  uint32_t ports;
  memcpy(&addresses, &flow, 8);
  memcpy(&ports, reinterpret_cast<const char*>(&flow) + 8, 4);
  return HashWords(addresses, static_cast<uint64_t>(ports) << 32 | ports, key);
}

// IPv6: the client, and the place that it talks to or that answers it, stand for the whole tuple.
inline uint64_t HashEndpoints(const Ipv6Address& client, be16 client_port, Place place,
                              be16 place_port, const HashKey& key) {
  uint64_t rest = static_cast<uint64_t>(client_port.Raw()) << 32 |
                  static_cast<uint64_t>(place) << 16 | place_port.Raw();
  return HashWords(HashWords(client.High(), client.Low(), key), rest, key);
}

class FlowTable {
 public:
  static constexpr uint32_t kNone = 0xffff'ffff;
  static constexpr size_t kSlots = 8;

  FlowTable() = default;
  // Room for `entries` at a load of at most 3/4: then hardly any lie in their second bucket, which
  // is a cache line that nobody has asked for in time.
  explicit FlowTable(size_t entries) : buckets_((entries + entries / 3) / kSlots + 1) {}

  void Prefetch(uint64_t hash) const { __builtin_prefetch(&buckets_[First(hash)]); }

  // The first value whose tag matches, or kNone. Not yet a hit: the caller compares the flow's key,
  // and on a difference calls Find.
  uint32_t Candidate(uint64_t hash) const {
    const size_t index = First(hash);
    const Bucket& bucket = buckets_[index];
    uint32_t matches = bucket.Matches(Tag(hash));
    if (matches != 0) [[likely]]
      return bucket.values[std::countr_zero(matches)];
    const Bucket& other = buckets_[Other(index, Tag(hash))];
    matches = other.Matches(Tag(hash));
    return matches != 0 ? other.values[std::countr_zero(matches)] : kNone;
  }

  // The value with this tag for which `is_it(value)` holds, or kNone.
  template <class IsIt>
  uint32_t Find(uint64_t hash, IsIt&& is_it) const {
    uint16_t tag = Tag(hash);
    size_t index = First(hash);
    for (size_t bucket : {index, Other(index, tag)}) {
      uint32_t matches = buckets_[bucket].Matches(tag);
      for (; matches != 0; matches &= matches - 1) {
        uint32_t value = buckets_[bucket].values[std::countr_zero(matches)];
        if (is_it(value)) return value;
      }
    }
    return kNone;
  }

  // False: no room found within a bounded number of moves; the table is then as before.
  bool Insert(uint64_t hash, uint32_t value) {
    uint16_t tag = Tag(hash);
    size_t index = First(hash);
    if (Place(index, tag, value) || Place(Other(index, tag), tag, value)) return true;
    return Displace(index, tag, value);
  }

  bool Erase(uint64_t hash, uint32_t value) {
    uint16_t tag = Tag(hash);
    size_t index = First(hash);
    for (size_t bucket : {index, Other(index, tag)}) {
      Bucket& b = buckets_[bucket];
      for (uint32_t matches = b.Matches(tag); matches != 0; matches &= matches - 1) {
        auto slot = static_cast<size_t>(std::countr_zero(matches));
        if (b.values[slot] != value) continue;
        b.tags[slot] = 0;
        return true;
      }
    }
    return false;
  }

  size_t bytes() const { return buckets_.bytes(); }

 private:
  struct alignas(64) Bucket {
    uint16_t tags[kSlots];  // 0: free
    uint32_t values[kSlots];

    // One bit for each slot whose tag is `tag`.
    uint32_t Matches(uint16_t tag) const {
      __m128i all = _mm_load_si128(reinterpret_cast<const __m128i*>(tags));
      __m128i equal = _mm_cmpeq_epi16(all, _mm_set1_epi16(static_cast<int16_t>(tag)));
      return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())));
    }
  };
  static_assert(sizeof(Bucket) == 64);

  static uint16_t Tag(uint64_t hash) { return static_cast<uint16_t>(hash >> 48) | 1; }
  // Of 32 even bits and a number of buckets that need be no power of two.
  size_t Scaled(uint32_t bits) const { return bits * buckets_.size() >> 32; }
  size_t First(uint64_t hash) const { return Scaled(static_cast<uint32_t>(hash)); }
  // Leads back as well: the two add up to what the tag names, modulo the number of buckets.
  size_t Other(size_t index, uint16_t tag) const {
    const size_t sum = Scaled(tag * 0x9e3779b1U);
    return sum >= index ? sum - index : sum + buckets_.size() - index;
  }

  bool Place(size_t index, uint16_t tag, uint32_t value) {
    Bucket& bucket = buckets_[index];
    uint32_t free = bucket.Matches(0);
    if (free == 0) return false;
    auto slot = static_cast<size_t>(std::countr_zero(free));
    bucket.values[slot] = value;
    bucket.tags[slot] = tag;
    return true;
  }

  // Random walk: puts the entry in the place of another, which moves to its other bucket, and so
  // on.
  bool Displace(size_t index, uint16_t tag, uint32_t value) {
    struct Step {
      size_t bucket;
      size_t slot;
    };
    std::array<Step, 128> path;
    for (size_t step = 0; step < path.size(); ++step) {
      random_ = random_ * 6364136223846793005u + 1442695040888963407u;
      size_t slot = random_ >> 61;
      path[step] = {index, slot};
      std::swap(buckets_[index].tags[slot], tag);
      std::swap(buckets_[index].values[slot], value);
      index = Other(index, tag);
      if (Place(index, tag, value)) return true;
    }
    for (size_t step = path.size(); step-- > 0;) {
      std::swap(buckets_[path[step].bucket].tags[path[step].slot], tag);
      std::swap(buckets_[path[step].bucket].values[path[step].slot], value);
    }
    return false;
  }

  HugeArray<Bucket> buckets_;
  uint64_t random_ = 1;
};

}  // namespace bridgehead
