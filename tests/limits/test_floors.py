"""Declared floors: what one step needs beside what is fixed, per kind of operation.

Arrays are of 16 MB in rows of 2 KiB, so that tiles can be small and rows do not straddle extents.
"""

import gc

import numpy as np
import plimsoll.core as mx
import pytest
from plimsoll import nn
from plimsoll.utils import tree_flatten

from limits.faults import GPT

MIB = 1 << 20
PAGE = 4096
EXTENT = MIB // 2  # the least that a tile holds of an operand
WORKSPACE = MIB // 4  # of elementwise programs
MOST = 4 * MIB  # of a step
ROWS, WIDTH = 1 << 13, 512


def step_of(outputs: list[mx.array]) -> tuple[int, int, int]:
    """The floor, the largest step and what is fixed, as a refusal one page below says."""
    gc.collect()  # what an earlier test's exception holds would go between plan and refusal
    floor = mx.memory_plan(outputs).floor
    with mx.memory_limit(floor - PAGE), pytest.raises(mx.MemoryLimitError) as caught:
        mx.eval(outputs)
    assert caught.value.floor == floor
    return floor, caught.value.breakdown["step"], caught.value.breakdown["fixed"]


# Per kind: a function of two evaluated arrays, and how many extents its operands may take.
CASES = {
    "elementwise": (lambda a, b: a * b, 3),
    "broadcast": (lambda a, b: a * b[0], 3),
    "sum of rows": (lambda a, b: mx.sum(a, axis=1), 1),
    "sum of columns": (lambda a, b: mx.sum(a, axis=0), 1),
    "softmax": (lambda a, b: mx.softmax(a, axis=-1), 2),
    "layer norm": (lambda a, b: mx.fast.layer_norm(a, b[0], b[1], 1e-5), 3),
    "rms norm": (lambda a, b: mx.fast.rms_norm(a, b[0], 1e-5), 3),
    "gather": (lambda a, b: mx.take(a, mx.arange(1024, dtype=mx.int32), axis=0), 2),
    "sort": (lambda a, b: mx.sort(a, axis=-1), 2),
    "cumsum": (lambda a, b: mx.cumsum(a, axis=-1), 2),
}


@pytest.mark.parametrize("name", CASES)
def test_a_step_needs_an_extent_an_operand_and_runs_in_it(name):
    make, extents = CASES[name]
    a, b = (mx.random.normal((ROWS, WIDTH), key=mx.random.key(i)) for i in range(2))
    mx.eval(a, b)
    whole = make(a, b)
    want = np.array(whole).tobytes()
    del whole
    mx.clear_cache()
    out = make(a, b)
    floor, step, fixed = step_of([out])
    assert step <= min(MOST, extents * EXTENT + WORKSPACE)
    assert fixed <= 64 * MIB
    mx.clear_cache()
    with mx.memory_limit(floor):
        mx.eval(out)
        assert mx.last_evaluation().peak <= floor
        assert mx.last_evaluation().tiles > 0
    assert np.array(out).tobytes() == want
    # What was streamed in fine extents is read back, and used, as it was.
    assert np.array(make(a, b)).tobytes() == want


def test_rows_that_straddle_extents_are_not_cut_into_elements_where_there_is_a_little_room():
    a, b = (mx.random.normal((ROWS, WIDTH + 1), key=mx.random.key(i)) for i in range(2))
    want = np.array(a * b).tobytes()
    mx.clear_cache()
    out = a * b
    floor, _, _ = step_of([out])
    with mx.memory_limit(floor + 3 * EXTENT):
        mx.eval(out)
        assert mx.last_evaluation().tiles <= 64
    assert np.array(out).tobytes() == want


def test_a_sort_passes_over_its_input_a_few_times_where_that_fits():
    a = mx.random.normal((ROWS * WIDTH,), key=mx.random.key(0))
    want = np.sort(np.array(a)).tobytes()
    mx.clear_cache()
    out = mx.sort(a)
    with mx.memory_limit(2 * a.nbytes):
        mx.eval(out)
        done = mx.last_evaluation()
    assert done.stage == "tile"
    assert done.tiles <= 8
    assert done.loaded <= a.nbytes
    assert np.array(out).tobytes() == want


def test_a_training_step_needs_a_small_part_of_its_peak():
    mx.random.seed(0)
    model = GPT(512, 128, 128, 4)
    mx.eval(model.parameters())
    text = np.random.default_rng(0).integers(0, 512, (16, 129)).astype(np.int32)
    loss, gradients = nn.value_and_grad(
        model, lambda x, y: nn.losses.cross_entropy(model(x), y, reduction="mean")
    )(mx.array(text[:, :-1]), mx.array(text[:, 1:]))
    outputs = [loss, *(g for _, g in tree_flatten(gradients))]
    peak = mx.memory_plan(outputs).unlimited_peak
    _, step, fixed = step_of(outputs)
    assert step <= 0.05 * peak
    assert fixed <= 64 * MIB


@pytest.mark.parametrize(
    "make",
    [
        lambda a, i: a[i],
        lambda a, i: mx.contiguous(a.T),
        lambda a, i: mx.softmax(a, axis=0),
        lambda a, i: a[:1000] @ a[1000:2000].T,
    ],
    ids=["take", "transpose", "softmax", "matmul"],
)
def test_rows_that_straddle_extents_run_at_the_floor_in_few_tiles(make):
    a = mx.random.normal((5000, 999), key=mx.random.key(0))
    i = mx.random.randint(0, 5000, (2000,), key=mx.random.key(1))
    mx.eval(a, i)
    want = np.array(make(a, i)).tobytes()
    out = make(a, i)
    floor, step, _ = step_of([out])
    assert step <= 2 * MOST
    with mx.memory_limit(floor):
        mx.eval(out)
    assert mx.last_evaluation().tiles <= 4000
    assert np.array(out).tobytes() == want


@pytest.mark.parametrize("rows", [513, 1024, 1500, 2000])
def test_there_is_a_plan_at_the_floor_in_whole_extents(rows):
    """And none a page below, whatever the tiles that make it."""
    a = mx.ones((rows, rows))
    indices = mx.arange(rows)[::-1]
    mx.eval(a, indices)
    for y in (a @ a, a @ a.T, mx.contiguous(a.T), mx.take(a, indices, axis=1), a[indices] + a.T):
        floor = mx.memory_plan(y, limit=1 << 40).floor
        floor = mx.memory_plan(y, limit=floor).floor
        assert mx.memory_plan(y, limit=floor).stage != "refused"
        assert mx.memory_plan(y, limit=floor + (1 << 16)).stage != "refused"
        assert mx.memory_plan(y, limit=floor - 4096).stage == "refused"
