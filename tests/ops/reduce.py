"""Reductions over axes.

Tolerances: the sum of n terms is off by at most log2(n) + 1 units of the sum of their magnitudes
when it is added in pairs; float16 and bfloat16 are added in float32 and rounded once.
"""

import numpy as np
from scipy import special

from ops.opcase import FLOATS, REAL, Distinct, Near, OpCase, Uniform, in_family

SHAPES = (((3, 5),), ((),), ((1,),), ((2, 3, 4),), ((7, 129),), ((1031,),), ((2, 3, 2, 3),))
FULL = SHAPES[:1] + SHAPES[3:]
EMPTY = (((0,),), ((0, 3),), ((3, 0),))


def size_of_sum(axis=None, keepdims=False):
    return lambda a: np.sum(np.abs(a), axis=axis, keepdims=keepdims) + 1e-30


def sums(a):
    """NumPy's dtypes of sums are wider than MLX's; wrapped they agree."""
    if a.dtype.kind in "b" or a.dtype in (np.int8, np.int16):
        return a.astype(np.int32)
    return a.astype(np.uint32) if a.dtype in (np.uint8, np.uint16) else a


def over(f):
    """A reduction in the dtype of sums."""
    return lambda a, **k: f(sums(a), dtype=sums(a).dtype, **k)


def reduction(op, oracle, inputs=(Uniform(),), shapes=SHAPES, label="", axis=None, keepdims=False,
              **more):  # fmt: skip
    def fn(m, a):
        return getattr(m, op)(a, axis=axis, keepdims=keepdims)

    return OpCase(op, fn, lambda a: oracle(a, axis=axis, keepdims=keepdims), inputs, shapes,
                  label=label, **more)  # fmt: skip


def family(op, oracle, inputs=(Uniform(),), with_empty=True, magnitude=None, **more):
    """The forms of one reduction: everything, the last axis, the first, two, and keepdims."""

    def row(label, axis, shapes, keepdims=False):
        size = magnitude(axis, keepdims) if magnitude else None
        return reduction(op, oracle, inputs, shapes, label, axis, keepdims, magnitude=size, **more)

    return [
        row("", None, SHAPES + (EMPTY if with_empty else ())),
        row("last", -1, FULL + (EMPTY[1:2] if with_empty else ()), keepdims=True),
        row("first", 0, FULL),
        row("two", (0, -1), (((3, 5),), ((2, 3, 4),), ((33, 2, 17),))),
    ]  # fmt: skip


def logsumexp(a, axis, keepdims):
    return special.logsumexp(a, axis=axis, keepdims=keepdims)


def moment(f, ddof=0):
    def oracle(a, axis, keepdims):
        return f(a, axis=axis, keepdims=keepdims, ddof=ddof)

    return oracle


def spread(axis, keepdims):
    """The error of a two-pass variance is relative to itself; of its sum, to the squares."""
    return lambda a: np.mean(np.abs(a) ** 2, axis=axis, keepdims=keepdims) + 1e-30


INEXACT_ULPS = {"float32": 8, "float64": 8, "complex64": 12}
EXTREME = {"inputs": (Distinct(),), "with_empty": False, "grad": (0,),
           "second": "piecewise linear"}  # fmt: skip
WHOLE = (Uniform(-1, 1),)

ROWS = [
    *family("sum", over(np.sum), (Uniform(-9, 9),), magnitude=size_of_sum, grad=(0,),
            second="linear", ulps=INEXACT_ULPS),
    *family("prod", over(np.prod), (Near(0.25),), grad=(0,),
            ulps={"float32": 128, "float64": 128, "complex64": 256, "float16": 1, "bfloat16": 1},
            peer_ulps=512),
    *family("max", np.max, **EXTREME),
    *family("min", np.min, **EXTREME),
    *family("all", np.all, WHOLE),
    *family("any", np.any, WHOLE),
    *family("logsumexp", logsumexp, (Uniform(-3, 3),), with_empty=False, grad=(0,), inexact=True,
            dtypes=REAL, magnitude=lambda axis, keep: lambda a: np.maximum(
                np.abs(logsumexp(a, axis, keep)), 1), ulps={"float32": 4, "float64": 4},
            peer_values=FLOATS),  # mlx: wrong for bool and unsigned integers
    *family("mean", np.mean, magnitude=lambda axis, keep: lambda a: np.mean(
                np.abs(a), axis=axis, keepdims=keep) + 1e-30, grad=(0,), second="linear",
            inexact=True, ulps=INEXACT_ULPS),
    *family("var", moment(np.var), magnitude=spread, grad=(0,), inexact=True, ulps=INEXACT_ULPS,
            peer_ulps=1031),
    *family("std", moment(np.std), (Uniform(-5, 5),), magnitude=lambda axis, keep: lambda a:
            np.sqrt(spread(axis, keep)(a)), grad=(0,), inexact=True, ulps=INEXACT_ULPS,
            peer_ulps=1031),
    OpCase("var", lambda m, a: m.var(a, axis=-1, ddof=1), lambda a: np.var(a, axis=-1, ddof=1),
           shapes=FULL, label="ddof", magnitude=lambda a: 2 * np.mean(np.abs(a) ** 2, axis=-1),
           inexact=True, ulps=INEXACT_ULPS, grad=(0,)),
    OpCase("std", lambda m, a: m.std(a, axis=-1, ddof=0, correction=1),
           lambda a: np.std(a, axis=-1, ddof=1), shapes=FULL, label="correction",
           magnitude=lambda a: np.sqrt(2 * np.mean(np.abs(a) ** 2, axis=-1)), inexact=True,
           ulps=INEXACT_ULPS, grad=(0,), peer_ulps=1031),
    OpCase("count_nonzero", lambda m, a: m.count_nonzero(a),
           lambda a: np.int32(np.count_nonzero(a)), WHOLE, FULL),
    OpCase("count_nonzero", lambda m, a: m.count_nonzero(a, axis=(0, -1), keepdims=True),
           lambda a: np.count_nonzero(a, axis=(0, -1), keepdims=True).astype(np.int32), WHOLE,
           (FULL[0], FULL[1], FULL[-1]), label="axes"),
    OpCase("minmax", lambda m, a: m.minmax(a, -1), lambda a: [np.min(a, -1), np.max(a, -1)],
           (Distinct(),), FULL, grad=(0,), second="piecewise linear"),
]  # fmt: skip

ROWS = in_family("reduce", ROWS)
