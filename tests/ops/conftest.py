"""Counts of the tables' tests, family by family."""

import re
from collections import Counter

CASE = re.compile(r"tests/ops/test_opcases\.py::\w+\[(\w+)/")


def pytest_terminal_summary(terminalreporter):
    counts = Counter(
        match[1]
        for report in terminalreporter.stats.get("passed", [])
        if (match := CASE.search(getattr(report, "nodeid", "")))
    )
    if counts:
        families = " · ".join(f"{name} {n}" for name, n in sorted(counts.items()))
        terminalreporter.write_line(f"cases passed, by family: {families}")
