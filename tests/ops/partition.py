"""Selection by rank. The order inside a partition is open, so rows look at what is promised."""

import numpy as np

from ops.opcase import ALL, Distinct, OpCase, in_family

MAKER = (Distinct(),)
SHAPES = (((3, 5),), ((2, 3, 4),), ((1031,),), ((2, 1, 3),))
PIECES = {"grad": (0,), "second": "piecewise linear"}
REAL = tuple(d for d in ALL if d != "complex64")


def partitioned(m, a, k, axis):
    """The kth, the greatest before it and the least behind it; complex numbers sort by parts."""
    p = m.moveaxis(m.partition(a, k, axis), axis, -1)
    at = k % p.shape[-1]
    before = m.max(p[..., : at + 1], axis=-1)
    return [p[..., at], before, m.min(p[..., at:], axis=-1)]


def sorted_at(a, k, axis):
    kth = np.take(np.sort(a, axis), k, axis)
    return [kth, kth, kth]


def median(a, axis=None, keepdims=False):
    if a.dtype.kind == "c":
        s = np.sort(a, axis=axis)
        n = s.shape[axis]
        return np.take(s, [(n - 1) // 2, n // 2], axis).mean(axis)
    return np.median(a, axis=axis, keepdims=keepdims)


ROWS = [
    OpCase("partition", lambda m, a: partitioned(m, a, 1, -1), lambda a: sorted_at(a, 1, -1), MAKER,
           SHAPES, REAL, refuses_others="sort takes complex64", **PIECES),
    OpCase("partition", lambda m, a: partitioned(m, a, -1, 0), lambda a: sorted_at(a, -1, 0), MAKER,
           SHAPES, REAL, label="last", refuses_others="sort takes complex64", **PIECES),
    OpCase("partition", lambda m, a: m.partition(a, 2, None)[2], lambda a: np.sort(a, None)[2],
           MAKER, SHAPES, label="flat", **PIECES),
    OpCase("argpartition", lambda m, a: m.take_along_axis(a, m.argpartition(a, 1, 0), 0)[1],
           lambda a: np.sort(a, 0)[1], MAKER, SHAPES[:3],
           grad_peer="mlx differentiates by the indices", **PIECES),
    OpCase("topk", lambda m, a: m.sort(m.topk(a, 2, 0), 0), lambda a: np.sort(a, 0)[-2:],
           MAKER, SHAPES[:3], **PIECES),
    OpCase("topk", lambda m, a: m.sort(m.topk(a, 4, None), 0), lambda a: np.sort(a, None)[-4:],
           MAKER, SHAPES, label="flat", **PIECES),
    OpCase("topk", lambda m, a: m.topk(a, a.shape[-1]), lambda a: a, MAKER, SHAPES, label="all",
           **PIECES),
    OpCase("median", lambda m, a: m.median(a, -1), lambda a: median(a, -1), MAKER, SHAPES,
           inexact=True, **PIECES),
    OpCase("median", lambda m, a: m.median(a), lambda a: np.asarray(np.median(a)), MAKER, SHAPES,
           REAL, label="flat", inexact=True, refuses_others="see the first row", **PIECES),
    OpCase("median", lambda m, a: m.median(a, (0, -1), keepdims=True),
           lambda a: median(a, (0, -1), True), MAKER, (SHAPES[0], SHAPES[1]), REAL, label="axes",
           inexact=True, refuses_others="see the first row", **PIECES),
]  # fmt: skip

ROWS = in_family("partition", ROWS)
