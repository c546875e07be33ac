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
        sessions_(addresses * partition.count + 1),  // the last one: nobody's
        taken_(addresses * words_),
        resting_(addresses * partition.count) {
    for (size_t i = 0; i < sessions_.size(); ++i) sessions_[i] = kNone;
    // Bits past the partition's end count as taken.
    for (size_t a = 0; a < addresses && partition.count % 64 != 0; ++a) {
      taken_[(a + 1) * words_ - 1] = ~uint64_t{0} << partition.count % 64;
    }
  }

  // The free port nearest after the one that the hashes name; nullopt when the partition is used
  // up. `address_hash` depends on the client's address alone. `candidates`: numbers of the NAT
  // addresses to choose from, those of the bridge's family.
  std::optional<Binding> Allocate(std::span<const uint16_t> candidates, uint32_t address_hash,
                                  uint64_t flow_hash, uint32_t session) {
    for (size_t tried = 0; tried < candidates.size(); ++tried) {
      size_t address = candidates[(address_hash + tried) % candidates.size()];
      auto start = static_cast<uint32_t>((flow_hash >> 32) * partition_.count >> 32);
      std::optional<uint32_t> offset = FindFree(address, start);
      if (!offset) continue;
      taken_[address * words_ + *offset / 64] |= uint64_t{1} << *offset % 64;
      sessions_[address * partition_.count + *offset] = session;
      ++in_use_;
      return Binding{static_cast<uint16_t>(address),
                     static_cast<uint16_t>(partition_.first + *offset)};
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
    size_t offset = static_cast<size_t>(binding.port) - partition_.first;
    sessions_[binding.address * partition_.count + offset] = kNone;
    taken_[binding.address * words_ + offset / 64] &= ~(uint64_t{1} << offset % 64);
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
      size_t address = oldest.slot / partition_.count;
      size_t offset = oldest.slot % partition_.count;
      taken_[address * words_ + offset / 64] &= ~(uint64_t{1} << offset % 64);
      rest_first_ = (rest_first_ + 1) % resting_.size();
      --rest_count_;
    }
  }

  size_t in_use() const { return in_use_; }
  size_t quarantined() const { return rest_count_; }
  size_t bytes() const { return sessions_.bytes() + taken_.bytes() + resting_.bytes(); }

 private:
  // Packed: there is one for each port.
  struct [[gnu::packed]] Resting {
    uint32_t slot = 0;
    uint16_t since = 0;  // seconds of the clock, its lower half
  };

  std::optional<uint32_t> FindFree(size_t address, uint32_t start) const {
    const uint64_t* words = &taken_[address * words_];
    // The start's own word is looked at twice: from the start on, and last of all in whole.
    uint64_t free = ~words[start / 64] & (~uint64_t{0} << start % 64);
    for (size_t i = 0; i <= words_; ++i) {
      size_t word = (start / 64 + i) % words_;
      if (i > 0) free = ~words[word];
      if (free != 0) return static_cast<uint32_t>(word * 64 + std::countr_zero(free));
    }
    return std::nullopt;
  }

  PortPartition partition_;
  size_t words_ = 0;  // of taken_, for each address
  HugeArray<uint32_t> sessions_;
  HugeArray<uint64_t> taken_;   // bitmap: in use or resting
  HugeArray<Resting> resting_;  // FIFO
  size_t rest_first_ = 0;
  size_t rest_count_ = 0;
  size_t in_use_ = 0;
};

}  // namespace bridgehead
