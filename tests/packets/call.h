// One client's established call, and the frames of it on either side of the relay.
#pragma once

#include <string_view>

#include <gtest/gtest.h>

#include "tests/packets/modes.h"

namespace bridgehead::test {

class CallTest : public testing::TestWithParam<Mode> {
 protected:
  explicit CallTest(const api::Snapshot& snapshot = BasicSnapshot(GetParam().source_nat, net()))
      : harness_(snapshot, {.workers = GetParam().workers}) {
    port_ = SourcePort(harness_.Send(kWan, FromClient().Payload(StunRequest()).Build()).frame);
  }

  static const Net& net() { return GetParam().net; }
  static bool Across() { return net().ClientIsV6() != net().BridgeIsV6(); }
  // The client's address as the bridge sees it.
  static std::string_view Seen() { return GetParam().source_nat ? net().nat : net().client; }

  static Packet FromClient(uint16_t port = 40000) {
    return Packet().Eth(kGateway, kRelayWan).IP(net().client, net().listener).Udp(port, 10000);
  }
  Packet ToBridge() const {
    return Packet().Eth(kRelayLan, kBridge).IP(Seen(), net().bridge).Udp(port_, 10000).Ttl(63);
  }
  Packet FromBridge() const {
    return Packet().Eth(kBridge, kRelayLan).IP(net().bridge, Seen()).Udp(10000, port_);
  }
  static Packet ToClient() {
    return Packet()
        .Eth(kRelayWan, kGateway)
        .IP(net().listener, net().client)
        .Udp(10000, 40000)
        .Ttl(63);
  }

  WalkHarness harness_;
  uint16_t port_ = 0;  // the client's, as the bridge sees it
};

}  // namespace bridgehead::test
