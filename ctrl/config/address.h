// Addresses, prefixes, port ranges and endpoints as the configuration writes them: small value
// types of either family with strict text forms. Control side only; the data plane has its own wire
// types.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace bridgehead::config {

// An IP address in network byte order. A default-constructed one is `empty`. Sorted by family
// first: empty, IPv4, IPv6.
class Address {
 public:
  Address() = default;
  // `host_order` is the IPv4 address as a number: 10.0.0.1 is 0x0a000001.
  static Address V4(uint32_t host_order);
  // From 4 or 16 bytes in network order; nothing from any other number.
  static std::optional<Address> FromBytes(std::string_view bytes);
  // IPv4: four decimal numbers of 0..255 without leading zeros (RFC 6943 section 3.1.1). IPv6: any
  // form of RFC 4291 section 2.2, without a zone. Nothing else.
  static std::optional<Address> Parse(std::string_view text);

  bool empty() const { return size_ == 0; }
  bool is_v4() const { return size_ == 4; }
  bool is_v6() const { return size_ == 16; }
  // 32 or 128; 0 for an empty address.
  uint8_t bits() const { return static_cast<uint8_t>(size_ * 8); }
  // 4 or 16 bytes in network order, as relay.proto carries them; empty for an empty address.
  std::string bytes() const;
  // The one canonical form (IPv6: RFC 5952 section 4); empty for an empty address.
  std::string text() const;
  // "IPv4" or "IPv6"; empty for an empty address.
  std::string_view family() const;
  // What follows the first `length` bits all zero, or all one. `length`: 0..bits().
  Address Network(uint8_t length) const;
  Address Last(uint8_t length) const;

  // 127/8, ::1.
  bool IsLoopback() const;
  // 0.0.0.0 or :: itself.
  bool IsUnspecified() const;
  // 224/4, ff00::/8.
  bool IsMulticast() const;
  // fe80::/10. 169.254/16 is not meant: it needs no zone.
  bool IsLinkLocal() const;
  // ::ffff:0:0/96: IPv4, and to be written as such.
  bool IsV4Mapped() const;
  // Why packets can not be sent to or from this address on a wire, or not without more than the
  // address. IPv4: it lies in 0/8 or 127/8 (RFC 1122 section 3.2.1.3), 224/4 (RFC 5771) or 240/4
  // with the limited broadcast address (RFC 1112 section 4). IPv6: it is ::, ::1, multicast,
  // link-local, IPv4-mapped or IPv4-compatible (RFC 4291 sections 2.5 to 2.7). Nothing when it can
  // name one host.
  std::optional<std::string> NotAHost() const;

  auto operator<=>(const Address&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const Address& address) {
    return H::combine(std::move(h), address.size_, address.bytes_);
  }

 private:
  uint8_t size_ = 0;
  std::array<uint8_t, 16> bytes_{};
};

// An address and the length of its prefix. The host bits are kept: an interface's address is
// written this way too.
struct Prefix {
  Address address;
  uint8_t length = 0;  // 0..32 for IPv4, 0..128 for IPv6

  static std::optional<Prefix> Parse(std::string_view text);
  std::string text() const;
  // False for an address of the other family.
  bool Contains(const Address& other) const;
  Address Network() const { return address.Network(length); }  // host bits all zero
  Address Last() const { return address.Last(length); }        // host bits all one
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

// "192.0.2.10:10000" or "[2001:db8::10]:10000" (RFC 5952 section 6), or FIRST-LAST for the port.
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
