"""The relay beside dpdk-testpmd over memif, in alternated rounds: see bench/README.md.

Generator on core 0, device under test on core 1, the same vdev arguments, ring and burst sizes for
each device. The first round is thrown away.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

RING_LOG2 = 10
BURST = 32
PAGES_EACH = 320  # of 2 MiB, for the rig and for the device
CLIENT_SIDE_MAC = {"rig": "02:62:68:00:01:01", "device": "02:62:68:00:01:02"}
BRIDGE_SIDE_MAC = {"rig": "02:62:68:00:02:01", "device": "02:62:68:00:02:02"}
ADMIN = "127.0.0.1:9177"
NAT_PORTS_EACH = 40000
HUGEPAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/"


class Failed(Exception):
    """Something the user has to know; printed without a trace."""


class Hugepages:
    """Enough free hugepages inside the with block; the number from before after it."""

    def __init__(self, free_wanted):
        self.free_wanted = free_wanted
        self.before = None

    @staticmethod
    def read(name):
        with open(HUGEPAGES + name, encoding="ascii") as file:
            return int(file.read())

    @staticmethod
    def write(count):
        with open(HUGEPAGES + "nr_hugepages", "w", encoding="ascii") as file:
            file.write(str(count))

    def __enter__(self):
        self.before = self.read("nr_hugepages")
        short = self.free_wanted - self.read("free_hugepages")
        if short > 0:
            self.write(self.before + short)
        if self.read("free_hugepages") < self.free_wanted:
            self.write(self.before)
            raise Failed(f"no {self.free_wanted} free hugepages of 2 MiB; free some memory")

    def __exit__(self, *_):
        self.write(self.before)


def memif(port, directory):
    side = CLIENT_SIDE_MAC if port == 0 else BRIDGE_SIDE_MAC
    return (f"net_memif{port},role=server,id={port},socket={directory}/memif.sock,"
            f"socket-abstract=no,bsize=2048,rsize={RING_LOG2},mac={side['device']}")


class Device:
    """A device under test: started on entry, ended on exit."""

    def __init__(self, directory):
        self.directory = directory
        self.processes = []
        self.log = os.path.join(directory, "device.log")

    def start(self, *command):
        with open(self.log, "a", encoding="utf-8") as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
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

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-15:])

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
    def __init__(self, directory, mode):
        super().__init__(directory)
        self.mode = mode

    def __enter__(self):
        self.start("dpdk-testpmd", "-l", "0,1", "--main-lcore", "0", "--no-pci", "--no-telemetry",
                   "--in-memory", "--single-file-segments", "--log-level=*:error",
                   "--vdev=" + memif(0, self.directory), "--vdev=" + memif(1, self.directory),
                   "--", "--nb-cores=1", "--forward-mode=" + self.mode, f"--burst={BURST}",
                   "--rxd=1024", "--txd=1024", "--total-num-mbufs=32768", "--auto-start")

        def started():  # it forwards as soon as the links, which the rig brings, are up
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return "Checking link statuses" in file.read()
        self.wait("testpmd start", started)
        return self


RELAY_CONFIG = """
dataplane:
  workers: [1]
  hugepages: require
  max_sessions: {max_sessions}
  ports:
    - name: wan
      vdev: "{wan}"
      addresses: [198.51.100.10/24]
      routes: [{{to: 100.64.0.0/10, via: 198.51.100.1}}]
      neighbours: [{{address: 198.51.100.1, mac: "{client_mac}"}}]
    - name: lan
      vdev: "{lan}"
      addresses: [{lan_addresses}]
      neighbours: [{{address: 10.8.0.11, mac: "{bridge_mac}"}}]
  nat_addresses: [{nat_addresses}]
  nat_ports: 20000-59999
bridges:
  - {{name: rig, address: 10.8.0.11}}
media:
  - {{name: rig, listen: "198.51.100.10:10000", nat: {nat}, bridges: [rig]}}
# The generator makes its sessions as fast as it can.
limits: {{new_sessions: 0, new_sessions_per_prefix: 0, stun_requests_per_source: 0}}
admin: {{listen: "{admin}"}}
"""


class Relay(Device):
    def __init__(self, directory, build, nat, sessions):
        super().__init__(directory)
        self.build = build
        # Half as many again as needed, so that choosing a free port stays short.
        count = sessions * 3 // 2 // NAT_PORTS_EACH + 1
        nat_addresses = [f"10.8.{16 + i // 250}.{1 + i % 250}" for i in range(count)]
        power = 1024
        while power < 2 * sessions:
            power *= 2
        config = RELAY_CONFIG.format(
            max_sessions=power, wan=memif(0, directory), lan=memif(1, directory),
            lan_addresses=", ".join(["10.8.0.2/24"] + [a + "/32" for a in nat_addresses]),
            nat_addresses=", ".join(nat_addresses), nat=nat, admin=ADMIN,
            client_mac=CLIENT_SIDE_MAC["rig"], bridge_mac=BRIDGE_SIDE_MAC["rig"])
        self.config = os.path.join(directory, "relay.yaml")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config)

    def __enter__(self):
        self.start(self.build + "/relay/bridgehead-relay", "--run-dir", self.directory)
        self.start(self.build + "/ctrl/bridgehead-ctrl", "--config", self.config,
                   "--run-dir", self.directory)

        def ready():
            try:
                # Not /readyz, which waits for the links, which the rig brings.
                with urllib.request.urlopen(f"http://{ADMIN}/api/v1/status", timeout=1) as answer:
                    relay = json.load(answer)["relay"]
                    return relay is not None and relay["forwarding"]
            except (urllib.error.URLError, OSError):
                return False
        try:
            self.wait("relay ready", ready)
        except BaseException:
            self.__exit__()
            raise
        return self


def measure(options, device, directory, stateless, nat):
    command = [options.build + "/bench/bridgehead-rig", "--socket", directory + "/memif.sock",
               "--role", "client", "--ring", str(RING_LOG2), "--burst", str(BURST), "--core", "0",
               "--sessions", str(options.sessions), "--seconds", str(options.seconds),
               "--rate", str(options.rate)]
    if options.random_order:
        command.append("--random-order")
    command += ["--stateless"] if stateless else ["--nat", nat]
    result = subprocess.run(command, capture_output=True, text=True, check=False,
                            timeout=options.seconds + 90)
    if result.returncode != 0:
        raise Failed(f"the rig failed: {result.stderr.strip()}\ndevice's last lines:\n"
                     + device.tail())
    return json.loads(result.stdout)


def run_one(options, name):
    directory = tempfile.mkdtemp(prefix="bridgehead-compare-")
    try:
        if name.startswith("relay "):
            nat = name.split()[1]
            device = Relay(directory, options.build, nat, options.sessions)
        else:
            nat = None
            device = Testpmd(directory, name)
        with device:
            return measure(options, device, directory, nat is None, nat)
    finally:
        shutil.rmtree(directory)


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarise(names, rounds):
    """Median and spread of each device, and of its ratio to 5tswap in the same round."""
    summary = {}
    for name in names:
        runs = [r[name] for r in rounds]
        summary[name] = {
            "packets_per_second": spread([run["packets_per_second"] for run in runs]),
            "best_window": max(run["best_window"] for run in runs),
            "lost": sum(run["lost"] for run in runs),
            "wrong": sum(run["wrong"] for run in runs),
            "ring_full": statistics.median(
                [min(run["to_bridge"]["ring_full"], run["to_client"]["ring_full"])
                 for run in runs]),
        }
        if "5tswap" in names:
            summary[name]["ratio"] = spread(
                [r[name]["packets_per_second"] / r["5tswap"]["packets_per_second"]
                 for r in rounds])
    return summary


def print_table(summary):
    print(f"\n{'device':20} {'median':>8} {'min..max':>16} {'best 100 ms':>12} "
          f"{'of 5tswap':>10} {'min..max':>12} {'lost':>10} {'wrong':>6}   (Mpps)")
    for name, row in summary.items():
        rate = row["packets_per_second"]
        ratio = row.get("ratio")
        ratio_text = (f"{ratio['median']:10.2f} {ratio['min']:5.2f}..{ratio['max']:4.2f} "
                      if ratio else f"{'-':>10} {'-':>12}")
        print(f"{name:20} {rate['median'] / 1e6:8.2f} "
              f"{rate['min'] / 1e6:8.2f}..{rate['max'] / 1e6:<6.2f} {row['best_window'] / 1e6:12.2f} "
              f"{ratio_text} {row['lost']:>10} {row['wrong']:>6}")


def parse():
    parser = argparse.ArgumentParser(
        prog="bench/compare/run.sh",
        description="The relay beside dpdk-testpmd over memif, in alternated rounds.")
    parser.add_argument("--sessions", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=6, help="the first is thrown away")
    parser.add_argument("--seconds", type=float, default=2, help="of load, for each measurement")
    parser.add_argument("--rate", type=float, default=0, help="packets/s offered; 0 = full speed")
    parser.add_argument("--random-order", action="store_true", help="sessions in shuffled order")
    parser.add_argument("--devices", default="5tswap,relay source,relay destination",
                        help="comma-separated: any testpmd forward mode, 'relay source', "
                             "'relay destination' (default: %(default)s)")
    parser.add_argument("--json", help="write all rounds and the summary to this file")
    parser.add_argument("--build", default="build", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds: the first is thrown away, so at least 2")
    return options


def main():
    options = parse()
    # So that a plain kill also ends the device and gives the hugepages back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    names = [name.strip() for name in options.devices.split(",")]
    rounds = []
    pages_for_sessions = options.sessions * 8 // 4096  # generous: 4 KiB a session
    with Hugepages(2 * PAGES_EACH + pages_for_sessions):
        for number in range(options.rounds):
            # Another device first each round, so that none always follows the same one.
            order = names[number % len(names):] + names[:number % len(names)]
            results = {}
            for name in order:
                print(f"round {number + 1}/{options.rounds}{' (warm-up)' if number == 0 else ''}: "
                      f"{name:20}", end="", flush=True)
                results[name] = run_one(options, name)
                print(f"{results[name]['packets_per_second'] / 1e6:7.2f} Mpps, "
                      f"lost {results[name]['lost']}", flush=True)
            rounds.append(results)
    summary = summarise(names, rounds[1:])
    print_table(summary)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"sessions": options.sessions, "seconds": options.seconds,
                       "summary": summary, "rounds": rounds[1:]}, file, indent=1)
            file.write("\n")
    return 1 if any(row["wrong"] for row in summary.values()) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        print(f"bench/compare: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
