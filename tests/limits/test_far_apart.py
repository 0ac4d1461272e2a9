"""Operands that are distant parts of one array are held each in a range of its own."""

import gc

import numpy as np
import plimsoll.core as mx
import pytest

MIB = 1 << 20
EXTENT = 2 * MIB
ROWS, WIDTH = 16, 1 << 19  # 32 MiB in rows of an extent

# Per case: a function of one array, the extents that its least tile may hold, and the bytes that
# may be read in all, in arrays.
CASES = {
    "ends": (lambda y: y[0] - y[-1], 3, 2 / ROWS),
    "mirror": (lambda y: y * y[::-1], 3, 2),
    "flat mirror": (lambda y: y.reshape(-1) * y.reshape(-1)[::-1], 3, 2),
    "halves": (lambda y: y[: ROWS // 2] + y[ROWS // 2 :], 3, 1),
    "three ways": (lambda y: y[:4] * y[6:10] - y[-4:], 4, 1),  # or in two steps
    "stack": (lambda y: mx.stack([y[0], y[-1]]), 4, 2 / ROWS),
    "neighbours": (lambda y: y[1:] - y[:-1], 3, 2),
    "summed": (lambda y: mx.sum(mx.exp(y - y[::-1]), axis=1), 4, 3),  # what is summed comes back
}


@pytest.fixture
def y():
    value = mx.array(np.random.default_rng(7).standard_normal((ROWS, WIDTH), np.float32))
    mx.eval(value)
    return value


def floor_of(*arrays: mx.array) -> tuple[int, int]:
    gc.collect()
    plan = mx.memory_plan(*arrays)
    with mx.memory_limit(plan.floor - 4096), pytest.raises(mx.MemoryLimitError) as caught:
        mx.eval(*arrays)
    assert caught.value.floor == plan.floor
    return plan.floor, caught.value.breakdown["step"]


@pytest.mark.plenty("compares with what is computed without a limit")
@pytest.mark.parametrize("name", CASES)
def test_distant_parts_need_a_tile_each(y, name):
    make, extents, reads = CASES[name]
    want = np.array(make(y))
    result = make(y)
    floor, step = floor_of(result)
    assert step <= extents * EXTENT + MIB
    mx.reset_peak_memory()
    with mx.memory_limit(floor):
        mx.eval(result)
        did = mx.last_evaluation()
    assert did.peak <= floor
    assert did.loaded <= reads * y.nbytes + 2 * EXTENT
    np.testing.assert_array_equal(np.array(result).view(np.uint32), want.view(np.uint32))


@pytest.mark.plenty("compares with what is computed without a limit")
def test_what_no_tile_touches_leaves_too(y):
    """Between the ends lies memory that the plan counts as free for the step after."""
    want = np.array(mx.sort((y[0] - y[-1]).reshape(64, -1), axis=-1))
    difference = y[0] - y[-1]
    result = mx.sort(difference.reshape(64, -1), axis=-1)
    floor, _ = floor_of(result)
    with mx.memory_limit(floor):
        mx.eval(result)
        assert mx.last_evaluation().peak <= floor
    np.testing.assert_array_equal(np.array(result), want)


@pytest.mark.plenty("compares with what is computed without a limit")
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_more_memory_keeps_the_bits(y, share):
    def make():
        return mx.sum(y * y[::-1] + (y[:1] - y[-1:]), axis=0)

    want = np.array(make())
    result = make()
    plan = mx.memory_plan(result)
    with mx.memory_limit(int(plan.floor + share * (plan.unlimited_peak - plan.floor))):
        mx.eval(result)
    np.testing.assert_array_equal(np.array(result).view(np.uint32), want.view(np.uint32))
