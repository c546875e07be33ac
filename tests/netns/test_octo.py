"""Bridge to bridge: octo listeners, flows that bridges open, both between bridges behind one relay."""

import pytest
import stun
from conftest import MODES, NAMES
from lab import BRIDGE, BRIDGE_SECOND, CLIENT, CLIENT_ROUTED, NAT_PORTS, PUBLIC, PUBLIC_SECOND

# Version 1: conference, endpoint, video; then RTP.
OCTO = bytes([0, 0, 0, 9, 0xAB, 0xCD, 0, 1, 0x40, 0, 0, 0]) + stun.rtp(1)
PEER = CLIENT  # another bridge, out there


@pytest.fixture(params=MODES, ids=NAMES)
def fleet(request, topology):
    workers, nat = request.param
    lab = topology(workers, nat, start=False)
    allow = [PEER + "/32", PUBLIC + "/32", PUBLIC_SECOND + "/32"]
    lab.config["octo"] = [
        {"listen": f"{PUBLIC}:4096", "bridge": "jvb1", "allow": list(allow)},
        {"listen": f"{PUBLIC_SECOND}:4096", "bridge": "jvb2", "allow": allow}]
    lab.config["outbound"] = {"addresses": [PUBLIC_SECOND], "ports": "10000", "allow": [PEER + "/32"]}
    lab.write_config()
    return lab.start()


def test_octo_is_one_to_one_and_either_side_may_begin(fleet):
    peer, bridge = fleet.client_socket(PEER, 4096), fleet.bridge_socket(BRIDGE, 4096)
    with fleet.expect(received=2, forwarded=2):
        bridge.sendto(OCTO, (PEER, 4096))
        assert peer.recvfrom(2048) == (OCTO, (PUBLIC, 4096))
        peer.sendto(OCTO, (PUBLIC, 4096))
        assert bridge.recvfrom(2048) == (OCTO, (PEER, 4096))


def test_octo_denies_everybody_else(fleet):
    stranger, bridge = fleet.client_socket(CLIENT_ROUTED + "1", 4096), fleet.bridge_socket(BRIDGE, 4096)
    with fleet.expect(received=1, forwarded=0, denied=1):
        stranger.sendto(OCTO, (PUBLIC, 4096))  # the relay does not even see it
        bridge.sendto(OCTO, (CLIENT_ROUTED + "1", 4096))
    assert fleet.wait_xdp_drops(denied=1) == {"denied": 1, "not_media": 0, "stun_rate": 0}
    with fleet.expect(received=1, forwarded=0, octo_malformed=1):
        fleet.client_socket(PEER).sendto(b"what is this", (PUBLIC, 4096))


def test_octo_between_two_bridges_behind_the_relay(fleet):
    one, two = fleet.bridge_socket(BRIDGE, 4096), fleet.bridge_socket(BRIDGE_SECOND, 4096)
    with fleet.expect(received=2, forwarded=2):
        one.sendto(OCTO, (PUBLIC_SECOND, 4096))
        assert two.recvfrom(2048) == (OCTO, (PUBLIC, 4096))
        two.sendto(OCTO, (PUBLIC, 4096))
        assert one.recvfrom(2048) == (OCTO, (PUBLIC_SECOND, 4096))


def test_a_bridge_opens_a_flow_to_another_ones_public_address(fleet):
    remote, bridge = fleet.client_socket(PEER, 10000), fleet.bridge_socket(BRIDGE, 51234)
    with fleet.expect(received=2, forwarded=2):
        bridge.sendto(stun.request(), (PEER, 10000))
        _, seen = remote.recvfrom(2048)
        assert seen[0] == PUBLIC_SECOND and NAT_PORTS[0] <= seen[1] <= NAT_PORTS[1]
        remote.sendto(stun.rtp(1), seen)
        assert bridge.recvfrom(2048) == (stun.rtp(1), (PEER, 10000))
    session = next(s for s in fleet.sessions() if s["listener"] == "outbound")
    assert (session["bridge"], session["bridge_port"]) == ("jvb1", 51234)


def test_other_udp_of_a_bridge_is_the_kernels(fleet):
    bridge = fleet.bridge_socket(BRIDGE, 51235)
    with fleet.expect(received=0, forwarded=0):
        bridge.sendto(b"a question to a name server", (PEER, 53))
