"""The relay's counters, read through the operator's command as a script would."""

import dataclasses
import json
import subprocess

ANSWER_WITHIN = 5  # seconds


@dataclasses.dataclass
class Port:
    name: str
    missed: int
    no_buffer: int


@dataclasses.dataclass
class Sample:
    received: int = 0
    forwarded: int = 0
    held: int = 0
    made: int = 0  # by the relay itself
    sessions: int = 0
    unconfirmed: int = 0
    to_bridge: int = 0
    to_client: int = 0
    drops: dict = dataclasses.field(default_factory=dict)  # label -> packets, zeros included
    ports: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Session:
    """A session of a participant, as the relay tells it."""

    bridge: str
    confirmed: bool
    to_bridge: int  # packets
    to_client: int


class ViewError(Exception):
    pass


class RelayView:
    def __init__(self, command, run_dir):
        self._command = [command, "--run-dir", run_dir]

    def _query(self, *what):
        command = " ".join([*self._command, *what])
        try:
            run = subprocess.run([*self._command, *what, "--json"], capture_output=True, text=True,
                                 timeout=ANSWER_WITHIN, check=False)
            return json.loads(run.stdout)
        except subprocess.TimeoutExpired:
            raise ViewError(f"`{command}` did not end within {ANSWER_WITHIN} s") from None
        except json.JSONDecodeError:
            raise ViewError(f"`{command}` failed: {run.stderr.strip()}") from None

    def sample(self):
        status, drops = self._query("status"), self._query("drops")
        counters = status["counters"]
        if not counters or "drops" not in drops:
            raise ViewError(f"no counters of the relay: {status['counters_error'] or drops.get('error')}")
        return Sample(
            received=drops["received"], forwarded=drops["forwarded"], held=drops["held"],
            made=drops["made"],
            drops={drop["label"]: drop["packets"] for drop in drops["drops"]},
            sessions=counters["total"]["sessions_active"],
            unconfirmed=counters["total"]["sessions_unconfirmed"],
            to_bridge=sum(listener["packets_to_bridge"] for listener in counters["listeners"]),
            to_client=sum(listener["packets_to_client"] for listener in counters["listeners"]),
            ports=[Port(port["name"], port["missed"], port["no_buffer"]) for port in counters["ports"]])

    def sessions_of(self, client):
        """Those of one client address, by (client's port, listener's port, NAT port)."""
        answer = self._query("sessions", "--client", client)
        if "sessions" not in answer:
            raise ViewError(f"no sessions of the relay: {answer.get('error')}")
        return {(s["client_port"], s["listener_port"], s["nat_port"]):
                Session(s["bridge"], s["confirmed"], s["packets_to_bridge"], s["packets_to_client"])
                for s in answer["sessions"]}
