"""Layer 4: connections that are forwarded, passed through by their first bytes, or refused."""

import re
import socket
import ssl
import struct
import threading
from contextlib import suppress

import pytest
from edge_lab import run
from origin import ok
from wire import PATIENCE, SECONDS, get, wait_for


def tell(name):
    """A script of an origin that says who it is, and then repeats what comes."""
    def script(connection):
        connection.send(name)
        while connection.more():
            connection.send(connection.data[connection.taken:])
            connection.taken = len(connection.data)
    return script


def test_the_client_ends_first(edge, origin):
    def script(connection):
        connection.drain()
        connection.send(b"all %d" % len(connection.data))
    origin.script = script
    with edge.client("tcp") as client:
        client.send(b"x" * 300000).end()
        assert client.rest() == b"all 300000"
    assert origin.received == b"x" * 300000


def test_the_server_ends_first(edge, origin):
    def script(connection):
        connection.send(b"y" * 300000)
        connection.sock.shutdown(socket.SHUT_WR)
        connection.drain()
    origin.script = script
    with edge.client("tcp") as client:
        assert client.rest() == b"y" * 300000
        client.send(b"still heard")
        client.end()
        origin.wait_ended()
    assert origin.received == b"still heard"


@pytest.mark.parametrize("listener", ["tcp", "tcp-over-tls"])
def test_resets_go_through(edge, origin, client_tls, listener):
    origin.script = tell(b"!")
    tls = client_tls if listener == "tcp-over-tls" else None
    client = edge.client(listener, tls=tls)
    assert client.exactly(1) == b"!"
    client.reset()
    origin.wait_ended()
    assert origin.connections[0].was_reset
    origin.clear()
    origin.script = lambda connection: (connection.send(b"!"), connection.exactly(1),
                                        connection.reset())
    with edge.client(listener, tls=tls) as client:
        assert client.exactly(1) == b"!"
        client.send(b"z")
        with pytest.raises((ConnectionResetError, ssl.SSLError)):
            client.rest()


def test_a_server_that_ends_without_close_notify(edge, origins):
    """Many do. What it has sent is delivered, whether the client is slow or not."""
    size = 4_000_000
    # Its close() says nothing in TLS.
    origins["tls"].script = lambda connection: connection.send(b"x" * size)
    with edge.client("tcp-to-tls", receive_buffer=20000) as client:
        assert len(client.rest()) == size
    end = edge.wait_access('event=tunnel_end listener="tcp-to-tls"')[0]
    assert f"bytes_out={size} " in end and "error=-" in end


def test_a_reset_behind_an_end(edge, origin):
    """Nobody reads from the client any more, and the server is silent: it is noticed all the same."""
    over = threading.Event()

    def script(connection):
        connection.drain()
        assert over.wait(10 * PATIENCE)
    origin.script = script
    with edge.client("tcp", source="127.0.9.4") as client:
        client.end()
        wait_for("the connection", lambda: origin.connections)
        origin.wait_ended()
        client.reset()
        end = edge.wait_access("client=127.0.9.4:", 2)[1]
    over.set()
    assert "event=tunnel_end" in end and "client's connection failed" in end


def test_a_proxy_header_of_an_unlisted_source_that_waits(edge, origin):
    """The server speaks first, when the time to look at bytes is over; none gets to it then."""
    origin.script = tell(b"!")
    headers = [[b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nx"], [b"PRO", b"XY UNKNOWN\r\n"],
               [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)]]
    clients = [edge.client("tcp-proxied") for _ in headers]
    for client, pieces in zip(clients, headers):
        assert client.exactly(1) == b"!"
        for piece in pieces:
            client.send(piece)
        client.assert_closed()
        client.close()
    for number in range(len(headers)):
        origin.wait_ended(number)
    assert origin.received == b""
    with edge.client("admin") as client:
        metrics = client.ask(get("/metrics", "127.0.0.1")).body.decode()
    assert re.search(r'edge_refused_connections_total{listener="tcp-proxied",'
                     r'reason="proxy_unlisted"} 3\n', metrics)


def test_other_bytes_of_a_source_that_waits(edge, origin):
    origin.script = tell(b"!")
    texts = [[b"PASS x"], [b"P", b"ROXIMITY"], [b"\r\n", b"x"], [b"PROX"]]
    clients = [edge.client("tcp-proxied") for _ in texts]
    for client, pieces in zip(clients, texts):
        assert client.exactly(1) == b"!"
        for piece in pieces:
            client.send(piece)
        client.end()
        assert client.rest() == b"".join(pieces)
        client.close()


def test_nobody_there(edge):
    with suppress(ConnectionResetError), edge.client("tcp-nobody") as client:
        client.assert_closed()
    line = edge.wait_access('listener="tcp-nobody"')[0]
    assert "event=connection" in line and "Connection refused" in line


def test_idle_connections_end(edge, origin):
    origin.script = tell(b"!")
    with edge.client("idle-tcp") as client:
        assert client.exactly(1) == b"!"
        client.assert_closed()
    line = edge.wait_access('event=tunnel_end listener="idle-tcp"')[0]
    assert 'error="idle"' in line and "bytes_out=1 " in line


def test_log_of_a_forwarded_connection(edge, origin):
    origin.script = tell(b"hello")
    with edge.client("tcp", source="127.0.9.1") as client:
        assert client.exactly(5) == b"hello"
        client.send(b"abc")
        assert client.exactly(3) == b"abc"
        port = client.local[1]
        begin, = edge.wait_access(f"client=127.0.9.1:{port}")
        assert "event=tunnel_begin" in begin and 'upstream="origin"' in begin
        client.end()
        assert client.rest() == b""
    end = edge.wait_access(f"client=127.0.9.1:{port}", 2)[1]
    assert "event=tunnel_end" in end and "bytes_in=3 bytes_out=8 " in end
    assert 'server="127.0.0.1:9001"' in end and "error=-" in end


def test_proxy_header_v1_out(edge, origin):
    origin.script = lambda connection: connection.drain()
    with edge.client("tcp-v1", source="127.0.9.2") as client:
        client.send(b"bytes").end()
        wait_for("the connection", lambda: origin.connections)
        origin.wait_ended()
        assert origin.received == (b"PROXY TCP4 127.0.9.2 127.0.0.1 %d %d\r\nbytes"
                                   % (client.local[1], edge.port("tcp-v1")))


def test_proxy_header_v2_out(edge, origin):
    origin.script = lambda connection: connection.drain()
    with edge.client("tcp-v2", source="127.0.9.2") as client:
        client.send(b"bytes").end()
        wait_for("the connection", lambda: origin.connections)
        origin.wait_ended()
        assert origin.received == (
            b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x11, 0, 12, 127, 0, 9, 2, 127, 0, 0, 1]) +
            struct.pack(">HH", client.local[1], edge.port("tcp-v2")) + b"bytes")


def test_a_connection_with_a_proxy_header_is_not_shared(edge, origin):
    def script(connection):
        connection.until(b"\r\n")
        while connection.request():
            connection.send(ok())
    origin.script = script
    for source in ("127.0.9.3", "127.0.9.4"):
        with edge.client("http", source=source) as client:
            assert client.ask(get("/named")).status == 200
            header = b"PROXY TCP4 %s 127.0.0.1 %d " % (source.encode(), client.local[1])
        wait_for("it", lambda: any(one.data.startswith(header) for one in origin.connections))
    assert len(origin.connections) == 2


HEADER = b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 80\r\n"
HEADER_V2 = (b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x11, 0, 12, 198, 51, 100, 7, 192, 0, 2, 1]) +
             struct.pack(">HH", 4711, 80))


@pytest.mark.parametrize("header", [HEADER, HEADER_V2], ids=["v1", "v2"])
def test_proxy_header_of_a_listed_source(edge, origin, header):
    with edge.client("proxied", source="127.0.1.9") as client:
        assert client.ask(header + get("/"), "GET").status == 200
    assert origin.requests[0].get("X-Forwarded-For") == "198.51.100.7"
    assert origin.requests[0].get("X-Real-IP") == "198.51.100.7"


@pytest.mark.parametrize("source,data", [
    ("127.0.0.1", HEADER + get("/")), ("127.0.0.1", HEADER_V2 + get("/")),
    ("127.0.1.9", get("/")), ("127.0.1.9", HEADER.replace(b"4711", b"x") + get("/")),
    ("127.0.1.9", HEADER_V2.replace(b"QUIT", b"QUIX") + get("/"))],
    ids=["unlisted v1", "unlisted v2", "missing", "broken v1", "broken v2"])
def test_proxy_header_that_may_not_be(edge, origin, source, data):
    with edge.client("proxied", source=source) as client:
        client.send(data)
        client.assert_closed()
    assert origin.received == b""


@pytest.mark.parametrize("listener", ["http", "https"])
def test_proxy_header_where_none_is_looked_for(edge, origin, listener):
    with edge.client(listener) as client:
        client.send(HEADER + get("/"))
        if listener == "http":
            assert client.response().status == 400
            assert client.rest() == b""
        else:
            client.sock.recv(1000)  # an alert
            client.assert_closed()
    assert origin.received == b""


def hello(name):
    """The ClientHello for a name."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(into, out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


@pytest.mark.parametrize("name,chosen", [("one.example", "one"), ("a.one.example", "one"),
                                         ("two.example", "two")])
def test_pass_through_by_name(edge, origins, name, chosen):
    origins[chosen].script = tell(chosen.encode())
    data = hello(name)
    with edge.client("mixed") as client:
        # In three pieces: it is waited for, and then goes on as it came.
        for piece in (data[:3], data[3:100], data[100:]):
            client.send(piece)
        assert client.exactly(3 + len(data)) == chosen.encode() + data
    assert all(one.received == b"" for other, one in origins.items() if other != chosen)


def test_the_rest_is_served_here(edge, origins, client_tls):
    with edge.client("mixed", tls=client_tls) as client:
        assert client.ask(get("/")).body == b"origin"


def test_what_is_no_tls_goes_elsewhere(edge, origins):
    origins["origin"].script = tell(b"plain")
    with edge.client("mixed") as client:
        client.send(b"SSH-2.0-x\r\n")
        assert client.exactly(16) == b"plainSSH-2.0-x\r\n"
    with edge.client("mixed") as client:  # whose server speaks first
        assert client.exactly(5) == b"plain"


def test_a_source_that_has_another_backend(edge, origins):
    origins["second"].script = tell(b"second")
    with edge.client("mixed", source="127.0.5.3") as client:
        assert client.exactly(6) == b"second"


@pytest.mark.slow
def test_a_hello_that_is_never_whole(edge, origins):
    with edge.client("mixed") as client:
        client.send(hello("one.example")[:60])
        client.assert_closed()
    assert all(one.received == b"" for one in origins.values())


def passive_fast_opens():
    with open("/proc/thread-self/net/netstat", encoding="ascii") as file:
        names, values = [line.split() for line in file if line.startswith("TcpExt:")]
    return int(dict(zip(names, values))["TCPFastOpenPassive"])


@pytest.mark.parametrize("fast", [True, False])
def test_fast_open(own_edge, origin, namespace, fast):
    """With its SYN a client that was here before sends data, where the listener takes it so."""
    lab = own_edge
    lab.listener("fast", forward="origin", fast_open=fast)
    lab.start()
    origin.script = tell(b"!")
    before = passive_fast_opens()
    namespace.sysctl("net.ipv4.tcp_fastopen", 3)  # clients and servers
    try:
        for _ in range(3):  # the first one gets the cookie
            sock = socket.socket()
            # One that does not block would be told to wait for the cookie, and to connect again.
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(SECONDS), 0))
            with sock:
                sent = sock.sendto(b"early", socket.MSG_FASTOPEN, ("127.0.0.1", lab.port("fast")))
                got = b""
                while len(got) < 6:
                    assert (piece := sock.recv(100))
                    got += piece
                assert sent == 5 and got in (b"!early", b"early!")
    finally:
        namespace.sysctl("net.ipv4.tcp_fastopen", 1)
    assert passive_fast_opens() - before == (2 if fast else 0)
    assert origin.received == b"early" * 3


def test_forward_of_a_decrypted_connection(edge, origin, client_tls):
    origin.script = tell(b"!")
    with edge.client("tcp-over-tls", tls=client_tls) as client:
        client.send(b"x" * 100000)
        assert client.exactly(100001) == b"!" + b"x" * 100000
    assert origin.received == b"x" * 100000


@pytest.mark.slow
def test_nothing_is_read_that_cannot_be_written(edge, origin):
    """The origin's sender is stopped by a client that does not read, and goes on with it."""
    sent = []

    def script(connection):
        connection.sock.settimeout(1)
        try:
            for _ in range(2000):
                connection.send(b"z" * 100000)
                sent.append(100000)
        except TimeoutError:
            pass
    origin.script = script
    before = edge.resident_bytes()
    with edge.client("tcp", receive_buffer=65536) as client:
        wait_for("the connection", lambda: origin.connections)
        wait_for("the sender to be stopped",
                 lambda: origin.connections[0].sock.fileno() == -1, 10)
        assert sum(sent) < 100 << 20
        assert edge.resident_bytes() - before < 8 << 20
        assert run("ss", "-Htn", "state", "established", f"dport = :{edge.port('tcp')}")
        client.close()
