"""New sessions over memif beside an established load, after RFC 9693.

A rate counts when every session that was asked for in its time is open at the end of it, and the
established load has lost nothing. The highest such rate is searched for.
"""

import tempfile

import memif
from devices import Failed, run_rig
from search import search
from summary import lines, spread

DEVICES = list(memif.RELAYS)
LOAD = 500_000        # packets/s of established sessions
RING_LOG2 = 12        # room for what comes while either side is kept from its core
START_RATE = 200_000  # sessions/s, of the search in the first round
STEP = 1.25
HIGHEST = 2_000_000


class Group:
    """Measures devices, and remembers the rate that each of them had in the round before."""

    def __init__(self, options):
        self.options = options
        self.rates = {}

    def measure(self, name, directory):
        tried = []

        def passes(rate):
            if rate > HIGHEST:
                return False
            tried.append(self.load(name, directory, rate))
            return tried[-1]["passed"]

        rate = search(passes, self.rates.get(name, START_RATE), STEP)
        if rate is None:
            raise Failed(f"{name}: no rate of new sessions passes; is something else running?")
        self.rates[name] = rate
        best = [result for result in tried if result["passed"]][-1]
        return {**best, "tried": tried}

    def load(self, name, directory, rate):
        """A relay of its own for each rate: it begins with an empty table."""
        rate = round(rate)
        sessions = self.options.sessions + round(rate * self.options.seconds)
        place = tempfile.mkdtemp(dir=directory)
        device, arguments = memif.device_of(name, place, self.options.build, sessions, RING_LOG2)
        with device:
            result = run_rig(self.options.build, device, *arguments, "--sessions",
                             self.options.sessions, "--rate", LOAD, "--open-rate", rate,
                             seconds=self.options.seconds)
        result["asked_per_second"] = rate
        result["passed"] = passed(result, rate * self.options.seconds)
        return result


def passed(result, wanted):
    """Whether all of the sessions that were `wanted` are open and nothing else has suffered."""
    opening = result["opening"]
    return (opening["asked"] >= 0.99 * wanted and opening["opened"] == opening["asked"]
            and opening["wrong"] == 0 and result["lost"] == 0 and result["wrong"] == 0)


def tell(result):
    return (f"{result['opening']['per_second'] / 1e3:7.0f} k sessions/s beside "
            f"{result['packets_per_second'] / 1e3:.0f} kpps")


def summarise(rounds):
    return {name: {
        "sessions_per_second": spread([r[name]["opening"]["per_second"] for r in rounds]),
        "load": spread([r[name]["packets_per_second"] for r in rounds]),
        "opened": sum(r[name]["opening"]["opened"] for r in rounds),
        "lost": sum(r[name]["lost"] for r in rounds),
        "wrong": sum(r[name]["wrong"] + r[name]["opening"]["wrong"] for r in rounds),
    } for name in rounds[0]}


def table(summary):
    rows = [("device", "k sessions/s", "min..max", "beside kpps", "of that lost", "wrong")]
    for name, row in summary.items():
        rate = row["sessions_per_second"]
        rows.append((name, f"{rate['median'] / 1e3:.0f}",
                     f"{rate['min'] / 1e3:.0f}..{rate['max'] / 1e3:.0f}",
                     f"{row['load']['median'] / 1e3:.0f}", str(row["lost"]), str(row["wrong"])))
    return lines(rows)
