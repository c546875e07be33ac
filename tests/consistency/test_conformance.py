"""relay/CONFORMANCE.md: every requirement is there, and every test that it names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "relay/CONFORMANCE.md"
VERDICTS = ("kept", "partly", "not kept", "not applicable")
# Sub-items that ask for something of their own.
RFC4787 = {3: "a", 5: "abc", 6: "a", 8: "a", 9: "a", 10: "a", 12: "ab", 13: "a", 14: "a"}
RFC5508 = {3: "abcd"}


def rows():
    """{RFC: {requirement: (verdict, how, tests)}}"""
    found, rfc = {}, None
    for line in TABLE.read_text().splitlines():
        if heading := re.match(r"## RFC (\d+)", line):
            rfc = found.setdefault(int(heading[1]), {})
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if re.match(r"\| (REQ-\d+[a-d]?|section [\d.]+) \|", line):
            assert len(cells) == 5, line
            name, _, verdict, how, tests = cells
            assert name not in rfc, f"{name} twice"
            rfc[name] = (verdict, how, re.findall(r"`([^`]+)`", tests))
    return found


def requirements(count, items, without=()):
    names = {f"REQ-{number}" for number in range(1, count + 1) if number not in without}
    return names | {f"REQ-{number}{letter}" for number, letters in items.items()
                    for letter in letters}


def existing_tests():
    tests = set()
    for path in (ROOT / "tests").rglob("*.cc"):
        tests.update(f"{suite}.{name}" for suite, name in
                     re.findall(r"^TEST(?:_[FP])?\((\w+),\s*(\w+)\)", path.read_text(), re.M))
    for path in (ROOT / "tests").rglob("test_*.py"):
        tests.update(f"{path.name}::{name}" for name in
                     re.findall(r"^def (test_\w+)", path.read_text(), re.M))
    return tests


def test_every_requirement_has_a_row():
    found = rows()
    assert set(found[4787]) == requirements(14, RFC4787)
    assert set(found[5508]) == requirements(11, {**RFC5508, 10: "abcd"}, without={10})
    assert set(found[7857]) == {f"section {number}" for number in range(2, 13)} | {"section 7.1"}
    assert set(found[6888]) == requirements(15, {11: "abcd"}, without={11})


@pytest.mark.parametrize("rfc", [4787, 5508, 7857, 6888])
def test_every_row_says_why_and_what_shows_it(rfc):
    known = existing_tests()
    for name, (verdict, how, tests) in rows()[rfc].items():
        assert verdict in VERDICTS, f"{name}: {verdict}"
        if verdict in ("kept", "partly"):
            assert tests, f"{name} is {verdict}, and no test shows it"
        if verdict != "kept":
            assert how, f"{name} is {verdict}, and does not say why"
        for test in tests:
            assert test in known, f"{name}: there is no {test}"


def test_no_packet_is_logged():
    """What packets go through: a log line there would be one for each packet or session."""
    files = [path for part in ("net", "session", "walk")
             for path in (ROOT / "relay" / part).iterdir() if path.suffix in (".cc", ".h")]
    assert len(files) > 30
    for path in files:
        assert not re.search(r"\blog::|\b(?:printf|syslog|rte_log|RTE_LOG)\b|std::c(?:out|err)",
                             path.read_text()), path
