"""Other ways to connect the relay: VLAN tags, one interface for both sides, no offloads, a small MTU."""

import errno
import socket

import pytest
import stun
from conftest import MODES, NAMES
from lab import PUBLIC, wait_for
from test_media import establish

# From linux/in.h; Python has no names for them.
IP_MTU_DISCOVER, IP_MTU = 10, 14
IP_PMTUDISC_DONT, IP_PMTUDISC_DO = 0, 2

modes = pytest.mark.parametrize("workers,nat", MODES, ids=NAMES)


def exchange(lab, count=50):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    with lab.expect(received=2 + 2 * count, forwarded=2 + 2 * count):
        seen = establish(lab, client, bridge)
        for number in range(count):
            packet = stun.rtp(number, 100 + number)
            client.sendto(packet, (PUBLIC, 10000))
            assert bridge.recvfrom(2048) == (packet, seen)
            bridge.sendto(packet, seen)
            assert client.recvfrom(2048) == (packet, (PUBLIC, 10000))
    for end in (lab.client, lab.bridge):
        assert end.udp_statistics()["InCsumErrors"] == 0
    lab.assert_accounted()


@modes
def test_vlan(topology, workers, nat):
    # Both ends have their addresses on the VLAN's interface, so nothing untagged would arrive.
    exchange(topology(workers, nat, vlan=True))


@modes
def test_one_armed(topology, workers, nat):
    exchange(topology(workers, nat, one_armed=True))


def test_one_armed_with_vlan(topology):
    exchange(topology(2, "source", one_armed=True, vlan=True))


@pytest.mark.slow
@modes
def test_checksum_offload_off(topology, workers, nat):
    exchange(topology(workers, nat, offload=False))


@pytest.mark.parametrize("nat", ["source", "destination"])
def test_packet_larger_than_the_way_out(topology, nat):
    lab = topology(1, nat, start=False)
    lab.edge.ip("link", "set", lab.lan, "mtu", "1300")
    lab.start()
    client, bridge = lab.client_socket(), lab.bridge_socket()
    establish(lab, client, bridge)
    client.connect((PUBLIC, 10000))
    client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    with lab.expect(received=2, forwarded=2, made=1, egress_mtu=1):
        client.send(stun.rtp(1, 1300 - 28))
        client.send(stun.rtp(2, 1300 - 27))
        assert bridge.recv(2048) == stun.rtp(1, 1300 - 28)
    # The relay has told the sender how large a packet may be.
    wait_for(lambda: "no path MTU learnt",
             lambda: client.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1300, 3)
    # Whoever lets the network cut his packets is not told: they arrive whole.
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EMSGSIZE
    client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
    lab.client.ip("route", "flush", "cache")
    client.connect((PUBLIC, 10000))
    with lab.expect(received=1, forwarded=2, made=1):
        client.send(stun.rtp(3, 1400))
        assert bridge.recv(2048) == stun.rtp(3, 1400)
