"""What is measured of each proxy. A result is a dict of figures; `value` is the one compared."""

import resource
import time
from dataclasses import dataclass
from typing import Callable

from peers import HTTPS, PASS, TUNNEL
from processes import next_result

GIB = 1 << 30
IDLE_CONNECTIONS = 10000
SPARE_FILES = 200  # descriptors of a proxy for anything but connections
SETTLE_SECONDS = 3  # after the last handshake, before memory is read
RELOADS = 3
RELOAD_WEBSOCKETS = 5000
RELOAD_CLIENTS = 16
PAUSE_BETWEEN_RELOADS = 1


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    unit: str
    run: Callable  # (load, peer, seconds) -> result
    rounds_at_most: int = 0  # 0: as many as are asked for
    warm_up: bool = True     # its first round is thrown away


def cpu_per(what, to, connections, units, all_resumed=None):
    """CPU seconds of the proxy for so many units of `what`, at that many connections."""

    def run(load, peer, seconds):
        result = load.measure(what, to, seconds, connections, peer.process)
        done = result["units"]
        wrong = result["failed"]
        if all_resumed is not None:  # a handshake of the other kind is no result
            wrong += done - result["resumed"] if all_resumed else result["resumed"]
        return {**result, "wrong": wrong, "busy": result["cpu_seconds"] / result["seconds"],
                "value": result["cpu_seconds"] * units / done if done else None}
    return run


def idle(load, peer, _seconds):
    """Memory of the proxy for one WebSocket, in KiB."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    wanted = min(IDLE_CONNECTIONS, (files - SPARE_FILES) // 2)
    before = peer.process.memory()
    with load.client("hold", HTTPS, "--connections", str(wanted)) as client:
        opened = next_result(client)["open"]
        if opened < wanted:
            return {"wrong": wanted - opened, "value": None, "failure": failure_of(client)}
        time.sleep(SETTLE_SECONDS)
        after = peer.process.memory()
        client.process.stdin.close()
        held = next_result(client)
    note = f"at {wanted:,} connections"
    if wanted < IDLE_CONNECTIONS:
        note += f": ulimit -Hn is {files}, {IDLE_CONNECTIONS:,} take twice as many and some more"
    return {"note": note, "before": before, "after": after, "wrong": held["dropped"],
            "failure": held["failure"], "value": (after - before) / 1024 / wanted}


def reload_under_load(load, peer, _seconds):
    """WebSockets that are lost in reloads while other clients come and go."""
    with load.client("hold", HTTPS, "--connections", str(RELOAD_WEBSOCKETS),
                     "--message-interval", "1") as holder:
        opened = next_result(holder)["open"]
        if opened < RELOAD_WEBSOCKETS:
            return {"wrong": RELOAD_WEBSOCKETS - opened, "value": None,
                    "failure": failure_of(holder)}
        seconds = RELOADS * (PAUSE_BETWEEN_RELOADS + 1) + 1
        took = []
        with load.client("handshakes", HTTPS, "--seconds", str(seconds), "--connections",
                         str(RELOAD_CLIENTS)) as visitors:
            for generation in range(2, 2 + RELOADS):
                time.sleep(PAUSE_BETWEEN_RELOADS)
                began = time.monotonic()
                peer.switch(generation)
                took.append(time.monotonic() - began)
            visited = next_result(visitors)
        holder.process.stdin.close()
        held = next_result(holder)
    lost = held["sent"] - held["echoed"]
    return {"value": held["dropped"], "wrong": held["dropped"] + lost + visited["failed"],
            "messages": held["sent"], "messages_lost": lost, "late": held["late"],
            "visits": visited["units"], "visits_failed": visited["failed"],
            "reload_seconds": max(took), "failure": held["failure"] or visited["failure"]}


def failure_of(client):
    client.process.wait()
    return client.report()


SCENARIOS = {scenario.name: scenario for scenario in (
    Scenario("requests", "1,000 keep-alive requests of 1 KiB", "CPU s",
             cpu_per("requests", HTTPS, 64, 1000)),
    Scenario("handshakes", "1,000 connections, full handshake, one request", "CPU s",
             cpu_per("handshakes", HTTPS, 32, 1000, all_resumed=False)),
    Scenario("resumptions", "1,000 connections, resumed handshake, one request", "CPU s",
             cpu_per("resumptions", HTTPS, 32, 1000, all_resumed=True)),
    Scenario("download", "GiB of an HTTPS download", "CPU s",
             cpu_per("download", HTTPS, 1, GIB)),
    Scenario("tunnel", "GiB through a TLS-terminated tunnel", "CPU s",
             cpu_per("tunnel", TUNNEL, 1, GIB)),
    Scenario("pass", "GiB passed through by SNI", "CPU s", cpu_per("pass", PASS, 1, GIB)),
    Scenario("messages", "1,000 WebSocket messages of 64 bytes and their echoes", "CPU s",
             cpu_per("messages", HTTPS, 64, 1000)),
    Scenario("idle", "memory of one idle TLS WebSocket", "KiB", idle,
             rounds_at_most=2, warm_up=False),
    Scenario("reload", f"WebSockets of {RELOAD_WEBSOCKETS:,} lost in {RELOADS} reloads", "lost",
             reload_under_load, rounds_at_most=1, warm_up=False),
)}
