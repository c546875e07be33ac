// The relay ports that stand for clients towards bridges (source NAT): one worker's partition of
// `nat_ports` on every NAT address.
//
// - A reply's (NAT address, port) indexes an array that names the session: no hash.
// - A port belongs to one session at a time; to those that one bridge port has opened to several
//   others, it belongs in common, so that the mapping is the same whatever the destination (RFC
//   4787 REQ-1).
// - The first choice is a function of the client's tuple and the bridge alone, so that a client who
//   comes to a relay that was restarted gets its port again if nobody else has it. One client
//   address stays on one NAT address while that has free ports (RFC 4787 REQ-2, "paired").
// - The port of a confirmed session rests when it is freed: the bridge still takes what comes from
//   it for the old client (RFC 4787 and RFC 7857 leave the time open; the bridge's own expiry asks
//   for two minutes). Others are free at once, or a flood of forged requests would use all ports
//   up.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "relay/session/huge_array.h"

namespace bridgehead {

// The part of [first, last] that worker `worker` of `workers` owns. Contiguous, so that a NIC can
// steer it by one rule.
struct PortPartition {
  uint16_t first = 0;
  uint32_t count = 0;
};

constexpr PortPartition PartitionOf(uint16_t first, uint16_t last, size_t worker, size_t workers) {
  uint32_t all = static_cast<uint32_t>(last) - first + 1;
  auto begin = static_cast<uint32_t>(uint64_t{all} * worker / workers);
  auto end = static_cast<uint32_t>(uint64_t{all} * (worker + 1) / workers);
  return {static_cast<uint16_t>(first + begin), end - begin};
}

class NatPorts {
 public:
  static constexpr uint32_t kNone = 0xffff'ffff;

  struct Binding {
    uint16_t address = 0;  // number of the NAT address
    uint16_t port = 0;     // host order
  };

  NatPorts() : NatPorts(0, {}) {}
  NatPorts(size_t addresses, PortPartition partition)
      : partition_(partition),
        words_(partition.count / 64 + (partition.count % 64 != 0)),
        full_words_(words_ / 64 + (words_ % 64 != 0)),
        sessions_(addresses * partition.count + 1),  // the last one: nobody's
        taken_(addresses * words_),
        full_(addresses * full_words_),
        free_(addresses, partition.count),
        resting_(addresses * partition.count) {
    for (size_t i = 0; i < sessions_.size(); ++i) sessions_[i] = kNone;
    // Bits past the ends count as taken, and as full.
    for (size_t a = 0; a < addresses; ++a) {
      if (partition.count % 64 != 0) {
        taken_[(a + 1) * words_ - 1] = ~uint64_t{0} << partition.count % 64;
      }
      if (words_ % 64 != 0) full_[(a + 1) * full_words_ - 1] = ~uint64_t{0} << words_ % 64;
    }
  }

  // The free port nearest after the one that the hashes name; nullopt when the partition is used
  // up. `address_hash` depends on the client's address alone. `candidates`: numbers of the NAT
  // addresses to choose from, those of the bridge's family.
  std::optional<Binding> Allocate(std::span<const uint16_t> candidates, uint32_t address_hash,
                                  uint64_t flow_hash, uint32_t session) {
    for (size_t tried = 0; tried < candidates.size(); ++tried) {
      size_t address = candidates[(address_hash + tried) % candidates.size()];
      if (free_[address] == 0) continue;
      auto start = static_cast<uint32_t>((flow_hash >> 32) * partition_.count >> 32);
      const uint32_t offset = FindFree(address, start);
      Take(address, offset);
      sessions_[address * partition_.count + offset] = session;
      ++in_use_;
      return Binding{static_cast<uint16_t>(address),
                     static_cast<uint16_t>(partition_.first + offset)};
    }
    return std::nullopt;
  }

  // Where `port` on NAT address `address` is in the table; the slot of nobody for ports outside the
  // partition.
  size_t Slot(size_t address, uint16_t port) const {
    const uint32_t offset = static_cast<uint32_t>(port) - partition_.first;
    return offset < partition_.count ? address * partition_.count + offset : sessions_.size() - 1;
  }
  void Prefetch(size_t slot) const { __builtin_prefetch(&sessions_[slot]); }
  // The session that the port of this slot stands for, or kNone.
  uint32_t At(size_t slot) const { return sessions_[slot]; }
  uint32_t Lookup(size_t address, uint16_t port) const { return At(Slot(address, port)); }

  // Frees the port at once: its session was never confirmed.
  void Release(Binding binding) {
    const uint32_t offset = static_cast<uint32_t>(binding.port) - partition_.first;
    sessions_[binding.address * partition_.count + offset] = kNone;
    Give(binding.address, offset);
    --in_use_;
  }

  // Puts the port to rest before it is free again. `now` in seconds.
  void Retire(Binding binding, uint32_t now) {
    auto slot =
        static_cast<uint32_t>(binding.address * partition_.count + binding.port - partition_.first);
    sessions_[slot] = kNone;
    --in_use_;
    resting_[(rest_first_ + rest_count_) % resting_.size()] = {slot, static_cast<uint16_t>(now)};
    ++rest_count_;
  }

  // Frees at most `budget` ports that have rested for `quarantine` seconds.
  void Advance(uint32_t now, uint32_t quarantine, size_t budget) {
    for (; budget > 0 && rest_count_ > 0; --budget) {
      const Resting& oldest = resting_[rest_first_];
      if (static_cast<uint16_t>(now - oldest.since) < quarantine) return;
      Give(oldest.slot / partition_.count, oldest.slot % partition_.count);
      rest_first_ = (rest_first_ + 1) % resting_.size();
      --rest_count_;
    }
  }

  size_t in_use() const { return in_use_; }
  size_t quarantined() const { return rest_count_; }
  size_t bytes() const {
    return sessions_.bytes() + taken_.bytes() + full_.bytes() + free_.size() * sizeof(free_[0]) +
           resting_.bytes();
  }

 private:
  // Packed: there is one for each port.
  struct [[gnu::packed]] Resting {
    uint32_t slot = 0;
    uint16_t since = 0;  // seconds of the clock, its lower half
  };

  void Take(size_t address, uint32_t offset) {
    uint64_t& word = taken_[address * words_ + offset / 64];
    word |= uint64_t{1} << offset % 64;
    if (word == ~uint64_t{0}) full_[FullWord(address, offset)] |= FullBit(offset);
    --free_[address];
  }
  void Give(size_t address, uint32_t offset) {
    taken_[address * words_ + offset / 64] &= ~(uint64_t{1} << offset % 64);
    full_[FullWord(address, offset)] &= ~FullBit(offset);
    ++free_[address];
  }
  size_t FullWord(size_t address, uint32_t offset) const {
    return address * full_words_ + offset / 64 / 64;
  }
  static uint64_t FullBit(uint32_t offset) { return uint64_t{1} << offset / 64 % 64; }

  // There must be one. Two levels of bitmaps: whoever asks while nearly all are taken must not make
  // packets wait for a long search.
  uint32_t FindFree(size_t address, uint32_t start) const {
    const uint64_t* words = &taken_[address * words_];
    const uint64_t own = ~words[start / 64] & (~uint64_t{0} << start % 64);
    if (own != 0) return start / 64 * 64 + static_cast<uint32_t>(std::countr_zero(own));
    // The start's own word is looked at again last of all, from its beginning.
    const auto word = FindOpenWord(address, (start / 64 + 1) % words_);
    return static_cast<uint32_t>(word * 64 + std::countr_zero(~words[word]));
  }

  // The word nearest after `start`, or `start` itself, that is not full.
  size_t FindOpenWord(size_t address, size_t start) const {
    const uint64_t* words = &full_[address * full_words_];
    uint64_t open = ~words[start / 64] & (~uint64_t{0} << start % 64);
    size_t word = start / 64;
    while (open == 0) {
      word = (word + 1) % full_words_;
      open = ~words[word];
    }
    return word * 64 + static_cast<size_t>(std::countr_zero(open));
  }

  PortPartition partition_;
  size_t words_ = 0;       // of taken_, for each address
  size_t full_words_ = 0;  // of full_
  HugeArray<uint32_t> sessions_;
  HugeArray<uint64_t> taken_;   // bitmap: in use or resting
  HugeArray<uint64_t> full_;    // bitmap: words of taken_ that are all ones
  std::vector<uint32_t> free_;  // ports of each address
  HugeArray<Resting> resting_;  // FIFO
  size_t rest_first_ = 0;
  size_t rest_count_ = 0;
  size_t in_use_ = 0;
};

}  // namespace bridgehead
