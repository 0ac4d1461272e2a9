"""Sorting."""

import numpy as np

from ops.opcase import Distinct, OpCase, Uniform, in_family

SHAPES = (((3, 5),), ((1,),), ((2, 3, 4),), ((3, 129),), ((1031,),), ((0,),), ((3, 0),))


def rows(op, oracle, inputs, **more):
    return [
        OpCase(op, lambda m, a: getattr(m, op)(a, axis=-1), lambda a: oracle(a, -1), inputs, SHAPES,
               **more),
        OpCase(op, lambda m, a: getattr(m, op)(a, axis=0), lambda a: oracle(a, 0), inputs,
               SHAPES[:3], label="first", **more),
        OpCase(op, lambda m, a: getattr(m, op)(a, axis=None), lambda a: oracle(a.ravel(), 0),
               inputs, SHAPES[:3], label="flat", **more),
    ]  # fmt: skip


def argsort(a, axis):
    return np.argsort(a, axis=axis, kind="stable").astype(np.uint32)


ROWS = [
    *rows("sort", np.sort, (Distinct(),), grad=(0,), second="piecewise linear"),
    *rows("argsort", argsort, (Uniform(-5, 5),)),
]

ROWS = in_family("sort", ROWS)
