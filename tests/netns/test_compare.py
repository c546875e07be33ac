"""bench/compare/run.sh at its smallest: it measures, tells, and leaves nothing. No speed is checked."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from lab import BUILD, run, wait_for

ROOT = Path(__file__).resolve().parents[2]
HUGEPAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")


def compare(*arguments):
    return subprocess.Popen(
        [ROOT / "bench/compare/run.sh", *map(str, arguments)], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env={**os.environ, "BRIDGEHEAD_BUILD": os.path.abspath(BUILD)})


def traces():
    """What a run could leave on the host."""
    processes = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")
                 if path.exists()]
    return {"hugepages": HUGEPAGES.read_text(encoding="ascii"),
            "links": run("ip", "-br", "link"), "rules": run("nft", "list", "ruleset"),
            "mounts": len(Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()),
            "ours": sum(os.path.abspath(BUILD).encode() in process for process in processes),
            "forwards": Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii")}


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = traces()
    yield
    # A killed run's processes take a moment to be gone.
    wait_for(lambda: f"{before}, got {traces()}", lambda: traces() == before, 5)


@pytest.mark.parametrize("group, devices", [
    ("memif", ["relay source", "relay destination"]), ("veth", ["discard", "nftables", "relay"])])
def test_a_group_is_measured(tmp_path, group, devices):
    chosen = "--devices" if group == "memif" else "--veth-devices"
    run_ = compare("--group", group, chosen, ",".join(devices), "--rounds", 2, "--seconds", 0.3,
                   "--tries", 1, "--json", tmp_path / "out.json", "--svg", tmp_path / "out.svg")
    told, _ = run_.communicate(timeout=200)
    assert run_.returncode == 0, told
    result = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert list(result[group]["summary"]) == devices and len(result[group]["rounds"]) == 1
    picture = (tmp_path / "out.svg").read_text(encoding="utf-8")
    for name in devices:
        row, once = result[group]["summary"][name], result[group]["rounds"][0][name]
        if name == "discard":
            assert row["sent_per_core"]["median"] > 0 and once["packets_per_second"] == 0
            continue
        assert row["packets_per_second"]["median"] > 0 and row["wrong"] == 0
        assert once["checked"] > 0
        assert f"\n{name} " in told and f">{name}<" in picture
    if group == "veth":
        assert result[group]["summary"]["relay"]["core_ratio"]["median"] > 0
        assert result[group]["summary"]["relay"]["rate_ratio"] is None  # nginx was left out
        assert "sending alone" in told


def test_latency_is_measured(tmp_path):
    """Also while the relay is reloaded."""
    run_ = compare("--group", "latency", "--latency-devices", "relay source", "--rounds", 2,
                   "--seconds", 0.6, "--tries", 1, "--json", tmp_path / "out.json")
    told, _ = run_.communicate(timeout=200)
    assert run_.returncode == 0, told
    summary = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["latency"]["summary"]
    loads = ["10%", "50%", "90%", "50 %, reloads"]
    assert list(summary) == [f"relay source, {load}" for load in loads]
    for row in summary.values():
        assert row["samples"] > 0 and row["wrong"] == 0
        assert 0 < row["median_us"] <= row["p99_us"] <= row["worst_us"] <= row["worst_of_all_us"]


def test_an_interrupted_run_ends_at_once():
    run_ = compare("--group", "veth", "--veth-devices", "nftables")
    try:
        for line in run_.stdout:
            if line.startswith("veth:"):
                break
        time.sleep(2)  # into the load
        assert run_.poll() is None
        run_.send_signal(signal.SIGTERM)
        assert run_.wait(20) == 143
    finally:
        run_.kill()
        run_.wait()
        run_.stdout.close()
