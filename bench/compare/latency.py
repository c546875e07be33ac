"""Latency over memif, at shares of the highest rate that the device has shown in the same round.

The last line of a relay is with reloads: while packets flow, the configuration changes every
RELOAD_SECONDS, and each time the relay gets another snapshot.
"""

import contextlib
import json
import signal
import statistics
import tempfile
import threading

import memif
from devices import run_rig
from summary import lines

DEVICES = [memif.BASE, *memif.RELAYS]
SESSIONS = 8192  # more than can be under way at once
LOADS = (0.1, 0.5, 0.9)
RELOADS = "50 %, reloads"
RELOAD_SECONDS = 0.25
PROBE_SECONDS = 0.5  # of full speed
SPIKE_US = 100       # of bench/rig/latency.h


@contextlib.contextmanager
def reloads(relay):
    """Inside the with block `relay` is reloaded again and again, by turns with two configurations."""
    with open(relay.config, encoding="utf-8") as file:
        config = json.load(file)
    ended = threading.Event()

    def reload():
        turn = 0
        while not ended.wait(RELOAD_SECONDS):
            turn += 1
            config["media"][0]["deny"] = [f"192.0.2.{turn % 2}/32"]
            with open(relay.config, "w", encoding="utf-8") as file:
                json.dump(config, file)
            relay.processes[1].send_signal(signal.SIGHUP)  # bridgehead-ctrl

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def measure(options, name, directory):
    """By load: what the rig tells. Each load has a device of its own: memif bears no second peer."""
    def load(rate, *more, while_it_runs=contextlib.nullcontext, seconds=options.seconds):
        place = tempfile.mkdtemp(dir=directory)
        device, arguments = memif.device_of(name, place, options.build, SESSIONS)
        with device, while_it_runs(device):
            return run_rig(options.build, device, *arguments, "--sessions", SESSIONS,
                           "--rate", round(rate), *more, seconds=seconds)

    highest = load(0, seconds=PROBE_SECONDS)["packets_per_second"]
    results = {f"{share:.0%}": load(share * highest, "--latency") for share in LOADS}
    if name in memif.RELAYS:
        results[RELOADS] = load(0.5 * highest, "--latency", while_it_runs=reloads)
    return {"loads": results}


def tell(result):
    return ", ".join(f"{load}: {one['latency']['median_us']:.1f} us, worst "
                     f"{one['latency']['worst_us']:.0f}" for load, one in result["loads"].items())


def summarise(rounds):
    """Of each device and load: medians of the rounds, the worst of all, and spikes per second."""
    summary = {}
    for name in rounds[0]:
        for load in rounds[0][name]["loads"]:
            runs = [results[name]["loads"][load] for results in rounds]
            figures = [run["latency"] for run in runs]
            row = {key: statistics.median(one[key] for one in figures)
                   for key in ("median_us", "p99_us", "p999_us", "worst_us")}
            seconds = sum(run["windows"] / 10 for run in runs)
            row["worst_of_all_us"] = max(one["worst_us"] for one in figures)
            row["spikes_per_second"] = sum(len(one["spikes"]) for one in figures) / seconds
            row["packets_per_second"] = statistics.median(run["packets_per_second"] for run in runs)
            row["samples"] = sum(one["samples"] for one in figures)
            row["excluded"] = sum(one["excluded"] for one in figures)
            row["lost"] = sum(run["lost"] for run in runs)
            row["wrong"] = sum(run["wrong"] for run in runs)
            summary[f"{name}, {load}"] = row
    return summary


def table(summary):
    rows = [("device, load", "Mpps", "median us", "99 %", "99.9 %", "worst", "worst of all",
             f"> {SPIKE_US} us per s", "lost", "wrong")]
    for name, row in summary.items():
        rows.append((name, f"{row['packets_per_second'] / 1e6:.2f}", f"{row['median_us']:.1f}",
                     f"{row['p99_us']:.1f}", f"{row['p999_us']:.1f}", f"{row['worst_us']:.0f}",
                     f"{row['worst_of_all_us']:.0f}", f"{row['spikes_per_second']:.1f}",
                     str(row["lost"]), str(row["wrong"])))
    return lines(rows)
