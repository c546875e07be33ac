// The tables below a session: flow table, NAT ports, source counts, timer wheel.
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "relay/session/admission.h"
#include "relay/session/flow_table.h"
#include "relay/session/nat_ports.h"
#include "relay/session/source_limits.h"
#include "relay/session/timer_wheel.h"
#include "relay/walk/queues.h"
#include "relay/walk/steer.h"
#include "tests/support/walk_harness.h"

namespace bridgehead {
namespace {

TEST(FlowTable, HoldsWhatItPromisesAndFindsAll) {
  for (size_t entries : {1u, 7u, 1000u, 100'000u}) {
    FlowTable table(entries);
    std::mt19937_64 random(entries);
    std::vector<uint64_t> hashes(entries);
    for (uint32_t i = 0; i < entries; ++i) {
      hashes[i] = random();
      ASSERT_TRUE(table.Insert(hashes[i], i)) << i << " of " << entries;
    }
    for (uint32_t i = 0; i < entries; ++i) {
      EXPECT_EQ(table.Find(hashes[i], [&](uint32_t value) { return value == i; }), i);
    }
  }
}

TEST(FlowTable, RandomWorkAgainstAMap) {
  FlowTable table(512);
  std::map<uint32_t, uint64_t> model;
  std::mt19937_64 random(5);
  for (int step = 0; step < 200'000; ++step) {
    auto value = static_cast<uint32_t>(random() % 512);
    auto found = model.find(value);
    if (found == model.end()) {
      // Few distinct hashes, so that tags collide often.
      uint64_t hash = (random() % 97) * 0x0123456789abcdef;
      if (table.Insert(hash, value)) model[value] = hash;
    } else {
      ASSERT_TRUE(table.Erase(found->second, value));
      ASSERT_FALSE(table.Erase(found->second, value));
      model.erase(found);
    }
    if (step % 1000 != 0) continue;
    for (auto& [v, hash] : model) {
      ASSERT_EQ(table.Find(hash, [v = v](uint32_t at) { return at == v; }), v);
    }
  }
}

TEST(FlowTable, AFailedInsertChangesNothing) {
  FlowTable table(8);
  std::vector<uint32_t> kept;
  uint32_t value = 0;
  // One hash for all: only its two buckets can take them.
  for (; value < 100; ++value) {
    if (table.Insert(0x1234567812345678, value)) kept.push_back(value);
  }
  EXPECT_LE(kept.size(), 2 * FlowTable::kSlots);
  EXPECT_GE(kept.size(), FlowTable::kSlots);
  for (uint32_t v : kept) {
    EXPECT_EQ(table.Find(0x1234567812345678, [v](uint32_t at) { return at == v; }), v);
  }
}

TEST(HashFlow, DependsOnEveryFieldAndOnTheKey) {
  FlowKey<Ipv4> key{test::Address("203.0.113.7"), test::Address("198.51.100.10"),
                    be16::FromHost(40000), be16::FromHost(10000)};
  std::set<uint64_t> seen{HashFlow(key, HashKey{})};
  for (size_t bit = 0; bit < sizeof(key) * 8; ++bit) {
    FlowKey<Ipv4> changed = key;
    reinterpret_cast<uint8_t*>(&changed)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_TRUE(seen.insert(HashFlow(changed, HashKey{})).second) << bit;
  }
  EXPECT_TRUE(seen.insert(HashFlow(key, HashKey{1, 2})).second);
}

// The numbers of all NAT addresses, in tests with so many.
const std::vector<uint16_t> kOne = {0};
const std::vector<uint16_t> kTwo = {0, 1};
const std::vector<uint16_t> kFour = {0, 1, 2, 3};

TEST(NatPorts, PartitionsCoverTheRangeOnce) {
  for (size_t workers : {1u, 2u, 3u, 7u, 64u}) {
    uint32_t next = 20000;
    for (size_t w = 0; w < workers; ++w) {
      PortPartition part = PartitionOf(20000, 59999, w, workers);
      EXPECT_EQ(part.first, next);
      next += part.count;
    }
    EXPECT_EQ(next, 60000u);
  }
  EXPECT_EQ(PartitionOf(1, 65535, 0, 1).count, 65535u);
}

TEST(NatPorts, EveryPortOnceThenNone) {
  for (uint32_t count : {1u, 63u, 64u, 65u, 1000u}) {
    NatPorts ports(2, {30000, count});
    std::set<std::pair<uint16_t, uint16_t>> seen;
    std::mt19937_64 random(count);
    for (uint32_t i = 0; i < 2 * count; ++i) {
      auto binding = ports.Allocate(kTwo, static_cast<uint32_t>(random()), random(), i);
      ASSERT_TRUE(binding) << i;
      EXPECT_GE(binding->port, 30000);
      EXPECT_LT(binding->port, 30000 + count);
      EXPECT_TRUE(seen.insert({binding->address, binding->port}).second);
      EXPECT_EQ(ports.Lookup(binding->address, binding->port), i);
    }
    EXPECT_FALSE(ports.Allocate(kTwo, 0, 0, 1));
    EXPECT_EQ(ports.in_use(), 2 * count);
  }
}

// Beside a search port by port, while nearly all of them are taken.
TEST(NatPorts, TheNearestFreePortIsFound) {
  constexpr uint16_t kOnly[] = {0};
  for (const uint32_t count : {1U, 63U, 64U, 65U, 4096U, 4097U, 40000U}) {
    NatPorts ports(1, {20000, count});
    std::vector<bool> taken(count);
    std::vector<uint32_t> held;
    std::mt19937_64 random(count);
    for (int step = 0; step < 3000 + static_cast<int>(count); ++step) {
      if (held.size() + 3 > count && !held.empty()) {
        std::swap(held[random() % held.size()], held.back());
        ports.Release({0, static_cast<uint16_t>(20000 + held.back())});
        taken[held.back()] = false;
        held.pop_back();
        if (step % 3 != 0) continue;
      }
      const uint64_t hash = random();
      auto expected = static_cast<uint32_t>((hash >> 32) * count >> 32);
      while (taken[expected]) expected = (expected + 1) % count;
      const auto found = ports.Allocate(kOnly, 0, hash, 7);
      ASSERT_TRUE(found) << count;
      ASSERT_EQ(found->port - 20000U, expected) << count << " ports, step " << step;
      taken[expected] = true;
      held.push_back(expected);
    }
  }
}

TEST(NatPorts, OneClientAddressStaysOnOneNatAddress) {
  NatPorts ports(4, {20000, 100});
  std::set<uint16_t> addresses;
  std::mt19937_64 random(8);
  for (uint32_t i = 0; i < 100; ++i)
    addresses.insert(ports.Allocate(kFour, 6, random(), i)->address);
  EXPECT_EQ(addresses, std::set<uint16_t>{2});
  EXPECT_EQ(ports.Allocate(kFour, 6, 0, 100)->address, 3);  // only when that has no port left
}

TEST(NatPorts, OnlyTheCandidatesAreChosen) {
  NatPorts ports(4, {20000, 2});
  const std::vector<uint16_t> candidates = {1, 3};
  std::multiset<uint16_t> addresses;
  for (uint32_t i = 0; i < 4; ++i) addresses.insert(ports.Allocate(candidates, 0, 0, i)->address);
  EXPECT_EQ(addresses, (std::multiset<uint16_t>{1, 1, 3, 3}));
  EXPECT_FALSE(ports.Allocate(candidates, 0, 0, 4));
}

TEST(NatPorts, LookupOutsideThePartitionFindsNothing) {
  NatPorts ports(1, {20000, 10});
  ports.Allocate(kOne, 0, 0, 1);
  for (int port : {0, 19999, 20010, 65535}) {
    EXPECT_EQ(ports.Lookup(0, static_cast<uint16_t>(port)), NatPorts::kNone);
  }
}

TEST(NatPorts, ReleasedPortsComeBackInOrderOfRelease) {
  NatPorts ports(1, {20000, 3});
  std::vector<NatPorts::Binding> bindings;
  for (uint32_t i = 0; i < 3; ++i) bindings.push_back(*ports.Allocate(kOne, 0, 0, i));
  ports.Retire(bindings[1], 100);
  ports.Retire(bindings[0], 110);
  EXPECT_EQ(ports.quarantined(), 2u);
  ports.Advance(219, 120, 100);
  EXPECT_FALSE(ports.Allocate(kOne, 0, 0, 9));
  ports.Advance(220, 120, 100);
  EXPECT_EQ(ports.Allocate(kOne, 0, 0, 9)->port, bindings[1].port);
  EXPECT_FALSE(ports.Allocate(kOne, 0, 0, 9));
}

TEST(NatPorts, AnUnansweredPortIsFreeAtOnce) {
  NatPorts ports(1, {20000, 2});
  auto first = *ports.Allocate(kOne, 0, 0, 1);
  ports.Allocate(kOne, 0, 0, 2);
  ports.Release(first);
  EXPECT_EQ(ports.quarantined(), 0u);
  EXPECT_EQ(ports.Allocate(kOne, 0, 0, 3)->port, first.port);
}

TEST(NatPorts, NoNatAddressesIsAnEmptyPool) {
  NatPorts ports(0, {20000, 40000});
  EXPECT_FALSE(ports.Allocate({}, 1, 2, 3));
  ports.Advance(1000, 120, 32);
  EXPECT_EQ(ports.quarantined(), 0u);
}

TEST(SourceLimits, RandomWorkAgainstAMap) {
  SourceLimits limits(64, HashKey{});
  std::map<uint32_t, uint32_t> model;
  size_t total = 0;
  std::mt19937 random(11);
  for (int step = 0; step < 100'000; ++step) {
    uint32_t source = random() % 40;
    uint32_t& count = model[source];
    if (random() % 2 == 0 && total < 64) {
      bool taken = limits.Take(source, 5);
      ASSERT_EQ(taken, count < 5);
      count += taken;
      total += taken;
    } else if (count > 0) {
      limits.Return(source);
      --count;
      --total;
    }
    ASSERT_EQ(limits.Count(source), count);
  }
}

TEST(SourceLimits, AnIpv6SourceIsItsSlash64) {
  SourceLimits limits(64, HashKey{});
  auto source = [&](const char* text) { return limits.SourceOf(test::AnyAddress(text)); };
  EXPECT_EQ(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::2"));
  EXPECT_NE(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
  EXPECT_NE(source("203.0.113.7"), source("203.0.113.8"));
}

// Sources that never come twice are nearly all kept out, however many they are.
TEST(Admission, AMillionForgedSourcesASecond) {
  Admission admission(HashKey{});
  const AdmissionLimits limits{.unproved = 1000, .per_prefix = 0};
  std::mt19937_64 random(3);
  const auto ask = [&](const Ipv6Address& source, uint16_t port, uint32_t now) {
    return admission.Ask(source, be16::FromHost(port), 0, 0, limits, now);
  };
  constexpr uint32_t kSeconds = 6;
  size_t admitted = 0;
  for (uint32_t now = 0; now < kSeconds; ++now) {
    for (size_t i = 0; i < 1'000'000; ++i) {
      const uint64_t word = random();
      const auto source = Ipv6Address::Mapped(be32::FromRaw(static_cast<uint32_t>(word)));
      const Drop drop = ask(source, static_cast<uint16_t>(word >> 32), now);
      if (drop == Drop::kNone) ++admitted;
    }
  }
  EXPECT_GE(admitted, kSeconds * limits.unproved);
  EXPECT_LT(admitted, kSeconds * (limits.unproved + 5000));
  // Who asks again is let in, in the next second too.
  const Ipv6Address newcomer = test::AnyAddress("203.0.113.7");
  ask(newcomer, 40000, kSeconds - 1);
  EXPECT_EQ(ask(newcomer, 40000, kSeconds), Drop::kNone);
}

TEST(TimerWheel, EverySessionIsAskedOnItsSecond) {
  TimerWheel wheel(1000);
  wheel.Start(50);
  std::map<uint32_t, uint32_t> due;
  std::mt19937 random(12);
  for (uint32_t i = 0; i < 1000; ++i) {
    due[i] = 51 + random() % 900;
    wheel.Schedule(i, due[i]);
  }
  for (uint32_t now = 50; now < 1000; ++now) {
    wheel.Advance(now, 10'000, [&](uint32_t index) {
      EXPECT_EQ(due[index], now);
      due.erase(index);
      return TimerWheel::kGone;
    });
  }
  EXPECT_TRUE(due.empty());
}

TEST(TimerWheel, WorkIsCutIntoPieces) {
  TimerWheel wheel(100);
  wheel.Start(0);
  for (uint32_t i = 0; i < 100; ++i) wheel.Schedule(i, 1);
  size_t asked = 0;
  for (int piece = 0; piece < 10; ++piece) {
    size_t before = asked;
    wheel.Advance(1, 16, [&](uint32_t) {
      ++asked;
      return TimerWheel::kGone;
    });
    EXPECT_LE(asked - before, 16u);
  }
  EXPECT_EQ(asked, 100u);
}

TEST(TimerWheel, RandomCancelsAgainstAMap) {
  constexpr uint32_t kSessions = 300;
  TimerWheel wheel(kSessions);
  wheel.Start(0);
  std::map<uint32_t, uint32_t> due;
  std::mt19937 random(5);
  for (uint32_t now = 0; now < 3'000; ++now) {
    for (int i = 0; i < 40; ++i) {
      const uint32_t index = random() % kSessions;
      if (due.erase(index) != 0) {
        wheel.Cancel(index);
      } else {
        due[index] = now + 1 + random() % 20;
        wheel.Schedule(index, due[index]);
      }
    }
    // In two pieces, so that some are cancelled while their second is half done.
    const auto ask = [&](uint32_t index) {
      EXPECT_EQ(due.count(index), 1u);
      EXPECT_LE(due[index], now);
      due.erase(index);
      if (random() % 4 != 0) return TimerWheel::kGone;
      due[index] = now + 1 + random() % 20;
      return due[index];
    };
    wheel.Advance(now, 2, ask);
    if (!due.empty()) {
      wheel.Cancel(due.begin()->first);
      due.erase(due.begin());
    }
    wheel.Advance(now, kSessions, ask);
    for (const auto& [index, deadline] : due) EXPECT_GT(deadline, now) << index;
  }
}

TEST(TimerWheel, APastDeadlineIsAskedInTheNextSecond) {
  TimerWheel wheel(1);
  wheel.Start(100);
  wheel.Schedule(0, 7);
  size_t asked = 0;
  auto due = [&](uint32_t) {
    ++asked;
    return TimerWheel::kGone;
  };
  wheel.Advance(100, 10, due);
  EXPECT_EQ(asked, 0u);
  wheel.Advance(101, 10, due);
  EXPECT_EQ(asked, 1u);
}

TEST(Queues, EveryQueueHasOneWorkerAndEveryWorkerAWayOut) {
  for (size_t workers : {1u, 2u, 4u}) {
    for (uint16_t queues : {1, 2, 4}) {
      if (queues > workers) continue;
      std::vector<port::OpenPort> ports(3);
      for (auto& port : ports) port.rx_queues = port.tx_queues = queues;
      std::set<std::pair<uint8_t, uint16_t>> polled;
      for (size_t w = 0; w < workers; ++w) {
        for (const PortQueue& queue : ReceiveQueues(ports, w, workers)) {
          EXPECT_TRUE(polled.insert({queue.port, queue.queue}).second);
        }
        for (size_t p = 0; p < ports.size(); ++p) {
          TransmitWay way = FindTransmitWay(ports, p, w, workers);
          // The owner's own way must be the same queue, or two would write one queue.
          TransmitWay owners = FindTransmitWay(ports, p, way.owner, workers);
          EXPECT_EQ(owners.owner, way.owner);
          EXPECT_EQ(owners.queue.queue, way.queue.queue);
        }
      }
      EXPECT_EQ(polled.size(), ports.size() * queues);
    }
  }
}

TEST(Steering, SpreadsClientsAndKeepsNatPortsWithTheirOwner) {
  Steering steering(2, 20000, 59999);
  size_t first = 0;
  for (uint32_t i = 0; i < 10'000; ++i) {
    first += steering.OwnerOfClient(be32::FromHost(0xcb007100 + i / 100),
                                    be16::FromHost(static_cast<uint16_t>(1024 + i % 100))) == 0;
  }
  EXPECT_GT(first, 4000u);
  EXPECT_LT(first, 6000u);
  for (uint32_t port = 20000; port < 60000; ++port) {
    PortPartition part = PartitionOf(20000, 59999, 0, 2);
    EXPECT_EQ(steering.OwnerOfNatPort(static_cast<uint16_t>(port)),
              port < part.first + part.count ? 0 : 1);
  }
}

}  // namespace
}  // namespace bridgehead
