"""IPv6 clients, and bridges of either family, with the kernel's own sockets at both ends."""

import socket

import pytest
import stun
from lab import BRIDGE, EDGE_LAN, NAT_PORTS

LISTENER, CLIENT, EDGE = "2001:db8:10::10", "2001:db8:10::100", "2001:db8:8::2"
ROUTED, ROUTER = "2001:db8:ffff::7", "fe80::1234"
BRIDGES = {"v6": "2001:db8:8::11", "v4": BRIDGE}
MODES = [(2, "source", "v6"), (1, "destination", "v6"), (1, "source", "v4"), (2, "source", "v4")]
IN_QUICK_RUNS = (2, "source", "v4")  # both families at once


@pytest.fixture(params=[
    pytest.param(mode, id="-".join(map(str, mode)),
                 marks=[] if mode == IN_QUICK_RUNS else pytest.mark.slow) for mode in MODES])
def dual(request, topology):
    workers, nat, bridge = request.param
    lab = topology(workers, nat, start=False)
    lab.edge.ip("address", "add", LISTENER + "/64", "dev", lab.wan, "nodad")
    lab.edge.ip("address", "add", EDGE + "/64", "dev", lab.lan, "nodad")
    lab.client.ip("address", "add", CLIENT + "/64", "dev", lab.far, "nodad")
    lab.client.ip("address", "add", ROUTED + "/128", "dev", "lo", "nodad")
    lab.client.ip("address", "add", ROUTER + "/64", "dev", lab.far, "nodad")
    lab.bridge.ip("address", "add", BRIDGES["v6"] + "/64", "dev", lab.far, "nodad")
    # The usual shape of IPv6 routing: the next hop is a link-local address.
    lab.edge.ip("route", "add", ROUTED + "/128", "via", ROUTER, "dev", lab.wan)
    lab.bridge.ip("route", "add", "default", "via", EDGE)
    lab.config["dataplane"]["nat_addresses"] = [EDGE_LAN, EDGE]
    lab.config["bridges"] = [{"name": "jvb1", "address": BRIDGES[bridge]}]
    lab.config["media"] = [{"name": "meet", "listen": f"[{LISTENER}]:10000", "nat": nat,
                            "bridges": ["jvb1"]}]
    lab.write_config()
    lab.bridge_address = BRIDGES[bridge]
    return lab.start()


def establish(lab, client, bridge):
    """Returns what the bridge saw the client as."""
    asked = stun.request()
    client.sendto(asked, (LISTENER, 10000))
    data, seen = bridge.recvfrom(2048)
    assert data == asked
    if lab.nat == "destination":
        assert seen[:2] == client.getsockname()[:2]
    else:
        assert seen[0] == (EDGE_LAN if lab.bridge_address == BRIDGE else EDGE)
        assert NAT_PORTS[0] <= seen[1] <= NAT_PORTS[1]
    bridge.sendto(stun.response(asked), seen)
    data, answered = client.recvfrom(2048)
    assert data == stun.response(asked) and answered[:2] == (LISTENER, 10000)
    return seen


@pytest.mark.parametrize("address", [CLIENT, ROUTED])
def test_media_both_ways_arrives_whole(dual, address):
    client, bridge = dual.client_socket(address), dual.bridge_socket(dual.bridge_address)
    seen = establish(dual, client, bridge)
    sizes = [12, 13, 160, 161, 1199, 1200, 1432]
    with dual.expect(received=40 * len(sizes), forwarded=40 * len(sizes)):
        for number in range(20 * len(sizes)):
            packet = stun.rtp(number, sizes[number % len(sizes)])
            client.sendto(packet, (LISTENER, 10000))
            data, source = bridge.recvfrom(2048)
            assert data == packet and source[:2] == seen[:2]
            bridge.sendto(packet, seen)
            assert client.recvfrom(2048)[0] == packet
    session = next(s for s in dual.sessions() if s["client_address"] == address)
    assert session["confirmed"] and session["listener_address"] == LISTENER
    assert session["bridge_address"] == dual.bridge_address


def test_errors_reach_the_sender(dual):
    client, bridge = dual.client_socket(CLIENT), dual.bridge_socket(dual.bridge_address)
    establish(dual, client, bridge)
    client.connect((LISTENER, 10000))
    bridge.close()
    with dual.expect(received=2, forwarded=2):
        client.send(stun.rtp(1))
        with pytest.raises(ConnectionRefusedError):
            client.recv(2048)


def test_broken_packets_are_named(dual):
    client, bridge = dual.client_socket(CLIENT), dual.bridge_socket(dual.bridge_address)
    with dual.expect(received=1, forwarded=0, not_stun=1):
        client.sendto(b"\x80 media before anything else", (LISTENER, 10000))
    establish(dual, client, bridge)
    client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
    with dual.expect(received=1, forwarded=1, made=1, ttl_expired=1):
        client.sendto(stun.rtp(1), (LISTENER, 10000))


def test_the_kernel_keeps_the_rest(dual):
    """Neighbour discovery and ping on the listener's own address."""
    dual.client.run("ping", "-6", "-c", "1", "-W", "2", LISTENER)
    dual.bridge.run("ping", "-6", "-c", "1", "-W", "2", EDGE)
