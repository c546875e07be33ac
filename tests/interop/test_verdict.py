"""The demo's judgement sees what it is there to see: no call needed."""

import os
import sys

import pytest

from demo_run import REPO

sys.path.insert(0, str(REPO / "deploy" / "demo"))

import attack  # noqa: E402
import call_state  # noqa: E402
import relay_view  # noqa: E402
import verdict  # noqa: E402

KEY = (40000, 10000, 20001)


def session(to_bridge=100, confirmed=True, bridge="jvb1"):
    return relay_view.Session(bridge, confirmed, to_bridge, to_client=50)


class NoFlood:
    sent = 1000

    def __init__(self, ended=False):
        self._ended = ended

    def start(self):
        pass

    def stop(self):
        pass

    def ended(self):
        return self._ended


def faults_of(after, connecting=(0.1,), before=None, flood=NoFlood()):
    """Of an attack with these sessions before and after it."""
    seen = iter([{KEY: session()} if before is None else before, after])
    state = call_state.CallState(("alice", "carol"), "203.0.113.1", echo=False)
    state.connecting["carol"] = list(connecting)
    case = attack.Attack(flood, [("relay", os.getpid())], lambda: next(seen))
    case.begin()
    case.end(state, "carol")
    return case.faults


def test_a_call_that_goes_on_has_no_fault():
    assert faults_of({KEY: session(200), (1, 2, 3): session(1, confirmed=False)}) == []


@pytest.mark.parametrize("after", [{}, {KEY: session(3)}], ids=["gone", "made again"])
def test_a_lost_session(after):
    assert faults_of(after) == ["0 of 1 confirmed sessions are still the same"]


def test_no_session_to_lose():
    assert faults_of({KEY: session()}, before={KEY: session(confirmed=False)}) != []


def test_a_late_newcomer():
    assert faults_of({KEY: session()}, [0.2, 2.5]) == ["carol was connected only after 2.5 s"]
    assert faults_of({KEY: session()}, []) == ["carol, who came during the flood, was not connected"]


def test_memory_that_grows(monkeypatch):
    sizes = iter([100 << 20, 117 << 20])
    monkeypatch.setattr(attack, "resident", lambda pid: next(sizes))
    assert faults_of({KEY: session()}) == ["relay grew by more than 16 MiB"]


def test_a_flood_that_is_none():
    assert faults_of({KEY: session()}, flood=NoFlood(ended=True)) == ["the flood ended early"]
    assert attack.strength_faults(relay_view.Sample(drops={"ask_again": 0})) != []


def test_drops_that_only_a_flood_explains():
    start, end = relay_view.Sample(), relay_view.Sample(drops={"ask_again": 5, "table_full": 1})
    assert len(verdict.drop_faults(start, end)) == 2
    assert verdict.drop_faults(start, end, attack.DROPS) == ["the relay dropped 1 packets as table_full"]


def test_a_participant_at_another_bridge():
    wanted = {"alice": "jvb1", "bob": "jvb2"}
    assert verdict.bridge_faults({"alice": {"jvb1"}, "bob": {"jvb2"}}, wanted) == []
    assert len(verdict.bridge_faults({"alice": {"jvb2"}, "bob": set()}, wanted)) == 2
    assert len(verdict.bridge_faults({"alice": {"jvb1", "jvb2"}, "bob": {"jvb2"}}, wanted)) == 1


def test_a_browsers_port_names_its_session():
    state = call_state.CallState(("alice", "bob"), "203.0.113.1", echo=True)
    state.ports = {"alice": {40000}, "bob": {20002}}  # its own, and the one the bridge has seen
    state.take_sessions({KEY: session(), (40001, 10000, 20002): session(bridge="jvb2")})
    assert state.bridges == {"alice": {"jvb1"}, "bob": {"jvb2"}}


@pytest.mark.parametrize("script,fault", [
    ("echo '{\"error\": \"relay.sock: it is not running\"}'; exit 3", "it is not running"),
    ("echo no JSON at all >&2; exit 2", "no JSON at all"),
    ("exec sleep 20", "did not end within"),
])
def test_a_command_that_fails_is_a_fault(tmp_path, monkeypatch, script, fault):
    monkeypatch.setattr(relay_view, "ANSWER_WITHIN", 0.5)
    command = tmp_path / "bridgehead"
    command.write_text("#!/bin/sh\n" + script + "\n")
    command.chmod(0o755)
    with pytest.raises(relay_view.ViewError, match=fault):
        relay_view.RelayView(str(command), str(tmp_path)).sessions_of("203.0.113.7")
