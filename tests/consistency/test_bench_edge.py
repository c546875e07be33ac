"""The figures of the comparison of the TCP edge, made from results that are known."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench/compare/edge"))
import main  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402


def rounds(**values):
    """A round for each of the values that every peer has."""
    peers = list(values)
    return [{peer: {"value": value, "wrong": 0, "busy": 0.5} for peer, value in zip(peers, round_)}
            for round_ in zip(*values.values())]


def test_the_ratio_is_to_the_better_of_the_others_in_the_same_round():
    summary = report.summarise(rounds(nginx=[2, 4, 3], haproxy=[5, 5, 1], bridgehead=[1, 1, 3]))
    assert summary["nginx"]["value"] == {"median": 3, "min": 2, "max": 4}
    # nginx has the lower median, so it is the one, also in the round that it lost.
    assert summary["bridgehead"]["ratio"] == {"median": 0.5, "min": 0.25, "max": 1}
    assert summary["nginx"]["ratio"] == {"median": 1, "min": 1, "max": 1}
    assert summary["haproxy"]["ratio"]["min"] == pytest.approx(1 / 3)


def test_nothing_is_compared_with_nothing():
    alone = report.summarise(rounds(bridgehead=[1, 2]))
    assert alone["bridgehead"]["ratio"] is None
    none_lost = report.summarise(rounds(nginx=[0, 0], bridgehead=[0, 1]))
    assert none_lost["bridgehead"]["ratio"] is None
    failed = rounds(nginx=[1, 1], bridgehead=[1, 1])
    failed[1]["bridgehead"].update(value=None, wrong=7, failure="status 502")
    summary = report.summarise(failed)
    assert summary["bridgehead"]["value"] is None and summary["bridgehead"]["wrong"] == 7
    text = report.table(scenarios.SCENARIOS["requests"], summary)
    assert "status 502" in text and "nginx" in text


@pytest.mark.parametrize("value, text", [(0, "0"), (0.03612, "0.0361"), (2.1634, "2.163"),
                                         (43.91, "43.91"), (120.4, "120")])
def test_numbers_have_the_digits_that_matter(value, text):
    assert report.number(value) == text


@pytest.mark.parametrize("wrong", [["--rounds", "1"], ["--seconds", "1e9"], ["--seconds", "x"],
                                   ["--only", "request"], ["--peers", "apache"]])
def test_bad_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        main.parse_options(wrong)
    assert ended.value.code == 2
    assert wrong[1] in capsys.readouterr().err


def test_every_handshake_counts_as_what_it_was():
    class Load:
        def measure(self, *_):
            return {"units": 100, "resumed": 90, "failed": 1, "cpu_seconds": 1, "seconds": 2}

    class Peer:
        process = None

    def run(name):
        return scenarios.SCENARIOS[name].run(Load(), Peer(), 1)

    assert run("requests")["value"] == 10 and run("requests")["wrong"] == 1
    assert run("handshakes")["wrong"] == 91 and run("resumptions")["wrong"] == 11

