"""A server that tests script, and that keeps exactly the bytes it got."""

import base64
import contextlib
import hashlib
import socket
import threading

from netns import run
from wire import SECONDS, wait_for


class Request:
    def __init__(self, head, body, raw):
        self.head, self.body, self.raw = head, body, raw
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = first.split(" ")
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines if line]

    def get(self, name, default=None):
        values = [value for field, value in self.fields if field.lower() == name.lower()]
        return ", ".join(values) if values else default


class Connection:
    """One that was accepted. `data` is all that came."""

    def __init__(self, sock):
        self.sock = sock
        self.data = b""
        self.taken = 0
        self.ended = threading.Event()  # the peer ended its direction, or all
        self.was_reset = False

    def more(self):
        """False: there is no more."""
        try:
            got = self.sock.recv(65536)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            self.was_reset = True
            got = b""
        self.data += got
        if not got:
            self.ended.set()
        return bool(got)

    def until(self, mark):
        """None: it ended before."""
        while (at := self.data.find(mark, self.taken)) < 0:
            if not self.more():
                return None
        begin, self.taken = self.taken, at + len(mark)
        return self.data[begin:self.taken]

    def exactly(self, size):
        while len(self.data) < self.taken + size:
            if not self.more():
                return None
        begin, self.taken = self.taken, self.taken + size
        return self.data[begin:self.taken]

    def drain(self):
        while self.more():
            pass

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def request(self):
        """The next request, whole; None: there is none."""
        begin = self.taken
        head = self.until(b"\r\n\r\n")
        if head is None:
            return None
        request = Request(head[:-4], b"", head)
        if length := request.get("Content-Length"):
            request.body = self.exactly(int(length))
            if request.body is None:
                return None
        elif request.get("Transfer-Encoding") == "chunked":
            while True:
                line = self.until(b"\r\n")
                piece = None if line is None else self.exactly(int(line, 16) + 2)
                if piece is None:
                    return None
                if piece == b"\r\n":
                    break
                request.body += piece[:-2]
        request.raw = self.data[begin:self.taken]
        return request


def ok(body=b"ok", *fields, status="200 OK"):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def accept_websocket(request, *fields):
    digest = hashlib.sha1((request.get("Sec-WebSocket-Key") +
                           "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}", *fields, "", ""]
    return "\r\n".join(lines).encode()


class Origin:
    """`answer(connection, request)` is called for each request, and answers it; False ends the
    connection. `script(connection)`, if set, is called for each connection instead."""

    def __init__(self, port, tls=None, name="origin"):
        self.name, self.tls, self.port = name, tls, port
        self.listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.connections, self.requests = [], []
        self.answer = self.script = None
        self.clear()
        threading.Thread(target=self._accept, daemon=True).start()

    def clear(self):
        """Forgets what was, and ends what is open: the edge keeps nothing of another test."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_WR)
        if self.connections:
            wait_for("the edge to see it", lambda: not run(
                "ss", "-Htn", "state", "close-wait", f"dport = :{self.port}"))
        self.answer, self.script = self.default_answer, None
        self.connections, self.requests = [], []

    def default_answer(self, connection, request):
        if request.get("Upgrade") == "websocket":
            connection.send(accept_websocket(request))
            while connection.more():
                connection.send(connection.data[connection.taken:])
                connection.taken = len(connection.data)
            return False
        connection.send(ok(b"" if request.method == "HEAD" else self.name.encode()))
        return True

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            connection = Connection(sock)
            self.connections.append(connection)
            script, answer, requests = self.script, self.answer, self.requests
            if script:
                script(connection)
            else:
                while (request := connection.request()) is not None:
                    requests.append(request)
                    if answer(connection, request) is False:
                        break
        sock.close()

    @property
    def received(self):
        return b"".join(connection.data for connection in self.connections)

    def wait_ended(self, connection=0):
        assert self.connections[connection].ended.wait(SECONDS), "the connection is still open"

    def close(self):
        # Else the thread that waits in accept() would keep it listening.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
