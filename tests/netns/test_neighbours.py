"""Next hops that the kernel has yet to resolve: packets wait, and then go or are dropped by name."""

import time

import pytest
import stun
from lab import BRIDGE, PUBLIC, wait_for
from test_media import establish

HOLD_PACKETS = 64  # the default of limits.hold_packets


@pytest.fixture
def quick_probes(lab):
    """The kernel gives up after three probes. They are a second apart, and here less."""
    lab.edge.sysctl(f"net.ipv4.neigh.{lab.lan}.retrans_time_ms", 400)
    yield
    lab.edge.sysctl(f"net.ipv4.neigh.{lab.lan}.retrans_time_ms", 1000)


def test_packets_wait_for_a_neighbour_and_then_arrive(lab, quick_probes):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    establish(lab, client, bridge)
    lab.bridge.ip("link", "set", "eth0", "arp", "off")
    try:
        lab.edge.ip("neigh", "flush", "dev", lab.lan)
        time.sleep(0.5)  # for the mirror to have told the relay
        packets = [stun.rtp(number) for number in range(20)]
        with lab.expect(received=20, forwarded=0, held=20):
            for packet in packets:
                client.sendto(packet, (PUBLIC, 10000))
        with lab.expect(received=0, forwarded=20, held=-20):
            lab.bridge.ip("link", "set", "eth0", "arp", "on")
            assert [bridge.recv(2048) for _ in packets] == packets
    finally:
        lab.bridge.ip("link", "set", "eth0", "arp", "on")
        lab.bridge.ip("route", "replace", "default", "via", "10.8.0.2")


def test_flushed_neighbour_costs_no_packet(lab):
    client, bridge = lab.client_socket(), lab.bridge_socket()
    seen = establish(lab, client, bridge)
    with lab.expect(received=120, forwarded=120):
        for number in range(60):
            if number % 20 == 10:
                lab.edge.ip("neigh", "flush", "dev", lab.lan)
                lab.edge.ip("neigh", "flush", "dev", lab.wan)
            client.sendto(stun.rtp(number), (PUBLIC, 10000))
            assert bridge.recv(2048) == stun.rtp(number)
            bridge.sendto(stun.rtp(number), seen)
            assert client.recv(2048) == stun.rtp(number)


def test_neighbour_that_never_answers(lab, quick_probes):
    client = lab.client_socket()
    asked = stun.request()
    with lab.expect(received=HOLD_PACKETS + 16, forwarded=0, held=HOLD_PACKETS, hold_full=16):
        for _ in range(HOLD_PACKETS + 16):
            client.sendto(asked, (PUBLIC, 10002))
    before = lab.counters()["drops"]["neighbour_failed"]
    wait_for("the waiting packets are given up",
             lambda: lab.counters()["drops"]["neighbour_failed"] == before + HOLD_PACKETS, 10)
    assert lab.counters()["held"] == 0
    lab.assert_accounted()


def test_a_neighbour_that_somebody_has_set_stays_so(topology):
    """The relay asks the kernel to keep those it uses fresh, which would end their being set."""
    lab = topology()
    client, bridge = lab.client_socket(), lab.bridge_socket()
    seen = establish(lab, client, bridge)
    mac = lab.bridge.mac("eth0").hex(":")
    lab.edge.ip("neigh", "replace", BRIDGE, "lladdr", mac, "nud", "permanent",
                "dev", lab.lan)
    for _ in range(35):  # in 15 s all neighbours that are in use are asked for
        client.sendto(stun.rtp(1), (PUBLIC, 10000))
        assert bridge.recv(2048) == stun.rtp(1)
        bridge.sendto(stun.rtp(2), seen)
        assert client.recv(2048) == stun.rtp(2)
        time.sleep(0.5)
    assert "PERMANENT" in lab.edge.ip("neigh", "show", BRIDGE, "dev", lab.lan)
    assert "PERMANENT" not in lab.edge.ip("neigh", "show", "dev", lab.wan)
