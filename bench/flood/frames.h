// Frames of a flood: what an attacker without a session sends at a media listener.
//
// Every frame is right from Ethernet to the last byte of UDP, so that it costs the relay as much as
// a packet can before it is refused. The kinds:
//  - stun: a Binding Request as a browser sends it, from a source of its own each time. All but its
//    MESSAGE-INTEGRITY is valid (an attacker does not know the password, and a relay neither), and
//    its ufrag has the prefix of a real bridge.
//  - garbage: no STUN, sources as above.
//  - replay: one and the same request again and again, as captured.
//  - ports: requests of one source address, from one port after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "relay/net/address.h"
#include "relay/net/headers.h"

namespace bridgehead::flood {

enum class Kind { kStun, kGarbage, kReplay, kPorts };

// Addresses of either family; all of one run are of the target's.
struct Target {
  MacAddress from_mac{};
  MacAddress to_mac{};
  Ipv6Address address;
  be16 port;
  std::string ufrag_prefix;
  Ipv6Address source;  // of replay and ports
};

class Frames {
 public:
  Frames(Kind kind, const Target& target, uint64_t seed);

  // All frames of a flood have one length.
  size_t bytes() const { return frame_.size(); }

  // Writes the next frame, bytes() long.
  void Next(uint8_t* out);

 private:
  template <class Family>
  void WriteHeaders(const Target& target);
  template <class Family>
  void Seal(uint8_t* out, const Ipv6Address& source, be16 source_port) const;
  void WriteRequest(const std::string& ufrag_prefix);
  void Vary(uint8_t* payload);
  Ipv6Address RandomSource();

  Kind kind_;
  Ipv6Address source_;
  bool ipv4_;
  uint16_t port_ = 0;  // the last one used
  std::mt19937_64 random_;
  std::vector<uint8_t> frame_;  // what all frames share
  size_t payload_ = 0;          // offsets in the frame
  size_t ufrag_ = 0;            // of what follows the prefix, in the payload
  size_t integrity_ = 0;        // of the value
};

}  // namespace bridgehead::flood
