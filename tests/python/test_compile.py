"""What a compiled function keeps, and for which arguments it keeps it."""

import collections
import enum
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import plimsoll.core as mx
import pytest


def test_threads_may_call_a_compiled_function_while_it_is_traced():
    tracing, called = threading.Event(), threading.Event()

    def f(x, n):
        if not tracing.is_set():
            tracing.set()
            assert called.wait(60)
        return {"sum": x + n}

    compiled = mx.compile(f)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(lambda: compiled(mx.ones(2), 1)["sum"].tolist())
        assert tracing.wait(60)
        try:
            assert compiled(mx.ones(2), 1)["sum"].tolist() == [2, 2]
            assert compiled(mx.ones(3), 2)["sum"].tolist() == [3, 3, 3]
        finally:
            called.set()
        assert slow.result(60) == [2, 2]
    assert compiled(mx.zeros(2), 1)["sum"].tolist() == [1, 1]


def test_a_function_that_raises_leaves_its_state_and_can_be_called_again():
    state = [mx.array(1.0)]

    def f(x, fail):
        state[0] = state[0] + x
        if fail.shape == (1,):
            raise KeyError("asked for")
        return state[0]

    compiled = mx.compile(f, inputs=state, outputs=state)
    for _ in range(2):
        with pytest.raises(KeyError, match="asked for"):
            compiled(mx.array(2.0), mx.zeros(1))
        assert state[0].item() == 1.0
    assert compiled(mx.array(2.0), mx.zeros(2)).item() == 3.0
    assert state[0].item() == 3.0


@pytest.mark.parametrize(
    "other",
    [np.zeros(2000), np.float32(1), 1j, b"a", {1}, object(), len, mx.float32, slice(1)],
    ids=lambda other: type(other).__name__,
)
def test_refuses_arguments_that_it_cannot_tell_apart(other):
    compiled = mx.compile(lambda x, n: x)
    for argument in (other, [other], {"a": (other,)}):
        with pytest.raises(ValueError, match=r"\[compile\].*got .*make it an array"):
            compiled(mx.ones(2), argument)


def test_constants_of_other_type_or_bits_are_other_arguments():
    Pair = collections.namedtuple("Pair", "a b")
    Color = enum.IntEnum("Color", "RED")
    compiled = mx.compile(lambda x, n: (x + 1, repr(n)))
    x = mx.ones(2)
    constants = [1, True, 1.0, Color.RED, np.float64(1), "1", None, "None", 0.0, -0.0, math.nan]
    constants += [2**70, "", "\0", "'", [1, 2], (1, 2), Pair(1, 2), [[1], 2], ["1,2"], ["1", "2"]]
    constants += [{"a": 1}, {1: "a"}, {"1": "a"}]
    for _ in range(2):
        for n in constants:
            assert compiled(x, n)[1] == repr(n)


def test_each_shape_and_dtype_has_its_own_result():
    compiled = mx.compile(lambda x: [str(x.dtype), *(x[i] for i in range(x.shape[0]))])
    for n, dtype in [(2, mx.float32), (3, mx.float32), (2, mx.int32), (2, mx.float32)]:
        name, *rows = compiled(mx.arange(n).astype(dtype))
        assert name == str(dtype)
        assert [row.item() for row in rows] == list(range(n))


def test_objects_may_stand_beside_the_arrays_of_a_state():
    state = {"w": mx.array(2.0), "activation": len, "other": object()}
    compiled = mx.compile(lambda x: x * state["w"], inputs=state)
    assert compiled(mx.array(3.0)).item() == 6.0
    state["w"] = mx.array(4.0)
    assert compiled(mx.array(3.0)).item() == 12.0


@pytest.mark.parametrize("transform", [mx.compile, mx.vmap])
@pytest.mark.parametrize(
    "look",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x + x.sum().item(),
        lambda x: x.tolist(),
        lambda x: x + np.array(x),
        lambda x: mx.eval(x * 2),
        lambda x: mx.async_eval(x),
        lambda x: x + float(x.sum()),
        lambda x: repr(x),
    ],
)
def test_values_cannot_be_looked_at_while_recording(transform, look):
    with pytest.raises(ValueError, match=r"\[eval\] expected .* compile or vmap .* where instead"):
        transform(look)(mx.ones((2, 2)))
    assert not mx.compile(lambda x: x)(mx.zeros(1)).item()
