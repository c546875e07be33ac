"""WebSockets: the upgrade, byte-exact tunnels, server-ids, Origin, and what may not be smuggled."""

import os

import pytest
from origin import accept_websocket, ok
from wire import get, upgrade, wait_for

ORIGIN = "Origin: https://meet.example"


@pytest.mark.parametrize("listener", ["http", "https"])
def test_bytes_both_ways(edge, origin, client_tls, listener):
    """Early ones too: sent before the other side has answered."""
    up, down = os.urandom(400_000), os.urandom(400_000)

    def script(connection):
        request = connection.request()
        connection.send(accept_websocket(request, "Sec-WebSocket-Protocol: xmpp") + down[:1000])
        assert connection.exactly(len(up)) == up
        connection.send(down[1000:])
        connection.drain()
    origin.script = script
    with edge.client(listener, tls=client_tls if listener == "https" else None) as client:
        client.send(upgrade("/ws/room", ORIGIN, "Sec-WebSocket-Protocol: xmpp") + up[:500])
        response = client.response()
        assert response.status == 101 and response.get("Sec-WebSocket-Protocol") == "xmpp"
        assert response.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert response.get("Upgrade").lower() == "websocket"
        client.send(up[500:])
        assert client.exactly(len(down)) == down
    origin.wait_ended()
    head, rest = origin.received.split(b"\r\n\r\n", 1)
    assert rest == up
    assert b"upgrade: websocket" in head.lower() and b"connection: upgrade" in head.lower()


def test_lines_of_a_tunnel(edge, origin):
    with edge.client("http", source="127.0.6.9") as client:
        client.send(upgrade("/ws?room=a&pwd=secret", ORIGIN))
        assert client.response().status == 101
        client.send(b"abcdef")
        assert client.exactly(6) == b"abcdef"
        begin, = edge.wait_access("client=127.0.6.9:")
        assert "event=tunnel_begin" in begin and 'path="/ws?room=a&pwd=***"' in begin
        assert "status=101" in begin and 'upstream="origin"' in begin and 'route="/ws"' in begin
    end = edge.wait_access("client=127.0.6.9:", 2)[1]
    assert "event=tunnel_end" in end and 'path="/ws?room=a&pwd=***"' in end
    # The head of the response is not of the tunnel.
    assert "bytes_in=6 " in end and "secret" not in begin + end


@pytest.mark.parametrize("fields,status", [
    ([ORIGIN], 101), ([], 403), (["Origin: https://evil.example"], 403), (["Origin: null"], 403),
    (["Origin: http://meet.example"], 403), (["Origin: https://meet.example.evil"], 403),
    ([ORIGIN, "Origin: https://evil.example"], 400),
    (["Origin: https://meet.example:443"], 101), (["Origin: https://MEET.example"], 101)])
def test_origin_of_an_upgrade(edge, origin, fields, status):
    with edge.client("http") as client:
        assert client.ask(upgrade("/ws", *fields)).status == status
    if status != 101:
        assert origin.received == b""


def test_no_upgrade_where_none_is(edge, origin):
    for path in ("/", "/files/", "/teapot", "/old"):
        with edge.client("http") as client:
            assert client.ask(upgrade(path)).status == 400
    assert origin.received == b""


def test_a_server_that_does_not_upgrade(edge, origin):
    origin.answer = lambda connection, request: connection.send(
        ok(b"no", status="403 Forbidden"))
    with edge.client("http") as client:
        response = client.ask(upgrade("/any-ws"))
        assert response.status == 403 and response.body == b"no"


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n"], ids=["h2c", "nothing"])
def test_a_server_that_upgrades_to_something_else(edge, origin, answer):
    origin.script = lambda connection: (connection.request(), connection.send(answer),
                                        connection.drain())
    with edge.client("http") as client:
        assert client.ask(upgrade("/any-ws")).status == 502


def test_requests_behind_a_refused_upgrade(edge, origin):
    """They may be a WebSocket's bytes, or a request: nobody reads them as either."""
    origin.answer = lambda connection, request: connection.send(ok(status="403 Forbidden"))
    with edge.client("http") as client:
        client.send(upgrade("/any-ws") + get("/smuggled"))
        assert client.response().status == 403
        client.assert_closed()
    assert [request.target for request in origin.requests] == ["/any-ws"]


@pytest.mark.parametrize("change,status", [
    ((b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8"), 426),
    ((b"Sec-WebSocket-Version: 13\r\n", b""), 400),
    ((b"Upgrade: websocket", b"Upgrade: websocket, h2c"), 400),
    ((b"GET ", b"POST "), 400),
    ((b"dGhlIHNhbXBsZSBub25jZQ==", b"short"), 400),
    ((b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello"), 400),
    ((b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400)])
def test_upgrades_that_are_none(edge, origin, change, status):
    request = upgrade("/any-ws").replace(*change)
    with edge.client("http") as client:
        response = client.ask(request + get("/smuggled"), "GET")
        assert response.status == status
        if status == 426:
            assert response.get("Sec-WebSocket-Version") == "13"
        client.assert_closed()
    assert origin.received == b""


@pytest.mark.parametrize("change", [(b"Upgrade: websocket", b"Upgrade: h2c"),
                                    (b"HTTP/1.1", b"HTTP/1.0")], ids=["h2c", "1.0"])
def test_upgrades_that_are_passed_over(edge, origin, change):
    """RFC 9110 section 7.8: the request is one like any other, and the server sees no upgrade."""
    with edge.client("http") as client:
        assert client.ask(upgrade("/any-ws").replace(*change)).status == 200
    one, = origin.requests
    assert one.get("Upgrade") is None and one.get("Connection") is None


@pytest.mark.slow
def test_idle_tunnels_end(edge, origin):
    with edge.client("http") as client:
        assert client.ask(upgrade("/idle-ws")).status == 101
        client.assert_closed()
    origin.wait_ended()


@pytest.mark.parametrize("path,status,server", [
    ("/colibri-ws/jvb-1/room/end?pwd=x", 101, "origin"),
    ("/colibri-ws/jvb-2/room/end?pwd=x", 101, "second"), ("/colibri-ws/jvb-3/room", 404, None),
    ("/colibri-ws/127.0.0.1:9001/room", 404, None), ("/colibri-ws/", 404, None),
    ("/colibri-ws", 404, None), ("/colibri-ws/jvb-1%2f..%2fjvb-2/x", 400, None),
    ("/colibri-ws/JVB-1/room", 404, None), ("/colibri-ws/jvb-1", 404, None)])
def test_server_ids(edge, origins, path, status, server):
    with edge.client("http") as client:
        assert client.ask(upgrade(path)).status == status
    for name, one in origins.items():
        assert [request.target for request in one.requests] == ([path] if name == server else [])


def test_the_end_goes_through(edge, origin):
    def script(connection):
        connection.send(accept_websocket(connection.request()))
        connection.drain()
        connection.send(b"bye")
    origin.script = script
    with edge.client("http") as client:
        assert client.ask(upgrade("/any-ws")).status == 101
        client.end()
        assert client.rest() == b"bye"


def test_a_reset_goes_through(edge, origin):
    client = edge.client("http")
    assert client.ask(upgrade("/any-ws")).status == 101
    client.reset()
    wait_for("the end", lambda: origin.connections[0].ended.is_set())
    assert origin.connections[0].was_reset
