"""The fixture that runs the demo, and checks that each run leaves the host as it was."""

import glob
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))
sys.path.append(os.path.join(os.path.dirname(__file__), "../netns"))

from demo_run import Demo  # noqa: E402


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="network namespaces need root"))


def host_state():
    """Things of the host that a run must not add to."""
    programs = json.loads(subprocess.run(["bpftool", "--json", "prog", "show"], check=True,
                                         capture_output=True, text=True).stdout)
    links = json.loads(subprocess.run(["ip", "-json", "link", "show"], check=True,
                                      capture_output=True, text=True).stdout)
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    state = {f"program {p['id']}" for p in programs if p.get("name", "").startswith("bh_steer")}
    state |= {f"link {link['ifname']} {'xdp' in link}" for link in links}
    state |= {mount for mount in mounts if mount.split()[2] in ("bpf", "hugetlbfs")}
    state |= {"hugepages " + pathlib.Path("/proc/sys/vm/nr_hugepages").read_text()}
    for pattern in ("/sys/fs/bpf/*", "/var/run/dpdk/*", "/run/lock/bridgehead/*"):
        state |= set(glob.glob(pattern))
    return state


def of_relays(thing):
    return thing.startswith(("program ", "/run/lock/"))


def relay_running():
    for comm in glob.glob("/proc/[0-9]*/comm"):
        try:
            if pathlib.Path(comm).read_text().startswith("bridgehead-rela"):
                return True
        except OSError:
            continue  # ended meanwhile
    return False


@pytest.fixture
def demo(tmp_path):
    """Starts runs of the demo; after the test each must have left nothing behind."""
    strangers = relay_running()  # then relays' programs and locks can not be told from a run's
    before = host_state()
    runs = []

    def added():
        return {thing for thing in host_state() - before if not (strangers and of_relays(thing))}

    def start(*options, path=None):
        runs.append(Demo(tmp_path, *options, path=path))
        return runs[-1]

    yield start
    if any(run.process.poll() is None for run in runs):  # the test gave up half-way
        for run in runs:
            run.abandon()
        return
    remains = [thing for run in runs for thing in run.remains()]
    for run in runs:
        run.abandon()
    assert remains == []
    # The kernel frees a namespace, and the programs on its interfaces, a moment after its name.
    deadline = time.monotonic() + 10
    while added() and time.monotonic() < deadline:
        time.sleep(0.2)
    strangers = strangers or relay_running()
    assert added() == set()
