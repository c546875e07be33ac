#include "ctrl/mirror/messages.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "fmt/format.h"

namespace bridgehead::mirror {
namespace {

constexpr size_t kMacBytes = 6;

// The bytes of one attribute, or of a list of attributes.
using Bytes = std::string_view;

// The families whose messages are the mirror's business. Others may have shorter headers.
bool IsIp(uint8_t family) {
  return family == AF_INET || family == AF_INET6;
}

// All zeros: what a default route's destination is.
Address Unspecified(uint8_t family) {
  constexpr char kZeros[16] = {};
  return *Address::FromBytes({kZeros, family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr)});
}

absl::Status Malformed(std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("malformed netlink message: {}", what));
}

// Copies a fixed structure out of bytes whose length has been checked, whatever their alignment.
template <typename T>
T Load(const char* from) {
  T value;
  memcpy(&value, from, sizeof(value));
  return value;
}

// Attributes by type. Types above kMax are skipped: the kernel adds some with every version.
class Attributes {
 public:
  static constexpr size_t kMax = 64;

  static absl::StatusOr<Attributes> Parse(Bytes bytes) {
    Attributes found;
    while (!bytes.empty()) {
      // The last attribute's padding may be left out, so nothing shorter than a header is legal.
      if (bytes.size() < sizeof(nlattr)) return Malformed("trailing bytes after the attributes");
      auto header = Load<nlattr>(bytes.data());
      if (header.nla_len < sizeof(nlattr) || header.nla_len > bytes.size()) {
        return Malformed(fmt::format("attribute of {} bytes in {}", header.nla_len, bytes.size()));
      }
      size_t type = header.nla_type & NLA_TYPE_MASK;
      if (type <= kMax) {
        found.values_[type] = bytes.substr(sizeof(nlattr), header.nla_len - sizeof(nlattr));
        found.present_[type] = true;
      }
      bytes.remove_prefix(std::min<size_t>(NLA_ALIGN(header.nla_len), bytes.size()));
    }
    return found;
  }

  bool Has(size_t type) const { return present_[type]; }
  Bytes Get(size_t type) const { return values_[type]; }

  // Leaves `out` alone when the attribute is absent.
  template <typename T>
  absl::Status Read(size_t type, std::string_view name, T& out) const {
    if (!present_[type]) return absl::OkStatus();
    if (values_[type].size() != sizeof(T)) {
      return Malformed(
          fmt::format("{} of {} bytes, expected {}", name, values_[type].size(), sizeof(T)));
    }
    out = Load<T>(values_[type].data());
    return absl::OkStatus();
  }
  // Likewise. An address of another family is malformed.
  absl::Status ReadAddress(size_t type, std::string_view name, uint8_t family, Address& out) const {
    if (!present_[type]) return absl::OkStatus();
    std::optional<Address> address = Address::FromBytes(values_[type]);
    if (!address || address->is_v4() != (family == AF_INET)) {
      return Malformed(
          fmt::format("{} of {} bytes in family {}", name, values_[type].size(), family));
    }
    out = *address;
    return absl::OkStatus();
  }

 private:
  std::array<Bytes, kMax + 1> values_{};
  std::array<bool, kMax + 1> present_{};
};

// The fixed part of a message, and its attributes.
template <typename Header>
absl::StatusOr<Attributes> Open(const nlmsghdr& message, Header& header) {
  size_t fixed = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(Header));
  if (message.nlmsg_len < fixed) {
    return Malformed(fmt::format("{} bytes of type {}", message.nlmsg_len, message.nlmsg_type));
  }
  const char* base = reinterpret_cast<const char*>(&message);
  header = Load<Header>(base + NLMSG_HDRLEN);
  return Attributes::Parse(Bytes(base + fixed, message.nlmsg_len - fixed));
}

// The family that the message's header opens with; AF_UNSPEC when there is not even that.
uint8_t FamilyOf(const nlmsghdr& message) {
  if (message.nlmsg_len <= NLMSG_HDRLEN) return AF_UNSPEC;
  return Load<uint8_t>(reinterpret_cast<const char*>(&message) + NLMSG_HDRLEN);
}

// A name the kernel terminates with NUL, checked.
absl::Status ReadName(Bytes bytes, size_t most, std::string& out) {
  if (bytes.empty() || bytes.size() > most || bytes.back() != '\0') return Malformed("name");
  out = std::string(bytes.data(), strnlen(bytes.data(), bytes.size()));
  return absl::OkStatus();
}

// Sets `vlan` when the link is an 802.1Q interface.
absl::Status ParseVlan(Bytes link_info, uint16_t& vlan) {
  absl::StatusOr<Attributes> info = Attributes::Parse(link_info);
  if (!info.ok()) return info.status();
  if (!info->Has(IFLA_INFO_KIND)) return absl::OkStatus();
  // Most kinds come with their NUL, but not by contract.
  Bytes kind = info->Get(IFLA_INFO_KIND);
  if (kind.substr(0, kind.find('\0')) != "vlan") return absl::OkStatus();
  absl::StatusOr<Attributes> data = Attributes::Parse(info->Get(IFLA_INFO_DATA));
  if (!data.ok()) return data.status();
  uint16_t id = 0;
  uint16_t protocol = htons(ETH_P_8021Q);
  absl::Status status = data->Read(IFLA_VLAN_ID, "IFLA_VLAN_ID", id);
  if (status.ok()) status = data->Read(IFLA_VLAN_PROTOCOL, "IFLA_VLAN_PROTOCOL", protocol);
  if (!status.ok()) return status;
  if (protocol == htons(ETH_P_8021Q)) vlan = id;
  return absl::OkStatus();
}

absl::Status ReadGateway(const Attributes& attributes, uint8_t family, NextHop& hop) {
  hop.foreign_gateway = attributes.Has(RTA_VIA);
  absl::Status status = attributes.ReadAddress(RTA_GATEWAY, "RTA_GATEWAY", family, hop.gateway);
  if (hop.gateway.IsUnspecified()) hop.gateway = Address();
  return status;
}

absl::StatusOr<std::vector<NextHop>> ParseMultipath(Bytes bytes, uint8_t family) {
  std::vector<NextHop> hops;
  while (!bytes.empty()) {
    if (bytes.size() < sizeof(rtnexthop)) return Malformed("RTA_MULTIPATH ends in a next hop");
    auto header = Load<rtnexthop>(bytes.data());
    if (header.rtnh_len < sizeof(rtnexthop) || header.rtnh_len > bytes.size()) {
      return Malformed("next hop in RTA_MULTIPATH has a wrong length");
    }
    size_t fixed = RTNH_ALIGN(sizeof(rtnexthop));
    absl::StatusOr<Attributes> attributes =
        Attributes::Parse(bytes.substr(fixed, header.rtnh_len - fixed));
    if (!attributes.ok()) return attributes.status();
    NextHop& hop = hops.emplace_back();
    hop.ifindex = static_cast<uint32_t>(header.rtnh_ifindex);
    hop.dead = (header.rtnh_flags & RTNH_F_DEAD) != 0;
    absl::Status status = ReadGateway(*attributes, family, hop);
    if (!status.ok()) return status;
    bytes.remove_prefix(std::min<size_t>(RTNH_ALIGN(header.rtnh_len), bytes.size()));
  }
  return hops;
}

std::optional<Table> TableOf(uint32_t number, uint8_t family) {
  switch (number) {
    case RT_TABLE_LOCAL:
      return Table::kLocal;
    case RT_TABLE_MAIN:
      return Table::kMain;
    case RT_TABLE_DEFAULT:
      if (family == AF_INET) return Table::kDefault;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

absl::Status ReadRouteMtu(const Attributes& attributes, uint32_t& mtu) {
  if (!attributes.Has(RTA_METRICS)) return absl::OkStatus();
  absl::StatusOr<Attributes> metrics = Attributes::Parse(attributes.Get(RTA_METRICS));
  if (!metrics.ok()) return metrics.status();
  return metrics->Read(RTAX_MTU, "RTAX_MTU", mtu);
}

absl::Status ReadNextHops(const rtmsg& header, const Attributes& attributes, Route& route) {
  if (attributes.Has(RTA_MULTIPATH)) {
    absl::StatusOr<std::vector<NextHop>> hops =
        ParseMultipath(attributes.Get(RTA_MULTIPATH), header.rtm_family);
    if (!hops.ok()) return hops.status();
    route.next_hops = *std::move(hops);
    return absl::OkStatus();
  }
  NextHop hop;
  hop.dead = (header.rtm_flags & RTNH_F_DEAD) != 0;
  absl::Status status = attributes.Read(RTA_OIF, "RTA_OIF", hop.ifindex);
  if (status.ok()) status = ReadGateway(attributes, header.rtm_family, hop);
  if (status.ok() && hop.ifindex != 0) route.next_hops.push_back(hop);
  return status;
}

}  // namespace

absl::StatusOr<std::optional<Link>> ParseLink(const nlmsghdr& message) {
  ifinfomsg header{};
  absl::StatusOr<Attributes> attributes = Open(message, header);
  if (!attributes.ok()) return attributes.status();
  // AF_BRIDGE messages speak of a bridge's port: their RTM_DELLINK does not delete the link.
  if (header.ifi_family != AF_UNSPEC) return std::nullopt;
  if (header.ifi_index <= 0) return Malformed("link without an index");
  // Wireless events are link messages without the link's own attributes.
  if (!attributes->Has(IFLA_IFNAME) || attributes->Has(IFLA_WIRELESS)) return std::nullopt;

  Link link;
  link.ifindex = static_cast<uint32_t>(header.ifi_index);
  link.up = (header.ifi_flags & IFF_UP) != 0;
  link.carrier = (header.ifi_flags & IFF_RUNNING) != 0;
  absl::Status status = ReadName(attributes->Get(IFLA_IFNAME), IFNAMSIZ, link.name);
  if (status.ok()) status = attributes->Read(IFLA_MTU, "IFLA_MTU", link.mtu);
  if (status.ok() && attributes->Has(IFLA_LINKINFO)) {
    status = ParseVlan(attributes->Get(IFLA_LINKINFO), link.vlan);
  }
  uint32_t parent = 0;
  if (status.ok()) status = attributes->Read(IFLA_LINK, "IFLA_LINK", parent);
  if (!status.ok()) return status;
  // An index of another network namespace may name something quite different here.
  if (link.vlan != 0 && !attributes->Has(IFLA_LINK_NETNSID)) link.parent = parent;
  Bytes mac = attributes->Get(IFLA_ADDRESS);
  if (mac.size() == kMacBytes) link.mac = std::string(mac);
  return link;
}

absl::StatusOr<std::optional<LinkAddress>> ParseAddress(const nlmsghdr& message) {
  if (!IsIp(FamilyOf(message))) return std::nullopt;
  ifaddrmsg header{};
  absl::StatusOr<Attributes> attributes = Open(message, header);
  if (!attributes.ok()) return attributes.status();
  LinkAddress address;
  address.ifindex = header.ifa_index;
  address.prefix_length = header.ifa_prefixlen;
  // On a point-to-point link IFA_ADDRESS is the far end; IFA_LOCAL is always this end.
  size_t type = attributes->Has(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS;
  absl::Status status =
      attributes->ReadAddress(type, "IFA_LOCAL", header.ifa_family, address.address);
  if (!status.ok()) return status;
  if (address.address.empty() || address.address.IsUnspecified()) return std::nullopt;
  if (address.prefix_length > address.address.bits()) {
    return Malformed(fmt::format("address with a prefix of {} bits", address.prefix_length));
  }
  if (address.address.IsLinkLocal()) return std::nullopt;
  return address;
}

absl::StatusOr<std::optional<Route>> ParseRoute(const nlmsghdr& message) {
  if (!IsIp(FamilyOf(message))) return std::nullopt;
  rtmsg header{};
  absl::StatusOr<Attributes> attributes = Open(message, header);
  if (!attributes.ok()) return attributes.status();
  // A route for one type of service never carries media sent with another, nor one for certain
  // sources everybody's; a clone is a cache entry.
  if (header.rtm_tos != 0 || header.rtm_src_len != 0 || (header.rtm_flags & RTM_F_CLONED)) {
    return std::nullopt;
  }
  uint32_t table = header.rtm_table;
  absl::Status status = attributes->Read(RTA_TABLE, "RTA_TABLE", table);
  if (!status.ok()) return status;
  std::optional<Table> known = TableOf(table, header.rtm_family);
  if (!known) return std::nullopt;

  Route route;
  route.table = *known;
  route.prefix = Unspecified(header.rtm_family);
  route.prefix_length = header.rtm_dst_len;
  route.unicast = header.rtm_type == RTN_UNICAST;
  status = attributes->ReadAddress(RTA_DST, "RTA_DST", header.rtm_family, route.prefix);
  if (status.ok()) status = attributes->Read(RTA_PRIORITY, "RTA_PRIORITY", route.metric);
  if (status.ok()) status = ReadRouteMtu(*attributes, route.mtu);
  if (status.ok()) status = ReadNextHops(header, *attributes, route);
  if (!status.ok()) return status;
  if (route.prefix_length > route.prefix.bits()) {
    return Malformed(fmt::format("route with a prefix of {} bits", route.prefix_length));
  }
  if (route.prefix != route.prefix.Network(route.prefix_length)) {
    return Malformed("route with bits beyond its prefix");
  }
  bool link_local = route.prefix.IsLinkLocal() && route.prefix_length >= 10;  // fe80::/10
  if (link_local || route.prefix.IsMulticast()) return std::nullopt;
  return route;
}

absl::StatusOr<std::optional<Neighbour>> ParseNeighbour(const nlmsghdr& message) {
  if (!IsIp(FamilyOf(message))) return std::nullopt;
  ndmsg header{};
  absl::StatusOr<Attributes> attributes = Open(message, header);
  if (!attributes.ok()) return attributes.status();
  if ((header.ndm_flags & NTF_PROXY) != 0) return std::nullopt;
  if (header.ndm_ifindex <= 0) return Malformed("neighbour without an interface");
  Neighbour neighbour;
  neighbour.ifindex = static_cast<uint32_t>(header.ndm_ifindex);
  absl::Status status =
      attributes->ReadAddress(NDA_DST, "NDA_DST", header.ndm_family, neighbour.address);
  if (!status.ok()) return status;
  // Multicast and broadcast entries are the kernel's own bookkeeping: no next hop has such an
  // address.
  const Address& address = neighbour.address;
  if (address.empty() || (address.NotAHost() && !address.IsLinkLocal())) return std::nullopt;
  constexpr unsigned kUsable =
      NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
  Bytes mac = attributes->Get(NDA_LLADDR);
  neighbour.permanent = (header.ndm_state & NUD_PERMANENT) != 0;
  neighbour.failed = (header.ndm_state & NUD_FAILED) != 0;
  neighbour.usable = (header.ndm_state & kUsable) != 0 && mac.size() == kMacBytes;
  if (neighbour.usable) neighbour.mac = std::string(mac);
  return neighbour;
}

}  // namespace bridgehead::mirror
