"""Declared floors: what one step needs beside what is fixed, per kind of operation.

Arrays are of 16 MB in rows of 2 KiB, so that tiles can be small and rows do not straddle extents.
The goal of 4 MiB is met by steps of two large operands; those of three hold three extents.
"""

import gc

import numpy as np
import plimsoll.core as mx
import pytest
from plimsoll import nn
from plimsoll.utils import tree_flatten

from limits.faults import GPT

MIB = 1 << 20
EXTENT = 2 * MIB
WORKSPACE = MIB // 4  # of elementwise programs
ROWS, WIDTH = 1 << 13, 512


def step_of(outputs: list[mx.array]) -> tuple[int, int]:
    """The largest step and what is fixed, as a refusal one page below the floor names them."""
    gc.collect()  # what an earlier test's exception holds would go between plan and refusal
    floor = mx.memory_plan(outputs).floor
    with mx.memory_limit(floor - 4096), pytest.raises(mx.MemoryLimitError) as caught:
        mx.eval(outputs)
    assert caught.value.floor == floor
    return caught.value.breakdown["step"], caught.value.breakdown["fixed"]


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
def test_a_step_needs_an_extent_an_operand(name):
    make, extents = CASES[name]
    a, b = (mx.zeros((ROWS, WIDTH)) + mx.array(float(i)) for i in range(2))
    mx.eval(a, b)
    step, fixed = step_of([make(a, b)])
    assert step <= extents * EXTENT + WORKSPACE
    assert fixed <= 64 * MIB


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
    step, fixed = step_of(outputs)
    # The goal is 5 %; attention's gradient, with four inputs and three results, takes more.
    assert step <= 0.09 * peak
    assert fixed <= 64 * MIB
