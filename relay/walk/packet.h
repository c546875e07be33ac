// A packet on its walk: where its bytes are, what the stages found out so far, and how it ends.
//
// The walk's stages know packets only as this record, so that the relay, the tests and
// the benchmarks run the same code; walk/worker.cc makes it from an mbuf and back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "relay/net/family.h"
#include "relay/session/flow.h"
#include "relay/walk/drop.h"

namespace bridgehead {

enum class Verdict : uint8_t {
  kOpen,      // the walk goes on
  kTransmit,  // rewritten; send on port `egress`
  kHandoff,   // owned by worker `egress`
  kHold,      // rewritten but for the Ethernet header; its next hop is not resolved
  kDrop,      // see `drop`
};

enum class PacketKind : uint8_t {
  kUdp,
  kIcmpError,  // about UDP; see icmp.h
  kFragment,   // of UDP; see fragment.h
};

// What the NIC said about the packet's checksums.
enum ChecksumFlags : uint8_t {
  kIpChecksumGood = 1,
  kIpChecksumBad = 2,
  kUdpChecksumGood = 4,
  kUdpChecksumBad = 8,
};

// Properties of the port a packet came in on that the parser needs.
struct PortTraits {
  MacAddress mac{};
  bool check_mac = false;            // refuse frames for other stations
  bool verify_udp_checksum = true;   // in software, where the NIC did not
  bool partial_checksums = false;    // kernel sockets behind a veth or virtio leave them unfinished
  bool tx_checksum_offload = false;  // on the way out, the port can finish a UDP checksum itself
  // STUN requests are charged to their source here. False: the port's XDP program has done it.
  bool charge_requests = true;
};

// The room that a buffer must have in front of a packet: an IPv4 packet becomes IPv6 (20 bytes),
// the relay complains about it (48), and a VLAN tag is new (4).
inline constexpr size_t kUsedHeadroom = 72;

struct alignas(64) Packet {
  uint8_t* frame = nullptr;  // first byte of the Ethernet header
  void* buffer = nullptr;    // the owner's handle, not touched by the walk
  uint32_t length = 0;       // bytes from `frame` on; the parser cuts padding off
  uint16_t ip_length = 0;    // IP total length
  uint8_t ip_offset = 0;     // from `frame` to the IP header
  uint8_t port = 0;          // ingress, index of the port
  uint8_t checksum_flags = 0;
  bool partial_checksum = false;  // the UDP checksum covers the pseudo header only
  bool offload_checksum = false;  // the egress port is to finish the UDP checksum
  Verdict verdict = Verdict::kOpen;
  Drop drop = Drop::kNone;
  uint8_t egress = 0;  // port (kTransmit) or worker (kHandoff)
  bool ipv6 = false;   // what the IP header is, as it stands
  PacketKind kind = PacketKind::kUdp;
  bool nat_reply = false;   // destination is a NAT address and one of its ports
  bool from_place = false;  // IPv6: `place` is the source's, not the destination's
  uint16_t nat_address = 0;
  bool ordered = false;    // a fragment that comes from the worker which orders its datagram's
  Place place = kNoPlace;  // IPv6: of the address of ours or of a bridge that the packet names
  union {
    uint64_t hash = 0;  // of the flow table
    uint64_t slot;      // of the NAT ports, with nat_reply
  };
  Flow* flow = nullptr;

  // Only after the parser has accepted the packet.
  template <class Family>
  typename Family::Header& Ip() const {
    return *reinterpret_cast<typename Family::Header*>(frame + ip_offset);
  }
  template <class Family>
  UdpHeader& Udp() const {
    return *reinterpret_cast<UdpHeader*>(frame + ip_offset + Family::kHeaderBytes);
  }
  // Addresses and ports stand next to each other in a packet without options and extensions.
  template <class Family>
  const FlowKey<Family>& Key() const {
    return *reinterpret_cast<const FlowKey<Family>*>(frame + ip_offset + Family::kKeyOffset);
  }
  const uint8_t* Payload() const {
    return frame + ip_offset + (ipv6 ? Ipv6::kHeaderBytes : Ipv4::kHeaderBytes) + sizeof(UdpHeader);
  }
  // Where the packet goes as it stands, either family.
  Ipv6Address Destination() const {
    return ipv6 ? Key<Ipv6>().destination : Ipv6Address::Mapped(Key<Ipv4>().destination);
  }

  void End(Drop reason) {
    verdict = Verdict::kDrop;
    drop = reason;
  }
};
static_assert(sizeof(Packet) == 64);

}  // namespace bridgehead
