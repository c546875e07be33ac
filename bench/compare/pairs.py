"""The veth pairs of the second group.

    generator's namespace                        edge: the namespace this program runs in

    client0  02:62:68:00:01:01 ---- veth ---- wan0  198.51.100.10/24, route to 100.64.0.0/10
    bridge0  02:62:68:00:02:01 ---- veth ---- lan0  10.8.0.2/24

Nothing is removed again: bench/compare/run.sh gives this program namespaces of its own, and what is
made in them ends with it.
"""

import os
import shutil
import subprocess

from devices import BRIDGE_SIDE_MAC, CLIENT_SIDE_MAC, Failed, missing

PAIRS = (("wan0", "client0", CLIENT_SIDE_MAC), ("lan0", "bridge0", BRIDGE_SIDE_MAC))
RIG_INTERFACES = "client0,bridge0"
# As the sender's checksums are, so they arrive; frames are not merged; nobody else speaks.
OFFLOADS_OFF = ("tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off",
                "txvlan", "off", "rxvlan", "off")


def run(*command, stdin=None):
    if shutil.which(command[0]) is None:
        raise missing(command[0])
    result = subprocess.run(command, capture_output=True, text=True, check=False, input=stdin)
    if result.returncode != 0:
        raise Failed(f"{' '.join(command)}: {result.stderr.strip() or result.returncode}")
    return result.stdout


def sysctl(name, value):
    try:
        with open("/proc/sys/" + name, "w", encoding="ascii") as file:
            file.write(str(value))
    except OSError as error:
        raise Failed(f"/proc/sys/{name}: {error.strerror}") from None


class Pairs:
    """New veth pairs on entry, gone on exit: each device finds them as the first one did."""

    def __init__(self):
        self.holder = None
        self.rig_prefix = []

    def __enter__(self):
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo there; exec sleep infinity"],
            stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.rig_prefix = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]
        try:
            for near, far, macs in PAIRS:
                run("ip", "link", "add", near, "address", macs["device"], "type", "veth",
                    "peer", "name", far, "address", macs["rig"], "netns", str(self.holder.pid))
                self._set_up(near)
                self._set_up(far, *self.rig_prefix)
            self._add_addresses()
        except BaseException:
            self.__exit__()
            raise
        return self

    @staticmethod
    def _set_up(device, *prefix):
        if os.path.exists("/proc/sys/net/ipv6"):
            run(*prefix, "sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1")
        run(*prefix, "ethtool", "-K", device, *OFFLOADS_OFF)
        run(*prefix, "ip", "link", "set", device, "up")

    @staticmethod
    def _add_addresses():
        for device, address in (("wan0", "198.51.100.10/24"), ("lan0", "10.8.0.2/24")):
            run("ip", "address", "add", address, "dev", device)
        # The generator answers no ARP.
        for device, address, macs in (("wan0", "198.51.100.1", CLIENT_SIDE_MAC),
                                      ("lan0", "10.8.0.11", BRIDGE_SIDE_MAC)):
            run("ip", "neighbour", "add", address, "lladdr", macs["rig"], "dev", device)
        run("ip", "route", "add", "100.64.0.0/10", "via", "198.51.100.1")
        # The relay's own ports; nginx has the rest.
        sysctl("net/ipv4/ip_local_port_range", "1024 65535")
        sysctl("net/ipv4/ip_local_reserved_ports", "10000,20000-59999")

    def __exit__(self, *_):
        for near, _, _ in PAIRS:
            subprocess.run(["ip", "link", "del", near], capture_output=True, check=False)
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
