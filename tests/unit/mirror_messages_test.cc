// What the mirror makes of single rtnetlink messages, good and bad.
#include <cstring>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "ctrl/mirror/messages.h"
#include "tests/unit/mirror_builder.h"

namespace bridgehead::mirror {
namespace {

TEST(MirrorMessages, Link) {
  auto link = ParseLink(LinkMessage(7, "eth0").get());
  ASSERT_TRUE(link.ok()) << link.status();
  ASSERT_TRUE(link->has_value());
  EXPECT_EQ((*link)->ifindex, 7u);
  EXPECT_EQ((*link)->name, "eth0");
  EXPECT_EQ((*link)->mac, kMacA);
  EXPECT_EQ((*link)->mtu, 1500u);
  EXPECT_TRUE((*link)->up);
  EXPECT_EQ((*link)->vlan, 0);
}

TEST(MirrorMessages, VlanNamesItsParent) {
  auto link = ParseLink(VlanMessage(8, "eth0.42", 7, 42).get());
  ASSERT_TRUE(link.ok() && link->has_value());
  EXPECT_EQ((*link)->vlan, 42);
  EXPECT_EQ((*link)->parent, 7u);
}

TEST(MirrorMessages, ServiceVlanIsNoVlanOfOurs) {
  auto link = ParseLink(VlanMessage(8, "eth0.42", 7, 42, ETH_P_8021AD).get());
  ASSERT_TRUE(link.ok() && link->has_value());
  EXPECT_EQ((*link)->vlan, 0);
  EXPECT_EQ((*link)->parent, 0u);
}

TEST(MirrorMessages, VlanOverAnotherNamespacesLinkHasNoParent) {
  Message message = VlanMessage(8, "eth0.42", 7, 42);
  message.U32(IFLA_LINK_NETNSID, 0);
  auto link = ParseLink(message.get());
  ASSERT_TRUE(link.ok() && link->has_value());
  EXPECT_EQ((*link)->parent, 0u);
}

TEST(MirrorMessages, BridgePortMessageIsNotTheLinks) {
  ifinfomsg header{};
  header.ifi_family = AF_BRIDGE;
  header.ifi_index = 7;
  Message message(RTM_DELLINK, header);
  message.Name(IFLA_IFNAME, "eth0");
  auto link = ParseLink(message.get());
  ASSERT_TRUE(link.ok());
  EXPECT_FALSE(link->has_value());
}

TEST(MirrorMessages, PointToPointAddressIsTheLocalEnd) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 32;
  header.ifa_index = 3;
  Message message(RTM_NEWADDR, header);
  message.Bytes(IFA_ADDRESS, Wire("10.0.0.2")).Bytes(IFA_LOCAL, Wire("10.0.0.1"));
  auto address = ParseAddress(message.get());
  ASSERT_TRUE(address.ok() && address->has_value());
  EXPECT_EQ((*address)->address, Ip("10.0.0.1"));
}

TEST(MirrorMessages, OwnAddressesAreWithoutLinkLocalOnes) {
  auto address = ParseAddress(AddressMessage(3, "2001:db8::1", 64).get());
  ASSERT_TRUE(address.ok() && address->has_value()) << address.status();
  EXPECT_EQ((*address)->address, Ip("2001:db8::1"));
  EXPECT_EQ((*address)->prefix_length, 64);
  auto link_local = ParseAddress(AddressMessage(3, "fe80::1", 64).get());
  ASSERT_TRUE(link_local.ok()) << link_local.status();
  EXPECT_FALSE(link_local->has_value());
  EXPECT_FALSE(ParseAddress(AddressMessage(3, "2001:db8::1", 129).get()).ok());
  EXPECT_FALSE(ParseAddress(AddressMessage(3, "10.0.0.1", 33).get()).ok());
}

TEST(MirrorMessages, Route) {
  Message message = RouteMessage(
      {.prefix = "10.1.0.0", .length = 16, .ifindex = 3, .gateway = "10.0.0.9", .metric = 100});
  message.Nest(RTA_METRICS, [](Message& metrics) { metrics.U32(RTAX_MTU, 1400); });
  auto route = ParseRoute(message.get());
  ASSERT_TRUE(route.ok() && route->has_value()) << route.status();
  EXPECT_EQ((*route)->table, Table::kMain);
  EXPECT_EQ((*route)->prefix, Ip("10.1.0.0"));
  EXPECT_EQ((*route)->prefix_length, 16);
  EXPECT_EQ((*route)->metric, 100u);
  EXPECT_EQ((*route)->mtu, 1400u);
  EXPECT_TRUE((*route)->unicast);
  ASSERT_EQ((*route)->next_hops.size(), 1u);
  EXPECT_EQ((*route)->next_hops[0].ifindex, 3u);
  EXPECT_EQ((*route)->next_hops[0].gateway, Ip("10.0.0.9"));
}

TEST(MirrorMessages, MultipathRoute) {
  Message message = RouteMessage({});
  message.Nest(RTA_MULTIPATH,
               [](Message& hops) { hops.Hop(3, "10.0.0.9", RTNH_F_DEAD).Hop(4, "10.0.1.9"); });
  auto route = ParseRoute(message.get());
  ASSERT_TRUE(route.ok() && route->has_value()) << route.status();
  ASSERT_EQ((*route)->next_hops.size(), 2u);
  EXPECT_TRUE((*route)->next_hops[0].dead);
  EXPECT_EQ((*route)->next_hops[1].ifindex, 4u);
  EXPECT_EQ((*route)->next_hops[1].gateway, Ip("10.0.1.9"));
}

TEST(MirrorMessages, Ipv6RouteOverALinkLocalGateway) {
  Message message = RouteMessage(
      {.prefix = "2001:db8:1::", .length = 48, .ifindex = 3, .gateway = "fe80::9", .metric = 1024});
  message.Nest(RTA_METRICS, [](Message& metrics) { metrics.U32(RTAX_MTU, 1400); });
  auto route = ParseRoute(message.get());
  ASSERT_TRUE(route.ok() && route->has_value()) << route.status();
  EXPECT_EQ((*route)->prefix, Ip("2001:db8:1::"));
  EXPECT_EQ((*route)->prefix_length, 48);
  EXPECT_EQ((*route)->metric, 1024u);
  EXPECT_EQ((*route)->mtu, 1400u);
  ASSERT_EQ((*route)->next_hops.size(), 1u);
  EXPECT_EQ((*route)->next_hops[0].gateway, Ip("fe80::9"));
  EXPECT_FALSE((*route)->next_hops[0].foreign_gateway);

  auto everything = ParseRoute(RouteMessage({.prefix = "::", .ifindex = 3}).get());
  ASSERT_TRUE(everything.ok() && everything->has_value()) << everything.status();
  EXPECT_EQ((*everything)->prefix, Ip("::"));
  EXPECT_TRUE((*everything)->next_hops[0].gateway.empty());

  Message multipath = RouteMessage({.prefix = "::"});
  multipath.Nest(RTA_MULTIPATH, [](Message& hops) { hops.Hop(3, "fe80::9").Hop(4, "fe80::a"); });
  auto several = ParseRoute(multipath.get());
  ASSERT_TRUE(several.ok() && several->has_value()) << several.status();
  ASSERT_EQ((*several)->next_hops.size(), 2u);
  EXPECT_EQ((*several)->next_hops[1].gateway, Ip("fe80::a"));
}

TEST(MirrorMessages, GatewayOfTheOtherFamilyIsForeign) {
  Message message = RouteMessage({.prefix = "10.1.0.0", .length = 16, .ifindex = 3});
  message.Bytes(RTA_VIA, std::string("\x0a\0", 2) + Wire("fe80::9"));
  auto route = ParseRoute(message.get());
  ASSERT_TRUE(route.ok() && route->has_value()) << route.status();
  EXPECT_TRUE((*route)->next_hops[0].foreign_gateway);
}

TEST(MirrorMessages, RoutesOfNoConcern) {
  auto absent = [](const RouteSpec& spec) {
    auto route = ParseRoute(RouteMessage(spec).get());
    return route.ok() && !route->has_value();
  };
  EXPECT_TRUE(absent({.table = 100}));
  EXPECT_TRUE(absent({.tos = 16}));
  EXPECT_TRUE(absent({.flags = RTM_F_CLONED}));
  EXPECT_TRUE(absent({.source_length = 8}));
  EXPECT_FALSE(absent({.table = RT_TABLE_DEFAULT}));
  EXPECT_TRUE(absent({.prefix = "::", .table = RT_TABLE_DEFAULT}));  // IPv6 never asks it
  EXPECT_TRUE(absent({.prefix = "::", .source_length = 48}));
  EXPECT_TRUE(absent({.prefix = "2001:db8::9", .length = 128, .flags = RTM_F_CLONED}));
  EXPECT_TRUE(absent({.prefix = "fe80::", .length = 64, .ifindex = 3}));
  EXPECT_TRUE(absent({.prefix = "ff00::", .length = 8, .ifindex = 3}));
  EXPECT_FALSE(absent({.prefix = "fe00::", .length = 7, .ifindex = 3}));
}

TEST(MirrorMessages, OtherFamiliesHaveTheirOwnHeaders) {
  struct {
    uint8_t family = AF_CAN;
    uint8_t rest[3] = {};
  } header;
  Message message(RTM_NEWROUTE, header);
  auto route = ParseRoute(message.get());
  ASSERT_TRUE(route.ok()) << route.status();
  EXPECT_FALSE(route->has_value());
  EXPECT_FALSE(ParseAddress(message.get())->has_value());
  EXPECT_FALSE(ParseNeighbour(message.get())->has_value());
}

TEST(MirrorMessages, RouteErrors) {
  EXPECT_FALSE(ParseRoute(RouteMessage({.prefix = "10.0.0.1", .length = 24}).get()).ok());
  EXPECT_FALSE(ParseRoute(RouteMessage({.prefix = "10.0.0.0", .length = 33}).get()).ok());
  Message wide = RouteMessage({});
  wide.Bytes(RTA_GATEWAY, std::string(16, '\1'));
  EXPECT_FALSE(ParseRoute(wide.get()).ok());
  Message narrow = RouteMessage({.prefix = "::"});
  narrow.Bytes(RTA_GATEWAY, std::string(4, '\1'));
  EXPECT_FALSE(ParseRoute(narrow.get()).ok());
  EXPECT_FALSE(ParseRoute(RouteMessage({.prefix = "2001:db8::", .length = 129}).get()).ok());
  EXPECT_FALSE(ParseRoute(RouteMessage({.prefix = "2001:db8::1", .length = 64}).get()).ok());
  Message metrics = RouteMessage({});
  metrics.Nest(RTA_METRICS, [](Message& m) { m.Bytes(RTAX_MTU, std::string(2, '\1')); });
  EXPECT_FALSE(ParseRoute(metrics.get()).ok());
  Message hops = RouteMessage({});
  hops.Bytes(RTA_MULTIPATH, std::string(5, '\1'));
  EXPECT_FALSE(ParseRoute(hops.get()).ok());
}

TEST(MirrorMessages, NeighbourStates) {
  for (uint16_t state :
       {NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE, NUD_PERMANENT, NUD_NOARP}) {
    auto neighbour = ParseNeighbour(NeighbourMessage(3, "10.0.0.9", state).get());
    ASSERT_TRUE(neighbour.ok() && neighbour->has_value());
    EXPECT_TRUE((*neighbour)->usable) << state;
    EXPECT_EQ((*neighbour)->mac, kMacB);
    EXPECT_EQ((*neighbour)->permanent, state == NUD_PERMANENT) << state;
  }
  auto failed = ParseNeighbour(NeighbourMessage(3, "10.0.0.9", NUD_FAILED).get());
  ASSERT_TRUE(failed.ok() && failed->has_value());
  EXPECT_TRUE((*failed)->failed);
  EXPECT_EQ((*failed)->mac, "");
  auto asking = ParseNeighbour(NeighbourMessage(3, "10.0.0.9", NUD_INCOMPLETE, "").get());
  ASSERT_TRUE(asking.ok() && asking->has_value());
  EXPECT_FALSE((*asking)->usable);
  EXPECT_FALSE((*asking)->failed);
}

TEST(MirrorMessages, NeighboursThatCanBeNextHops) {
  for (const char* address : {"10.0.0.9", "2001:db8::9", "fe80::9"}) {
    auto neighbour = ParseNeighbour(NeighbourMessage(3, address, NUD_REACHABLE).get());
    ASSERT_TRUE(neighbour.ok() && neighbour->has_value()) << address;
    EXPECT_EQ((*neighbour)->address, Ip(address));
    EXPECT_EQ((*neighbour)->mac, kMacB);
  }
  for (const char* address :
       {"224.0.0.251", "255.255.255.255", "0.0.0.0", "ff02::1", "::", "::1"}) {
    auto neighbour = ParseNeighbour(NeighbourMessage(3, address, NUD_NOARP).get());
    ASSERT_TRUE(neighbour.ok()) << address;
    EXPECT_FALSE(neighbour->has_value()) << address;
  }
}

// Each message cut at every length: an error or a shorter message, never a read past its end (which
// the sanitizers would name).
TEST(MirrorMessages, EveryTruncation) {
  Message multipath = RouteMessage({.prefix = "10.1.0.0", .length = 16, .metric = 5});
  multipath.Nest(RTA_MULTIPATH, [](Message& hops) { hops.Hop(3, "10.0.0.9").Hop(4, "10.0.1.9"); });
  struct Whole {
    Message message;
    size_t header_bytes;
  };
  for (const Whole& whole : std::vector<Whole>{
           {VlanMessage(8, "eth0.42", 7, 42), sizeof(ifinfomsg)},
           {AddressMessage(3, "10.0.0.1", 24), sizeof(ifaddrmsg)},
           {AddressMessage(3, "2001:db8::1", 64), sizeof(ifaddrmsg)},
           {multipath, sizeof(rtmsg)},
           {RouteMessage(
                {.prefix = "2001:db8::", .length = 64, .ifindex = 3, .gateway = "fe80::9"}),
            sizeof(rtmsg)},
           {NeighbourMessage(3, "10.0.0.9", NUD_REACHABLE), sizeof(ndmsg)},
           {NeighbourMessage(3, "fe80::9", NUD_REACHABLE), sizeof(ndmsg)}}) {
    const nlmsghdr& message = whole.message.get();
    // Only at an attribute's end, with its padding or without, may a shorter one be well-formed.
    std::set<size_t> ends = {NLMSG_HDRLEN + whole.header_bytes};
    while (*ends.rbegin() < message.nlmsg_len) {
      size_t begin = *ends.rbegin();
      nlattr attribute{};
      memcpy(&attribute, reinterpret_cast<const char*>(&message) + begin, sizeof(attribute));
      size_t padded = NLA_ALIGN(size_t{attribute.nla_len});
      for (size_t n = attribute.nla_len; n <= padded; ++n) ends.insert(begin + n);
    }
    for (uint32_t size = NLMSG_HDRLEN; size < message.nlmsg_len; ++size) {
      std::vector<char> cut(size);
      memcpy(cut.data(), &message, size);
      auto& header = *reinterpret_cast<nlmsghdr*>(cut.data());
      header.nlmsg_len = size;
      auto link = ParseLink(header);
      auto address = ParseAddress(header);
      auto route = ParseRoute(header);
      auto neighbour = ParseNeighbour(header);
      bool well_formed = link.ok() && address.ok() && route.ok() && neighbour.ok();
      EXPECT_TRUE(!well_formed || size == NLMSG_HDRLEN || ends.contains(size)) << size;
    }
  }
}

}  // namespace
}  // namespace bridgehead::mirror
