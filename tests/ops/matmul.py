"""Matrix products.

Tolerances: a product over K terms is off by at most K units of the sum of the terms' magnitudes;
panels of fused multiply-adds stay far below, 16 units here.
"""

import numpy as np

from ops.opcase import INEXACT, OpCase, Uniform, in_family

AB = (Uniform(-2, 2), Uniform(-2, 2))
SHAPES = (
    ((3, 4), (4, 5)),
    ((4,), (4,)),
    ((4,), (4, 3)),
    ((3, 4), (4,)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((2, 3, 4), (4, 5)),
    ((1, 129), (129, 33)),
    ((0, 4), (4, 5)),
    ((3, 0), (0, 5)),
    ((17, 31), (31, 65)),
)
ULPS = dict.fromkeys(INEXACT, 16)
INTEGERS_TOO = "integers are multiplied without a product"


def sized(f):
    return lambda *a: f(*(np.abs(x) for x in a)) + 1e-30


def product(op, fn, oracle, inputs=AB, shapes=SHAPES, dtypes=INEXACT, **more):
    more.setdefault("magnitude", sized(oracle))
    more.setdefault("grad", tuple(range(len(inputs))))
    return OpCase(op, fn, oracle, inputs, shapes, dtypes, ulps=ULPS, **more)


def addmm(c, a, b):
    return 0.5 * (a @ b) + 2 * c


def tensordot(axes):
    return lambda a, b: np.tensordot(a, b, axes)


ROWS = [
    product("matmul", lambda m, a, b: m.matmul(a, b), np.matmul),
    product("matmul", lambda m, a, b: a.T @ b.T, lambda a, b: a.T @ b.T,
            shapes=(((4, 3), (5, 4)), ((33, 17), (9, 33))), label="transposed",
            refuses_others="see the other row"),
    product("addmm", lambda m, c, a, b: m.addmm(c, a, b, 0.5, 2.0), addmm,
            (Uniform(-2, 2), *AB), (((5,), (3, 4), (4, 5)), ((3, 5), (3, 4), (4, 5)),
                                    ((), (2, 3), (3, 2)), ((2, 1, 2), (2, 3, 4), (4, 2)))),
    product("outer", lambda m, a, b: m.outer(a, b), np.outer,
            shapes=(((3,), (4,)), ((2, 2), (3,)), ((), ()), ((0,), (3,))),
            refuses_others=INTEGERS_TOO),
    product("inner", lambda m, a, b: m.inner(a, b), np.inner,
            shapes=(((3, 4), (5, 4)), ((4,), (4,)), ((2, 3, 4), (5, 4)), ((), (3,)))),
    product("tensordot", lambda m, a, b: m.tensordot(a, b, 2), tensordot(2),
            shapes=(((2, 3, 4), (3, 4, 5)), ((3, 4), (3, 4)))),
    product("tensordot", lambda m, a, b: m.tensordot(a, b, ((0, 2), (1, 0))),
            tensordot(((0, 2), (1, 0))), shapes=(((2, 3, 4), (4, 2, 5)),), label="axes"),
]  # fmt: skip

ROWS = in_family("matmul", ROWS)
