"""Every table and pool has an end: what comes after it is dropped by name, the rest goes on."""

import resource

import pytest
import stun
from conftest import MODES, NAMES
from lab import BRIDGE, CLIENT, CLIENT_ROUTED, PUBLIC, wait_for

modes = pytest.mark.parametrize("workers,nat", MODES, ids=NAMES)
nats = pytest.mark.parametrize("nat", ["source", "destination"])


def ask(lab, count, address=CLIENT, answer=None):
    """Binding Requests from `count` new sockets. With `answer`, the bridge's socket, each is answered
    and followed by a packet of media, which confirms the session."""
    clients = [lab.client_socket(address) for _ in range(count)]
    for client in clients:
        asked = stun.request()
        client.sendto(asked, (PUBLIC, 10000))
        if answer:
            answer.settimeout(0.5)
            try:
                data, seen = answer.recvfrom(2048)
                answer.sendto(stun.response(data), seen)
                client.settimeout(0.5)
                client.recv(2048)
                client.sendto(stun.rtp(1), (PUBLIC, 10000))
                answer.recv(2048)
            except TimeoutError:
                pass
    return clients


def start(topology, *mode, **config):
    """A lab whose edge knows its neighbours from the beginning: no packet has to wait for them."""
    lab = topology(*mode, start=False, config=config)
    for address in (CLIENT, BRIDGE):
        lab.edge.run("ping", "-c", "1", "-W", "2", address)
    return lab.start()


@modes
def test_sessions_of_one_source(topology, workers, nat):
    lab = start(topology, workers, nat, limits={"sessions_per_source": 4})
    lab.bridge_socket()
    before = lab.counters()
    ask(lab, 40, CLIENT_ROUTED + "1")
    wait_for("all received", lambda: lab.counters()["received"] == before["received"] + 40, 3)
    after = lab.counters()
    admitted = after["sessions_created"] - before["sessions_created"]
    assert 4 <= admitted <= 4 * workers  # the limit is each worker's own
    assert after["drops"]["source_limit"] == 40 - admitted
    with lab.expect(received=1, forwarded=1):  # another source is not held back
        ask(lab, 1, CLIENT_ROUTED + "2")
    lab.assert_accounted()


@pytest.mark.parametrize("workers", [1, 2])
def test_nat_ports_run_out(topology, workers):
    lab = start(topology, workers, "source", dataplane={"nat_ports": "20000-20007"})
    bridge = lab.bridge_socket()
    with lab.expect(received=80, forwarded=8, nat_ports_exhausted=72):
        ask(lab, 80)
    ports = sorted(bridge.recvfrom(2048)[1][1] for _ in range(8))
    assert ports == list(range(20000, 20008))
    assert lab.counters()["nat_ports_in_use"] == 8


@pytest.mark.slow
@nats
def test_session_table_is_full(topology, nat):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        lab = start(topology, 1, nat, dataplane={"max_sessions": 1024},
                    limits={"unconfirmed": 64, "new_sessions": 0, "new_sessions_per_prefix": 0})
        bridge = lab.bridge_socket()
        with lab.expect(received=3072, forwarded=3072):
            ask(lab, 512, CLIENT_ROUTED + "1", answer=bridge)
            ask(lab, 512, CLIENT_ROUTED + "2", answer=bridge)
        with lab.expect(received=50, forwarded=0, table_full=50):
            ask(lab, 50, CLIENT_ROUTED + "3")
        assert lab.counters()["sessions_active"] == 1024
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@nats
def test_unconfirmed_sessions_only_push_each_other_out(topology, nat):
    lab = start(topology, 1, nat, limits={"unconfirmed": 8})
    bridge = lab.bridge_socket()
    with lab.expect(received=3, forwarded=3):
        call = ask(lab, 1, answer=bridge)[0]
    with lab.expect(received=20, forwarded=20):
        ask(lab, 20)
    counters = lab.counters()
    assert counters["sessions_unconfirmed"] == 8 and counters["sessions_active"] == 9
    with lab.expect(received=1, forwarded=1):
        call.sendto(stun.rtp(2), (PUBLIC, 10000))
