"""A long-lived TCP session that says one line each second and waits for its echo, as an ssh session
would: it shares the public address and the interface with the media, and takes the kernel's way."""

import socket
import threading
import time

INTERVAL = 1.0  # seconds from line to line
STALL = 2.0  # an echo later than this, in seconds, is a stall


class LineSession(threading.Thread):
    """Runs until close(). Fields may be read at any time."""

    def __init__(self, address, port):
        super().__init__(daemon=True)
        self.lines = 0
        self.slowest = 0.0  # seconds
        self.problem = ""
        self._socket = socket.create_connection((address, port), timeout=5)
        self._socket.settimeout(STALL)
        self._closed = threading.Event()

    def run(self):
        try:
            while not self._closed.is_set():
                self._exchange()
                self._closed.wait(INTERVAL)
        except OSError as error:
            if not self._closed.is_set():
                self.problem = f"stalled after {self.lines} lines: {error}"

    def _exchange(self):
        line = f"line {self.lines + 1}\n".encode()
        began = time.monotonic()
        self._socket.sendall(line)
        echo = b""
        while not echo.endswith(b"\n"):
            piece = self._socket.recv(4096)
            if not piece:
                raise OSError("the far end closed the connection")
            echo += piece
        if echo != line:
            raise OSError(f"sent {line!r}, received {echo!r}")
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.lines += 1

    def close(self):
        self._closed.set()
        self._socket.close()
