#include "relay/port/steer_rules.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace bridgehead::port {

namespace {

bh_steer_side SideOf(SteerRule::Side side) {
  switch (side) {
    case SteerRule::Side::kDestination:
      return BH_STEER_DESTINATION;
    case SteerRule::Side::kSource:
      return BH_STEER_SOURCE;
    case SteerRule::Side::kOutbound:
      return BH_STEER_OUTBOUND;
  }
  return BH_STEER_DESTINATION;
}

// Requests cost time: `requests_per_source` of them a second, all of which may come at once.
bh_steer_guard GuardOf(const SteerRule& rule, SteerLists& lists) {
  constexpr uint64_t kSecond = 1'000'000'000;  // ns
  bh_steer_guard guard{};
  guard.first_port = rule.first_port;
  guard.last_port = rule.last_port;
  guard.list = rule.guard->list ? lists.NumberOf(rule.guard->list) : 0;
  guard.media = rule.guard->media ? 1 : 0;
  if (const uint64_t requests = rule.guard->requests_per_source; requests != 0) {
    guard.request_interval = std::max<uint64_t>(kSecond / requests, 1);
    guard.request_burst = requests * guard.request_interval;
  }
  return guard;
}

bool SameGuards(const std::vector<bh_steer_guard>& a, const std::vector<bh_steer_guard>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const bh_steer_guard& x, const bh_steer_guard& y) {
                      return std::memcmp(&x, &y, sizeof(x)) == 0;  // no padding, see shared.h
                    });
}

}  // namespace

bool SteerKeyLess::operator()(const bh_steer_key& a, const bh_steer_key& b) const {
  return std::memcmp(&a, &b, sizeof(a)) < 0;  // no padding, see shared.h
}

uint32_t SteerLists::NumberOf(const std::shared_ptr<const SteerList>& list) {
  if (const auto used = used_.find(list); used != used_.end()) {
    return used->second;
  }
  const auto before = before_.find(list);
  const uint32_t number = before != before_.end() ? before->second : ++last_;
  used_.emplace(list, number);
  return number;
}

SteerLists::Numbered SteerLists::Take() {
  Numbered taken;
  for (const auto& [list, number] : used_) {
    taken.emplace(number, list);
  }
  before_ = std::exchange(used_, {});
  return taken;
}

absl::StatusOr<SteerTable> BuildSteerTable(std::span<const SteerRule> rules, SteerLists& lists) {
  struct Merged {
    std::shared_ptr<bh_steer_ports> ports = std::make_shared<bh_steer_ports>();
    std::vector<bh_steer_guard> guards;
  };
  std::map<bh_steer_key, Merged, SteerKeyLess> merged;
  lists.Begin();
  size_t guards = 0;
  for (const SteerRule& rule : rules) {
    if (rule.first_port > rule.last_port) {
      return absl::InvalidArgumentError(fmt::format("steering rule for ports {}-{} is upside down",
                                                    rule.first_port, rule.last_port));
    }
    bh_steer_key key{};
    key.side = SideOf(rule.side);
    std::copy(rule.address.begin(), rule.address.end(), key.address);
    Merged& entry = merged[key];
    for (uint32_t port = rule.first_port; port <= rule.last_port; ++port) {
      entry.ports->bits[port / 64] |= uint64_t{1} << port % 64;
    }
    if (rule.guard) {
      entry.guards.push_back(GuardOf(rule, lists));
      ++guards;
    }
  }
  if (merged.size() > BH_STEER_MAX_RULES) {
    return absl::ResourceExhaustedError(
        fmt::format("{} addresses to steer, but an interface can hold {}; use fewer listener, NAT "
                    "and bridge addresses",
                    merged.size(), BH_STEER_MAX_RULES));
  }
  if (guards > BH_STEER_MAX_GUARDS) {
    return absl::ResourceExhaustedError(fmt::format(
        "{} listeners to guard, but an interface can hold {}", guards, BH_STEER_MAX_GUARDS));
  }
  SteerTable table;
  for (auto& [key, entry] : merged) {
    table.entries[key] = {std::move(entry.ports), std::move(entry.guards)};
  }
  table.lists = lists.Take();
  return table;
}

SteerRows::SteerRows() {
  for (uint32_t row = BH_STEER_MAX_RULES; row > 0; --row) {
    free_.push_back(row - 1);
  }
}

void SteerRows::PlanLists(const SteerTable& wanted, SteerChange& change) {
  for (const auto& [number, list] : wanted.lists) {
    if (!lists_.contains(number)) {
      change.lists.emplace(number, list);
    }
  }
  for (const auto& [number, list] : lists_) {
    if (!wanted.lists.contains(number)) {
      change.forgotten.emplace(number, list);
    }
  }
  lists_ = wanted.lists;
}

// Where anything differs, all guards are written anew, into the half that no rule names.
void SteerRows::PlanGuards(const SteerTable& wanted, SteerChange& change) {
  Runs runs;
  for (const auto& [key, entry] : wanted.entries) {
    if (!entry.guards.empty()) {
      runs.emplace(key, Run{0, entry.guards});
    }
  }
  const auto same = [](const Runs::value_type& a, const Runs::value_type& b) {
    return std::memcmp(&a.first, &b.first, sizeof(a.first)) == 0 &&
           SameGuards(a.second.guards, b.second.guards);
  };
  if (std::equal(runs.begin(), runs.end(), runs_.begin(), runs_.end(), same)) {
    return;
  }
  second_half_ = !second_half_;
  uint16_t next = second_half_ ? BH_STEER_MAX_GUARDS : 0;
  for (auto& [key, run] : runs) {
    run.first = next;
    for (const bh_steer_guard& guard : run.guards) {
      change.guards.emplace(next++, guard);
    }
  }
  runs_ = std::move(runs);
}

bh_steer_rule SteerRows::RuleOf(const bh_steer_key& key, uint32_t row) const {
  const auto run = runs_.find(key);
  if (run == runs_.end()) {
    return {.row = row, .first_guard = 0, .guards = 0};
  }
  return {.row = row,
          .first_guard = run->second.first,
          .guards = static_cast<uint16_t>(run->second.guards.size())};
}

SteerChange SteerRows::ChangeTo(const SteerTable& wanted) {
  SteerChange change;
  PlanLists(wanted, change);
  PlanGuards(wanted, change);
  std::vector<uint32_t> released;
  for (auto it = used_.begin(); it != used_.end();) {
    if (wanted.entries.contains(it->first)) {
      ++it;
      continue;
    }
    change.removals.push_back(it->first);
    released.push_back(it->second.rule.row);
    it = used_.erase(it);
  }
  // A row given away in the same change could show its new ports to a packet that has just found
  // its old key: so only when there is no other.
  change.remove_first = wanted.entries.size() - used_.size() > free_.size();
  if (change.remove_first) {
    free_.insert(free_.begin(), released.begin(), released.end());
    released.clear();
  }
  for (const auto& [key, entry] : wanted.entries) {
    const auto it = used_.find(key);
    if (it == used_.end()) {
      const bh_steer_rule rule = RuleOf(key, free_.back());
      free_.pop_back();
      used_.emplace(key, Row{rule, entry.ports});
      change.puts.push_back({key, rule, entry.ports, /*write_rule=*/true});
      continue;
    }
    Row& row = it->second;
    const bh_steer_rule rule = RuleOf(key, row.rule.row);
    const bool same_ports =
        std::memcmp(row.ports.get(), entry.ports.get(), sizeof(*row.ports)) == 0;
    const bool same_rule = std::memcmp(&row.rule, &rule, sizeof(rule)) == 0;
    if (same_ports && same_rule) {
      continue;
    }
    change.puts.push_back({key, rule, same_ports ? nullptr : entry.ports, !same_rule});
    row = {rule, entry.ports};
  }
  free_.insert(free_.begin(), released.begin(), released.end());
  return change;
}

}  // namespace bridgehead::port
