"""A client that sends exactly the bytes it is told, and reads responses strictly."""

import os
import socket
import ssl
import time

PATIENCE = float(os.environ.get("BRIDGEHEAD_PATIENCE", "1"))
SECONDS = 5 * PATIENCE


def wait_for(what, done, seconds=SECONDS):
    """Polls until `done()` is true; fails after `seconds` with what was waited for."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.01)


class Response:
    def __init__(self, head, body):
        self.head, self.body = head, body
        first, *lines = head.decode("latin-1").split("\r\n")
        self.version, status, self.reason = (first + " ").split(" ", 2)
        self.status = int(status)
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines if line]

    def get(self, name, default=None):
        values = [value for field, value in self.fields if field.lower() == name.lower()]
        return ", ".join(values) if values else default


class Client:
    """A connection. With `tls`, a context, it is encrypted and asks for `name`."""

    def __init__(self, port, source=None, tls=None, name="meet.example", receive_buffer=None,
                 address="127.0.0.1"):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.settimeout(SECONDS)
        self.sock.connect((address, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local = self.sock.getsockname()
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name,
                                        suppress_ragged_eofs=False)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends the connection with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def end(self):
        """Ends our direction only."""
        self.sock.shutdown(socket.SHUT_WR)

    def _more(self):
        got = self.sock.recv(65536)
        if not got:
            raise EOFError(f"closed behind {self.buffer[-200:]!r}")
        self.buffer += got

    def exactly(self, size):
        while len(self.buffer) < size:
            self._more()
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def until(self, mark):
        while mark not in self.buffer:
            self._more()
        taken, self.buffer = self.buffer.split(mark, 1)
        return taken + mark

    def head(self):
        return self.until(b"\r\n\r\n")[:-4]

    def response(self, method="GET", interim=False):
        """The next response, whole. Interim ones are passed over, or with `interim` returned."""
        while True:
            response = Response(self.head(), b"")
            if response.status >= 200 or response.status == 101 or interim:
                break
        if method == "HEAD" or response.status < 200 or response.status in (204, 304):
            return response
        if response.get("Transfer-Encoding") == "chunked":
            assert response.get("Content-Length") is None
            while size := int(self.until(b"\r\n"), 16):
                response.body += self.exactly(size)
                assert self.exactly(2) == b"\r\n"
            assert self.exactly(2) == b"\r\n"
        elif (length := response.get("Content-Length")) is not None:
            response.body = self.exactly(int(length))
        else:
            response.body = self.rest()
        return response

    def ask(self, request, method=None):
        return self.send(request).response(method or request.split(b" ", 1)[0].decode("latin-1"))

    def rest(self):
        """All until the connection's clean end."""
        while True:
            try:
                self._more()
            except EOFError:
                taken, self.buffer = self.buffer, b""
                return taken

    def assert_closed(self, seconds=SECONDS):
        """By an end or a reset, without another byte."""
        self.sock.settimeout(seconds)
        try:
            got = self.buffer or self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError) as error:
            assert not isinstance(error, TimeoutError), "not closed"
            return
        assert got == b"", got

    def assert_open(self, seconds=0.05):
        """Nothing came, and the connection did not end."""
        self.sock.settimeout(seconds)
        try:
            got = self.sock.recv(65536)
            raise AssertionError(f"got {got!r}")
        except TimeoutError:
            pass
        self.sock.settimeout(SECONDS)


def get(path, host="meet.example", *fields, method="GET"):
    """A request without a body."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(path, body, *fields, host="meet.example", method="POST"):
    return get(path, host, f"Content-Length: {len(body)}", *fields, method=method) + body


def chunked(*pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def upgrade(path, *fields, host="meet.example", key="dGhlIHNhbXBsZSBub25jZQ=="):
    return get(path, host, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
               f"Sec-WebSocket-Key: {key}", *fields)
