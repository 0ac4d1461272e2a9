"""Inverses, systems of equations, determinants.

Matrices are well conditioned; results are off by a few units of their norm times the size.
"""

import numpy as np

from ops.factor import apart, norm, positive
from ops.opcase import LAYOUTS, OpCase, Uniform, in_family

REAL = ("float32", "float64")
SQUARE = (((3, 3),), ((1, 1),), ((2, 4, 4),), ((17, 17),), ((2, 0, 0),))
SYSTEMS = (
    ((3, 3), (3, 2)),
    ((3, 3), (3,)),
    ((2, 3, 3), (2, 3, 2)),
    ((2, 1, 3, 3), (4, 3, 5)),
    ((2, 3, 3), (3,)),
    ((17, 17), (17, 9)),
    ((0, 0), (0, 2)),
)
UNITS = dict.fromkeys(REAL, 64)
NO_PEER = "mlx has no gradient of inverses"


def row(op, fn, oracle, inputs=(apart,), shapes=SQUARE, **more):
    more.setdefault("magnitude", lambda *a: norm(oracle(*a)) if oracle(*a).ndim > 1 else 8)
    more.setdefault("refuses_others", not more.get("label"))
    more.setdefault("grad", tuple(range(len(inputs))))
    more.setdefault("grad_peer", NO_PEER)
    return OpCase(op, fn, oracle, inputs, shapes, REAL, ulps=UNITS, peer_ulps=256,
                  layouts=LAYOUTS[:3], **more)  # fmt: skip


def numpy_solve(a, b):
    if b.ndim == 1:
        return np.linalg.solve(a, b[:, None])[..., 0]
    return np.linalg.solve(a, b)


SOLVE_PEER = "mlx takes no batch of one side only"


ROWS = [
    row("inv", lambda m, a: m.linalg.inv(a), np.linalg.inv),
    row("tri_inv", lambda m, a: m.linalg.tri_inv(a), lambda a: np.linalg.inv(np.tril(a))),
    row("tri_inv", lambda m, a: m.linalg.tri_inv(a, upper=True),
        lambda a: np.linalg.inv(np.triu(a)), label="upper"),
    row("cholesky_inv", lambda m, a: m.linalg.cholesky_inv(a),
        lambda a: np.linalg.inv(np.tril(a) @ np.swapaxes(np.tril(a), -1, -2)), (positive,)),
    row("cholesky_inv", lambda m, a: m.linalg.cholesky_inv(a, True),
        lambda a: np.linalg.inv(np.swapaxes(np.triu(a), -1, -2) @ np.triu(a)), (positive,),
        label="upper"),
    row("pinv", lambda m, a: m.linalg.pinv(a), np.linalg.pinv,
        shapes=(((4, 3),), ((3, 4),), ((2, 3, 3),), ((17, 9),))),
    row("solve", lambda m, a, b: m.linalg.solve(a, b), numpy_solve, (apart, Uniform(-2, 2)),
        SYSTEMS, magnitude=lambda a, b: 64, peer_dtypes=(),
        refuses_others="integers and floats promote to floats of one input"),
    row("solve", lambda m, a, b: m.linalg.solve(a, b), numpy_solve, (apart, Uniform(-2, 2)),
        SYSTEMS[:3], magnitude=lambda a, b: 64, label="as mlx has it"),
    row("solve_triangular", lambda m, a, b: m.linalg.solve_triangular(a, b),
        lambda a, b: numpy_solve(np.tril(a), b), (apart, Uniform(-2, 2)), SYSTEMS,
        magnitude=lambda a, b: 64, refuses_others="as solve"),
    row("solve_triangular", lambda m, a, b: m.linalg.solve_triangular(a, b, upper=True),
        lambda a, b: numpy_solve(np.triu(a), b), (apart, Uniform(-2, 2)), SYSTEMS,
        magnitude=lambda a, b: 64, label="upper"),
    row("det", lambda m, a: m.linalg.det(a), np.linalg.det, magnitude=None, grad_peer="",
        refuses_others="integers and 16-bit floats are computed in float32"),
    row("slogdet", lambda m, a: m.linalg.slogdet(a), lambda a: list(np.linalg.slogdet(a)),
        magnitude=lambda a: 8, grad_peer="",
        refuses_others="integers and 16-bit floats are computed in float32"),
]  # fmt: skip

ROWS = in_family("solve", ROWS)
