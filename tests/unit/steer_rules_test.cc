// Steering rows, guards and access lists on their way into the XDP program's maps, without a
// kernel.
#include "relay/port/steer_rules.h"

#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridgehead::port {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SteerRule Rule(uint8_t host, uint16_t first, uint16_t last,
               SteerRule::Side side = SteerRule::Side::kDestination) {
  SteerRule rule{.side = side, .address = {}, .first_port = first, .last_port = last};
  rule.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, host};
  return rule;
}

SteerRule Guarded(uint8_t host, uint16_t first, uint16_t last, SteerGuard guard) {
  SteerRule rule = Rule(host, first, last);
  rule.guard = std::move(guard);
  return rule;
}

// Allows 203.0.113.0/24, or another network of that size.
std::shared_ptr<const SteerList> ListFor(uint8_t network = 113) {
  SteerList list;
  list[{0, {}}] = false;
  list[{96, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}] = false;
  list[{120, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, network}}] = true;
  return std::make_shared<const SteerList>(std::move(list));
}

std::vector<uint32_t> Ports(const bh_steer_ports& ports) {
  std::vector<uint32_t> out;
  for (uint32_t port = 0; port <= 65535; ++port) {
    if ((ports.bits[port / 64] >> port % 64 & 1) != 0) {
      out.push_back(port);
    }
  }
  return out;
}

SteerTable Table(const std::vector<SteerRule>& rules) {
  SteerLists lists;
  return *BuildSteerTable(rules, lists);
}

TEST(SteerTable, RulesOfOneAddressShareARow) {
  const SteerTable table = Table({Rule(1, 63, 65), Rule(1, 65, 66), Rule(1, 65535, 65535)});
  ASSERT_EQ(table.entries.size(), 1u);
  const auto& [key, entry] = *table.entries.begin();
  EXPECT_EQ(key.side, uint32_t{BH_STEER_DESTINATION});
  EXPECT_THAT(Ports(*entry.ports), ElementsAre(63, 64, 65, 66, 65535));
  EXPECT_THAT(entry.guards, IsEmpty());
}

TEST(SteerTable, SidesAndAddressesAreRowsOfTheirOwn) {
  const SteerTable table =
      Table({Rule(1, 1, 1), Rule(2, 1, 1), Rule(1, 1, 1, SteerRule::Side::kSource)});
  EXPECT_EQ(table.entries.size(), 3u);
}

TEST(SteerTable, RefusesWhatTheMapsCanNotHold) {
  std::vector<SteerRule> rules;
  for (unsigned i = 0; i <= BH_STEER_MAX_RULES; ++i) {
    rules.push_back(Rule(static_cast<uint8_t>(i), 1, 1));
    rules.back().address[14] = static_cast<uint8_t>(i >> 8);
  }
  SteerLists lists;
  EXPECT_THAT(std::string(BuildSteerTable(rules, lists).status().message()),
              HasSubstr("1025 addresses to steer, but an interface can hold 1024"));
  EXPECT_FALSE(BuildSteerTable(std::vector{Rule(1, 5, 4)}, lists).ok());
  rules.assign(BH_STEER_MAX_GUARDS + 1, Guarded(1, 1, 1, {}));
  EXPECT_THAT(std::string(BuildSteerTable(rules, lists).status().message()),
              HasSubstr("257 listeners to guard, but an interface can hold 256"));
}

TEST(SteerTable, GuardsOfAnAddressStandInTheOrderOfTheRules) {
  const SteerTable table = Table({Guarded(1, 10000, 10050, {.media = true}), Rule(1, 20000, 20010),
                                  Guarded(1, 10040, 10060, {.list = ListFor()})});
  ASSERT_EQ(table.entries.size(), 1u);
  const auto& guards = table.entries.begin()->second.guards;
  ASSERT_EQ(guards.size(), 2u);
  EXPECT_EQ(guards[0].first_port, 10000);
  EXPECT_EQ(guards[0].last_port, 10050);
  EXPECT_EQ(guards[0].media, 1u);
  EXPECT_EQ(guards[0].list, 0u);
  EXPECT_EQ(guards[0].request_interval, 0u);
  EXPECT_EQ(guards[1].first_port, 10040);
  EXPECT_EQ(guards[1].media, 0u);
  EXPECT_EQ(guards[1].list, 1u);
  EXPECT_EQ(*table.lists.at(1), *ListFor());
}

TEST(SteerTable, RequestsCostTimeAndASecondOfThemMayComeAtOnce) {
  for (const auto& [rate, interval] : std::vector<std::pair<uint32_t, uint64_t>>{
           {0, 0}, {1, 1'000'000'000}, {3, 333'333'333}, {10000, 100'000}, {1'000'000, 1000}}) {
    const SteerTable table =
        Table({Guarded(1, 1, 1, {.media = true, .requests_per_source = rate})});
    const bh_steer_guard& guard = table.entries.begin()->second.guards.at(0);
    EXPECT_EQ(guard.request_interval, interval) << rate;
    EXPECT_EQ(guard.request_burst, interval * rate) << rate;
  }
}

TEST(SteerLists, EqualListsShareANumberThatNeverComesTwice) {
  SteerLists lists;
  EXPECT_EQ(lists.NumberOf(ListFor(1)), 1u);
  EXPECT_EQ(lists.NumberOf(ListFor(2)), 2u);
  EXPECT_EQ(lists.NumberOf(ListFor(1)), 1u);
  EXPECT_EQ(lists.Take().size(), 2u);
  EXPECT_EQ(lists.NumberOf(ListFor(2)), 2u);
  EXPECT_EQ(lists.Take().size(), 1u);
  EXPECT_EQ(lists.NumberOf(ListFor(1)), 3u);  // forgotten meanwhile
}

TEST(SteerLists, ATableThatFailsLeavesNoNumberBehind) {
  SteerLists lists;
  const std::vector<SteerRule> failing{Guarded(1, 1, 1, {.list = ListFor(1)}), Rule(1, 5, 4)};
  EXPECT_FALSE(BuildSteerTable(failing, lists).ok());
  const std::vector<SteerRule> other{Guarded(1, 1, 1, {.list = ListFor(2)})};
  EXPECT_EQ(BuildSteerTable(other, lists)->lists.size(), 1u);
}

// The maps as the program sees them; checks after every single step that `kept` still matches and
// that its guard, if it has one, judges its ports, by a list that is whole.
class Maps {
 public:
  void Apply(const SteerChange& change, const std::vector<SteerRule>& kept) {
    for (const auto& [number, list] : change.lists) {
      EXPECT_TRUE(lists_.emplace(number, list).second) << "list " << number << " is in use";
      Check(kept);
    }
    for (const auto& [at, guard] : change.guards) {
      ASSERT_LT(at, 2u * BH_STEER_MAX_GUARDS);
      guards_[at] = guard;
      Check(kept);
    }
    if (change.remove_first) Remove(change, kept);
    for (const SteerChange::Put& put : change.puts) {
      if (put.ports && keys_.contains(put.key)) {
        // Torn between old and new: only what both have is sure to be there.
        bh_steer_ports torn = *put.ports;
        for (size_t i = 0; i < BH_STEER_BITMAP_WORDS; ++i) {
          torn.bits[i] &= rows_[put.rule.row].bits[i];
        }
        rows_[put.rule.row] = torn;
        Check(kept);
      }
      if (put.ports) rows_[put.rule.row] = *put.ports;
      Check(kept);
      if (put.write_rule) keys_[put.key] = put.rule;
      Check(kept);
    }
    if (!change.remove_first) Remove(change, kept);
    for (const auto& [number, list] : change.forgotten) {
      EXPECT_EQ(lists_.erase(number), 1u);
      Check(kept);
    }
  }
  bool Matches(const SteerRule& rule) const {
    const auto it = keys_.find(KeyOf(rule));
    return it != keys_.end() &&
           (rows_.at(it->second.row).bits[rule.first_port / 64] >> rule.first_port % 64 & 1) != 0;
  }
  // The guard that judges the rule's first port, or nullptr.
  const bh_steer_guard* GuardAt(const SteerRule& rule) const {
    const bh_steer_rule& found = keys_.at(KeyOf(rule));
    for (uint32_t i = 0; i < found.guards; ++i) {
      const bh_steer_guard& guard = guards_.at(found.first_guard + i);
      if (rule.first_port >= guard.first_port && rule.first_port <= guard.last_port) return &guard;
    }
    return nullptr;
  }
  size_t size() const { return keys_.size(); }
  size_t lists() const { return lists_.size(); }

 private:
  static bh_steer_key KeyOf(const SteerRule& rule) {
    bh_steer_key key{};
    key.side = static_cast<uint32_t>(rule.side);
    std::copy(rule.address.begin(), rule.address.end(), key.address);
    return key;
  }
  void Remove(const SteerChange& change, const std::vector<SteerRule>& kept) {
    for (const bh_steer_key& key : change.removals) {
      EXPECT_EQ(keys_.erase(key), 1u);
      Check(kept);
    }
  }
  void Check(const std::vector<SteerRule>& kept) {
    std::set<uint32_t> used;
    for (const auto& [key, rule] : keys_) {
      EXPECT_LT(rule.row, uint32_t{BH_STEER_MAX_RULES});
      EXPECT_TRUE(used.insert(rule.row).second) << "two keys share row " << rule.row;
    }
    for (const SteerRule& rule : kept) {
      EXPECT_TRUE(Matches(rule));
      const bh_steer_guard* guard = GuardAt(rule);
      ASSERT_EQ(guard != nullptr, rule.guard.has_value());
      if (!guard) continue;
      EXPECT_EQ(guard->media != 0, rule.guard->media);
      ASSERT_EQ(guard->list != 0, rule.guard->list != nullptr);
      if (guard->list == 0) continue;
      EXPECT_EQ(*lists_.at(guard->list), *rule.guard->list);
    }
  }
  std::map<bh_steer_key, bh_steer_rule, SteerKeyLess> keys_;
  std::map<uint32_t, bh_steer_ports> rows_;
  std::map<uint32_t, bh_steer_guard> guards_;
  SteerLists::Numbered lists_;
};

TEST(SteerRows, AKeptListenersGuardJudgesItAtEveryStep) {
  SteerLists lists;
  SteerRows rows;
  Maps maps;
  const SteerRule kept = Guarded(2, 10000, 10000, {.list = ListFor(2), .media = true});
  const SteerRule unguarded = Rule(2, 20000, 20010);
  const std::vector<std::vector<SteerRule>> reloads = {
      {kept, unguarded},
      {Guarded(1, 1, 1, {.list = ListFor(1)}), kept, unguarded},  // another address, before it
      {Guarded(2, 9999, 9999, {.list = ListFor(1)}), kept, unguarded},  // the same address
      {Guarded(2, 9999, 9999, {.list = ListFor(3)}), kept, unguarded},  // with another list
      {kept, unguarded, Guarded(2, 10000, 10010, {.media = false})},    // overlapped, behind it
      {unguarded, kept, Guarded(2, 1, 5, {.list = ListFor(2)})},        // that shares the list
      {kept, unguarded}};
  for (size_t i = 0; i < reloads.size(); ++i) {
    std::vector<SteerRule> both = {kept, unguarded};
    if (i == 0) both.clear();
    maps.Apply(rows.ChangeTo(*BuildSteerTable(reloads[i], lists)), both);
  }
  EXPECT_EQ(maps.lists(), 1u);
  const SteerChange again = rows.ChangeTo(*BuildSteerTable(reloads.back(), lists));
  EXPECT_TRUE(again.lists.empty() && again.guards.empty() && again.puts.empty());
  EXPECT_TRUE(again.forgotten.empty());
  maps.Apply(rows.ChangeTo(*BuildSteerTable({}, lists)), {});
  EXPECT_EQ(maps.lists() + maps.size(), 0u);
}

// A change of lists, kinds or rates: never a mixture of the old guard and the new one.
TEST(SteerRows, AChangedGuardIsOldOrNewAsAWhole) {
  SteerLists lists;
  SteerRows rows;
  Maps maps;
  const SteerRule before = Guarded(1, 10000, 10000, {.list = ListFor(1), .media = true});
  const SteerRule after = Guarded(1, 10000, 10000, {.requests_per_source = 5});
  maps.Apply(rows.ChangeTo(*BuildSteerTable(std::vector{before}, lists)), {});
  const SteerChange change = rows.ChangeTo(*BuildSteerTable(std::vector{after}, lists));
  ASSERT_EQ(change.puts.size(), 1u);
  EXPECT_EQ(change.puts[0].ports, nullptr);
  EXPECT_TRUE(change.puts[0].write_rule);
  const uint32_t written = change.puts[0].rule.first_guard;
  EXPECT_EQ(maps.GuardAt(before)->media, 1u);
  EXPECT_NE(maps.GuardAt(before), nullptr);
  EXPECT_EQ(change.guards.size(), 1u);
  EXPECT_TRUE(change.guards.contains(written));
  maps.Apply(change, {});
  EXPECT_EQ(maps.GuardAt(after)->media, 0u);
  EXPECT_EQ(maps.GuardAt(after)->list, 0u);
  EXPECT_EQ(maps.GuardAt(after)->request_interval, 200'000'000u);
  EXPECT_EQ(maps.lists(), 0u);
}

TEST(SteerRows, AKeptRuleMatchesAtEveryStep) {
  SteerRows rows;
  Maps maps;
  const SteerRule kept = Rule(1, 10000, 10000);
  maps.Apply(rows.ChangeTo(Table({Rule(1, 9000, 10000), Rule(2, 1, 1)})), {});
  maps.Apply(rows.ChangeTo(Table({Rule(1, 10000, 11000), Rule(3, 1, 1)})), {kept});
  EXPECT_FALSE(maps.Matches(Rule(1, 9000, 9000)));
  EXPECT_FALSE(maps.Matches(Rule(2, 1, 1)));
  EXPECT_TRUE(maps.Matches(Rule(1, 11000, 11000)));
  EXPECT_TRUE(maps.Matches(Rule(3, 1, 1)));
  maps.Apply(rows.ChangeTo(Table({})), {});
  EXPECT_EQ(maps.size(), 0u);
}

TEST(SteerRows, NothingToDoForTheSameRules) {
  SteerRows rows;
  rows.ChangeTo(Table({Rule(1, 1, 5)}));
  const SteerChange again = rows.ChangeTo(Table({Rule(1, 1, 3), Rule(1, 4, 5)}));
  EXPECT_THAT(again.puts, IsEmpty());
  EXPECT_THAT(again.removals, IsEmpty());
}

TEST(SteerRows, AFullTableCanBeExchanged) {
  const auto full = [](uint8_t network) {
    std::vector<SteerRule> rules;
    for (unsigned i = 0; i < BH_STEER_MAX_RULES; ++i) {
      rules.push_back(Rule(static_cast<uint8_t>(i), 1, 1));
      rules.back().address[14] = static_cast<uint8_t>(i >> 8);
      rules.back().address[13] = i == 0 ? 0 : network;  // the first is kept
    }
    return rules;
  };
  SteerRows rows;
  Maps maps;
  const std::vector<SteerRule> kept = {full(1)[0]};
  maps.Apply(rows.ChangeTo(Table(full(1))), {});
  for (uint8_t network = 2; network < 5; ++network) {
    maps.Apply(rows.ChangeTo(Table(full(network))), kept);
    EXPECT_EQ(maps.size(), size_t{BH_STEER_MAX_RULES});
  }
}

}  // namespace
}  // namespace bridgehead::port
