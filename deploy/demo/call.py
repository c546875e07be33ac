#!/usr/bin/python3
"""Runs the demo's call inside the client network and judges it.

Starts the participants' browsers and a TCP session, shows both beside the relay's counters once a
second, and ends after --seconds of connected media. Exit status: 0 all is well, 1 the call or the
relay had a fault, 130 interrupted. demo.sh calls this; it is no command of its own.
"""

import argparse
import contextlib
import dataclasses
import os
import signal
import sys
import time

import attack
import call_state
import line_session
import participants
import relay_view
import table
import verdict

# A browser's first start on a machine reads hundreds of megabytes: nothing that the relay can help.
OPEN_WITHIN = 120  # seconds, from the browsers' start to a camera and microphone in each
CONNECT_WITHIN = 40  # seconds, from then to media flowing everywhere
STALL = 5  # seconds without a packet or a decoded frame
QUIET_WITHIN = 10  # seconds for the relay's traffic to end after everyone has left


class Fault(Exception):
    """The call can not go on. `log` is the file that tells more, if one does."""

    def __init__(self, message, log=None):
        super().__init__(message)
        self.log = log


@dataclasses.dataclass
class Watched:
    name: str
    pid: int
    log: str

    @classmethod
    def parse(cls, text):
        name, pid, log = text.split(":", 2)
        return cls(name, int(pid), log)

    def alive(self):
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return False


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--title", required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--public", required=True)
    parser.add_argument("--client", required=True, help="the participants' address")
    parser.add_argument("--bridge", type=lambda text: tuple(text.split("=", 1)), action="append",
                        required=True, metavar="NAME=URL", help="its name and address of its signalling")
    parser.add_argument("--announced", default="", help="address that a bridge tells for the public one")
    parser.add_argument("--flood", default="", help="the flood generator's program")
    parser.add_argument("--flood-mac", default="", help="MAC address that it sends to")
    parser.add_argument("--line-port", type=int, required=True)
    parser.add_argument("--command", required=True, help="the bridgehead command")
    parser.add_argument("--run-dir", required=True)
    parser.add_argument("--directory", required=True, help="for the browsers' profiles")
    parser.add_argument("--logs", required=True)
    parser.add_argument("--bridge-pid", type=int, required=True)
    parser.add_argument("--watch", type=Watched.parse, action="append", default=[],
                        metavar="NAME:PID:LOG", help="a process that must live as long as the call")
    parser.add_argument("--stay", action="store_true", help="leave the browsers in the call at the end")
    return parser.parse_args()


def udp_counters(pid):
    """The kernel's UDP counters in the network namespace of process `pid`, of both families."""
    with open(f"/proc/{pid}/net/snmp", encoding="ascii") as snmp:
        names, values = [line.split()[1:] for line in snmp if line.startswith("Udp:")]
    counters = dict(zip(names, map(int, values)))
    # A kernel without IPv6 has no such file.
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/net/snmp6", encoding="ascii") as snmp6:
        for name, value in map(str.split, snmp6):
            if name.startswith("Udp6"):
                counters[name[4:]] = counters.get(name[4:], 0) + int(value)
    return counters


class Call:
    def __init__(self, options):
        self._options = options
        self._view = relay_view.RelayView(options.command, options.run_dir)
        self._screen = table.Screen()
        self._previous = None
        self.people = participants.Participants(
            options.clients, options.bridge, options.directory, options.logs, options.public,
            options.announced, newcomer=bool(options.flood))
        self.state = call_state.CallState(self.people.names, options.public, self.people.echo)
        self.session = line_session.LineSession(options.public, options.line_port)
        self.attack = None
        if options.flood:
            bridge = options.bridge[0][0]
            flood = attack.Flood(options.flood, options.flood_mac, options.public, f"{bridge}/")
            self.attack = attack.Attack(
                flood, [(p.name, p.pid) for p in options.watch if p.name in ("relay", "ctrl")],
                lambda: self._view.sessions_of(options.client))

    def step(self, title):
        """One second of the call: wait, look, show, and stop at what can not be mended."""
        time.sleep(1 - time.time() % 1)
        for process in self._options.watch:
            if not process.alive():
                raise Fault(f"{process.name} has ended", process.log)
        if name := self.people.dead():
            raise Fault(f"{name}'s browser has ended", self.people.log_of(name))
        sample = self._view.sample()
        self.state.update(self.people.reports.latest())
        self.state.take_sessions(self._view.sessions_of(self._options.client))
        now = time.monotonic()
        sent = self.attack.flood.sent if self.attack else 0
        rates = table.Rates()
        if self._previous:
            before, before_sent, then = self._previous
            rates = table.Rates((sample.received - before.received) / (now - then),
                                (sent - before_sent) / (now - then))
        self._previous = (sample, sent, now)
        self._screen.show(title, self.state, sample, rates, self.session)
        if self.session.problem:
            raise Fault(f"the TCP session {self.session.problem}")
        for name, reason in self.state.failures.items():
            raise Fault(f"{name}: {reason}", self.people.log_of(name))
        return sample

    def connect(self):
        """Until every stream flows. Returns the relay's counters of that moment."""
        self.session.start()
        self.people.start()
        began = time.monotonic()
        while opening := self.people.reports.opening(self.people.everyone):
            if time.monotonic() - began > OPEN_WITHIN:
                raise Fault(f"no camera in the browser of {', '.join(opening)} within {OPEN_WITHIN} s",
                            self.people.log_of(opening[0]))
            self.step(f"opening browsers, {time.monotonic() - began:.0f} s")
        self.people.reports.ask_to_join(self.people.names)
        began = time.monotonic()
        while time.monotonic() - began < CONNECT_WITHIN:
            sample = self.step(f"connecting, {time.monotonic() - began:.0f} s")
            if self.state.connected():
                return sample
        lines = [f"no full call within {CONNECT_WITHIN} s"]
        lines += [f"  {name}: {ice}" for name, ice in self.state.ice.items() if ice != "connected"]
        lines += [f"  {stream} does not flow" for stream in self.state.missing()]
        raise Fault("\n".join(lines))

    def measure(self):
        seconds = self._options.seconds
        if self.attack:
            self.attack.begin()
        for second in range(1, seconds + 1):
            if self.attack and second == 1 + seconds // 3:
                self.state.join(self.people.newcomer)
                self.people.reports.ask_to_join([self.people.newcomer])
            sample = self.step(f"connected, {second} s of {seconds}")
            if stalled := self.state.stalled(STALL):
                lines = [f"{stream} stopped flowing" for stream in stalled]
                lines.append(f"the relay has received {sample.received} packets, forwarded "
                             f"{sample.forwarded}; drops: {table.drops_text(sample)}")
                raise Fault("\n".join(lines), self._options.watch[0].log)
        if self.attack:
            self.attack.end(self.state, self.people.newcomer)
        return sample

    def hang_up(self):
        """Everyone leaves. Returns the relay's counters once they have stopped moving."""
        self.people.reports.ask_to_leave()
        self.session.close()
        deadline = time.monotonic() + QUIET_WITHIN
        previous = None
        while time.monotonic() < deadline:
            sample = self._view.sample()
            if previous == sample:
                return sample
            previous = sample
            time.sleep(1.2)
        raise Fault(f"traffic through the relay did not end within {QUIET_WITHIN} s after everyone left")


def host_losses(options):
    """(datagrams lost to full socket buffers, datagrams with a wrong checksum) at both ends."""
    ends = [udp_counters(os.getpid()), udp_counters(options.bridge_pid)]
    return (sum(end["RcvbufErrors"] for end in ends), sum(end["InCsumErrors"] for end in ends))


def judge(options, call, connected, last, quiet):
    full_buffers, wrong_checksums = host_losses(options)
    last = quiet or last
    if call.attack:
        media = call.state.total("packets", "out") + call.state.total("packets", "in")
        allowed, reason = int(media * attack.LOSS), "a flood may cost"
        faults = (call.attack.faults + attack.strength_faults(last)
                  + verdict.drop_faults(connected, last, attack.DROPS))
    else:
        allowed, reason = full_buffers, "their hosts' full socket buffers explain"
        faults = verdict.drop_faults(connected, last) + verdict.port_faults(last)
    faults += verdict.call_faults(call.state, allowed, reason)
    faults += verdict.line_faults(call.session)
    faults += verdict.bridge_faults(call.state.bridges, call.people.bridge_of)
    if quiet:
        faults += verdict.accounting_faults(quiet, call.state)
    if wrong_checksums:
        faults.append(f"the participants' and the bridge's kernels refused {wrong_checksums} datagrams "
                      "with a wrong checksum")
    return faults


def summarise(options, call, last, faults):
    state = call.state
    print()
    print(f"{options.title}: {options.seconds} s of connected media, {len(state.names)} participants")
    for way, direction in (("sent", "out"), ("received", "in")):
        print(f"  {way:<9} audio {state.total('packets', direction, kind='audio')}, "
              f"video {state.total('packets', direction, kind='video')} packets, "
              f"lost {state.total('lost', direction)}")
    print(f"  relay     received {last.received} = forwarded {last.forwarded} + dropped "
          f"{sum(last.drops.values())} + waiting {last.held}")
    for label, packets in last.drops.items():
        if packets:
            why = {**verdict.BENIGN, **verdict.BENIGN_WHILE_CONNECTING,
                   **(attack.DROPS if call.attack else {})}.get(label, "a loss")
            print(f"            {label} {packets}: {why}")
    for port in last.ports:
        if port.missed or port.no_buffer:
            print(f"            port {port.name} lost {port.missed + port.no_buffer} packets before the relay "
                  "took them: it was not running")
    for line in call.attack.told if call.attack else []:
        print(f"  attack    {line}")
    for bridge in dict.fromkeys(call.people.bridge_of.values()):
        served = [name for name, bridges in call.state.bridges.items() if bridge in bridges]
        print(f"  bridge    {bridge} serves {', '.join(served) or 'nobody'}")
    print(f"  TCP       {table.lines_text(call.session)}")
    for fault in faults:
        print(f"  FAULT     {fault}")
    good = "media flowed both ways for everyone, the relay lost nothing"
    if call.attack:
        good = ("media flowed both ways for everyone, also for "
                f"{call.people.newcomer}, who came during the flood")
    print("  verdict   " + ("FAILED" if faults else good))


def print_log(path):
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as log:
        print(f"--- the end of {path}")
        print("".join(log.readlines()[-15:]), end="")


def run(options):
    call = Call(options)
    try:
        connected = call.connect()
        last = call.measure()
        quiet = None if options.stay else call.hang_up()
        faults = judge(options, call, connected, last, quiet)
        summarise(options, call, quiet or last, faults)
        return 1 if faults else 0
    except (Fault, relay_view.ViewError) as fault:
        print(f"\ndemo: {fault}", file=sys.stderr)
        if log := getattr(fault, "log", None):
            print_log(log)
        return 1
    finally:
        if call.attack:
            call.attack.flood.stop()
        if not options.stay:
            call.people.stop()


def main():
    # demo.sh starts this in the background, where a shell has SIGINT ignored.
    def interrupted(number, frame):
        raise SystemExit(128 + number)
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    return run(arguments())


if __name__ == "__main__":
    sys.exit(main())
