"""What strangers may not do, with HTTP/1: the answer, and that no server hears of it.

Where a request is taken nevertheless, the server gets exactly one, in its canonical form, and what
is behind it is no second one.
"""

import os
import time
from contextlib import suppress

import pytest
from wire import PATIENCE, get, post, upgrade, wait_for

HOST = b"Host: meet.example\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"


def request(fields, body=b"", line=b"POST / HTTP/1.1", host=HOST):
    return line + b"\r\n" + host + fields + b"\r\n" + body


def line(first, fields=HOST):
    return first + b"\r\n" + fields + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked\r\n"
REFUSED = {
    # Framing.
    "CL.TE": (400, request(b"Content-Length: 6\r\n" + CHUNKED, b"0\r\n\r\nG")),
    "TE.CL": (400, request(CHUNKED + b"Content-Length: 4\r\n", b"5c\r\n")),
    "TE.TE": (400, request(CHUNKED + CHUNKED, b"0\r\n\r\n")),
    "TE.TE other": (400, request(CHUNKED + b"Transfer-Encoding: x\r\n", b"0\r\n\r\n")),
    "TE list": (501, request(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n")),
    "TE twice in a list": (400, request(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n")),
    "TE behind chunked": (400, request(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n")),
    "TE unknown": (501, request(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n")),
    "TE identity": (501, request(b"Transfer-Encoding: identity\r\n")),
    "TE empty": (400, request(b"Transfer-Encoding:\r\n")),
    "TE empty and CL": (400, request(b"Transfer-Encoding:\r\nContent-Length: 3\r\n", b"abc")),
    "TE vertical tab": (400, request(b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n")),
    "TE quoted": (501, request(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n")),
    "TE parameter": (501, request(b"Transfer-Encoding: chunked;x=y\r\n", b"0\r\n\r\n")),
    "TE of 1.0": (400, request(CHUNKED, b"0\r\n\r\n", b"POST / HTTP/1.0")),
    "TE space before colon": (400, request(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n")),
    "TE folded": (400, request(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n")),
    "TE alias": (400, request(b"Transfer_Encoding: chunked\r\n", b"0\r\n\r\n")),
    "two CL": (400, request(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd")),
    "two CL the same": (400, request(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc")),
    "CL list": (400, request(b"Content-Length: 3, 3\r\n", b"abc")),
    "CL signed": (400, request(b"Content-Length: +3\r\n", b"abc")),
    "CL negative": (400, request(b"Content-Length: -1\r\n")),
    "CL hex": (400, request(b"Content-Length: 0x3\r\n", b"abc")),
    "CL space": (400, request(b"Content-Length: 3 4\r\n", b"abc")),
    "CL empty": (400, request(b"Content-Length:\r\n", b"abc")),
    "CL overflow": (400, request(b"Content-Length: 18446744073709551619\r\n", b"abc")),
    "CL alias": (400, request(b"Content_Length: 3\r\n", b"abc")),
    # Bytes of a head.
    "bare LF": (400, b"GET / HTTP/1.1\nHost: meet.example\n\n"),
    "bare LF in a field": (400, request(b"A: b\nX: y\r\n")),
    "bare LF at the end": (400, b"GET / HTTP/1.1\r\n" + HOST + b"\n"),
    "bare CR": (400, request(b"A: b\rX: y\r\n")),
    "bare CR at the end": (400, request(b"A: b\r\r\n")),
    "NUL in a value": (400, request(b"A: b\0c\r\n")),
    "NUL in a name": (400, request(b"A\0: b\r\n")),
    "NUL in the target": (400, line(b"GET /\0 HTTP/1.1")),
    "control": (400, request(b"A: b\x01\r\n")),
    "DEL": (400, request(b"A: b\x7f\r\n")),
    "folded": (400, request(b"A: b\r\n c\r\n")),
    "folded by tab": (400, request(b"A: b\r\n\tc\r\n")),
    "folded first": (400, line(b"GET / HTTP/1.1", b" A: b\r\n" + HOST)),
    "space before colon": (400, request(b"A : b\r\n")),
    "tab before colon": (400, request(b"A\t: b\r\n")),
    "empty name": (400, request(b": b\r\n")),
    "no colon": (400, request(b"Abc\r\n")),
    "name with bracket": (400, request(b"A(b): c\r\n")),
    "name with a high byte": (400, request(b"A\xe4: c\r\n")),
    # Names that stand for trusted ones.
    "X_Forwarded_For": (400, request(b"X_Forwarded_For: 1.2.3.4\r\n")),
    "x-forwarded_proto": (400, request(b"x-forwarded_proto: https\r\n")),
    "X.Real.IP": (400, request(b"X.Real.IP: 1.2.3.4\r\n")),
    # The first line.
    "no version": (400, line(b"GET /")),
    "HTTP/0.9": (505, line(b"GET / HTTP/0.9")),
    "HTTP/2.0": (505, line(b"GET / HTTP/2.0")),
    "HTTP/1.2": (505, line(b"GET / HTTP/1.2")),
    "HTTP/1.10": (400, line(b"GET / HTTP/1.10")),
    "http/1.1": (400, line(b"GET / http/1.1")),
    "two spaces": (400, line(b"GET  / HTTP/1.1")),
    "tab": (400, line(b"GET\t/\tHTTP/1.1")),
    "space behind": (400, line(b"GET / HTTP/1.1 ")),
    "space in the target": (400, line(b"GET /a b HTTP/1.1")),
    "CONNECT": (501, line(b"CONNECT meet.example:443 HTTP/1.1")),
    "TRACE": (501, line(b"TRACE / HTTP/1.1")),
    "unknown method": (501, line(b"SMUGGLE / HTTP/1.1")),
    "method in lower case": (501, line(b"get / HTTP/1.1")),
    "preface of HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "two empty lines": (400, b"\r\n\r\n" + line(b"GET / HTTP/1.1")),
    "fragment": (400, line(b"GET /#a HTTP/1.1")),
    "high byte": (400, line(b"GET /\xe4 HTTP/1.1")),
    "user in the target": (400, line(b"GET http://a@meet.example/ HTTP/1.1")),
    "ftp": (400, line(b"GET ftp://meet.example/ HTTP/1.1")),
    "no path": (400, line(b"GET meet.example HTTP/1.1")),
    "target too long": (414, line(b"GET /" + b"a" * 9000 + b" HTTP/1.1")),
    "line without end": (414, b"GET /" + b"a" * 40000),
    # Host.
    "no Host": (400, line(b"GET / HTTP/1.1", b"")),
    "no Host of 1.0": (400, line(b"GET / HTTP/1.0", b"")),
    "two Host": (400, request(HOST)),
    "two Host that differ": (400, request(b"Host: other.example\r\n")),
    "empty Host": (400, request(b"", host=b"Host:\r\n")),
    "Host with a path": (400, request(b"", host=b"Host: meet.example/x\r\n")),
    "Host with a user": (400, request(b"", host=b"Host: a@meet.example\r\n")),
    "Host with a space": (400, request(b"", host=b"Host: meet.example x\r\n")),
    "Host list": (400, request(b"", host=b"Host: meet.example, x\r\n")),
    "Host with a bad port": (400, request(b"", host=b"Host: meet.example:99999\r\n")),
    "absolute form of another": (400, line(b"GET http://other.example/ HTTP/1.1")),
    "absolute form of another port": (400, line(b"GET http://meet.example:81/ HTTP/1.1")),
    "somebody else's": (421, request(b"", host=b"Host: evil.example\r\n")),
    # Paths.
    "encoded dots": (400, line(b"GET /prefix/%2e%2e/secret HTTP/1.1")),
    "half encoded dots": (400, line(b"GET /prefix/.%2E/secret HTTP/1.1")),
    "dots": (400, line(b"GET /prefix/../private HTTP/1.1")),
    "encoded slash": (400, line(b"GET /prefix%2f..%2fprivate HTTP/1.1")),
    "encoded NUL": (400, line(b"GET /private%00 HTTP/1.1")),
    "encoded backslash": (400, line(b"GET /prefix/..%5cprivate HTTP/1.1")),
    "parameter behind a guarded path": (400, line(b"GET /private;a=1/x HTTP/1.1")),
    "encoded parameter": (400, line(b"GET /private%3ba/x HTTP/1.1")),
    "parameter in front of a guarded path": (400, line(b"GET /;a/token/x HTTP/1.1")),
    "broken escape": (400, line(b"GET /%zz HTTP/1.1")),
    "cut escape": (400, line(b"GET /%2 HTTP/1.1")),
    # Sizes.
    "too many fields": (431, request(b"A: b\r\n" * 101)),
    "too much": (431, request(b"A: " + b"a" * 33000 + b"\r\n")),
    "too many small ones": (431, request(b"".join(b"A%d: b\r\n" % n for n in range(5000)))),
    "a name without end": (431, b"GET / HTTP/1.1\r\n" + b"A" * 40000),
    # Connection and Upgrade.
    "Connection: Host": (400, request(b"Connection: Host\r\n")),
    "Connection: Content-Length": (400, request(
        b"Connection: Content-Length\r\nContent-Length: 3\r\n", b"abc")),
    "Connection of many": (400, request(b"Connection: " + b"a," * 40 + b"b\r\n")),
    "Expect": (417, request(b"Expect: 200-ok\r\n")),
    # Fields of which there is one: servers differ in which counts.
    **{f"two {name.decode()}": (400, request(name + b": " + first + b"\r\n" + name.lower() + b": " +
                                             second + b"\r\n"))
       for name, first, second in (
           (b"Authorization", b"Basic YTpi", b"Basic Yzpk"), (b"Cookie", b"pass=a", b"pass=b"),
           (b"Origin", b"https://meet.example", b"https://evil.example"),
           (b"Content-Type", b"text/plain", b"text/html"), (b"Range", b"bytes=0-1", b"bytes=2-3"),
           (b"If-Modified-Since", b"x", b"y"))},
}


# Refused by what they ask for, not by how: their connection may go on.
IN_ORDER = {"somebody else's", "encoded dots", "half encoded dots", "dots", "encoded slash",
            "encoded NUL", "encoded backslash", "parameter behind a guarded path",
            "encoded parameter", "parameter in front of a guarded path", "broken escape", "cut escape"}


@pytest.mark.parametrize("split", [
    pytest.param(False, id="whole"), pytest.param(True, id="split", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", REFUSED)
def test_refused(edge, origins, name, split):
    """The answer, the connection's end, and nothing at any server: not of what is behind either."""
    status, data = REFUSED[name]
    behind = b"" if name in IN_ORDER else NEXT
    with edge.client("http") as client:
        with suppress(ConnectionError):  # answered before all of it
            if split and len(data) < 2000:
                for byte in data:
                    client.send(bytes([byte]))
            else:
                client.send(data + behind)
        response = client.response()
        assert response.status == status
        if name not in IN_ORDER:
            assert response.get("Connection") == "close"
            client.assert_closed()
    assert all(one.received == b"" for one in origins.values())


BAD_CHUNKS = {
    "size": b"xyz\r\nabc\r\n0\r\n\r\n", "signed": b"+3\r\nabc\r\n0\r\n\r\n",
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n", "empty": b"\r\nabc\r\n0\r\n\r\n",
    "space": b"3 \r\nabc\r\n0\r\n\r\n", "leading space": b" 3\r\nabc\r\n0\r\n\r\n",
    "extension": b"3;a=b\r\nabc\r\n0\r\n\r\n", "extension with LF": b"3;\nxx\r\nabc\r\n0\r\n\r\n",
    "bare LF": b"3\nabc\n0\n\n", "too long": b"3\r\nabcd\r\n0\r\n\r\n",
    "too short": b"5\r\nabc\r\n0\r\n\r\n", "overflow": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "zeros": b"0" * 100 + b"3\r\nabc\r\n0\r\n\r\n", "bare CR": b"3\rabc\r\n0\r\n\r\n",
    "trailer folded": b"0\r\nA: b\r\n c\r\n\r\n", "trailer bare LF": b"0\r\nA: b\n\r\n",
    "trailers too long": b"0\r\n" + b"A: b\r\n" * 3000 + b"\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_bad_chunks(edge, origin, name):
    """No server takes it for a whole request, and nothing behind it is one."""
    with edge.client("http") as client:
        client.send(request(CHUNKED, BAD_CHUNKS[name]) + NEXT)
        assert client.response().status in (400, 431)
        client.assert_closed()
    for connection in range(len(origin.connections)):
        origin.wait_ended(connection)
    assert origin.requests == [] and b"smuggled" not in origin.received, origin.received


TAKEN = {
    "empty line before": b"\r\n" + request(b"Content-Length: 3\r\n", b"abc"),
    "leading zeros": request(b"Content-Length: 0003\r\n", b"abc"),
    "space around": request(b"Content-Length:   3  \r\n", b"abc"),
    "other case": request(b"content-LENGTH: 3\r\n", b"abc"),
    "unknown name with underscore": request(b"Content-Length: 3\r\nmy_field: dropped\r\n", b"abc"),
    "own fields": request(b"Content-Length: 3\r\nX-Forwarded-For: 6.6.6.6\r\n"
                          b"X-Forwarded-Host: evil\r\nX-Real-IP: 6.6.6.6\r\n", b"abc"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_taken_in_canonical_form(edge, origin, name):
    with edge.client("http", source="127.0.0.66") as client:
        assert client.ask(TAKEN[name], "POST").status == 200
    one, = origin.requests
    first, *fields = one.head.decode().split("\r\n")
    assert first == "POST / HTTP/1.1" and one.body == b"abc"
    assert sorted(fields) == sorted([
        "Host: meet.example", "Content-Length: 3", "X-Forwarded-For: 127.0.0.66",
        "X-Forwarded-Proto: http", "X-Forwarded-Host: meet.example", "X-Real-IP: 127.0.0.66"])


@pytest.mark.parametrize("field", [b"Content-Length: 3\r\n", CHUNKED], ids=["length", "chunks"])
def test_a_body_of_a_get_is_a_body(edge, origin, field):
    body = b"3\r\nabc\r\n0\r\n\r\n" if field is CHUNKED else b"abc"
    with edge.client("http") as client:
        client.send(request(field, body, b"GET / HTTP/1.1") + NEXT)
        assert client.response().status == client.response().status == 200
    assert [(one.target, one.body) for one in origin.requests] == [("/", b"abc"),
                                                                   ("/smuggled", b"")]


# ------------------------------------------------------------------------------------ much and slow

def test_connections_of_one_source(edge, origin):
    clients = [edge.client("few", source="127.0.3.1") for _ in range(10)]
    try:
        for _ in range(3):
            try:
                with edge.client("few", source="127.0.3.1") as client:
                    client.send(get("/"))
                    client.assert_closed()
            except ConnectionError:
                pass
        with edge.client("few", source="127.0.3.2") as client:
            assert client.ask(get("/")).status == 200
        assert clients[0].ask(get("/")).status == 200
    finally:
        for client in clients:
            client.close()

    def again():
        try:
            with edge.client("few", source="127.0.3.1") as client:
                return client.ask(get("/")).status == 200
        except (ConnectionError, EOFError):
            return False
    wait_for("its place to be free again", again)


def test_connections_in_all(edge, origin):
    clients = [edge.client("few", source=f"127.0.3.{10 + number}") for number in range(20)]
    try:
        with pytest.raises((ConnectionError, EOFError)):
            with edge.client("few", source="127.0.3.99") as client:
                client.ask(get("/"))
        # Another listener has its own.
        with edge.client("http") as client:
            assert client.ask(get("/")).status == 200
    finally:
        for client in clients:
            client.close()


def test_many_idle_connections_cost_little(edge, origin):
    before = edge.resident_bytes()
    clients = [edge.client("http") for _ in range(1500)]
    try:
        for client in clients[:300]:
            client.send(b"GET / HTTP/1.1\r\n")
        with edge.client("http") as client:
            begin = time.monotonic()
            assert client.ask(get("/")).status == 200
            assert time.monotonic() - begin < 1 * PATIENCE
        assert (edge.resident_bytes() - before) / 1500 < 16384 * PATIENCE
    finally:
        for client in clients:
            client.close()


@pytest.mark.slow
def test_slow_heads_in_number(edge, origin):
    """Each ends in its time, however many bytes trickle."""
    clients = [edge.client("short") for _ in range(50)]
    begin = time.monotonic()
    open_ = set(clients)
    while open_ and time.monotonic() - begin < 4 * PATIENCE:
        for client in list(open_):
            try:
                client.send(b"G" if time.monotonic() - begin < 0.01 else b"a")
            except ConnectionError:
                open_.discard(client)
        time.sleep(0.05)
    assert not open_
    for client in clients:
        client.close()
    assert origin.received == b""


def test_tls_handshakes_that_never_end(edge, origin):
    clients = [edge.client("impatient") for _ in range(100)]
    for client in clients:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
    with edge.client("http") as client:
        assert client.ask(get("/")).status == 200
    for client in clients:
        client.assert_closed()
        client.close()


@pytest.mark.slow
def test_pipelined_without_reading(own_edge, origin):
    """Who does not read its answers is not read either, and is no burden meanwhile."""
    del own_edge.edge["access_log"]["file"]  # which may hold lines that wait for the disk
    lab = own_edge.start()
    data = get("/teapot") * 1000
    with lab.client("http") as client:
        assert client.ask(get("/teapot")).status == 418
    resident = [lab.resident_bytes()]
    for _ in range(4):
        with lab.client("http", receive_buffer=4096) as client:
            client.sock.settimeout(1)
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < 100 << 20:
                    sent += client.sock.send(data)
            resident.append(lab.resident_bytes())
    # A sanitizer keeps what was freed, up to a size that the first time reaches.
    first, most = (1, 24 << 20) if "ASAN_OPTIONS" in os.environ else (0, 4 << 20)
    assert max(resident) - resident[first] < most, resident


def test_upgrade_and_smuggled_request(edge, origin):
    """What follows a refused upgrade is not read as a request."""
    with edge.client("http") as client:
        client.send(upgrade("/files/") + NEXT)
        assert client.response().status == 400
        client.assert_closed()
    assert origin.received == b""


def test_body_of_what_is_answered_here_is_no_request(edge, origin):
    for path in ("/teapot", "/old", "/files/x", "/private", "/none-of-ours"):
        host = "meet.example" if path != "/none-of-ours" else "evil.example"
        with edge.client("http") as client:
            client.send(post(path, NEXT, host=host))
            assert client.response().status in (418, 308, 405, 401, 421)
            client.assert_closed()
    assert origin.received == b""
