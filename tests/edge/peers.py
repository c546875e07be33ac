"""nginx and HAProxy beside the edge, each in front of a server that only records.

All three do the same: hosts `meet.example` are passed on, with the client's address in X-Real-IP and
a connection of its own for each request, but /private and what is below it, which is refused. They wait
a second for what does not come; whoever sends all of it at once does not meet that, or tries again.
"""

import contextlib
import re
import socket
import subprocess
import threading

from edge_lab import EdgeLab, run
from wire import PATIENCE, wait_for

NGINX_CONFIG = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log error; user root;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s;
  lingering_timeout 1s; lingering_time 1s;
  client_max_body_size 0;
  map $http_upgrade $connection_field {{ default upgrade; "" close; }}
  server {{ listen 127.0.0.1:{port} default_server backlog=4096; {tls} return 421; }}
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{secure} ssl http2; server_name meet.example; {tls}
    location = /private {{ return 403; }}
    location /private/ {{ return 403; }}
    location / {{
      proxy_pass http://127.0.0.1:{origin};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_field;
      proxy_set_header X-Real-IP $remote_addr;
    }}
  }}
}}
"""
HAPROXY_CONFIG = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 1s
  timeout http-request 1s
  timeout http-keep-alive 1s
  timeout server 3s
  http-reuse never
  option http-server-close
frontend front
  bind 127.0.0.1:{port} backlog 4096
  bind 127.0.0.1:{secure} ssl crt {folder}/both.pem alpn h2,http/1.1
  http-request deny deny_status 421 unless {{ req.hdr(host) -m reg -i ^meet\\.example\\.?(:[0-9]+)?$ }}
  http-request deny if {{ path /private }} || {{ path_beg /private/ }}
  http-request set-header X-Real-IP %[src]
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
"""


class Message:
    """A request as a server got it that reads the bytes as RFC 9112 has it, and forgives much."""

    def __init__(self, raw_head):
        self.raw = raw_head
        first, *lines = raw_head.decode("latin-1").split("\r\n")
        self.fields = [tuple(part.strip(" \t") for part in line.partition(":")[::2])
                       for line in lines]
        parts = first.split(" ")
        self.method, self.version = parts[0], parts[-1]
        self.target = " ".join(parts[1:-1])
        self.body, self.whole = b"", False

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name]

    @property
    def authority(self):
        """RFC 9112 section 3.2.2: that of the target comes first. HAProxy leaves out HTTPS' port."""
        match = re.match(r"(?i)https?://([^/?]*)", self.target)
        return (match[1] if match else ", ".join(self.all("host"))).lower().removesuffix(":443")

    @property
    def path(self):
        """RFC 3986 section 6.2.2, with slashes in a row as one."""
        path, mark, query = re.sub(r"(?i)^https?://[^/?]*", "", self.target).partition("?")
        path = path or "/"  # RFC 9110 section 4.2.3

        def decoded(match):
            char = chr(int(match[1], 16))
            return char if re.match(r"[\w.~-]", char, re.A) else match[0].upper()
        path = re.sub(r"/+", "/", re.sub(r"%([0-9a-fA-F]{2})", decoded, path))
        out = []
        for segment in path.split("/")[1:]:
            if segment == "..":
                out = out[:-1]
            elif segment != ".":
                out.append(segment)
        if re.search(r"/\.\.?$", path):
            out.append("")
        return "/" + "/".join(out) + mark + query if path.startswith("/") else path + mark + query

    @property
    def meaning(self):
        return self.method, self.authority, self.path, self.body

    @property
    def beginning(self):
        """Of one whose body did not come to its end."""
        return self.method, self.authority, self.path

    def not_canonical(self):
        """What in the head another server could read in another way; None: nothing."""
        if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[^\r]\n|\r[^\n]|\r$", self.raw):
            return "controls"
        first, *lines = self.raw.split(b"\r\n")
        if not re.fullmatch(rb"[A-Z]+ [!-~]+ HTTP/1\.1", first):
            return "first line"
        for line in lines:
            if not re.fullmatch(rb"[A-Za-z0-9-]+: ?(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*"
                                rb"[!-~\x80-\xff])?)?", line):
                return f"field {line!r}"
        lengths, codings = self.all("content-length"), self.all("transfer-encoding")
        if len(lengths) + len(codings) > 1 or codings not in ([], ["chunked"]):
            return "framing"
        if not all(re.fullmatch(r"[0-9]+", length) for length in lengths):
            return "length"
        return None if len(self.all("host")) == 1 else "Host"

    def __repr__(self):
        return (f"{self.method} {self.target} {self.version} of {self.authority} with {self.body!r}"
                + ("" if self.whole else ", cut"))


def read_chunks(data):
    """(body, size of all of it) or None: not yet whole."""
    body, at = b"", 0
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:end].split(b";")[0], 16)
        if size == 0:
            if data[end + 2:end + 4] == b"\r\n":
                return body, end + 4
            end = data.find(b"\r\n\r\n", end)  # trailers
            return None if end < 0 else (body, end + 4)
        if len(data) < end + 2 + size + 2:
            return None
        body += data[end + 2:end + 2 + size]
        at = end + 2 + size + 2
    return None


def read_messages(data):
    """All that is in the bytes of a connection. The last one may be cut."""
    found = []
    while (end := data.find(b"\r\n\r\n")) >= 0:
        message = Message(data[:end])
        found.append(message)
        data = data[end + 4:]
        lengths = message.all("content-length")
        try:
            if any(value.lower().endswith("chunked") for value in message.all("transfer-encoding")):
                if (read := read_chunks(data)) is None:
                    return found
                message.body, data = read[0], data[read[1]:]
            elif lengths:
                if len(data) < int(lengths[0]):
                    return found
                message.body, data = data[:int(lengths[0])], data[int(lengths[0]):]
        except ValueError:
            return found
        message.whole = True
    if data:
        found.append(Message(data))
    return found


class Recorder:
    """Answers each request that is whole, and keeps all bytes of each connection."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.seen, self.open, self.count = [], 0, 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.open += 1
                self.count += 1
            threading.Thread(target=self._serve, args=(sock, self.count), daemon=True).start()

    def _serve(self, sock, number):
        data, answered, messages = b"", 0, []
        sock.settimeout(20 * PATIENCE)
        with contextlib.suppress(OSError), sock:
            while got := sock.recv(65536):
                data += got
                messages = read_messages(data)
                whole = [message for message in messages if message.whole]
                for message in whole[answered:]:
                    body = b"" if message.method == "HEAD" else b"ok"
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)
                answered = len(whole)
        with self.lock:
            if messages:
                # All of a connection is the first one's: what follows it may be smuggled.
                self.seen.append((number, ", ".join(messages[0].all("x-real-ip")), messages))
            self.open -= 1

    def take(self):
        """{client: what came for it, in order}. Not while a connection is open."""
        with self.lock:
            seen, self.seen = sorted(self.seen, key=lambda one: one[0]), []
        found = {}
        for _, client, messages in seen:
            found.setdefault(client, []).extend(messages)
        return found

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # or a thread waits on in accept()
        self.listener.close()


class Peer:
    """A proxy with a Recorder behind it."""

    def __init__(self, name, folder, port, secure):
        self.name, self.folder, self.port, self.secure = name, folder, port, secure
        self.recorder, self.process = Recorder(), None

    def start(self, *command, config=None):
        if config is not None:
            path = self.folder / f"{self.name}.conf"
            tls = f"ssl_certificate {self.folder}/both.pem; ssl_certificate_key {self.folder}/both.pem;"
            path.write_text(config.format(folder=self.folder, port=self.port, secure=self.secure,
                                          origin=self.recorder.port, tls=tls))
            command += (path,)
        with open(self.folder / f"{self.name}.out", "ab") as out:
            self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out)

        def listening():
            text = (self.folder / f"{self.name}.out").read_text(errors="replace")
            assert self.process.poll() is None, text
            return f":{self.port} " in run("ss", "-Htln")
        wait_for(f"{self.name} listens", listening, 30 * PATIENCE)

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.recorder.close()

    def settle(self):
        wait_for(f"{self.name} ends its connections", lambda: self.recorder.open == 0, 20 * PATIENCE)


def nginx(folder, files):
    peer = Peer("nginx", folder, 9101, 9111)
    (folder / "both.pem").write_text((files / "meet.pem").read_text()
                                     + (files / "meet.key").read_text())
    peer.start("nginx", "-e", "stderr", "-p", folder, "-c", config=NGINX_CONFIG)
    return peer


def haproxy(folder, files):
    peer = Peer("haproxy", folder, 9102, 9112)
    (folder / "both.pem").write_text((files / "meet.pem").read_text()
                                     + (files / "meet.key").read_text())
    peer.start("haproxy", "-db", "-f", config=HAPROXY_CONFIG)
    return peer


class Ours(Peer):
    def __init__(self, folder, files):
        self.lab = EdgeLab(folder, files)
        super().__init__("bridgehead", folder, self.lab.port("compared"), self.lab.port("secure"))
        lab, timeout = self.lab, "1s"
        lab.upstream("recorder", self.recorder.port, keepalive=0, max_failures=0)
        refused = {"respond": {"status": 403, "body": "no"}}
        lab.host("meet", ["meet.example"], [
            {"path": "/", "upstream": "recorder", "websocket": True, "max_body": 0},
            {"path": "/private", **refused}])
        served = {"hosts": ["meet"], "request_timeout": timeout, "body_timeout": timeout,
                  "keepalive_timeout": timeout}
        lab.listener("compared", **served)
        lab.listener("secure", **served, http2=True, tls={"certificates": [
            {"certificate_file": f"{files}/meet.pem", "key_file": f"{files}/meet.key"}]})
        lab.start()

    def stop(self):
        self.lab.stop()
        super().stop()
