"""Datagrams larger than the MTU: cut and put together again by the kernels at both ends."""

import random
import struct

import stun
from frames import Frame, checksum
from lab import BRIDGE, CLIENT, PUBLIC
from test_ipv6 import LISTENER, dual  # noqa: F401  (a fixture)
from test_ipv6 import CLIENT as CLIENT6
from test_ipv6 import establish as establish6
from test_media import establish

LARGE = 4000  # three fragments at an MTU of 1500


def pieces_of(frame, step=1208, identification=7):
    """The fragments of a built frame, as a router would cut it."""
    header, datagram = frame[14:34], frame[34:]
    out = []
    for offset in range(0, len(datagram), step):
        part = datagram[offset:offset + step]
        more = 0x2000 if offset + step < len(datagram) else 0
        ip = bytearray(header)
        struct.pack_into("!HHH", ip, 2, 20 + len(part), identification, more | offset // 8)
        struct.pack_into("!H", ip, 10, 0)
        struct.pack_into("!H", ip, 10, checksum(bytes(ip)))
        out.append(frame[:14] + bytes(ip) + part)
    return out


def test_large_datagrams_both_ways(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    seen = establish(lab, client, bridge)
    with lab.expect(received=6 * 10, forwarded=6 * 10):
        for number in range(10):
            packet = stun.rtp(number, LARGE + number)
            client.sendto(packet, (PUBLIC, 10000))
            assert bridge.recvfrom(65536) == (packet, seen)
            bridge.sendto(packet, seen)
            assert client.recvfrom(65536) == (packet, (PUBLIC, 10000))


def test_fragments_in_any_order(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    seen = establish(lab, client, bridge)
    wire, order = lab.raw(lab.client), random.Random(5)
    with lab.expect(received=4 * 20, forwarded=4 * 20):
        for number in range(20):
            packet = stun.rtp(number, LARGE)
            frame = Frame(to_mac=lab.edge.mac(lab.wan), from_mac=lab.client.mac("eth0"),
                          source=CLIENT, destination=PUBLIC, fragment=0,
                          source_port=client.getsockname()[1], payload=packet).build()
            pieces = pieces_of(frame, identification=100 + number)
            order.shuffle(pieces)
            for piece in pieces:
                wire.send(piece)
            assert bridge.recvfrom(65536) == (packet, seen)


def test_the_kernels_own_services_get_their_fragments(lab):
    """On the listener's address, at a port that is not the relay's."""
    service = lab.edge.udp(PUBLIC, 5353)
    client = lab.client_socket()
    with lab.expect(received=0, forwarded=0):
        for number in range(5):
            packet = stun.rtp(number, LARGE)
            client.sendto(packet, (PUBLIC, 5353))
            assert service.recvfrom(65536)[0] == packet
    service.close()


def test_what_never_becomes_whole_is_given_up(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    establish(lab, client, bridge)
    frame = Frame(to_mac=lab.edge.mac(lab.wan), from_mac=lab.client.mac("eth0"), source=CLIENT,
                  destination=PUBLIC, fragment=0, source_port=client.getsockname()[1],
                  payload=stun.rtp(1, LARGE)).build()
    wire = lab.raw(lab.client)
    with lab.expect(received=2, forwarded=0, fragment_timeout=2):
        for piece in pieces_of(frame, identification=500)[1:3]:
            wire.send(piece)


def test_overlapping_fragments(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    establish(lab, client, bridge)
    frame = Frame(to_mac=lab.edge.mac(lab.wan), from_mac=lab.client.mac("eth0"), source=CLIENT,
                  destination=PUBLIC, fragment=0, source_port=client.getsockname()[1],
                  payload=stun.rtp(1, LARGE)).build()
    first, second, third, fourth = pieces_of(frame, identification=501)
    # The second again, eight bytes on.
    moved = bytearray(second)
    struct.pack_into("!H", moved, 20, struct.unpack_from("!H", moved, 20)[0] + 1)
    struct.pack_into("!H", moved, 24, 0)
    struct.pack_into("!H", moved, 24, checksum(bytes(moved[14:34])))
    wire = lab.raw(lab.client)
    with lab.expect(received=5, forwarded=2, fragment_overlap=3):
        for piece in (first, second, bytes(moved), third, fourth):
            wire.send(piece)


def test_large_datagrams_between_families(dual):  # noqa: F811
    client, bridge = dual.client_socket(CLIENT6), dual.bridge_socket(dual.bridge_address)
    seen = establish6(dual, client, bridge)
    across = dual.bridge_address == BRIDGE
    # Towards IPv6 fragments are made to fit any path (RFC 7915 section 4.1): two of each full one.
    made = 2 if across else 0
    with dual.expect(received=6 * 10, forwarded=(6 + made) * 10, made=made * 10):
        for number in range(10):
            packet = stun.rtp(number, LARGE)
            client.sendto(packet, (LISTENER, 10000))
            assert bridge.recvfrom(65536)[0] == packet
            bridge.sendto(packet, seen)
            assert client.recvfrom(65536)[0] == packet
