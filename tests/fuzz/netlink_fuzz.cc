// Messages of the kernel's routing: whatever is in one, parsing ends, and what it gives is in
// order.
//
// Input: the type of message, by its number in kTypes; then the message behind its netlink header.
#include "ctrl/mirror/messages.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/mirror_builder.h"

namespace bridgehead::fuzz {
namespace {

using mirror::Address;

constexpr uint16_t kTypes[] = {RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWNEIGH};

void CheckMac(const std::string& mac) {
  FUZZ_CHECK(mac.empty() || mac.size() == 6);
}

void Check(const mirror::Link& link) {
  FUZZ_CHECK(link.ifindex > 0 && link.name.size() < IFNAMSIZ);
  FUZZ_CHECK(link.name.find('\0') == link.name.npos);
  FUZZ_CHECK(link.parent == 0 || link.vlan != 0);
  CheckMac(link.mac);
}
void Check(const mirror::LinkAddress& address) {
  FUZZ_CHECK(!address.address.empty() && address.prefix_length <= address.address.bits());
}
void Check(const mirror::Route& route) {
  FUZZ_CHECK(route.prefix_length <= route.prefix.bits());
  FUZZ_CHECK(route.prefix == route.prefix.Network(route.prefix_length));
  for (const mirror::NextHop& hop : route.next_hops) {
    FUZZ_CHECK(hop.gateway.empty() || hop.gateway.is_v4() == route.prefix.is_v4());
  }
}
void Check(const mirror::Neighbour& neighbour) {
  FUZZ_CHECK(neighbour.ifindex > 0 && !neighbour.address.empty());
  FUZZ_CHECK(neighbour.usable == !neighbour.mac.empty());
  CheckMac(neighbour.mac);
}

template <class Parsed>
void CheckResult(const Parsed& parsed) {
  if (!parsed.ok()) {
    FUZZ_CHECK(!parsed.status().message().empty());
  } else if (*parsed) {
    Check(**parsed);
  }
}

Bytes SeedOf(const mirror::Message& message) {
  const nlmsghdr& header = message.get();
  Bytes seed;
  for (uint8_t i = 0; i < std::size(kTypes); ++i) {
    if (kTypes[i] == header.nlmsg_type) seed.push_back(i);
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(&header);
  seed.insert(seed.end(), bytes + NLMSG_HDRLEN, bytes + header.nlmsg_len);
  return seed;
}

}  // namespace

std::vector<Bytes> Seeds() {
  using namespace mirror;
  std::vector<Bytes> seeds = {
      SeedOf(LinkMessage(2, "eth0")),
      SeedOf(VlanMessage(3, "eth0.5", 2, 5)),
      SeedOf(AddressMessage(2, "198.51.100.10", 24)),
      SeedOf(AddressMessage(2, "2001:db8::10", 64)),
      SeedOf(RouteMessage({.ifindex = 2, .gateway = "198.51.100.1"})),
      SeedOf(RouteMessage({.prefix = "2001:db8:9::", .length = 48, .ifindex = 2, .metric = 7})),
      SeedOf(NeighbourMessage(2, "198.51.100.1", NUD_REACHABLE)),
      SeedOf(NeighbourMessage(2, "fe80::1", NUD_FAILED, "")),
  };
  Message multipath = RouteMessage({});
  multipath.Nest(RTA_MULTIPATH, [](Message& hops) {
    hops.Hop(2, "198.51.100.1").Hop(3, "198.51.100.2", RTNH_F_DEAD);
  });
  multipath.Nest(RTA_METRICS, [](Message& metrics) { metrics.U32(RTAX_MTU, 1400); });
  seeds.push_back(SeedOf(multipath));
  return seeds;
}

}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead;
  using namespace bridgehead::fuzz;
  Input input(data, size);
  nlmsghdr header{};
  header.nlmsg_type = kTypes[input.U8() % std::size(kTypes)];
  const auto body = input.TakeRest();
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + body.size());
  Bytes whole(NLMSG_HDRLEN);
  memcpy(whole.data(), &header, sizeof(header));
  whole.insert(whole.end(), body.begin(), body.end());
  const Exact exact(whole);
  const auto& message = *reinterpret_cast<const nlmsghdr*>(exact.span().data());
  switch (header.nlmsg_type) {
    case RTM_NEWLINK:
      CheckResult(mirror::ParseLink(message));
      break;
    case RTM_NEWADDR:
      CheckResult(mirror::ParseAddress(message));
      break;
    case RTM_NEWROUTE:
      CheckResult(mirror::ParseRoute(message));
      break;
    default:
      CheckResult(mirror::ParseNeighbour(message));
      break;
  }
  return 0;
}
