#include "ctrl/proxy/route/rate_table.h"

#include <algorithm>
#include <set>

namespace bridgehead::proxy {
namespace {

constexpr uint8_t kV6SourceBits = 64;

}  // namespace

RateTable::RateTable(size_t entries) : limit_(entries) {
  entries_.reserve(limit_ + 1);
  entries_.emplace_back();
  index_.reserve(limit_);
}

uint32_t RateTable::RuleOf(const std::string& host, const std::string& route) {
  const auto [rule, is_new] = rules_.try_emplace({host, route}, next_rule_);
  if (is_new) ++next_rule_;
  return rule->second;
}

void RateTable::Forget(const config::Edge& edge) {
  std::set<std::pair<std::string, std::string>> limited;
  for (const config::Host& host : edge.hosts) {
    for (const config::Route& route : host.routes) {
      if (route.requests_per_source != 0) limited.emplace(host.name, route.name);
    }
  }
  std::erase_if(rules_, [&](const auto& rule) { return !limited.contains(rule.first); });
}

void RateTable::Unlink(uint32_t at) {
  const Entry& entry = entries_[at];
  entries_[entry.newer].older = entry.older;
  entries_[entry.older].newer = entry.newer;
}

void RateTable::LinkNewest(uint32_t at) {
  Entry& head = entries_[0];
  entries_[at].newer = 0;
  entries_[at].older = head.older;
  entries_[head.older].newer = at;
  head.older = at;
}

RateTable::Entry& RateTable::Touch(const Key& key) {
  if (const auto found = index_.find(key); found != index_.end()) {
    Unlink(found->second);
    LinkNewest(found->second);
    return entries_[found->second];
  }
  uint32_t at = entries_[0].newer;  // the oldest
  if (entries_.size() <= limit_) {
    at = static_cast<uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    index_.erase(entries_[at].key);
    Unlink(at);
    ++forgotten_;
  }
  entries_[at] = {};
  entries_[at].key = key;
  index_.emplace(key, at);
  LinkNewest(at);
  return entries_[at];
}

bool RateTable::Take(const config::Address& source, uint32_t rule, uint32_t per_second, Time now) {
  constexpr std::chrono::nanoseconds kSecond = std::chrono::seconds(1);
  const auto network = source.is_v6() ? source.Network(kV6SourceBits) : source;
  Entry& entry = Touch({network, rule});
  const auto each = kSecond / per_second;
  const Time full_at = std::max(entry.full_at, now) + each;
  if (full_at > now + kSecond) {
    ++entry.refused;
    return false;
  }
  entry.full_at = full_at;
  ++entry.allowed;
  return true;
}

std::vector<RateTable::Row> RateTable::Top(size_t count) const {
  absl::flat_hash_map<uint32_t, const std::pair<std::string, std::string>*> names;
  for (const auto& [name, rule] : rules_) names.emplace(rule, &name);
  std::vector<const Entry*> all;
  all.reserve(index_.size());
  for (size_t at = 1; at < entries_.size(); ++at) {
    if (names.contains(entries_[at].key.rule)) all.push_back(&entries_[at]);
  }
  const size_t wanted = std::min(count, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<ptrdiff_t>(wanted), all.end(),
                    [](const Entry* a, const Entry* b) {
                      return std::pair(a->refused, a->allowed) > std::pair(b->refused, b->allowed);
                    });
  std::vector<Row> rows;
  for (size_t i = 0; i < wanted; ++i) {
    const Entry& entry = *all[i];
    const auto& network = entry.key.network;
    const auto& [host, route] = *names.at(entry.key.rule);
    rows.push_back(
        {network.is_v6() ? config::Prefix{network, kV6SourceBits}.text() : network.text(), host,
         route, entry.allowed, entry.refused});
  }
  return rows;
}

}  // namespace bridgehead::proxy
