"""Limits on random graphs, in a process with small extents: small_extents.py has the properties."""

import os
import subprocess
import sys
from pathlib import Path

import plimsoll
import pytest


@pytest.mark.parametrize("extent", ["4KiB", "16KiB"])  # those of 16 KiB have fine ones of a page
def test_random_graphs_under_limits(request: pytest.FixtureRequest, extent: str):
    tests = Path(__file__).parents[1]
    package = Path(plimsoll.__file__).parents[1]
    profile = request.config.getoption("--hypothesis-profile") or "quick"
    path = [str(package), os.environ.get("PYTHONPATH", "")]
    small = {"PLIMSOLL_SLAB_THRESHOLD": "4KiB", "PLIMSOLL_EXTENT_BYTES": extent}
    child = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*child, f"--hypothesis-profile={profile}", str(tests / "limits" / "small_extents.py")],
        env={**os.environ, **small, "PYTHONPATH": os.pathsep.join(path)},
        cwd=tests.parent,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
