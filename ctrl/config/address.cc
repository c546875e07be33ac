#include "ctrl/config/address.h"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "fmt/format.h"

namespace bridgehead::config {

namespace {

// Byte `i` of the mask of a prefix.
constexpr uint8_t MaskByte(size_t length, size_t i) {
  const size_t bits = length > 8 * i ? std::min<size_t>(length - 8 * i, 8) : 0;
  return static_cast<uint8_t>(0xff00 >> bits);
}

std::optional<std::array<uint8_t, 4>> ParseV4(std::string_view text) {
  std::array<uint8_t, 4> octets{};
  for (size_t i = 0; i < octets.size(); i++) {
    const size_t end = i + 1 < octets.size() ? text.find('.') : text.size();
    if (end == std::string_view::npos) return std::nullopt;
    const auto octet = ParseDecimal(text.substr(0, end), 255);
    if (!octet) return std::nullopt;
    octets[i] = static_cast<uint8_t>(*octet);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return octets;
}

std::optional<std::array<uint8_t, 16>> ParseV6(std::string_view text) {
  std::array<uint8_t, 16> bytes{};
  char terminated[INET6_ADDRSTRLEN] = "";
  if (text.size() >= sizeof(terminated) || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  memcpy(terminated, text.data(), text.size());
  if (inet_pton(AF_INET6, terminated, bytes.data()) != 1) return std::nullopt;
  return bytes;
}

template <size_t kSize>
std::string_view AsText(const std::array<uint8_t, kSize>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::optional<uint64_t> ParseDecimal(std::string_view text, uint64_t max) {
  if (text.empty() || text.size() > 20 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const uint64_t digit = static_cast<uint64_t>(c - '0');
    if (value > (UINT64_MAX - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  if (value > max) return std::nullopt;
  return value;
}

Address Address::V4(uint32_t host_order) {
  Address address;
  address.size_ = 4;
  for (size_t i = 0; i < 4; i++) {
    address.bytes_[i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  }
  return address;
}

std::optional<Address> Address::FromBytes(std::string_view bytes) {
  if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  Address address;
  address.size_ = static_cast<uint8_t>(bytes.size());
  memcpy(address.bytes_.data(), bytes.data(), bytes.size());
  return address;
}

std::optional<Address> Address::Parse(std::string_view text) {
  if (text.find(':') == std::string_view::npos) {
    const auto octets = ParseV4(text);
    return octets ? FromBytes(AsText(*octets)) : std::nullopt;
  }
  const auto bytes = ParseV6(text);
  return bytes ? FromBytes(AsText(*bytes)) : std::nullopt;
}

std::string Address::bytes() const {
  return std::string(reinterpret_cast<const char*>(bytes_.data()), size_);
}

std::string Address::text() const {
  // inet_ntop takes six times as long, and each request of the edge says its client's address.
  if (is_v4()) return fmt::format("{}.{}.{}.{}", bytes_[0], bytes_[1], bytes_[2], bytes_[3]);
  char text[INET6_ADDRSTRLEN] = "";
  if (!empty()) inet_ntop(AF_INET6, bytes_.data(), text, sizeof(text));
  return text;
}

std::string_view Address::family() const {
  return empty() ? "" : is_v4() ? "IPv4" : "IPv6";
}

Address Address::Network(uint8_t length) const {
  Address network = *this;
  for (size_t i = 0; i < size_; i++) network.bytes_[i] &= MaskByte(length, i);
  return network;
}

Address Address::Last(uint8_t length) const {
  Address last = *this;
  for (size_t i = 0; i < size_; i++) last.bytes_[i] |= static_cast<uint8_t>(~MaskByte(length, i));
  return last;
}

bool Address::IsLoopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return is_v6() && Network(127).IsUnspecified() && bytes_[15] == 1;
}
bool Address::IsUnspecified() const {
  return !empty() && bytes_ == std::array<uint8_t, 16>{};
}
bool Address::IsMulticast() const {
  return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
}
bool Address::IsLinkLocal() const {
  return is_v6() && bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}
bool Address::IsV4Mapped() const {
  return is_v6() && Network(80).IsUnspecified() && bytes_[10] == 0xff && bytes_[11] == 0xff;
}

std::optional<std::string> Address::NotAHost() const {
  if (empty()) return std::nullopt;
  if (IsUnspecified()) return "the unspecified address";
  if (is_v4()) {
    if (bytes_[0] == 0) return "an address of \"this network\" (0/8)";
    if (IsLoopback()) return "a loopback address (127/8)";
    if (IsMulticast()) return "a multicast address (224/4)";
    if (*this == Last(0)) return "the broadcast address";
    if ((bytes_[0] & 0xf0) == 0xf0) return "a reserved address (240/4)";
    return std::nullopt;
  }
  if (IsLoopback()) return "the loopback address";
  if (IsMulticast()) return "a multicast address (ff00::/8)";
  if (IsLinkLocal()) return "a link-local address (fe80::/10), which means nothing elsewhere";
  if (IsV4Mapped()) {
    return fmt::format("an IPv4-mapped address: write it as IPv4, {}",
                       FromBytes(AsText(bytes_).substr(12))->text());
  }
  if (Network(96).IsUnspecified()) return "an IPv4-compatible address (::/96), which is obsolete";
  return std::nullopt;
}

std::optional<Prefix> Prefix::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = Address::Parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const auto length = ParseDecimal(text.substr(slash + 1), address->bits());
  if (!length) return std::nullopt;
  return Prefix{*address, static_cast<uint8_t>(*length)};
}

std::string Prefix::text() const {
  return fmt::format("{}/{}", address.text(), length);
}

bool Prefix::Contains(const Address& other) const {
  return !other.empty() && other.Network(length) == Network();
}

std::optional<PortRange> PortRange::Parse(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = ParseDecimal(text.substr(0, dash), 65535);
  const auto last =
      dash == std::string_view::npos ? first : ParseDecimal(text.substr(dash + 1), 65535);
  if (!first || !last || *first == 0 || *first > *last) return std::nullopt;
  return PortRange{static_cast<uint16_t>(*first), static_cast<uint16_t>(*last)};
}

std::string PortRange::text() const {
  return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

std::optional<Endpoint> Endpoint::Parse(std::string_view text) {
  const bool bracketed = text.starts_with('[');
  const size_t end = text.find(bracketed ? "]:" : ":");
  if (end == std::string_view::npos) return std::nullopt;
  const auto address = Address::Parse(text.substr(bracketed, end - bracketed));
  const auto ports = PortRange::Parse(text.substr(end + (bracketed ? 2 : 1)));
  if (!address || !ports || address->is_v6() != bracketed) return std::nullopt;
  return Endpoint{*address, *ports};
}

std::string Endpoint::text() const {
  return address.is_v6() ? fmt::format("[{}]:{}", address.text(), ports.text())
                         : fmt::format("{}:{}", address.text(), ports.text());
}

std::optional<MacAddress> MacAddress::Parse(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  const auto nibble = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  MacAddress mac;
  for (size_t i = 0; i < 6; i++) {
    const int high = nibble(text[3 * i]);
    const int low = nibble(text[3 * i + 1]);
    if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':')) return std::nullopt;
    mac.octets[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return mac;
}

std::string MacAddress::text() const {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", octets[0], octets[1], octets[2],
                     octets[3], octets[4], octets[5]);
}

std::string MacAddress::bytes() const {
  return std::string(octets.begin(), octets.end());
}

}  // namespace bridgehead::config
