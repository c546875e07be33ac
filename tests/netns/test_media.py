"""Sessions and media between real sockets, with the kernel's own offloads on the way."""

import socket

import frames
import pytest
import stun
from lab import (BRIDGE, BRIDGE_SECOND, BRIDGE_THIRD, CLIENT, CLIENT_ROUTED, EDGE_LAN, NAT_PORTS,
                 PUBLIC, PUBLIC_SECOND)


def establish(lab, client, bridge, listener=(PUBLIC, 10000)):
    """A session through a Binding Request and its answer. Returns the address the bridge saw."""
    asked = stun.request()
    client.sendto(asked, listener)
    data, seen = bridge.recvfrom(2048)
    assert data == asked
    if lab.nat == "source":
        assert seen[0] == EDGE_LAN and NAT_PORTS[0] <= seen[1] <= NAT_PORTS[1]
    else:
        assert seen == client.getsockname()
    answered = stun.response(asked)
    bridge.sendto(answered, seen)
    assert client.recvfrom(2048) == (answered, listener)
    return seen


def free_nat_port(lab):
    used = {session["nat_port"] for session in lab.sessions()}
    return next(port for port in range(NAT_PORTS[0], NAT_PORTS[1] + 1) if port not in used)


def session_of(lab, client):
    address, port = client.getsockname()
    found = [s for s in lab.sessions()
             if (s["client_address"], s["client_port"]) == (address, port)]
    assert len(found) == 1
    return found[0]


def test_binding_request_makes_a_session_that_both_sides_confirm(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    asked = stun.request()
    with lab.expect(received=1, forwarded=1):
        client.sendto(asked, (PUBLIC, 10000))
        data, seen = bridge.recvfrom(2048)
        assert data == asked
    session = session_of(lab, client)
    assert not session["confirmed"]
    assert (session["nat_address"], session["nat_port"]) == seen
    assert (session["bridge_address"], session["bridge_port"]) == (BRIDGE, 10000)
    with lab.expect(received=1, forwarded=1):
        bridge.sendto(stun.response(asked), seen)
        assert client.recvfrom(2048) == (stun.response(asked), (PUBLIC, 10000))
    assert not session_of(lab, client)["confirmed"]
    with lab.expect(received=1, forwarded=1):
        client.sendto(stun.rtp(1), (PUBLIC, 10000))
        assert bridge.recvfrom(2048) == (stun.rtp(1), seen)
    session = session_of(lab, client)
    assert session["confirmed"] and session["listener"] == "meet" and session["bridge"] == "jvb1"
    assert session["packets_to_bridge"] == 2 and session["packets_to_client"] == 1


def test_media_both_ways_arrives_at_kernel_sockets_whole(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    seen = establish(lab, client, bridge)
    errors = [end.udp_statistics()["InCsumErrors"] for end in (lab.client, lab.bridge)]
    sizes = [12, 13, 160, 161, 1199, 1200, 1472]
    count = 20 * len(sizes)
    with lab.expect(received=2 * count, forwarded=2 * count):
        for number in range(count):
            packet = stun.rtp(number, sizes[number % len(sizes)])
            client.sendto(packet, (PUBLIC, 10000))
            assert bridge.recvfrom(2048) == (packet, seen)
            bridge.sendto(packet, seen)
            assert client.recvfrom(2048) == (packet, (PUBLIC, 10000))
    assert errors == [end.udp_statistics()["InCsumErrors"] for end in (lab.client, lab.bridge)]


def test_forwarded_frame_has_ttl_macs_and_both_checksums_right(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    seen = establish(lab, client, bridge)
    client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 17)
    wires = {lab.bridge: lab.raw(lab.bridge), lab.client: lab.raw(lab.client)}
    packet = stun.rtp(7, 99)

    def capture(end, source):
        while True:
            frame = frames.read(wires[end].recv(2048))
            if frame and frame.payload == packet and frame.source == source:
                return frame
    client.sendto(packet, (PUBLIC, 10000))
    frame = capture(lab.bridge, seen)
    assert (frame.destination, frame.ttl) == ((BRIDGE, 10000), 16)
    assert frame.to_mac == lab.bridge.mac("eth0") and frame.from_mac == lab.edge.mac(lab.lan)
    assert frame.ip_checksum_right and frame.udp_checksum_right
    bridge.sendto(packet, seen)
    frame = capture(lab.client, (PUBLIC, 10000))
    assert (frame.destination, frame.ttl) == (client.getsockname(), 63)
    assert frame.to_mac == lab.client.mac("eth0") and frame.from_mac == lab.edge.mac(lab.wan)
    assert frame.ip_checksum_right and frame.udp_checksum_right


@pytest.mark.parametrize("address", [CLIENT, CLIENT_ROUTED + "1"])
def test_two_hundred_clients_at_once(lab, address):
    bridge = lab.bridge_socket()
    clients = [lab.client_socket(address) for _ in range(200)]
    with lab.expect(received=800, forwarded=800):
        seen = [establish(lab, client, bridge) for client in clients]
        assert len(set(seen)) == len(seen)
        for number, client in enumerate(clients):
            client.sendto(stun.rtp(number), (PUBLIC, 10000))
            assert bridge.recvfrom(2048) == (stun.rtp(number), seen[number])
        for number, client in enumerate(clients):
            bridge.sendto(stun.rtp(number), seen[number])
            assert client.recvfrom(2048) == (stun.rtp(number), (PUBLIC, 10000))


def test_port_range_maps_each_port_to_its_own(lab):
    for port in (10000, 10001, 10025, 10050):
        client, bridge = lab.client_socket(), lab.bridge_socket(BRIDGE_THIRD, port)
        establish(lab, client, bridge, (PUBLIC_SECOND, port))
    client = lab.client_socket()
    with lab.expect(received=0, forwarded=0):  # past the range it is the kernel's
        client.sendto(stun.request(), (PUBLIC_SECOND, 10051))


def test_listener_with_another_bridge_and_bridge_port(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket(BRIDGE_SECOND, 12000)
    establish(lab, client, bridge, (PUBLIC, 10001))
    assert session_of(lab, client)["bridge"] == "jvb2"


def test_one_client_socket_with_two_listeners_has_two_sessions(lab):
    client = lab.client_socket()
    first, second = lab.bridge_socket(), lab.bridge_socket(BRIDGE_SECOND, 12000)
    seen_first = establish(lab, client, first)
    seen_second = establish(lab, client, second, (PUBLIC, 10001))
    for bridge, seen, listener in ((first, seen_first, 10000), (second, seen_second, 10001)):
        bridge.sendto(b"\x80from " + bytes(listener % 7), seen)
        data, source = client.recvfrom(2048)
        assert source == (PUBLIC, listener) and data.startswith(b"\x80from")


@pytest.mark.parametrize("payload,drop", [
    (stun.rtp(1), "not_stun"),
    (b"\x16\xfe\xfd" + bytes(60), "not_stun"),  # DTLS
    (b"", "not_stun"),
    (stun.request()[:-1], "stun_malformed"),
    (stun.request() + b"\0\0\0\0", "stun_malformed"),
    (stun.message(stun.BINDING_SUCCESS), "stun_not_binding_request"),
    (stun.message(stun.BINDING_INDICATION), "stun_not_binding_request"),
    (stun.message(), "stun_no_username"),
    (stun.request()[:-4] + b"\0\0\0\0", "stun_fingerprint"),
], ids=["rtp", "dtls", "empty", "cut", "padded", "success", "indication", "no-username",
        "fingerprint"])
def test_first_packet_that_is_no_binding_request_is_a_named_drop(lab, payload, drop):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    with lab.expect(received=1, forwarded=0, **{drop: 1}):
        client.sendto(payload, (PUBLIC, 10000))
    bridge.setblocking(False)
    with pytest.raises(BlockingIOError):
        bridge.recv(1)


def test_stranger_on_the_bridge_side_is_dropped(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    seen = establish(lab, client, bridge)
    wrong_port, wrong_host = lab.bridge_socket(BRIDGE_THIRD, 10009), lab.bridge_socket(
        BRIDGE_SECOND, 12000)
    if lab.nat == "source":
        with lab.expect(received=2, forwarded=0, wrong_peer=2):
            wrong_port.sendto(b"\x80spoof", seen)
            wrong_host.sendto(b"\x80spoof", seen)
        free = free_nat_port(lab)
        with lab.expect(received=1, forwarded=0, no_session=1):
            bridge.sendto(b"\x80nobody", (EDGE_LAN, free))
    else:
        with lab.expect(received=2, forwarded=0, no_session=2):
            wrong_port.sendto(b"\x80spoof", seen)
            wrong_host.sendto(b"\x80spoof", seen)
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)


def test_accounting_holds_after_all_that(lab):
    lab.assert_accounted()
