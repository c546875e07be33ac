"""ctrl/proxy/STRANGERS.md: its tests exist, its statuses are theirs, and no kind of refusal is without."""

import re
import sys
import warnings
from pathlib import Path

import pytest
from test_conformance import existing_tests

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/edge"))
sys.path.append(str(ROOT / "tests/netns"))

with warnings.catch_warnings():  # of marks that tests/edge knows
    warnings.simplefilter("ignore")
    import test_hostile

PAGE = ROOT / "ctrl/proxy/STRANGERS.md"
# What the edge answers strangers with, each at least once.
ANSWERS = {"400", "403", "408", "413", "414", "417", "421", "426", "429", "431", "501", "505", "close",
           "GOAWAY", "RST_STREAM"}


def rows():
    """[(what, answer, [test])]"""
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if line.startswith("| ") and cells[0] != "what":
            assert len(cells) == 3, line
            found.append((cells[0], cells[1], re.findall(r"`([^`]+)`", cells[2])))
    return found


ROWS = rows()


def cases(test):
    """(the test, its case or None) of `file.py::function[case]`."""
    match = re.fullmatch(r"(.*?)(?:\[(.*)\])?", test)
    return match[1], match[2]


@pytest.mark.parametrize("what,answer,tests", ROWS, ids=[what for what, *_ in ROWS])
def test_a_row(what, answer, tests):
    assert tests, what
    known = existing_tests()
    for test in tests:
        if answer == "nothing breaks":
            assert test == "tests/fuzz" or (ROOT / f"tests/fuzz/{test}_fuzz.cc").exists()
            continue
        name, case = cases(test)
        assert name in known, test
        if name == "test_hostile.py::test_refused":
            assert str(test_hostile.REFUSED[case][0]) == answer.split(",")[0]
        elif case is not None:
            source = next((ROOT / "tests").rglob(name.split("::")[0])).read_text()
            assert f'"{case}":' in source, test


def test_every_answer_has_a_row():
    assert {part for _, answer, _ in ROWS for part in answer.split(", ")} >= ANSWERS


def test_every_status_of_http_has_a_row():
    statuses = set(re.findall(r"X\(k\w+, +(\d+),", (ROOT / "ctrl/proxy/http/refusal.h").read_text()))
    assert len(statuses) > 5
    shown = {part for _, answer, _ in ROWS for part in answer.split(", ")}
    assert statuses - {"502"} <= shown  # of upstreams, who are no strangers
