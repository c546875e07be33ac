"""What the participants' reports add up to: streams, whether they flow, and losses."""

import dataclasses
import time

KINDS = ("audio", "video")


@dataclasses.dataclass
class Stream:
    """One direction of one kind of media between a participant and `peer` (empty: the room)."""

    participant: str
    peer: str
    direction: str  # "out" or "in"
    kind: str
    packets: int = 0
    lost: int = 0
    frames: int = 0
    moved: float = 0.0  # when a report last showed it moving (monotonic seconds)

    def __str__(self):
        way = "sent" if self.direction == "out" else "received"
        return f"{self.participant}'s {way} {self.kind}" + (f" from {self.peer}" if self.peer else "")


class CallState:
    """Follows the reports of one call with the participants `names`; `public` is the relay's address.
    With `echo` each hears and sees itself, otherwise all others."""

    def __init__(self, names, public, echo):
        self.names = ()
        self.public = public
        self.echo = echo
        self.streams = {}
        self.ice = {}
        self.rtt = {}  # worst of the participant's connections, in seconds
        self.ports = {}  # participant -> the UDP ports that are its own, as its browser says
        self.bridges = {}  # participant -> names of the bridges that the relay takes it to
        self.connecting = {}  # participant -> seconds of each connection from first check to answer
        self.failures = {}  # participant -> what its page says went wrong
        self.stray = set()  # remote addresses other than the relay's
        self.reported = {}
        for name in names:
            self.join(name)

    def join(self, name):
        """One more participant."""
        self.names += (name,)
        self.ice[name] = "browser starting"
        self.rtt[name] = None
        self.ports[name] = set()
        self.bridges[name] = set()
        self.connecting[name] = []
        self.reported[name] = 0.0

    def expected(self):
        """Keys of the streams a complete call has."""
        for name in self.names:
            for kind in KINDS:
                yield (name, "", "out", kind)
                for peer in ([""] if self.echo else [p for p in self.names if p != name]):
                    yield (name, peer, "in", kind)

    def update(self, reports):
        for name, report in reports.items():
            if name not in self.names or report["time"] <= self.reported[name]:
                continue
            self.reported[name] = report["time"]
            if report["failure"]:
                self.failures[name] = report["failure"]
            self.ice[name] = report["stage"]
            self._take_connections(name, report["connections"])

    def take_sessions(self, sessions):
        """Of the relay, as RelayView tells them."""
        # A browser takes the address that the bridge has seen for one of its own (peer reflexive, RFC
        # 8445 section 7.2.5.3.1): in source NAT it names the NAT port.
        for name, ports in self.ports.items():
            self.bridges[name] = {session.bridge for (own, _, nat), session in sessions.items()
                                  if ports & {own, nat}}

    def _take_connections(self, name, connections):
        states = {c["ice"] for c in connections}
        if states:
            good = {"connected", "completed"}
            self.ice[name] = "connected" if states <= good else sorted(states - good)[0]
        trips = [c["rtt"] for c in connections if c["rtt"] is not None]
        self.rtt[name] = max(trips, default=None)
        # A pair that is being checked anew counts as none for a moment.
        self.ports[name] = {c["port"] for c in connections if c["port"]} or self.ports.get(name, set())
        self.connecting[name] = [c["connecting"] / 1000 for c in connections
                                 if c["connecting"] is not None]
        for connection in connections:
            if connection["remote"] not in ("", self.public):
                self.stray.add(connection["remote"])
            for direction in ("out", "in"):
                for kind, counts in connection[direction].items():
                    self._take_stream(name, connection, direction, kind, counts)

    def _take_stream(self, name, connection, direction, kind, counts):
        peer = connection["peer"] if direction == "in" else ""
        key = (name, peer, direction, kind)
        stream = self.streams.setdefault(key, Stream(*key))
        # A decoded frame is the proof that received video is whole; sound has no frames.
        counted = "frames" if direction == "in" and kind == "video" else "packets"
        before = getattr(stream, counted)
        stream.packets = counts.get("packets", stream.packets)
        stream.lost = counts.get("lost", stream.lost)
        stream.frames = counts.get("frames", stream.frames)
        if getattr(stream, counted) > before:
            stream.moved = time.monotonic()

    def missing(self):
        """Streams that have not begun to flow yet."""
        return [Stream(*key) for key in self.expected()
                if key not in self.streams or not self.streams[key].moved]

    def stalled(self, longest):
        """Streams that have begun, and then not moved for `longest` seconds."""
        now = time.monotonic()
        return [stream for stream in self.streams.values() if stream.moved and now - stream.moved > longest]

    def connected(self):
        return not self.missing() and all(state == "connected" for state in self.ice.values())

    def total(self, field, direction, participant=None, kind=None):
        return sum(getattr(s, field) for s in self.streams.values()
                   if s.direction == direction and participant in (None, s.participant)
                   and kind in (None, s.kind))
