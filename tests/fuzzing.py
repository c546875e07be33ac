"""Runs the libFuzzer targets of tests/fuzz for a while: the same inputs each time.

`python3 tests/fuzzing.py BUILD_DIR TARGET SECONDS` runs one for long, in a corpus that it keeps in
BUILD_DIR/corpus/TARGET.
"""

import concurrent.futures
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEED = 1
# Some seconds of each on an idle core. Those that make packets, configurations or connections are slow.
RUNS, SLOW_RUNS = 300_000, 8_000
SLOW = {"config", "fragment", "h2", "icmp", "walk"}
MOST_SECONDS = 5
ENVIRONMENT = {"UBSAN_OPTIONS": "print_stacktrace=1"}
# As they are for every run: one input may take 10 s and 2 GB.
LIMITS = ["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]


def targets():
    return sorted(path.name.removesuffix("_fuzz.cc")
                  for path in (ROOT / "tests/fuzz").glob("*_fuzz.cc"))


def program(build, target):
    return Path(build) / f"tests/fuzz/{target}_fuzz"


def write_seeds(build, target, corpus):
    corpus.mkdir(parents=True, exist_ok=True)
    subprocess.run([program(build, target), f"--seeds={corpus}"], check=True)


def reproduction(build, target, artifact):
    """What to do with an input that broke something, as text."""
    found = artifact.read_bytes()
    return (f"the input, {len(found)} bytes:\n{found.hex()}\n"
            f"to run it again: echo HEX | xxd -r -p > input; {program(build, target)} input")


def run_short(build, target, directory):
    """(None, how many inputs ran), or (what is wrong, the whole output)."""
    corpus = directory / target
    try:
        write_seeds(build, target, corpus)
    except subprocess.CalledProcessError as error:
        return "its own seeds break it", str(error)
    seeds = len(list(corpus.iterdir()))
    runs = SLOW_RUNS if target in SLOW else RUNS
    result = subprocess.run(
        [program(build, target), f"-seed={SEED}", f"-runs={runs}",
         f"-max_total_time={MOST_SECONDS}", *LIMITS, f"-artifact_prefix={directory}/{target}-",
         corpus],
        env={**os.environ, **ENVIRONMENT}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    artifacts = sorted(directory.glob(f"{target}-*"))
    if artifacts:
        return reproduction(build, target, artifacts[0]), result.stdout
    done = re.search(r"^stat::number_of_executed_units:\s*(\d+)", result.stdout, re.MULTILINE)
    if result.returncode != 0 or not done:
        return f"exit code {result.returncode}", result.stdout
    if not 0 < seeds < int(done[1]):
        return f"{done[1]} runs with {seeds} seeds: nothing was tried", result.stdout
    return None, int(done[1])


def run_all_short(build, directory):
    """Yields (target, what is wrong or None, runs or output), as they end."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(run_short, build, target, directory): target
                   for target in targets()}
        for future in concurrent.futures.as_completed(running):
            yield running[future], *future.result()


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    build, target, seconds = sys.argv[1:]
    corpus = Path(build).resolve() / "corpus" / target
    write_seeds(build, target, corpus)
    sys.exit(subprocess.run([program(build, target), f"-max_total_time={seconds}", *LIMITS,
                             f"-artifact_prefix={corpus.parent}/{target}-", corpus],
                            env={**os.environ, **ENVIRONMENT}, check=False).returncode)


if __name__ == "__main__":
    main()
