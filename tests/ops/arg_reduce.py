"""Positions of extremes."""

import numpy as np

from ops.opcase import Distinct, OpCase, Uniform, in_family

SHAPES = (((3, 5),), ((1,),), ((2, 3, 4),), ((7, 129),), ((1031,),))


def rows(op, oracle):
    def at(a, axis=None, keepdims=False):
        return oracle(a, axis=axis, keepdims=keepdims).astype(np.uint32)

    return [
        OpCase(op, lambda m, a: getattr(m, op)(a), at, (Distinct(),), (*SHAPES, ((),))),
        OpCase(op, lambda m, a: getattr(m, op)(a, axis=-1, keepdims=True),
               lambda a: at(a, -1, True), (Distinct(),), SHAPES, label="last"),
        OpCase(op, lambda m, a: getattr(m, op)(a, axis=0), lambda a: at(a, 0), (Uniform(-2, 2),),
               SHAPES, label="first"),
    ]  # fmt: skip


ROWS = [*rows("argmax", np.argmax), *rows("argmin", np.argmin)]
ROWS = in_family("arg_reduce", ROWS)
