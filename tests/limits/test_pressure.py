"""Each pressure setting gives the bits of none, and is not quietly without effect."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
GRAPHS = "40"
SMALL = {"PLIMSOLL_SLAB_THRESHOLD": "1", "PLIMSOLL_EXTENT_BYTES": "4KiB"}  # as tools/test


def run(**environment):
    """What limits/pressure.py prints."""
    result = subprocess.run(
        [sys.executable, "-m", "limits.pressure", GRAPHS],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=TESTS,
        env={**os.environ, **SMALL, **environment},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def free():
    return run()


FINE = {"PLIMSOLL_EXTENT_BYTES": "16KiB"}  # least tiles are in fine extents of a page


@pytest.mark.parametrize(
    ("setting", "counter", "extents"),
    [
        ("tiny-limit", "written", {}),
        ("tiny-limit", "written", FINE),
        ("spill-always", "written", {}),
        ("recompute-always", "recomputed", {}),
        ("smallest-tiles", "tiles", {}),
        ("smallest-tiles", "tiles", FINE),
        ("no-cache", None, {}),
    ],
)
def test_a_setting_changes_what_is_done_and_no_bit(free, setting, counter, extents):
    forced = run(PLIMSOLL_PRESSURE=setting, **extents)
    assert forced["digests"] == free["digests"]
    if counter:
        assert forced["counters"][counter] > free["counters"].get(counter, 0)
    else:
        assert forced["counters"]["cached"] == 0
        assert free["counters"]["cached"] > 0
