"""Settings that all Python tests share, and a line a file in place of a dot a test."""

from __future__ import annotations

import collections
import os
import time

import pytest
from hypothesis import settings

# No deadlines: a spilling test on a busy disk is slow without being wrong.
settings.register_profile("quick", deadline=None, max_examples=50, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=20_000, print_blob=True)
settings.load_profile("quick")


class Files:
    """Prints a line for each file of tests when its last one has run."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter
        self._file = ""
        self._tests = 0
        self._begin = time.monotonic()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Closes the line of the file before."""
        file = nodeid.partition("::")[0]
        if file != self._file:
            self._close()
            self._file = file
        self._tests += 1

    def pytest_sessionfinish(self) -> None:
        """Closes the last line."""
        self._close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Shows nothing for a test that passed."""
        return ("passed", "", "") if report.when == "call" and report.passed else None

    def _close(self) -> None:
        if self._tests:
            seconds = time.monotonic() - self._begin
            self._reporter.ensure_newline()
            self._reporter.write_line(f"{self._file}: {self._tests} tests, {seconds:.0f} s")
        self._tests, self._begin = 0, time.monotonic()


PRESSURE = os.environ.get("PLIMSOLL_PRESSURE", "")
# What each setting of tools/test --pressure must have done, in one of FEW tests and ten at least.
FEW = 100
COUNTERS = {
    "tiny-limit": ("tiles", "written", "loaded"),
    "spill-always": ("written", "loaded"),
    "recompute-always": ("recomputed",),
    "smallest-tiles": ("tiles",),
    "no-cache": (),
}


class Pressure:
    """Skips what assumes plenty of memory; a setting without effect fails the run."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter
        self._tests: collections.Counter[str] = collections.Counter()
        self._last = 0.0

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skips tests that are marked, for this setting or for all."""
        for item in items:
            for marker in item.iter_markers("plenty"):
                why, *settings = marker.args
                if not settings or PRESSURE in settings:
                    item.add_marker(pytest.mark.skip(reason=f"{PRESSURE}: {why}"))

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self) -> None:
        """Notes what the last evaluation of a test did."""
        import plimsoll.core as mx

        report = mx.last_evaluation()
        if report.seconds == self._last:
            return  # of another test
        self._last = report.seconds
        self._tests["evaluated"] += 1
        for counter in ("tiles", "written", "loaded", "recomputed"):
            self._tests[counter] += getattr(report, counter) > 0
        self._tests["cached"] += mx.get_cache_memory() > 0

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Says in how many tests each counter rose, and checks that the setting had an effect."""
        tests = self._tests
        counts = ", ".join(f"{n} {what}" for what, n in tests.items() if what != "evaluated")
        self._reporter.ensure_newline()
        self._reporter.write_line(
            f"{PRESSURE}: last evaluations of {tests['evaluated']} tests: {counts}"
        )
        least = max(10, tests["evaluated"] // FEW)
        wrong = [f"{c} rose in {tests[c]}" for c in COUNTERS[PRESSURE]
                 if tests[c] < least]  # fmt: skip
        if PRESSURE == "no-cache" and tests["cached"]:
            wrong.append(f"{tests['cached']} kept a cache")
        if wrong:
            self._reporter.write_line(f"error: {PRESSURE} had no effect: {', '.join(wrong)}")
            session.exitstatus = 1


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Registers the lines where the output is neither verbose nor somebody's terminal."""
    config.addinivalue_line(
        "markers", "plenty(why, *settings): not under these pressure settings; without, under none"
    )
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter and PRESSURE:
        config.pluginmanager.register(Pressure(reporter))
    if reporter and config.option.verbose <= 0 and not reporter.isatty:
        config.pluginmanager.register(Files(reporter))
