"""The same bytes to the edge, to nginx and to HAProxy: no request that the three disagree on gets through
the edge.

What gets through is what a server behind it has seen: for each request its method, authority, path
after normalisation, and body. The edge may refuse what it likes. What it passes on whole, each of the
other two has passed on as well, as the same requests in the same order, or has refused; and where it
has refused, ALLOWED says why the edge need not. A request whose body does not come to its end is no
request, but what it began with must be the same: nginx passes nothing on before it has all, and the
other two do.
"""

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import peers
import pytest
from corpus import corpus
from peers import Message, read_messages
from test_hostile import NEXT, TAKEN
from wire import PATIENCE

pytestmark = pytest.mark.slow
CORPUS = corpus()
TAB = "RFC 9110 section 5.6.3: a tab is whitespace. It is not passed on"
# (who refuses it, what the request has, why the edge takes it)
ALLOWED = [
    ("nginx", b"Transfer-Encoding:\tchunked", TAB), ("nginx", b"Content-Length:\t5", TAB),
    ("nginx", b"Host: meet.example\t", TAB),
    ("haproxy", b"GET http://meet.example?a ", "RFC 9110 section 4.2.3: the path may be missing. It "
     "is / from here on"),
]


def judge(ours, theirs):
    """None, or ("refused" or "differs", why) of the first request that is not theirs as well."""
    for number, mine in enumerate(ours):
        if number == len(theirs):
            return ("refused", f"{mine} was passed on by the edge alone") if mine.whole else None
        other = theirs[number]
        if mine.beginning != other.beginning:
            return "differs", f"{mine} is {other}"
        if mine.whole and not other.whole:
            return "refused", f"the body of {mine} was passed on by the edge alone"
        if mine.whole and mine.meaning != other.meaning:
            return "differs", f"{mine} is {other}"
    return None


def ask(peer, source, data):
    """Sends, and reads until the connection ends; False: it did not."""
    with socket.socket() as sock:
        sock.bind((source, 0))
        sock.settimeout(15 * PATIENCE)
        try:
            sock.connect(("127.0.0.1", peer.port))
            with contextlib.suppress(ConnectionError):
                sock.sendall(data)
            while sock.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True


def source_of(number):
    return f"127.20.{number >> 8}.{number & 0xff}"


def show(peer, requests, ask):
    """{name: what its server has seen} of {name: bytes}, all sent at the same time."""
    sources = {name: source_of(number) for number, name in enumerate(requests)}
    with ThreadPoolExecutor(48) as pool:
        ended = list(pool.map(lambda name: ask(peer, sources[name], requests[name]), requests))
    peer.settle()
    seen = peer.recorder.take()
    left = set(seen) - set(sources.values())
    assert not left, f"{peer.name}: of no client: {[seen[one] for one in left]}"
    assert all(ended), f"{peer.name}: connections stay open"
    return {name: seen.get(sources[name], []) for name in requests}


def compare(mine, others, requests, ask=ask):
    """[(name, peer, kind, why)]"""
    with ThreadPoolExecutor(1 + len(others)) as pool:
        seen = dict(pool.map(lambda peer: (peer, show(peer, requests, ask)), (mine, *others)))
    found = []
    for name in requests:
        for message in seen[mine][name]:
            if why := message.not_canonical():
                found.append((name, mine.name, "not canonical", f"{message}: {why}"))
        for peer in others:
            if verdict := judge(seen[mine][name], seen[peer][name]):
                found.append((name, peer.name, *verdict))
    return found


def disagreements(mine, others, requests, ask=ask):
    """Those that are there again: on a busy machine a request may meet a proxy's timeout."""
    found = compare(mine, others, requests, ask)
    for _ in range(2):
        if found:
            found = compare(mine, others, {name: requests[name] for name, *_ in found}, ask)
    return found


def is_allowed(peer, kind, data):
    return kind == "refused" and any(who == peer and what in data for who, what, _ in ALLOWED)


@pytest.fixture(scope="module")
def others(namespace, files, tmp_path_factory):
    running = []
    try:
        for make in (peers.nginx, peers.haproxy):
            running.append(make(tmp_path_factory.mktemp("peer"), files))
        yield running
    finally:
        for peer in running:
            peer.stop()


@pytest.fixture(scope="module")
def ours(namespace, files, tmp_path_factory):
    peer = peers.Ours(tmp_path_factory.mktemp("ours"), files)
    yield peer
    peer.stop()


@pytest.mark.parametrize("family", CORPUS)
def test_no_request_that_the_three_disagree_on_gets_through(ours, others, family):
    requests = CORPUS[family]
    found = [(name, peer, kind, why) for name, peer, kind, why in
             disagreements(ours, others, requests) if not is_allowed(peer, kind, requests[name])]
    assert not found, described(found)


def described(found):
    return "\n".join(f"{name}\n    {peer} {kind}: {why}" for name, peer, kind, why in found)


def test_what_is_allowed_happens(ours, others):
    """No exception is there that nothing needs, nor more than one for a thing."""
    requests = {name: data for family in CORPUS.values() for name, data in family.items()
                if any(what in data for _, what, _ in ALLOWED)}
    found = disagreements(ours, others, requests)
    for who, what, why in ALLOWED:
        met = [name for name, peer, kind, _ in found if peer == who and kind == "refused"
               and what in requests[name]]
        assert met, f"{who} takes {what} as well: {why}"


def test_the_three_pass_on_what_is_in_order(ours, others):
    assert sum(map(len, CORPUS.values())) > 700
    good = {"good": TAKEN["leading zeros"] + NEXT}
    for peer in (ours, *others):
        taken = show(peer, good, ask)["good"]
        assert [one.meaning for one in taken] == [("POST", "meet.example", "/", b"abc"),
                                                  ("GET", "meet.example", "/smuggled", b"")]


# ------------------------------------------------------------------------- what this test would see

class Lenient(peers.Peer):
    """Passes on what comes as it came, and so does not know where a request ends."""

    def __init__(self):
        super().__init__("lenient", None, 0, 0)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, address = self.listener.accept()
                threading.Thread(target=self._serve, args=(sock, address[0]), daemon=True).start()

    def _serve(self, sock, source):
        with contextlib.suppress(OSError), sock, \
                socket.create_connection(("127.0.0.1", self.recorder.port)) as server:
            sock.settimeout(PATIENCE)
            first, _, rest = sock.recv(65536).partition(b"\r\n")
            server.sendall(first + b"\r\nX-Real-IP: " + source.encode() + b"\r\n" + rest)
            while got := sock.recv(65536):
                server.sendall(got)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        super().stop()


@pytest.mark.parametrize("family,least", [("codings", 20), ("lengths", 10), ("hosts", 10),
                                          ("lines", 10), ("paths", 5), ("chunks", 5)])
def test_a_lenient_proxy_is_seen(others, family, least):
    lenient = Lenient()
    try:
        names = {name for name, *_ in compare(lenient, others, CORPUS[family])}
    finally:
        lenient.stop()
    assert len(names) >= least, f"{sorted(names)} of {len(CORPUS[family])}"


def seen(*requests):
    return read_messages(b"".join(requests))


GET, BODY = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize("mine,theirs,kind", [
    ([GET], [GET], None), ([], [GET], None), ([GET], [GET, NEXT], None),
    ([GET], [], "refused"), ([GET, NEXT], [GET], "refused"), ([GET, NEXT], [NEXT, GET], "differs"),
    ([BODY + b"hello"], [BODY + b"hellO"], "differs"), ([BODY + b"hello"], [BODY + b"he"], "refused"),
    ([BODY + b"he"], [], None), ([BODY + b"he"], [GET], "differs"),
    ([BODY + b"hello"], [BODY.replace(b"/", b"//%2e/") + b"hello"], None),
    ([BODY + b"hello"], [BODY.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
                         + b"2\r\nhe\r\n3;a\r\nllo\r\n0\r\n\r\n"], None),
    ([GET], [GET.replace(b"a", b"b")], "differs"), ([GET], [GET.replace(b"/", b"http://a", 1)], None),
    ([GET], [GET.replace(b" /", b" /?")], "differs"), ([GET], [GET.replace(b"GET", b"PUT")], "differs"),
])
def test_the_judge(mine, theirs, kind):
    verdict = judge(seen(*mine), seen(*theirs))
    assert (verdict and verdict[0]) == kind


@pytest.mark.parametrize("head", [
    b"GET / HTTP/1.0\r\nHost: a", b"GET  / HTTP/1.1\r\nHost: a", b"GET / HTTP/1.1", b"get / HTTP/1.1\r\nHost: a",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: a", b"GET / HTTP/1.1\r\nHost: a\nX: y", b"GET / HTTP/1.1\r\nHost: a\rb",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1", b"GET / HTTP/1.1\r\nHost: a\r\nA : b",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x", b"GET / HTTP/1.1\r\nHost: a\r\n b",
    b"GET / HTTP/1.1\r\nHost: a\r\nA_B: c", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\0"])
def test_what_is_not_canonical(head):
    assert Message(head).not_canonical()
    assert Message(b"GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB: c d").not_canonical() is None
