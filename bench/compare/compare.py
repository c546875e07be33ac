"""The relay beside its peers, in alternated rounds: see bench/README.md.

Runs inside the namespaces that bench/compare/run.sh makes: network, processes and mounts of its own.
The first round of each group is thrown away.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import latency
import memif
import opening
import summary
import veth
from arguments import bounded, chosen
from devices import Failed

SCRATCH = "/dev/shm"  # a file system of this run's own
HUGEPAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/"
PAGES = 640  # of 2 MiB, for the rig and for the device
GROUPS = ("memif", "latency", "opening", "veth")
FAR_NS = 150  # a virtual machine's cores that are not of one physical core
FAR_SECONDS = 0.5
BUSY_BEFORE = 0.2  # cores: more than this, and somebody else is at work here


def parse_options(arguments=None):
    parser = argparse.ArgumentParser(
        prog="bench/compare/run.sh",
        description="The relay beside its peers, in alternated rounds: dpdk-testpmd over memif; "
                    "nftables, nginx and dpdk-testpmd over the same veth pairs. And over memif "
                    "alone: latency, and new sessions.")
    add = parser.add_argument
    add("--group", choices=[*GROUPS, "all"], default="all", help="(default: all)")
    add("--sessions", type=bounded(1, 4_000_000, int), default=1024, help="(default: %(default)s)")
    add("--rounds", type=bounded(2, 100, int), default=6,
        help="the first is thrown away (default: %(default)s)")
    add("--seconds", type=bounded(0.2, 600, float), default=2,
        help="of load, for each measurement (default: %(default)s)")
    add("--random-order", action="store_true", help="sessions in shuffled order")
    add("--rate", type=bounded(0, 1e9, float), default=0,
        help="memif: packets/s offered; 0 = full speed (default)")
    add("--devices", type=chosen(memif.DEVICES), default=memif.DEVICES,
        help=f"memif: some of: {', '.join(memif.DEVICES)} (default: all)")
    add("--veth-devices", type=chosen(veth.DEVICES), default=veth.DEVICES,
        help=f"veth: some of: {', '.join(veth.DEVICES)} (default: all)")
    add("--latency-devices", type=chosen(latency.DEVICES), default=latency.DEVICES,
        help=f"latency: some of: {', '.join(latency.DEVICES)} (default: all)")
    add("--opening-devices", type=chosen(opening.DEVICES), default=opening.DEVICES,
        help=f"opening: some of: {', '.join(opening.DEVICES)} (default: all)")
    add("--frame-bytes", type=bounded(64, 1514, int), default=200,
        help="veth: frame size without FCS (default: %(default)s)")
    add("--tries", type=bounded(1, 100, int), default=20,
        help="of each measurement, until cores 0 and 1 are near each other before and after it "
             "(default: %(default)s)")
    add("--json", help="write all rounds and the summary to this file")
    add("--svg", help="draw the summary into this file")
    add("--build", default="build", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def groups_of(options):
    return GROUPS if options.group == "all" else (options.group,)


def take_hugepages(sessions):
    """Enough free ones; run.sh gives them back, whatever way this ends."""
    def read(name):
        with open(HUGEPAGES + name, encoding="ascii") as file:
            return int(file.read())

    wanted = PAGES + sessions // 4096 * 2  # generous: 1 KiB a session
    short = wanted - read("free_hugepages")
    if short > 0:
        with open(HUGEPAGES + "nr_hugepages", "w", encoding="ascii") as file:
            file.write(str(read("nr_hugepages") + short))
    if read("free_hugepages") < wanted:
        raise Failed(f"no {wanted} free hugepages of 2 MiB; free some memory")


def prepare_host(options):
    if {0, 1} - os.sched_getaffinity(0):
        raise Failed("cores 0 and 1 are needed, and this process may run on "
                     f"{sorted(os.sched_getaffinity(0))} only")
    # Of this run's own, and gone with it: /sys as this network namespace has it, BPF's files, the
    # relay's locks, and a place for everything else.
    for kind, mode, where in (("sysfs", "755", "/sys"), ("bpf", "700", "/sys/fs/bpf"),
                              ("tmpfs", "755", "/run/lock"), ("tmpfs", "755", SCRATCH)):
        choices = ["-o", "mode=" + mode] if kind != "sysfs" else []
        subprocess.run(["mount", "-t", kind, *choices, "bridgehead", where], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    opened = opening.HIGHEST * options.seconds if "opening" in groups_of(options) else 0
    take_hugepages(options.sessions + round(opened))


def busy_now(seconds=1.0):
    """How many cores' worth of work is going on while this program does nothing."""
    def idle():
        with open("/proc/stat", encoding="ascii") as file:
            fields = file.readline().split()
        return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")

    before = idle()
    time.sleep(seconds)
    return max(0.0, os.cpu_count() - (idle() - before) / seconds)


def picture_maker():
    try:
        import plot
    except ImportError:
        raise Failed("--svg needs python3-matplotlib; bring it with: "
                     "sudo ./deploy/packages.sh bench") from None
    return plot


def core_distance(build):
    """The round trip of a cache line between cores 0 and 1, in ns."""
    return int(subprocess.run([build + "/bench/bridgehead-core-distance", "0", "1"], check=True,
                              capture_output=True, text=True).stdout)


def measure_near(options, measure, name):
    """`measure` in a directory of its own; again while the cores are far apart, before or after it."""
    for left in range(options.tries - 1, -1, -1):
        before = core_distance(options.build)
        if before > FAR_NS and left > 0:
            time.sleep(FAR_SECONDS)
            continue
        directory = tempfile.mkdtemp(dir=SCRATCH)
        try:
            result = measure(name, directory)
        finally:
            shutil.rmtree(directory)
        distance = max(before, core_distance(options.build))
        if distance <= FAR_NS or left == 0:
            return result, distance
    raise AssertionError("the last try returns")


def run_rounds(options, names, measure, tell):
    """Each of them in each round; another goes first each time, so that none always follows the
    same one."""
    rounds = []
    for number in range(options.rounds):
        shift = number % len(names)
        results = {}
        for name in names[shift:] + names[:shift]:
            print(f"round {number + 1}/{options.rounds}{' (warm-up)' if number == 0 else ''}: "
                  f"{name:20}", end="", flush=True)
            results[name], distance = measure_near(options, measure, name)
            results[name]["core_distance_ns"] = distance
            print(tell(results[name]), "(cores far apart)" if distance > FAR_NS else "", flush=True)
        rounds.append({name: results[name] for name in names})
    return rounds[1:]


def run_memif(options):
    print(f"\nmemif: {options.sessions} sessions, {memif.FRAME_BYTES}-byte frames")
    rounds = run_rounds(options, options.devices,
                        lambda name, directory: memif.measure(options, name, directory),
                        lambda result: f"{result['packets_per_second'] / 1e6:7.2f} Mpps, "
                                       f"lost {result['lost']}")
    figures = summary.of_memif(rounds, memif.BASE)
    title = (f"memif, {memif.FRAME_BYTES}-byte frames ({memif.IPV6_FRAME_BYTES} with IPv6), "
             f"{options.sessions} sessions{' in random order' if options.random_order else ''}")
    return rounds, figures, title, summary.memif_table(figures, memif.BASE)


def run_latency(options):
    print(f"\nlatency over memif: {latency.SESSIONS} sessions")
    rounds = run_rounds(options, options.latency_devices,
                        lambda name, directory: latency.measure(options, name, directory),
                        latency.tell)
    figures = latency.summarise(rounds)
    return rounds, figures, "latency over memif, at shares of full speed", latency.table(figures)


def run_opening(options):
    print(f"\nnew sessions over memif, beside {opening.LOAD} packets/s of {options.sessions}")
    rounds = run_rounds(options, options.opening_devices, opening.Group(options).measure,
                        opening.tell)
    figures = opening.summarise(rounds)
    return rounds, figures, "new sessions over memif, none of them lost", opening.table(figures)


def run_veth(options):
    print(f"\nveth: {options.sessions} sessions, {options.frame_bytes}-byte frames")
    rounds = run_rounds(options, options.veth_devices, veth.Group(options).measure, veth.tell)
    bases = (veth.DISCARD_NAME, veth.FASTER_THAN, veth.CHEAPER_THAN)
    figures = summary.of_veth(rounds, *bases)
    title = (f"veth, {options.frame_bytes}-byte frames, highest rate with less than "
             f"{veth.LOSS:.1%} lost")
    return rounds, figures, title, summary.veth_table(figures, *bases)


RUN = {"memif": run_memif, "latency": run_latency, "opening": run_opening, "veth": run_veth}


def main():
    options = parse_options()
    plot = picture_maker() if options.svg else None
    prepare_host(options)
    others = busy_now()
    if others > BUSY_BEFORE:
        print(f"bench/compare: {others:.1f} cores are busy with something else; "
              "the figures will suffer", file=sys.stderr)
    told = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
            "kernel": platform.release(), "busy_before": round(others, 2),
            "sessions": options.sessions, "seconds": options.seconds}
    tables = []
    for group in groups_of(options):
        rounds, figures, title, table = RUN[group](options)
        told[group] = {"summary": figures, "rounds": rounds}
        tables.append(f"{title}\n{table}")
    print("\n" + "\n\n".join(tables))
    report(options, told, plot)
    wrong = any(row.get("wrong") for group in groups_of(options)
                for row in told[group]["summary"].values())
    return 1 if wrong else 0


def report(options, told, plot):
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(told, file, indent=1)
            file.write("\n")
    if plot:
        groups = [told[group]["summary"] if group in told else None for group in ("memif", "veth")]
        plot.draw(options.svg, *groups,
                  f"{told['date']}, {told['cores']} cores, {told['sessions']} sessions, both "
                  "directions together; median and spread of the rounds")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        print(f"\nbench/compare: {failure}", file=sys.stderr)
        sys.exit(1)
