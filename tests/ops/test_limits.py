"""Every row gives its unlimited bits at its floor and halfway to its unlimited peak."""

import json
import os
import subprocess
import sys
from pathlib import Path

import plimsoll
import pytest

from ops.tables import CASES

# As tests/limits.
pytestmark = pytest.mark.plenty("sets limits and settings of its own")
NAMES = [f"{c.family}/{c.name}" for c in CASES]


@pytest.fixture(scope="module")
def reports():
    tests = Path(__file__).parents[1]
    package = Path(plimsoll.__file__).parents[1]
    small = {"PLIMSOLL_SLAB_THRESHOLD": "4KiB", "PLIMSOLL_EXTENT_BYTES": "4KiB"}
    path = os.pathsep.join([str(package), str(tests)])
    run = subprocess.run(
        [sys.executable, "-m", "ops.under_limit"],
        env={**os.environ, **small, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_bits_are_those_without_a_limit(name, reports):
    report = reports[name]
    assert "error" not in report, report["error"]
    assert report["differs"] == []
    assert report["over"] == 0


def test_every_mechanism_was_used(reports):
    stages = {stage for report in reports.values() for stage in report["stages"]}
    assert {"fits", "stream", "evict", "tile"} <= stages
    for counter in ("written", "loaded", "tiles"):
        used = sum(report[counter] > 0 for report in reports.values())
        assert used > len(NAMES) / 10, f"{counter} rose in {used} of {len(NAMES)} rows"
