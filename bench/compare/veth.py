"""The veth group: what forwards UDP behind the kernel's interfaces, on the same pairs of veths.

Each device is offered several rates; its own is the highest that could be offered beside it and of
which it loses less than LOSS.
"""

import os
import resource

from devices import Device, Failed, Relay, Testpmd, run_rig
from pairs import RIG_INTERFACES, Pairs, run, sysctl
from search import STEPS_AT_MOST, search

FASTER_THAN = "nginx"      # whose rate the ratios are to
CHEAPER_THAN = "nftables"  # and whose rate per busy core
DISCARD_NAME = "discard"
LOSS = 0.005
OFFERED = 0.95         # of a rate, at least: the generator has a core with the kernel's work
FIRST_STEP = 1.4       # of a device's first search, from what comes through of a flood
LOWEST_START = 1000    # packets/s: a flood may let nothing through
STEP = 1.08            # in later rounds, from the rate of the round before
WARMUP_SECONDS = 0.3
PROBE_SECONDS = 0.5    # of load, to decide whether a rate is lost from

NFTABLES = """
table ip bridgehead {
  chain prerouting {
    type nat hook prerouting priority dstnat
    ip daddr 198.51.100.10 udp dport 10000 dnat to 10.8.0.11:10000
  }
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname "lan0" masquerade
  }
}
"""

DISCARD = """
table netdev bridgehead {
  chain wan { type filter hook ingress device "wan0" priority 0; policy drop; }
  chain lan { type filter hook ingress device "lan0" priority 0; policy drop; }
}
"""

NGINX = """
daemon off;
user root;
worker_processes 1;
worker_cpu_affinity 10;
pid {directory}/nginx.pid;
error_log {directory}/device.log error;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{ worker_connections {connections}; }}
stream {{
  server {{
    listen 198.51.100.10:10000 udp;
    proxy_pass 10.8.0.11:10000;
    proxy_timeout 1h;
  }}
}}
"""


class Kernel(Device):
    """Rules of nft, and no process at all. `steer`: the core (a mask) for packets that arrive."""

    def __init__(self, directory, rules, steer=0):
        super().__init__(directory)
        self.rules = rules
        self.steer = steer

    def start_all(self):
        sysctl("net/ipv4/ip_forward", 1)
        run("nft", "-f", "-", stdin=self.rules)
        for device in ("wan0", "lan0"):
            with open(f"/sys/class/net/{device}/queues/rx-0/rps_cpus", "w",
                      encoding="ascii") as file:
                file.write(f"{self.steer:x}")

    def __exit__(self, *details):
        run("nft", "flush", "ruleset")
        sysctl("net/ipv4/ip_forward", 0)
        super().__exit__(*details)


class Discard(Kernel):
    """Drops at the first hook there is: what remains is the generator's sending."""

    stateless = True


class Nginx(Device):
    def __init__(self, directory, sessions):
        super().__init__(directory)
        descriptors = sessions + 256  # one for each session, which takes two of its connections
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if descriptors > allowed:
            raise Failed(f"nginx needs {descriptors} descriptors for {sessions} sessions, and "
                         f"`ulimit -Hn` is {allowed}; take fewer --sessions or raise it")
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
        self.config = os.path.join(directory, "nginx.conf")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(NGINX.format(directory=directory, connections=sessions + descriptors))

    def start_all(self):
        self.start("nginx", "-e", self.log, "-c", self.config)

        def listens():
            with open("/proc/net/udp", encoding="ascii") as file:
                return any(line.split()[1].endswith(":2710") for line in file)  # port 10000
        self.wait("nginx's start", listens)


def relay(directory, options, idle):
    return Relay(directory, options.build, options.sessions, idle=idle, nat_addresses=["10.8.0.2"],
                 ports=[{"name": "wan", "device": "wan0"}, {"name": "lan", "device": "lan0"}])


def testpmd(directory, _):
    return Testpmd(directory, "5tswap", [
        f"net_af_xdp{port},iface={device},start_queue=0,queue_count=1,busy_budget=0"
        for port, device in enumerate(("wan0", "lan0"))])


MAKE = {
    DISCARD_NAME: lambda directory, _: Discard(directory, DISCARD),
    "nftables": lambda directory, _: Kernel(directory, NFTABLES),
    "nftables core 1": lambda directory, _: Kernel(directory, NFTABLES, steer=1 << 1),
    "nginx": lambda directory, options: Nginx(directory, options.sessions),
    "relay": lambda directory, options: relay(directory, options, "poll"),
    "relay adaptive": lambda directory, options: relay(directory, options, "adaptive"),
    "5tswap": testpmd,
}
DEVICES = list(MAKE)


def share_lost(result):
    sent = result["to_bridge"]["sent"] + result["to_client"]["sent"]
    return max(0, result["lost"]) / sent


def keeps_up(result):
    return (share_lost(result) <= LOSS
            and result["sent_per_second"] >= OFFERED * result["offered"])


class Group:
    """Measures devices, and remembers the rate that each of them had in the round before."""

    def __init__(self, options):
        self.options = options
        self.rates = {}

    def measure(self, name, directory):
        with Pairs() as pairs, MAKE[name](directory, self.options) as device:

            def load(rate, seconds):
                result = run_rig(
                    self.options.build, device, "--interfaces", RIG_INTERFACES,
                    "--frame-bytes", str(self.options.frame_bytes),
                    "--sessions", str(self.options.sessions), "--rate", str(round(rate)),
                    "--warmup", str(WARMUP_SECONDS),
                    *(["--random-order"] if self.options.random_order else []),
                    prefix=pairs.rig_prefix, seconds=seconds)
                sent = result["to_bridge"]["sent"] + result["to_client"]["sent"]
                result["offered"] = rate
                result["sent_per_second"] = sent / (WARMUP_SECONDS + seconds)
                return result

            full_speed = load(0, self.options.seconds)
            if isinstance(device, Discard):
                return with_use(full_speed)
            result = self.at_highest_rate(name, load, full_speed["packets_per_second"])
        result["full_speed"] = {key: full_speed[key] for key in
                                ("packets_per_second", "best_window", "lost", "wrong", "cores")}
        return with_use(result)

    def at_highest_rate(self, name, load, flooded):
        def passes(rate):
            return keeps_up(load(rate, PROBE_SECONDS))

        rate = self.rates.get(name) or search(passes, max(flooded, LOWEST_START), FIRST_STEP)
        rate = rate and search(passes, rate, STEP)
        if rate is None:
            raise Failed(f"{name} does not keep up at any rate that was tried, and delivers "
                         f"{flooded:.0f} packets/s of a flood")
        # Half a second may be kinder than the whole measurement.
        for _ in range(STEPS_AT_MOST):
            result = load(rate, self.options.seconds)
            if keeps_up(result):
                break
            rate /= STEP
        self.rates[name] = rate
        return result


def with_use(result):
    """Adds what the cores did together: the generator's work too."""
    result["busy"] = sum(core["busy"] for core in result["cores"])
    result["softirq"] = sum(core["softirq"] for core in result["cores"])
    result["share_lost"] = share_lost(result)
    result["sent_per_core"] = result["sent_per_second"] / result["busy"]
    result["per_core"] = result["packets_per_second"] / result["busy"]
    return result


def tell(result):
    """A line of progress."""
    if "full_speed" not in result:
        return f"{result['sent_per_core'] / 1e3:7.1f} kpps sent per busy core"
    return (f"{result['packets_per_second'] / 1e3:7.1f} kpps, {result['busy']:.2f} cores busy, "
            f"lost {result['share_lost']:.2%}")
