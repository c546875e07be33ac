// What all TCP sockets of the edge have, towards clients and towards servers.
#pragma once

namespace bridgehead::proxy {

// A peer that is silent for so long is asked whether it is there, and its connection ends when that
// many questions have no answer, two minutes after its last word.
inline constexpr int kKeepaliveIdleSeconds = 60;
inline constexpr int kKeepaliveIntervalSeconds = 10;
inline constexpr int kKeepaliveProbes = 6;

// TCP_NODELAY, keepalive as above, and urgent data in its place among the other bytes: the mark in
// front of it would end reads early (RFC 6093 section 6 lets nobody rely on more). Of a socket
// before it connects or listens; what is accepted inherits all. There is no TCP_USER_TIMEOUT: it
// would also end the connection of a peer that answers but does not read for a while, which is up
// to our own timeouts. False: errno.
bool SetCommonOptions(int fd);

}  // namespace bridgehead::proxy
