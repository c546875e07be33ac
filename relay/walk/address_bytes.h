// Addresses as relay.proto carries them: 4 or 16 bytes in network order.
#pragma once

#include <cstring>
#include <string>

#include "relay/net/address.h"

namespace bridgehead {

// Of either family, a host's or not. False: neither 4 nor 16 bytes, or an IPv4-mapped address,
// which is to be written as IPv4.
inline bool AddressOfBytes(const std::string& bytes, Ipv6Address& address) {
  if (bytes.size() == sizeof(uint32_t)) {
    uint32_t raw;
    memcpy(&raw, bytes.data(), sizeof(raw));
    address = Ipv6Address::Mapped(be32::FromRaw(raw));
    return true;
  }
  if (bytes.size() != address.bytes.size()) return false;
  memcpy(address.bytes.data(), bytes.data(), bytes.size());
  return !address.IsMapped();
}

inline std::string AddressBytes(const Ipv6Address& address) {
  const auto* bytes = reinterpret_cast<const char*>(address.bytes.data());
  return address.IsMapped() ? std::string(bytes + 12, 4) : std::string(bytes, 16);
}

}  // namespace bridgehead
