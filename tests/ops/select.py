"""Choosing between values."""

import numpy as np

from ops.opcase import ALL, BINARY_SHAPES, REAL, Fixed, OpCase, Uniform, in_family

THREE = (
    ((3, 5), (3, 5), (3, 5)),
    ((), (), ()),
    ((4, 1), (3,), ()),
    ((0,), (0,), (1,)),
    ((2, 1, 7), (3, 1), (2, 3, 7)),
)
ORDER = "complex numbers are compared by their parts in order"

ROWS = [
    OpCase("where", lambda m, c, x, y: m.where(c, x, y), np.where,
           (Fixed(Uniform(), "bool_"), Uniform(-9, 9), Uniform(-9, 9)), THREE, ALL, grad=(1, 2),
           second="linear"),
    OpCase("where", lambda m, c, x: m.where(c, x, 1), lambda c, x: np.where(c, x, x.dtype.type(1)),
           (Fixed(Uniform(-1, 1), "int32"), Uniform(-9, 9)), BINARY_SHAPES, ALL, label="weak",
           grad=(1,), second="linear"),
    OpCase("clip", lambda m, a, low, high: m.clip(a, low, high), np.clip,
           (Uniform(0, 9), Uniform(2, 3), Uniform(5, 6)), THREE, REAL, grad=(0,),
           second="piecewise linear", refuses_others=ORDER),
    OpCase("clip", lambda m, a: m.clip(a, None, 4), lambda a: np.minimum(a, a.dtype.type(4)),
           (Uniform(0, 9),), label="above", dtypes=tuple(d for d in REAL if d != "bool_"),
           grad=(0,), second="piecewise linear", refuses_others=ORDER),
]  # fmt: skip

ROWS = in_family("select", ROWS)
