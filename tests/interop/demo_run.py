"""One run of deploy/demo.sh, and what it leaves behind.

The programs are taken from (and built into) $BRIDGEHEAD_BUILD, by default build/.
"""

import glob
import os
import pathlib
import re
import signal
import subprocess
import time
import uuid

REPO = pathlib.Path(__file__).resolve().parents[2]
DEMO = REPO / "deploy" / "demo.sh"
BUILD = pathlib.Path(os.environ.get("BRIDGEHEAD_BUILD", REPO / "build")).resolve()
MARK = "BRIDGEHEAD_INTEROP_RUN"  # in the environment of everything a test's demo starts


class Demo:
    """One run of demo.sh. `output` grows as the run writes."""

    def __init__(self, directory, *options, path=None):
        """`path`: a directory of programs to find in front of all others."""
        self.mark = uuid.uuid4().hex
        self._output_path = directory / f"demo-{self.mark}.out"
        with open(self._output_path, "wb") as output:
            self.process = subprocess.Popen(
                [str(DEMO), "--build-dir", str(BUILD), *options], stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, MARK: self.mark,
                     **({"PATH": f"{path}:{os.environ['PATH']}"} if path else {})})
        self.name = f"bh-demo-{self.process.pid}"

    @property
    def output(self):
        return self._output_path.read_text(errors="replace")

    def finish(self, timeout=300):
        self.process.wait(timeout)
        return self.process.returncode

    def await_output(self, pattern, timeout=180):
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.output):
            assert self.process.poll() is None, f"the demo ended early:\n{self.output}"
            assert time.monotonic() < deadline, f"no {pattern!r} in time:\n{self.output}"
            time.sleep(0.1)

    def interrupt(self):
        """What Ctrl-C on a terminal does: the whole foreground group gets the signal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def pid_of(self, command):
        """The process of this run in the edge whose program is `command`."""
        pids = subprocess.run(["ip", "netns", "pids", f"{self.name}-edge"], check=True,
                              capture_output=True, text=True).stdout.split()
        found = [int(pid) for pid in pids
                 if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == command]
        assert len(found) == 1, f"{len(found)} processes of {command} in the edge"
        return found[0]

    def processes(self):
        """Whatever still carries this run's mark, as {pid: command line}."""
        found = {}
        for environ in glob.glob("/proc/[0-9]*/environ"):
            pid = environ.split("/")[2]
            try:
                if f"{MARK}={self.mark}".encode() in pathlib.Path(environ).read_bytes():
                    found[int(pid)] = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue  # ended meanwhile
        return found

    def remains(self):
        """What of this run is still there, in words; empty when nothing is."""
        left = [f"namespace {path}" for path in glob.glob(f"/run/netns/{self.name}-*")]
        left += [f"directory {path}" for path in glob.glob(f"/run/{self.name}*")]
        left += [f"directory {path}" for path in glob.glob(f"/tmp/{self.name}*")]
        left += [f"process {pid}: {command}" for pid, command in self.processes().items()]
        return left

    def abandon(self):
        """Ends the run whatever state a failed test left it in."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        if self.remains():
            subprocess.run([str(DEMO), "--clean", self.name], check=True)
