// How many sessions each source address has, to keep one source from taking the table: a counting
// hash table of fixed size with linear probing, for one worker alone.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "relay/session/flow_table.h"
#include "relay/session/huge_array.h"

namespace bridgehead {

class SourceLimits {
 public:
  SourceLimits() = default;
  // At most `sessions` counts are held at once, so a table of twice the size never fills.
  SourceLimits(size_t sessions, const HashKey& key)
      : key_(key), entries_(std::bit_ceil(sessions * 2)), mask_(entries_.size() - 1) {}

  // Counts one more session for `source`; false, and nothing changes, when it has `limit` already.
  bool Take(be32 source, uint32_t limit) {
    Entry& entry = entries_[Position(source)];
    if (entry.count >= limit) return false;
    entry.source = source.Raw();
    ++entry.count;
    return true;
  }

  void Return(be32 source) {
    size_t hole = Position(source);
    if (entries_[hole].count == 0 || --entries_[hole].count > 0) return;
    // Closes the gap: later entries of the same run move up unless that would pass their home.
    for (size_t at = (hole + 1) & mask_; entries_[at].count != 0; at = (at + 1) & mask_) {
      size_t home = Home(entries_[at].source);
      if (((at - home) & mask_) >= ((at - hole) & mask_)) {
        entries_[hole] = entries_[at];
        entries_[at] = Entry{};
        hole = at;
      }
    }
  }

  uint32_t Count(be32 source) const { return entries_[Position(source)].count; }
  size_t bytes() const { return entries_.bytes(); }

 private:
  struct Entry {
    uint32_t source = 0;  // raw
    uint32_t count = 0;   // 0: free
  };

  size_t Home(uint32_t source) const { return HashWords(source, 0, key_) & mask_; }
  // Where `source` is, or the free place where it belongs.
  size_t Position(be32 source) const {
    size_t at = Home(source.Raw());
    while (entries_[at].count != 0 && entries_[at].source != source.Raw()) at = (at + 1) & mask_;
    return at;
  }

  HashKey key_;
  HugeArray<Entry> entries_;
  size_t mask_ = 0;
};

}  // namespace bridgehead
