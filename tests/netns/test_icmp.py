"""ICMP errors reach the sockets that they are meant for, through the relay."""

import errno
import socket

import pytest
import stun
from frames import Frame, checksum
from lab import BRIDGE, PUBLIC
from test_media import establish

IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_MTU = 10, 2, 14


def test_port_unreachable_from_the_client_reaches_the_bridge(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    seen = establish(lab, client, bridge)
    bridge.connect(seen)
    client.close()
    with lab.expect(received=2, forwarded=2):  # the packet, and the kernel's answer to it
        bridge.send(stun.rtp(1))
        bridge.settimeout(2)
        with pytest.raises(ConnectionRefusedError):
            bridge.recv(2048)


def test_port_unreachable_from_the_bridge_reaches_the_client(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    establish(lab, client, bridge)
    client.connect((PUBLIC, 10000))
    bridge.close()
    with lab.expect(received=2, forwarded=2):
        client.send(stun.rtp(1))
        client.settimeout(2)
        with pytest.raises(ConnectionRefusedError):
            client.recv(2048)


def test_path_mtu_discovery_through_the_relay(lab):
    """A router behind the relay says how much fits, and the sender's kernel learns it."""
    client, bridge = lab.client_socket(), lab.bridge_socket()
    establish(lab, client, bridge)
    client.connect((PUBLIC, 10000))
    client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    assert client.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1500
    quoted = sent_to_bridge(lab, client, bridge)
    lab.raw(lab.bridge).send(too_big(lab, quoted, mtu=1280))
    client.settimeout(2)
    with pytest.raises(OSError) as failed:
        client.recv(2048)
    assert failed.value.errno == errno.EMSGSIZE
    assert client.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1280
    lab.client.ip("route", "flush", "cache")  # the lab is shared


def sent_to_bridge(lab, client, bridge):
    """The IP packet of something that the client has sent, as it arrives at the bridge."""
    wire = lab.raw(lab.bridge)
    wire.settimeout(2)
    packet = stun.rtp(7, 200)
    client.send(packet)
    bridge.recv(2048)
    while not (frame := wire.recv(2048)).endswith(packet):
        pass
    return frame[14:]


def too_big(lab, quoted, mtu):
    """Fragmentation needed (RFC 1191), from the bridge's own address."""
    body = bytes([3, 4, 0, 0, 0, 0]) + mtu.to_bytes(2, "big") + quoted[:28]
    body = body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
    source = socket.inet_ntoa(quoted[12:16])
    return Frame(to_mac=lab.edge.mac(lab.lan), from_mac=lab.bridge.mac("eth0"), source=BRIDGE,
                 destination=source, protocol=1, body=body).build()
