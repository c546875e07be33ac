"""Reload under load, and the end."""

import ssl
import threading
import time

import pytest
from edge_lab import run
from h2_client import H2Client
from origin import ok
from wire import get, upgrade, wait_for

TUNNELS = 200


class Busy:
    """A client that asks again and again on one connection, until it is stopped."""

    def __init__(self, lab):
        self.client, self.count, self.wrong = lab.client("http"), 0, None
        self.stopped = False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            while not self.stopped:
                response = self.client.ask(get("/"))
                assert response.status == 200 and response.body == b"origin", response.head
                self.count += 1
        except Exception as error:
            self.wrong = error

    def stop(self):
        self.stopped = True
        self.thread.join()
        self.client.close()
        assert self.wrong is None, self.wrong


def test_reload_cuts_nothing(own_edge, origins):
    lab = own_edge.start()
    tunnels = []
    for _ in range(TUNNELS):
        tunnels.append(lab.client("http"))
        assert tunnels[-1].ask(upgrade("/any-ws")).status == 101
    origins["origin"].script = lambda connection: connection.send(connection.exactly(5))
    forwarded = lab.client("tcp").send(b"a")
    wait_for("it", lambda: len(origins["origin"].connections) == TUNNELS + 1)
    origins["origin"].script = None
    busy = Busy(lab)
    seen = busy.count
    meet = lab.edge["hosts"][0]
    for number in range(10):
        meet["routes"] = [route for route in meet["routes"] if route.get("name") != "new"]
        meet["routes"].append({"name": "new", "exact": f"/new-{number}",
                               "respond": {"status": 200, "body": f"{number}"}})
        if number % 3 == 0:  # the upstream itself is another one
            lab.edge["upstreams"][0]["keepalive"] = 10 + number
        if number % 4 == 1:  # and the route of the tunnels has gone
            meet["routes"] = [route for route in meet["routes"] if route.get("path") != "/any-ws"]
        lab.reload()

        def is_new(number=number):
            with lab.client("http") as client:
                return client.ask(get(f"/new-{number}")).body == b"%d" % number
        wait_for("the new route", is_new)
    for number, tunnel in enumerate(tunnels):
        tunnel.send(b"%03d" % number)
    for number, tunnel in enumerate(tunnels):
        assert tunnel.exactly(3) == b"%03d" % number
    assert forwarded.send(b"bcde").exactly(5) == b"abcde"
    wait_for("more requests", lambda: busy.count > seen + 50)
    busy.stop()
    for tunnel in tunnels:
        tunnel.close()
    assert lab.stop() == 0


def test_listeners_come_and_go(own_edge, origins):
    lab = own_edge.start()
    kept = lab.client("http")
    assert kept.ask(get("/")).status == 200
    old = lab.edge["listeners"]
    lab.edge["listeners"] = [one for one in old if one["name"] != "short"]
    lab.listener("another", hosts=["meet"])
    lab.reload()
    wait_for("the new one", lambda: lab.client("another").ask(get("/")).status == 200)

    def is_gone():
        try:
            lab.client("short").close()
            return False
        except ConnectionError:  # or a reset, in the moment that it closes
            return True
    wait_for("the old one to go", is_gone)
    assert kept.ask(get("/")).status == 200


def test_a_reload_while_the_first_bytes_are_waited_for(own_edge, origins, client_tls):
    lab = own_edge
    rules = {"peek_timeout": "30s", "rules": [{"sni": "one.example", "forward": "one"}]}
    lab.listener("changes", hosts=["meet"], **rules)
    lab.listener("goes", hosts=["meet"], **rules)
    lab.start()
    changed, slow, gone = lab.client("changes"), lab.client("changes"), lab.client("goes")
    with lab.client("http") as other:  # the same loop: they are accepted
        assert other.ask(get("/")).status == 200
    listeners = {one["name"]: one for one in lab.edge["listeners"]}
    listeners["changes"]["tls"] = {"certificates": listeners["https"]["tls"]["certificates"],
                                   "handshake_timeout": "1s"}
    lab.edge["listeners"].remove(listeners["goes"])
    lab.reload()

    def is_new():
        try:
            lab.client("changes", tls=client_tls).close()
            return True
        except (ssl.SSLError, ConnectionError):
            return False
    wait_for("the new ones", is_new)
    changed.sock = client_tls.wrap_socket(changed.sock, server_hostname="meet.example")
    assert changed.ask(get("/")).body == b"origin"
    slow.send(b"G").assert_open()  # not TLS, as far as rules go
    slow.assert_closed()           # and not for long
    gone.send(get("/")).assert_closed()
    assert lab.stop() == 0


def test_a_bad_reload_keeps_the_old(own_edge, origins, files):
    lab = own_edge.start()
    with lab.client("http") as client:
        for wrong in ({"upstream": "of no name"}, {"files": {"root": "relative"}},
                      {"upstream": "origin",
                       "basic_auth": {"file": str(files / "no such file")}}):
            lab.edge["hosts"][0]["routes"].append({"exact": "/added", **wrong})
            assert "hosts[0]" in lab.reload(good=False) or str(files) in lab.log()
            lab.edge["hosts"][0]["routes"].pop()
            assert client.ask(get("/added")).body == b"origin"
        # A port that somebody else has.
        lab.edge["listeners"].append({"name": "taken", "listen": "127.0.0.1:9001",
                                      "forward": "origin"})
        assert "127.0.0.1:9001" in lab.reload(good=False)
        assert client.ask(get("/")).status == 200


def test_certificates_are_reloaded(own_edge, origins, files, client_tls):
    lab = own_edge.start()
    old = lab.client("https", tls=client_tls)
    assert old.ask(get("/")).status == 200
    for listener in lab.edge["listeners"]:
        if listener["name"] == "https":
            listener["tls"] = {"certificates": [{"certificate_file": str(files / "second.pem"),
                                                 "key_file": str(files / "second.key")}]}
    lab.reload()
    with lab.client("https", tls=client_tls, name="second.example") as new:
        assert new.sock.getpeercert()["subject"] == ((("commonName", "second"),),)
    assert old.ask(get("/")).status == 200
    old.close()


@pytest.mark.slow
def test_the_end_lets_requests_end_and_spreads_tunnels(own_edge, origins):
    lab = own_edge
    lab.edge["drain_time"] = "3s"
    lab.start()
    go = threading.Event()

    def answer(connection, request):
        if request.get("Upgrade"):
            return origins["origin"].default_answer(connection, request)
        assert go.wait(10)
        return connection.send(ok(b"late"))
    origins["origin"].answer = answer
    idle = lab.client("http")
    assert idle.ask(get("/teapot")).status == 418
    tunnels = [lab.client("http") for _ in range(20)]
    for tunnel in tunnels:
        assert tunnel.ask(upgrade("/any-ws")).status == 101
    request = lab.client("http").send(get("/late"))
    wait_for("the request", lambda: b"/late" in origins["origin"].received)
    begin = time.monotonic()
    ended = threading.Thread(target=lab.stop)
    ended.start()
    idle.assert_closed(1)  # at once
    ends = []
    for tunnel in reversed(tunnels):
        tunnel.sock.settimeout(10)
    waiting = set(range(20))

    def watch(number):
        tunnels[number].assert_closed(10)
        ends.append(time.monotonic() - begin)
        waiting.discard(number)
    watchers = [threading.Thread(target=watch, args=(number,)) for number in range(20)]
    for watcher in watchers:
        watcher.start()
    time.sleep(1)
    assert 5 < len(waiting) < 19, ends
    go.set()
    response = request.response()
    assert response.body == b"late" and response.get("Connection") == "close"
    for watcher in watchers:
        watcher.join()
    ended.join()
    assert lab.process.returncode == 0
    # Spread over the time: a third of them in each third, or nearly so.
    assert len([end for end in ends if end < 1]) >= 3, ends
    assert len([end for end in ends if end > 1.8]) >= 3, ends
    assert max(ends) < 4


def h2_tls(files):
    tls = ssl.create_default_context(cafile=files / "meet.pem")
    tls.set_alpn_protocols(["h2"])
    return tls


@pytest.mark.slow
def test_the_end_spreads_tunnels_of_http2(own_edge, origins, files):
    """They are tunnels like others: each ends in its turn, whatever connection it is in."""
    lab = own_edge
    lab.edge["drain_time"] = "3s"
    https, = [one for one in lab.edge["listeners"] if one["name"] == "https"]
    https.update(http2=True, http2_websocket=True)
    lab.start()
    clients = [H2Client(lab.port("https"), h2_tls(files)) for _ in range(4)]
    streams = [(client, client.websocket("/any-ws")) for client in clients for _ in range(5)]
    for client, stream in streams:
        assert client.statuses[stream] == 200
        client.send(stream, b"abc")
    for client, stream in streams:
        client.until(lambda client=client, stream=stream: client.data.get(stream) == b"abc")
    begin, ends = time.monotonic(), []
    ended = threading.Thread(target=lab.stop)
    ended.start()

    def watch(client):
        known = 0
        while known < 5:
            # The last ones end with the time, and all that is open with them.
            ended = len(client.ended) if client.more() else 5
            ends.extend([time.monotonic() - begin] * (ended - known))
            known = ended
    watchers = [threading.Thread(target=watch, args=(client,)) for client in clients]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    ended.join()
    assert lab.process.returncode == 0
    assert len(ends) == 20 and all(client.goaway for client in clients), ends
    assert len([end for end in ends if end < 1.5]) >= 5, ends
    assert len([end for end in ends if end > 1.5]) >= 5, ends
    for client in clients:
        client.close()


@pytest.mark.parametrize("within", ["HTTP/1.1", "HTTP/2"])
def test_a_tunnel_that_begins_in_a_drain(own_edge, origins, files, within):
    """Its request was there before: it begins, and then ends in time like the others."""
    lab = own_edge
    https, = [one for one in lab.edge["listeners"] if one["name"] == "https"]
    https.update(http2=True, http2_websocket=True)
    lab.edge["drain_time"] = "10s"  # which no tunnel had to be given when the drain began
    go = threading.Event()

    def answer(connection, request):
        assert go.wait(10)
        return origins["origin"].default_answer(connection, request)
    origins["origin"].answer = answer
    lab.start()
    if within == "HTTP/2":
        late = H2Client(lab.port("https"), h2_tls(files))
        stream = late.begin_websocket("/any-ws")
    else:
        late = lab.client("http").send(upgrade("/any-ws"))
    wait_for("the request", lambda: b"/any-ws" in origins["origin"].received)
    ended = threading.Thread(target=lab.stop)
    ended.start()

    wait_for("the drain", lambda: not run("ss", "-Htln", f"sport = :{lab.port('http')}"))
    go.set()
    if within == "HTTP/2":
        late.until(lambda: stream in late.statuses)
        assert late.statuses[stream] == 200 and late.goaway
        while late.more():
            pass
    else:
        assert late.response().status == 101
        late.assert_closed()
    ended.join()
    assert lab.process.returncode == 0


def test_the_end_does_not_wait_for_ever(own_edge, origins):
    lab = own_edge.start()  # with a second to drain
    origins["origin"].script = lambda connection: connection.drain()
    client = lab.client("http").send(get("/"))
    checked = lab.client("http").send(get("/private", "meet.example",
                                          "Authorization: Basic YWxpY2U6eA=="))
    wait_for("the request", lambda: origins["origin"].received)
    begin = time.monotonic()
    assert lab.stop() == 0
    assert 0.8 < time.monotonic() - begin < 3
    client.assert_closed()
    checked.close()
