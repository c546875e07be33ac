"""Fixtures: a running relay per number of workers and NAT mode, and a factory for special ones."""

import os
import sys
from contextlib import contextmanager

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import lab as lab_module  # noqa: E402
from lab import Lab  # noqa: E402
from netns import Unsupported  # noqa: E402

# Workers and NAT mode. BRIDGEHEAD_MODES, for quicker runs, selects some: "1-destination,2-source".
NAMES = ["1-source", "2-source", "1-destination", "2-destination"]
if "BRIDGEHEAD_MODES" in os.environ:
    NAMES = os.environ["BRIDGEHEAD_MODES"].split(",")
MODES = [(int(name[0]), name[2:]) for name in NAMES]


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out of quick runs")


# What quick runs have of the namespaces: calls and broken packets, with two workers only, and of a
# life's events those that a change to either process is likely to break.
QUICK_MODULES = ("test_bridges", "test_broken", "test_icmp", "test_ipv6", "test_kernel",
                 "test_media", "test_octo")
QUICK_EVENTS = ("test_reload_under_traffic", "test_ctrl_restarts_under_traffic",
                "test_bad_reload_keeps_the_old_configuration_and_says_why",
                "test_relay_restarts_under_traffic", "test_clean_end_leaves_nothing",
                "test_floods_beside_a_call", "test_large_datagrams_both_ways",
                "test_fragments_in_any_order")


# What these look at depends on workers and NAT mode together. For the others each value of both is
# enough, or a full run would take too long.
FOUR_MODES = ("test_broken", "test_media", "test_topologies")
LEFT_OUT = ((1, "source"), (2, "destination"))


def is_left_out(item):
    """By the workers and the NAT mode that a test runs with, as one parameter or as two."""
    if item.module.__name__ in FOUR_MODES or not hasattr(item, "callspec"):
        return False
    parameters = item.callspec.params
    modes = [*parameters.values(), (parameters.get("workers"), parameters.get("nat"))]
    return any(mode in LEFT_OUT for mode in modes)


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        quick = item.module.__name__ in QUICK_MODULES or item.originalname in QUICK_EVENTS
        if not quick or "[1-" in item.name:
            item.add_marker(pytest.mark.slow)
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="network namespaces need root"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """A failed test shows the last lines of both logs."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for lab in Labs.open:
            report.sections.append(("relay log", lab_module.tail(lab.relay_log, 25)))
            report.sections.append(("ctrl log", lab_module.tail(lab.ctrl_log, 25)))


class Labs:
    """The labs that are open, for reports."""
    open = []


def _opened(lab):
    Labs.open.append(lab)
    return lab


def _closed(lab):
    Labs.open.remove(lab)
    lab.close()


@contextmanager
def open_lab(**options):
    """A lab for a with block, for fixtures; not yet started."""
    lab = _opened(Lab(**options))
    try:
        yield lab
    finally:
        _closed(lab)


@pytest.fixture(scope="session", params=MODES, ids=NAMES)
def shared_lab(request):
    """One running relay for all tests of a mode. What a test leaves there are idle sessions."""
    workers, nat = request.param
    with open_lab(workers=workers, nat=nat) as lab:
        yield lab.start()


@pytest.fixture
def lab(shared_lab):
    """The shared lab; closes the sockets a test has opened there."""
    yield shared_lab
    for sock in shared_lab.sockets:
        sock.close()
    shared_lab.sockets.clear()


@pytest.fixture
def topology():
    """A function that makes a lab of its own for this test: topology(workers, nat, ...)."""
    made = []

    def make(workers=1, nat="source", start=True, **options):
        try:
            lab = _opened(Lab(workers=workers, nat=nat, **options))
        except Unsupported as reason:
            pytest.skip(str(reason))
        made.append(lab)
        return lab.start() if start else lab
    yield make
    for lab in made:
        _closed(lab)
