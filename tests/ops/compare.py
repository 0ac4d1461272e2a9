"""Comparisons and logic."""

import numpy as np

from ops.opcase import ALL, BINARY_SHAPES, FLOATS, INTEGERS, OpCase, Uniform, in_family

CLOSE_VALUES = (Uniform(-2, 2), Uniform(-2, 2))


def integral(f):
    """Small whole numbers in every dtype, so that ties are common."""

    def maker(rng, shape, dtype):
        values = f(rng, shape, dtype)
        return np.round(values.real).astype(values.dtype) if values.dtype.kind in "fc" else values

    return maker


TIES = (integral(Uniform(-2, 2)), integral(Uniform(-2, 2)))


def compare(op, oracle, dtypes=ALL, inputs=TIES, **more):
    return OpCase(op, lambda m, a, b: getattr(m, op)(a, b), oracle, inputs, BINARY_SHAPES, dtypes,
                  **more)  # fmt: skip


def truth(f):
    return lambda a, b: f(a.astype(bool), b.astype(bool))


def close(a, b):
    return np.isclose(a, b, rtol=0.1, atol=0.05)


ROWS = [
    compare("equal", np.equal),
    compare("not_equal", np.not_equal),
    compare("less", np.less),
    compare("less_equal", np.less_equal),
    compare("greater", np.greater),
    compare("greater_equal", np.greater_equal),
    compare("logical_and", truth(np.logical_and)),
    compare("logical_or", truth(np.logical_or)),
    compare("logical_xor", truth(np.logical_xor)),
    OpCase("isclose", lambda m, a, b: m.isclose(a, b, rtol=0.1, atol=0.05), close, CLOSE_VALUES,
           BINARY_SHAPES, FLOATS + INTEGERS, inexact=True,
           refuses_others="any dtype is taken"),
    OpCase("allclose", lambda m, a, b: m.allclose(a, b, rtol=0.1, atol=0.05),
           lambda a, b: np.allclose(a, b, rtol=0.1, atol=0.05), CLOSE_VALUES,
           (((3, 4), (3, 4)), ((), ()), ((0,), (0,))), FLOATS + INTEGERS, inexact=True,
           refuses_others="any dtype is taken"),
    OpCase("array_equal", lambda m, a, b: m.array_equal(a, b), np.array_equal, TIES,
           (((3, 4), (3, 4)), ((), ()), ((0,), (0,)), ((1,), (4,))), ALL,
           vmap="the answer is one bool of two arrays"),
    OpCase("array_equal", lambda m, a: m.array_equal(a, a), lambda a: np.True_, (Uniform(),),
           (((3, 4),), ((0,),)), ALL, label="same", vmap="the answer is one bool of two arrays"),
]  # fmt: skip

ROWS = in_family("compare", ROWS)
