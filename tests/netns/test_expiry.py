"""Sessions that end, and what becomes of their NAT ports. Short times from the configuration."""

import os
import subprocess
import time

import pytest
import stun
from conftest import MODES, NAMES
from lab import BUILD, PUBLIC, wait_for
from test_media import establish, session_of

IDLE, UNCONFIRMED, QUARANTINE = 3, 1, 4
TIMES = {"timeouts": {"idle": f"{IDLE}s", "unconfirmed": f"{UNCONFIRMED}s",
                      "quarantine": f"{QUARANTINE}s"}}


@pytest.mark.slow
@pytest.mark.parametrize("workers,nat", MODES, ids=NAMES)
def test_expiry_and_quarantine(topology, workers, nat):
    lab = topology(workers, nat, config=TIMES)
    bridge = lab.bridge_socket()

    # Nothing came back from the bridge: short life.
    client = lab.client_socket()
    client.sendto(stun.request(), (PUBLIC, 10000))
    bridge.recv(2048)
    assert not session_of(lab, client)["confirmed"]
    wait_for("unconfirmed session ends", lambda: not lab.sessions(), UNCONFIRMED + 3)
    assert lab.counters()["sessions_expired"] == 1

    # Confirmed: lives while packets come, one way is enough, and ends `idle` after the last.
    client = lab.client_socket()
    seen = establish(lab, client, bridge)
    until = time.monotonic() + IDLE + 2
    while time.monotonic() < until:
        last = time.monotonic()
        client.sendto(stun.rtp(1), (PUBLIC, 10000))
        assert bridge.recvfrom(2048) == (stun.rtp(1), seen)
        time.sleep(0.5)
    assert session_of(lab, client)["confirmed"]
    wait_for("idle session ends", lambda: not lab.sessions(), IDLE + 3)
    assert time.monotonic() - last > IDLE - 1  # times are whole seconds
    counters = lab.counters()
    assert (counters["sessions_active"], counters["sessions_expired"]) == (0, 2)

    # Its packets make no session any more.
    with lab.expect(received=1, forwarded=0, not_stun=1):
        client.sendto(stun.rtp(2), (PUBLIC, 10000))
    if nat == "destination":
        assert establish(lab, client, bridge) == seen
        return

    # The port is not given out again before the bridge has forgotten it, and then it is.
    assert counters["nat_ports_quarantined"] >= 1
    client.sendto(stun.request(), (PUBLIC, 10000))
    other = bridge.recvfrom(2048)[1]
    assert other != seen
    wait_for("sessions end and quarantine is over", lambda: not lab.sessions()
             and lab.counters()["nat_ports_quarantined"] == 0, UNCONFIRMED + QUARANTINE + 5)
    client.sendto(stun.request(), (PUBLIC, 10000))
    assert bridge.recvfrom(2048)[1] == seen
    lab.assert_accounted()


def test_short_timeouts_are_warned_of(topology):
    lab = topology(start=False, config=TIMES)
    result = subprocess.run([os.path.join(BUILD, "ctrl/bridgehead"), "check", lab.config_file],
                            capture_output=True, text=True, timeout=10, check=True)
    assert "timeouts.idle" in result.stdout + result.stderr
