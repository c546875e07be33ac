// Stage 4, admit (slow path): a packet without a session. Does it make one?
//
// Endpoint flows begin with a STUN Binding Request from the client (RFC 8445): the bridge can not
// speak first, and drops anything else from an unknown address itself. So nothing else opens a
// session on a media listener. Octo has no such beginning: there the access list decides, and what
// comes must look like octo. Bridges may open flows to the outside where the configuration says so.
// Everything about the request is checked before a record, a port or a count is taken.
#pragma once

#include "relay/session/shard.h"
#include "relay/walk/packet.h"
#include "relay/walk/snapshot.h"

namespace bridgehead {

// Sets packet.flow to the new session's flow towards the bridge, or names the drop.
template <class Family>
Drop Admit(Packet& packet, SessionShard& shard, const Snapshot& snapshot, uint32_t now);

// A STUN Binding Request on a client's flow that exists (packet.flow): sets packet.flow to the flow
// that its ufrag belongs to, which may be a new one, towards another bridge even (RFC 8445 section
// 9: an ICE restart). Anything that is not a whole request with a USERNAME stays where it is. Names
// the drop when the new session is refused.
template <class Family>
Drop FollowUfrag(Packet& packet, SessionShard& shard, const Snapshot& snapshot, uint32_t now);

}  // namespace bridgehead
