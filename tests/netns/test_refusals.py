"""The relay's log of refused sessions: by the XDP program, and by the relay."""

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
    # The program drops them before the relay, and tells of some.
    with lab.expect(received=0, forwarded=0):
        for _ in range(500):
            client.sendto(stun.request(), (PUBLIC, 10000))
    lab.wait_xdp_drops(denied=500)
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
    for _ in range(20):
        client.sendto(stun.request(), (PUBLIC, 10000))
    lab.wait_xdp_drops(denied=520)
    time.sleep(0.3)
    assert len(lines()) == before
    # And other calls do not notice.
    establish(lab, lab.client_socket("203.0.113.1"), lab.bridge_socket())


def test_refusals_of_the_relay_itself(topology):
    lab = topology(2, "source", start=False)
    lab.config["bridges"][0]["ufrag_prefix"] = "jvb1"
    lab.write_config()
    lab.start()
    client = lab.client_socket()
    port = client.getsockname()[1]
    with lab.expect(received=100, forwarded=0, stun_unknown_ufrag=100):
        for _ in range(100):
            client.sendto(stun.request("jvb2abc:client1"), (PUBLIC, 10000))
    line = f"refused 198.51.100.100:{port} -> {PUBLIC}:10000 (listener meet): stun_unknown_ufrag"
    wait_for("a line", lambda: line in tail(lab.relay_log, 200), 5)
