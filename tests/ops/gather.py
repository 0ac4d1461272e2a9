"""Reading elements that integer arrays name."""

import numpy as np

from ops.opcase import Distinct, Indices, OpCase, in_family

X = Distinct()
LINEAR = {"grad": (0,), "second": "linear"}


def take_along(a, i):
    return np.take_along_axis(a, i, axis=1)


ROWS = [
    OpCase("take", lambda m, a, i: m.take(a, i, axis=1), lambda a, i: np.take(a, i, axis=1),
           (X, Indices(5)), (((3, 5), (4,)), ((2, 5, 3), (2, 3)), ((3, 5), ()), ((3, 5), (0,)),
                             ((0, 5), (2,)), ((7, 5, 33), (11,))), **LINEAR),
    OpCase("take", lambda m, a, i: m.take(a, i), lambda a, i: np.take(a, i),
           (X, Indices(6, "int64")), (((2, 3), (4,)), ((6,), (2, 2))), label="flat", **LINEAR),
    OpCase("take", lambda m, a, i: m.take(a, i, axis=0), lambda a, i: np.take(a, i, axis=0),
           (X, Indices(4, "uint8")), (((4, 3), (5,)), ((4, 1), (9,))), label="first", **LINEAR),
    OpCase("take_along_axis", lambda m, a, i: m.take_along_axis(a, i, axis=1), take_along,
           (X, Indices(4)), (((3, 4), (3, 2)), ((2, 4, 3), (2, 7, 3)), ((3, 4), (1, 2)),
                             ((3, 4), (3, 0))), **LINEAR),
    OpCase("gather", lambda m, a, i, j: a[i, :, j], lambda a, i, j: a[i, :, j],
           (X, Indices(3), Indices(4)), (((3, 2, 4), (5,), (5,)), ((3, 2, 4), (2, 1), (3,)),
                                         ((3, 0, 4), (5,), (5,))), **LINEAR),
    OpCase("gather", lambda m, a, i, j: a[i, j], lambda a, i, j: a[i, j],
           (X, Indices(3), Indices(4)), (((3, 4, 2), (5,), (5,)), ((3, 4), (2, 3), ())),
           label="leading", **LINEAR),
]  # fmt: skip

ROWS = in_family("gather", ROWS)
