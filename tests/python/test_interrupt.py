"""Ctrl-C during an evaluation."""

import os
import signal
import threading
import time

import numpy as np
import plimsoll.core as mx
import pytest

pytestmark = pytest.mark.plenty("products of 128 rows over single elements", "smallest-tiles")
# Columns of more rows, in blocks of 4 KiB, take minutes at the floor.
SIDE = 128 if os.environ.get("PLIMSOLL_PRESSURE") else 512


@pytest.fixture
def ctrl_c():
    """Presses it once, soon after the test starts to wait."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timers = []

    def press(after=0.3):
        timer = threading.Timer(after, lambda: os.kill(os.getpid(), signal.SIGINT))
        timers.append(timer)
        timer.start()

    yield press
    for timer in timers:
        timer.join()
    signal.signal(signal.SIGINT, before)


def long_graph(x, steps):
    """Each product takes about a millisecond; values stay near 1."""
    for _ in range(steps):
        x = mx.tanh(x @ x)
    return x


def test_interrupts_evaluation_and_leaves_arrays_valid(ctrl_c):
    x = mx.eye(SIDE) * 0.5 + 0.01
    mx.eval(x)
    kept = np.array(x)
    y = long_graph(x, 50_000)  # the better part of a minute
    ctrl_c()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        mx.eval(y)
    assert time.monotonic() - begin < 20
    np.testing.assert_array_equal(np.array(x), kept)
    z = long_graph(x, 3)
    want = kept
    for _ in range(3):
        want = np.tanh(want @ want)
    np.testing.assert_allclose(np.array(z), want, rtol=1e-4)
    del y
    assert mx.ones((3,)).sum().item() == 3.0


@pytest.mark.parametrize("read", [np.array, np.asarray, np.sin, memoryview, mx.array.tolist, str])
def test_interrupts_whatever_reads_a_lazy_array(ctrl_c, read):
    x = mx.eye(SIDE) * 0.5 + 0.01
    y = long_graph(x, 50_000)
    ctrl_c()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        read(y)
    assert time.monotonic() - begin < 20
    assert np.array(x * 2)[0, 0] == np.float32(1.02)  # the next is not interrupted


@pytest.mark.plenty("800 products of 512 rows at their floor take minutes", "tiny-limit")
def test_an_interrupt_that_was_raised_is_not_raised_again(ctrl_c):
    y = long_graph(mx.eye(512) * 0.5, 800)
    ctrl_c(0.2)
    with pytest.raises(KeyboardInterrupt):
        memoryview(y)
    assert y.__array__().shape == (512, 512)


def test_array_protocol_wants_an_array():
    with pytest.raises(TypeError, match="__array__"):
        mx.array.__array__(5)


def test_interrupts_one_long_step(ctrl_c):
    x = mx.random.uniform(shape=(2500, 2500), key=mx.random.key(0))
    mx.eval(x)
    y = (x @ x) @ x
    y = y[:512, :512] + long_graph(x[:512, :512], 50_000)  # where the products are too quick
    ctrl_c(0.2)
    with pytest.raises(KeyboardInterrupt):
        mx.eval(y)
    assert x[0, 0].item() == x[0, 0].item()


@pytest.mark.plenty("400 products of 512 rows at their floor take minutes", "tiny-limit")
def test_interrupted_evaluation_can_be_repeated(ctrl_c):
    x = mx.eye(SIDE) * 0.5
    y = long_graph(x, 400)
    ctrl_c(0.1)
    try:
        mx.eval(y)
        time.sleep(1)  # where that was quicker
    except KeyboardInterrupt:
        mx.eval(y)
    again = long_graph(x, 400)
    assert mx.array_equal(y, again).item()
