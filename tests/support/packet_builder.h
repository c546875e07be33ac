// Frames for tests, written the way they look on the wire:
//
//   Packet().Eth(from, to).Vlan(5).IPv4("10.0.0.1", "10.0.0.2").Udp(1000,
//   2000).Payload("x").Build()
//
// Layers are written in order. Build() fills in every length, checksum and EtherType that the test
// did not set itself; the setters after a layer break that layer on purpose. An ICMP error quotes
// another Packet, from its IP header on. No DPDK, no BPF: every test can use it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>

namespace bridgehead::test {

using Bytes = std::vector<uint8_t>;
using Mac = std::array<uint8_t, 6>;

inline constexpr Mac kMacA = {0x02, 0, 0, 0, 0, 0x0a};
inline constexpr Mac kMacB = {0x02, 0, 0, 0, 0, 0x0b};

// RFC 1071 sum over `data`, not yet complemented; `sum` chains calls on even-length parts.
inline uint32_t ChecksumAdd(std::span<const uint8_t> data, uint32_t sum = 0) {
  for (size_t i = 0; i < data.size(); ++i) {
    sum += i % 2 == 0 ? data[i] << 8 : data[i];
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}
inline uint16_t ChecksumFinish(uint32_t sum) {
  return static_cast<uint16_t>(~sum);
}

// The sum over the pseudo header (RFC 768, RFC 8200 section 8.1), not complemented: what a sender
// with checksum offload leaves in the UDP checksum field ("partial").
inline uint32_t PseudoHeaderSum(std::span<const uint8_t> addresses, uint8_t protocol,
                                size_t length) {
  const uint8_t tail[4] = {0, protocol, static_cast<uint8_t>(length >> 8),
                           static_cast<uint8_t>(length)};
  return ChecksumAdd(tail, ChecksumAdd(addresses));
}

inline std::array<uint8_t, 4> Ip4(std::string_view text) {
  std::array<uint8_t, 4> out{};
  if (inet_pton(AF_INET, std::string(text).c_str(), out.data()) != 1) {
    throw std::invalid_argument("not an IPv4 address: " + std::string(text));
  }
  return out;
}

inline std::array<uint8_t, 16> Ip6(std::string_view text) {
  std::array<uint8_t, 16> out{};
  if (inet_pton(AF_INET6, std::string(text).c_str(), out.data()) != 1) {
    throw std::invalid_argument("not an IPv6 address: " + std::string(text));
  }
  return out;
}

class Packet {
 public:
  // ------------------------------------------------------------------------------------- layers
  Packet& Eth(Mac source = kMacA, Mac destination = kMacB) {
    eth_ = true;
    eth_source_ = source;
    eth_destination_ = destination;
    return *this;
  }
  // Up to as many tags as a test likes; `tpid` 0x88a8 makes a service tag.
  Packet& Vlan(uint16_t id, uint16_t tpid = 0x8100) {
    tags_.push_back({tpid, id});
    return *this;
  }
  Packet& IPv4(std::string_view source, std::string_view destination) {
    SetAddresses(Ip4(source), Ip4(destination));
    ip_ = Ip::kV4;
    return *this;
  }
  // Tos() is its traffic class, Ttl() its hop limit, Protocol() its next header, and TotalLength()
  // counts the header as well.
  Packet& IPv6(std::string_view source, std::string_view destination) {
    SetAddresses(Ip6(source), Ip6(destination));
    ip_ = Ip::kV6;
    return *this;
  }
  // IPv4 or IPv6, by the look of the addresses.
  Packet& IP(std::string_view source, std::string_view destination) {
    return source.find(':') == source.npos ? IPv4(source, destination) : IPv6(source, destination);
  }
  // An IPv6 extension header of this type in front of what follows: `bytes` after its first byte,
  // the next header.
  Packet& Extension(uint8_t type, std::initializer_list<uint8_t> bytes) {
    extensions_.push_back({type, Bytes(bytes)});
    return *this;
  }
  Packet& Udp(uint16_t source_port, uint16_t destination_port) {
    protocol_ = 17;
    l4_ = L4::kUdp;
    source_port_ = source_port;
    destination_port_ = destination_port;
    return *this;
  }
  Packet& Tcp(uint16_t source_port, uint16_t destination_port) {
    protocol_ = 6;
    l4_ = L4::kTcp;
    source_port_ = source_port;
    destination_port_ = destination_port;
    return *this;
  }
  // Any ICMP message, ICMPv6 over IPv6: `rest` is the second word (RFC 792); Payload() follows it.
  Packet& Icmp(uint8_t type, uint8_t code, uint32_t rest = 0) {
    protocol_ = ip_ == Ip::kV6 ? 58 : 1;
    l4_ = L4::kIcmp;
    icmp_type_ = type;
    icmp_code_ = code;
    icmp_rest_ = rest;
    return *this;
  }
  // The packet an ICMP error is about: everything of `quoted` behind its Ethernet header, cut to
  // `bytes` (RFC 792 asks for the IP header and 8 bytes; routers send more).
  Packet& Quote(const Packet& quoted, size_t bytes = 548) {
    Packet inner = quoted;
    inner.eth_ = false;
    inner.tags_.clear();
    payload_ = inner.Build();
    payload_.resize(std::min(payload_.size(), bytes));
    return *this;
  }
  Packet& Payload(std::span<const uint8_t> bytes) {
    payload_.assign(bytes.begin(), bytes.end());
    return *this;
  }
  Packet& Payload(std::initializer_list<uint8_t> bytes) {
    payload_.assign(bytes);
    return *this;
  }
  Packet& Payload(std::string_view text) {
    payload_.assign(text.begin(), text.end());
    return *this;
  }
  Packet& PayloadSize(size_t bytes, uint8_t fill = 0xa5) {
    payload_.assign(bytes, fill);
    return *this;
  }

  // ----------------------------------------------------------------- fields, right or broken
  Packet& EtherType(uint16_t type) { return Set(ether_type_, type); }
  Packet& Version(uint8_t version) { return Set(version_, version); }
  Packet& HeaderWords(uint8_t ihl) { return Set(ihl_, ihl); }
  Packet& Tos(uint8_t tos) { return Set(tos_, tos); }
  Packet& TotalLength(uint16_t bytes) { return Set(total_length_, bytes); }
  Packet& Id(uint16_t id) { return Set(id_, id); }
  Packet& DontFragment(bool set = true) { return Set(dont_fragment_, set); }
  // `offset` in bytes, a multiple of 8. A non-first fragment carries no L4 header: use Raw().
  Packet& Fragment(uint16_t offset, bool more) {
    fragment_offset_ = offset / 8;
    more_fragments_ = more;
    return *this;
  }
  Packet& Ttl(uint8_t ttl) { return Set(ttl_, ttl); }
  Packet& Protocol(uint8_t protocol) { return Set(protocol_, protocol); }
  Packet& IpChecksum(uint16_t value) { return Set(ip_checksum_, value); }
  // Option bytes, padded with zeros to a multiple of 4.
  Packet& IpOptions(std::initializer_list<uint8_t> bytes) {
    options_.assign(bytes);
    options_.resize((options_.size() + 3) / 4 * 4);
    return *this;
  }
  Packet& UdpLength(uint16_t bytes) { return Set(udp_length_, bytes); }
  Packet& UdpChecksum(uint16_t value) { return Set(l4_checksum_, value); }
  Packet& IcmpChecksum(uint16_t value) { return Set(l4_checksum_, value); }
  // As a sender with checksum offload leaves it: the pseudo header alone.
  Packet& PartialUdpChecksum() { return Set(partial_, true); }
  // Bytes behind the IP packet, as Ethernet's padding to 60 bytes.
  Packet& Trailer(size_t bytes) { return Set(trailer_, bytes); }
  // Payload() without any L4 header of ours.
  Packet& Raw() { return Set(l4_, L4::kNone); }

  // ------------------------------------------------------------------------------------ results
  Bytes Build() const {
    Bytes out;
    if (eth_) {
      PutEthernet(out);
    }
    if (ip_ != Ip::kNone) {
      const Bytes l4 = BuildL4();
      if (ip_ == Ip::kV4) {
        PutIPv4(out, l4.size());
      } else {
        PutIPv6(out, l4.size());
      }
      out.insert(out.end(), l4.begin(), l4.end());
    } else {
      out.insert(out.end(), payload_.begin(), payload_.end());
    }
    out.resize(out.size() + trailer_);
    return out;
  }
  // The first `bytes` of Build().
  Bytes Truncated(size_t bytes) const {
    Bytes out = Build();
    out.resize(std::min(out.size(), bytes));
    return out;
  }
  size_t L3Offset() const { return eth_ ? 14 + 4 * tags_.size() : 0; }
  size_t L4Offset() const {
    if (ip_ == Ip::kV4) return L3Offset() + 20 + options_.size();
    size_t offset = L3Offset() + 40;
    for (const auto& [type, bytes] : extensions_) offset += 1 + bytes.size();
    return offset;
  }

 private:
  enum class Ip { kNone, kV4, kV6 };
  enum class L4 { kNone, kUdp, kTcp, kIcmp };
  struct Tag {
    uint16_t tpid;
    uint16_t id;
  };

  template <size_t kBytes>
  void SetAddresses(const std::array<uint8_t, kBytes>& source,
                    const std::array<uint8_t, kBytes>& destination) {
    addresses_.assign(source.begin(), source.end());
    addresses_.insert(addresses_.end(), destination.begin(), destination.end());
  }
  template <typename Field, typename Value>
  Packet& Set(Field& field, Value value) {
    field = value;
    return *this;
  }
  static void Put16(Bytes& out, uint16_t value) {
    out.push_back(static_cast<uint8_t>(value >> 8));
    out.push_back(static_cast<uint8_t>(value));
  }
  static void Put32(Bytes& out, uint32_t value) {
    Put16(out, static_cast<uint16_t>(value >> 16));
    Put16(out, static_cast<uint16_t>(value));
  }
  static void Write16(Bytes& out, size_t offset, uint16_t value) {
    out[offset] = static_cast<uint8_t>(value >> 8);
    out[offset + 1] = static_cast<uint8_t>(value);
  }

  void PutEthernet(Bytes& out) const {
    out.insert(out.end(), eth_destination_.begin(), eth_destination_.end());
    out.insert(out.end(), eth_source_.begin(), eth_source_.end());
    for (const Tag& tag : tags_) {
      Put16(out, tag.tpid);
      Put16(out, tag.id);
    }
    Put16(out, ether_type_.value_or(ip_ == Ip::kV6 ? 0x86dd : 0x0800));
  }

  void PutIPv4(Bytes& out, size_t l4_bytes) const {
    const size_t start = out.size();
    const size_t header = 20 + options_.size();
    out.push_back(static_cast<uint8_t>(version_.value_or(4) << 4 |
                                       ihl_.value_or(static_cast<uint8_t>(header / 4))));
    out.push_back(tos_);
    Put16(out, total_length_.value_or(static_cast<uint16_t>(header + l4_bytes)));
    Put16(out, id_);
    Put16(out, static_cast<uint16_t>((dont_fragment_ ? 0x4000 : 0) |
                                     (more_fragments_ ? 0x2000 : 0) | fragment_offset_));
    out.push_back(ttl_);
    out.push_back(protocol_);
    Put16(out, 0);
    out.insert(out.end(), addresses_.begin(), addresses_.end());
    out.insert(out.end(), options_.begin(), options_.end());
    const auto bytes = std::span(out).subspan(start);
    Write16(out, start + 10, ip_checksum_.value_or(ChecksumFinish(ChecksumAdd(bytes))));
  }

  void PutIPv6(Bytes& out, size_t l4_bytes) const {
    size_t payload = l4_bytes;
    for (const auto& [type, bytes] : extensions_) payload += 1 + bytes.size();
    Put32(out, static_cast<uint32_t>(version_.value_or(6)) << 28 | static_cast<uint32_t>(tos_)
                                                                       << 20);
    Put16(out, total_length_ ? static_cast<uint16_t>(*total_length_ - 40)
                             : static_cast<uint16_t>(payload));
    out.push_back(extensions_.empty() ? protocol_ : extensions_[0].first);
    out.push_back(ttl_);
    out.insert(out.end(), addresses_.begin(), addresses_.end());
    for (size_t i = 0; i < extensions_.size(); ++i) {
      out.push_back(i + 1 < extensions_.size() ? extensions_[i + 1].first : protocol_);
      out.insert(out.end(), extensions_[i].second.begin(), extensions_[i].second.end());
    }
  }

  Bytes BuildL4() const {
    Bytes out;
    size_t checksum_at = 0;
    switch (l4_) {
      case L4::kNone:
        return payload_;
      case L4::kUdp:
        Put16(out, source_port_);
        Put16(out, destination_port_);
        Put16(out, udp_length_.value_or(static_cast<uint16_t>(8 + payload_.size())));
        Put16(out, 0);
        checksum_at = 6;
        break;
      case L4::kTcp:
        Put16(out, source_port_);
        Put16(out, destination_port_);
        Put32(out, 1);       // sequence
        Put32(out, 0);       // acknowledgement
        Put16(out, 0x5002);  // 20 bytes, SYN
        Put16(out, 0xffff);  // window
        Put32(out, 0);       // checksum, urgent
        checksum_at = 16;
        break;
      case L4::kIcmp:
        out.push_back(icmp_type_);
        out.push_back(icmp_code_);
        Put16(out, 0);
        Put32(out, icmp_rest_);
        checksum_at = 2;
        break;
    }
    out.insert(out.end(), payload_.begin(), payload_.end());
    Write16(out, checksum_at, l4_checksum_.value_or(L4Checksum(out)));
    return out;
  }

  uint16_t L4Checksum(std::span<const uint8_t> segment) const {
    if (l4_ == L4::kIcmp && ip_ != Ip::kV6) {
      return ChecksumFinish(ChecksumAdd(segment));
    }
    const uint32_t pseudo = PseudoHeaderSum(addresses_, protocol_, segment.size());
    if (partial_) {
      return static_cast<uint16_t>(pseudo);
    }
    const uint16_t sum = ChecksumFinish(ChecksumAdd(segment, pseudo));
    return l4_ == L4::kUdp && sum == 0 ? 0xffff : sum;  // RFC 768: zero means "none"
  }

  bool eth_ = false;
  Mac eth_source_{}, eth_destination_{};
  std::vector<Tag> tags_;
  std::optional<uint16_t> ether_type_;

  Ip ip_ = Ip::kNone;
  Bytes addresses_;  // source, destination
  std::vector<std::pair<uint8_t, Bytes>> extensions_;
  std::optional<uint8_t> version_, ihl_;
  std::optional<uint16_t> total_length_, ip_checksum_;
  uint8_t tos_ = 0, ttl_ = 64, protocol_ = 253;  // 253: for experiments (RFC 3692)
  uint16_t id_ = 0, fragment_offset_ = 0;
  bool dont_fragment_ = false, more_fragments_ = false;
  Bytes options_;

  L4 l4_ = L4::kNone;
  uint16_t source_port_ = 0, destination_port_ = 0;
  std::optional<uint16_t> udp_length_, l4_checksum_;
  bool partial_ = false;
  uint8_t icmp_type_ = 0, icmp_code_ = 0;
  uint32_t icmp_rest_ = 0;

  Bytes payload_;
  size_t trailer_ = 0;
};

}  // namespace bridgehead::test
