"""What the XDP program drops before the relay sees it, beside a call that goes on."""

import time

import pytest
import stun
from conftest import MODES, NAMES
from frames import Frame
from lab import CLIENT, CLIENT_ROUTED, PUBLIC, wait_for
from traffic import Traffic

DENIED, FLOODER, STRANGER = (CLIENT_ROUTED + last for last in "345")
RATE = 20  # STUN requests per second and source; the call's own are fewer
FLOOD = 200
# Traffic's bridge takes it for one of its first client's.
REQUEST = stun.request(transaction=b"bhtest" + bytes(6))


def start(topology, workers, nat):
    lab = topology(workers, nat, start=False,
                   config={"limits": {"stun_requests_per_source": RATE}})
    lab.config["media"][0]["deny"] = [DENIED + "/32"]
    lab.write_config()
    return lab.start()


def frame(lab, source, payload):
    return Frame(to_mac=lab.edge.mac("wan0"), from_mac=lab.client.mac("eth0"), source=source,
                 destination=PUBLIC, payload=payload).build()


def flood(lab, source, payload, count=FLOOD):
    """Sends raw frames, and returns how long that took."""
    wire, data, begin = lab.raw(lab.client), frame(lab, source, payload), time.monotonic()
    for _ in range(count):
        wire.send(data)
    return time.monotonic() - begin


@pytest.mark.parametrize("workers,nat", MODES, ids=NAMES)
def test_floods_beside_a_call(topology, workers, nat):
    lab = start(topology, workers, nat)
    call = Traffic(lab, clients=2).start()
    before = lab.balance()
    assert lab.xdp_drops() == {"denied": 0, "not_media": 0, "stun_rate": 0}
    flood(lab, DENIED, REQUEST)
    flood(lab, STRANGER, b"SSH-2.0-scanner\r\n")
    seconds = flood(lab, FLOODER, REQUEST)
    dropped = lab.wait_xdp_drops(denied=FLOOD, not_media=FLOOD,
                                 stun_rate=FLOOD - RATE - int((seconds + 1) * RATE))
    assert dropped["denied"] == dropped["not_media"] == FLOOD
    assert dropped["stun_rate"] <= FLOOD - RATE
    assert set(lab.xdp_drops("lan").values()) == {0}
    sent, echoed = call.stop()
    assert sent == echoed, call.explain()
    # What was dropped there the relay has neither received nor counted.
    after = wait_for("it is quiet", lambda: (b := lab.balance())["adds_up"] and b, 3)
    for label in ("denied", "not_media", "stun_rate"):
        assert after["drops"][label] == before["drops"][label] == 0
    assert sum(session["client_address"] == FLOODER for session in lab.sessions()) == 1
    text = lab.cli("drops")
    for label in dropped:
        assert f"\n{label} " in text
    assert f'bridgehead_port_xdp_dropped_packets_total{{port="wan",reason="denied"}} {FLOOD}' \
        in lab.http("/metrics")[1]


def test_reloads_of_lists_lose_nothing_of_a_call(topology):
    lab = start(topology, 2, "source")
    call = Traffic(lab, clients=2).start()
    for turn in range(8):
        # Others come and go before and behind the call's address; its listener's list stays, grows,
        # and is one of several.
        lab.config["media"][0]["deny"] = [DENIED + "/32", f"{CLIENT_ROUTED}{turn}/32"][turn % 2:]
        lab.config["media"][1]["allow"] = [CLIENT + "/32", f"192.0.2.{turn}/32"]
        lab.write_config()
        assert lab.reload()[0] == 0
    sent, echoed = call.stop()
    assert sent == echoed, call.explain()
    assert lab.xdp_drops() == {"denied": 0, "not_media": 0, "stun_rate": 0}


def test_a_reload_denies_and_allows_again(topology):
    lab = start(topology, 1, "destination")
    lab.bridge_socket()  # nobody there would answer by ICMP
    client, stranger = frame(lab, FLOODER, stun.request()), frame(lab, DENIED, stun.request())
    wire = lab.raw(lab.client)
    with lab.expect(received=1, forwarded=1):
        wire.send(client)
        wire.send(stranger)
    assert lab.wait_xdp_drops(denied=1)["denied"] == 1
    lab.config["media"][0]["deny"] = [FLOODER + "/32"]
    lab.write_config()
    assert lab.reload()[0] == 0
    with lab.expect(received=1, forwarded=1):
        wire.send(client)  # its session does not save it
        wire.send(stranger)
    assert lab.wait_xdp_drops(denied=2)["denied"] == 2
