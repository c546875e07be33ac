"""Deliberately broken packets: each is one named drop, and every packet is accounted for."""

import random
import socket
import struct
import time

import pytest
import stun
from frames import Frame
from lab import BRIDGE, CLIENT, EDGE_LAN, NAT_PORTS, PUBLIC, PUBLIC_SECOND, wait_for
from test_media import establish

OPTION_NOP = b"\x01\x01\x01\x01"


def icmp_error(quoted):
    """Port unreachable about the IP packet `quoted` (RFC 792)."""
    from frames import checksum
    body = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
    return struct.pack("!BBHI", 3, 3, checksum(body), 0) + quoted


def base(lab, **changes):
    """A right frame from a new client port to the listener, but for `changes`."""
    fields = {"to_mac": lab.edge.mac("wan0"), "from_mac": lab.client.mac("eth0"),
              "source": CLIENT, "destination": PUBLIC,
              "source_port": 0xC000 + random.randrange(0x3000), "destination_port": 10000,
              "payload": stun.request()}
    return Frame(**{**fields, **changes})


# What is wrong, and the drop it gets; None: nothing tells that it is ours, so it is the kernel's.
BROKEN = {
    "ends before its total length": ({"cut": 60}, "ip_truncated"),
    "ends inside the UDP header": ({"cut": 14 + 20 + 5}, None),
    "ends inside the IP header": ({"cut": 14 + 12}, None),
    "total length within the IP header": ({"total_length": 12}, "ip_header_length"),
    "total length within the UDP header": ({"total_length": 24}, "udp_truncated"),
    "IP header length 4 words": ({"header_words": 4}, None),
    "IP options": ({"options": OPTION_NOP}, "ip_options"),
    "IP version 6 in an IPv4 frame": ({"version": 6}, None),
    "IP checksum": ({"ip_checksum": 0x1234}, "ip_checksum"),
    "tiny first fragment": ({"fragment": 0x2000, "payload": b"\x80" * 240}, "fragment_tiny"),
    "later fragment of TCP": ({"fragment": 0x0010, "protocol": 6}, None),
    "source in 127/8": ({"source": "127.0.0.1"}, "martian_source"),
    "source in 0/8": ({"source": "0.0.0.1"}, "martian_source"),
    "source is multicast": ({"source": "224.0.0.5"}, "martian_source"),
    "source is broadcast": ({"source": "255.255.255.255"}, "martian_source"),
    "UDP length 7": ({"udp_length": 7}, "udp_length"),
    "UDP length too large": ({"udp_length": 1400}, "udp_length"),
    "UDP length too small": ({"udp_length": 20}, "udp_length"),
    "UDP checksum": ({"udp_sum": 0x0bad}, "udp_checksum"),
    "source port zero": ({"source_port": 0}, "udp_port_zero"),
    "destination port zero": ({"destination_port": 0}, None),
    "TTL 1": ({"ttl": 1}, "ttl_expired"),
    "TTL 0": ({"ttl": 0}, "ttl_expired"),
    "a bridge's address from the client side": ({"source": BRIDGE}, "wrong_ingress"),
    "our own address": ({"source": PUBLIC}, "martian_source"),
    "another station's frame": ({"to_mac": b"\x02\0\0\0\0\x99"}, "other_station"),
    "not IP": ({"ethertype": 0x88B5}, None),
    "two VLAN tags": ({"vlans": [5, 6]}, None),
    "TCP": ({"protocol": 6}, None),
}


@pytest.mark.parametrize("changes,drop", BROKEN.values(), ids=[k.replace(" ", "-") for k in BROKEN])
def test_broken_packet_is_one_named_drop(lab, changes, drop):
    wire = lab.raw(lab.client)
    frame = base(lab, **changes).build()
    expected = {drop: 3} if drop else {}
    with lab.expect(received=3 if drop else 0, forwarded=0, **expected):
        for _ in range(3):
            wire.send(frame)


def test_all_broken_packets_in_one_burst(lab):
    bridge = lab.bridge_socket()
    wire = lab.raw(lab.client)
    burst, expected = [], {}
    for changes, drop in BROKEN.values():
        burst.append(base(lab, **changes).build())
        if drop:
            expected[drop] = expected.get(drop, 0) + 1
    for _ in range(10):
        burst.append(base(lab).build())
    random.Random(7).shuffle(burst)
    with lab.expect(received=sum(expected.values()) + 10, forwarded=10, **expected):
        for frame in burst:
            wire.send(frame)
    for _ in range(10):
        bridge.recv(2048)


def test_packet_without_udp_checksum_is_forwarded_without(lab):
    bridge, capture = lab.bridge_socket(), lab.raw(lab.bridge)
    frame = base(lab, udp_sum=0)
    with lab.expect(received=1, forwarded=1):
        lab.raw(lab.client).send(frame.build())
        assert bridge.recv(2048) == frame.payload
    while (seen := capture.recv(2048))[-len(frame.payload):] != frame.payload:
        pass
    assert seen[14 + 20 + 6:14 + 20 + 8] == b"\0\0"


def test_icmp_error_about_no_relayed_packet(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    establish(lab, client, bridge)
    quoted = Frame(source=PUBLIC, destination=client.getsockname()[0], source_port=10000,
                   destination_port=9, payload=b"x" * 20).build()[2:]  # without MAC addresses
    frame = base(lab, protocol=1, body=icmp_error(quoted)).build()
    with lab.expect(received=1, forwarded=0, icmp_no_session=1):
        lab.raw(lab.client).send(frame)


def test_broken_reply_from_the_bridge_side(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    seen = establish(lab, client, bridge)
    reply = Frame(to_mac=lab.edge.mac(lab.lan), from_mac=lab.bridge.mac("eth0"), source=BRIDGE,
                  destination=seen[0], source_port=10000, destination_port=seen[1],
                  payload=stun.rtp(1))
    wire = lab.raw(lab.bridge)
    for field, value, drop in (("udp_sum", 0x0bad, "udp_checksum"),
                               ("ip_checksum", 1, "ip_checksum"), ("cut", 70, "ip_truncated")):
        frame = Frame(**{**reply.__dict__, field: value}).build()
        with lab.expect(received=1, forwarded=0, **{drop: 1}):
            wire.send(frame)
    # This one's sender is told (RFC 1812 section 5.3.1).
    frame = Frame(**{**reply.__dict__, "ttl": 1}).build()
    with lab.expect(received=1, forwarded=1, made=1, ttl_expired=1):
        wire.send(frame)


def test_bridges_reply_from_the_client_side(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    seen = establish(lab, client, bridge)
    frame = Frame(to_mac=lab.edge.mac(lab.wan), from_mac=lab.client.mac("eth0"), source=BRIDGE,
                  destination=seen[0], source_port=10000, destination_port=seen[1],
                  payload=stun.rtp(1)).build()
    with lab.expect(received=1, forwarded=0, wrong_ingress=1):
        lab.raw(lab.client).send(frame)


# ---------------------------------------------------------------------------------------- fuzzing


def is_media(payload):
    """What a media listener takes by its first byte (RFC 7983, RFC 9443); nothing is left alone."""
    return not payload or payload[0] in (*range(0, 4), *range(16, 80), *range(128, 192))


def steered(frame, lab):
    """What bpf/steer.bpf.c redirects, said in other words."""
    if len(frame) < 14:
        return False
    kind, at = frame[12:14], 14
    if kind in (b"\x81\x00", b"\x88\xa8"):
        kind, at = frame[16:18], 18
    ip = frame[at:]
    if kind != b"\x08\x00" or len(ip) < 20 or ip[0] >> 4 != 4 or ip[0] & 15 < 5:
        return False
    udp = ip[(ip[0] & 15) * 4:]
    if struct.unpack_from("!H", ip, 6)[0] & 0x1FFF or ip[9] != 17 or len(udp) < 8:
        return False
    source, destination = socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20])
    source_port, port, length = struct.unpack_from("!HHH", udp)
    if destination == EDGE_LAN and lab.nat == "source" and NAT_PORTS[0] <= port <= NAT_PORTS[1]:
        return True
    if lab.nat == "destination" and source == BRIDGE and source_port == 10000:
        return True
    ours = (destination == PUBLIC and port in (10000, 10001, 10002)
            or destination == PUBLIC_SECOND and 10000 <= port <= 10050)
    return ours and (length <= 8 or is_media(udp[8:9]))


def is_fragment(frame):
    at = 18 if frame[12:14] in (b"\x81\x00", b"\x88\xa8") else 14
    return len(frame) >= at + 8 and struct.unpack_from("!H", frame, at + 6)[0] & 0x3FFF != 0


def mutate(frame, chance):
    frame = bytearray(frame)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        kind = chance.randrange(4)
        if kind == 0:  # headers
            frame[chance.randrange(12, min(42, len(frame)))] = chance.randrange(256)
        elif kind == 1:
            frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del frame[chance.randrange(14, len(frame)):]
            frame += bytes(max(0, 43 - len(frame)))
        else:
            frame += chance.randbytes(chance.randrange(1, 40))
    return bytes(frame[:1500])


def test_fuzzed_burst_is_accounted_for_to_the_packet(lab):
    chance = random.Random(20000 + lab.workers)
    client, bridge = lab.client_socket(), lab.bridge_socket()
    establish(lab, client, bridge)
    address, port = client.getsockname()
    bases = [base(lab, payload=stun.request(transaction=chance.randbytes(12))).build(),
             base(lab, source=address, source_port=port, payload=stun.rtp(3, 200)).build(),
             base(lab, source_port=0x7001, payload=stun.rtp(3, 60)).build()]
    burst = []
    while len(burst) < 2000:
        frame = mutate(chance.choice(bases), chance)
        # What becomes of a fragment depends on others: see test_fragments.py.
        if is_fragment(frame):
            continue
        # No listener but this one: no other bridge may answer with ICMP in between.
        if frame[14 + 16:14 + 20] != socket.inet_aton(PUBLIC) or frame[36:38] == b"\x27\x10":
            burst.append(frame)
    ours = sum(steered(frame, lab) for frame in burst)
    assert ours > 500
    wire, before = lab.raw(lab.client), lab.balance()
    for number, frame in enumerate(burst):
        wire.send(frame)
        if number % 50 == 49:
            time.sleep(0.004)

    def received():
        return lab.balance()["received"] - before["received"]
    wait_for(lambda: f"{ours} received; got {received()}", lambda: received() == ours, 5)
    wait_for("nothing waits any more", lambda: lab.balance()["held"] == 0, 15)
    after = lab.balance()
    named = {k: v - before["drops"][k] for k, v in after["drops"].items()}
    assert ours == after["forwarded"] - before["forwarded"] + sum(named.values())
    assert sum(count > 0 for count in named.values()) >= 6, named
    lab.assert_accounted()
