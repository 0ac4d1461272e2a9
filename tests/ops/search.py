"""Values looked up in sorted order."""

import numpy as np

from ops.opcase import ALL, Distinct, OpCase, Uniform, in_family

REAL = tuple(d for d in ALL if d != "complex64")
SEEN = (((40,), (3, 5)), ((1,), (4,)), ((0,), (2,)), ((1031,), (1031,)), ((7,), ()))


class Ascending(Uniform):
    def __call__(self, rng, shape, dtype):
        return np.sort(super().__call__(rng, shape, dtype), axis=-1)


def looked_up(side):
    return OpCase("searchsorted", lambda m, a, v: m.searchsorted(a, v, side=side),
                  lambda a, v: np.searchsorted(a, v, side).astype(np.uint32),
                  (Ascending(-9, 9), Uniform(-10, 10)), SEEN, REAL, label=side, batched=(1,),
                  layouts=(), refuses_others="complex numbers have an order")  # fmt: skip


def unique(a, size, fill=None):
    values, index, inverse, counts = np.unique(a, True, True, True)
    n = min(size, len(values))
    rest = size - n
    fill = values[0] if fill is None else fill
    return [
        np.concatenate([values[:n], np.full(rest, fill, a.dtype)]),
        np.concatenate([index[:n], np.full(rest, index[0])]).astype(np.uint32),
        np.minimum(inverse, max(size - 1, 0)).astype(np.uint32).reshape(a.shape),
        np.concatenate([counts[:n], np.zeros(rest, int)]).astype(np.int32),
    ]


def found(size, fill=None, label=""):
    return OpCase("unique", lambda m, a: m.unique(a, size, True, True, True, fill),
                  lambda a: unique(a, size, fill), (Uniform(0, 6),), (((30,),), ((4, 5),), ((),)),
                  label=label, layouts=("strided",))  # fmt: skip


ROWS = [
    looked_up("left"), looked_up("right"),
    found(12), found(3, label="truncated"), found(9, 1, label="filled"),
    OpCase("unique", lambda m, a: m.unique(a, 4), lambda a: unique(a, 4)[0], (Distinct(),),
           (((7,),), ((2, 3),)), label="values", grad=(0,), second="piecewise linear"),
]  # fmt: skip

ROWS = in_family("search", ROWS)
