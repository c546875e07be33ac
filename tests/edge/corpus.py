"""Requests that servers are known to read in different ways: {family: {name: bytes}}.

By hand from RFC 9112 and 9110 and from what is known of request smuggling, and all combinations of
what such requests are made of. The same on each run.
"""

import itertools

import test_hostile
from test_hostile import CHUNKED, HOST, NEXT, line, request

KEY = (b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
       b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
ZERO = b"0\r\n\r\n"


def named(values):
    """The name of each is what it is, as far as that is short."""
    return {f"{number} {value[:70]!r}": value for number, value in enumerate(values)}


def by_hand():
    """What tests/edge/test_hostile.py has, where something follows that must not be a request."""
    found = {f"refused {name}": data + (b"" if name in test_hostile.IN_ORDER else NEXT)
             for name, (_, data) in test_hostile.REFUSED.items()}
    found |= {f"chunks {name}": request(CHUNKED, body) + NEXT
              for name, body in test_hostile.BAD_CHUNKS.items()}
    return found | {f"taken {name}": data + NEXT for name, data in test_hostile.TAKEN.items()}


CODINGS = [
    b"Transfer-Encoding: chunked", b"transfer-encoding: chunked", b"TRANSFER-ENCODING: CHUNKED",
    b"Transfer-Encoding:chunked", b"Transfer-Encoding:\tchunked", b"Transfer-Encoding:  chunked  ",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked", b" Transfer-Encoding: chunked",
    b"X: x\r\n Transfer-Encoding: chunked", b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: chunk\r\n ed", b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: chunked\x0b", b"Transfer-Encoding: chunked\x0c",
    b"Transfer-Encoding: chunked\0", b"Transfer-Encoding: \0chunked",
    b"Transfer-Encoding: \x00", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunkedx",
    b"Transfer-Encoding: 'chunked'", b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: chunked;a=b", b"Transfer-Encoding: chunked,", b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: cow", b"Transfer-Encoding:", b"Transfer_Encoding: chunked",
    b"Transfer.Encoding: chunked", b"Transfer-Encoding\0: chunked", b"Transfer-Encod\xefng: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow",
    b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked",
    b"X: y\r\r\nTransfer-Encoding: chunked", b"X:\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\nX: y", b"TE: chunked", b"Content-Encoding: chunked",
    b"Transfer-Encoding: \xffchunked", b"Transfer-Encoding: chunked\xa0",
    b"Transfer-Encoding: ch\xc5\xabnked", b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
]
LENGTHS = [
    b"Content-Length: 5", b"Content-Length: +5", b"Content-Length: -5", b"Content-Length: 05",
    b"Content-Length: 0x5", b"Content-Length: 5.0", b"Content-Length: 5e0", b"Content-Length: 5,",
    b"Content-Length: 5, 5", b"Content-Length: 5;5", b"Content-Length: 5 5", b"Content-Length:5",
    b"Content-Length:\t5", b"Content-Length: 5 ", b"Content-Length: 5\t", b"Content-Length: \x0b5",
    b"Content-Length: 5\0", b'Content-Length: "5"', b"Content-Length : 5", b"Content-Length\t: 5",
    b"Content-Length:\r\n 5", b"Content-Length: 5\r\n 0", b"Content-Length:", b"Content-Length: ",
    b"Content-Length: 0\r\nContent-Length: 5", b"Content-Length: 5\r\nContent-Length: 0",
    b"Content-Length: 5\r\nContent-Length: 5", b"Content-Length: 05\r\nContent-Length: 5",
    b"Content-Length: 5\r\ncontent-length: 5", b"Content_Length: 5", b"Content.Length: 5",
    b"Content-Length: 5\r\nContent_Length: 0", b"Content Length: 5", b"Content-Length 5",
    b"Content-Length: 4294967301", b"Content-Length: 18446744073709551621",
    b"Content-Length: 9223372036854775813", b"Content-Length: 00000000000000000000000000000005",
    b"Content-Length: \xb2", b"Content-Length: 5\xa0", b"Content-Length: five",
    b"Connection: Content-Length\r\nContent-Length: 5", b"X: y\nContent-Length: 5",
    b"X: y\rContent-Length: 5", b"Content-Length: 5\nX: y", b"Content-Length: 5\r\r\nX: y",
    b"Content-Length: 1_0", b"Content-Length: 5#", b"Content-Length: (5)", b"Content-Length: 0",
]
CHUNKS = [
    b"5\r\nhello\r\n0\r\n\r\n", b"05\r\nhello\r\n00\r\n\r\n", b"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"5;a\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\n\r\n", b'5;a="b"\r\nhello\r\n0\r\n\r\n',
    b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n', b"5;a\nhello\r\n0\r\n\r\n", b"5;\n\r\nhello\r\n0\r\n\r\n",
    b"5;a\rb\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\t\r\nhello\r\n0\r\n\r\n",
    b"5 ;a\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n", b"\t5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5x\r\nhello\r\n0\r\n\r\n", b"5h\r\nhello\r\n0\r\n\r\n", b"5_0\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n", b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n", b"5\rhello\r0\r\r", b"5\r\nhello0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n",
    b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello\r\n0\n\n", b"5\r\nhello\r\n0\r\n\n",
    b"5\r\nhello\r\n0;a\r\n\r\n", b"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n",
    b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n", b"5\r\nhello\r\n0\r\nHost: evil\r\n\r\n",
    b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\nA : b\r\n\r\n",
    b"5\r\nhello\r\n0\r\nA\r\n\r\n", b"5\r\nhello\r\n0\r\nA: b\n\r\n", b"5\r\nhello\r\n0\r\nA: \0\r\n\r\n",
    b"100000005\r\nhello\r\n0\r\n\r\n", b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", b"00000000000000000005\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n-0\r\n\r\n", b"5\r\nhello\r\n\r\n0\r\n\r\n", b"5\0\r\nhello\r\n0\r\n\r\n",
    b"A\r\nhellohello\r\n0\r\n\r\n", b"a\r\nhellohello\r\n0\r\n\r\n", b"0\r\n\r\n", b"0\r\n\r\n\r\n",
    b"5\r\nhello\r\n0\r\n", b"5\r\nhello\r\n", b"5\r\nhel", b"5;" + b"a" * 5000 + b"\r\nhello\r\n" + ZERO,
]
LINES = [
    b"GET / HTTP/1.1", b"GET / HTTP/1.0", b"GET / HTTP/0.9", b"GET /", b"GET / HTTP/2", b"GET / HTTP/2.0",
    b"GET / HTTP/1.2", b"GET / HTTP/1.9", b"GET / HTTP/1.01", b"GET / HTTP/01.1", b"GET / HTTP/1.1.1",
    b"GET / HTTP/1,1", b"GET / HTTP/11", b"GET / HTTP/1.", b"GET / HTTP/.1", b"GET / HTTP/1.1x",
    b"GET / Http/1.1", b"GET / XTTP/1.1", b"GET / HTTP /1.1", b"GET / HTTP/ 1.1", b"GET / HTTP/+1.1",
    b"GET / HTTP/3.0", b"GET / RTSP/1.0", b"GET / ICE/1.0", b"GET  / HTTP/1.1", b"GET /  HTTP/1.1",
    b"GET\t/ HTTP/1.1", b"GET /\tHTTP/1.1", b" GET / HTTP/1.1", b"GET / HTTP/1.1 ",
    b"GET / HTTP/1.1\t", b"GET /a b HTTP/1.1", b"GET /\x0b HTTP/1.1", b"GET\x0b/ HTTP/1.1",
    b"GET / \x0cHTTP/1.1", b"G\0T / HTTP/1.1", b"GET /\r HTTP/1.1", b"GET / HTTP/1.1\r", b"\rGET / HTTP/1.1",
    b"\nGET / HTTP/1.1", b"\r\nGET / HTTP/1.1", b"\r\n\r\n\r\nGET / HTTP/1.1", b"G(T / HTTP/1.1",
    b"get / HTTP/1.1", b"GETX / HTTP/1.1", b"GE:T / HTTP/1.1", b"POST / HTTP/1.1", b"PUT / HTTP/1.1",
    b"DELETE / HTTP/1.1", b"PATCH / HTTP/1.1", b"HEAD / HTTP/1.1", b"OPTIONS / HTTP/1.1",
    b"GET * HTTP/1.1", b"OPTIONS ** HTTP/1.1", b"TRACE / HTTP/1.1",
    b"CONNECT / HTTP/1.1", b"CONNECT meet.example:80 HTTP/1.1", b"CONNECT meet.example HTTP/1.1",
    b"PROPFIND / HTTP/1.1", b"M-SEARCH * HTTP/1.1", b"PRI * HTTP/2.0", b"GET http:/ HTTP/1.1",
    b"GET https://meet.example/ HTTP/1.1", b"GET HTTP://meet.example/ HTTP/1.1",
    b"GET http://meet.example HTTP/1.1", b"GET http://meet.example?a HTTP/1.1",
    b"GET http://MEET.example/ HTTP/1.1", b"GET http://meet.example:80/ HTTP/1.1",
    b"GET http://meet.example:/ HTTP/1.1", b"GET http://evil.example/ HTTP/1.1",
    b"GET http://meet.example@evil.example/ HTTP/1.1", b"GET http://evil.example@meet.example/ HTTP/1.1",
    b"GET http://meet.example\\@evil.example/ HTTP/1.1", b"GET http://meet.example#@evil.example/ HTTP/1.1",
    b"GET //evil.example/ HTTP/1.1", b"GET meet.example/ HTTP/1.1", b"GET evil.example:80 HTTP/1.1",
    b"GET ?a HTTP/1.1", b"GET @evil.example/ HTTP/1.1", b"GET .evil.example/ HTTP/1.1",
    b"GET ws://meet.example/ HTTP/1.1", b"GET file:///etc/passwd HTTP/1.1", b"GET :80/ HTTP/1.1",
    b"GET http:///private HTTP/1.1", b"GET http://meet.example/private HTTP/1.1",
]
HOSTS = [
    b"Host: meet.example", b"host:meet.example", b"HOST: MEET.EXAMPLE", b"Host: meet.example.",
    b"Host: meet.example:80", b"Host: meet.example:8080", b"Host: meet.example:", b"Host: meet.example:0",
    b"Host: meet.example:080", b"Host: meet.example:65536", b"Host: meet.example:80x",
    b"Host: meet.example:80:80", b"Host: meet.example:@evil.example", b"Host: evil.example", b"Host:", b"",
    b"Host: meet.example\r\nHost: meet.example", b"Host: meet.example\r\nHost: evil.example",
    b"Host: evil.example\r\nHost: meet.example", b"Host: meet.example\r\nhost:", b"Host:\r\nHost: meet.example",
    b"Host: meet.example, evil.example", b"Host: meet.example evil.example", b"Host: meet.example/evil",
    b"Host: meet.example?evil", b"Host: meet.example#evil", b"Host: evil@meet.example",
    b"Host: meet.example\\evil", b"Host: meet.example\0", b"Host: meet.example\x0b", b"Host: meet.example\t",
    b"Host : meet.example", b"Host\t: meet.example", b" Host: meet.example", b"X: y\r\n Host: meet.example",
    b"Host:\r\n meet.example", b"Host: meet.example\r\n .evil.example", b"X: y\nHost: meet.example",
    b"Host: meet.example\nHost: evil.example", b"Host: meet.example\rHost: evil.example",
    b"Host: meet.ex%61mple", b"Host: meet..example", b"Host: .meet.example", b"Host: meet.example..",
    b"Host: http://meet.example", b"Host: [::1]", b"Host: [meet.example]", b"Host: meet_example",
    b"Host: meet.example\r\nX_Forwarded_Host: evil.example", b"Host: m\xc3\xa9et.example",
    b"Host: meet.example\r\nHost\x00: evil.example", b"Host: 'meet.example'", b"Host: meet.example;a",
]
PATHS = [
    "/", "//", "///a", "/./", "/a/./b", "/a/../b", "/..", "/../", "/.", "/a/..", "/...", "/..a/", "/a//b",
    "/private", "//private", "/private/", "/./private", "/a/../private", "/PRIVATE", "/private;a", "/private/x",
    "/%70rivate", "/%50rivate", "/privat%65", "/private%2f", "/private%2Fx", "/private%5cx", "/private\\x",
    "/private%00", "/private%20", "/private%09", "/private.", "/private%3b", "/private%3fa", "/private?a",
    "/private%23", "/a/%2e%2e/private", "/a/%2e./private", "/a/.%2e/private", "/a%2f..%2fprivate",
    "/a/..;/private", "/a/..%3b/private", "/a/%252e%252e/private", "/%2f/private", "/%2fprivate",
    "/a/..%5cprivate", "/a\\..\\private", "/%c0%ae%c0%ae/private", "/%e0%80%ae/", "/%u002e/", "/%", "/%4",
    "/%zz", "/%00", "/%0d%0aX:%20y", "/%0a", "/%7f", "/%ff", "/%c3%a9", "/\xc3\xa9", "/a|b", "/a[b]", "/a{b}",
    "/a^b", "/a`b", "/a\"b", "/a<b>", "/a#b", "/#", "/a?b#c", "/?a=b?c", "/?", "/a?%00", "/?a\\b", "/a?\x7f",
    "/a\x01b", "/a%41b", "/a%7Eb", "/a%2Bb", "/a+b", "/a;b=c", "/a,b", "/a:b", "/a@b", "/*", "/a%2", "/~a",
    "/.well-known/x", "/a/.b", "/a/b.", "/%2e", "/%2e%2e", "/a/%2e", "/a?../private", "/?x=/../private",
]
FIELDS = [
    b"A: b", b"A:b", b"A:\tb\t", b"A:", b"A: ", b"A : b", b"A\t: b", b" A: b", b"A: b\r\n c", b"A: b\r\n\tc",
    b"A: b\r\n ", b": b", b":", b"A", b"A b: c", b"A\x0b: b", b"A\0: b", b"A: b\0c", b"A: b\x01c", b"A: b\x7fc",
    b"A: b\rc", b"A: b\r\r\nX: y", b"A: b\nX: y", b"A: b\n c", b"A: \xff\xfe", b"\xff: b", b"A(: b", b"A,: b",
    b"A/: b", b"A@: b", b"A[: b", b'A": b', b"A{: b", b"A_B: c", b"A.B: c", b"A!#$%&'*+-^`|~: b", b"0: 1",
    b"A: " + b"b" * 5000, b"A" * 200 + b": b", b"A: b\r\n" * 60 + b"A: b", b"Connection: close",
    b"Connection: keep-alive", b"Connection: close, keep-alive", b"Connection: A\r\nA: b",
    b"Connection: Host", b"Connection: close, Host", b"Connection: X-Real-IP", b"Connection: ,,close",
    b"Connection: A B", b"Connection: \xff", b"Keep-Alive: timeout=99", b"Proxy-Connection: keep-alive",
    b"TE: trailers", b"TE: gzip", b"Trailer: Host", b"Upgrade: h2c", b"Upgrade: h2c\r\nConnection: Upgrade",
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings",
    b"Upgrade: websocket\r\nConnection: Upgrade", b"Upgrade: WebSocket, h2c\r\nConnection: Upgrade",
    b"Upgrade: TLS/1.0\r\nConnection: Upgrade", KEY[:-2], KEY.replace(b"13", b"12")[:-2],
    KEY[:-2] + b"\r\nUpgrade: h2c", KEY.replace(b"websocket", b"web socket")[:-2],
    b"Expect: 100-continue", b"Expect: 100-Continue", b"Expect: 100-continue, x", b"Expect: x", b"Expect:",
    b"Expect: 100-continue\r\nExpect: 100-continue", b"Expect : 100-continue", b"X-Real-IP: 6.6.6.6",
    b"X_Real_IP: 6.6.6.6", b"X-Forwarded-For: 6.6.6.6", b"X_Forwarded_For: 6.6.6.6", b"Content-Type: a/b",
    b"X-HTTP-Method-Override: DELETE", b"X-Original-URL: /private", b"X-Rewrite-URL: /private",
    b"Range: bytes=0-", b"Max-Forwards: 0", b"Via: 1.1 x", b"Forwarded: host=evil.example",
]
BODIES = {"length": b"hello", "chunks": b"5\r\nhello\r\n0\r\n\r\n", "zero": ZERO, "inner": ZERO + NEXT}


def combinations():
    """Two of what frames a body, in either order, in both versions, with bodies of either kind."""
    found = {}
    codings = [CODINGS[number] for number in (0, 6, 9, 12, 18, 25, 27, 33, 34, 38, 42)]
    lengths = [LENGTHS[number] for number in (0, 1, 8, 18, 22, 29, 49)]
    for (coding, length), order, version, body in itertools.product(
            itertools.product(codings, lengths), (0, 1), (b"1.1", b"1.0"), ("length", "inner")):
        both = (coding, length) if order else (length, coding)
        fields = b"".join(one + b"\r\n" for one in both)
        found[f"{both} {version} {body}"] = request(
            fields, BODIES[body], b"POST / HTTP/" + version) + NEXT
    return found


def pipelines():
    get, post = line(b"GET /one HTTP/1.1"), request(b"Content-Length: 5\r\n", b"hello")
    many = request(CHUNKED, BODIES["chunks"])
    close = request(b"Connection: close\r\n", b"", b"GET /last HTTP/1.1")
    old = line(b"GET /old HTTP/1.0")
    found = [get * 3, get + post, post + get, many + post + get, post * 3, get + close + NEXT, old + NEXT,
             get + b"\r\n" + NEXT, get + b"\r\n\r\n" + NEXT, get + b"\n" + NEXT, get + b"\0" + NEXT,
             get + b" " + NEXT, post + b"X" + NEXT, many + b"X" + NEXT, get + NEXT[:20],
             request(b"Content-Length: %d\r\n" % len(NEXT), NEXT), request(b"", NEXT),
             request(b"Content-Length: %d\r\n" % len(NEXT), NEXT, b"GET / HTTP/1.1"),
             request(b"Content-Length: %d\r\n" % len(NEXT), NEXT, b"HEAD / HTTP/1.1"),
             request(CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (len(NEXT), NEXT), b"GET / HTTP/1.1"),
             request(b"Content-Length: 5\r\n", NEXT), request(b"Content-Length: 99999\r\n", NEXT),
             request(b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello" + NEXT),
             request(b"Expect: 100-continue\r\n" + CHUNKED, BODIES["inner"]),
             request(KEY, NEXT, b"GET / HTTP/1.1"), request(KEY + b"Content-Length: 5\r\n", b"hello" + NEXT),
             request(KEY + CHUNKED, BODIES["inner"], b"GET / HTTP/1.1"), request(KEY, NEXT, b"POST / HTTP/1.1"),
             request(b"Content-Length: 44\r\n", NEXT, b"GET /private HTTP/1.1") + NEXT,
             request(b"Content-Length: 5\r\n", b"hello", b"POST /private HTTP/1.1") + NEXT,
             request(CHUNKED, BODIES["inner"], b"POST /private HTTP/1.1") + NEXT,
             line(b"OPTIONS * HTTP/1.1"), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + NEXT, b"\x16\x03\x01\x02\x00" + NEXT,
             b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + NEXT, b"GET /\r\n" + NEXT, b"\0" + NEXT]
    found += [request(b"Content-Length: 5\r\n", b"hello", method + b" / HTTP/1.1") + NEXT
              for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PUT", b"PATCH", b"TRACE", b"CONNECT")]
    return found


def corpus():
    return {
        "by hand": by_hand(),
        "codings": named(request(one + b"\r\n", BODIES["inner"]) + NEXT for one in CODINGS),
        "lengths": named(request(one + b"\r\n", BODIES["length"]) + NEXT for one in LENGTHS),
        "both": combinations(),
        "chunks": named(request(CHUNKED, one) + NEXT for one in CHUNKS),
        "lines": named(line(one) + NEXT for one in LINES),
        "hosts": named(line(b"GET / HTTP/1.1", one + b"\r\n" if one else b"") + NEXT for one in HOSTS)
        | named(line(b"GET http://meet.example/ HTTP/1.1", one + b"\r\n" if one else b"") for one in HOSTS),
        "paths": named(line(b"GET " + one.encode("latin-1") + b" HTTP/1.1") for one in PATHS),
        "fields": named(request(one + b"\r\n", b"", b"GET / HTTP/1.1") + NEXT for one in FIELDS),
        "pipelines": named(pipelines()),
    }
