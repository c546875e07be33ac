// Builds rtnetlink messages byte by byte, for the mirror's tests.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "ctrl/config/address.h"

namespace bridgehead::mirror {

inline config::Address Ip(const std::string& text) {
  return *config::Address::Parse(text);
}

inline std::string Wire(const std::string& text) {
  return Ip(text).bytes();
}

inline uint8_t Family(const std::string& text) {
  return Ip(text).is_v4() ? AF_INET : AF_INET6;
}

class Message {
 public:
  template <typename Header>
  Message(uint16_t type, const Header& header, uint16_t flags = 0) : buffer_(4096) {
    mnl_nlmsg_put_header(buffer_.data());
    get().nlmsg_type = type;
    get().nlmsg_flags = flags;
    *static_cast<Header*>(mnl_nlmsg_put_extra_header(&get(), sizeof(Header))) = header;
  }
  Message& U32(uint16_t type, uint32_t value) {
    mnl_attr_put_u32(&get(), type, value);
    return *this;
  }
  Message& Bytes(uint16_t type, const std::string& value) {
    mnl_attr_put(&get(), type, value.size(), value.data());
    return *this;
  }
  Message& Name(uint16_t type, const std::string& value) {
    mnl_attr_put_strz(&get(), type, value.c_str());
    return *this;
  }
  Message& Nest(uint16_t type, const std::function<void(Message&)>& fill) {
    nlattr* nest = mnl_attr_nest_start(&get(), type);
    fill(*this);
    mnl_attr_nest_end(&get(), nest);
    return *this;
  }
  // One next hop of RTA_MULTIPATH; to be called inside Nest.
  Message& Hop(int ifindex, const std::string& gateway, uint8_t flags = 0) {
    rtnexthop hop{};
    hop.rtnh_len = static_cast<uint16_t>(sizeof(hop) + sizeof(nlattr) + Wire(gateway).size());
    hop.rtnh_flags = flags;
    hop.rtnh_ifindex = ifindex;
    *static_cast<rtnexthop*>(mnl_nlmsg_put_extra_header(&get(), sizeof(hop))) = hop;
    return Bytes(RTA_GATEWAY, Wire(gateway));
  }
  nlmsghdr& get() { return *reinterpret_cast<nlmsghdr*>(buffer_.data()); }
  const nlmsghdr& get() const { return *reinterpret_cast<const nlmsghdr*>(buffer_.data()); }

 private:
  std::vector<char> buffer_;
};

inline const std::string kMacA("\x02\x00\x00\x00\x00\x0a", 6);
inline const std::string kMacB("\x02\x00\x00\x00\x00\x0b", 6);

inline Message LinkMessage(int ifindex, const std::string& name, bool up = true,
                           uint16_t type = RTM_NEWLINK) {
  ifinfomsg header{};
  header.ifi_index = ifindex;
  header.ifi_flags = up ? IFF_UP | IFF_RUNNING : 0;
  return std::move(
      Message(type, header).Name(IFLA_IFNAME, name).U32(IFLA_MTU, 1500).Bytes(IFLA_ADDRESS, kMacA));
}

inline Message VlanMessage(int ifindex, const std::string& name, uint32_t parent, uint16_t vlan,
                           uint16_t protocol = ETH_P_8021Q) {
  Message message = LinkMessage(ifindex, name);
  message.U32(IFLA_LINK, parent).Nest(IFLA_LINKINFO, [&](Message& info) {
    info.Name(IFLA_INFO_KIND, "vlan").Nest(IFLA_INFO_DATA, [&](Message& data) {
      uint16_t wire = htons(protocol);
      data.Bytes(IFLA_VLAN_ID, std::string(reinterpret_cast<const char*>(&vlan), 2));
      data.Bytes(IFLA_VLAN_PROTOCOL, std::string(reinterpret_cast<const char*>(&wire), 2));
    });
  });
  return message;
}

inline Message AddressMessage(uint32_t ifindex, const std::string& address, uint8_t length,
                              uint16_t type = RTM_NEWADDR) {
  ifaddrmsg header{};
  header.ifa_family = Family(address);
  header.ifa_prefixlen = length;
  header.ifa_index = ifindex;
  return std::move(
      Message(type, header).Bytes(IFA_ADDRESS, Wire(address)).Bytes(IFA_LOCAL, Wire(address)));
}

struct RouteSpec {
  std::string prefix = "0.0.0.0";
  uint8_t length = 0;
  uint32_t ifindex = 0;
  std::string gateway = {};
  uint32_t metric = 0;
  uint8_t table = RT_TABLE_MAIN;
  uint8_t type = RTN_UNICAST;
  uint8_t tos = 0;
  uint8_t source_length = 0;
  unsigned flags = 0;
  uint16_t message_type = RTM_NEWROUTE;
  uint16_t message_flags = NLM_F_CREATE | NLM_F_EXCL;
};

inline Message RouteMessage(const RouteSpec& spec) {
  rtmsg header{};
  header.rtm_family = Family(spec.prefix);
  header.rtm_src_len = spec.source_length;
  header.rtm_dst_len = spec.length;
  header.rtm_table = spec.table;
  header.rtm_type = spec.type;
  header.rtm_tos = spec.tos;
  header.rtm_flags = spec.flags;
  Message message(spec.message_type, header, spec.message_flags);
  message.U32(RTA_TABLE, spec.table);
  if (spec.length != 0) message.Bytes(RTA_DST, Wire(spec.prefix));
  if (spec.metric != 0) message.U32(RTA_PRIORITY, spec.metric);
  if (!spec.gateway.empty()) message.Bytes(RTA_GATEWAY, Wire(spec.gateway));
  if (spec.ifindex != 0) message.U32(RTA_OIF, spec.ifindex);
  return message;
}

inline Message NeighbourMessage(int ifindex, const std::string& address, uint16_t state,
                                const std::string& mac = kMacB, uint16_t type = RTM_NEWNEIGH) {
  ndmsg header{};
  header.ndm_family = Family(address);
  header.ndm_ifindex = ifindex;
  header.ndm_state = state;
  Message message(type, header);
  message.Bytes(NDA_DST, Wire(address));
  if (!mac.empty()) message.Bytes(NDA_LLADDR, mac);
  return message;
}

}  // namespace bridgehead::mirror
