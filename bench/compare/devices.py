"""Programs under test: what starts, watches and ends them, and those that both groups have."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request

BURST = 32
CLIENT_SIDE_MAC = {"rig": "02:62:68:00:01:01", "device": "02:62:68:00:01:02"}
BRIDGE_SIDE_MAC = {"rig": "02:62:68:00:02:01", "device": "02:62:68:00:02:02"}
ADMIN = "127.0.0.1:9177"
# AF_XDP's default program goes straight to its interface, without libxdp's dispatcher for several.
ENVIRONMENT = {**os.environ, "LIBXDP_SKIP_DISPATCHER": "1"}


# An interface's queue is free for another AF_XDP socket only a while after the last one's process has ended.
NOT_YET = "Failed to create xsk socket"
RIG_STARTS = 10


class Failed(Exception):
    """Something the user has to know; printed without a trace."""


def missing(program):
    return Failed(f"{program} is missing; bring it with: sudo ./deploy/packages.sh bench (or leave "
                  "out what needs it: --devices, --veth-devices)")


class Device:
    """A device under test: started on entry, ended on exit."""

    stateless = False  # it only swaps addresses, so the rig makes no sessions

    def __init__(self, directory):
        self.directory = directory
        self.processes = []
        self.log = os.path.join(directory, "device.log")
        with open(self.log, "w", encoding="utf-8"):
            pass

    def start(self, *command):
        if shutil.which(command[0]) is None:
            raise missing(command[0])
        with open(self.log, "a", encoding="utf-8") as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log,
                                       env=ENVIRONMENT)
        self.processes.append(process)
        return process

    def wait(self, what, ready, seconds=20):
        deadline = time.monotonic() + seconds
        while not ready():
            for process in self.processes:
                if process.poll() is not None:
                    raise Failed(f"{process.args[0]} ended with {process.returncode} at start:\n"
                                 + self.tail())
            if time.monotonic() > deadline:
                raise Failed(f"{what} not within {seconds} s:\n" + self.tail())
            time.sleep(0.05)

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def tail(self):
        return "\n".join(self.output().splitlines()[-15:])

    def start_all(self):
        raise NotImplementedError

    def __enter__(self):
        try:
            self.start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # The generator is gone by now. A device that dies of that (testpmd may) has done its work.
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Testpmd(Device):
    """One forwarding core. `vdevs`: DPDK's arguments of both ports."""

    stateless = True

    def __init__(self, directory, mode, vdevs):
        super().__init__(directory)
        self.mode = mode
        self.vdevs = vdevs

    def start_all(self):
        self.start("dpdk-testpmd", "-l", "0,1", "--main-lcore", "0", "--no-pci", "--no-telemetry",
                   "--in-memory", "--single-file-segments", "--log-level=*:error",
                   *["--vdev=" + vdev for vdev in self.vdevs],
                   "--", "--nb-cores=1", "--forward-mode=" + self.mode, f"--burst={BURST}",
                   "--rxd=1024", "--txd=1024", "--total-num-mbufs=32768", "--auto-start")
        # It forwards as soon as the links, which the rig may bring, are up.
        self.wait("testpmd start", lambda: "Checking link statuses" in self.output())


def relay_config(sessions, ports, nat_addresses, idle, nat, public, bridge):
    """Room for twice the sessions, and no limit to how fast they come: the generator makes its own as
    fast as it can. JSON, which is YAML."""
    listen = f"[{public}]:10000" if ":" in public else f"{public}:10000"
    return json.dumps({
        "dataplane": {
            "workers": [1], "idle": idle, "hugepages": "require",
            "max_sessions": 1 << max(10, (2 * sessions - 1).bit_length()), "ports": ports,
            "nat_addresses": nat_addresses, "nat_ports": "20000-59999"},
        "bridges": [{"name": "rig", "address": bridge}],
        "media": [{"name": "rig", "listen": listen, "nat": nat, "bridges": ["rig"]}],
        "limits": {"new_sessions": 0, "new_sessions_per_prefix": 0, "stun_requests_per_source": 0},
        "admin": {"listen": ADMIN},
    }, indent=1)


class Relay(Device):
    """The relay with one worker on core 1, and bridgehead-ctrl."""

    def __init__(self, directory, build, sessions, ports, nat_addresses, idle="poll", nat="source",
                 public="198.51.100.10", bridge="10.8.0.11"):
        super().__init__(directory)
        self.build = build
        self.config = os.path.join(directory, "relay.yaml")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(relay_config(sessions, ports, nat_addresses, idle, nat, public, bridge))

    def start_all(self):
        self.start(self.build + "/relay/bridgehead-relay", "--run-dir", self.directory,
                   "--steer-program", self.build + "/bpf/steer.bpf.o")
        self.start(self.build + "/ctrl/bridgehead-ctrl", "--config", self.config,
                   "--run-dir", self.directory)
        self.wait("the relay's start", self.forwarding)

    @staticmethod
    def forwarding():
        try:
            # Not /readyz, which waits for the links, which the rig may bring.
            with urllib.request.urlopen(f"http://{ADMIN}/api/v1/status", timeout=1) as answer:
                relay = json.load(answer)["relay"]
                return relay is not None and relay["forwarding"]
        except OSError:  # not there yet
            return False


def run_rig(build, device, *arguments, prefix=(), seconds):
    """What the generator, on core 0, tells of one load on `device`."""
    command = [*prefix, build + "/bench/bridgehead-rig", "--core", "0", "--burst", str(BURST),
               "--seconds", str(seconds), *map(str, arguments)]
    if device.stateless:
        command.append("--stateless")
    for _ in range(RIG_STARTS):
        result = subprocess.run(command, capture_output=True, text=True, check=False,
                                timeout=seconds + 90, env=ENVIRONMENT)
        if result.returncode == 0 or NOT_YET not in result.stderr:
            break
        time.sleep(0.5)
    if result.returncode != 0:
        raise Failed(f"the rig failed: {result.stderr.strip()}\ndevice's last lines:\n"
                     + device.tail())
    return json.loads(result.stdout)

