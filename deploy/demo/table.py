"""The live view of the call: redrawn in place on a terminal, one compact line a second elsewhere."""

import os
import sys

import call_state

_HEAD = ("who", "ICE", "sent a/v", "lost", "received a/v", "lost", "frames", "round trip")


def _row(cells):
    return "  {:<7} {:<12}{:>12}{:>6}{:>13}{:>6}{:>7}{:>12}".format(*cells)


def _participant(call, name):
    def both(direction):
        return "/".join(str(call.total("packets", direction, name, kind)) for kind in call_state.KINDS)
    trip = call.rtt[name]
    return _row((name, call.ice[name], both("out"), call.total("lost", "out", name),
                 both("in"), call.total("lost", "in", name), call.total("frames", "in", name),
                 "-" if trip is None else f"{trip * 1000:.1f} ms"))


def drops_text(relay):
    named = [f"{label} {packets}" for label, packets in relay.drops.items() if packets]
    return ", ".join(named) or "none"


def lines_text(session):
    if session.problem:
        return session.problem
    return f"{session.lines} lines echoed, slowest {session.slowest * 1000:.1f} ms"


def full(title, call, relay, rate, session):
    """The whole table as a list of lines; `rate` in packets per second."""
    dropped = sum(relay.drops.values())
    lines = [title, "", _row(_HEAD)]
    lines += [_participant(call, name) for name in call.names]
    lines += [
        "",
        f"  relay   {rate:.0f} packets/s, {relay.sessions} sessions, {relay.received} received, "
        f"{relay.forwarded} forwarded, {dropped} dropped",
        f"  drops   {drops_text(relay)}",
        f"  TCP     {lines_text(session)}",
    ]
    return lines


def compact(title, call, relay, rate, session):
    parts = [title]
    for name in call.names:
        trip = call.rtt[name]
        parts.append(
            f"{name} {call.ice[name]} sent {call.total('packets', 'out', name)}"
            f" (lost {call.total('lost', 'out', name)})"
            f" received {call.total('packets', 'in', name)} (lost {call.total('lost', 'in', name)})"
            + ("" if trip is None else f" {trip * 1000:.1f} ms"))
    parts.append(f"relay {rate:.0f}/s {relay.sessions} sessions, drops {drops_text(relay)}")
    parts.append(f"tcp {session.problem or f'{session.lines} lines'}")
    return " | ".join(parts)


class Screen:
    """Where the view goes."""

    def __init__(self, out=sys.stdout):
        self._out = out
        self._tty = out.isatty()
        self._drawn = 0

    def show(self, title, call, relay, rate, session):
        if not self._tty:
            print(compact(title, call, relay, rate, session), file=self._out, flush=True)
            return
        width = os.get_terminal_size(self._out.fileno()).columns or 80
        lines = [line[:width - 1] for line in full(title, call, relay, rate, session)]
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}F")
        self._out.write("".join(f"\x1b[2K{line}\n" for line in lines))
        self._out.flush()
        self._drawn = len(lines)
