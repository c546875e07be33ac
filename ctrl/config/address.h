// Addresses, prefixes, port ranges and endpoints as the configuration writes them: small value
// types with strict text forms. Control side only; the data plane has its own wire types.
//
// IPv4 today. Storage and interfaces already hold IPv6, so that only the parsers have to grow.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bridgehead::config {

// An IP address in network byte order. A default-constructed one is `empty`.
class Address {
 public:
  Address() = default;
  // `host_order` is the IPv4 address as a number: 10.0.0.1 is 0x0a000001.
  static Address V4(uint32_t host_order);
  // Four decimal numbers of 0..255 without leading zeros (RFC 6943 section 3.1.1), nothing else.
  static std::optional<Address> Parse(std::string_view text);

  bool empty() const { return size_ == 0; }
  bool is_v4() const { return size_ == 4; }
  // 4 or 16 bytes in network order, as relay.proto carries them; empty for an empty address.
  std::string bytes() const;
  std::string text() const;
  // Only for IPv4.
  uint32_t v4() const;

  // 127/8.
  bool IsLoopback() const;
  // 0.0.0.0 itself.
  bool IsUnspecified() const;
  // 224/4.
  bool IsMulticast() const;
  // Why packets can not be sent to or from this address on a wire: it lies in 0/8 or 127/8 (RFC
  // 1122 section 3.2.1.3), 224/4 (RFC 5771) or 240/4 with the limited broadcast address (RFC 1112
  // section 4). Nothing when it can name one host.
  std::optional<std::string> NotAHost() const;

  auto operator<=>(const Address&) const = default;

 private:
  std::array<uint8_t, 16> bytes_{};
  uint8_t size_ = 0;
};

// An address and the length of its prefix. The host bits are kept: an interface's address is
// written this way too.
struct Prefix {
  Address address;
  uint8_t length = 0;  // 0..32 for IPv4

  static std::optional<Prefix> Parse(std::string_view text);
  std::string text() const;
  bool Contains(const Address& other) const;
  Address Network() const;    // host bits all zero
  Address Broadcast() const;  // host bits all one
  auto operator<=>(const Prefix&) const = default;
};

// UDP or TCP ports, both ends included. first == 0 means not set.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;

  // "10000" or "10000-10050", both 1..65535 and first <= last.
  static std::optional<PortRange> Parse(std::string_view text);
  std::string text() const;
  bool empty() const { return first == 0; }
  uint32_t count() const { return empty() ? 0 : uint32_t{last} - first + 1; }
  bool Contains(uint32_t port) const { return !empty() && port >= first && port <= last; }
  bool Overlaps(const PortRange& other) const {
    return !empty() && !other.empty() && first <= other.last && other.first <= last;
  }
  auto operator<=>(const PortRange&) const = default;
};

// "IPv4:port" or "IPv4:first-last".
struct Endpoint {
  Address address;
  PortRange ports;

  static std::optional<Endpoint> Parse(std::string_view text);
  std::string text() const;
  bool empty() const { return address.empty(); }
  auto operator<=>(const Endpoint&) const = default;
};

// An Ethernet address: six hexadecimal pairs with colons.
struct MacAddress {
  std::array<uint8_t, 6> octets{};

  static std::optional<MacAddress> Parse(std::string_view text);
  std::string text() const;
  std::string bytes() const;
  bool IsMulticast() const { return (octets[0] & 1) != 0; }
  bool IsZero() const { return octets == std::array<uint8_t, 6>{}; }
  auto operator<=>(const MacAddress&) const = default;
};

// A decimal number without sign, blanks or leading zeros. Nothing when it is not one or over `max`.
std::optional<uint64_t> ParseDecimal(std::string_view text, uint64_t max = UINT64_MAX);

}  // namespace bridgehead::config
