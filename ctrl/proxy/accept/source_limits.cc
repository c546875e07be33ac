#include "ctrl/proxy/accept/source_limits.h"

#include <algorithm>
#include <bit>
#include <string>
#include <tuple>

#include "absl/hash/hash.h"

namespace bridgehead::proxy {

void SourceLimits::Set(const Limits& limits) {
  limits_ = limits;
  if (limits.connections == 0 && limits.new_per_second == 0) return;
  const size_t wanted = size_t{limits.max_connections} + kIdleEntries;
  if (wanted <= entries_.size()) return;  // slots that connections hold stay where they are
  const auto first_new = static_cast<uint32_t>(entries_.size());
  entries_.resize(wanted);
  heads_.assign(std::bit_ceil(wanted), kNoSlot);
  for (uint32_t slot = 0; slot < first_new; ++slot) {
    if (entries_[slot].used) Chain(slot);
  }
  for (auto slot = first_new; slot < wanted; ++slot) PutIdle(slot);
}

SourceLimits::Source SourceLimits::SourceOf(const config::Address& address) {
  const std::string bytes = address.bytes();
  Source source{0, address.is_v6()};
  for (size_t i = 0; i < std::min<size_t>(bytes.size(), 8); ++i) {
    source.bits = source.bits << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return source;
}

// absl's hash has a secret of the process in it: chains can not be made long from outside.
uint32_t& SourceLimits::Head(const Source& source) {
  return heads_[absl::HashOf(source.bits, source.v6) & (heads_.size() - 1)];
}

uint32_t SourceLimits::Find(const Source& source) {
  uint32_t slot = Head(source);
  while (slot != kNoSlot && entries_[slot].source != source) slot = entries_[slot].chain;
  return slot;
}

void SourceLimits::Chain(uint32_t slot) {
  uint32_t& head = Head(entries_[slot].source);
  entries_[slot].chain = head;
  head = slot;
}

void SourceLimits::Unchain(uint32_t slot) {
  uint32_t* link = &Head(entries_[slot].source);
  while (*link != slot) link = &entries_[*link].chain;
  *link = entries_[slot].chain;
}

void SourceLimits::PutIdle(uint32_t slot) {
  Entry& entry = entries_[slot];
  entry.older = newest_;
  entry.newer = kNoSlot;
  (newest_ == kNoSlot ? oldest_ : entries_[newest_].newer) = slot;
  newest_ = slot;
}

void SourceLimits::TakeIdle(uint32_t slot) {
  const Entry& entry = entries_[slot];
  (entry.older == kNoSlot ? oldest_ : entries_[entry.older].newer) = entry.newer;
  (entry.newer == kNoSlot ? newest_ : entries_[entry.newer].older) = entry.older;
}

// An entry for a source that has none. There is always one without a connection.
uint32_t SourceLimits::Take(const Source& source) {
  const uint32_t slot = oldest_;
  if (entries_[slot].used) Unchain(slot);
  TakeIdle(slot);
  entries_[slot] = Entry{};
  entries_[slot].source = source;
  entries_[slot].used = true;
  Chain(slot);
  PutIdle(slot);
  return slot;
}

// What is free at T now is free at T + 1/rate after one more; a whole second ahead is too fast.
bool SourceLimits::KeepsRate(Entry& entry, Clock::time_point now) const {
  if (limits_.new_per_second == 0) return true;
  constexpr std::chrono::nanoseconds kSecond = std::chrono::seconds(1);
  const auto free_at = std::max(entry.free_at, now) + kSecond / limits_.new_per_second;
  if (free_at - now > kSecond) return false;
  entry.free_at = free_at;
  return true;
}

SourceLimits::Admission SourceLimits::Admit(const config::Address& address, Clock::time_point now) {
  if (limits_.connections == 0 && limits_.new_per_second == 0) return {};
  const Source source = SourceOf(address);
  uint32_t slot = Find(source);
  if (slot == kNoSlot) slot = Take(source);
  Entry& entry = entries_[slot];
  if (entry.connections == 0) TakeIdle(slot);  // to its end again, or out of it
  AcceptRefusal refusal = AcceptRefusal::kNone;
  if (limits_.connections > 0 && entry.connections >= limits_.connections) {
    refusal = AcceptRefusal::kSourceConnections;
  } else if (!KeepsRate(entry, now)) {
    refusal = AcceptRefusal::kSourceRate;
  }
  if (refusal == AcceptRefusal::kNone) {
    ++entry.connections;
    return {refusal, slot};
  }
  ++entry.refused;
  if (entry.connections == 0) PutIdle(slot);
  return {refusal, kNoSlot};
}

void SourceLimits::Release(uint32_t slot) {
  if (--entries_[slot].connections == 0) PutIdle(slot);
}

std::vector<SourceLimits::Use> SourceLimits::Busiest(size_t most) const {
  std::vector<const Entry*> used;
  for (const Entry& entry : entries_) {
    if (entry.connections > 0 || entry.refused > 0) used.push_back(&entry);
  }
  const size_t count = std::min(most, used.size());
  std::partial_sort(used.begin(), used.begin() + static_cast<ptrdiff_t>(count), used.end(),
                    [](const Entry* a, const Entry* b) {
                      return std::tie(a->connections, a->refused) >
                             std::tie(b->connections, b->refused);
                    });
  std::vector<Use> busiest;
  for (size_t i = 0; i < count; ++i) {
    const Entry& entry = *used[i];
    std::string bytes(entry.source.v6 ? 16 : 4, '\0');
    const size_t known = entry.source.v6 ? 8 : 4;
    for (size_t at = 0; at < known; ++at) {
      bytes[at] = static_cast<char>(entry.source.bits >> (8 * (known - 1 - at)));
    }
    const uint8_t length = entry.source.v6 ? 64 : 32;
    busiest.push_back(
        {{*config::Address::FromBytes(bytes), length}, entry.connections, entry.refused});
  }
  return busiest;
}

}  // namespace bridgehead::proxy
