"""What --attack adds to the call: a flood of forged STUN requests, somebody who joins meanwhile, and what
neither the call nor the relay may suffer from it."""

import subprocess
import threading
import time

NEWCOMER_WITHIN = 2.0  # seconds from a connection's first connectivity check to the answer
MEMORY_GROWTH = 16 << 20  # bytes that a process may have more at the flood's end than before
# The share of media that may be lost. Flood, relay, bridge and browsers share the processor: while the
# relay is not running its receive rings overflow, with the flood's packets and the call's alike.
LOSS = 0.05

# What the relay drops because of the flood, each with its reason.
DROPS = {
    "ask_again": "a forged source asked once, and never again",
    "prefix_rate": "forged sources of one prefix asked too fast",
    "wrong_ingress": "a forged source that lives behind another port",
    "no_session": "the bridge's answer to a request whose session had made room for others",
}


class Flood:
    """Requests from random sources at the listener, as fast as the processor allows."""

    def __init__(self, command, mac, address, ufrag_prefix):
        self._command = [
            "nice", "-n", "10",  # as the browsers: the relay and the bridge come first
            command, "--device", "wan0", "--to-mac", mac, "--to", address, "--ufrag-prefix", ufrag_prefix]
        self._process = None
        self.sent = 0

    def start(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self.sent = int(line)

    def ended(self):
        return self._process is not None and self._process.poll() is not None

    def stop(self):
        if self._process is not None and not self.ended():
            self._process.kill()  # it has nothing to put in order
            self._process.wait()


def resident(pid):
    """Bytes of memory that a process has."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS:"))


class Attack:
    """`processes` is a list of (name, pid) whose memory is watched; `sessions` a function that returns the
    call's sessions in the relay."""

    def __init__(self, flood, processes, sessions):
        self.flood = flood
        self._processes = processes
        self._sessions = sessions
        self._before = {}
        self._memory = {}
        self._began = 0.0
        self.faults = []
        self.told = []  # lines for the summary

    def begin(self):
        self._before = {key: session for key, session in self._sessions().items() if session.confirmed}
        self._memory = {name: resident(pid) for name, pid in self._processes}
        self._began = time.monotonic()
        self.flood.start()

    def end(self, call, newcomer):
        """Looks, while the flood goes on, and then ends it."""
        seconds = time.monotonic() - self._began
        self.told.append(f"{self.flood.sent} forged requests in {seconds:.0f} s, "
                         f"{self.flood.sent / seconds:.0f} a second")
        if self.flood.ended():
            self.faults.append("the flood ended early")
        self._judge_sessions(self._sessions())
        self._judge_memory()
        self._judge_newcomer(call, newcomer)
        self.flood.stop()

    def _judge_sessions(self, after):
        # A session that was lost and made again counts from zero.
        kept = sum(key in after and after[key].to_bridge >= session.to_bridge
                   for key, session in self._before.items())
        self.told.append(f"{kept} of {len(self._before)} confirmed sessions are still the same")
        if not self._before or kept < len(self._before):
            self.faults.append(self.told[-1])

    def _judge_memory(self):
        for name, pid in self._processes:
            before, after = self._memory[name], resident(pid)
            self.told.append(f"{name} had {before / 2**20:.1f} MiB of memory before and "
                             f"{after / 2**20:.1f} MiB after")
            if after - before > MEMORY_GROWTH:
                self.faults.append(f"{name} grew by more than {MEMORY_GROWTH >> 20} MiB")

    def _judge_newcomer(self, call, newcomer):
        times = call.connecting.get(newcomer, [])
        if not times:
            self.faults.append(f"{newcomer}, who came during the flood, was not connected")
            return
        self.told.append(f"{newcomer} joined and was connected {max(times) * 1000:.0f} ms after the first "
                         "connectivity check")
        if max(times) > NEWCOMER_WITHIN:
            self.faults.append(f"{newcomer} was connected only after {max(times):.1f} s")


def strength_faults(last):
    """A flood that the relay takes in its stride shows nothing."""
    return [] if last.drops["ask_again"] else ["the flood was too weak to reach the relay's limits"]
