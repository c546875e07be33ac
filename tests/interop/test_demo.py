"""The real call: Chromium and Janus (or aiortc) through the relay, by deploy/demo.sh.

Each test also checks, by its fixture, that the run left nothing behind.
"""

import os
import signal
import subprocess

import pytest

from demo_run import BUILD, DEMO, REPO

GOOD = "media flowed both ways for everyone, the relay lost nothing"


@pytest.mark.parametrize("nat,workers", [("source", "2"), ("destination", "1")])
def test_call(demo, nat, workers):
    run = demo("--seconds", "5", "--nat", nat, "--workers", workers)
    assert run.finish() == 0, run.output
    assert GOOD in run.output
    assert not (BUILD / "demo-logs" / run.name).exists()


def test_one_participant_hears_itself(demo):
    run = demo("--seconds", "3", "--clients", "1")
    assert run.finish() == 0, run.output
    assert GOOD in run.output


def test_two_bridges_behind_one_address(demo):
    run = demo("--seconds", "3", "--bridges", "2")
    assert run.finish() == 0, run.output
    assert GOOD in run.output
    assert "jvb1 serves alice\n" in run.output and "jvb2 serves bob\n" in run.output


@pytest.mark.parametrize("nat", ["source", "destination"])
def test_ipv6_call(demo, nat):
    run = demo("--seconds", "3", "--ipv6", "--nat", nat)
    assert run.finish() == 0, run.output
    assert GOOD in run.output


def test_call_under_attack(demo):
    run = demo("--seconds", "10", "--attack")
    assert run.finish() == 0, run.output
    assert "4 of 4 confirmed sessions are still the same" in run.output
    assert "also for carol, who came during the flood" in run.output


def test_ctrl_c_in_the_call(demo):
    run = demo("--seconds", "60")
    run.await_output("connected, 2 s of 60")
    run.interrupt()
    assert run.finish(20) == 130, run.output


def test_ctrl_c_while_starting(demo):
    run = demo("--seconds", "60")
    run.await_output("demo: client network")
    run.interrupt()
    assert run.finish(20) == 130, run.output


def test_bridge_that_ends_at_once(demo, tmp_path):
    """It is the only process so far, and no longer there when the run is to be removed."""
    janus = tmp_path / "janus"
    janus.write_text("#!/bin/sh\necho no such plugin\nexit 1\n")
    janus.chmod(0o755)
    run = demo("--seconds", "3", path=tmp_path)
    assert run.finish(60) == 1, run.output
    assert "janus ended before listening" in run.output and "no such plugin" in run.output
    assert f"failed; all logs of this run: {BUILD / 'demo-logs' / run.name}" in run.output


def test_relay_ends_in_the_call(demo):
    run = demo("--seconds", "60")
    run.await_output("connected, 2 s of 60")
    os.kill(run.pid_of("bridgehead-relay"), signal.SIGKILL)
    assert run.finish(30) == 1, run.output
    assert "relay has ended" in run.output
    assert str(BUILD / "demo-logs" / run.name) in run.output


def test_relay_hangs_in_the_call(demo):
    run = demo("--seconds", "60")
    run.await_output("connected, 2 s of 60")
    relay = run.pid_of("bridgehead-relay")
    os.kill(relay, signal.SIGSTOP)
    assert run.finish(60) == 1, run.output
    assert GOOD not in run.output


def test_no_media_past_the_relay(demo, tmp_path):
    """A listener that leads to no bridge: signalling works, and no other way carries the media."""
    template = (REPO / "deploy" / "demo" / "bridgehead.yaml").read_text()
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(template.replace("address: @BRIDGE@", "address: 10.8.0.99"))
    run = demo("--seconds", "3", "--config", str(wrong))
    assert run.finish() == 1, run.output
    assert "does not flow" in run.output
    assert GOOD not in run.output


def test_bad_configuration_is_shown(demo, tmp_path):
    template = (REPO / "deploy" / "demo" / "bridgehead.yaml").read_text()
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(template.replace("nat_ports:", "nat_prots:"))
    run = demo("--config", str(wrong))
    assert run.finish() == 1, run.output
    assert "nat_prots" in run.output


def test_keep_and_clean(demo):
    run = demo("--seconds", "2", "--keep")
    assert run.finish() == 0, run.output
    assert run.processes()
    status = subprocess.run([BUILD / "ctrl" / "bridgehead", "--run-dir", f"/run/{run.name}/run", "status"],
                            check=False)
    assert status.returncode == 0
    subprocess.run([DEMO, "--clean", run.name], check=True)
    assert run.remains() == []


@pytest.mark.parametrize("options, complaint", [
    (["--seconds"], "--seconds: a value is missing"),
    (["--seconds", "0"], "--seconds: got '0', expected a number from 1"),
    (["--clients", "many"], "--clients: got 'many', expected a number from 1 to 6"),
    (["--nat", "dest"], "--nat: got 'dest', expected source or destination"),
    (["--workers", "3"], "--workers: got '3', expected a number from 1 to 2"),
    (["--bridges", "3"], "--bridges: got '3', expected a number from 1 to 2"),
    (["--bridges", "2", "--clients", "1"], "each of the 2 bridges needs a participant"),
    (["--attack", "--keep"], "--keep: not with --attack"),
    (["--attack", "--clients", "6"], "--clients: with --attack one more joins later"),
    (["--config", "/nonexistent"], "--config: can not read '/nonexistent'"),
    (["--clean", "everything"], "--clean: got 'everything', expected a run's name"),
    (["--fast"], "unknown option: --fast"),
])
def test_wrong_option(options, complaint):
    run = subprocess.run([DEMO, *options], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert complaint in run.stderr
