"""Network namespaces: commands in them, sockets in them, and their removal whatever happens."""

import ctypes
import os
import socket
import subprocess
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command, check=True, timeout=30):
    """Runs a command on the host; raises with its stderr when it fails."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if check and result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip() or result.returncode}")
    return result.stdout


def _set_namespace(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class Unsupported(Exception):
    """This machine's kernel can not do what a test needs."""


class Namespace:
    """A network namespace of our own. `ip netns exec` is not used: it mounts a /sys without bpffs."""

    def __init__(self, name):
        self.name = name
        self.path = "/run/netns/" + name
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def remove(self):
        run("ip", "netns", "del", self.name, check=False)

    def ip(self, *arguments, check=True):
        return run("ip", "-n", self.name, *arguments, check=check)

    def command(self, *command):
        """A command line that runs `command` in here."""
        return ["nsenter", "--net=" + self.path, *command]

    def run(self, *command, **options):
        return run(*self.command(*command), **options)

    @contextmanager
    def entered(self):
        """Sockets made inside the with block belong to this namespace for good."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(self.path, "rb") as there:
            _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(home.fileno())

    def sysctl(self, name, value):
        with self.entered():
            with open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as file:
                file.write(str(value))

    def udp(self, address="0.0.0.0", port=0, timeout=3.0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.entered():
            sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((address, port))
        sock.settimeout(timeout)
        return sock

    def tcp(self):
        with self.entered():
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def raw(self, interface, timeout=3.0):
        """An AF_PACKET socket that sends and receives whole frames."""
        with self.entered():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.bind((interface, 0))
        sock.settimeout(timeout)
        return sock

    def mac(self, interface):
        with self.entered():
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
                sock.bind((interface, 0))
                return sock.getsockname()[4]

    def udp_statistics(self):
        """The kernel's Udp: counters of /proc/net/snmp, by name."""
        with self.entered():
            with open("/proc/thread-self/net/snmp", encoding="ascii") as file:
                lines = [line.split() for line in file if line.startswith("Udp:")]
        return dict(zip(lines[0][1:], map(int, lines[1][1:])))


def veth(one, one_name, other, other_name):
    """A veth pair between two namespaces, both ends up, with the kernel's default offloads."""
    one.ip("link", "add", one_name, "type", "veth", "peer", "name", other_name, "netns", other.name)
    one.ip("link", "set", one_name, "up")
    other.ip("link", "set", other_name, "up")


def xdp_attached(namespace, interface):
    return "xdp" in namespace.ip("link", "show", "dev", interface)


def mount_bpffs():
    """The relay's XDP program needs it where systemd mounts it on every Debian."""
    if not os.path.ismount("/sys/fs/bpf"):
        run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
