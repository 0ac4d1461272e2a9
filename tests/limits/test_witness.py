"""The system, not our own counter, says what an evaluation under a limit holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import plimsoll
import pytest
from plimsoll.cli import OUTSIDE

TESTS = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="no VmHWM to reset"
)


def witness(*arguments, preexec_fn=None):
    """What limits/witness.py prints."""
    path = [str(Path(plimsoll.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    result = subprocess.run(
        [sys.executable, "-m", "limits.witness", *arguments],
        capture_output=True,
        text=True,
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        check=False,
        preexec_fn=preexec_fn,
    )
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stderr[-2000:]}"
    found = json.loads(result.stdout)
    assert {"fits", "evict", "tile"} <= {f["stage"] for f in found}
    return found


@pytest.fixture
def cgroup():
    """A memory cgroup of our own."""
    for root, limit in ("memory", "memory.limit_in_bytes"), ("", "memory.max"):
        folder = Path("/sys/fs/cgroup", root, f"plimsoll-witness-{os.getpid()}")
        try:
            folder.mkdir()
        except OSError:
            continue
        usable = os.access(folder / limit, os.W_OK)
        if usable:
            yield folder
        folder.rmdir()
        if usable:
            return
    pytest.skip("no memory cgroup can be made here")


def test_resident_memory_stays_in_the_limit_and_what_info_says():
    found = witness("17")
    assert all(f["same"] for f in found)
    most = max(f["past"] for f in found)
    print(f"at most {most} bytes past the limit")
    assert most <= OUTSIDE
    # The margin is for what libraries take when they are first used; nothing else comes near it.
    assert sorted(f["past"] for f in found)[-3] <= 1 << 20


def test_a_cgroup_with_no_room_past_that_ends_no_evaluation_and_changes_no_bit(cgroup):
    def enter():
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))

    found = witness("17", str(cgroup), preexec_fn=enter)
    assert all(f["same"] for f in found)


BESIDE = """
import numpy as np
import plimsoll.core as mx

beside = np.ones(60_000_000, np.uint8)
x, w = mx.random.normal((3000, 3000)), mx.random.normal((3000, 3000))
mx.eval(x, w)
mx.eval(mx.softmax(x @ w, axis=-1))
print("stage", mx.last_evaluation().stage)
mx.set_memory_limit("50MB")
try:
    mx.eval(mx.linalg.inv(mx.ones((4000, 4000)) + 5000 * mx.eye(4000)))
except mx.MemoryLimitError as e:
    print(str(e).splitlines()[0])
print(mx.array_equal(x, x + 0).item())
"""


def test_no_evaluation_asks_for_more_than_its_cgroup_has_left(cgroup):
    """By default and as a guideline, beside 60 MB that are not the engine's."""
    name = "memory.max" if (cgroup / "memory.max").exists() else "memory.limit_in_bytes"
    (cgroup / name).write_text(str(150 * 2**20))
    result = subprocess.run(
        [sys.executable, "-c", BESIDE],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(plimsoll.__file__).parents[1])},
        preexec_fn=lambda: (cgroup / "cgroup.procs").write_text(str(os.getpid())),
    )  # fmt: skip
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stderr[-2000:]}"
    stage, refusal, same = result.stdout.splitlines()
    assert stage in ("stage evict", "stage tile", "stage stream")
    assert "the machine has room for" in refusal
    assert same == "True"
