"""As test_differential.py, with HTTP/2: what becomes of it is HTTP/1.1 at each of the three servers."""

import socket
import ssl

import pytest
from corpus import PATHS
from hpack import Encoder
from hpack.struct import HeaderTuple
from test_differential import described, disagreements, ours, others, show  # noqa: F401 (fixtures)
from wire import PATIENCE

pytestmark = pytest.mark.slow
DATA, HEADERS, RESET, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS = 1, 4
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE
TLS.set_alpn_protocols(["h2"])
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: meet.example\r\n\r\n"


def frame(kind, flags, payload, stream=1):
    return (len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
            + payload)


def block(fields):
    """As they are, whatever is in them; HPACK does not care."""
    return Encoder().encode([HeaderTuple(*(part.encode("latin-1") for part in field))
                             for field in fields], huffman=False)


def h2(*more, body=None, trailers=None, end=True, front=(), **pseudo):
    """A request as frames: pseudo fields by name, None for one that is not there."""
    all_ = {"method": "GET" if body is None else "POST", "scheme": "https", "path": "/",
            "authority": "meet.example", **pseudo}
    fields = [*front, *((f":{name}", value) for name, value in all_.items() if value is not None),
              *more]
    last = END_STREAM if end else 0
    frames = frame(HEADERS, END_HEADERS | (last if body is None and trailers is None else 0),
                   block(fields))
    if body is not None:
        frames += frame(DATA, last if trailers is None else 0, body)
    if trailers is not None:
        frames += frame(HEADERS, END_HEADERS | last, block(trailers))
    return frames


def pseudo_fields():
    odd = ["", " ", "\r\n", "\0", "a b", "a\tb", "a\r\nb: c", "a\nb", "a\rb", "A", "a\x7f", "\xff",
           f"/ HTTP/1.1\r\nHost: meet.example\r\n\r\n{SMUGGLED}"]
    found = {f"{name} {str(value)[:30]!r}": h2(**{name: value})
             for name in ("method", "scheme", "path", "authority") for value in [None, *odd]}
    found |= {f"{name} twice": h2((f":{name}", "x")) for name in ("method", "scheme", "path", "authority")}
    found |= {f"method {value!r}": h2(method=value) for value in (
        "get", "GET /private HTTP/1.1", "GET ", " GET", "GET\t", "CONNECT", "TRACE", "HEAD", "OPTIONS", "G(T",
        "GET:", "PROPFIND", "PRI")}
    found |= {f"scheme {value!r}": h2(scheme=value) for value in (
        "http", "HTTPS", "ftp", "https://evil.example/?", "https:", "ht tps", "h\ttps", "wss")}
    found |= {f"authority {value!r}": h2(authority=value) for value in (
        "meet.example:443", "MEET.example", "meet.example.", "evil.example", "a@meet.example", "meet.example/x",
        "meet.example, a", "meet.example:99999", "meet.example:", "meet.example evil", "meet.example\\a",
        "meet.example?a", "meet.example#a", "https://meet.example")}
    found |= {f"path {value!r}": h2(path=value) for value in (
        "*", "a", "?a", "http://evil.example/", "https://meet.example/", "//evil.example/", "/a b", "/a\tb",
        "/ HTTP/1.1", "/#", "/a?b#c", "@evil.example/", ":80/", *PATHS)}
    host = lambda value: ("host", value)
    return found | {
        "host the same": h2(host("meet.example")), "host of another": h2(host("evil.example")),
        "host alone": h2(host("meet.example"), authority=None), "host empty": h2(host("")),
        "host twice": h2(host("meet.example"), host("meet.example")),
        "host twice alone": h2(host("meet.example"), host("evil.example"), authority=None),
        "host in other case": h2(host("MEET.EXAMPLE")), "host with port": h2(host("meet.example:443")),
        "host with CRLF": h2(host("meet.example\r\nX: y")),
        "neither": h2(authority=None), "unknown": h2((":other", "x")), "status": h2((":status", "200")),
        "protocol": h2((":protocol", "websocket")), "behind a field": h2((":path", "/x"), path=None,
                                                                     front=[("a", "b")]),
        "websocket": h2((":protocol", "websocket"), ("sec-websocket-version", "13"), method="CONNECT"),
        "CONNECT alone": h2(method="CONNECT", scheme=None, path=None),
        "OPTIONS *": h2(method="OPTIONS", path="*"),
    }


def fields():
    names = ["", " ", "A", "Content-Length", "a b", "a:", ":a", "a\r\nb", "a\n", "a\0", "a\x7f", "a\t", "\xff",
             "a(", "a/", "a_b", "a.b", "a!", "x_real_ip", "x-forwarded_for", "transfer_encoding",
             "content_length", "a\r\nTransfer-Encoding: chunked\r\nb", "transfer-encoding "]
    values = ["", " ", " a", "a ", "\ta", "a\r\nX: y", "a\nX: y", "a\rX: y", "a\0b", "a\x01", "a\x7f", "\xff",
              f"a\r\n\r\n{SMUGGLED}", "a" * 5000]
    kinds = [("connection", "close"), ("connection", "keep-alive"), ("connection", "a"), ("keep-alive", "a"),
             ("proxy-connection", "close"), ("transfer-encoding", "chunked"), ("transfer-encoding", ""),
             ("transfer-encoding", "identity"), ("te", "trailers"), ("te", "gzip"), ("te", "trailers, gzip"),
             ("upgrade", "h2c"), ("upgrade", "websocket"), ("http2-settings", "AAMAAABk"), ("trailer", "host"),
             ("expect", "100-continue"), ("expect", "x"), ("x-real-ip", "6.6.6.6"), ("x-forwarded-for", "6.6.6.6"),
             ("x-forwarded-host", "evil.example"), ("cookie", "a=b"), ("content-type", "a/b"), ("via", "1.1 a")]
    found = {f"name {name[:30]!r}": h2((name, "x")) for name in names}
    found |= {f"value {value[:30]!r}": h2(("a", value)) for value in values}
    found |= {f"{name}: {value}": h2((name, value)) for name, value in kinds}
    found |= {f"{name}: {value} with a body": h2((name, value), body=b"5\r\nhello\r\n0\r\n\r\n")
              for name, value in kinds}
    return found | {"two cookies": h2(("cookie", "a=b"), ("cookie", "c=d"))}


def bodies():
    smuggled = SMUGGLED.encode()
    chunks = b"0\r\n\r\n" + smuggled

    def length(value):
        return "content-length", value
    found = {f"length {value!r}": h2(length(value), body=b"hello") for value in (
        "5", "0", "4", "6", "05", "+5", "-5", " 5", "5 ", "0x5", "5, 5", "", "five", "5\r\nX: y", "5\0",
        "18446744073709551621", "00000000000000000000005", "5\t", "5;5", '"5"')}
    return found | {
        "no length": h2(body=b"hello"), "smuggled": h2(body=smuggled), "chunks": h2(body=chunks),
        "length 0 and smuggled": h2(length("0"), body=smuggled),
        "length and a coding": h2(length("5"), ("transfer-encoding", "chunked"), body=chunks),
        "two lengths": h2(length("5"), length("5"), body=b"hello"),
        "two lengths that differ": h2(length("5"), length("4"), body=b"hello"),
        "length without a body": h2(length("5")), "length 0 without a body": h2(length("0")),
        "length and empty": h2(length("5"), body=b""), "empty": h2(body=b""),
        "of GET": h2(body=smuggled, method="GET"), "of HEAD": h2(body=smuggled, method="HEAD"),
        "of DELETE": h2(body=smuggled, method="DELETE"), "of OPTIONS": h2(body=b"a", method="OPTIONS"),
        "no end": h2(body=b"hello", end=False), "no end with length": h2(length("5"), body=b"hello", end=False),
        "no end of less": h2(length("9"), body=b"hello", end=False),
        "trailers": h2(body=b"hello", trailers=[("a", "b")]),
        "trailers with length": h2(body=b"hello", trailers=[length("4")]),
        "trailers with a coding": h2(body=b"hello", trailers=[("transfer-encoding", "chunked")]),
        "trailers with host": h2(body=b"hello", trailers=[("host", "evil.example")]),
        "trailers with a pseudo field": h2(body=b"hello", trailers=[(":path", "/x")]),
        "trailers with CRLF": h2(body=b"hello", trailers=[("a", f"b\r\n\r\n{SMUGGLED}")]),
        "trailers with a capital": h2(body=b"hello", trailers=[("A", "b")]),
        "trailers without end": h2(body=b"hello", trailers=[("a", "b")], end=False),
        "data behind the end": h2(body=b"hello") + frame(DATA, END_STREAM, smuggled),
        "head behind the end": h2() + h2(path="/x"),
        "data without a head": frame(DATA, END_STREAM, smuggled),
        "two streams": h2(path="/one") + h2(path="/two").replace(b"\0\0\0\1", b"\0\0\0\3", 1),
        "even stream": h2().replace(b"\0\0\0\1", b"\0\0\0\2", 1),
    }


CORPUS = {"pseudo fields": pseudo_fields(), "fields": fields(), "bodies": bodies()}
# (who refuses it, which, why the edge takes it)
ALLOWED = [
    ("nginx", "host the same", "RFC 9113 section 8.3.1: beside :authority it may be there"),
    ("nginx", "host in other case", "the same"),
    ("nginx", "no end with length", "it waits for the stream's end; the edge and HAProxy for the "
     "body's, and that has come"),
    ("nginx", "trailers", "it knows none. They are not passed on"),
    ("nginx", "trailers with host", "the same"), ("haproxy", "trailers with host", "the same"),
]


def ask(peer, source, frames):
    """Sends, and reads until the streams or the connection end; False: neither."""
    expected = 2 if b"/two" in frames else 1
    with socket.socket() as plain:
        plain.bind((source, 0))
        plain.settimeout(15 * PATIENCE)
        try:
            plain.connect(("127.0.0.1", peer.secure))
            with TLS.wrap_socket(plain, server_hostname="meet.example") as sock:
                assert sock.selected_alpn_protocol() == "h2", peer.name
                sock.sendall(PREFACE + frame(SETTINGS, 0, b"", 0) + frames)
                return read(sock, expected)
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError):
            return True


def read(sock, streams):
    data, ended = b"", set()
    while got := sock.recv(65536):
        data += got
        while len(data) >= 9 and len(data) >= 9 + (size := int.from_bytes(data[:3], "big")):
            kind, flags, stream = data[3], data[4], int.from_bytes(data[5:9], "big")
            data = data[9 + size:]
            if kind == RESET or (kind in (DATA, HEADERS) and flags & END_STREAM):
                ended.add(stream)
            if kind == GOAWAY or len(ended) == streams:
                return True
    return True


@pytest.mark.parametrize("family", CORPUS)
def test_no_request_that_the_three_disagree_on_gets_through(ours, others, family):  # noqa: F811
    allowed = {(name, who, "refused") for who, name, _ in ALLOWED if name in CORPUS[family]}
    found = disagreements(ours, others, CORPUS[family], ask)
    met = {one[:3] for one in found}
    assert met <= allowed, described(one for one in found if one[:3] not in allowed)
    assert met == allowed, f"no longer needed in ALLOWED: {allowed - met}"


def test_the_three_pass_on_what_is_in_order(ours, others):  # noqa: F811
    assert sum(map(len, CORPUS.values())) > 250
    for peer in (ours, *others):
        taken = show(peer, {"good": CORPUS["bodies"]["length '5'"]}, ask)["good"]
        assert [one.meaning for one in taken] == [("POST", "meet.example", "/", b"hello")], peer.name
