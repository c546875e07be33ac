"""Adds up what the test programs report (JUnit XML, from GoogleTest and from pytest)."""

import xml.etree.ElementTree as ElementTree


class Results:
    def __init__(self):
        self.passed = 0
        self.failures = []  # (test, what to look at)
        self.skips = []  # (test, why)

    def counts(self):
        return self.passed, len(self.failures), len(self.skips)

    def fail(self, test, look_at):
        self.failures.append((test, look_at))

    def add_program(self, name, code, report, log=None):
        """One program's exit code and report. Without a report the program itself is the test."""
        look_at = str(log) if log else "its output above"
        before = len(self.failures)
        if report.exists():
            try:
                self._add_report(name, report, look_at)
            except ElementTree.ParseError:
                self.fail(name, f"its report is cut off, so it died: {look_at}")
        elif code == 0:
            self.passed += 1
        elif code == 77:
            last = log.read_text(errors="replace").strip().splitlines()[-1:] if log else []
            self.skips.append((name, last[0] if last else "it gave no reason"))
        if code not in (0, 77) and len(self.failures) == before:
            self.fail(name, f"exit code {code}: {look_at}")

    def _add_report(self, name, report, look_at):
        for case in ElementTree.parse(report).iter("testcase"):
            test = f"{case.get('classname')}.{case.get('name')}"
            skipped = case.find("skipped")
            failure = case.find("failure")
            failure = case.find("error") if failure is None else failure
            if failure is not None:
                first = (failure.get("message") or "").strip().splitlines()[:1]
                self.fail(f"{name}: {test}", f"{first[0] if first else 'failed'} ({look_at})")
            elif skipped is not None or case.get("result") == "skipped":
                why = "" if skipped is None else (skipped.get("message") or skipped.text or "")
                self.skips.append((f"{name}: {test}", " ".join(why.split()) or "no reason given"))
            elif case.get("status") != "notrun":
                self.passed += 1

    def print_summary(self, directory):
        by_reason = {}
        for test, why in self.skips:
            by_reason.setdefault(why, []).append(test)
        for why, tests in by_reason.items():
            print(f"skipped {len(tests)}: {why} ({tests[0]}{', ...' if len(tests) > 1 else ''})")
        for test, look_at in self.failures:
            print(f"FAILED {test}: {look_at}")
        if self.failures:
            print(f"logs and reports: {directory}")
        print(f"{self.passed} passed, {len(self.failures)} failed, {len(self.skips)} skipped")
