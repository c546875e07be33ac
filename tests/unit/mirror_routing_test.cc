// From sequences of rtnetlink messages to the routing that the relay is sent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/mirror/kernel_state.h"
#include "ctrl/mirror/routing.h"
#include "fmt/format.h"
#include "tests/unit/mirror_builder.h"

namespace bridgehead::mirror {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kWan = 3, kLan = 4, kManagement = 5;

std::string Text(const std::string& wire) {
  return config::Address::FromBytes(wire)->text();
}

class MirrorRouting : public ::testing::Test {
 protected:
  void SetUp() override {
    Apply(LinkMessage(kWan, "wan0"));
    Apply(LinkMessage(kLan, "lan0"));
    Apply(LinkMessage(kManagement, "mgmt0"));
  }
  KernelState::Effect Apply(const Message& message) {
    auto effect = state_.Apply(message.get());
    EXPECT_TRUE(effect.ok()) << effect.status();
    return *effect;
  }
  KernelState::Effect Route(const RouteSpec& spec) { return Apply(RouteMessage(spec)); }
  MirroredRouting Build() { return BuildRouting(state_, {"wan0", "", "lan0"}); }
  std::vector<std::string> Routes() {
    std::vector<std::string> out;
    MirroredRouting built = Build();
    for (const auto& route : built.routing.routes()) {
      std::string text = fmt::format("{}/{}", Text(route.prefix()), route.prefix_length());
      if (route.unreachable()) {
        text += " unreachable";
      } else {
        const auto& interface = built.routing.interfaces(static_cast<int>(route.interface()));
        text += fmt::format(" port {}", interface.port());
        if (interface.vlan() != 0) text += fmt::format(" vlan {}", interface.vlan());
        if (!route.gateway().empty()) text += " via " + Text(route.gateway());
      }
      out.push_back(text);
    }
    return out;
  }
  std::vector<std::string> Neighbours() {
    std::vector<std::string> out;
    MirroredRouting built = Build();
    for (const auto& neighbour : built.routing.neighbours()) {
      out.push_back(Text(neighbour.address()) + (neighbour.mac().empty() ? " failed" : "") +
                    (neighbour.permanent() ? " permanent" : ""));
    }
    return out;
  }
  KernelState state_;
};

TEST_F(MirrorRouting, InterfacesInPortOrderWithTheirVlans) {
  Apply(VlanMessage(9, "wan0.7", kWan, 7));
  Apply(VlanMessage(8, "other", kManagement, 8));
  Apply(AddressMessage(kWan, "192.0.2.1", 24));
  Apply(AddressMessage(9, "198.51.100.1", 24));
  auto built = Build();
  ASSERT_EQ(built.routing.interfaces_size(), 3);
  EXPECT_EQ(built.routing.interfaces(0).ifindex(), 3u);
  EXPECT_EQ(built.routing.interfaces(0).mac(), kMacA);
  EXPECT_EQ(built.routing.interfaces(0).mtu(), 1500u);
  EXPECT_THAT(built.routing.interfaces(0).addresses(), ElementsAre(Wire("192.0.2.1")));
  EXPECT_EQ(built.routing.interfaces(1).vlan(), 7u);
  EXPECT_EQ(built.routing.interfaces(1).port(), 0u);
  EXPECT_THAT(built.routing.interfaces(1).addresses(), ElementsAre(Wire("198.51.100.1")));
  EXPECT_EQ(built.routing.interfaces(2).port(), 2u);
  EXPECT_THAT(built.warnings, IsEmpty());
}

TEST_F(MirrorRouting, OnLinkAndGateway) {
  Route({.prefix = "192.0.2.0", .length = 24, .ifindex = kWan});
  Route({.ifindex = kWan, .gateway = "192.0.2.254"});
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 0 via 192.0.2.254", "192.0.2.0/24 port 0"));
}

TEST_F(MirrorRouting, LowestMetricWins) {
  Route({.ifindex = kWan, .gateway = "192.0.2.254", .metric = 200});
  Route({.ifindex = kLan, .gateway = "10.0.0.254", .metric = 100});
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 2 via 10.0.0.254"));
  Route({.ifindex = kLan, .gateway = "10.0.0.254", .metric = 100, .message_type = RTM_DELROUTE});
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 0 via 192.0.2.254"));
}

TEST_F(MirrorRouting, BlackholeBeatsTheDefaultRoute) {
  Route({.ifindex = kWan, .gateway = "192.0.2.254"});
  for (uint8_t type : {RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT}) {
    Route({.prefix = "10.9.0.0", .length = 16, .type = type});
    EXPECT_THAT(Routes(),
                ElementsAre("0.0.0.0/0 port 0 via 192.0.2.254", "10.9.0.0/16 unreachable"));
    Route({.prefix = "10.9.0.0", .length = 16, .type = type, .message_type = RTM_DELROUTE});
  }
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 0 via 192.0.2.254"));
}

TEST_F(MirrorRouting, AnotherInterfaceTakesItsPrefixOutOfTheDefaultRoute) {
  Route({.prefix = "172.16.0.0", .length = 12, .ifindex = kManagement});
  EXPECT_THAT(Routes(), IsEmpty());  // nothing shorter leads out: nothing to take away
  Route({.ifindex = kWan, .gateway = "192.0.2.254"});
  Route({.prefix = "172.16.5.0", .length = 24, .ifindex = kLan});
  Route({.prefix = "172.16.5.128", .length = 25, .ifindex = kManagement});
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 0 via 192.0.2.254", "172.16.0.0/12 unreachable",
                                    "172.16.5.0/24 port 2", "172.16.5.128/25 unreachable"));
}

TEST_F(MirrorRouting, TablesAreAskedInOrder) {
  Route({.prefix = "192.0.2.0", .length = 24, .ifindex = kWan});
  Route({.prefix = "192.0.2.1",
         .length = 32,
         .ifindex = kWan,
         .table = RT_TABLE_LOCAL,
         .type = RTN_LOCAL});
  // The local table's answer counts although main has a longer prefix.
  Route({.prefix = "203.0.113.0",
         .length = 24,
         .ifindex = 1,
         .table = RT_TABLE_LOCAL,
         .type = RTN_LOCAL});
  Route({.prefix = "203.0.113.128", .length = 25, .ifindex = kWan});
  // The default table is asked only for what main does not know.
  Route({.prefix = "192.0.2.128", .length = 25, .ifindex = kLan, .table = RT_TABLE_DEFAULT});
  Route({.prefix = "198.51.100.0", .length = 24, .ifindex = kLan, .table = RT_TABLE_DEFAULT});
  EXPECT_THAT(Routes(), ElementsAre("192.0.2.0/24 port 0", "198.51.100.0/24 port 2",
                                    "192.0.2.1/32 unreachable"));
}

// The same rules for IPv6, and neither family is asked for the other's destinations.
TEST_F(MirrorRouting, BothFamiliesBesideEachOther) {
  Apply(AddressMessage(kWan, "2001:db8::1", 64));
  Apply(AddressMessage(kWan, "192.0.2.1", 24));
  Apply(AddressMessage(kWan, "fe80::1", 64));
  EXPECT_THAT(Build().routing.interfaces(0).addresses(),
              ElementsAre(Wire("192.0.2.1"), Wire("2001:db8::1")));
  EXPECT_THAT(Build().own_addresses, ElementsAre(Ip("192.0.2.1"), Ip("2001:db8::1")));

  Route({.prefix = "::", .ifindex = kWan, .gateway = "fe80::fe", .metric = 1024});
  Route({.prefix = "::", .ifindex = kLan, .gateway = "fe80::fd", .metric = 2048});
  Route({.prefix = "2001:db8::", .length = 64, .ifindex = kWan, .metric = 256});
  Route({.prefix = "fe80::", .length = 64, .ifindex = kWan, .metric = 256});
  Route({.prefix = "10.9.0.0", .length = 16, .type = RTN_BLACKHOLE});  // IPv4 has no way out
  EXPECT_THAT(Routes(), ElementsAre("::/0 port 0 via fe80::fe", "2001:db8::/64 port 0"));
  Route({.ifindex = kLan, .gateway = "10.0.0.254"});
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 2 via 10.0.0.254", "::/0 port 0 via fe80::fe",
                                    "10.9.0.0/16 unreachable", "2001:db8::/64 port 0"));
}

// Own addresses, anycast and multicast of the local table are no ways out.
TEST_F(MirrorRouting, Ipv6LocalTableComesFirst) {
  Route({.prefix = "2001:db8::", .length = 64, .ifindex = kWan, .metric = 256});
  for (auto [prefix, type] : {std::pair{"2001:db8::1", RTN_LOCAL}, {"2001:db8::", RTN_ANYCAST}}) {
    Route({.prefix = prefix,
           .length = 128,
           .ifindex = kWan,
           .table = RT_TABLE_LOCAL,
           .type = static_cast<uint8_t>(type)});
  }
  Route({.prefix = "ff00::",
         .length = 8,
         .ifindex = kWan,
         .metric = 256,
         .table = RT_TABLE_LOCAL,
         .type = RTN_MULTICAST});
  EXPECT_THAT(Routes(), ElementsAre("2001:db8::/64 port 0", "2001:db8::/128 unreachable",
                                    "2001:db8::1/128 unreachable"));
}

// A host that is told to refuse IPv4-mapped destinations says nothing about IPv4.
TEST_F(MirrorRouting, MappedPrefixIsNotIpv4) {
  Route({.ifindex = kWan, .gateway = "192.0.2.254"});
  Route({.prefix = "::ffff:0.0.0.0", .length = 96, .type = RTN_UNREACHABLE});
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 0 via 192.0.2.254"));
}

TEST_F(MirrorRouting, GatewayOfTheOtherFamilyIsNamed) {
  Route({.ifindex = kWan, .gateway = "192.0.2.254"});
  Message message = RouteMessage({.prefix = "10.1.0.0", .length = 16, .ifindex = kWan});
  message.Bytes(RTA_VIA, std::string("\x0a\0", 2) + Wire("fe80::9"));
  Apply(message);
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 0 via 192.0.2.254", "10.1.0.0/16 unreachable"));
  EXPECT_THAT(Build().warnings, ElementsAre(HasSubstr("RFC 8950")));
}

TEST_F(MirrorRouting, FirstLivingNextHopOfAMultipathRoute) {
  Message message = RouteMessage({});
  message.Nest(RTA_MULTIPATH, [](Message& hops) {
    hops.Hop(kWan, "192.0.2.254", RTNH_F_DEAD).Hop(kLan, "10.0.0.254").Hop(kWan, "192.0.2.253");
  });
  Apply(message);
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 2 via 10.0.0.254"));
}

TEST_F(MirrorRouting, ReplaceAppendPrepend) {
  Route({.ifindex = kWan, .gateway = "192.0.2.1"});
  Route({.ifindex = kWan, .gateway = "192.0.2.2", .message_flags = NLM_F_CREATE | NLM_F_APPEND});
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 0 via 192.0.2.1"));
  Route({.ifindex = kWan, .gateway = "192.0.2.3", .message_flags = NLM_F_CREATE});
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 0 via 192.0.2.3"));
  Route({.ifindex = kWan, .gateway = "192.0.2.4", .message_flags = NLM_F_CREATE | NLM_F_REPLACE});
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 0 via 192.0.2.4"));
  Route({.ifindex = kWan, .gateway = "192.0.2.4", .message_type = RTM_DELROUTE});
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 0 via 192.0.2.1"));
}

// The kernel tells of a next hop that joins an IPv6 route with all of them, and of one that leaves
// alone.
TEST_F(MirrorRouting, Ipv6NextHopsOneByOneAskForADump) {
  EXPECT_FALSE(Route({.prefix = "::", .ifindex = kWan, .gateway = "fe80::1"}).routes_stale);
  Message both = RouteMessage({.prefix = "::", .message_flags = NLM_F_CREATE | NLM_F_APPEND});
  both.Nest(RTA_MULTIPATH, [](Message& hops) { hops.Hop(kWan, "fe80::1").Hop(kLan, "fe80::2"); });
  EXPECT_TRUE(Apply(both).routes_stale);
  state_.BeginDump(Section::kRoutes);
  both.get().nlmsg_flags = NLM_F_MULTI;
  EXPECT_FALSE(Apply(both).routes_stale);
  EXPECT_TRUE(state_.EndDump(Section::kRoutes));
  EXPECT_THAT(Routes(), ElementsAre("::/0 port 0 via fe80::1"));

  EXPECT_TRUE(
      Route({.prefix = "::", .ifindex = kWan, .gateway = "fe80::1", .message_type = RTM_DELROUTE})
          .routes_stale);
  // A replacement of the only one says everything.
  EXPECT_FALSE(Route({.prefix = "::",
                      .ifindex = kLan,
                      .gateway = "fe80::3",
                      .message_flags = NLM_F_CREATE | NLM_F_REPLACE})
                   .routes_stale);
  EXPECT_THAT(Routes(), ElementsAre("::/0 port 2 via fe80::3"));
}

TEST_F(MirrorRouting, Ipv6RoutesOfOneMetricStandInTheKernelsOrder) {
  Route({.prefix = "2001:db8::", .length = 64, .ifindex = kWan, .metric = 256});
  // Without NLM_F_APPEND this would go before the first in IPv4.
  EXPECT_TRUE(Route({.prefix = "2001:db8::",
                     .length = 64,
                     .ifindex = kLan,
                     .metric = 256,
                     .message_flags = NLM_F_CREATE})
                  .routes_stale);
  EXPECT_THAT(Routes(), ElementsAre("2001:db8::/64 port 0"));
  EXPECT_TRUE(Route({.prefix = "2001:db8::",
                     .length = 64,
                     .ifindex = kWan,
                     .metric = 256,
                     .message_type = RTM_DELROUTE})
                  .routes_stale);
  EXPECT_THAT(Routes(), ElementsAre("2001:db8::/64 port 2"));
}

TEST_F(MirrorRouting, DumpRemovesWhatItDoesNotName) {
  Route({.prefix = "10.1.0.0", .length = 16, .ifindex = kWan});
  Route({.prefix = "10.2.0.0", .length = 16, .ifindex = kWan});
  state_.BeginDump(Section::kRoutes);
  Route({.prefix = "10.2.0.0", .length = 16, .ifindex = kWan, .message_flags = NLM_F_MULTI});
  // A notification between the parts of the dump.
  Route({.prefix = "10.3.0.0", .length = 16, .ifindex = kWan});
  EXPECT_THAT(Routes(),
              ElementsAre("10.1.0.0/16 port 0", "10.2.0.0/16 port 0", "10.3.0.0/16 port 0"));
  EXPECT_TRUE(state_.EndDump(Section::kRoutes));
  EXPECT_THAT(Routes(), ElementsAre("10.2.0.0/16 port 0", "10.3.0.0/16 port 0"));
}

TEST_F(MirrorRouting, SilentRouteRemovalsAskForADump) {
  EXPECT_TRUE(Apply(LinkMessage(kWan, "wan0", false)).routes_stale);
  EXPECT_TRUE(Apply(LinkMessage(kWan, "wan0", true)).routes_stale);
  EXPECT_FALSE(Apply(LinkMessage(kWan, "wan0", true)).changed);
  Apply(AddressMessage(kWan, "192.0.2.1", 24));
  EXPECT_TRUE(Apply(AddressMessage(kWan, "192.0.2.1", 24, RTM_DELADDR)).routes_stale);
}

TEST_F(MirrorRouting, DeviceThatGoesAndComesBack) {
  Apply(AddressMessage(kWan, "192.0.2.1", 24));
  Apply(NeighbourMessage(kWan, "192.0.2.9", NUD_REACHABLE));
  EXPECT_TRUE(Apply(LinkMessage(kWan, "wan0", false, RTM_DELLINK)).routes_stale);
  auto built = Build();
  ASSERT_EQ(built.routing.interfaces_size(), 1);
  EXPECT_EQ(built.routing.interfaces(0).port(), 2u);
  EXPECT_THAT(built.warnings, ElementsAre(HasSubstr("wan0 does not exist")));
  EXPECT_THAT(Neighbours(), IsEmpty());
  EXPECT_FALSE(state_.HasAddress(Ip("192.0.2.1")));

  Apply(LinkMessage(17, "wan0"));
  Route({.ifindex = 17, .gateway = "192.0.2.254"});
  EXPECT_EQ(Build().routing.interfaces(0).ifindex(), 17u);
  EXPECT_THAT(Routes(), ElementsAre("0.0.0.0/0 port 0 via 192.0.2.254"));
}

TEST_F(MirrorRouting, NeighbourLife) {
  EXPECT_TRUE(Apply(NeighbourMessage(kWan, "192.0.2.9", NUD_REACHABLE)).changed);
  EXPECT_FALSE(Apply(NeighbourMessage(kWan, "192.0.2.9", NUD_STALE)).changed);
  Apply(NeighbourMessage(kManagement, "172.16.0.9", NUD_REACHABLE));
  EXPECT_THAT(Neighbours(), ElementsAre("192.0.2.9"));
  EXPECT_TRUE(Apply(NeighbourMessage(kWan, "192.0.2.9", NUD_FAILED, "")).changed);
  EXPECT_THAT(Neighbours(), ElementsAre("192.0.2.9 failed"));
  EXPECT_TRUE(Apply(NeighbourMessage(kWan, "192.0.2.9", NUD_INCOMPLETE, "")).changed);
  EXPECT_THAT(Neighbours(), IsEmpty());
  Apply(NeighbourMessage(kWan, "192.0.2.9", NUD_PERMANENT));
  EXPECT_THAT(Neighbours(), ElementsAre("192.0.2.9 permanent"));
  EXPECT_TRUE(Apply(NeighbourMessage(kWan, "192.0.2.9", NUD_STALE, "", RTM_DELNEIGH)).changed);
  EXPECT_THAT(Neighbours(), IsEmpty());
}

// Link-local addresses are unique on their link alone.
TEST_F(MirrorRouting, LinkLocalNeighboursAreKeptByInterface) {
  Apply(NeighbourMessage(kWan, "fe80::1", NUD_REACHABLE));
  Apply(NeighbourMessage(kLan, "fe80::1", NUD_FAILED, ""));
  Apply(NeighbourMessage(kLan, "2001:db8::9", NUD_REACHABLE));
  EXPECT_THAT(Neighbours(), ElementsAre("fe80::1", "2001:db8::9", "fe80::1 failed"));
  Apply(NeighbourMessage(kWan, "fe80::1", NUD_STALE, "", RTM_DELNEIGH));
  EXPECT_THAT(Neighbours(), ElementsAre("2001:db8::9", "fe80::1 failed"));
}

TEST_F(MirrorRouting, RouteLimitIsNamed) {
  for (uint32_t i = 0; i < kMaxRoutes + 10; ++i) {
    std::string prefix = fmt::format("{}.{}.{}.0", 11 + (i >> 16), i >> 8 & 255, i & 255);
    Route({.prefix = prefix, .length = 24, .ifindex = kWan});
  }
  auto built = Build();
  EXPECT_EQ(built.routing.routes_size(), static_cast<int>(kMaxRoutes));
  EXPECT_THAT(built.warnings, ElementsAre(HasSubstr("10 routes over the limit of 100000")));
}

}  // namespace
}  // namespace bridgehead::mirror
