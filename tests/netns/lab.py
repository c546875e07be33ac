"""A client network, an edge and a bridge network, with the relay and ctrl running in the edge.

    client namespace ---veth--- wan0  edge  lan0 ---veth--- bridge namespace

    clients  198.51.100.100 and 203.0.113.0/24 (routed)      bridges  10.8.0.11 to .13
    edge     198.51.100.10 and .11 towards clients, 10.8.0.2 towards bridges

One-armed, both networks hang on the edge's only interface through a switch. Everything made here is
removed by close(), which is safe to call at any time.
"""

import http.client
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager

import yaml

from netns import Namespace, Unsupported, mount_bpffs, run, veth, xdp_attached

BUILD = os.environ.get("BRIDGEHEAD_BUILD", "build")
# A sanitized relay is several times slower to start; its tests wait longer before they give up.
PATIENCE = float(os.environ.get("BRIDGEHEAD_PATIENCE", "1"))

PUBLIC = "198.51.100.10"
PUBLIC_SECOND = "198.51.100.11"
CLIENT = "198.51.100.100"
CLIENT_ROUTED = "203.0.113."
EDGE_LAN = "10.8.0.2"
BRIDGE = "10.8.0.11"
BRIDGE_SECOND = "10.8.0.12"
BRIDGE_THIRD = "10.8.0.13"
BRIDGE_ABSENT = "10.8.0.99"
NAT_PORTS = (20000, 29999)
VLAN = 100

_serial = itertools.count()


def wait_for(what, condition, seconds=10.0, step=0.02):
    """The condition's first true value; fails with `what` (text, or a function that makes it)."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * PATIENCE:.0f} s: "
                                 + (what() if callable(what) else what))
        time.sleep(step)


def merge(base, extra):
    """`extra` over `base`, mapping by mapping."""
    result = dict(base)
    for key, value in extra.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merge(result[key], value) if both else value
    return result


class Lab:
    def __init__(self, workers=1, nat="source", vlan=False, one_armed=False, offload=True,
                 config=None):
        self.workers, self.nat, self.vlan, self.one_armed = workers, nat, vlan, one_armed
        self.relay = self.ctrl = None
        self.namespaces = []
        self.sockets = []
        self._client_ports = itertools.count(33000)
        self.directory = tempfile.mkdtemp(prefix="bridgehead-test-")
        self.run_dir = os.path.join(self.directory, "run")
        self.config_file = os.path.join(self.directory, "bridgehead.yaml")
        self.relay_log = os.path.join(self.directory, "relay.log")
        self.ctrl_log = os.path.join(self.directory, "ctrl.log")
        os.mkdir(self.run_dir)
        try:
            mount_bpffs()
            self._make_networks(offload)
            self.config = merge(self.default_config(), config or {})
            self.write_config()
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------------------------- the networks

    def _namespace(self, role):
        namespace = Namespace(f"bht{os.getpid()}x{next(_serial)}{role}")
        self.namespaces.append(namespace)
        return namespace

    def _make_networks(self, offload):
        self.client, self.edge, self.bridge = map(self._namespace, ("c", "e", "b"))
        if self.one_armed:
            switch = self._namespace("s")
            switch.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
            switch.ip("link", "set", "br0", "up")
            for name, end in (("toclient", self.client), ("toedge", self.edge),
                              ("tobridge", self.bridge)):
                veth(switch, name, end, "wan0" if end is self.edge else "eth0")
                switch.ip("link", "set", name, "master", "br0")
        else:
            veth(self.edge, "wan0", self.client, "eth0")
            veth(self.edge, "lan0", self.bridge, "eth0")
        for end in (self.client, self.bridge):
            end.sysctl("net.ipv4.ip_local_port_range", "32768 60999")
            if not offload:
                end.run("ethtool", "-K", "eth0", "tx", "off")
        self.wan, self.lan = "wan0", "wan0" if self.one_armed else "lan0"
        self.far = "eth0"
        if self.vlan:
            # Without this a veth carries the tag beside the frame, where no XDP program sees it.
            for end in (self.client, self.bridge):
                end.run("ethtool", "-K", "eth0", "txvlan", "off")
            self.wan = self._add_vlan(self.edge, "wan0")
            self.lan = self.wan if self.one_armed else self._add_vlan(self.edge, "lan0")
            self.far = [self._add_vlan(end, "eth0") for end in (self.client, self.bridge)][0]
        self._add_addresses()

    @staticmethod
    def _add_vlan(namespace, interface):
        name = f"{interface}.{VLAN}"
        try:
            namespace.ip("link", "add", "link", interface, "name", name, "type", "vlan", "id",
                         str(VLAN))
        except RuntimeError as error:
            if "Unknown device type" in str(error):
                raise Unsupported("the kernel has no VLAN interfaces (CONFIG_VLAN_8021Q)") from None
            raise
        namespace.ip("link", "set", name, "up")
        return name

    def _add_addresses(self):
        self.add_wan_addresses()
        self.edge.ip("address", "add", EDGE_LAN + "/24", "dev", self.lan)
        for last in range(1, 9):
            self.client.ip("address", "add", f"{CLIENT_ROUTED}{last}/32", "dev", "lo")
        for address in (BRIDGE, BRIDGE_SECOND, BRIDGE_THIRD):
            self.bridge.ip("address", "add", address + "/24", "dev", self.far)
        self.bridge.ip("route", "add", "default", "via", EDGE_LAN)

    def add_wan_addresses(self):
        """Those of the network between client and edge, also for an interface that came back."""
        for address in (PUBLIC, PUBLIC_SECOND):
            self.edge.ip("address", "add", address + "/24", "dev", self.wan)
        self.edge.ip("route", "add", CLIENT_ROUTED + "0/24", "via", CLIENT)
        self.client.ip("address", "add", CLIENT + "/24", "dev", self.far)

    def default_config(self):
        # All that is broken is to be found, not only what costs nothing to find.
        ports = [{"name": "wan", "device": "wan0", "verify_udp_checksum": True}]
        if not self.one_armed:
            ports.append({"name": "lan", "device": "lan0", "verify_udp_checksum": True})

        def listener(name, listen, bridge="jvb1", **more):
            return {"name": name, "listen": listen, "nat": self.nat, "bridges": [bridge], **more}
        return {
            "dataplane": {
                # One worker polls, as in production; two would leave no core to the test itself.
                "workers": [1] if self.workers == 1 else [0, 1],
                "idle": "poll" if self.workers == 1 else "adaptive",
                "max_sessions": 4096, "packet_buffers": 16384, "hugepages": "off",
                "ports": ports,
                "nat_addresses": [EDGE_LAN], "nat_ports": f"{NAT_PORTS[0]}-{NAT_PORTS[1]}",
            },
            "bridges": [{"name": "jvb1", "address": BRIDGE},
                        {"name": "jvb2", "address": BRIDGE_SECOND},
                        {"name": "jvb3", "address": BRIDGE_THIRD},
                        {"name": "absent", "address": BRIDGE_ABSENT}],
            "media": [listener("meet", f"{PUBLIC}:10000"),
                      listener("moved", f"{PUBLIC}:10001", "jvb2", bridge_port=12000),
                      listener("nobody", f"{PUBLIC}:10002", "absent"),
                      listener("range", f"{PUBLIC_SECOND}:10000-10050", "jvb3")],
            "admin": {"listen": "127.0.0.1:9100"},
        }

    def write_config(self, config=None):
        with open(self.config_file, "w", encoding="utf-8") as file:
            yaml.safe_dump(config or self.config, file, sort_keys=False)

    # ------------------------------------------------------------------------------ the processes

    def _start(self, log, binary, *arguments, prefix=()):
        command = self.edge.command(*prefix, os.path.join(BUILD, binary), *arguments)
        with open(log, "a", encoding="utf-8") as file:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def start_relay(self, prefix=()):
        self.relay = self._start(self.relay_log, "relay/bridgehead-relay", "--run-dir",
                                 self.run_dir, "--steer-program",
                                 os.path.join(BUILD, "bpf/steer.bpf.o"), prefix=prefix)

    def start_ctrl(self):
        self.ctrl = self._start(self.ctrl_log, "ctrl/bridgehead-ctrl", "--config",
                                self.config_file, "--run-dir", self.run_dir)

    def start(self):
        self.start_relay()
        self.start_ctrl()
        self.wait_ready()
        return self

    def wait_ready(self, seconds=20):
        def ready():
            for process, log in ((self.relay, self.relay_log), (self.ctrl, self.ctrl_log)):
                assert process.poll() is None, f"ended with {process.returncode}:\n{tail(log)}"
            return self.http("/readyz")[0] == 200
        wait_for(lambda: f"/readyz ok\nrelay: {tail(self.relay_log)}\nctrl: {tail(self.ctrl_log)}",
                 ready, seconds)

    @staticmethod
    def stop(process, how=signal.SIGTERM):
        """Ends a process and returns its exit code; None when it was not running."""
        if process is None or process.poll() is not None:
            return None
        process.send_signal(how)
        try:
            return process.wait(15 * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{process.args[-1]} did not end within 15 s") from None

    def close(self):
        for sock in self.sockets:
            sock.close()
        try:
            for process in (self.ctrl, self.relay):
                self.stop(process)
        finally:
            for namespace in self.namespaces:
                namespace.remove()
            shutil.rmtree(self.directory, ignore_errors=True)

    # -------------------------------------------------------------------------- what they tell us

    def cli(self, *arguments, check=True):
        return run(os.path.join(BUILD, "ctrl/bridgehead"), "--run-dir", self.run_dir, *arguments,
                   check=check)

    def reload(self):
        """Exit code and text of `bridgehead reload`."""
        result = subprocess.run(
            [os.path.join(BUILD, "ctrl/bridgehead"), "--run-dir", self.run_dir, "reload"],
            capture_output=True, text=True, timeout=30, check=False)
        return result.returncode, result.stdout + result.stderr

    def sessions(self):
        return json.loads(self.cli("sessions", "--json"))["sessions"]

    def balance(self):
        """received, forwarded, dropped, held, adds_up, and drops by label: one reading."""
        told = json.loads(self.cli("drops", "--json"))
        told["drops"] = {drop["label"]: drop["packets"] for drop in told["drops"]}
        return told

    def counters(self):
        """All workers' totals, of sessions and NAT ports too, and drops by label."""
        return {**json.loads(self.cli("status", "--json"))["counters"]["total"], **self.balance()}

    def xdp_drops(self, port="wan"):
        """What the port's XDP program has dropped, by label, as of the relay's last look."""
        return {drop["label"]: drop["packets"]
                for drop in json.loads(self.cli("drops", "--json"))["xdp_drops"]
                if drop["port"] == port}

    def wait_xdp_drops(self, **at_least):
        """The same once it is at least this: the relay looks once a second."""
        wait_for(lambda: f"{at_least} dropped, got {self.xdp_drops()}",
                 lambda: all(self.xdp_drops()[label] >= count for label, count in at_least.items()))
        return self.xdp_drops()

    def http(self, path):
        """Status and body of the admin server's answer; (0, "") when there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", 9100, timeout=3)
        try:
            with self.edge.entered():
                connection.connect()
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    @contextmanager
    def expect(self, received, forwarded, held=0, made=0, **drops):
        """The block changes the counters by exactly this: a drop not named here, by zero.

        `made`: packets of the relay's own, ICMP errors and pieces of what is too large."""
        self.assert_accounted()  # a packet reaches its receiver before its counter does
        before = self.balance()
        yield
        want = {"received": received, "forwarded": forwarded, "held": held, "made": made,
                "drops": drops}

        def change():
            now = self.balance()
            got = {name: now[name] - before[name]
                   for name in ("received", "forwarded", "held", "made")}
            got["drops"] = {label: count - before["drops"][label]
                            for label, count in now["drops"].items()
                            if count != before["drops"][label]}
            return got
        wait_for(lambda: f"counters changed by\n{change()}, not by\n{want}",
                 lambda: change() == want, 5)
        time.sleep(0.02)
        now = change()
        assert now == want, f"counters went on changing, by {now}"

    def assert_accounted(self):
        """received + made = forwarded + dropped + held, to the packet, once it is quiet."""
        wait_for(lambda: f"received + made = forwarded + dropped + held: {self.balance()}",
                 lambda: self.balance()["adds_up"], 3)

    # ------------------------------------------------------------------------------ their sockets

    def client_socket(self, address=CLIENT, port=None):
        """A client's socket, on a port that no session of an earlier test has."""
        return self._keep(self.client.udp(address, port or next(self._client_ports)))

    def bridge_socket(self, address=BRIDGE, port=10000):
        return self._keep(self.bridge.udp(address, port))

    def raw(self, namespace, interface=None):
        return self._keep(namespace.raw(interface or "eth0"))

    def _keep(self, sock):
        self.sockets.append(sock)
        return sock

    def xdp_left(self, interfaces=("wan0", "lan0")):
        return [name for name in interfaces
                if (name != "lan0" or not self.one_armed) and xdp_attached(self.edge, name)]


def tail(path, lines=15):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return re.sub(r"\x1b\[[0-9;]*m", "", "".join(file.readlines()[-lines:]))
