"""Active checks of upstreams' servers: who is down gets nothing, and operators see why."""

import json

import pytest
import edge_lab
from edge_lab import BUILD
from netns import run
from origin import ok
from wire import PATIENCE, get, wait_for

CHECK = {"path": "/health", "interval": "1s", "timeout": "1s", "rise": 1, "fall": 1}
SICK = "503 Service Unavailable"
ENOUGH = 15 * PATIENCE  # for what takes some checks


class Healthy:
    """An origin's answers: those to checks are changed by tests, the others say who it is."""

    def __init__(self, origin):
        self.status, self.name = "200 OK", origin.name
        origin.answer = self.answer

    def answer(self, connection, request):
        if request.target == "/health":
            connection.send(ok(status=self.status))
            return False
        connection.send(ok(self.name.encode()))
        return True


def servers(lab):
    shown = json.loads(run(f"{BUILD}/ctrl/bridgehead", "--run-dir", lab.run_dir, "upstreams",
                           "--json"))
    return {f"{one['upstream']}/{one['server']}": one for one in shown["servers"]}


def wait_state(lab, name, state):
    wait_for(lambda: f"{name} to be {state}: {servers(lab)[name]}",
             lambda: servers(lab)[name]["state"] == state, ENOUGH)
    return servers(lab)[name]


def add_checked(lab, health, upstream="checked", **settings):
    lab.upstream(upstream, edge_lab.PASS_ONE, health=health, **settings)
    lab.edge["upstreams"][-1]["servers"] = [
        {"name": name, "address": f"127.0.0.1:{port}"}
        for name, port in (("one", edge_lab.PASS_ONE), ("two", edge_lab.PASS_TWO))]
    lab.host(upstream, [f"{upstream}.example"], [{"path": "/", "upstream": upstream}])
    for listener in lab.edge["listeners"]:
        if listener["name"] == "http":
            listener["hosts"] = [*listener["hosts"], upstream]


@pytest.fixture
def checked(own_edge, origins):
    """An edge, not yet started, with an upstream of two servers that are checked."""
    add_checked(own_edge, CHECK)
    return own_edge, Healthy(origins["one"]), Healthy(origins["two"])


def answers(lab, count=20):
    """Who answers, each on a connection of its own."""
    got = set()
    for _ in range(count):
        with lab.client("http") as client:
            response = client.ask(get("/", "checked.example"))
            got.add(response.body.decode() if response.status == 200 else response.status)
    return got


def test_who_is_down_gets_nothing_and_comes_back(checked, origins):
    lab, one, _ = checked
    lab.start()
    assert answers(lab) == {"one", "two"}
    kept = lab.client("http")
    assert kept.ask(get("/", "checked.example")).status == 200
    one.status = SICK
    down = wait_state(lab, "checked/one", "down")
    assert down["why"] == "fails its health check: status 503"
    assert down["health"]["failures"]["status"] >= 1
    assert down["health_since_unix"] > 0
    origins["one"].requests.clear()
    assert answers(lab) == {"two"}
    for _ in range(4):
        assert kept.ask(get("/", "checked.example")).body == b"two"
    assert {request.target for request in origins["one"].requests} <= {"/health"}
    assert "upstream server checked/one: down: status 503; 1 of 2 are up" in lab.log()
    text = run(f"{BUILD}/ctrl/bridgehead", "--run-dir", lab.run_dir, "upstreams")
    assert "fails its health check: status 503" in text
    with lab.client("admin") as admin:
        metrics = admin.ask(get("/metrics", "127.0.0.1")).body.decode()
    label = '{upstream="checked",server="one"}'
    assert f"bridgehead_edge_server_up{label} 0\n" in metrics
    assert f"bridgehead_edge_server_checks_total{label} " in metrics
    one.status = "200 OK"
    wait_state(lab, "checked/one", "up")
    assert answers(lab) == {"one", "two"}
    assert "upstream server checked/one: up; 2 of 2 are up" in lab.log()


def test_a_reload_keeps_what_is_known(checked, origins):
    lab, one, _ = checked
    one.status = SICK
    lab.start()
    since = wait_state(lab, "checked/one", "down")["health_since_unix"]
    upstream = lab.edge["upstreams"][-1]
    # Another group; and then other checks, the first of which is far away.
    for changed in ({"keepalive": 3}, {"health": {**CHECK, "interval": "3600s"}}):
        upstream.update(changed)
        lab.reload()
        assert answers(lab) == {"two"}, changed
        assert servers(lab)["checked/one"]["health_since_unix"] == since
    # What is not checked any more is up.
    del upstream["health"]
    lab.reload()
    wait_state(lab, "checked/one", "up")
    assert answers(lab) == {"one", "two"}


def test_when_all_are_down(checked, origins):
    lab, one, two = checked
    one.status = two.status = SICK
    lab.listener("tcp-checked", forward="checked")
    lab.start()
    for name in ("checked/one", "checked/two"):
        wait_state(lab, name, "down")
    assert answers(lab, 3) == {503}
    try:
        with lab.client("tcp-checked") as client:
            client.assert_closed()
    except ConnectionError:
        pass  # so soon that it was closed while it began
    assert "0 of 2 are up" in lab.log()
    two.status = "200 OK"
    wait_state(lab, "checked/two", "up")
    assert answers(lab) == {"two"}


def test_tls_is_verified_as_in_the_traffic(own_edge, origins, files):
    lab = own_edge
    for upstream in lab.edge["upstreams"]:
        if upstream["name"].startswith("tls-"):
            upstream["health"] = CHECK
    Healthy(origins["tls"])
    lab.start()
    address = f"127.0.0.1:{edge_lab.TLS_ORIGIN}"
    down = wait_state(lab, f"tls-name/{address}", "down")
    assert down["why"] == ("fails its health check: TLS: certificate verify failed: "
                           "hostname mismatch")
    assert "certificate verify failed" in wait_state(lab, f"tls-ca/{address}", "down")["why"]
    for name in ("tls-good", "tls-off"):
        wait_for("a check", lambda name=name:
                 servers(lab)[f"{name}/{address}"]["health"]["checks"] > 1, ENOUGH)
        assert servers(lab)[f"{name}/{address}"]["state"] == "up"
    with lab.client("http") as client:
        assert client.ask(get("/tls-name")).status == 503


@pytest.mark.parametrize("version,header", [
    ("v1", b"PROXY UNKNOWN\r\n"), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")])
def test_send_proxy_names_nobody(own_edge, origins, version, header):
    """A server that expects a PROXY header would be down without."""
    lab = own_edge
    begun = []

    def script(connection):
        begun.append(connection.exactly(len(header)))
        request = connection.request()
        if begun[-1] == header and request and request.target == "/health":
            connection.send(ok())
    origins["one"].script = script
    lab.upstream("proxied", edge_lab.PASS_ONE, health=CHECK, send_proxy=version)
    lab.start()
    name = f"proxied/127.0.0.1:{edge_lab.PASS_ONE}"
    wait_for("checks", lambda: servers(lab)[name]["health"]["checks"] > 1, ENOUGH)
    assert servers(lab)[name]["state"] == "up", servers(lab)[name]
    assert set(begun) == {header}
