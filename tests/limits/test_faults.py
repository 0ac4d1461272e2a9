"""The campaigns of faults.py: a short form, and with tools/fuzz every k."""

import json
import os
import subprocess
import sys
from pathlib import Path

import plimsoll
import pytest
from hypothesis import settings

MOST = {"tiny_training": 0, "training": 4, "out_of_core": 3}  # 0: every k


def campaign(job: str, most: int) -> dict:
    small = {"PLIMSOLL_SLAB_THRESHOLD": "4KiB", "PLIMSOLL_EXTENT_BYTES": "4KiB"}
    run = subprocess.run(
        [sys.executable, Path(__file__).with_name("faults.py"), job, str(most)],
        env={
            **os.environ,
            **small,
            "PLIMSOLL_FAULTS": "1",
            "PYTHONPATH": str(Path(plimsoll.__file__).parents[1]),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert run.returncode == 0
    return json.loads(run.stdout)


@pytest.mark.parametrize("job", list(MOST))
def test_every_failure_is_survived_or_raised_and_leaves_all_whole(job):
    whole = settings.default.max_examples > 1000
    report = campaign(job, 0 if whole else MOST[job])
    evaluation = report.pop("evaluation")
    assert evaluation["written"] > 0
    assert evaluation["loaded"] > 0
    for name, kind in report.items():
        line = f"{job}: {name}: asked {kind['asked']}, tried {kind['tried']}"
        print(f"{line}, injected {kind['injected']}, survived {kind['survived']}, {kind['raised']}")
        assert kind["wrong"] == [], name
        assert kind["injected"] > 0, name
        assert kind["survived"] + sum(kind["raised"].values()) >= kind["tried"] - 1, name


def test_faults_need_the_environment():
    done = subprocess.run(
        [sys.executable, "-c", "from plimsoll import _core; _core._inject_fault(['reserve'], 1)"],
        env={**os.environ, "PYTHONPATH": str(Path(plimsoll.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "expected PLIMSOLL_FAULTS=1" in done.stderr
