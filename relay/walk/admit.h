// Stage 4, admit (slow path): a packet without a session. Does it make one?
//
// Endpoint flows begin with a STUN Binding Request from the client (RFC 8445): the bridge can not
// speak first, and drops anything else from an unknown address itself. So nothing else opens a
// session on a media listener. Octo has no such beginning: there the access list decides, and what
// comes must look like octo. Bridges may open flows to the outside where the configuration says so.
// Everything about the request is checked before a record, a port or a count is taken.
//
// The first checks of a media listener are the XDP program's too (bpf/steer.bpf.c): they refuse the
// same packets by the same names, on ports that have no such program.
#pragma once

#include <cstdint>
#include <span>

#include "relay/session/shard.h"
#include "relay/walk/packet.h"
#include "relay/walk/snapshot.h"

namespace bridgehead {

// What a media listener takes from nobody; and, with `charge`, STUN requests of a source that sends
// too many. `payload`: what there is of it, in a first fragment not all.
Drop RefuseMedia(std::span<const uint8_t> payload, const Ipv6Address& source, bool charge,
                 SessionShard& shard, const Snapshot& snapshot, uint32_t now);

// Sets packet.flow to the new session's flow towards the bridge, or names the drop.
template <class Family>
Drop Admit(Packet& packet, SessionShard& shard, const PortTraits& port, const Snapshot& snapshot,
           uint32_t now);

// A client's packet on a flow that exists (packet.flow), other than RTP. On a media listener's:
// drops what can not be media, and STUN requests of a source that sends too many or is denied by
// now.
//
// A STUN Binding Request sets packet.flow to the flow that its ufrag belongs to, which may be a new
// one, towards another bridge even (RFC 8445 section 9: an ICE restart). Anything that is not a
// whole request with a USERNAME stays where it is. Names the drop when the new session is refused.
template <class Family>
Drop FollowClient(Packet& packet, SessionShard& shard, const PortTraits& port,
                  const Snapshot& snapshot, uint32_t now);

}  // namespace bridgehead
