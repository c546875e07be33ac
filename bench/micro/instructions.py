#!/usr/bin/env python3
"""Instructions per packet of the walk's stages, counted by callgrind and compared with a record.

They repeat exactly, whatever else the machine does: (I(N2) - I(N1)) / (N2 - N1), less what making
the packets costs. The record, instructions.json, is of the default build on Debian 12; a change that
needs more for a good reason records anew:

    ./bench/micro/instructions.py --build build [--record]
"""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
from pathlib import Path

RECORD = Path(__file__).with_name("instructions.json")
BURST = 64  # packets, kBurst of relay/walk/walk.h
FEW, MANY = 20, 276  # bursts
TOLERANCE = 0.03
CASES = {
    "ipv4 source": [],
    "ipv4 destination": ["--destination-nat"],
    "ipv6 source": ["--ipv6"],
    "ipv6 destination": ["--ipv6", "--destination-nat"],
}
STAGES = ("parse", "steer", "candidate", "confirm", "rewrite")


class Failed(Exception):
    """Something the user has to know; printed without a trace."""


def instructions(program, options, last, bursts):
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "--last", last,
         "--bursts", str(bursts), *options], capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found:
        raise Failed(f"{program} --last {last}: {run.stderr.strip()[-2000:]}")
    return int(found[1])


def per_packet(program, options, last):
    few, many = (instructions(program, options, last, bursts) for bursts in (FEW, MANY))
    return (many - few) / (MANY - FEW) / BURST


def count(build, case):
    """Instructions per packet by stage. `walk` is all of them together, and what is between them."""
    program = f"{build}/bench/micro/walk_count"
    if not os.access(program, os.X_OK):
        raise Failed(f"{program} is missing; build it with: ninja -C {build} bench/micro/walk_count")
    runs = ("fill", *STAGES, "walk")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(runs, pool.map(
            lambda last: per_packet(program, CASES[case], last), runs)))
    stages, before = {}, counts["fill"]
    for stage in STAGES:
        stages[stage] = round(counts[stage] - before, 2)
        before = counts[stage]
    return {**stages, "walk": round(counts["walk"] - counts["fill"], 2)}


def recorded():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def main():
    parser = argparse.ArgumentParser(description="Instructions per packet of the relay's walk")
    parser.add_argument("--build", default="build")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name}")
    options = parser.parse_args()
    counted = {case: count(options.build, case) for case in CASES}
    before = recorded() if RECORD.exists() else {}
    print("".join(f"{name:>18}" for name in ("", *STAGES, "walk")))
    worse = False
    for case, stages in counted.items():
        line = f"{case:>18}"
        for stage, value in stages.items():
            limit = before.get(case, {}).get(stage, value)
            worse = worse or value > limit * (1 + TOLERANCE)
            line += f"{value:10.1f} ({value - limit:+5.1f})"
        print(line)
    if options.record:
        RECORD.write_text(json.dumps(counted, indent=1) + "\n", encoding="utf-8")
    return 1 if worse and not options.record else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        print(f"instructions.py: {failure}", file=sys.stderr)
        sys.exit(2)
