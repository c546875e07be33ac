"""bridgehead-ctrl with a TCP edge, its files and its certificates, in a namespace of their own."""

import json
import os
import signal
import subprocess
import sys

from wire import Client, wait_for, PATIENCE

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "netns"))
from netns import run  # noqa: E402

BUILD = os.environ.get("BRIDGEHEAD_BUILD",
                       os.path.join(os.path.dirname(__file__), "../../build"))

# The origins, which all labs share: HTTP; HTTP over TLS; two that are passed through to; and where a
# script of varnishtest listens while it runs.
ORIGIN, SECOND, TLS_ORIGIN, PASS_ONE, PASS_TWO, SCRIPTED, NOBODY = 9001, 9002, 9003, 9004, 9005, 9006, 9009


def make_certificate(folder, name, names, ca=None):
    """NAME.pem and NAME.key in `folder`, self-signed or by the CA of that name."""
    key, pem = f"{folder}/{name}.key", f"{folder}/{name}.pem"
    signed = ["-CA", f"{folder}/{ca}.pem", "-CAkey", f"{folder}/{ca}.key"] if ca else []
    subject = ",".join(("IP:" if one[0].isdigit() else "DNS:") + one for one in names)
    constraint = [] if ca else ["-addext", "keyUsage=critical,keyCertSign,digitalSignature"]
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "30", "-subj", f"/CN={name}", "-addext", f"subjectAltName={subject}",
        "-addext", f"basicConstraints=critical,CA:{'FALSE' if ca else 'TRUE'}", *constraint,
        "-keyout", key, "-out", pem, *signed)


def issue(folder, name, names, ca, start, end):
    """As make_certificate, by the CA in the files `ca`.pem and .key, which keeps a list in `folder`
    (index.txt). `start` and `end`: YYYYMMDDHHMMSSZ."""
    config, request = f"{folder}/ca.cnf", f"{folder}/{name}.csr"
    with open(config, "w", encoding="ascii") as file:
        file.write("\n".join([
            "[ca]", "default_ca = here", "[here]", f"database = {folder}/index.txt",
            f"new_certs_dir = {folder}", "default_md = sha256", "policy = any",
            "unique_subject = no", "rand_serial = yes", "copy_extensions = copy", "[any]",
            "commonName = supplied", ""]))
    with open(f"{folder}/index.txt", "a", encoding="ascii"):
        pass
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", f"/CN={name}", "-addext",
        "subjectAltName=" + ",".join("DNS:" + one for one in names),
        "-keyout", f"{folder}/{name}.key", "-out", request)
    run("openssl", "ca", "-config", config, "-batch", "-notext", "-cert", f"{ca}.pem",
        "-keyfile", f"{ca}.key", "-startdate", start, "-enddate", end, "-in", request,
        "-out", f"{folder}/{name}.pem")


class EdgeLab:
    """One bridgehead-ctrl. Listener NAME is at port(NAME); ports of different labs differ."""
    count = 0

    def __init__(self, folder, files):
        """`folder` is the lab's own, `files` what the labs share: certificates and pages."""
        EdgeLab.count += 1
        self.folder, self.files = str(folder), str(files)
        self.base = 10000 + 200 * EdgeLab.count
        self.ports = {}
        self.process = None
        self.log_path, self.access_path = f"{folder}/ctrl.log", f"{folder}/access.log"
        self.run_dir = f"{folder}/run"
        os.makedirs(self.run_dir, exist_ok=True)
        self.edge = {"cores": [0], "drain_time": "1s",
                     "access_log": {"file": self.access_path, "fields": [
                         "event", "listener", "client", "host", "method", "path", "protocol",
                         "status", "bytes_in", "bytes_out", "duration", "upstream", "server",
                         "route", "user", "tls", "sni"]},
                     "upstreams": [], "hosts": [], "listeners": []}

    def port(self, listener):
        return self.ports.setdefault(listener, self.base + len(self.ports))

    def listener(self, name, **settings):
        self.edge["listeners"].append(
            {"name": name, "listen": f"127.0.0.1:{self.port(name)}", **settings})

    def upstream(self, name, port, **settings):
        self.edge["upstreams"].append(
            {"name": name, "servers": [{"address": f"127.0.0.1:{port}"}], **settings})

    def host(self, name, names, routes, **settings):
        self.edge["hosts"].append({"name": name, "names": names, "routes": routes, **settings})

    def write(self):
        """The configuration; JSON is YAML."""
        config = {
            "dataplane": {"workers": [1], "nat_addresses": ["192.0.2.1"],
                          "ports": [{"name": "wan", "device": "lo"}]},
            "bridges": [{"name": "b", "address": "10.0.0.11"}],
            "media": [{"name": "m", "listen": "192.0.2.1:10000", "nat": "source",
                       "bridges": ["b"]}],
            "admin": {"listen": f"127.0.0.1:{self.port('admin')}"},
            **({"edge": self.edge} if self.edge else {})}
        with open(f"{self.folder}/config.yaml", "w", encoding="ascii") as file:
            json.dump(config, file, indent=1)

    def start(self):
        self.write()
        # Of a sanitized build: what was freed and not yet given back is less than tests look for.
        options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [f"{BUILD}/ctrl/bridgehead-ctrl", "--config", f"{self.folder}/config.yaml",
                 "--run-dir", self.run_dir], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "ASAN_OPTIONS": options})
        ports = [self.port(one["name"]) for one in self.edge["listeners"]]

        def listening():
            if self.process.poll() is not None:
                raise AssertionError(f"bridgehead-ctrl has ended: {self.log()[-2000:]}")
            shown = run("ss", "-Htln")
            return all(f":{port} " in shown for port in ports)
        wait_for("listening", listening, 30 * PATIENCE)
        return self

    def reload(self, good=True):
        """Returns what the log says about it."""
        self.write()
        before = len(self.log())
        self.process.send_signal(signal.SIGHUP)
        word = f"reload of {self.folder}/config.yaml" + (": " if good else " refused")
        wait_for(lambda: f"{word}: {self.log()[before:]}", lambda: word in self.log()[before:])
        return self.log()[before:]

    @property
    def command(self):
        return [f"{BUILD}/ctrl/bridgehead", "--run-dir", self.run_dir]

    def bridgehead(self, *command, check=True):
        """What the command prints."""
        return run(*self.command, *command, check=check)

    def ask(self, *command):
        """`status` says by its code that there is no relay."""
        return json.loads(self.bridgehead(*command, "--json", check=command != ("status",)))

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def access_lines(self, word):
        """Lines of the access log with `word` in them."""
        if not os.path.exists(self.access_path):
            return []
        with open(self.access_path, encoding="utf-8") as file:
            return [line for line in file.read().split("\n") if word in line]

    def wait_access(self, word, count=1):
        """Lines are written some time later."""
        wait_for(lambda: f"{count} lines with {word}: {self.access_lines('')[-5:]}",
                 lambda: len(self.access_lines(word)) >= count)
        return self.access_lines(word)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096

    def client(self, listener, **options):
        return Client(self.port(listener), **options)

    def stop(self, how=signal.SIGTERM, seconds=15):
        """The exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "killed"
