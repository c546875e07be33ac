// A rewritten packet that is too large for its way out becomes fragments (RFC 791 section 3.2, RFC
// 7915 section 4.1), where its sender allows that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "relay/walk/packet.h"

namespace bridgehead {

// Where the walk gets buffers from for packets that nobody has sent it.
class BufferSource {
 public:
  virtual ~BufferSource() = default;
  // Points packet.buffer and packet.frame to room for `bytes`, with the usual room in front. False:
  // none is free.
  virtual bool Take(Packet& packet, size_t bytes) = 0;
  virtual void GiveBack(const Packet& packet) = 0;
};

inline constexpr size_t kMostPieces = 48;  // a whole 64 KiB packet over Ethernet

// Cuts the packet, which may be a fragment already and has no Ethernet header yet. It stays the
// first piece; the others are added to `pieces`. `mtu`: IP bytes. `id`: of the packet that arrived;
// used over IPv6, whose header has none. kEgressMtu: too many pieces. kNoBuffer: then nothing has
// changed.
template <class Family>
Drop Split(Packet& packet, uint16_t mtu, uint32_t id, BufferSource& buffers,
           std::vector<Packet>& pieces);

}  // namespace bridgehead
