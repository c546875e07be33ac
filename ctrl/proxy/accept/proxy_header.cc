#include "ctrl/proxy/accept/proxy_header.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include <nmmintrin.h>

#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

using Progress = ProxyHeader::Progress;

constexpr std::string_view kV1Signature = "PROXY ";
constexpr std::string_view kV2Signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kV2HeadBytes = 16;
constexpr uint8_t kV2Local = 0x20, kV2Proxy = 0x21;
constexpr uint8_t kTcp4 = 0x11, kTcp6 = 0x21;
constexpr uint8_t kTypeAuthority = 0x02, kTypeCrc32c = 0x03;

std::string_view AsText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// As far as there are bytes.
bool MayBegin(std::string_view text, std::string_view with) {
  const size_t both = std::min(text.size(), with.size());
  return text.substr(0, both) == with.substr(0, both);
}

uint16_t Get16(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

// A source of ::ffff:192.0.2.1 must not get past a list that denies 192.0.2.1.
SocketAddress Canonical(const config::Address& address, uint16_t port) {
  if (!address.IsV4Mapped()) return SocketAddress(address, port);
  return SocketAddress(*config::Address::FromBytes(address.bytes().substr(12)), port);
}

ProxyHeader Done(size_t bytes, const SocketAddress& source = {},
                 const SocketAddress& destination = {}) {
  return {Progress::kDone, bytes, source, destination};
}

// Up to the next space, which it takes too; nothing if there is none.
std::optional<std::string_view> TakeWord(std::string_view& line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(space + 1);
  return word;
}

// Section 2.1; `line` without CRLF.
ProxyHeader ParseV1Line(std::string_view line, size_t bytes) {
  const ProxyHeader bad{Progress::kBad, 0, {}, {}};
  line.remove_prefix(kV1Signature.size());
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return Done(bytes);
  const bool v4 = line.starts_with("TCP4 ");
  if (!v4 && !line.starts_with("TCP6 ")) return bad;
  line.remove_prefix(5);
  const auto from = TakeWord(line), to = TakeWord(line), from_port = TakeWord(line);
  if (!from || !to || !from_port) return bad;
  const auto source = config::Address::Parse(*from), destination = config::Address::Parse(*to);
  if (!source || !destination || source->is_v4() != v4 || destination->is_v4() != v4) return bad;
  const auto source_port = config::ParseDecimal(*from_port, 65535);
  const auto destination_port = config::ParseDecimal(line, 65535);
  if (!source_port || !destination_port) return bad;
  return Done(bytes, Canonical(*source, static_cast<uint16_t>(*source_port)),
              Canonical(*destination, static_cast<uint16_t>(*destination_port)));
}

ProxyHeader ParseV1(std::string_view text) {
  const std::string_view most = text.substr(0, kMaxProxyV1Bytes);
  // The first of either must begin a CRLF.
  const size_t end = most.find_first_of("\r\n");
  const size_t bytes = (end == std::string_view::npos ? most.size() : end) + 2;
  if (bytes > kMaxProxyV1Bytes) return {Progress::kBad, 0, {}, {}};
  if (end == std::string_view::npos) return {Progress::kMore, bytes, {}, {}};
  if (!MayBegin(most.substr(end), "\r\n")) return {Progress::kBad, 0, {}, {}};
  if (most.size() < bytes) return {Progress::kMore, bytes, {}, {}};
  return ParseV1Line(most.substr(0, end), bytes);
}

uint32_t Crc32c(uint32_t crc, std::span<const uint8_t> bytes) {
  for (const uint8_t byte : bytes) crc = _mm_crc32_u8(crc, byte);
  return crc;
}

// Section 2.2.3: of the header with zeros in place of the sum at `at`.
bool CrcIsRight(std::span<const uint8_t> header, size_t at) {
  constexpr std::array<uint8_t, 4> kZeros{};
  uint32_t crc = Crc32c(~0u, header.first(at));
  crc = ~Crc32c(Crc32c(crc, kZeros), header.subspan(at + kZeros.size()));
  return crc == (uint32_t{Get16(header, at)} << 16 | Get16(header, at + 2));
}

// Section 2.2: type, length, value, up to the last byte.
bool TlvsAreRight(std::span<const uint8_t> header, size_t at) {
  constexpr size_t kTlvHead = 3;
  bool summed = false;
  while (at < header.size()) {
    if (header.size() - at < kTlvHead) return false;
    const uint8_t type = header[at];
    const size_t length = Get16(header, at + 1);
    at += kTlvHead;
    if (header.size() - at < length) return false;
    if (type == kTypeCrc32c) {
      // A second one would have each byte of the header summed once more.
      if (summed || length != 4 || !CrcIsRight(header, at)) return false;
      summed = true;
    }
    at += length;
  }
  return true;
}

ProxyHeader ParseV2Addresses(std::span<const uint8_t> header) {
  const size_t address = header[13] == kTcp4 ? 4 : 16, end = kV2HeadBytes + 2 * address + 4;
  if (header.size() < end || !TlvsAreRight(header, end)) return {Progress::kBad, 0, {}, {}};
  const std::string_view text = AsText(header.subspan(kV2HeadBytes));
  const auto source = config::Address::FromBytes(text.substr(0, address));
  const auto destination = config::Address::FromBytes(text.substr(address, address));
  return Done(header.size(), Canonical(*source, Get16(header, end - 4)),
              Canonical(*destination, Get16(header, end - 2)));
}

// The signature is there in whole.
ProxyHeader ParseV2(std::span<const uint8_t> bytes) {
  const ProxyHeader bad{Progress::kBad, 0, {}, {}};
  if (bytes.size() <= 12) return {Progress::kMore, kV2HeadBytes, {}, {}};
  const bool local = bytes[12] == kV2Local;
  if (!local && bytes[12] != kV2Proxy) return bad;
  // Families: UNSPEC, INET, INET6, UNIX; transports: UNSPEC, STREAM, DGRAM. LOCAL ignores them.
  if (bytes.size() > 13 && !local && (bytes[13] >> 4 > 3 || (bytes[13] & 15) > 2)) return bad;
  if (bytes.size() < kV2HeadBytes) return {Progress::kMore, kV2HeadBytes, {}, {}};
  const size_t size = kV2HeadBytes + Get16(bytes, 14);
  if (size > kMaxProxyHeaderBytes) return bad;
  if (bytes.size() < size) return {Progress::kMore, size, {}, {}};
  if (local || (bytes[13] != kTcp4 && bytes[13] != kTcp6)) return Done(size);
  return ParseV2Addresses(bytes.first(size));
}

// IPv4 as ::ffff:0:0/96.
std::string SixteenBytes(const config::Address& address) {
  const std::string bytes = address.bytes();
  return address.is_v4() ? std::string(10, '\0') + "\xff\xff" + bytes : bytes;
}

}  // namespace

Progress FindProxySignature(std::span<const uint8_t> bytes) {
  const std::string_view text = AsText(bytes);
  for (const std::string_view signature : {kV1Signature, kV2Signature}) {
    if (!MayBegin(text, signature)) continue;
    return text.size() < signature.size() ? Progress::kMore : Progress::kDone;
  }
  return Progress::kNone;
}

ProxyHeader ParseProxyHeader(std::span<const uint8_t> bytes) {
  const Progress signature = FindProxySignature(bytes);
  if (signature != Progress::kDone) {
    const bool more = signature == Progress::kMore;
    return {signature, more ? bytes.size() + 1 : 0, {}, {}};
  }
  return bytes[0] == kV1Signature[0] ? ParseV1(AsText(bytes)) : ParseV2(bytes);
}

WrittenProxyHeader::WrittenProxyHeader(ProxyVersion version, const SocketAddress& source,
                                       const SocketAddress& destination,
                                       std::string_view authority) {
  if (version == ProxyVersion::k1) {
    WriteV1(source, destination);
  } else {
    WriteV2(source, destination, authority.size() > kMaxAuthorityBytes ? "" : authority);
  }
}

void WrittenProxyHeader::WriteV1(const SocketAddress& source, const SocketAddress& destination) {
  if (source.empty() || destination.empty()) return Append("PROXY UNKNOWN\r\n");
  const bool v4 = source.is_v4() && destination.is_v4();
  const auto text = [v4](const SocketAddress& of) {
    const config::Address address = of.address();
    return v4 ? address.text() : config::Address::FromBytes(SixteenBytes(address))->text();
  };
  Append(fmt::format("PROXY TCP{} {} {} {} {}\r\n", v4 ? 4 : 6, text(source), text(destination),
                     source.port(), destination.port()));
}

void WrittenProxyHeader::WriteV2(const SocketAddress& source, const SocketAddress& destination,
                                 std::string_view authority) {
  Append(kV2Signature);
  if (source.empty() || destination.empty()) {
    Append({"\x20\0", 2});
    return Append16(0);
  }
  const bool v4 = source.is_v4() && destination.is_v4();
  const size_t tlv = authority.empty() ? 0 : 3 + authority.size();
  Append(v4 ? "\x21\x11" : "\x21\x21");
  Append16((v4 ? 12 : 36) + tlv);
  for (const auto* end : {&source, &destination}) {
    Append(v4 ? end->address().bytes() : SixteenBytes(end->address()));
  }
  Append16(source.port());
  Append16(destination.port());
  if (authority.empty()) return;
  bytes_[size_++] = kTypeAuthority;
  Append16(authority.size());
  Append(authority);
}

void WrittenProxyHeader::Append(std::string_view text) {
  std::memcpy(bytes_.data() + size_, text.data(), text.size());
  size_ += text.size();
}

void WrittenProxyHeader::Append16(size_t number) {
  bytes_[size_++] = static_cast<uint8_t>(number >> 8);
  bytes_[size_++] = static_cast<uint8_t>(number);
}

}  // namespace bridgehead::proxy
