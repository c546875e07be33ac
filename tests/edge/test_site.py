"""What the edge answers or decides by itself: files, users, tokens, sources, limits, the log."""

import base64
import os
import ssl

import pytest
from h2_client import H2Client
from origin import ok
from wire import get, post


@pytest.mark.parametrize("path,type_,body", [
    ("/files/", "text/html; charset=utf-8", b"<p>index</p>"),
    ("/files/index.html?v=1", "text/html; charset=utf-8", b"<p>index</p>"),
    ("/files/sub/", "text/html; charset=utf-8", b"<p>sub</p>"),
    ("/files/sub/deep/a.css", "text/css; charset=utf-8", b"p {}"),
    ("/files/script.js", "text/javascript; charset=utf-8", b"0"),
    ("/files/with%20space.txt", "text/plain; charset=utf-8", b"space"),
    ("/one-file", "text/plain; charset=utf-8", b"space")])
def test_files(edge, path, type_, body):
    with edge.client("http") as client:
        response = client.ask(get(path))
        assert (response.status, response.get("Content-Type"), response.body) == (200, type_, body)
        if path != "/one-file":
            assert response.get("Access-Control-Allow-Origin") == "*"
        head = client.ask(get(path, method="HEAD"))
        assert head.status == 200 and head.get("Content-Length") == str(len(body))
        assert client.ask(get("/teapot")).status == 418


def test_files_that_are_known_already(edge):
    with edge.client("http") as client:
        first = client.ask(get("/files/"))
        for field in (f"If-None-Match: {first.get('ETag')}", "If-None-Match: *",
                      f"If-None-Match: \"x\", W/{first.get('ETag')}",
                      f"If-Modified-Since: {first.get('Last-Modified')}"):
            response = client.ask(get("/files/", "meet.example", field))
            assert response.status == 304 and response.get("ETag") == first.get("ETag")
        assert client.ask(get("/files/", "meet.example", 'If-None-Match: "x"')).status == 200


@pytest.mark.parametrize("range_,status,body", [
    ("bytes=0-2", 206, b"<p>"), ("bytes=-4", 206, b"</p>"), ("bytes=3-", 206, b"index</p>"),
    ("bytes=8-100", 206, b"</p>"), ("bytes=12-", 416, None), ("bytes=-0", 416, None),
    ("bytes=5-2", 200, b"<p>index</p>"), ("bytes=0-1,3-4", 200, b"<p>index</p>"),
    ("lines=1-2", 200, b"<p>index</p>"),
    ("bytes=99999999999999999999999-", 200, b"<p>index</p>")])
def test_ranges(edge, range_, status, body):
    with edge.client("http") as client:
        response = client.ask(get("/files/", "meet.example", f"Range: {range_}"))
        assert response.status == status
        if body is not None:
            assert response.body == body
        if status == 206:
            begin = b"<p>index</p>".index(body)
            assert response.get("Content-Range") == f"bytes {begin}-{begin + len(body) - 1}/12"
        assert client.ask(get("/teapot")).status == 418


def test_a_large_file(edge, files):
    with edge.client("http") as client:
        before = edge.resident_bytes()
        body = client.ask(get("/files/large.bin")).body
        assert body == (files / "www" / "large.bin").read_bytes()
        assert edge.resident_bytes() - before < 8 << 20


def test_a_folder_without_its_slash(edge):
    with edge.client("http") as client:
        response = client.ask(get("/files/sub"))
        assert response.status == 301 and response.get("Location") == "/files/sub/"
        assert client.ask(get("/files/empty/")).status == 404
        assert client.ask(post("/files/", b"")).status == 405


# All of them with what nginx and browsers normalise, and what they do not.
OUT = ["/files/../secret.txt", "/files/%2e%2e/secret.txt", "/files/.%2E/secret.txt",
       "/files/..%2fsecret.txt", "/files/%2e%2e%2fsecret.txt", "/files/..%5csecret.txt",
       "/files/..\\secret.txt", "/files/sub/../../secret.txt", "/files/%252e%252e/secret.txt",
       "/files/..;/secret.txt", "/files/%c0%ae%c0%ae/secret.txt", "/files/./../secret.txt",
       "/files//../secret.txt", "/files/..%00/secret.txt", "/files/secret.txt%00.html",
       "/files/..", "/files/%2e%2e", "/x/../files/../secret.txt", "/files/out.txt",
       "/files/out/secret.txt", "/files//etc/passwd", "/files/%2fetc/passwd",
       "/files/...//secret.txt", "/files/sub/%2e%2e/%2e%2e/secret.txt"]


@pytest.mark.parametrize("path", OUT)
def test_nothing_outside_is_served(edge, origin, path):
    with edge.client("http") as client:
        response = client.ask(get(path))
        assert response.status in (400, 403, 404) and b"SECRET" not in response.body
        assert b"root:" not in response.body
    assert origin.received == b""


def test_what_is_no_file(edge):
    with edge.client("http") as client:
        assert client.ask(get("/files/pipe")).status == 403


# ------------------------------------------------------------------------------------------ access

def basic(credentials):
    return "Authorization: Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize("fields,status", [
    ([], 401), ([basic("alice:open sesame")], 200), ([basic("alice:wrong")], 401),
    ([basic("nobody:open sesame")], 401), (["Authorization: Basic !!!"], 401),
    (["Authorization: Bearer x"], 401)])
def test_basic_auth(edge, origin, fields, status):
    with edge.client("http") as client:
        for _ in range(2):  # the second time it may be remembered
            response = client.ask(get("/private", "meet.example", *fields))
            assert response.status == status
            if status == 401:
                assert response.get("WWW-Authenticate").startswith('Basic realm="here"')
    assert len(origin.requests) == (2 if status == 200 else 0)
    assert b"authorization" not in origin.received.lower()


def test_a_client_that_goes_while_it_is_checked(edge, origin):
    """What is found out about it reaches nobody; and who guesses is in nobody's way but its own."""
    for number in range(20):
        client = edge.client("http", source="127.0.9.3")
        client.send(get("/private", "meet.example", basic(f"alice:wrong{number}")))
        client.reset() if number % 2 else client.close()
    with edge.client("http") as client:
        assert client.ask(get("/private", "meet.example", basic("alice:open sesame"))).status == 200
    assert len(origin.requests) == 1


@pytest.mark.parametrize("cookie,status", [
    (None, 403), ("pass=good-token_1", 200), ("a=b; pass=good-token_1; c=d", 200),
    ("pass=unknown", 403), ("pass=linked", 403), ("pass=../tokens/good-token_1", 403),
    ("pass=", 403), ("pass=.", 403), ("xpass=good-token_1", 403),
    ("pass=x; pass=good-token_1", 403), ("pass=" + "a" * 5000, 403)])
def test_cookie_token(edge, origin, cookie, status):
    with edge.client("http") as client:
        fields = [f"Cookie: {cookie}"] if cookie is not None else []
        assert client.ask(get("/token", "meet.example", *fields)).status == status
    assert len(origin.requests) == (1 if status == 200 else 0)


def test_sources_of_a_route(edge, origin):
    for source, status in (("127.0.0.1", 403), ("127.0.7.9", 200)):
        with edge.client("http", source=source) as client:
            assert client.ask(get("/inside")).status == status


def test_rate_of_a_source(edge, origin):
    with edge.client("http", source="127.0.8.1") as client:
        statuses = [client.ask(get("/limited")).status for _ in range(20)]
    assert statuses[0] == 200 and statuses[-1] == 429 and statuses.count(200) < 10
    with edge.client("http", source="127.0.8.2") as client:
        assert client.ask(get("/limited")).status == 200
        assert client.ask(get("/")).status == 200


def test_rates_of_routes_are_apart(own_edge, origin):
    """Each listener's site numbers its routes anew, but a limit is a route's: behind two listeners it
    is one, and what it knows of a source outlasts a reload."""
    lab = own_edge
    for name in ("first", "second"):
        lab.host(name, [f"{name}.example"], [
            {"path": "/", "name": "all", "respond": {"status": 204}, "requests_per_source": 1}])
        lab.listener(name, hosts=[name])
    lab.listener("third", hosts=["first"])
    lab.start()

    def ask(listener, host):
        with lab.client(listener, source="127.0.8.9") as client:
            return client.ask(get("/", f"{host}.example")).status

    def used(host):
        rows = [row for row in lab.ask("sources")["by_requests"] if row["host"] == host]
        assert all((row["source"], row["route"]) == ("127.0.8.9", "all") for row in rows)
        return [(row["requests"], row["refused"]) for row in rows]
    assert ask("first", "first") == 204
    assert used("first") == [(1, 0)] and used("second") == []
    assert ask("second", "second") == 204
    assert used("first") == [(1, 0)] and used("second") == [(1, 0)]
    ask("third", "first")
    assert sum(used("first")[0]) == 2 and used("second") == [(1, 0)]
    before = used("first")
    lab.edge["hosts"][-1]["routes"][0].pop("requests_per_source")  # of "second"
    lab.edge["hosts"][-2]["routes"].insert(0, {"path": "/new", "respond": {"status": 204}})
    lab.reload()
    assert used("first") == before and used("second") == []
    ask("first", "first")
    assert sum(used("first")[0]) == 3


# ------------------------------------------------------------------------------------------- log

def test_a_line_of_the_access_log(edge, origin):
    origin.answer = lambda connection, request: connection.send(ok(b"12345"))
    with edge.client("http", source="127.0.6.1") as client:
        client.ask(post("/private/%41?pwd=hidden&x=1&token=hidden", b"body", basic(
            "alice:open sesame")))
        port = client.local[1]
    line, = edge.wait_access(f"client=127.0.6.1:{port}")
    assert "hidden" not in line and "sesame" not in line
    before, after = line.split(" duration=")
    assert before == (f'event=request listener="http" client=127.0.6.1:{port} host="meet.example" '
                      'method="POST" path="/private/%41?pwd=***&x=1&token=***" '
                      'protocol="HTTP/1.1" status=200 bytes_in=4 bytes_out=5')
    duration, rest = after.split(" ", 1)
    assert 0 <= float(duration) < 5
    assert rest == ('upstream="origin" server="127.0.0.1:9001" route="/private" user="alice" '
                    'tls=- sni=- error=-')


def test_no_line_can_be_forged(edge, origin):
    with edge.client("http", source="127.0.6.2") as client:
        client.ask(get("/private/%22", "meet.example", basic('al"ice\\ event=x:pw')))
        port = client.local[1]
    lines = edge.wait_access(f"client=127.0.6.2:{port}")
    assert len(lines) == 1 and 'user="al\\x22ice\\x5c event=x"' in lines[0]


def test_lines_of_tls(edge, origin, client_tls):
    with edge.client("https", source="127.0.6.3", tls=client_tls) as client:
        client.ask(get("/"))
    line, = edge.wait_access("client=127.0.6.3:")
    assert 'tls="TLSv1.3" sni="meet.example"' in line


@pytest.mark.parametrize("data,status,known", [
    (b"nonsense\r\n\r\n", 400, 'host=- method=- path=- protocol=-'),
    (b"GET /x?pwd=hidden HTTP/1.1\r\nA : b\r\n\r\n", 400,
     'host=- method="GET" path="/x?pwd=***" protocol="HTTP/1.1"'),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414, "host=- method=- path=- protocol=-"),
    (b"GET / HTTP/2.0\r\n\r\n", 505, "host=- method=- path=- protocol=-"),
    (b"BREW / HTTP/1.1\r\nHost: meet.example\r\n\r\n", 501, 'host=- method="BREW" path="/"'),
    (get("/y", "nobody.example"), 421,
     'host="nobody.example" method="GET" path="/y" protocol="HTTP/1.1"')],
    ids=["nonsense", "field", "target", "version", "method", "misdirected"])
def test_lines_of_requests_of_no_host(edge, data, status, known):
    with edge.client("http", source="127.0.6.5") as client:
        assert client.send(data).response().status == status
        port = client.local[1]
    line, = edge.wait_access(f"client=127.0.6.5:{port}")
    assert f'event=request listener="http" client=127.0.6.5:{port} {known}' in line
    assert f"status={status} bytes_in=0 " in line and "upstream=- server=- route=-" in line
    assert "hidden" not in line and not line.endswith("error=-")


def test_lines_of_http2(edge, files):
    tls = ssl.create_default_context(cafile=files / "meet.pem")
    tls.set_alpn_protocols(["h2"])
    client = H2Client(edge.port("https"), tls)
    port = client.client.local[1]
    assert client.statuses[client.ask("/teapot")] == 418
    assert client.statuses[client.ask("/y?token=hidden", host="nobody.example")] == 421
    assert client.statuses[client.ask("/z", ("authorization", "Basic YTpi"),
                                      ("authorization", "Basic Yzpk"))] == 400
    client.close()
    lines = edge.wait_access(f'listener="https" client=127.0.0.1:{port}', 3)
    for line, known in zip(lines, (
            'host="meet.example" method="GET" path="/teapot" protocol="HTTP/2" status=418',
            'host="nobody.example" method="GET" path="/y?token=***" protocol="HTTP/2" status=421',
            'host="meet.example" method="GET" path="/z" protocol="HTTP/2" status=400')):
        assert known in line and 'sni="meet.example"' in line
    assert len(lines) == 3 and 'error="field twice of which there is one"' in lines[2]


def test_line_of_a_head_that_does_not_end(edge):
    with edge.client("short", source="127.0.6.6") as client:
        assert client.send(b"GET / HTTP/1.1\r\nHost: me").response().status == 408
    line, = edge.wait_access("client=127.0.6.6:")
    assert "status=408" in line and 'error="head not whole in time"' in line


def test_lines_of_handshakes_that_fail(edge, files):
    with edge.client("https", source="127.0.6.7") as silent:
        silent.end()
        silent.assert_closed()
    strict = ssl.create_default_context()
    strict.check_hostname, strict.verify_mode = False, ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionError)):
        edge.client("strict", source="127.0.6.8", tls=strict, name="nobody.example")
    line, = edge.wait_access("client=127.0.6.8:")
    assert 'event=connection listener="strict"' in line and 'error="TLS handshake: ' in line
    assert "status=- " in line and "host=- method=- path=-" in line
    assert not edge.access_lines("client=127.0.6.7:")


def test_log_file_belongs_to_its_owner(edge):
    edge.wait_access("event=")
    assert os.stat(edge.access_path).st_mode & 0o007 == 0
