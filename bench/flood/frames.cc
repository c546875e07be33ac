#include "bench/flood/frames.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <type_traits>

#include <zlib.h>

#include "relay/net/checksum.h"
#include "relay/net/family.h"
#include "relay/net/stun.h"

namespace bridgehead::flood {
namespace {

// RFC 8489 section 18.3 and RFC 8445 section 16.1.
constexpr uint16_t kUsername = 0x0006;
constexpr uint16_t kMessageIntegrity = 0x0008;
constexpr uint16_t kPriority = 0x0024;
constexpr uint16_t kIceControlling = 0x802a;
constexpr uint16_t kFingerprint = 0x8028;
constexpr uint32_t kFingerprintXor = 0x5354554e;
constexpr size_t kTransactionAt = 8;
constexpr size_t kTransactionBytes = 12;
constexpr size_t kIntegrityBytes = 20;
constexpr size_t kFingerprintBytes = 8;  // the whole attribute
constexpr size_t kUfragBytes = 8;        // what follows the prefix
constexpr size_t kGarbageBytes = 120;    // about a request's
constexpr uint16_t kFirstPort = 1024;

void Put16(std::vector<uint8_t>& out, size_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

void PutAttribute(std::vector<uint8_t>& out, uint16_t type, std::string_view value) {
  Put16(out, type);
  Put16(out, value.size());
  out.insert(out.end(), value.begin(), value.end());
  while (out.size() % 4 != 0) out.push_back(0);
}

}  // namespace

Frames::Frames(Kind kind, const Target& target, uint64_t seed)
    : kind_(kind), source_(target.source), ipv4_(target.address.IsMapped()), random_(seed) {
  if (kind == Kind::kGarbage) {
    frame_.assign(kGarbageBytes, 0x80);
  } else {
    WriteRequest(target.ufrag_prefix);
  }
  if (ipv4_) {
    WriteHeaders<Ipv4>(target);
  } else {
    WriteHeaders<Ipv6>(target);
  }
  // A replayed frame is made once; of the others each has its own.
  if (kind == Kind::kReplay) {
    Vary(frame_.data() + payload_);
    const be16 port = be16::FromHost(static_cast<uint16_t>(kFirstPort | random_()));
    ipv4_ ? Seal<Ipv4>(frame_.data(), source_, port) : Seal<Ipv6>(frame_.data(), source_, port);
  }
}

// The payload alone; the headers are put before it later.
void Frames::WriteRequest(const std::string& ufrag_prefix) {
  frame_ = {0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42};
  frame_.resize(kStunHeaderBytes);
  ufrag_ = frame_.size() + 4 + ufrag_prefix.size();
  PutAttribute(frame_, kUsername, ufrag_prefix + std::string(kUfragBytes, 'a') + ":flood");
  PutAttribute(frame_, kPriority, std::string_view("\x6e\x7f\x1e\xff", 4));
  PutAttribute(frame_, kIceControlling, "floodice");
  integrity_ = frame_.size() + 4;
  PutAttribute(frame_, kMessageIntegrity, std::string(kIntegrityBytes, '\0'));
  PutAttribute(frame_, kFingerprint, std::string(4, '\0'));
  const size_t length = frame_.size() - kStunHeaderBytes;
  frame_[2] = static_cast<uint8_t>(length >> 8);
  frame_[3] = static_cast<uint8_t>(length);
}

template <class Family>
void Frames::WriteHeaders(const Target& target) {
  const auto udp_bytes = static_cast<uint16_t>(sizeof(UdpHeader) + frame_.size());
  EthernetHeader ethernet{target.to_mac, target.from_mac, be16::FromHost(Family::kEtherType)};
  typename Family::Header ip{};
  if constexpr (std::is_same_v<Family, Ipv4>) {
    ip.version_ihl = 0x45;
    ip.total_length = be16::FromHost(static_cast<uint16_t>(sizeof(ip) + udp_bytes));
    ip.fragment = be16::FromHost(kIpv4DontFragment);
    ip.protocol = kProtocolUdp;
  } else {
    ip.version_class_flow = be32::FromHost(uint32_t{6} << 28);
    ip.payload_length = be16::FromHost(udp_bytes);
    ip.next_header = kProtocolUdp;
  }
  Family::HopLimit(ip) = 64;
  ip.destination = Family::From(target.address);
  const UdpHeader udp{be16(), target.port, be16::FromHost(udp_bytes), be16()};
  std::vector<uint8_t> headers(sizeof(ethernet) + sizeof(ip) + sizeof(udp));
  std::memcpy(headers.data(), &ethernet, sizeof(ethernet));
  std::memcpy(headers.data() + sizeof(ethernet), &ip, sizeof(ip));
  std::memcpy(headers.data() + sizeof(ethernet) + sizeof(ip), &udp, sizeof(udp));
  payload_ = headers.size();
  frame_.insert(frame_.begin(), headers.begin(), headers.end());
}

void Frames::Next(uint8_t* out) {
  std::memcpy(out, frame_.data(), frame_.size());
  if (kind_ == Kind::kReplay) return;
  Vary(out + payload_);
  Ipv6Address source = source_;
  if (kind_ == Kind::kPorts) {
    port_ = std::max(kFirstPort, static_cast<uint16_t>(port_ + 1));  // from 0 on when it wraps
  } else {
    source = RandomSource();
    port_ = static_cast<uint16_t>(kFirstPort | random_());
  }
  ipv4_ ? Seal<Ipv4>(out, source, be16::FromHost(port_))
        : Seal<Ipv6>(out, source, be16::FromHost(port_));
}

// What differs between payloads.
void Frames::Vary(uint8_t* payload) {
  const auto fill = [&](size_t at, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
      const uint64_t word = random_();
      const size_t piece = std::min(bytes - done, sizeof(word));
      std::memcpy(payload + at + done, &word, piece);
      done += piece;
    }
  };
  if (kind_ == Kind::kGarbage) {
    fill(1, kGarbageBytes - 1);
    return;
  }
  fill(kTransactionAt, kTransactionBytes);
  fill(integrity_, kIntegrityBytes);
  uint64_t digits = random_();
  for (size_t i = 0; i < kUfragBytes; ++i, digits >>= 5) {
    payload[ufrag_ + i] = static_cast<uint8_t>("0123456789abcdefghijklmnopqrstuv"[digits & 31]);
  }
  // RFC 8489 section 14.7: over all before the attribute.
  const size_t covered = integrity_ + kIntegrityBytes;
  const be32 crc = be32::FromHost(
      static_cast<uint32_t>(crc32(0, payload, static_cast<uInt>(covered))) ^ kFingerprintXor);
  std::memcpy(payload + covered + kFingerprintBytes - sizeof(crc), &crc, sizeof(crc));
}

// Any host's address: those that a parser refuses anyway would make the flood a cheap one.
Ipv6Address Frames::RandomSource() {
  if (ipv4_) {
    be32 address;
    do {
      address = be32::FromRaw(static_cast<uint32_t>(random_()));
    } while (!IsHostAddress(address));
    return Ipv6Address::Mapped(address);
  }
  Ipv6Address address;
  const uint64_t halves[2] = {random_(), random_()};
  std::memcpy(address.bytes.data(), halves, sizeof(halves));
  address.bytes[0] = static_cast<uint8_t>(0x20 | (address.bytes[0] & 0x1f));  // 2000::/3, RFC 4291
  return address;
}

// Source address and port, and the checksums over all.
template <class Family>
void Frames::Seal(uint8_t* out, const Ipv6Address& source, be16 source_port) const {
  auto* ip = reinterpret_cast<typename Family::Header*>(out + sizeof(EthernetHeader));
  auto* udp = reinterpret_cast<UdpHeader*>(ip + 1);
  ip->source = Family::From(source);
  if constexpr (std::is_same_v<Family, Ipv4>) {
    ip->checksum = be16();
    ip->checksum = be16::FromRaw(static_cast<uint16_t>(~FoldChecksum(SumBytes(ip, sizeof(*ip)))));
  }
  udp->source = source_port;
  udp->checksum = be16();
  const uint16_t length = udp->length.ToHost();
  const typename Family::Address from = ip->source;
  const typename Family::Address to = ip->destination;
  const uint64_t pseudo = PseudoHeaderSum(from, to, kProtocolUdp, length);
  const auto checksum = static_cast<uint16_t>(~FoldChecksum(SumBytes(udp, length, pseudo)));
  udp->checksum = be16::FromRaw(checksum == 0 ? 0xffff : checksum);
}

}  // namespace bridgehead::flood
