"""HTTP/1.1 that goes wrong: bad answers, clients and servers that go, are slow, or say nothing."""

import select
import threading
import time

import pytest
from origin import ok
from wire import PATIENCE, get, wait_for


@pytest.mark.parametrize("answer", [
    b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70000 + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nConte", b"",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + ok()],
    ids=["no HTTP", "two lengths", "coding", "space", "bare LF", "101", "too long", "cut", "empty",
         "interim"])
def test_responses_that_are_none(edge, origin, answer):
    def script(connection):
        connection.request()
        connection.send(answer)
    origin.script = script
    with edge.client("http") as client:
        response = client.ask(get("/bad"))
        assert response.status == 502 and response.body == b"<h1>upstream</h1>"
        assert response.get("Content-Type") == "text/html; charset=utf-8"
        assert response.get("X-Frame-Options") == "DENY"
        assert client.ask(get("/teapot")).status == 418


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfX\r\n0\r\n\r\n"],
    ids=["length", "chunks", "broken chunk"])
def test_a_response_that_breaks_off_is_seen_to_be(edge, origin, answer):
    def script(connection):
        connection.request()
        connection.send(answer)
    origin.script = script
    with edge.client("http") as client, pytest.raises((ConnectionError, EOFError)):
        client.send(get("/"))
        client.response()


def test_nobody_answers(edge, origin):
    with edge.client("http") as client:
        assert client.ask(get("/nobody")).body == b"<h1>upstream</h1>"
        assert client.ask(get("/nobody")).status == 502


def test_statuses_of_our_own(edge, origin):
    with edge.client("http") as client:
        assert client.ask(get("/teapot")).body == b"short and stout\n"
        response = client.ask(get("/files/none"))
        assert response.status == 404 and response.body == b"<h1>not here</h1>"
        assert client.ask(get("/", "nobody.example")).status == 421
        response = client.ask(get("/old/x?a=b"))
        assert response.status == 308
        assert response.get("Location") == "https://meet.example/new/old/x?a=b"
        assert client.ask(get("/")).status == 200


def test_a_client_that_goes_takes_its_request_with_it(edge, origin):
    origin.script = lambda connection: (connection.request(), connection.drain())
    for leave in ("close", "reset"):
        origin.clear()
        origin.script = lambda connection: (connection.request(), connection.drain())
        client = edge.client("http").send(get("/"))
        wait_for("the request", lambda: origin.received.endswith(b"\r\n\r\n"))
        getattr(client, leave)()
        origin.wait_ended()
    assert len(edge.wait_access('error="client has gone"', 2)) >= 2


def test_a_client_that_goes_amid_its_body(edge, origin):
    client = edge.client("http").send(
        get("/", "meet.example", "Content-Length: 1000", method="POST") + b"half")
    wait_for("the body", lambda: origin.received.endswith(b"half"))
    client.close()
    origin.wait_ended()
    assert origin.requests == []


def test_a_slow_client_stops_the_sender(edge, origin):
    sent = []

    def script(connection):
        connection.request()
        connection.sock.settimeout(1)
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(2000):
                connection.send(b"186a0\r\n" + b"z" * 100000 + b"\r\n")
                sent.append(100000)
        except TimeoutError:
            sent.append("stopped")
    origin.script = script
    before = edge.resident_bytes()
    with edge.client("http", receive_buffer=65536) as client:
        client.send(get("/"))
        wait_for("the sender to be stopped", lambda: sent[-1:] == ["stopped"], 10)
        assert sum(sent[:-1]) < 100 << 20
        assert edge.resident_bytes() - before < 8 << 20


@pytest.mark.slow
def test_a_slow_server_stops_the_client(edge, origin):
    go = threading.Event()
    origin.script = lambda connection: (connection.until(b"\r\n\r\n"), go.wait(10))
    before = edge.resident_bytes()
    with edge.client("http") as client:
        client.send(get("/huge", "meet.example", "Content-Length: 1000000000", method="POST"))
        client.sock.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 200 << 20:
                sent += client.sock.send(b"z" * 100000)
        assert edge.resident_bytes() - before < 8 << 20
    go.set()


# ---------------------------------------------------------------------------------------- timeouts

def test_a_response_that_does_not_come(edge, origin):
    origin.script = lambda connection: (connection.request(), connection.drain())
    with edge.client("http") as client:
        response = client.ask(get("/hasty"))
        assert response.status == 504 and response.body == b"<h1>upstream</h1>"
        assert client.ask(get("/teapot")).status == 418
    origin.wait_ended()


@pytest.mark.slow
def test_nothing_that_a_client_sends_ahead_makes_it_wait_longer(edge, origin):
    origin.script = lambda connection: (connection.request(), connection.drain())
    with edge.client("http") as client:
        client.send(get("/hasty"))
        begin = time.monotonic()
        for byte in get("/next") * 3:
            client.send(bytes([byte]))
            if select.select([client.sock], [], [], 0.2)[0]:
                break
        assert 0.8 < time.monotonic() - begin < 3 * PATIENCE
        assert client.response().status == 504


def test_a_head_that_does_not_end(edge, origin):
    with edge.client("short") as client:
        begin = time.monotonic()
        for byte in b"GET / HTTP/1.1\r\nHost: meet.example\r\n" + b"X: y\r\n" * 100:
            client.send(bytes([byte]))
            if select.select([client.sock], [], [], 0.05)[0]:
                break
        assert 0.8 < time.monotonic() - begin < 3 * PATIENCE
        assert client.response().status == 408
        assert client.rest() == b""
    assert origin.received == b""


def test_a_body_that_does_not_come(edge, origin):
    with edge.client("short") as client:
        client.send(get("/", "meet.example", "Content-Length: 10", method="POST") + b"half")
        assert client.response().status == 408
        assert client.rest() == b""
    origin.wait_ended()
    assert origin.requests == []


@pytest.mark.slow
def test_a_connection_that_says_nothing(edge, origin):
    with edge.client("short") as client:
        client.assert_closed(4)


def test_a_connection_that_is_idle(edge, origin):
    with edge.client("short") as client:
        assert client.ask(get("/")).status == 200
        begin = time.monotonic()
        client.assert_closed(4)
        assert time.monotonic() - begin > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/files/large.bin"], ids=["upstream", "file"])
def test_a_response_that_is_not_taken(edge, origin, path):
    origin.answer = lambda connection, request: connection.send(ok(b"z" * (16 << 20)))
    client = edge.client("short", receive_buffer=4096)
    with client:
        mine = f'listener="short" client=127.0.0.1:{client.local[1]}'
        before = len(edge.access_lines(mine))  # the port may have been another test's
        client.send(get(path, "meet.example", "X-Marker: slow"))
        wait_for("the connection to be given up", lambda: len(edge.access_lines(mine)) > before, 6)
        assert 'error="client does not take the response"' in edge.access_lines(mine)[-1]


@pytest.mark.slow
@pytest.mark.parametrize("field", ["Connection: close", "Connection: keep-alive"])
def test_the_end_of_a_response_has_its_time(edge, origin, namespace, field):
    """What is left when the exchange is over: a client that takes it slowly gets it all."""
    body = bytes(range(256)) * 230  # the edge has it all at once, and its kernel takes little
    origin.answer = lambda connection, request: connection.send(ok(body))
    namespace.sysctl("net.ipv4.tcp_wmem", "4096 4096 4096")
    try:
        client = edge.client("short", receive_buffer=4096)
    finally:
        namespace.sysctl("net.ipv4.tcp_wmem", "4096 16384 4194304")
    with client:
        client.send(get("/", "meet.example", field))
        got = b""
        while len(got) < len(body):
            time.sleep(0.4)
            got += client.sock.recv(8192)
        assert got.endswith(body[-1000:])
