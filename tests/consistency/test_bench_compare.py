"""The figures of the comparison of the relay, made from results that are known."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench/compare"))
import compare  # noqa: E402
import latency  # noqa: E402
import opening  # noqa: E402
import plot  # noqa: E402
import search  # noqa: E402
import summary  # noqa: E402
import veth  # noqa: E402


def memif_run(rate):
    return {"packets_per_second": rate, "best_window": 2 * rate, "lost": 1, "wrong": 0,
            "to_bridge": {"ring_full": 0.5}, "to_client": {"ring_full": 0.25}}


def veth_run(rate, busy, wrong=0):
    side = {"sent": rate // 2}
    run = veth.with_use({"packets_per_second": rate, "lost": rate // 1000, "wrong": wrong,
                         "sent_per_second": rate, "to_bridge": side, "to_client": side,
                         "cores": [{"busy": busy / 2, "softirq": 0.1}] * 2})
    run["full_speed"] = {"packets_per_second": rate / 2, "wrong": wrong}
    return run


def test_ratios_over_memif_are_to_5tswap_in_the_same_round():
    rounds = [{"5tswap": memif_run(base), "relay source": memif_run(ours)}
              for base, ours in ((10e6, 5e6), (5e6, 5e6), (20e6, 5e6))]
    figures = summary.of_memif(rounds, "5tswap")
    assert figures["relay source"]["ratio"] == {"median": 0.5, "min": 0.25, "max": 1}
    assert figures["5tswap"]["packets_per_second"] == {"median": 10e6, "min": 5e6, "max": 20e6}
    assert figures["relay source"]["best_window"] == 10e6
    assert figures["relay source"]["best_ratio"] == 0.25
    assert figures["relay source"]["lost"] == 3 and figures["relay source"]["ring_full"] == 0.25
    alone = summary.of_memif([{"io": memif_run(1e6)}], "5tswap")
    assert alone["io"]["ratio"] is None and "-" in summary.memif_table(alone, "5tswap")


def test_over_veth_rates_are_to_nginx_and_cores_to_nftables():
    rounds = [{"discard": veth_run(400_000, 0.8), "nftables": veth_run(200_000, 1.0),
               "nginx": veth_run(50_000, 1.25), "relay": veth_run(300_000, 2.0, wrong=2)}] * 2
    bases = ("discard", "nginx", "nftables")
    figures = summary.of_veth(rounds, *bases)
    ours = figures["relay"]
    assert ours["rate_ratio"]["median"] == 6 and ours["core_ratio"]["median"] == 0.75
    assert ours["per_core"]["median"] == 150_000 and ours["busy"] == 2
    assert ours["softirq"] == pytest.approx(0.2) and ours["wrong"] == 8
    assert ours["share_lost"] == pytest.approx(0.001) and ours["full_speed"] == 150_000
    assert figures["discard"]["sent_per_core"]["median"] == 500_000
    text = summary.veth_table(figures, *bases)
    assert "2.00 us of a core" in text and "0.10%" in text


@pytest.mark.parametrize("limit, start, found", [(100, 10, 80), (100, 640, 80), (9, 10, 5),
                                                 (100, 80, 80)])
def test_the_search_ends_at_the_last_rate_that_passes(limit, start, found):
    asked = []

    def passes(rate):
        asked.append(rate)
        return rate <= limit

    assert search.search(passes, start, 2) == found
    assert len(asked) == len(set(asked)) <= search.STEPS_AT_MOST + 1


def test_a_search_that_finds_nothing_ends():
    assert search.search(lambda rate: False, 1000, 2) is None
    assert search.search(lambda rate: True, 1, 2) == 2 ** search.STEPS_AT_MOST


@pytest.mark.parametrize("part, value, good", [
    ("asked", 995, True), ("asked", 980, False), ("opened", 999, False), ("wrong", 1, False),
    ("lost", 1, False)])
def test_a_rate_of_new_sessions_counts_when_nothing_is_lost(part, value, good):
    result = {"lost": 0, "wrong": 0, "opening": {"asked": 1000, "opened": 1000, "wrong": 0}}
    assert opening.passed(result, 1000)
    if part == "asked":
        result["opening"]["opened"] = value
    (result if part == "lost" else result["opening"])[part] = value
    assert opening.passed(result, 1000) == good


def test_latency_is_the_median_of_rounds_and_the_worst_of_all():
    def run(median, worst, spikes):
        return {"loads": {"50%": {
            "windows": 10, "packets_per_second": 1e6, "lost": 1, "wrong": 0,
            "latency": {"median_us": median, "p99_us": 5, "p999_us": 6, "worst_us": worst,
                        "samples": 10, "excluded": 1, "spikes": [[0.1, worst]] * spikes}}}}

    figures = latency.summarise([{"relay source": run(*one)}
                                 for one in ((1, 50, 0), (3, 900, 2), (2, 60, 1))])
    row = figures["relay source, 50%"]
    assert (row["median_us"], row["worst_us"], row["worst_of_all_us"]) == (2, 60, 900)
    assert row["spikes_per_second"] == 1 and row["samples"] == 30 and row["lost"] == 3
    assert "900" in latency.table(figures)


def test_the_picture_has_every_device_and_its_figure(tmp_path):
    over_memif = summary.of_memif([{"5tswap": memif_run(12.34e6)}], "5tswap")
    over_veth = summary.of_veth([{"discard": veth_run(4000, 1), "relay": veth_run(321_000, 1.0)}],
                                "discard", "nginx", "nftables")
    plot.draw(tmp_path / "both.svg", over_memif, over_veth, "a caption")
    text = (tmp_path / "both.svg").read_text(encoding="utf-8")
    for part in ("5tswap", "12.34", "relay", "321", "kpps per busy core", "a caption"):
        assert f">{part}<" in text, part
    assert "discard" not in text
    plot.draw(tmp_path / "one.svg", None, over_veth, "")
    assert "5tswap" not in (tmp_path / "one.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("wrong", [["--rounds", "1"], ["--seconds", "x"], ["--group", "both"],
                                   ["--devices", "nginx"], ["--veth-devices", "io"],
                                   ["--frame-bytes", "63"], ["--sessions", "0"]])
def test_bad_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        compare.parse_options(wrong)
    assert ended.value.code == 2
    assert wrong[1] in capsys.readouterr().err
