#!/usr/bin/python3
"""A video bridge that can be told its ufrag prefix, for the demo's --bridges: aiortc's ICE, DTLS and
RTP behind one UDP port, as Jitsi's bridge has it. Everyone hears and sees himself.

A participant POSTs its offer to /offer and gets the answer. The answer announces the relay's public
address and port instead of the bridge's own, which nobody outside can reach.

aiortc opens a port of its own for each connection. Here one socket serves all: what comes from an
address belongs to the connection whose ufrag the address's first STUN request named.
"""

import argparse
import asyncio
import logging

import aioice.stun
import aiortc.rtcicetransport
from aiohttp import web
from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.ice import Connection, StunProtocol
from aiortc import RTCPeerConnection, RTCSessionDescription

log = logging.getLogger("bridge")


class MediaPort(asyncio.DatagramProtocol):
    """The socket, and who is behind which remote address."""

    def __init__(self):
        self._connections = {}  # our ufrag -> its StunProtocol
        self._peers = {}  # remote address -> the same
        self.socket = None

    def connection_made(self, transport):
        self.socket = transport

    def datagram_received(self, data, address):
        protocol = self._named(data) or self._peers.get(address)
        if protocol:
            self._peers[address] = protocol
            protocol.datagram_received(data, address)

    def _named(self, data):
        """The connection that a STUN request names. An ICE restart names another one than before."""
        if not data or data[0] > 3:  # RFC 7983: not STUN
            return None
        try:
            message = aioice.stun.parse_message(data)
        except ValueError:
            return None
        if message.message_class != aioice.stun.Class.REQUEST:
            return None
        return self._connections.get(message.attributes.get("USERNAME", "").split(":")[0])

    def add(self, ufrag, protocol):
        self._connections[ufrag] = protocol
        protocol.connection_made(_Share(self, ufrag, protocol))

    def remove(self, ufrag, protocol):
        self._connections.pop(ufrag, None)
        self._peers = {address: other for address, other in self._peers.items() if other is not protocol}


class _Share:
    """One connection's share of the media port: what aioice wants of a transport."""

    def __init__(self, port, ufrag, protocol):
        self._port, self._ufrag, self._protocol = port, ufrag, protocol

    def sendto(self, data, address):
        self._port.socket.sendto(data, address)

    def close(self):
        self._port.remove(self._ufrag, self._protocol)
        self._protocol.connection_lost(None)


def connection_class(port, own, public, prefix):
    """aioice's ICE agent with ufrags that begin with `prefix`, on the media port `port`. `own` is that
    port's (address, port), `public` the pair that participants are told."""

    def candidate(pair):
        return Candidate(foundation=candidate_foundation("host", "udp", pair[0]), component=1,
                         transport="udp", priority=candidate_priority(1, "host"), host=pair[0],
                         port=pair[1], type="host")

    class BridgeConnection(Connection):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.local_username = prefix + self.local_username

        async def get_component_candidates(self, component, addresses, timeout=5):
            protocol = StunProtocol(self)
            protocol.local_candidate = candidate(own)
            port.add(self.local_username, protocol)
            self._protocols.append(protocol)
            return [candidate(public)]

    return BridgeConnection


class Bridge:
    def __init__(self):
        self._calls = set()

    async def offer(self, request):
        asked = await request.json()
        call = RTCPeerConnection()
        self._calls.add(call)

        @call.on("track")
        def echo(track):
            call.addTrack(track)

        @call.on("connectionstatechange")
        async def changed():
            log.info("a participant's connection is %s", call.connectionState)
            if call.connectionState in ("failed", "closed"):
                self._calls.discard(call)
                await call.close()

        await call.setRemoteDescription(RTCSessionDescription(asked["sdp"], asked["type"]))
        await call.setLocalDescription(await call.createAnswer())
        answer = {"sdp": call.localDescription.sdp, "type": call.localDescription.type}
        # The participant's page comes from another place.
        return web.json_response(answer, headers={"Access-Control-Allow-Origin": "*"})

    async def close(self, app):
        await asyncio.gather(*(call.close() for call in self._calls))


async def serve(options):
    """The web application, once the media port is open."""
    _, port = await asyncio.get_running_loop().create_datagram_endpoint(
        MediaPort, local_addr=(options.address, options.port))
    # aiortc has no way to say which ICE agent it shall use.
    aiortc.rtcicetransport.Connection = connection_class(
        port, (options.address, options.port), (options.public, options.public_port), options.ufrag_prefix)
    bridge = Bridge()
    app = web.Application()
    app.router.add_post("/offer", bridge.offer)
    app.on_shutdown.append(bridge.close)
    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--address", required=True, help="own address")
    parser.add_argument("--port", type=int, default=10000, help="own media port (default 10000)")
    parser.add_argument("--http-port", type=int, default=8080, help="own signalling port (default 8080)")
    parser.add_argument("--public", required=True, help="address to announce")
    parser.add_argument("--public-port", type=int, default=10000, help="port to announce (default 10000)")
    parser.add_argument("--ufrag-prefix", required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    web.run_app(serve(options), host=options.address, port=options.http_port, print=None)


if __name__ == "__main__":
    main()
