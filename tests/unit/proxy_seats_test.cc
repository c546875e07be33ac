// Workers and cores: who moves, rests or is new when the configuration has other cores.
#include <array>

#include <gtest/gtest.h>

#include "ctrl/proxy/seats.h"

namespace bridgehead::proxy {
namespace {

constexpr std::nullopt_t kRests = std::nullopt;

Seats Next(const Seats& before, std::initializer_list<uint32_t> cores) {
  return NextSeats(before, {cores.begin(), cores.size()});
}

TEST(ProxySeats, EachCoreHasOneWorker) {
  EXPECT_EQ(Next({}, {3, 5}), (Seats{3, 5}));
  EXPECT_EQ(Next({3, 5}, {5, 3}), (Seats{3, 5}));
  EXPECT_EQ(Next({3}, {0, 3, 7}), (Seats{3, 0, 7}));
}

TEST(ProxySeats, WhoLosesItsCoreTakesANewOne) {
  EXPECT_EQ(Next({0}, {1}), Seats{1});
  EXPECT_EQ(Next({0, 1, 2}, {1, 4, 5, 6}), (Seats{4, 1, 5, 6}));
}

TEST(ProxySeats, WhoHasNoneRestsUntilThereIsOne) {
  EXPECT_EQ(Next({0, 1}, {1}), (Seats{kRests, 1}));
  EXPECT_EQ(Next({kRests, 1}, {1}), (Seats{kRests, 1}));
  EXPECT_EQ(Next({kRests, 1}, {2}), (Seats{kRests, 2})) << "a move, rather than two";
  EXPECT_EQ(Next({kRests, 1}, {1, 2, 3}), (Seats{2, 1, 3}));
  EXPECT_EQ(Next({0, 1}, {}), (Seats{kRests, kRests}));
}

}  // namespace
}  // namespace bridgehead::proxy
