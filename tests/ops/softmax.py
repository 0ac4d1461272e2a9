"""Softmax and its gradient."""

import numpy as np
from scipy import special

from ops.opcase import FLOATS, REAL, OpCase, Uniform, in_family

SHAPES = (((3, 5),), ((1,),), ((2, 3, 4),), ((4, 129),), ((1031,),))
# exp(a - max) takes half a unit of a - max, here at most 6, as an error relative to 1.
ULPS = {"float32": 8, "float64": 8}


def softmax(axis):
    return lambda a: special.softmax(a, axis=axis) if a.size else a


def gradient(m, y, g):
    """What softmax's pullback records, for a y of its own."""
    return m.vjp(lambda x: m.softmax(x, axis=-1), [y], [g])[1][0]


def gradient_oracle(x, g):
    y = softmax(-1)(x)
    return y * (g - np.sum(y * g, axis=-1, keepdims=True))


ROWS = [
    OpCase("softmax", lambda m, a: m.softmax(a, axis=-1), softmax(-1), (Uniform(-3, 3),), SHAPES,
           REAL, inexact=True, ulps=ULPS, grad=(0,)),
    # mlx keeps integers where there is nothing to compute.
    OpCase("softmax", lambda m, a: m.softmax(a, axis=-1), softmax(-1),
           shapes=(((3, 0),), ((0, 3),)), dtypes=FLOATS, label="empty",
           refuses_others="see the other row"),
    OpCase("softmax", lambda m, a: m.softmax(a, axis=0), softmax(0), (Uniform(-3, 3),),
           (((3, 5),), ((33, 2),), ((2, 3, 4),)), FLOATS, label="first", ulps=ULPS, grad=(0,),
           refuses_others="see the other row"),
    OpCase("softmax", lambda m, a: m.softmax(a, axis=(0, 2)), softmax((0, 2)), (Uniform(-3, 3),),
           (((2, 3, 4),),), FLOATS, label="two", ulps=ULPS, grad=(0,),
           refuses_others="see the other row"),
    OpCase("softmax", lambda m, a: m.softmax(a), softmax(None), (Uniform(-3, 3),),
           (((3, 5),), ((),), ((2, 3, 4),)), FLOATS, label="all", ulps=ULPS, grad=(0,),
           refuses_others="see the other row"),
    OpCase("softmax", lambda m, a: m.softmax(a * 200, axis=-1), lambda a: softmax(-1)(a * 200),
           (Uniform(-1, 1),), (((3, 64),),), ("float32", "float64"), label="large",
           ulps=512, magnitude=lambda a: 1, refuses_others="see the other row",
           peer_ulps=1024),
    OpCase("softmax_vjp", gradient, gradient_oracle, (Uniform(-2, 2), Uniform(-2, 2)),
           (((3, 5), (3, 5)), ((2, 2, 65), (2, 2, 65))), FLOATS, ulps=8,
           magnitude=lambda x, g: np.max(np.abs(g), axis=-1, keepdims=True) * softmax(-1)(x),
           peer_ulps=64, grad=(0, 1), refuses_others="softmax says so"),
]  # fmt: skip

ROWS = in_family("softmax", ROWS)
