"""Floods of packets without a session beside calls: no call notices, and a newcomer gets in.

bench/flood sends what no client of ours sends, at a rate that the lab's relay takes; what is asked here
is what the relay does with it. The demo's --attack is the same with real browsers at full speed.
"""

import itertools
import json
import os
import struct
import subprocess
import time

import pytest
import stun
from conftest import MODES, NAMES, open_lab
from lab import BRIDGE, BUILD, CLIENT, CLIENT_ROUTED, EDGE_LAN, PATIENCE, PUBLIC, wait_for
from traffic import OURS, Traffic

SECONDS = 3
CALLS = 5
UNCONFIRMED = 1024  # sessions per worker: about those of one second
PER_PREFIX = 300  # a second; one prefix's in the up to three seconds that they last leave room for others
ATTACKER = CLIENT_ROUTED + "8"

# Kind of flood: packets a second, drops that must occur, and drops that may. A replayed request makes
# one session, and the rest goes to the bridge: at a rate that the test's own bridge can read.
FLOODS = {
    "stun": (30000, {"ask_again"}, {"wrong_ingress"}),
    "garbage": (30000, {"not_stun"}, {"wrong_ingress"}),
    "replay": (3000, set(), set()),
    "ports": (30000, {"ask_again", "prefix_rate"}, {"source_limit"}),
}
# When a client repeats its request, in seconds from the first one: a browser as it is, and the timer of
# RFC 8489 section 6.2.1 with the least RTO of RFC 8445 section 14.3.
ASKING = {"browser": [0.05 * i for i in range(40)], "rfc": [0, 0.5, 1.5]}
JOINED_WITHIN = 2.0


@pytest.fixture(scope="module", params=MODES, ids=NAMES)
def besieged(request):
    """A relay whose pool of unconfirmed sessions a flood fills in a second, and whose kernel knows a
    way back to any source. One for all floods of a mode."""
    workers, nat = request.param
    with open_lab(workers=workers, nat=nat, config={
            "limits": {"unconfirmed": UNCONFIRMED, "new_sessions_per_prefix": PER_PREFIX},
            "timeouts": {"unconfirmed": "2s"}}) as lab:
        lab.edge.ip("route", "add", "default", "via", CLIENT)
        know_neighbours(lab)
        yield lab.start()


def know_neighbours(lab):
    """For good: kernels that look for each other hold the calls' packets back, or throw them away."""
    for here, interface, address, there, far in (
            (lab.client, "eth0", PUBLIC, lab.edge, "wan0"),
            (lab.edge, "wan0", CLIENT, lab.client, "eth0"),
            (lab.edge, "lan0", BRIDGE, lab.bridge, "eth0"),
            (lab.bridge, "eth0", EDGE_LAN, lab.edge, "lan0")):
        here.ip("neighbour", "replace", address, "lladdr", mac_of(there, far), "dev", interface,
                "nud", "permanent")


def mac_of(namespace, interface):
    return ":".join(f"{byte:02x}" for byte in namespace.mac(interface))


@pytest.fixture
def lab(besieged):
    yield besieged
    for sock in besieged.sockets:
        sock.close()
    besieged.sockets.clear()


def start_flood(lab, kind):
    rate = FLOODS[kind][0]
    return subprocess.Popen(lab.client.command(
        os.path.join(BUILD, "bench/bridgehead-flood"), "--device", "eth0", "--to", PUBLIC,
        "--to-mac", mac_of(lab.edge, "wan0"), "--kind", kind,
        "--source", ATTACKER, "--rate", str(rate), "--count", str(rate * SECONDS)),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def join(lab, offsets):
    """A new client asks until it is answered, and then sends media; returns the seconds it took."""
    client = lab.client_socket()
    began = time.monotonic()
    for number, offset in enumerate([*offsets, JOINED_WITHIN * PATIENCE]):
        try:
            client.settimeout(max(0.001, began + offset - time.monotonic()))
            client.recv(2048)
            client.sendto(stun.rtp(1, ssrc=0xff), (PUBLIC, 10000))
            return time.monotonic() - began
        except TimeoutError:
            # Another transaction each time, as browsers do.
            client.sendto(stun.request(transaction=OURS + struct.pack("!HI", 0xffff, number)),
                          (PUBLIC, 10000))
    raise AssertionError(f"no answer within {JOINED_WITHIN * PATIENCE} s: {lab.balance()}")


def confirmed(lab):
    """The confirmed sessions' records, by what identifies them."""
    return {(s["client_address"], s["client_port"], s["nat_port"]): s
            for s in json.loads(lab.cli("sessions", "--limit", "100000", "--json"))["sessions"]
            if s["confirmed"]}


def lost_on_the_way(lab):
    """Packets that queues before and behind the relay have lost: the machine was too slow for them."""
    status = json.loads(lab.cli("status", "--json"))["counters"]
    lost = sum(port["missed"] + port["no_buffer"] for port in status["ports"])
    for namespace in (lab.client, lab.edge, lab.bridge):
        for link in json.loads(namespace.ip("-statistics", "-json", "link", "show")):
            lost += sum(link["stats64"][way]["dropped"] for way in ("rx", "tx"))
    return lost + sum(end.udp_statistics()["RcvbufErrors"] for end in (lab.client, lab.bridge))


@pytest.mark.parametrize("kind", FLOODS)
def test_calls_go_on_and_newcomers_get_in(lab, kind):
    _, expected, possible = FLOODS[kind]
    traffic = Traffic(lab, CALLS).start()
    before, counters, lost = confirmed(lab), lab.counters(), lost_on_the_way(lab)
    flood = start_flood(lab, kind)
    highest = 0
    try:
        for offsets in itertools.cycle(ASKING.values()):
            time.sleep(0.3)
            if flood.poll() is not None:
                break
            join(lab, offsets)
            highest = max(highest, lab.counters()["sessions_unconfirmed"])
    finally:
        flood.terminate()
        flood.wait()
    sent, echoed = traffic.stop()

    # The calls: the same sessions, and nothing lost but what never came to the relay, or left it.
    after = confirmed(lab)
    assert len(before) >= CALLS
    for key, session in before.items():
        assert key in after, f"{key} is gone"
        assert after[key]["packets_to_bridge"] >= session["packets_to_bridge"]
    assert all(len(seen) == 1 for seen in traffic.addresses)
    assert echoed == sent or lost_on_the_way(lab) > lost, traffic.explain()

    # The flood: each packet has a name.
    lab.assert_accounted()
    now = lab.counters()
    dropped = {label for label, count in now["drops"].items() if count > counters["drops"][label]}
    assert expected <= dropped <= expected | possible
    assert highest <= UNCONFIRMED * lab.workers
    # Forged sources fill the pool; one prefix has not enough sessions for that.
    assert (now["sessions_displaced"] > counters["sessions_displaced"]) == (kind == "stun")

    # All that is left of it ends in its time, once.
    wait_for("the unconfirmed sessions' end", lambda: lab.counters()["sessions_unconfirmed"] == 0, 6)
    now = lab.counters()
    assert now["sessions_active"] == len(confirmed(lab))
    assert now["nat_ports_in_use"] == (now["sessions_active"] if lab.nat == "source" else 0)
