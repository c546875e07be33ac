"""The relay's log of refused sessions."""

import re
import time

import stun
from lab import PUBLIC, tail, wait_for
from test_media import establish


def test_refusals_are_logged_a_few_at_a_time(topology):
    lab = topology(2, "source", start=False)
    lab.config["media"][0]["deny"] = ["198.51.100.0/24"]
    lab.write_config()
    lab.start()
    client = lab.client_socket()
    port = client.getsockname()[1]
    with lab.expect(received=500, forwarded=0, denied=500):
        for _ in range(500):
            client.sendto(stun.request(), (PUBLIC, 10000))
    line = re.escape(f"refused 198.51.100.100:{port} -> {PUBLIC}:10000 (listener meet): denied")

    def lines():
        return re.findall(line + r"(?:; (\d+) more in the last 10 s)?$", tail(lab.relay_log, 200),
                          re.MULTILINE)
    wait_for("the others are counted", lambda: any(lines()), 15)
    assert lines()[:3] == ["", "", ""]
    # All 500 are accounted for, however the burst fell into windows of ten seconds.
    told = tail(lab.relay_log, 200)
    assert len(lines()) + sum(int(more) for more in lines() if more) == 500, told
    # Off: not a word.
    lab.write_config({**lab.config, "limits": {"logged_refusals": 0}})
    assert lab.reload()[0] == 0
    before = len(lines())
    with lab.expect(received=20, forwarded=0, denied=20):
        for _ in range(20):
            client.sendto(stun.request(), (PUBLIC, 10000))
    time.sleep(0.3)
    assert len(lines()) == before
    # And other calls do not notice.
    establish(lab, lab.client_socket("203.0.113.1"), lab.bridge_socket())
