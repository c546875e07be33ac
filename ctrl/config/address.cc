#include "ctrl/config/address.h"

#include "fmt/format.h"

namespace bridgehead::config {

namespace {

constexpr uint32_t Mask(uint8_t length) {
  return length == 0 ? 0 : ~uint32_t{0} << (32 - length);
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

std::optional<Address> Address::Parse(std::string_view text) {
  uint32_t value = 0;
  for (int part = 0; part < 4; part++) {
    const size_t end = part < 3 ? text.find('.') : text.size();
    if (end == std::string_view::npos) return std::nullopt;
    const auto octet = ParseDecimal(text.substr(0, end), 255);
    if (!octet) return std::nullopt;
    value = value << 8 | static_cast<uint32_t>(*octet);
    text.remove_prefix(part < 3 ? end + 1 : end);
  }
  return V4(value);
}

std::string Address::bytes() const {
  return std::string(reinterpret_cast<const char*>(bytes_.data()), size_);
}

std::string Address::text() const {
  if (!is_v4()) return "";
  return fmt::format("{}.{}.{}.{}", bytes_[0], bytes_[1], bytes_[2], bytes_[3]);
}

uint32_t Address::v4() const {
  return uint32_t{bytes_[0]} << 24 | uint32_t{bytes_[1]} << 16 | uint32_t{bytes_[2]} << 8 |
         uint32_t{bytes_[3]};
}

bool Address::IsLoopback() const {
  return is_v4() && bytes_[0] == 127;
}
bool Address::IsUnspecified() const {
  return is_v4() && v4() == 0;
}
bool Address::IsMulticast() const {
  return is_v4() && (bytes_[0] & 0xf0) == 0xe0;
}

std::optional<std::string> Address::NotAHost() const {
  if (!is_v4()) return std::nullopt;
  if (IsUnspecified()) return "the unspecified address";
  if (bytes_[0] == 0) return "an address of \"this network\" (0/8)";
  if (IsLoopback()) return "a loopback address (127/8)";
  if (IsMulticast()) return "a multicast address (224/4)";
  if (v4() == 0xffffffff) return "the broadcast address";
  if ((bytes_[0] & 0xf0) == 0xf0) return "a reserved address (240/4)";
  return std::nullopt;
}

std::optional<Prefix> Prefix::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = Address::Parse(text.substr(0, slash));
  const auto length = ParseDecimal(text.substr(slash + 1), 32);
  if (!address || !length) return std::nullopt;
  return Prefix{*address, static_cast<uint8_t>(*length)};
}

std::string Prefix::text() const {
  return fmt::format("{}/{}", address.text(), length);
}

bool Prefix::Contains(const Address& other) const {
  if (!address.is_v4() || !other.is_v4()) return false;
  return ((address.v4() ^ other.v4()) & Mask(length)) == 0;
}

Address Prefix::Network() const {
  return Address::V4(address.v4() & Mask(length));
}
Address Prefix::Broadcast() const {
  return Address::V4(address.v4() | ~Mask(length));
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
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto address = Address::Parse(text.substr(0, colon));
  const auto ports = PortRange::Parse(text.substr(colon + 1));
  if (!address || !ports) return std::nullopt;
  return Endpoint{*address, *ports};
}

std::string Endpoint::text() const {
  return fmt::format("{}:{}", address.text(), ports.text());
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
