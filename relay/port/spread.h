// Has a port with several queues bring each packet to the worker that owns its session, as far as
// the port can. What it can not do, the workers' own steering stage corrects: nothing here is
// needed for a packet to arrive, only for it to arrive without a hand-off.
//
// Best first, each tried and the choice named:
//   1. rte_flow rules: the NAT ports of a worker's partition to that worker's queue;
//   2. RSS over the client's address and port alone (source fields where clients arrive,
//   destination
//      fields where replies arrive), with the key and redirection table of the software steering;
//   3. hand-off between workers.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "relay/net/address.h"

namespace bridgehead::port {

enum class ClientFields : uint8_t { kSource, kDestination };

// Replies to NAT ports first..last of `address` belong to queue `queue`.
struct NatPortRule {
  Ipv6Address address;  // either family
  uint16_t first = 0;   // host order, inclusive
  uint16_t last = 0;
  uint16_t queue = 0;
};

struct SpreadResult {
  bool flow_rules = false;   // tier 1 took every rule
  bool client_rss = false;   // tier 2
  std::string Text() const;  // for status and log
};

// For a started ethdev of several queues.
SpreadResult SpreadOverQueues(uint16_t ethdev, uint16_t queues, ClientFields fields,
                              std::span<const NatPortRule> rules);

}  // namespace bridgehead::port
