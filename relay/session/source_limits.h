// How many sessions each source has, to keep one source from taking the table: a counting hash
// table of fixed size with linear probing, for one worker alone.
//
// A source is an IPv4 address, or an IPv6 /64: whoever has one address of that has all of them (RFC
// 6177).
#pragma once

#include <cstddef>
#include <cstdint>

#include "relay/net/address.h"
#include "relay/session/flow_table.h"
#include "relay/session/huge_array.h"

namespace bridgehead {

class SourceLimits {
 public:
  SourceLimits() = default;
  // At most `sessions` counts are held at once: the table is full to 4/5 at most.
  SourceLimits(size_t sessions, const HashKey& key)
      : key_(key), entries_(sessions + sessions / 4 + 1) {}

  // The source that an address of either family belongs to, as a number. Two /64s may share one, by
  // a chance of one in four thousand million: they then share a limit.
  uint32_t SourceOf(const Ipv6Address& address) const {
    if (address.IsMapped()) return address.Unmapped().Raw();
    return static_cast<uint32_t>(HashWords(address.High(), 0, key_) >> 32);
  }

  // Counts one more session for `source`; false, and nothing changes, when it has `limit` already.
  bool Take(uint32_t source, uint32_t limit) {
    Entry& entry = entries_[Position(source)];
    if (entry.count >= limit) return false;
    entry.source = source;
    ++entry.count;
    return true;
  }

  void Return(uint32_t source) {
    size_t hole = Position(source);
    if (entries_[hole].count == 0 || --entries_[hole].count > 0) return;
    // Closes the gap: later entries of the same run move up unless that would pass their home.
    for (size_t at = Next(hole); entries_[at].count != 0; at = Next(at)) {
      size_t home = Home(entries_[at].source);
      if (Distance(home, at) >= Distance(hole, at)) {
        entries_[hole] = entries_[at];
        entries_[at] = Entry{};
        hole = at;
      }
    }
  }

  uint32_t Count(uint32_t source) const { return entries_[Position(source)].count; }
  size_t bytes() const { return entries_.bytes(); }

 private:
  struct Entry {
    uint32_t source = 0;
    uint32_t count = 0;  // 0: free
  };

  size_t Home(uint32_t source) const {
    return static_cast<uint32_t>(HashWords(source, 0, key_)) * entries_.size() >> 32;
  }
  size_t Next(size_t at) const { return at + 1 == entries_.size() ? 0 : at + 1; }
  // How many steps of Next lead there.
  size_t Distance(size_t from, size_t to) const {
    return to >= from ? to - from : to + entries_.size() - from;
  }
  // Where `source` is, or the free place where it belongs.
  size_t Position(uint32_t source) const {
    size_t at = Home(source);
    while (entries_[at].count != 0 && entries_[at].source != source) at = Next(at);
    return at;
  }

  HashKey key_;
  HugeArray<Entry> entries_;
};

}  // namespace bridgehead
