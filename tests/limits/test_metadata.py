"""Floors hold in a process that has made nothing yet: they count all bookkeeping."""

import os
import subprocess
import sys

import pytest

SMALL = {"PLIMSOLL_SLAB_THRESHOLD": "4KiB", "PLIMSOLL_EXTENT_BYTES": "4KiB"}
FINE = {"PLIMSOLL_EXTENT_BYTES": "16KiB"}  # least tiles are in fine extents of a page
PROGRAMS = {
    "two numbers": "print(mx.ones(2).tolist())",
    "small values of many sizes": """
        parts = [mx.full((n,), n) * 2 for n in range(1, 400, 7)]
        print(mx.concatenate(parts).sum().item())""",
    "a kernel with scratch": """
        a = mx.random.normal((300, 300), key=mx.random.key(0))
        print(mx.sort(a, axis=0).sum().item())""",
    "much that is spilled": """
        parts = [mx.random.normal((64, 64), key=mx.random.key(i)) for i in range(300)]
        mx.eval(parts)
        print(sum(float(p.sum().item()) for p in parts))""",
}


def run(program: str, **environment: str) -> str:
    lines = [line.strip() for line in program.strip().splitlines()]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(["import plimsoll.core as mx", *lines])],
        env={**os.environ, **SMALL, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("extents", [{}, FINE], ids=["pages", "fine"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_fresh_process_runs_at_its_floors(name, extents):
    tiny = run(PROGRAMS[name], PLIMSOLL_PRESSURE="tiny-limit", **extents)
    assert tiny == run(PROGRAMS[name])


def test_equal_evaluations_have_equal_floors():
    program = """
        a = mx.softmax(mx.ones((64, 64)) * 2, axis=0) @ mx.ones((64, 48))
        print(mx.memory_plan(a).floor)
        mx.eval(a)"""
    assert len(set(run(8 * program).split())) == 1
