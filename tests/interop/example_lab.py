"""An example of deploy/examples as it is shipped, at work: its addresses in network namespaces, and
real servers behind it.

    client namespace ---veth--- eth0  edge  (lan) ---veth--- servers' namespace

The configuration is used as it is; only files are looked for below a directory of the test's. ctrl
runs as `nobody` with the one capability that its systemd unit gives it. The relay runs only while a
test asks for it: the edge needs none.
"""

import asyncio
import contextlib
import http.client
import itertools
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import websockets
import yaml
from netns import Namespace, mount_bpffs, veth

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "deploy/examples"
BUILD = Path(os.environ.get("BRIDGEHEAD_BUILD", ROOT / "build")).resolve()
START_SECONDS = 60.0  # a program that a cold disk reads for the first time
PATIENCE = float(os.environ.get("BRIDGEHEAD_PATIENCE", "1"))
FILES = re.compile(r"(?<![\w./*$-])/(?=(?:etc|var)/)")  # where a path of the configuration begins
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
          "--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service",
          "--bounding-set=-all,+net_bind_service"]

_serial = itertools.count()


def wait_for(what, condition, seconds=15.0):
    deadline = time.monotonic() + seconds * PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * PATIENCE:.0f} s: "
                                 + (what() if callable(what) else what))
        time.sleep(0.05)
    return value


def listed(value):
    return value if isinstance(value, list) else [value]


def self_signed(certificate, key, *names):
    """A certificate that nobody has signed but itself, valid for `names`."""
    for path in (certificate, key):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-keyout", str(key),
                    "-out", str(certificate), "-subj", f"/CN={names[0]}", "-addext",
                    "subjectAltName=" + ",".join("DNS:" + name for name in names)],
                   check=True, capture_output=True)
    os.chmod(key, 0o644)  # ctrl and the servers are nobody here, as on a real machine


class ExampleLab:
    """`clients` and `servers`: addresses with prefix lengths of the two outer namespaces; `lan`: the
    edge's interface towards the servers and its address."""

    def __init__(self, name, clients, edge, lan, servers):
        self.example = EXAMPLES / name
        self.address = edge.split("/")[0]
        self.namespaces, self.children = [], []
        self.ctrl = None
        self.directory = Path(tempfile.mkdtemp(prefix="bridgehead-example-"))
        try:
            os.chmod(self.directory, 0o755)
            self._make_networks(clients, edge, lan, servers)
            self._make_files()
        except BaseException:
            self.close()
            raise

    # ----------------------------------------------------------------------------- the machine

    def _namespace(self, role):
        self.namespaces.append(Namespace(f"bht{os.getpid()}x{next(_serial)}{role}ex"))
        return self.namespaces[-1]

    def _make_networks(self, clients, edge, lan, servers):
        self.client, self.edge, self.servers = map(self._namespace, "ceb")
        device, lan_address = lan
        veth(self.edge, "eth0", self.client, "eth0")
        veth(self.edge, device, self.servers, "eth0")
        for namespace, interface, addresses in (
                (self.client, "eth0", clients), (self.edge, "eth0", [edge]),
                (self.edge, device, [lan_address]), (self.servers, "eth0", servers)):
            for address in addresses:
                namespace.ip("address", "add", address, "dev", interface, "nodad")
        self.client.ip("route", "add", "default", "via", self.address, "onlink", "dev", "eth0")
        self.edge.ip("route", "add", "default", "dev", "eth0")
        self.servers.ip("route", "add", "default", "via", lan_address.split("/")[0], "onlink",
                        "dev", "eth0")

    def path(self, shipped):
        """Where this lab has the file that the example calls `shipped`."""
        return self.directory / shipped.lstrip("/")

    def _make_files(self):
        text = FILES.sub(f"{self.directory}/", (self.example / "bridgehead.yaml").read_text())
        self.config_file = self.directory / "bridgehead.yaml"
        self.config_file.write_text(text)
        self.config = yaml.safe_load(text)
        ports = self.config["dataplane"].get("nat_ports")
        if ports:
            self.edge.sysctl("net.ipv4.ip_local_reserved_ports", ports)
        if (self.example / "files").is_dir():
            shutil.copytree(self.example / "files", self.directory, dirs_exist_ok=True)
        for folder in ("var/log/bridgehead", "run"):
            self.path(folder).mkdir(parents=True)
            os.chown(self.path(folder), 65534, 65534)
            os.chmod(self.path(folder), 0o2770)  # as deploy/systemd/bridgehead.tmpfiles has it
        for host in self.config["edge"]["hosts"]:
            for route in host.get("routes", []):
                if "files" in route:
                    Path(route["files"]["root"]).mkdir(parents=True, exist_ok=True)
        self.trusted = self.directory / "trusted.pem"
        self.trusted.touch()
        self._make_certificates()

    def _make_certificates(self):
        """Those of the listeners. One alone is for all that its listener serves; of several each is for
        the name of its folder."""
        hosts = {host.get("name", listed(host["names"])[0]): listed(host["names"])
                 for host in self.config["edge"]["hosts"]}
        for listener in self.config["edge"]["listeners"]:
            certificates = listener.get("tls", {}).get("certificates", [])
            for certificate in certificates:
                file = Path(certificate["certificate_file"])
                names = [name for host in listed(listener["hosts"]) for name in hosts[host]] \
                    if len(certificates) == 1 else [file.parent.name]
                self_signed(file, certificate["key_file"], *names)
                with open(self.trusted, "a", encoding="ascii") as trusted:
                    trusted.write(file.read_text())

    def spawn(self, namespace, name, *command, **options):
        log = open(self.directory / f"{name}.log", "ab")
        child = subprocess.Popen(namespace.command(*map(str, command)), stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=subprocess.STDOUT, **options)
        log.close()
        self.children.append(child)
        return child

    def log(self, name):
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def connect(self, address, port, source=None, namespace=None, timeout=10):
        """A TCP connection from the clients' namespace, or another one."""
        sock = (namespace or self.client).tcp()
        sock.settimeout(timeout * PATIENCE)
        try:
            if source:
                sock.bind((source, 0))
            sock.connect((address, port))
        except OSError:
            sock.close()
            raise
        return sock

    def await_listener(self, child, name, address, port, namespace):
        def listening():
            assert child.poll() is None, f"{name} has ended:\n{self.log(name)[-4000:]}"
            with contextlib.suppress(OSError):
                self.connect(address, port, namespace=namespace).close()
                return True
            return False
        wait_for(lambda: f"{name} listens on {address}:{port}\n{self.log(name)[-4000:]}", listening,
                 START_SECONDS)

    def start(self):
        """ctrl, once everything that the configuration names is there."""
        # The build may be where nobody can not go.
        program = shutil.copy(BUILD / "ctrl/bridgehead-ctrl", self.directory)
        self.ctrl = self.spawn(self.edge, "ctrl", *NOBODY, program, "--config", self.config_file,
                               "--run-dir", self.path("run"))
        self.await_listener(self.ctrl, "ctrl", self.address, 443, self.client)

    def ready(self):
        """Whether the relay forwards, by /readyz on the admin address, which is the default one."""
        with self.connect("127.0.0.1", 9100, namespace=self.edge) as sock:
            connection = http.client.HTTPConnection("127.0.0.1")
            connection.sock = sock
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200

    @contextlib.contextmanager
    def relay(self):
        """The relay forwards inside the with block."""
        mount_bpffs()
        relay = self.spawn(self.edge, "relay", BUILD / "relay/bridgehead-relay", "--run-dir",
                           self.path("run"), "--steer-program", BUILD / "bpf/steer.bpf.o",
                           umask=0o007)

        def forwarding():
            assert relay.poll() is None, self.log("relay")[-4000:]
            return self.ready()
        try:
            wait_for(lambda: f"relay forwards\n{self.log('relay')}\n{self.log('ctrl')}",
                     forwarding, START_SECONDS)
            yield
        finally:
            relay.terminate()
            relay.wait(20 * PATIENCE)

    def bridgehead(self, *arguments):
        return subprocess.run(
            self.edge.command(str(BUILD / "ctrl/bridgehead"), "--run-dir", str(self.path("run")),
                              *arguments), capture_output=True, text=True, timeout=30, check=False)

    def close(self):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for namespace in self.namespaces:
            namespace.remove()
        shutil.rmtree(self.directory, ignore_errors=True)

    # ----------------------------------------------------------------------------- the clients

    def curl(self, url, *options, source=None, check=True):
        """Status, headers (names in lower case, the last one of a name) and body of an answer."""
        host, port = re.match(r"https?://([^/:]+)(?::(\d+))?", url).groups()
        port = port or ("443" if url.startswith("https") else "80")
        command = ["curl", "--silent", "--show-error", "--max-time", str(int(30 * PATIENCE)),
                   "--include", "--http1.1", "--cacert", str(self.trusted),
                   "--resolve", f"{host}:{port}:{self.address}",
                   *(["--interface", source] if source else []), *options, url]
        result = subprocess.run(self.client.command(*command), capture_output=True, check=False)
        if result.returncode != 0:
            assert not check, f"{command}: {result.stderr.decode()}\n{self.log('ctrl')[-2000:]}"
            return None
        head, _, body = result.stdout.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 1"):  # 100 Continue
            head, _, body = body.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        return (int(lines[0].split()[1]), {name.lower(): value for name, value in headers.items()},
                body.decode(errors="replace"))

    def certificate_at(self, name, port=443, alpn=None):
        """The certificate (DER) that a client gets who asks for `name`."""
        command = ["openssl", "s_client", "-connect", f"{self.address}:{port}", "-showcerts",
                   *(["-servername", name] if name else ["-noservername"]),
                   *(["-alpn", alpn] if alpn else [])]
        result = subprocess.run(self.client.command(*command), input="", capture_output=True,
                                text=True, timeout=30, check=False)
        found = re.search(r"-----BEGIN CERT.*?END CERTIFICATE-----", result.stdout, re.S)
        assert found, result.stdout + result.stderr
        return ssl.PEM_cert_to_DER_cert(found.group(0))

    @contextlib.asynccontextmanager
    async def websocket(self, uri, *, source=None, **options):
        """A WebSocket to the edge, by the websockets library."""
        context = ssl.create_default_context(cafile=str(self.trusted))
        sock = await asyncio.to_thread(self._connected, source)
        async with websockets.connect(uri, sock=sock, ssl=context, open_timeout=20 * PATIENCE,
                                      server_hostname=re.search(r"//(?:[^@]*@)?([^/:]+)", uri)[1],
                                      **options) as websocket:
            yield websocket

    def _connected(self, source):
        sock = self.connect(self.address, 443, source)
        sock.setblocking(False)
        return sock

    def refused_websocket(self, uri, **options):
        """Status of the answer to an upgrade that is refused."""
        async def attempt():
            try:
                async with self.websocket(uri, **options):
                    return 101
            except websockets.InvalidStatusCode as refused:
                return refused.status_code
        return asyncio.run(attempt())
