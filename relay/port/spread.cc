#include "relay/port/spread.h"

#include <array>
#include <cstring>
#include <vector>

#include <rte_ethdev.h>
#include <rte_flow.h>

#include "relay/net/toeplitz.h"
#include "relay/port/dpdk_log.h"
#include "relay/walk/steer.h"

namespace bridgehead::port {
namespace {

// One rule: UDP to `address`, ports first..last, goes to the queue.
rte_flow* CreateRule(uint16_t ethdev, const NatPortRule& rule) {
  rte_flow_attr attributes{};
  attributes.ingress = 1;
  rte_flow_item_ipv4 v4{}, v4_mask{};
  rte_flow_item_ipv6 v6{}, v6_mask{};
  rte_flow_item ip{RTE_FLOW_ITEM_TYPE_IPV6, &v6, nullptr, &v6_mask};
  if (rule.address.IsMapped()) {
    v4.hdr.dst_addr = rule.address.Unmapped().Raw();
    v4_mask.hdr.dst_addr = 0xffff'ffff;
    ip = {RTE_FLOW_ITEM_TYPE_IPV4, &v4, nullptr, &v4_mask};
  } else {
    memcpy(v6.hdr.dst_addr, rule.address.bytes.data(), rule.address.bytes.size());
    memset(v6_mask.hdr.dst_addr, 0xff, sizeof(v6_mask.hdr.dst_addr));
  }
  rte_flow_item_udp first{}, last{}, udp_mask{};
  first.hdr.dst_port = be16::FromHost(rule.first).Raw();
  last.hdr.dst_port = be16::FromHost(rule.last).Raw();
  udp_mask.hdr.dst_port = 0xffff;
  rte_flow_action_queue queue{rule.queue};
  const rte_flow_item pattern[] = {{RTE_FLOW_ITEM_TYPE_ETH, nullptr, nullptr, nullptr},
                                   ip,
                                   {RTE_FLOW_ITEM_TYPE_UDP, &first, &last, &udp_mask},
                                   {RTE_FLOW_ITEM_TYPE_END, nullptr, nullptr, nullptr}};
  const rte_flow_action actions[] = {{RTE_FLOW_ACTION_TYPE_QUEUE, &queue},
                                     {RTE_FLOW_ACTION_TYPE_END, nullptr}};
  rte_flow_error error{};
  if (rte_flow_validate(ethdev, &attributes, pattern, actions, &error) != 0) return nullptr;
  return rte_flow_create(ethdev, &attributes, pattern, actions, &error);
}

// All rules or none: half of them would spread by luck.
bool CreateRules(uint16_t ethdev, std::span<const NatPortRule> rules) {
  std::vector<rte_flow*> created;
  for (const NatPortRule& rule : rules) {
    rte_flow* flow = CreateRule(ethdev, rule);
    if (flow == nullptr) {
      rte_flow_error error{};
      for (rte_flow* undo : created) rte_flow_destroy(ethdev, undo, &error);
      return false;
    }
    created.push_back(flow);
  }
  return !created.empty();
}

bool SetRedirectionTable(uint16_t ethdev, uint16_t entries, uint16_t queues) {
  if (entries == 0 || entries % RTE_ETH_RETA_GROUP_SIZE != 0) return false;
  std::vector<rte_eth_rss_reta_entry64> table(entries / RTE_ETH_RETA_GROUP_SIZE);
  for (uint16_t i = 0; i < entries; ++i) {
    rte_eth_rss_reta_entry64& group = table[i / RTE_ETH_RETA_GROUP_SIZE];
    group.mask = UINT64_MAX;
    group.reta[i % RTE_ETH_RETA_GROUP_SIZE] =
        static_cast<uint16_t>(i % Steering::kTableSize % queues);
  }
  return rte_eth_dev_rss_reta_update(ethdev, table.data(), entries) == 0;
}

bool SetClientRss(uint16_t ethdev, uint16_t queues, ClientFields fields) {
  rte_eth_dev_info info{};
  if (rte_eth_dev_info_get(ethdev, &info) != 0) return false;
  const uint64_t only = fields == ClientFields::kSource
                            ? RTE_ETH_RSS_L3_SRC_ONLY | RTE_ETH_RSS_L4_SRC_ONLY
                            : RTE_ETH_RSS_L3_DST_ONLY | RTE_ETH_RSS_L4_DST_ONLY;
  // A driver that does not name these fields hashes all four: another owner for every packet.
  if ((info.flow_type_rss_offloads & only) != only ||
      !(info.flow_type_rss_offloads & RTE_ETH_RSS_NONFRAG_IPV4_UDP)) {
    return false;
  }
  // Longer keys begin with ours; 6 or 18 bytes of input never reach their tail.
  std::vector<uint8_t> key(kToeplitzKey.begin(), kToeplitzKey.end());
  if (info.hash_key_size > key.size()) key.resize(info.hash_key_size);
  rte_eth_rss_conf conf{};
  conf.rss_key = key.data();
  conf.rss_key_len = static_cast<uint8_t>(key.size());
  conf.rss_hf = RTE_ETH_RSS_NONFRAG_IPV4_UDP | only;
  conf.rss_hf |= info.flow_type_rss_offloads & RTE_ETH_RSS_NONFRAG_IPV6_UDP;
  return rte_eth_dev_rss_hash_update(ethdev, &conf) == 0 &&
         SetRedirectionTable(ethdev, info.reta_size, queues);
}

}  // namespace

std::string SpreadResult::Text() const {
  if (flow_rules && client_rss) return "flow rules for NAT ports, RSS over client fields";
  if (flow_rules) return "flow rules for NAT ports, hand-off for the rest";
  if (client_rss) return "RSS over client fields, hand-off for the rest";
  return "hand-off";
}

SpreadResult SpreadOverQueues(uint16_t ethdev, uint16_t queues, ClientFields fields,
                              std::span<const NatPortRule> rules) {
  // What a driver says about rules it does not take is not an error here.
  SpreadResult result;
  result.flow_rules = CreateRules(ethdev, rules);
  result.client_rss = SetClientRss(ethdev, queues, fields);
  ClearLibraryErrors();
  return result;
}

}  // namespace bridgehead::port
