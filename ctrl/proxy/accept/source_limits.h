// How many connections a source has, and how fast it opens them: a table of fixed size.
//
// A source is an IPv4 address or an IPv6 /64: what one household or host gets (RFC 6177), so that a
// client can not be as many sources as it likes.
//
// Theory of operation: entries lie in one array and are chained by the hash of their source. An
// entry is `busy` while the source has a connection, and then is never given away: there are at
// least as many entries as there may be connections. The others remember a source's rate; they
// stand in the order of their last use, and the oldest is taken for a new source.
//
// Rate: a source may open `new_per_second` connections at once and as many in each second (GCRA:
// one time per source, ITU-T I.371 annex A).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ctrl/config/address.h"
#include "ctrl/proxy/accept/refusal.h"

namespace bridgehead::proxy {

class SourceLimits {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr uint32_t kNoSlot = UINT32_MAX;
  static constexpr uint32_t kIdleEntries = 16 * 1024;  // beside those of connections

  struct Limits {
    uint32_t connections = 0;      // of a source at a time; 0: no limit
    uint32_t new_per_second = 0;   // of a source; 0: no limit
    uint32_t max_connections = 0;  // of all sources: the caller sees to it
  };
  struct Admission {
    AcceptRefusal refusal = AcceptRefusal::kNone;  // kSourceConnections or kSourceRate
    uint32_t slot = kNoSlot;  // to be released when the connection ends, unless kNoSlot
  };
  struct Use {
    config::Prefix source;
    uint32_t connections = 0;
    uint64_t refused = 0;  // since the entry was taken
  };

  // Keeps what is known of sources. Without a limit nothing is counted, and there is no table.
  void Set(const Limits& limits);
  // `now` must not go back.
  Admission Admit(const config::Address& source, Clock::time_point now);
  // Of a connection that was admitted.
  void Release(uint32_t slot);

  // The sources with the most connections, then those most often refused; `most` of them.
  std::vector<Use> Busiest(size_t most) const;

 private:
  struct Source {
    uint64_t bits = 0;  // of IPv4: the address; of IPv6: its first half
    bool v6 = false;
    bool operator==(const Source&) const = default;
  };
  struct Entry {
    Source source;
    uint32_t connections = 0;
    uint32_t chain = kNoSlot;                   // the next with the same hash
    uint32_t older = kNoSlot, newer = kNoSlot;  // of those without a connection
    Clock::time_point free_at{};                // when the source has its whole rate again
    uint64_t refused = 0;
    bool used = false;
  };

  static Source SourceOf(const config::Address& address);
  uint32_t& Head(const Source& source);
  uint32_t Find(const Source& source);
  uint32_t Take(const Source& source);
  void Chain(uint32_t slot);
  void Unchain(uint32_t slot);
  void PutIdle(uint32_t slot);
  void TakeIdle(uint32_t slot);
  bool KeepsRate(Entry& entry, Clock::time_point now) const;

  Limits limits_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> heads_;  // a power of two
  uint32_t oldest_ = kNoSlot, newest_ = kNoSlot;
};

}  // namespace bridgehead::proxy
