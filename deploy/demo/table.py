"""The live view of the call: redrawn in place on a terminal, one compact line a second elsewhere."""

import dataclasses
import os
import sys

import call_state

_HEAD = ("who", "bridge", "state", "sent a/v", "lost", "received a/v", "lost", "frames", "round trip")


@dataclasses.dataclass
class Rates:
    """Packets per second."""

    received: float = 0.0  # by the relay
    flood: float = 0.0  # sent by the attacker


def _row(cells):
    return "  {:<7} {:<7} {:<17}{:>12}{:>6}{:>13}{:>6}{:>7}{:>12}".format(*cells)


def _bridge(call, name):
    return ",".join(sorted(call.bridges[name])) or "-"


def _participant(call, name):
    def both(direction):
        return "/".join(str(call.total("packets", direction, name, kind)) for kind in call_state.KINDS)
    trip = call.rtt[name]
    return _row((name, _bridge(call, name), call.ice[name], both("out"), call.total("lost", "out", name),
                 both("in"), call.total("lost", "in", name), call.total("frames", "in", name),
                 "-" if trip is None else f"{trip * 1000:.1f} ms"))


def drops_text(relay):
    named = [f"{label} {packets}" for label, packets in relay.drops.items() if packets]
    return ", ".join(named) or "none"


def lines_text(session):
    if session.problem:
        return session.problem
    return f"{session.lines} lines echoed, slowest {session.slowest * 1000:.1f} ms"


def _sessions(relay):
    return f"{relay.sessions} sessions ({relay.unconfirmed} unconfirmed)"


def _missed(relay):
    return sum(port.missed + port.no_buffer for port in relay.ports)


def full(title, call, relay, rates, session):
    """The whole table as a list of lines."""
    dropped = sum(relay.drops.values())
    lines = [title, "", _row(_HEAD)]
    lines += [_participant(call, name) for name in call.names]
    lines.append("")
    if rates.flood:
        lines.append(f"  flood   {rates.flood:.0f} packets/s")
    lines += [
        f"  relay   {rates.received:.0f} packets/s, {_sessions(relay)}, {relay.received} received, "
        f"{relay.forwarded} forwarded, {dropped} dropped, {_missed(relay)} missed",
        f"  drops   {drops_text(relay)}",
        f"  TCP     {lines_text(session)}",
    ]
    return lines


def compact(title, call, relay, rates, session):
    parts = [title]
    for name in call.names:
        trip = call.rtt[name]
        parts.append(
            f"{name} {call.ice[name]} {_bridge(call, name)} sent {call.total('packets', 'out', name)}"
            f" (lost {call.total('lost', 'out', name)})"
            f" received {call.total('packets', 'in', name)} (lost {call.total('lost', 'in', name)})"
            + ("" if trip is None else f" {trip * 1000:.1f} ms"))
    if rates.flood:
        parts.append(f"flood {rates.flood:.0f}/s")
    parts.append(f"relay {rates.received:.0f}/s {_sessions(relay)}, drops {drops_text(relay)}, "
                 f"missed {_missed(relay)}")
    parts.append(f"tcp {session.problem or f'{session.lines} lines'}")
    return " | ".join(parts)


class Screen:
    """Where the view goes."""

    def __init__(self, out=sys.stdout):
        self._out = out
        self._tty = out.isatty()
        self._drawn = 0

    def show(self, title, call, relay, rates, session):
        if not self._tty:
            print(compact(title, call, relay, rates, session), file=self._out, flush=True)
            return
        width = os.get_terminal_size(self._out.fileno()).columns or 80
        lines = [line[:width - 1] for line in full(title, call, relay, rates, session)]
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}F")
        self._out.write("".join(f"\x1b[2K{line}\n" for line in lines))
        self._out.flush()
        self._drawn = len(lines)
