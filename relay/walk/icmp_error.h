// ICMP errors that the relay sends itself, where a router must (RFC 1812 section 4.3, RFC 4443
// section 2.4): about packets of its sessions only, and a bounded number each second.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "relay/net/family.h"
#include "relay/session/admission.h"
#include "relay/walk/packet.h"

namespace bridgehead {

enum class Complaint : uint8_t { kTimeExceeded, kTooLarge, kNoRoute, kHostUnreachable };

// Turns the packet, at whose start its IP header still is, into an error about it: from `source` to
// its sender. But for the Ethernet header. `mtu`: of kTooLarge, as the sender is to know it.
template <class Family>
void MakeIcmpError(Packet& packet, Complaint complaint, uint16_t mtu,
                   const typename Family::Address& source);

// How many may be sent (RFC 4443 section 2.4 (f)). Each session has a small share, so that one that
// makes the relay complain silences nobody else; and what path MTU discovery needs is counted
// apart.
class IcmpAllowance {
 public:
  static constexpr uint32_t kPerSecond = 100;
  static constexpr uint32_t kOfOneSession = 10;

  // `session`: any number of its own.
  bool Take(Complaint complaint, size_t session, uint32_t now) {
    return sessions_[session % sessions_.size()].Take(kOfOneSession, now) &&
           (complaint == Complaint::kTooLarge ? too_large_ : others_).Take(kPerSecond, now);
  }

 private:
  std::array<RateLimit, 256> sessions_;  // they share by number
  RateLimit too_large_;
  RateLimit others_;
};

}  // namespace bridgehead
