// The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): who a proxy in front
// speaks for, in front of everything else on the connection.
//
// Reading is stateless: the whole of what has come is given each time, until there is a decision.
// A decision never changes with the bytes behind those that it was made from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ctrl/proxy/net/socket_address.h"

namespace bridgehead::proxy {

// Section 2.1: "PROXY UNKNOWN" with the longest addresses and ports, and CRLF.
inline constexpr size_t kMaxProxyV1Bytes = 107;
// Of the whole header. Section 2.2 has senders keep it below a segment (536 bytes are always safe);
// TLVs with a certificate's name or a cloud's own are known to take more.
inline constexpr size_t kMaxProxyHeaderBytes = 4096;

struct ProxyHeader {
  enum class Progress : uint8_t {
    kMore,  // may become one
    kNone,  // is not one: the signature does not match
    kBad,   // a signature, and then something that no header has
    kDone,
  };
  Progress progress = Progress::kMore;
  size_t bytes = 0;  // kDone: of the header. kMore: there is no decision before so many, at least
  // Of kDone. Both are empty when the connection's own are meant (UNKNOWN, LOCAL, UNSPEC, and what
  // is neither TCP over IPv4 nor over IPv6). IPv4-mapped IPv6 is IPv4, each by itself.
  SocketAddress source, destination;
};

// TLVs are not looked at but for their lengths and a CRC32C, which must then be right.
ProxyHeader ParseProxyHeader(std::span<const uint8_t> bytes);

// Whether somebody begins with the signature of a header, right or wrong: kMore, kNone, or kDone
// when it is there.
ProxyHeader::Progress FindProxySignature(std::span<const uint8_t> bytes);

enum class ProxyVersion : uint8_t { k1, k2 };

class WrittenProxyHeader {
 public:
  // RFC 6066 section 3 names a host: RFC 1035 section 2.3.4.
  static constexpr size_t kMaxAuthorityBytes = 255;

  // What a header of this version says of the two. IPv4 beside IPv6 is written IPv4-mapped; if
  // either is empty the header says that nothing is known (UNKNOWN, LOCAL). `authority`: the name
  // that the client asked for, sent in version 2 only (PP2_TYPE_AUTHORITY); empty or too long: not
  // sent.
  WrittenProxyHeader(ProxyVersion version, const SocketAddress& source,
                     const SocketAddress& destination, std::string_view authority = {});

  std::span<const uint8_t> bytes() const { return {bytes_.data(), size_}; }

 private:
  void WriteV1(const SocketAddress& source, const SocketAddress& destination);
  void WriteV2(const SocketAddress& source, const SocketAddress& destination,
               std::string_view authority);
  void Append(std::string_view text);
  void Append16(size_t number);

  static constexpr size_t kMaxBytes = 16 + 36 + 3 + kMaxAuthorityBytes;
  static_assert(kMaxBytes >= kMaxProxyV1Bytes && kMaxBytes <= kMaxProxyHeaderBytes);
  std::array<uint8_t, kMaxBytes> bytes_;
  size_t size_ = 0;
};

}  // namespace bridgehead::proxy
