"""Runs fresh_workloads.py in a process of its own.

Its limits are a few megabytes: what the tests before it left in the interpreter would count.
"""

import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("fresh_workloads.py")


def test_work_that_does_not_fit_keeps_its_bits_and_its_limit():
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-4000:]
