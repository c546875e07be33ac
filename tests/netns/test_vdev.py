"""vdev: ports, with a driver that has two queues: each worker its own, and the hand-off in between.

net_tap makes the interfaces; their far sides are moved to the client's and the bridge's namespace,
so real sockets talk through them. The driver can finish UDP checksums itself.
"""

import json
import os
import socket
import struct

import pytest
import stun
from conftest import MODES, NAMES
from lab import BRIDGE, CLIENT, EDGE_LAN, PUBLIC, Lab
from netns import run

SOL_PACKET, PACKET_AUXDATA = 263, 8  # <linux/if_packet.h>
VLAN_WIRE = os.path.join(os.path.dirname(__file__), "vlan_wire.bpf.c")
BPFFS = "/sys/fs/bpf/"
CLIENT_MAC = "02:00:00:00:01:64"
BRIDGE_MAC = "02:00:00:00:02:0b"


class TapLab(Lab):
    def _make_networks(self, offload):
        self.client, self.edge, self.bridge = map(self._namespace, ("c", "e", "b"))
        self.taps = (f"bhw{os.getpid()}", f"bhl{os.getpid()}")

    def default_config(self):
        config = super().default_config()
        config["dataplane"]["ports"] = [
            {"name": "wan", "vdev": f"net_tap0,iface={self.taps[0]}",
             "addresses": [PUBLIC + "/24"], "neighbours": [{"address": CLIENT, "mac": CLIENT_MAC}]},
            {"name": "lan", "vdev": f"net_tap1,iface={self.taps[1]}",
             "addresses": [EDGE_LAN + "/24"], "neighbours": [{"address": BRIDGE, "mac": BRIDGE_MAC}]},
        ]
        # Moving an interface between namespaces waits for every core; a polling one makes it long.
        config["dataplane"]["idle"] = "adaptive"
        config["media"] = config["media"][:1]
        config["bridges"] = config["bridges"][:1]
        return config

    def start(self):
        super().start()
        self._move(self.taps[0], self.client, CLIENT, CLIENT_MAC, PUBLIC)
        self._move(self.taps[1], self.bridge, BRIDGE, BRIDGE_MAC, EDGE_LAN)
        return self

    def _move(self, tap, namespace, address, mac, relay):
        self.edge.ip("link", "set", tap, "netns", namespace.name)
        namespace.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        namespace.ip("link", "set", tap, "address", mac, "up")
        namespace.ip("address", "add", address + "/24", "dev", tap)
        namespace.ip("route", "add", "default", "dev", tap)
        # A vdev has no kernel interface that would answer ARP for the relay.
        namespace.ip("neighbour", "add", relay, "lladdr", "02:00:00:00:00:99", "dev", tap)
        namespace.ip("neighbour", "replace", CLIENT if relay == EDGE_LAN else BRIDGE, "lladdr",
                     "02:00:00:00:00:99", "dev", tap, check=False)


def exchange(lab, count=40):
    """`count` clients: request, answer and media through a listener, each packet counted."""
    bridge = lab.bridge_socket()
    with lab.expect(received=4 * count, forwarded=4 * count):
        for _ in range(count):
            client = lab.client_socket()
            request = stun.request()
            client.sendto(request, (PUBLIC, 10000))
            data, seen = bridge.recvfrom(2048)
            assert data == request
            assert seen == client.getsockname() if lab.nat == "destination" else \
                seen[0] == EDGE_LAN
            answer = stun.response(request)
            bridge.sendto(answer, seen)
            assert client.recvfrom(2048) == (answer, (PUBLIC, 10000))
            client.sendto(stun.rtp(1), (PUBLIC, 10000))
            assert bridge.recvfrom(2048) == (stun.rtp(1), seen)
            bridge.sendto(stun.rtp(2, 1200), seen)
            assert client.recvfrom(2048)[0] == stun.rtp(2, 1200)
    for namespace in (lab.client, lab.bridge):
        assert namespace.udp_statistics()["InCsumErrors"] == 0


@pytest.mark.parametrize("workers,nat", MODES, ids=NAMES)
def test_media_both_ways_over_a_driver_with_queues_of_its_own(workers, nat):
    lab = TapLab(workers=workers, nat=nat)
    try:
        exchange(lab.start())
        status = json.loads(lab.cli("status", "--json"))
        assert [port["rx_queues"] for port in status["relay"]["ports"]] == [workers, workers]
        handed = lab.counters()["handoff_sent"]
        assert handed == 0 if workers == 1 else handed > 0
    finally:
        lab.close()


class TaggedLab(TapLab):
    """Both wires carry a VLAN tag, another one on each side; the hosts have plain interfaces."""

    VLANS = (100, 4094)
    TC_FOLDERS = ("ip", "xdp", "tc/globals", "tc")  # tc makes these in bpffs, and leaves them

    def __init__(self, **options):
        self.there_before = {name for name in self.TC_FOLDERS if os.path.isdir(BPFFS + name)}
        super().__init__(**options)

    def close(self):
        super().close()
        for name in self.TC_FOLDERS:
            if name in self.there_before or not os.path.isdir(BPFFS + name):
                continue
            remove = os.unlink if os.path.islink(BPFFS + name) else os.rmdir
            remove(BPFFS + name)

    def default_config(self):
        config = super().default_config()
        for port, vlan in zip(config["dataplane"]["ports"], self.VLANS):
            port["vlan"] = vlan
        return config

    def start(self):
        super().start()
        for tap, namespace, vlan in zip(self.taps, (self.client, self.bridge), self.VLANS):
            program = os.path.join(self.directory, f"vlan{vlan}.o")
            run("clang", "-target", "bpf", "-O2", "-g", f"-DVLAN={vlan}", "-idirafter",
                f"/usr/include/{os.uname().machine}-linux-gnu", "-c", VLAN_WIRE, "-o", program)
            # Without this a tag may travel beside the frame, where no driver sees it.
            namespace.run("ethtool", "-K", tap, "txvlan", "off")
            namespace.run("tc", "qdisc", "add", "dev", tap, "clsact")
            for hook in ("egress", "ingress"):
                namespace.run("tc", "filter", "add", "dev", tap, hook, "bpf", "direct-action",
                              "object-file", program, "section", f"classifier/{hook}")
        return self


@pytest.mark.parametrize("workers,nat", MODES, ids=NAMES)
def test_media_between_two_vlans(workers, nat):
    lab = TaggedLab(workers=workers, nat=nat)
    try:
        exchange(lab.start())
        # The wires do carry the tags.
        frames = lab.raw(lab.bridge, lab.taps[1])
        client = lab.client_socket()
        with lab.expect(received=1, forwarded=1):
            client.sendto(stun.request(), (PUBLIC, 10000))
            assert vlan_of(frames) == lab.VLANS[1]
    finally:
        lab.close()


def vlan_of(raw):
    """The tag of the next frame that comes in: the kernel has taken it off and tells it apart."""
    raw.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    while True:
        _, extra, _, source = raw.recvmsg(2048, 64)
        if source[2] == socket.PACKET_OUTGOING:
            continue
        for level, kind, data in extra:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                return struct.unpack("IIIHHHH", data)[5] & 0xFFF
