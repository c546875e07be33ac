// How many requests a source may make: one token bucket for each source and rule, in fixed memory.
//
// A source is an IPv4 address or an IPv6 /64 (what one household or host gets). A bucket is the
// time at which it is full again (GCRA: the bucket without a counter), so it needs no refilling.
// When the table is full, the source that was not seen for the longest is forgotten; it then begins
// with a full bucket, which is what it would have after a second anyway. So a flood from more
// sources than the table holds is for limits in all to stop, not for this one.
//
// A rule is a route's limit, by the names of the configuration: the same route behind two listeners
// is one rule, and one that stays in a new configuration keeps what its sources have used.
//
// One thread; no clock of its own.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "ctrl/config/address.h"
#include "ctrl/config/edge.h"

namespace bridgehead::proxy {

inline constexpr size_t kMaxRateEntries = 65536;  // of one core

class RateTable {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Takes all its memory now: about 100 bytes for each of `entries`, 1..2^32-2.
  explicit RateTable(size_t entries = kMaxRateEntries);

  // The rule of a route: the same number for the same names.
  uint32_t RuleOf(const std::string& host, const std::string& route);
  // Rules that `edge` does not have are over: one of the same names will begin anew.
  void Forget(const config::Edge& edge);

  // False: `source` has made its `per_second` requests (1..1,000,000) of the last second. That many
  // may also come at once.
  [[nodiscard]] bool Take(const config::Address& source, uint32_t rule, uint32_t per_second,
                          Time now);

  struct Row {
    std::string source;                 // "192.0.2.1", "2001:db8::/64"
    std::string host, route;            // of the rule
    uint64_t allowed = 0, refused = 0;  // since it was seen first
  };
  // The `count` sources with the most refusals, then with the most requests, of rules that are
  // not over. For the operator: goes over the whole table.
  std::vector<Row> Top(size_t count) const;

  size_t size() const { return index_.size(); }
  uint64_t forgotten() const { return forgotten_; }  // sources, because the table was full

 private:
  struct Key {
    config::Address network;
    uint32_t rule = 0;
    bool operator==(const Key&) const = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.network, key.rule);
    }
  };
  struct Entry {
    Key key;
    Time full_at{};
    uint64_t allowed = 0, refused = 0;
    uint32_t newer = 0, older = 0;  // neighbours in the list by last use
  };
  Entry& Touch(const Key& key);
  void Unlink(uint32_t at);
  void LinkNewest(uint32_t at);

  const size_t limit_;
  std::vector<Entry> entries_;  // [0] is the list's head: its `older` is the newest
  absl::flat_hash_map<Key, uint32_t> index_;
  uint64_t forgotten_ = 0;
  std::map<std::pair<std::string, std::string>, uint32_t> rules_;  // by host and route
  uint32_t next_rule_ = 0;  // what is over leaves rows, so no number comes twice
};

}  // namespace bridgehead::proxy
