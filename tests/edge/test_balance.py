"""Several servers of one upstream: who gets what, who is left alone, who stays where he was."""

import threading

import edge_lab
import pytest
from origin import Origin, ok
from wire import PATIENCE, get, post, upgrade, wait_for

SERVERS = {"origin": edge_lab.ORIGIN, "second": edge_lab.SECOND, "one": edge_lab.PASS_ONE}


@pytest.fixture
def balanced(own_edge, origins):
    """Makes an edge whose path /NAME goes to an upstream of that name over SERVERS."""
    lab = own_edge

    def start(name, ports=None, weights=(1, 1, 1), **settings):
        ports = ports or SERVERS
        lab.edge["upstreams"].append({"name": name, **settings, "servers": [
            {"name": server, "address": f"127.0.0.1:{port}", "weight": weight}
            for (server, port), weight in zip(ports.items(), weights)]})
        lab.edge["hosts"][0]["routes"].append(
            {"path": f"/{name}", "upstream": name, "websocket": True})
        return lab.start()
    return start


def ask(lab, path, count=1, source=None):
    """Who has answered, in their order."""
    with lab.client("http", source=source) as client:
        return [client.ask(get(path)).body.decode() for _ in range(count)]


def server_of(lab, upstream, name):
    row, = [row for row in lab.ask("upstreams")["servers"]
            if (row["upstream"], row["server"]) == (upstream, name)]
    return row


def test_round_robin(balanced):
    answers = ask(balanced("turns"), "/turns", 30)
    assert {name: answers.count(name) for name in SERVERS} == dict.fromkeys(SERVERS, 10)
    # In turns, not in blocks.
    assert all(set(answers[at:at + 3]) == set(SERVERS) for at in range(0, 30, 3))


def test_weights(balanced):
    answers = ask(balanced("weighted", weights=(1, 2, 3)), "/weighted", 60)
    assert [answers.count(name) for name in SERVERS] == [10, 20, 30]


def test_least_connections(balanced):
    lab = balanced("least", balance="least_connections")

    def open_one():
        client = lab.client("http")
        assert client.ask(upgrade("/least")).status == 101
        return client

    def counts():
        return [server_of(lab, "least", name)["connections"] for name in SERVERS]
    tunnels = [open_one() for _ in range(9)]
    assert counts() == [3, 3, 3]
    ends = {client.local: name for client in tunnels for name in SERVERS
            if any(row["client"] == "{}:{}".format(*client.local) and row["server"] == name
                   for row in lab.ask("connections")["connections"])}
    for client in tunnels:
        if ends[client.local] == "second":
            client.close()
    wait_for(lambda: f"the end: {counts()}", lambda: counts() == [3, 0, 3])
    tunnels += [open_one() for _ in range(3)]
    assert counts() == [3, 3, 3]
    for client in tunnels:
        client.close()


def test_source_hash_stays_put(balanced):
    """Who is at a server that stays, stays there, when another one leaves and when it comes back."""
    lab = balanced("hashed", balance="source_hash")
    sources = [f"127.0.10.{number}" for number in range(1, 61)]

    def places():
        return {source: ask(lab, "/hashed", 1, source)[0] for source in sources}
    before = places()
    assert set(before.values()) == set(SERVERS) and places() == before
    assert min(list(before.values()).count(name) for name in SERVERS) >= 8  # of 20
    lab.bridgehead("drain", "hashed/second")
    wait_for("the drain", lambda: server_of(lab, "hashed", "second")["state"] == "draining")
    drained = places()
    assert all(drained[source] == name for source, name in before.items() if name != "second")
    assert {drained[source] for source, name in before.items() if name == "second"} == \
        {"origin", "one"}
    lab.bridgehead("undrain", "hashed/second")
    wait_for("its end", lambda: server_of(lab, "hashed", "second")["state"] == "up")
    assert places() == before
    upstream = lab.edge["upstreams"][-1]
    upstream["servers"] = [one for one in upstream["servers"] if one["name"] != "second"]
    lab.reload()
    assert places() == drained


def test_a_server_that_fails_and_recovers(balanced, origin):
    """Nobody sees that it is not there; it is left alone, and asked again after failure_timeout."""
    lab = balanced("failing", {"there": edge_lab.ORIGIN, "away": edge_lab.NOBODY}, max_failures=1,
                   failure_timeout="2s")
    assert ask(lab, "/failing", 10) == ["origin"] * 10
    away = server_of(lab, "failing", "away")
    assert away["state"] == "failing" and away["requests"] == 0
    # What is not idempotent may go elsewhere too, as long as nothing of it was sent.
    with lab.client("http") as client:
        assert client.ask(post("/failing", b"body")).body == b"origin"
    came = Origin(edge_lab.NOBODY, name="away")
    try:
        wait_for("it to be asked again", lambda: "away" in ask(lab, "/failing", 2), 20 * PATIENCE)
        assert sorted(ask(lab, "/failing", 10)) == ["away"] * 5 + ["origin"] * 5
        assert server_of(lab, "failing", "away")["state"] == "up"
    finally:
        came.clear()
        came.close()


def test_a_kept_connection_does_not_try_a_server(balanced, origin):
    """One that was left alone is asked for a new connection: that is what it did not give."""
    entered, go = threading.Event(), threading.Event()

    def answer(connection, request):
        if request.target == "/probed/held":
            entered.set()
            assert go.wait(10 * PATIENCE)
        connection.send(ok(b"before"))
    before = Origin(edge_lab.NOBODY, name="before")
    before.answer = answer
    lab = balanced("probed", {"there": edge_lab.ORIGIN, "away": edge_lab.NOBODY}, max_failures=1,
                   failure_timeout="1s")
    assert ask(lab, "/probed", 3) == ["origin", "before", "origin"]
    with lab.client("http") as client:
        client.send(get("/probed/held"))
        assert entered.wait(10 * PATIENCE)
        before.close()
        assert ask(lab, "/probed", 2) == ["origin"] * 2
        assert server_of(lab, "probed", "away")["state"] == "failing"
        go.set()
        assert client.response().body == b"before"
    after = Origin(edge_lab.NOBODY, name="after")
    try:
        wait_for("its time", lambda: server_of(lab, "probed", "away")["state"] == "up")
        assert sorted(ask(lab, "/probed", 2)) == ["after", "origin"]
    finally:
        for one in (before, after):
            one.clear()
        after.close()


def test_an_upgrade_goes_to_one_that_is_there(balanced, origin):
    lab = balanced("upgraded", {"away": edge_lab.NOBODY, "there": edge_lab.ORIGIN}, max_failures=0)
    for _ in range(4):
        with lab.client("http") as client:
            assert client.ask(upgrade("/upgraded")).status == 101
            assert client.send(b"abc").exactly(3) == b"abc"


def test_a_server_that_answers_is_no_failure(balanced, origins):
    """5xx of its own, and requests that are slow, do not make a server one that is left alone."""
    lab = balanced("busy", {"origin": edge_lab.ORIGIN, "second": edge_lab.SECOND}, max_failures=1)
    go = threading.Event()

    def answer(connection, request):
        if request.target == "/busy/slow":
            assert go.wait(10 * PATIENCE)
            return connection.send(ok(b"slow"))
        return connection.send(ok(b"busy", status="503 Service Unavailable"))
    origins["origin"].answer = answer
    assert ask(lab, "/busy", 6).count("busy") == 3
    clients = [lab.client("http").send(get("/busy/slow")) for _ in range(4)]
    wait_for("two to wait", lambda: len(origins["origin"].requests) == 5)
    go.set()
    assert sorted(client.response().body for client in clients) == [b"second"] * 2 + [b"slow"] * 2
    assert server_of(lab, "busy", "origin")["state"] == "up"
    for client in clients:
        client.close()
