// ICMP errors that the relay sends itself, where a router must (RFC 1812 section 4.3, RFC 4443
// section 2.4): about packets of its sessions only, and a bounded number each second.
#pragma once

#include <cstdint>

#include "relay/net/family.h"
#include "relay/walk/packet.h"

namespace bridgehead {

enum class Complaint : uint8_t { kTimeExceeded, kTooLarge, kNoRoute, kHostUnreachable };

// Turns the packet, at whose start its IP header still is, into an error about it: from `source` to
// its sender. But for the Ethernet header. `mtu`: of kTooLarge, as the sender is to know it.
template <class Family>
void MakeIcmpError(Packet& packet, Complaint complaint, uint16_t mtu,
                   const typename Family::Address& source);

// How many may be sent: a new allowance each second (RFC 4443 section 2.4 (f)).
class IcmpAllowance {
 public:
  static constexpr uint32_t kPerSecond = 100;

  bool Take(uint32_t now) {
    if (now != second_) {
      second_ = now;
      left_ = kPerSecond;
    }
    return left_ > 0 && left_-- > 0;
  }

 private:
  uint32_t second_ = 0;
  uint32_t left_ = 0;
};

}  // namespace bridgehead
