"""Restarts and reloads while calls go on."""

import os
import signal
import subprocess
import time

import pytest
import stun
from conftest import MODES, NAMES
from lab import BUILD, PATIENCE, PUBLIC, tail, wait_for
from netns import veth
from test_media import establish
from traffic import Traffic

modes = pytest.mark.parametrize("workers,nat", MODES, ids=NAMES)


def assert_nothing_lost(traffic):
    sent, echoed = traffic.stop()
    assert sent > 100 and echoed == sent, traffic.explain()
    assert all(len(seen) == 1 for seen in traffic.addresses)


def test_ctrl_restarts_under_traffic(lab):
    traffic = Traffic(lab).start()
    assert lab.stop(lab.ctrl) == 0
    time.sleep(0.3)
    lab.start_ctrl()
    lab.wait_ready()
    time.sleep(0.3)
    assert_nothing_lost(traffic)


def test_ctrl_is_killed_under_traffic(lab):
    traffic = Traffic(lab).start()
    lab.stop(lab.ctrl, signal.SIGKILL)
    time.sleep(0.3)
    lab.start_ctrl()
    lab.wait_ready()
    time.sleep(0.3)
    assert_nothing_lost(traffic)


@modes
def test_reload_under_traffic(topology, workers, nat):
    lab = topology(workers, nat)
    traffic = Traffic(lab).start()
    # `meet`, which carries the calls, goes; another listener for the same bridge comes.
    media = [m for m in lab.config["media"] if m["name"] != "meet"]
    media.append({"name": "new", "listen": f"{PUBLIC}:10007", "nat": nat, "bridges": ["jvb1"],
                  "bridge_port": 10040})
    lab.write_config({**lab.config, "media": media})
    code, text = lab.reload()
    assert code == 0, text
    # The new listener works, the removed one's live sessions go on, and it takes no new one.
    client, bridge = lab.client_socket(), lab.bridge_socket(port=10040)
    wait_for("the new listener", lambda: answers(client, bridge, (PUBLIC, 10007)), 5)
    late = lab.client_socket()
    before = lab.counters()
    late.sendto(stun.request(), (PUBLIC, 10000))
    time.sleep(0.5)
    assert lab.counters()["sessions_created"] == before["sessions_created"]
    assert_nothing_lost(traffic)
    # SIGHUP does the same: the old listener comes back.
    lab.write_config()
    lab.ctrl.send_signal(signal.SIGHUP)
    late.settimeout(0.2)
    back = lab.bridge_socket(port=10000) if traffic.bridge.fileno() < 0 else traffic.bridge
    back.settimeout(0.2)
    wait_for("the old listener", lambda: answers(late, back, (PUBLIC, 10000)), 5)


@pytest.mark.slow
@modes
def test_removed_listener_is_forgotten_with_its_last_session(topology, workers, nat):
    lab = topology(workers, nat, config={"timeouts": {"idle": "1s", "unconfirmed": "1s"}})
    others = [m for m in lab.config["media"] if m["name"] != "meet"]
    client, bridge = lab.client_socket(), lab.bridge_socket()
    seen = establish(lab, client, bridge)
    lab.write_config({**lab.config, "media": others})
    assert lab.reload()[0] == 0
    # Its session goes on: the XDP program and the relay still take the address.
    with lab.expect(received=2, forwarded=2):
        client.sendto(stun.rtp(1), (PUBLIC, 10000))
        assert bridge.recvfrom(2048) == (stun.rtp(1), seen)
        bridge.sendto(stun.rtp(2), seen)
        assert client.recv(2048) == stun.rtp(2)
    wait_for("the session ends", lambda: not lab.sessions(), 6)
    # From then on its packets are the kernel's.
    def left_to_the_kernel():
        before = lab.counters()["received"]
        client.sendto(stun.request(), (PUBLIC, 10000))
        time.sleep(0.2)
        return lab.counters()["received"] == before
    wait_for("the removed listener is forgotten", left_to_the_kernel, 5)
    # Again and again, with sessions and without.
    for _ in range(2):
        lab.write_config()
        assert lab.reload()[0] == 0
        establish(lab, lab.client_socket(), bridge)
        lab.write_config({**lab.config, "media": others})
        assert lab.reload()[0] == 0
        time.sleep(1.2)
    assert lab.relay.poll() is None and lab.ctrl.poll() is None
    lab.assert_accounted()


def answers(client, bridge, listener):
    client.settimeout(0.2)
    bridge.settimeout(0.2)
    asked = stun.request()
    client.sendto(asked, listener)
    try:
        data, seen = bridge.recvfrom(2048)
        bridge.sendto(stun.response(data), seen)
        return data == asked and client.recv(2048) == stun.response(asked)
    except TimeoutError:
        return False


def test_bad_reload_keeps_the_old_configuration_and_says_why(lab):
    traffic = Traffic(lab).start()
    lab.write_config({**lab.config, "medai": []})
    code, text = lab.reload()
    assert code != 0 and "medai" in text
    lab.ctrl.send_signal(signal.SIGHUP)
    wait_for("the reason in ctrl's log", lambda: "medai" in tail(lab.ctrl_log, 50), 3)
    assert "medai" in lab.cli("status", "--json")
    lab.write_config()
    code, text = lab.reload()
    assert code == 0, text
    assert_nothing_lost(traffic)


def test_reload_that_needs_a_restart_is_refused(lab):
    changed = {**lab.config, "dataplane": {**lab.config["dataplane"], "max_sessions": 8192}}
    lab.write_config(changed)
    code, text = lab.reload()
    assert code != 0 and "dataplane.max_sessions:" in text and "restart" in text
    lab.write_config()
    assert lab.reload()[0] == 0
    client, bridge = lab.client_socket(), lab.bridge_socket()
    establish(lab, client, bridge)


def test_fixed_keys_take_a_restart_of_ctrl_and_then_of_the_relay(topology):
    lab = topology(1, "source")
    changed = {**lab.config, "dataplane": {**lab.config["dataplane"], "max_sessions": 8192}}
    lab.write_config(changed)
    assert lab.reload()[0] == 1
    assert "last reload REFUSED" in lab.cli("status")
    lab.stop(lab.ctrl)
    lab.start_ctrl()
    wait_for("the relay refuses", lambda: "dataplane.max_sessions" in lab.http("/readyz")[1], 5)
    # Until its own restart the relay goes on with what it has, and a reload does not change that.
    client, bridge = lab.client_socket(), lab.bridge_socket()
    establish(lab, client, bridge)
    code, text = lab.reload()
    assert code == 1 and "restart bridgehead-ctrl, then bridgehead-relay" in text
    assert "config_last_reload_successful 0" in lab.http("/metrics")[1]
    lab.stop(lab.relay)
    lab.start_relay()
    lab.wait_ready()
    status = lab.cli("status")
    assert "0 of 8,192" in status and "last reload REFUSED" not in status
    assert "config_last_reload_successful 1" in lab.http("/metrics")[1]


def test_check_against_the_machine(lab):
    def check(config):
        file = os.path.join(lab.directory, "candidate.yaml")
        lab.write_config(config)
        os.replace(lab.config_file, file)
        lab.write_config()
        command = lab.edge.command(os.path.join(BUILD, "ctrl/bridgehead"), "check", "--host", file)
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return result.returncode, result.stderr
    code, text = check(lab.config)
    assert code == 0 and "admin.listen: got 127.0.0.1:9100" in text and "interface" not in text
    ports = [{"name": "wan", "device": "wan0"}, {"name": "lan", "device": "lan9"}]
    code, text = check({**lab.config, "dataplane": {
        **lab.config["dataplane"], "ports": ports, "workers": [1000],
        "nat_addresses": ["10.8.0.77"]}})
    assert code == 1 and "dataplane.ports[1].device: got \"lan9\"" in text
    assert "dataplane.workers[0]: got core 1000" in text
    assert "dataplane.nat_addresses[0]: got 10.8.0.77, which no interface" in text


@modes
@pytest.mark.parametrize("how", [
    pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.slow),
    pytest.param(signal.SIGKILL, id="SIGKILL")])
def test_relay_restarts_under_traffic(topology, workers, nat, how):
    lab = topology(workers, nat)
    traffic = Traffic(lab).start()
    code = lab.stop(lab.relay, how)
    if how == signal.SIGTERM:
        assert code == 0
        assert lab.xdp_left() == []
    assert lab.ctrl.poll() is None
    wait_for("/readyz says no", lambda: lab.http("/readyz")[0] == 503, 5)
    lab.start_relay()
    lab.wait_ready()
    traffic.wait_flowing()
    time.sleep(0.3)
    before = traffic.sent, traffic.echoed
    time.sleep(0.7)
    sent, echoed = traffic.stop()
    # The calls came back by themselves, each with the address its bridge knows, and lose nothing.
    assert all(len(seen) == 1 for seen in traffic.addresses)
    assert sent - before[0] > 100
    assert echoed - before[1] >= sent - before[0], traffic.explain()
    lab.assert_accounted()


def test_lost_interface_ends_the_relay_which_starts_again_on_the_next(topology):
    lab = topology(1, "source")
    bridge = lab.bridge_socket()
    establish(lab, lab.client_socket(), bridge)
    lab.edge.ip("link", "del", "wan0")
    assert lab.relay.wait(5 * PATIENCE) == 3
    assert '"wan0" is gone' in tail(lab.relay_log)
    wait_for("/readyz says no", lambda: lab.http("/readyz")[0] == 503, 5)
    assert lab.xdp_left(["lan0"]) == []
    veth(lab.edge, "wan0", lab.client, "eth0")
    lab.add_wan_addresses()
    lab.start_relay()
    lab.wait_ready()
    establish(lab, lab.client_socket(), bridge)


def test_program_taken_off_ends_the_relay(topology):
    lab = topology(1, "source")
    lab.edge.ip("link", "set", "dev", "lan0", "xdp", "off")
    assert lab.relay.wait(5 * PATIENCE) == 3
    assert '"lan0": somebody took' in tail(lab.relay_log)
    assert lab.xdp_left() == []
    lab.start_relay()
    lab.wait_ready()
    establish(lab, lab.client_socket(), lab.bridge_socket())


def test_program_left_on_an_interface_that_is_no_port_any_more_goes(topology):
    lab = topology(1, "source")
    lab.stop(lab.relay, signal.SIGKILL)
    lab.stop(lab.ctrl)
    assert lab.xdp_left() == ["wan0", "lan0"]
    ports = [{"name": "wan", "device": "wan0"}]
    lab.write_config({**lab.config, "dataplane": {**lab.config["dataplane"], "ports": ports}})
    lab.start()
    assert '"lan0": removing the XDP program' in tail(lab.relay_log, 50)
    assert lab.xdp_left() == ["wan0"]
    # A second relay leaves alone what the first one has.
    other = os.path.join(lab.directory, "other")
    os.mkdir(other)
    first, lab.run_dir = (lab.run_dir, lab.relay, lab.ctrl), other
    # On another core: two that poll on one would take turns of the scheduler's length.
    dataplane = {**lab.config["dataplane"], "ports": [{"name": "lan", "device": "lan0"}],
                 "workers": [0], "idle": "adaptive"}
    lab.write_config({**lab.config, "admin": {"listen": "127.0.0.1:9101"}, "dataplane": dataplane})
    try:
        lab.start_relay()
        lab.start_ctrl()
        wait_for("the second relay has lan0", lambda: "lan0" in lab.xdp_left(), 20)
        assert lab.xdp_left() == ["wan0", "lan0"]
    finally:
        lab.stop(lab.ctrl)
        lab.stop(lab.relay)
        lab.run_dir, lab.relay, lab.ctrl = first
    assert lab.xdp_left() == ["wan0"]


def test_damaged_nat_key_is_replaced_by_one_that_only_root_reads(topology):
    lab = topology(start=False)
    key = os.path.join(lab.run_dir, "nat.key")
    with open(key, "wb") as file:
        file.write(b"half")
    os.chmod(key, 0o644)
    lab.start()
    assert "nat.key is damaged" in tail(lab.relay_log, 50)
    assert os.stat(key).st_mode & 0o777 == 0o600 and os.path.getsize(key) == 16


def test_killed_relays_counters_are_not_its_successors(topology):
    lab = topology(1, "source")
    establish(lab, lab.client_socket(), lab.bridge_socket())
    assert 'bridgehead_port_link_up{port="wan"} 1' in lab.http("/metrics")[1]
    lab.stop(lab.relay, signal.SIGKILL)
    pid = lab.relay.pid
    lab.stop(lab.ctrl)
    lab.start_relay()  # which waits for a configuration
    wait_for("the new relay answers", lambda: "NOT forwarding" in lab.cli("status", check=False), 5)
    status = lab.cli("status", check=False)
    assert f"the last ones of the relay with pid {pid}" in status
    assert f"the relay with pid {pid} has ended" in lab.cli("drops")
    lab.stop(lab.relay)
    lab.start_ctrl()
    wait_for("ctrl is alive", lambda: lab.http("/healthz")[0] == 200, 5)
    metrics = lab.http("/metrics")[1]
    assert "bridgehead_relay_connected 0" in metrics and "bridgehead_sessions_created_total" in metrics
    assert "port_link_up" not in metrics and "sessions_active" not in metrics


def test_not_ready_while_a_link_is_down(topology):
    lab = topology(1, "source")
    lab.bridge.ip("link", "set", "eth0", "down")
    wait_for("/readyz says no", lambda: lab.http("/readyz")[0] == 503, 5)
    assert lab.http("/readyz")[1] == "port lan: its link is down\n"
    lab.bridge.ip("link", "set", "eth0", "up")
    lab.wait_ready()


def test_ctrl_starts_first(topology):
    lab = topology(start=False)
    lab.start_ctrl()
    wait_for("ctrl is alive", lambda: lab.http("/healthz")[0] == 200, 5)
    assert lab.http("/readyz")[0] == 503
    lab.start_relay()
    lab.wait_ready()
    establish(lab, lab.client_socket(), lab.bridge_socket())


def test_clean_end_leaves_nothing(topology):
    lab = topology(2, "source")
    assert lab.stop(lab.ctrl) == 0
    assert lab.stop(lab.relay) == 0
    assert lab.xdp_left() == []


def test_the_admin_address_moves_to_one_that_holds_the_old_one(topology):
    lab = topology(1, "source")
    for listen in ("0.0.0.0:9100", "127.0.0.1:9100"):
        lab.config["admin"] = {"listen": listen}
        lab.write_config()
        assert lab.reload()[0] == 0
        assert lab.http("/healthz")[0] == 200
        assert lab.edge.run("ss", "-Hltn", "sport = :9100").split()[3] == listen
    # What is refused, by ctrl or only by the relay, leaves the old one.
    for more in ({"listen": "192.0.2.77:9100"},), ({"listen": "0.0.0.0:9100"}, {"workers": [0]}):
        lab.write_config({**lab.config, "admin": more[0],
                          "dataplane": {**lab.config["dataplane"], **(more[1:] or [{}])[0]}})
        assert lab.reload()[0] == 1
        assert lab.http("/healthz")[0] == 200
        assert lab.edge.run("ss", "-Hltn", "sport = :9100").split()[3] == "127.0.0.1:9100"
