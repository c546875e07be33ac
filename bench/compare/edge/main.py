"""The TCP edge beside nginx and HAProxy, in alternated rounds: see bench/README.md.

Runs inside the namespaces that bench/compare/edge.sh makes: network and processes of its own.
Clients and origin on core 0, the proxy on core 1.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from arguments import bounded, chosen  # noqa: E402
from peers import (ORIGIN_HTTP, ORIGIN_STREAM, PEERS, RESERVED_PORTS, SERVER_NAME,
                   make_certificate)
from processes import CLIENT_CORE, PROXY_CORE, Failed, Load
from report import OURS, summarise, table
from scenarios import SCENARIOS

FILES = 65536  # descriptors, two of them for each connection through a proxy
SCRATCH = "/dev/shm"
SYSCTLS = {
    "net/ipv4/ip_local_port_range": "1024 65535",
    "net/ipv4/ip_local_reserved_ports": RESERVED_PORTS,
    "net/core/somaxconn": "4096",
}


def parse_options(arguments=None):
    parser = argparse.ArgumentParser(
        prog="bench/compare/edge.sh",
        description="The TCP edge beside nginx and HAProxy, in alternated rounds.")
    parser.add_argument("--rounds", type=bounded(2, 100, int), default=5,
                        help="the first is thrown away (default: %(default)s)")
    parser.add_argument("--seconds", type=bounded(0.5, 600, float), default=3,
                        help="of load, for each measurement (default: %(default)s)")
    parser.add_argument("--only", type=chosen(SCENARIOS),
                        default=list(SCENARIOS),
                        help=f"some of: {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--peers", type=chosen(PEERS),
                        default=["nginx", "haproxy", OURS],
                        help=f"some of: {', '.join(PEERS)} (default: all but haproxy-splice)")
    parser.add_argument("--json", help="write all rounds and the summary to this file")
    parser.add_argument("--build", default="build", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def prepare_host():
    if {CLIENT_CORE, PROXY_CORE} - os.sched_getaffinity(0):
        raise Failed(f"cores {CLIENT_CORE} and {PROXY_CORE} are needed, and this process may run on "
                     f"{sorted(os.sched_getaffinity(0))} only")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # Nobody else sees it, and it goes with the namespace.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "bridgehead", SCRATCH], check=True)
    for key, value in SYSCTLS.items():  # of this network namespace
        with open("/proc/sys/" + key, "w", encoding="ascii") as file:
            file.write(value)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(FILES, allowed)))
    except ValueError:  # a container may be root and yet not raise its limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))


def run_scenario(scenario, options, load, directory):
    """All its rounds; another peer goes first in each, so that none always follows the same one."""
    count = min(options.rounds, scenario.rounds_at_most or options.rounds)
    rounds = []
    for number in range(count):
        shift = number % len(options.peers)
        results = {}
        for name in options.peers[shift:] + options.peers[:shift]:
            thrown_away = scenario.warm_up and number == 0
            print(f"{scenario.name} {number + 1}/{count}{' (warm-up)' if thrown_away else ''}: "
                  f"{name:15}", end="", flush=True)
            with PEERS[name](directory, options.build) as peer:
                results[name] = scenario.run(load, peer, options.seconds)
            value = results[name]["value"]
            print("no result" if value is None else f"{value:.4f} {scenario.unit}", flush=True)
        rounds.append({name: results[name] for name in options.peers})
    return rounds[1:] if scenario.warm_up else rounds


def main():
    options = parse_options()
    for name in options.peers:
        PEERS[name].find(options.build)
    prepare_host()
    summaries, everything = {}, {}
    make_certificate(SCRATCH)
    load = Load(options.build, SCRATCH, SERVER_NAME)
    try:
        with load.origin(ORIGIN_HTTP, ORIGIN_STREAM):
            for name in options.only:
                everything[name] = run_scenario(SCENARIOS[name], options, load, SCRATCH)
                summaries[name] = summarise(everything[name])
    finally:  # what was measured before a failure is a result too
        report(options, summaries, everything)
    return 1 if any(summary.get(OURS, {}).get("wrong") for summary in summaries.values()) else 0


def report(options, summaries, everything):
    print("\nProxy on core 1; TLS 1.3, TLS_AES_128_GCM_SHA256, X25519, P-256 certificate.")
    for name, summary in summaries.items():
        print("\n" + table(SCENARIOS[name], summary))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"seconds": options.seconds, "summary": summaries, "rounds": everything},
                      file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        print(f"\nbench/compare: {failure}", file=sys.stderr)
        sys.exit(1)
