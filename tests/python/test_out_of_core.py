"""The example of files larger than memory, on a small file."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "out_of_core.py"


@pytest.mark.plenty("holds the bytes that are moved against the least there are")
@pytest.mark.parametrize("limit", ["0", "48MB"])
def test_the_example_is_right_and_keeps_its_limit(limit):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--size", "120MB", "--cols", "300", "--memory-limit", limit],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "largest difference from NumPy" in done.stdout


def test_sizes_are_checked():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--size", "2XB"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert 'expected a size such as "2GB"' in done.stderr
