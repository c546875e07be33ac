"""HTTP/1.1: routes, what is changed on the way, bodies, kept connections."""

import threading
import time

import pytest
from edge_lab import run
from origin import ok
from wire import chunked, get, post, wait_for


@pytest.mark.parametrize("path,server,sent", [
    ("/", "origin", "/"), ("/x?a=b&c", "origin", "/x?a=b&c"), ("/exact?q", "second", "/exact?q"),
    ("/exact/more", "origin", "/exact/more"), ("/exactly", "origin", "/exactly"),
    ("/prefix", "origin", "/new"), ("/prefix/a%20b?x", "origin", "/new/a%20b?x"),
    ("/prefixed", "origin", "/prefixed"), ("/prefix/longer/z", "second", "/prefix/longer/z"),
    ("/tenant/abc/bind?sid", "origin", "/http-bind/abc?sid"),
    ("/tenant/abc/argument", "origin", "/http-bind?prefix=abc"),
    ("/tenant/a&b/argument?sid=1&prefix=c", "origin", "/http-bind?sid=1&prefix=a%26b"),
    ("/tenant/ABC/bind", "origin", "/tenant/ABC/bind"), ("/%7euser", "origin", "/~user"),
    ("http://meet.example/absolute", "origin", "/absolute")])
def test_routes(edge, origins, path, server, sent):
    with edge.client("http") as client:
        assert client.ask(get(path)).body == server.encode()
    assert [request.target for request in origins[server].requests] == [sent]


def test_the_request_that_arrives(edge, origin):
    """Byte for byte: nothing of the connection's own, the forwarding fields overwritten."""
    with edge.client("http", source="127.0.0.77") as client:
        client.ask(get("/x", "MEET.example", "Accept:  */* ", "Connection: keep-alive, X-Hop",
                       "X-Hop: 1", "Keep-Alive: 5", "X-Forwarded-For: 1.2.3.4",
                       "X-Forwarded-Proto: https", "X-Real-IP: 1.2.3.4", "Te: trailers",
                       "Proxy-Connection: close", "Forwarded: for=1.2.3.4", "Empty:"))
    raw = origin.requests[0].raw.decode()
    first, *fields = raw.split("\r\n")
    assert first == "GET /x HTTP/1.1" and fields[-2:] == ["", ""]
    assert sorted(fields[:-2]) == sorted([
        "Host: meet.example", "Accept: */*", "Empty: ", "X-Forwarded-For: 127.0.0.77",
        "X-Forwarded-Proto: http", "X-Forwarded-Host: meet.example", "X-Real-IP: 127.0.0.77"])


def test_forwarding_fields_of_a_trusted_proxy(edge, origin):
    with edge.client("http", source="127.0.0.77") as client:
        client.ask(get("/", "trusting.example", "X-Forwarded-For: 198.51.100.1"))
    assert origin.requests[0].get("X-Forwarded-For") == "198.51.100.1, 127.0.0.77"


def test_header_changes(edge, origin):
    origin.answer = lambda connection, request: connection.send(
        ok(b"", "Server: secret/1.0", "X-Answer: a", "X-Answer: b", "Connection: X-Own",
           "X-Own: 1"))
    with edge.client("http") as client:
        response = client.ask(get("/fields", "meet.example", "X-Set: client's", "X-Gone: 1",
                                  "x-gone: 2", "X-More: one"))
    request = origin.requests[0]
    assert request.get("X-Set") == "127.0.0.1 http meet.example"
    assert request.get("X-Gone") is None and request.get("X-More") == "one, two"
    assert response.get("Server") is None and response.get("X-Answer") == "edge"
    assert response.get("X-Own") is None and response.get("X-Frame-Options") == "DENY"


@pytest.mark.parametrize("location,mapped", [
    ("/new/after", "/prefix/after"), ("/elsewhere", "/elsewhere"),
    ("http://meet.example/new/after?q", "http://meet.example/prefix/after?q"),
    ("https://other.example/new/x", "https://other.example/new/x")])
def test_location_is_mapped_back(edge, origin, location, mapped):
    origin.answer = lambda connection, request: connection.send(
        ok(b"", f"Location: {location}", status="302 Found"))
    with edge.client("http") as client:
        response = client.ask(get("/prefix/before"))
    assert response.status == 302 and response.get("Location") == mapped


# ------------------------------------------------------------------------------------------ bodies

def test_body_of_a_length(edge, origin):
    body = b"b" * 900_000
    with edge.client("http") as client:
        for _ in range(3):
            assert client.ask(post("/", body)).status == 200
    assert [request.body for request in origin.requests] == [body] * 3
    assert len(origin.connections) == 1


def test_body_of_chunks(edge, origin):
    with edge.client("http") as client:
        head = get("/", "meet.example", "Transfer-Encoding: chunked", "Trailer: X-T", method="POST")
        body = b"1\r\na\r\n" + b"00a\r\n0123456789\r\n" + b"0\r\nX-T: dropped\r\n\r\n"
        for byte in head + body:  # one by one
            client.send(bytes([byte]))
        assert client.response().status == 200
        assert client.ask(head + chunked(b"again")).status == 200
    first, second = origin.requests
    assert first.body == b"a0123456789" and second.body == b"again"
    assert b"X-T: dropped" not in first.raw and b";" not in first.raw


def test_body_is_streamed(edge, origin):
    """Each side has what the other has sent before either is done."""
    def script(connection):
        connection.until(b"\r\n\r\n")
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (line := connection.until(b"\r\n")) != b"0\r\n":
            data = connection.exactly(int(line, 16) + 2)
            connection.send(b"%x\r\n" % (len(data) - 2) + data)
        connection.send(b"0\r\n\r\n")
        connection.drain()
    origin.script = script
    with edge.client("http") as client:
        client.send(get("/", "meet.example", "Transfer-Encoding: chunked", method="POST"))
        assert b"200" in client.head()  # before the first byte of any body
        for number in range(5):
            client.send(b"5\r\nping%d\r\n" % number)
            assert client.exactly(10) == b"5\r\nping%d\r\n" % number
        client.send(b"0\r\n\r\n")
        assert client.exactly(5) == b"0\r\n\r\n"


@pytest.mark.parametrize("listener", ["http", "https"])
def test_a_response_head_does_not_wait_for_its_body(edge, origin, client_tls, listener):
    """As of an event stream, whose first event may come much later."""
    go = threading.Event()

    def script(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        assert go.wait(10)
        connection.send(b"data: 1\n\n")
    origin.script = script
    with edge.client(listener, tls=client_tls if listener == "https" else None) as client:
        assert b"event-stream" in client.send(get("/")).head()
        go.set()
        client.until(b"data: 1\n\n")


def test_expect_continue(edge, origin):
    with edge.client("http") as client:
        client.send(get("/", "meet.example", "Content-Length: 4", "Expect: 100-continue",
                        method="POST"))
        assert client.response(interim=True).status == 100
        client.send(b"body")
        assert client.response().status == 200
        assert client.ask(get("/")).status == 200
    assert origin.requests[0].get("Expect") is None and origin.requests[0].body == b"body"


def test_expect_continue_of_what_is_refused(edge, origin):
    with edge.client("http") as client:
        client.send(get("/small", "meet.example", "Content-Length: 2000", "Expect: 100-continue",
                        method="POST"))
        assert client.response(interim=True).status == 413
        assert client.rest() == b""
    assert origin.received == b""


def test_too_large_by_length(edge, origin):
    with edge.client("http") as client:
        response = client.ask(post("/small", b"x" * 1025))
        assert response.status == 413 and response.get("Connection") == "close"
        assert client.rest() == b""
        assert origin.received == b""
    with edge.client("http") as client:
        assert client.ask(post("/small", b"x" * 1024)).status == 200


def test_too_large_by_count(edge, origin):
    with edge.client("http") as client:
        client.send(get("/small", "meet.example", "Transfer-Encoding: chunked", method="POST"))
        client.send(b"400\r\n" + b"x" * 1024 + b"\r\n1\r\ny\r\n")
        assert client.response().status == 413
    wait_for("the connection", lambda: origin.connections)
    origin.wait_ended()
    assert origin.requests == []


# ------------------------------------------------------------------------------- kept connections

def test_upstream_connections_are_kept(edge, origin):
    for _ in range(3):
        with edge.client("http") as client:
            for _ in range(5):
                assert client.ask(get("/")).status == 200
    assert len(origin.requests) == 15 and len(origin.connections) == 1


def test_upstream_connections_that_are_not_kept(edge, origin):
    with edge.client("http") as client:
        for _ in range(3):
            assert client.ask(get("/unkept")).status == 200
    assert len(origin.connections) == 3
    assert origin.requests[0].get("Connection") == "close"


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 OK\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok+"],
    ids=["close", "1.0", "until close", "more than it says"])
def test_connections_that_can_not_be_kept(edge, origin, answer):
    origin.answer = lambda connection, request: (connection.send(answer), b"Length" in answer)[1]
    with edge.client("http") as client:
        for _ in range(2):
            assert client.ask(get("/")).body == b"ok"
    assert len(origin.connections) == 2


class Once:
    """A server whose kept connection ends while the next request is on its way."""

    def __init__(self, how):
        self.how, self.count = how, 0

    def __call__(self, connection):
        connection.request()
        connection.send(ok(b"first"))
        if connection.request() is not None:
            if self.how == "reset":
                connection.reset()


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("request_,again", [
    (get("/"), True), (get("/", method="HEAD"), True), (get("/", method="DELETE"), True),
    (post("/", b""), False), (post("/", b"body"), False), (post("/", b"b", method="PUT"), False)],
    ids=["GET", "HEAD", "DELETE", "POST", "POST with body", "PUT with body"])
def test_a_kept_connection_that_closes(edge, origin, request_, again, how):
    origin.script = Once(how)
    with edge.client("http") as client:
        assert client.ask(get("/")).body == b"first"
        assert client.ask(request_).status == (200 if again else 502)
        assert len(origin.connections) == (2 if again else 1)
        wait_for("two connections", lambda: len(origin.connections) == (2 if again else 1))


def test_a_new_connection_that_closes_is_not_tried_again(edge, origin):
    origin.script = lambda connection: connection.request()
    with edge.client("http") as client:
        assert client.ask(get("/")).status == 502
    assert len(origin.connections) == 1


def test_a_kept_connection_that_was_closed_before(edge, origin):
    """Nobody notices, whatever the method."""
    def answer(connection, _):
        connection.send(ok())
        return False
    origin.answer = answer
    with edge.client("http") as client:
        for _ in range(3):
            assert client.ask(post("/", b"body")).status == 200
            wait_for("the edge to see it", lambda: not run(
                "ss", "-Htn", "state", "close-wait", "dport = :9001"))
            wait_for("the end", lambda: origin.connections[-1].sock.fileno() == -1)
    assert len(origin.connections) == 3


def test_pipelined_requests_are_answered_in_order(edge, origin):
    def answer(connection, request):
        if request.target == "/0":
            time.sleep(0.1)
        connection.send(ok(request.target.encode() + request.body))
    origin.answer = answer
    with edge.client("http") as client:
        requests = [post(f"/{n}", b"+%d" % n) if n % 3 == 0 else
                    get("/teapot" if n % 3 == 1 else f"/{n}") for n in range(60)]
        client.send(b"".join(requests))
        for n in range(60):
            expected = [b"/%d+%d" % (n, n), b"short and stout\n", b"/%d" % n][n % 3]
            assert client.response().body == expected
    assert len(origin.connections) == 1


def test_early_response(edge, origin):
    """The server answers before it has the body: so does the edge, and both connections end."""
    def script(connection):
        connection.until(b"\r\n\r\n")
        connection.send(ok(b"early", status="403 Forbidden"))
        connection.drain()
    origin.script = script
    with edge.client("http") as client:
        client.send(get("/", "meet.example", "Content-Length: 100000", method="POST") + b"x" * 10)
        response = client.response()
        assert response.status == 403 and response.body == b"early"
        assert response.get("Connection") == "close"
        assert client.rest() == b""
        origin.wait_ended()


def test_interim_responses_are_left_out(edge, origin):
    origin.answer = lambda connection, request: connection.send(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok())
    with edge.client("http") as client:
        client.send(get("/"))
        assert client.response(interim=True).status == 200


def test_head_and_statuses_without_body(edge, origin):
    answers = {"/a": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
               "/b": b"HTTP/1.1 204 No Content\r\n\r\n",
               "/c": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"}
    origin.answer = lambda connection, request: connection.send(answers[request.target])
    with edge.client("http") as client:
        assert client.ask(get("/a", method="HEAD")).get("Content-Length") == "1000"
        assert client.ask(get("/b")).status == 204
        assert client.ask(get("/c")).status == 304
        assert client.ask(get("/teapot", method="HEAD")).status == 418
        assert client.ask(get("/teapot")).status == 418
    assert len(origin.connections) == 1


def test_http_1_0(edge, origin):
    origin.answer = lambda connection, request: connection.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"a", b"b"))
    with edge.client("http") as client:
        client.send(b"GET / HTTP/1.0\r\nHost: meet.example\r\n\r\n")
        assert client.response().body == b"ab"
        assert client.rest() == b""
    assert origin.requests[0].version == "HTTP/1.1"
