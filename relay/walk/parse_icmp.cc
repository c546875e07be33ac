#include "relay/net/headers.h"
#include "relay/walk/parse.h"

namespace bridgehead {

// RFC 792: an error quotes the IP header and at least eight bytes of the packet it is about.
Drop ParseIcmp(const uint8_t* message, size_t size) {
  if (size < sizeof(IcmpHeader)) return Drop::kIcmpTruncated;
  const auto& icmp = *reinterpret_cast<const IcmpHeader*>(message);
  switch (icmp.type) {
    case kIcmpUnreachable:
    case kIcmpSourceQuench:
    case kIcmpTimeExceeded:
    case kIcmpParameterProblem:
      break;
    default:
      return Drop::kIcmpType;
  }
  if (FoldChecksum(SumBytes(message, size)) != 0xffff) return Drop::kIcmpChecksum;
  if (size < sizeof(IcmpHeader) + sizeof(Ipv4Header)) return Drop::kIcmpTruncated;
  const auto& quoted = *reinterpret_cast<const Ipv4Header*>(message + sizeof(IcmpHeader));
  size_t header = (quoted.version_ihl & 0x0f) * size_t{4};
  if (quoted.version_ihl >> 4 != 4 || header < sizeof(Ipv4Header) ||
      size < sizeof(IcmpHeader) + header + sizeof(UdpHeader)) {
    return Drop::kIcmpTruncated;
  }
  return Drop::kIcmpError;
}

}  // namespace bridgehead
