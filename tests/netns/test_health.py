"""Bridges that go down, drain, come back or move, while calls on them and on others go on."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest
import stun
from bridge_http import PORT, BridgeHttp
from conftest import MODES, NAMES
from lab import BRIDGE, BRIDGE_SECOND, BRIDGE_THIRD, BUILD, PUBLIC, tail, wait_for
from test_lifecycle import assert_nothing_lost
from traffic import Traffic

modes = pytest.mark.parametrize("workers,nat", MODES, ids=NAMES)
EVERY_SECOND = {"interval": "1s", "timeout": "1s", "rise": 2, "fall": 2}


@pytest.fixture
def fleet(topology):
    """A function that makes a lab of two bridges that are checked. A bridge has two listeners:
    port 10000 or 10001 for calls, 10010 or 10011 for newcomers of the test itself."""
    servers = []

    def make(workers, nat, **config):
        lab = topology(workers, nat, start=False)
        lab.http_of = {}
        bridges, media = [], []
        for number, address in enumerate((BRIDGE, BRIDGE_SECOND)):
            name = f"jvb{number + 1}"
            servers.append(BridgeHttp(lab, address))
            lab.http_of[name] = servers[-1]
            url = f"http://{address}:{PORT}"
            bridges.append({"name": name, "address": address, "health": url + "/about/health",
                            "drain_state": url + "/colibri/drain"})
            for kind, port in (("calls", 10000), ("new", 10010)):
                media.append({"name": f"{kind}-{name}", "listen": f"{PUBLIC}:{port + number}",
                              "nat": nat, "bridges": [name], "bridge_port": port})
        lab.config = {**lab.config, "bridges": bridges, "media": media,
                      "health_check": EVERY_SECOND, **config}
        lab.write_config()
        lab.start()
        for name in ("jvb1", "jvb2"):
            wait_for(f"{name} is checked", lambda name=name: bridge(lab, name)["health"]["checks"])
        return lab
    yield make
    for server in servers:
        server.close()


def bridge(lab, name):
    told = json.loads(lab.cli("bridges", "--json"))["bridges"]
    return next(one for one in told if one["name"] == name)


def wait_state(lab, name, state, seconds=10):
    wait_for(lambda: f"{name} is {state}: {bridge(lab, name)}",
             lambda: bridge(lab, name)["state"] == state, seconds)


def calls(lab):
    return (Traffic(lab, clients=4, listener=(PUBLIC, 10000), bridge=(BRIDGE, 10000)).start(),
            Traffic(lab, clients=4, listener=(PUBLIC, 10001), bridge=(BRIDGE_SECOND, 10000)).start())


def assert_refused(lab, listener, drop, count=3):
    """Once the relay knows, new clients are refused, every one under this name."""
    def dropped():
        return lab.balance()["drops"][drop]

    def refused():
        before = dropped()
        lab.client_socket().sendto(stun.request(), listener)
        time.sleep(0.05)
        return dropped() > before
    wait_for(f"the first {drop}", refused, 3)
    before = dropped()
    for _ in range(count):
        lab.client_socket().sendto(stun.request(), listener)
    wait_for(f"{count} more {drop}", lambda: dropped() == before + count, 3)


def assert_accepted(lab, listener, address, port=10010):
    """A new client gets its answer from the bridge; it may have to ask more than once."""
    client, sock = lab.client_socket(), lab.bridge_socket(address, port)
    client.settimeout(0.2)
    sock.settimeout(0.2)

    def answered():
        client.sendto(stun.request(), listener)
        try:
            data, seen = sock.recvfrom(2048)  # perhaps of the last time, when it waited
            sock.sendto(stun.response(data), seen)
            return client.recv(2048) == stun.response(data)
        except TimeoutError:
            return False
    try:
        wait_for("a new session", answered, 5)
    finally:
        sock.close()


def command(lab, *arguments, timeout=60):
    result = subprocess.run(
        [os.path.join(BUILD, "ctrl/bridgehead"), "--run-dir", lab.run_dir, *arguments],
        capture_output=True, text=True, timeout=timeout, check=False)
    return result.returncode, result.stdout, result.stderr


@modes
def test_a_bridge_goes_down_and_comes_back(fleet, workers, nat):
    lab = fleet(workers, nat)
    first, second = calls(lab)
    assert_accepted(lab, (PUBLIC, 10010), BRIDGE)
    lab.http_of["jvb1"].status = 503
    wait_state(lab, "jvb1", "down")
    assert bridge(lab, "jvb1")["reason"] == "status 503"
    assert_refused(lab, (PUBLIC, 10010), "bridge_down")
    assert_accepted(lab, (PUBLIC, 10011), BRIDGE_SECOND)
    metrics = lab.http("/metrics")[1]
    wait_for("the metric", lambda: 'bridge_up{bridge="jvb1"} 0' in lab.http("/metrics")[1], 3)
    assert 'bridge_up{bridge="jvb2"} 1' in metrics
    assert bridge(lab, "jvb2")["state"] == "up" and lab.http("/readyz")[0] == 200
    # It is gone altogether, and then another process answers.
    lab.http_of["jvb1"].close()
    wait_for("refused", lambda: "refused" in (bridge(lab, "jvb1")["reason"] or ""), 5)
    lab.http_of["jvb1"] = again = BridgeHttp(lab, BRIDGE)
    try:
        wait_state(lab, "jvb1", "up")
        assert_accepted(lab, (PUBLIC, 10010), BRIDGE)
    finally:
        again.close()
    assert_nothing_lost(first)
    assert_nothing_lost(second)
    log = tail(lab.ctrl_log, 100)
    assert log.count("bridge jvb1: down: status 503") == 1 and log.count("bridge jvb1: up") == 1
    assert "bridge jvb2" not in log


def test_all_down_at_once_is_followed_and_said(fleet):
    lab = fleet(1, "source")
    for http in lab.http_of.values():
        http.status = 500
    wait_state(lab, "jvb1", "down")
    wait_state(lab, "jvb2", "down")
    wait_for("the log says so", lambda: "all 2 bridges that are checked are down" in
             tail(lab.ctrl_log, 50), 3)
    assert_refused(lab, (PUBLIC, 10011), "bridge_down")


def test_a_bridge_drains_by_itself(fleet):
    lab = fleet(1, "source")
    first, second = calls(lab)
    lab.http_of["jvb1"].draining = True
    wait_state(lab, "jvb1", "draining")
    told = bridge(lab, "jvb1")
    assert told["says_draining"] and not told["drained"]
    assert_refused(lab, (PUBLIC, 10010), "bridge_draining")
    lab.http_of["jvb1"].draining = False
    wait_state(lab, "jvb1", "up")
    assert_accepted(lab, (PUBLIC, 10010), BRIDGE)
    assert_nothing_lost(first)
    assert_nothing_lost(second)


@modes
def test_the_operator_drains(fleet, workers, nat):
    lab = fleet(workers, nat, timeouts={"idle": "2s", "unconfirmed": "2s"})
    first, second = calls(lab)
    code, out, _ = command(lab, "drain", "jvb1")
    assert code == 0 and out == ("jvb1 takes no new sessions: drained by the operator; "
                                 "4 sessions left\n")
    wait_state(lab, "jvb1", "draining", 2)
    assert_refused(lab, (PUBLIC, 10010), "bridge_draining")
    assert_accepted(lab, (PUBLIC, 10011), BRIDGE_SECOND)
    code, out, error = command(lab, "drain", "jvb1", "--wait", "0.5")
    assert code == 1 and out == "jvb1: 4 sessions left\n"
    assert error == "jvb1: 4 sessions left after 0.5 s\n"
    code, out, _ = command(lab, "drain", "jvb1", "--wait", "0", "--json")
    told = json.loads(out)
    assert code == 1 and told["sessions_left"] == 4 and told["state"] == "draining"
    # A reload, of other keys and to a file that is refused, changes nothing about it.
    lab.write_config({**lab.config, "limits": {"hold_packets": 32}})
    assert lab.reload()[0] == 0
    lab.write_config({**lab.config, "bridges": []})
    assert lab.reload()[0] == 1
    lab.write_config()
    assert bridge(lab, "jvb1")["drained"]
    assert_refused(lab, (PUBLIC, 10010), "bridge_draining")
    # The wait ends with the last session.
    waiting = subprocess.Popen(
        [os.path.join(BUILD, "ctrl/bridgehead"), "--run-dir", lab.run_dir, "drain", "jvb1",
         "--wait"], stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    assert waiting.poll() is None
    assert_nothing_lost(first)
    out, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0
    assert out.startswith("jvb1: 4 sessions left\n") and out.endswith("jvb1: no sessions left\n")
    assert_nothing_lost(second)
    code, out, _ = command(lab, "undrain", "jvb1")
    assert code == 0 and out == "jvb1 takes new sessions; no sessions left\n"
    assert_accepted(lab, (PUBLIC, 10010), BRIDGE)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_drain_outlives_ctrl(fleet, how):
    lab = fleet(1, "source")
    first, second = calls(lab)
    assert command(lab, "drain", "jvb1")[0] == 0
    wait_state(lab, "jvb1", "draining", 2)
    assert_refused(lab, (PUBLIC, 10010), "bridge_draining")
    created = lab.counters()["sessions_created"]
    lab.stop(lab.ctrl, how)
    assert command(lab, "drain", "jvb2")[0] == 3
    assert_refused(lab, (PUBLIC, 10010), "bridge_draining")
    lab.start_ctrl()
    # At no moment is the door open: the first snapshot of the new ctrl says it already.
    ready = False
    while not ready:
        ready = lab.http("/readyz")[0] == 200
        for _ in range(3):
            lab.client_socket().sendto(stun.request(), (PUBLIC, 10010))
            time.sleep(0.01)
    time.sleep(0.2)
    assert lab.counters()["sessions_created"] == created
    assert bridge(lab, "jvb1")["drained"]
    assert_nothing_lost(first)
    assert_nothing_lost(second)


def test_drain_of_what_is_not_there(fleet):
    lab = fleet(1, "source")
    code, out, error = command(lab, "drain", "jvb3")
    assert (code, out) == (2, "")
    assert error == 'BRIDGE: got "jvb3", expected one of: jvb1, jvb2\n'
    code, out, _ = command(lab, "undrain", "jvb3", "--json")
    assert code == 2 and json.loads(out)["accepted"] is False
    assert command(lab, "drain")[0] == 2
    assert command(lab, "drain", "jvb1", "--wait", "soon")[0] == 2
    # A bridge that leaves the configuration takes its drain with it.
    assert command(lab, "drain", "jvb2")[0] == 0
    only = [one for one in lab.config["bridges"] if one["name"] == "jvb1"]
    media = [one for one in lab.config["media"] if one["bridges"] == ["jvb1"]]
    lab.write_config({**lab.config, "bridges": only, "media": media})
    assert lab.reload()[0] == 0
    lab.write_config()
    assert lab.reload()[0] == 0
    assert not bridge(lab, "jvb2")["drained"]


@modes
def test_a_bridge_moves_by_reload(fleet, workers, nat):
    lab = fleet(workers, nat)
    first, second = calls(lab)
    checks = bridge(lab, "jvb2")["health"]["checks"]
    lab.config["bridges"][0]["address"] = BRIDGE_THIRD
    lab.write_config()
    assert lab.reload()[0] == 0
    assert_accepted(lab, (PUBLIC, 10010), BRIDGE_THIRD)
    assert_accepted(lab, (PUBLIC, 10011), BRIDGE_SECOND)
    assert bridge(lab, "jvb2")["health"]["checks"] >= checks
    time.sleep(0.5)
    assert_nothing_lost(second)
    # Its old sessions go on too, at its old address.
    assert_nothing_lost(first)


@pytest.mark.parametrize("nat", ["source", "destination"])
def test_a_stun_server_is_checked(topology, nat):
    lab = topology(1, nat, start=False)
    sock = lab.bridge.udp(BRIDGE, 3478, timeout=0.05)
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            try:
                data, source = sock.recvfrom(2048)
            except socket.timeout:
                continue
            sock.sendto(stun.response(data), source)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        lab.config["bridges"][0]["health"] = f"stun:{BRIDGE}:3478"
        lab.config["health_check"] = EVERY_SECOND
        lab.write_config()
        lab.start()
        wait_for("two good checks", lambda: bridge(lab, "jvb1")["health"]["checks"] >= 2)
        assert bridge(lab, "jvb1")["health"]["last_error"] is None
        assert bridge(lab, "jvb1")["state"] == "up"
    finally:
        stop.set()
        thread.join()
        sock.close()
    wait_state(lab, "jvb1", "down")
