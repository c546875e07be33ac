"""Processes of the measurement: started on a core, watched, ended."""

import json
import os
import signal
import subprocess
import time

CLIENT_CORE = 0
PROXY_CORE = 1


class Failed(Exception):
    """Something the user has to know; printed without a trace."""


def built(build, program):
    """The path of one of our own programs."""
    path = f"{build}/{program}"
    if not os.access(path, os.X_OK):
        raise Failed(f"{build} has no {program}; build it with: ninja -C {build} {program}")
    return path


def wait_until(what, ready, process=None, seconds=20):
    """Calls `ready` until it says yes; fails when `process` ends before."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process is not None and process.died():
            raise Failed(f"{what}: {process.report()}")
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds} s"
                         + (f"; {process.report()}" if process is not None else ""))
        time.sleep(0.02)


class Process:
    """One process on one core, its output in a file. Ends with the with block."""

    def __init__(self, directory, core, *command, pipes=False):
        self.log = os.path.join(directory, os.path.basename(command[0]) + ".log")
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else log, stderr=log, text=True)
        self.name = os.path.basename(command[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.died():
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self):
        """Ends the process and those it has started, old workers of a reload among them."""
        for pid in reversed(self.pids()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def died(self):
        return self.process.poll() is not None

    def signal(self, number):
        self.process.send_signal(number)

    def report(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            last = "".join(file.readlines()[-15:])
        state = f"ended with {self.process.returncode}" if self.died() else "runs"
        return f"{self.name} {state}; its last lines:\n{last}"

    def pids(self):
        """The process and all below it."""
        found = [] if self.died() else [self.process.pid]
        for pid in found:
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                    found += [int(child) for child in file.read().split()]
            except FileNotFoundError:  # it has just ended
                pass
        return found

    def memory(self):
        """Bytes in memory, of shared pages the proportional part (PSS)."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        return total * 1024


class Load:
    """bridgehead-edge-load against one proxy."""

    def __init__(self, build, directory, server_name):
        self.program = built(build, "bench/bridgehead-edge-load")
        self.directory = directory
        self.server_name = server_name

    def origin(self, http, stream):
        origin = Process(self.directory, CLIENT_CORE, self.program, "origin", "--http", http,
                         "--stream", stream, pipes=True)
        if origin.process.stdout.readline() != "ready\n":
            with origin:
                raise Failed(f"the origin does not start: {origin.report()}")
        return origin

    def client(self, what, to, *options):
        """A running client, whose lines of JSON are read by next_result."""
        return Process(self.directory, CLIENT_CORE, self.program, what, "--to", to,
                       "--server-name", self.server_name, *options, pipes=True)

    def measure(self, what, to, seconds, connections, proxy):
        pids = ",".join(str(pid) for pid in proxy.pids())
        with self.client(what, to, "--seconds", str(seconds), "--connections", str(connections),
                         "--watch", pids) as client:
            return next_result(client)


def next_result(client):
    line = client.process.stdout.readline()
    if not line:
        client.process.wait()
        raise Failed(f"the clients failed: {client.report()}")
    return json.loads(line)
