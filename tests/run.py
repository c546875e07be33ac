"""Builds and runs the test suites. Started by run.sh, which has installed what is needed.

The last line is always `N passed, N failed, N skipped`; the exit code is 1 when something failed.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fuzzing
from results import Results

ROOT = Path(__file__).resolve().parent.parent
# Quick runs see the real relay in the mode that has most to go wrong; the packets suite has all.
QUICK_MODES = "2-source"
SANITIZED_MODES = "2-source"
MESON_SUITES = ("unit", "packets", "bpf")
PROGRAMS = ["relay/bridgehead-relay", "ctrl/bridgehead-ctrl", "ctrl/bridgehead", "bpf/steer.bpf.o"]
SANITIZED_NETNS = ["test_media.py", "test_broken.py", "test_neighbours.py", "test_lifecycle.py"]
NOT_QUICK = ("interop", "instructions", "fuzz")
# No test of the running programs: `--only tidy`, which .ci/run adds.
ON_DEMAND = ("tidy",)
ANALYZED = ("relay/net/", "relay/session/", "relay/walk/")
SANITIZER_ENVIRONMENT = {
    # DPDK keeps its memory until the process ends.
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "BRIDGEHEAD_PATIENCE": "4",
}


class Runner:
    def __init__(self, options):
        self.options = options
        self.results = Results()
        self.directory = Path(tempfile.mkdtemp(prefix="bridgehead-results-"))
        self.child = None
        self.serial = 0

    def say(self, text):
        print(text, flush=True)

    def run(self, command, seconds, environment=None, output=None):
        """Exit code of a command, which is ended when it takes too long."""
        self.child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                                      stderr=subprocess.STDOUT if output else None,
                                      env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1",
                                           **(environment or {})})
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.say(f"-- not done after {seconds} s: {' '.join(map(str, command))}")
            self.end_child()
            code = -1
        self.child = None  # not when the run is interrupted: then main() has to end it
        return code

    def end_child(self):
        """SIGINT first: pytest then takes down what its fixtures have made."""
        for how, seconds in ((signal.SIGINT, 40), (signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            if self.child is None or self.child.poll() is not None:
                return
            self.child.send_signal(how)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                pass

    # ---------------------------------------------------------------------------------- building

    def build(self, build, *setup, targets=lambda: [], environment=None):
        """Sets up, with `environment`, and builds everything, or what `targets` names then."""
        self.say(f"== build {build.name}")
        if not (build / "build.ninja").exists():
            # Line numbers are all that a test's backtrace needs; all of -g takes a third longer.
            code = self.run(["meson", "setup", str(build), str(ROOT), "-Dcpp_args=-g1", *setup],
                            300, environment)
            if code != 0:
                shutil.rmtree(build, ignore_errors=True)
                self.results.fail(f"meson setup {build.name}", "its output above")
                return False
        if self.run(["ninja", "-C", str(build), *targets()], 3600) != 0:
            self.results.fail(f"build {build.name}", "the compiler's output above")
            return False
        return True

    # ------------------------------------------------------------------------------------ suites

    def suite(self, name, run):
        self.say(f"\n== {name}")
        begin, before = time.monotonic(), self.results.counts()
        run()
        passed, failed, skipped = (now - then for now, then
                                   in zip(self.results.counts(), before))
        if passed + failed + skipped == 0:
            self.results.fail(name, "the suite ran no test at all")
            failed = 1
        self.say(f"== {name}: {passed} passed, {failed} failed, {skipped} skipped in "
                 f"{time.monotonic() - begin:.0f} s")
        remove_left_namespaces()

    @staticmethod
    def tracked(*patterns):
        return subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, check=True,
                              capture_output=True, text=True).stdout.split()

    def format(self):
        code = self.run(["clang-format", "--dry-run", "-Werror",
                         *self.tracked("*.cc", "*.h", "*.c")], 120)
        if code == 0:
            self.results.passed += 1
        else:
            self.results.fail("clang-format", "run clang-format -i on the files named above")

    def tidy(self):
        """Every file of the programs, one result each. A tree without precompiled headers: those are
        another compiler's, and would hide a missing #include.

        The analyzer walks every path, which takes three times as long as all other checks: it looks
        at what takes packets apart. The tests, half of all the time for their long headers, are left
        to the compiler's warnings and the sanitizers.
        """
        build = self.options.build_dir.with_name(self.options.build_dir.name + "-tidy")
        if not self.build(build, "-Db_pch=false", targets=lambda: ["relay/api/relay.pb.h"]):
            return
        files = self.tracked("relay/*.cc", "ctrl/*.cc", "bench/*.cc")
        analyzed = [file for file in files if file.startswith(ANALYZED)]

        def check(file):
            checks = [] if file in analyzed else ["--checks=-clang-analyzer-*"]
            return subprocess.run(["clang-tidy", "--quiet", "-p", str(build), *checks, file],
                                  cwd=ROOT, capture_output=True, text=True, check=False)
        pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        try:
            for done, (file, result) in enumerate(zip(files, pool.map(check, files)), 1):
                if result.returncode == 0:
                    self.results.passed += 1
                else:
                    self.results.fail(f"clang-tidy {file}", "its output above")
                    self.say(result.stdout or result.stderr)
                if done % 20 == 0:
                    self.say(f"   {done} of {len(files)} files")
        finally:
            pool.shutdown(cancel_futures=True)

    def fuzz(self):
        """Each target of tests/fuzz on the same inputs as the last time."""
        build = self.options.build_dir.with_name(self.options.build_dir.name + "-fuzz")
        ccache = "ccache " if shutil.which("ccache") else ""
        # What a target tries counts more than how fast: -O1 compiles in two thirds of the time.
        # clang's precompiled headers name the folder they were made in: ccache gives another's.
        if not self.build(build, "-Dfuzz=true", "-Doptimization=1", "-Db_pch=false",
                          environment={"CC": f"{ccache}clang", "CXX": f"{ccache}clang++"},
                          targets=lambda: [f"tests/fuzz/{name}_fuzz"
                                           for name in fuzzing.targets()]):
            return
        directory = self.directory / "fuzz"
        for target, wrong, result in fuzzing.run_all_short(build, directory):
            if wrong is None:
                self.results.passed += 1
                self.say(f"   {target}: {result} inputs")
            else:
                self.say(f"{result[-6000:]}\n{target}_fuzz: {wrong}")
                self.results.fail(f"fuzz {target}", f"its output above; {directory}")

    @staticmethod
    def listed_tests(build, *suites):
        listed = json.loads(subprocess.run(
            ["meson", "introspect", "--tests", str(build)], cwd=ROOT, check=True,
            capture_output=True, text=True).stdout)
        return [test for test in listed
                if any(name.split(":")[-1] in suites for name in test["suite"])]

    def needed_targets(self, build):
        """What the suites run: all but the benchmarks."""
        tests = self.listed_tests(build, *MESON_SUITES)
        return PROGRAMS + sorted({os.path.relpath(test["cmd"][0], build) for test in tests})

    def meson_tests(self, build, suite, environment=None):
        """Every test program of a meson suite, run by itself so that its cases are counted."""
        for test in self.listed_tests(build, suite):
            self.serial += 1
            stem = self.directory / f"{self.serial}-{Path(test['cmd'][0]).name}"
            report, log = stem.with_suffix(".xml"), stem.with_suffix(".log")
            begin = time.monotonic()
            with open(log, "wb") as output:
                code = self.run(test["cmd"], max(test["timeout"], 60) * 4,
                                {**test["env"], **(environment or {}),
                                 "GTEST_OUTPUT": f"xml:{report}"}, output)
            before = self.results.counts()
            self.results.add_program(test["name"], code, report, log)
            passed, failed, _ = (now - then for now, then in zip(self.results.counts(), before))
            self.say(f"   {test['name']}: {passed} passed, {failed} failed "
                     f"({time.monotonic() - begin:.1f} s)")
            if failed:
                self.say(log.read_text(errors="replace")[-6000:])

    def pytest(self, where, build, *arguments, environment=None, seconds=1200):
        self.serial += 1
        report = self.directory / f"{self.serial}-pytest.xml"
        code = self.run(["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q",
                         "--no-header", "--tb=short", "-o", "junit_family=xunit2",
                         f"--junitxml={report}", *where, *arguments],
                        seconds, {"BRIDGEHEAD_BUILD": str(build), **(environment or {})})
        self.results.add_program(f"pytest {where[0]}", 0 if code in (0, 1, 5) else code, report)

    def sanitized(self, build):
        # The sanitizers' checks make optimised code slow to compile for no gain here.
        if not self.build(build, "-Db_sanitize=address,undefined", "-Db_lundef=false",
                          "-Doptimization=0", targets=lambda: self.needed_targets(build)):
            return
        for suite in MESON_SUITES:
            self.suite(f"{suite} (sanitized)",
                       lambda suite=suite: self.meson_tests(build, suite, SANITIZER_ENVIRONMENT))
        self.suite("netns (sanitized)", lambda: self.pytest(
            [f"tests/netns/{name}" for name in SANITIZED_NETNS], build, "-m", "not slow",
            environment={**SANITIZER_ENVIRONMENT, "BRIDGEHEAD_MODES": SANITIZED_MODES}))
        self.suite("edge (sanitized)", lambda: self.pytest(
            ["tests/edge"], build, environment=SANITIZER_ENVIRONMENT))

    def run_all(self):
        options, build = self.options, self.options.build_dir
        netns = {"BRIDGEHEAD_MODES": QUICK_MODES} if options.quick else {}
        slow = ["-m", "not slow"] if options.quick else []
        suites = {
            "format": self.format,
            "consistency": lambda: self.pytest(["tests/consistency"], build),
            "unit": lambda: self.meson_tests(build, "unit"),
            "packets": lambda: self.meson_tests(build, "packets"),
            "bpf": lambda: self.meson_tests(build, "bpf"),
            "netns": lambda: self.pytest(["tests/netns"], build, *slow, environment=netns),
            "edge": lambda: self.pytest(["tests/edge"], build, *slow),
            "interop": lambda: self.pytest(["tests/interop"], build),
            "instructions": lambda: self.pytest(["tests/instructions"], build),
            "fuzz": self.fuzz,
            "tidy": self.tidy,
        }
        wanted = options.only or [name for name in suites
                                  if name not in ON_DEMAND and
                                  not (options.quick and name in NOT_QUICK)]
        targets = (lambda: self.needed_targets(build)) if options.quick else (lambda: [])
        if set(wanted) & (set(suites) - {"format", "fuzz", "tidy"}):
            if not self.build(build, targets=targets):
                return
        for name in wanted:
            if name in suites:
                self.suite(name, suites[name])
        if options.sanitize:
            self.sanitized(build.with_name(build.name + "-asan"))


def remove_left_namespaces():
    """Those of a test process that died before it could: their names begin with its id."""
    names = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    for name in names:
        owner = name.removeprefix("bht").split("x")[0]
        if not name.startswith("bht") or not owner.isdigit() or os.path.exists(f"/proc/{owner}"):
            continue
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True,
                              check=False).stdout.split()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", name], check=False)


def parse():
    parser = argparse.ArgumentParser(prog="tests/run.sh", description="Builds and runs the tests.")
    parser.add_argument("--quick", action="store_true",
                        help="no browser, no fuzzing, one mode of the namespaces")
    parser.add_argument("--sanitize", action="store_true",
                        help="also build and run with ASan and UBSan (--only sanitize: nothing else)")
    parser.add_argument("--only", action="append", metavar="SUITE", choices=[
        "format", "consistency", "unit", "packets", "bpf", "netns", "edge", "interop",
        "instructions", "fuzz", "tidy", "sanitize"],
        help="one suite of: %(choices)s; can be repeated")
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build",
                        help="the sanitized build stands beside it (default: build)")
    options = parser.parse_args()
    options.build_dir = options.build_dir.resolve()
    if options.only:
        options.sanitize = options.sanitize or "sanitize" in options.only
    return options


def main():
    runner = Runner(parse())

    def stop(*_):
        raise KeyboardInterrupt
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, stop)
    begin = time.monotonic()
    try:
        remove_left_namespaces()
        runner.run_all()
    except KeyboardInterrupt:
        # Another one must not stop what the first has begun.
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, signal.SIG_IGN)
        runner.end_child()
        runner.results.fail("the run", "it was interrupted")
    finally:
        remove_left_namespaces()
        if not runner.results.failures:
            shutil.rmtree(runner.directory, ignore_errors=True)
    if not runner.results.counts()[0] and not runner.results.failures:
        runner.results.fail("the run", "no test ran")
    print(f"\n{time.monotonic() - begin:.0f} s")
    runner.results.print_summary(runner.directory)
    return 1 if runner.results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
