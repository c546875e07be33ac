"""Several bridges behind one address and port, chosen by the ufrag in the first STUN request."""

import pytest
import stun
from conftest import MODES, NAMES
from lab import BRIDGE, BRIDGE_SECOND, PUBLIC


@pytest.fixture(params=MODES, ids=NAMES)
def cluster(request, topology):
    workers, nat = request.param
    lab = topology(workers, nat, start=False)
    lab.config["bridges"] = [
        {"name": "jvb1", "address": BRIDGE, "ufrag_prefix": "jvb1/"},
        {"name": "jvb2", "address": BRIDGE_SECOND, "ufrag_prefix": "jvb2/"}]
    lab.config["media"] = [{"name": "meet", "listen": f"{PUBLIC}:10000", "nat": nat,
                            "bridges": ["jvb1", "jvb2"]}]
    lab.write_config()
    return lab.start()


def establish(client, bridge, ufrag):
    asked = stun.request(f"{ufrag}:client1")
    client.sendto(asked, (PUBLIC, 10000))
    data, seen = bridge.recvfrom(2048)
    assert data == asked
    bridge.sendto(stun.response(asked), seen)
    assert client.recv(2048) == stun.response(asked)
    client.sendto(stun.rtp(1), (PUBLIC, 10000))
    assert bridge.recvfrom(2048) == (stun.rtp(1), seen)
    return seen


def test_each_client_reaches_the_bridge_of_its_ufrag(cluster):
    bridges = {"jvb1/": cluster.bridge_socket(BRIDGE), "jvb2/": cluster.bridge_socket(BRIDGE_SECOND)}
    for number in range(20):
        prefix = f"jvb{number % 2 + 1}/"
        establish(cluster.client_socket(), bridges[prefix], f"{prefix}{number}abc")
    by_bridge = [session["bridge"] for session in cluster.sessions()]
    assert sorted(by_bridge) == ["jvb1"] * 10 + ["jvb2"] * 10


def test_unknown_prefix_is_named(cluster):
    client = cluster.client_socket()
    with cluster.expect(received=2, forwarded=0, stun_unknown_ufrag=2):
        for ufrag in ("jvb3/abc", "jvb1"):
            client.sendto(stun.request(f"{ufrag}:client1"), (PUBLIC, 10000))


def test_ice_restart_on_another_bridge(cluster):
    first, second = cluster.bridge_socket(BRIDGE), cluster.bridge_socket(BRIDGE_SECOND)
    client = cluster.client_socket()
    old = establish(client, first, "jvb1/old")
    asked = stun.request("jvb2/new:client1")
    client.sendto(asked, (PUBLIC, 10000))
    data, seen = second.recvfrom(2048)
    assert data == asked
    # Nothing of the old session has changed yet.
    client.sendto(stun.rtp(2), (PUBLIC, 10000))
    assert first.recvfrom(2048) == (stun.rtp(2), old)
    second.sendto(stun.response(asked), seen)
    assert client.recv(2048) == stun.response(asked)
    client.sendto(stun.request("jvb2/new:client1"), (PUBLIC, 10000))
    assert second.recvfrom(2048)[1] == seen
    client.sendto(stun.rtp(3), (PUBLIC, 10000))
    assert second.recvfrom(2048) == (stun.rtp(3), seen)


def test_restart_on_the_same_bridge_has_a_new_port_in_source_nat(cluster):
    bridge, client = cluster.bridge_socket(BRIDGE), cluster.client_socket()
    old = establish(client, bridge, "jvb1/old")
    new = establish(client, bridge, "jvb1/new")
    assert (old == new) == (cluster.nat == "destination")
