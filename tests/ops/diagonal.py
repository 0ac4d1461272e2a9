"""Diagonals of matrices."""

import numpy as np

from ops.opcase import Distinct, OpCase, in_family

MATRICES = (((3, 5),), ((5, 3),), ((1, 1),), ((0, 2),))
BATCHES = (((2, 3, 4),), ((3, 2, 2),), ((1, 4, 0),))


def row(op, fn, oracle, shapes, label="", **more):
    return OpCase(op, fn, oracle, (Distinct(),), shapes, label=label, grad=(0,), second="linear",
                  **more)  # fmt: skip


def summed(a, *where):
    t = np.trace(a, *where)
    if a.dtype.kind not in "biu":
        return t
    signed = np.result_type(a.dtype, np.int32) if a.dtype.kind != "u" else a.dtype
    wide = signed if a.dtype.itemsize >= 4 or a.dtype.kind != "u" else np.uint32
    return np.trace(a.astype(wide), *where).astype(wide)


ROWS = [
    row("diagonal", lambda m, a: m.diagonal(a), np.diagonal, (*MATRICES, ((2, 3, 4),))),
    row("diagonal", lambda m, a: m.diagonal(a, 1, 2, 0), lambda a: np.diagonal(a, 1, 2, 0), BATCHES,
        label="above"),
    row("diagonal", lambda m, a: m.diagonal(a, -1, 1, -1), lambda a: np.diagonal(a, -1, 1, -1),
        BATCHES, label="below"),
    row("diagonal", lambda m, a: m.diagonal(a, -7), lambda a: np.diagonal(a, -7), MATRICES,
        label="outside", peer_dtypes=()),
    row("diag", lambda m, a: m.diag(a), np.diag, (((4,),), ((1,),), ((0,),))),
    row("diag", lambda m, a: m.diag(a, 2), lambda a: np.diag(a, 2), (((4,),), ((1,),)),
        label="above"),
    row("diag", lambda m, a: m.diag(a, -1), lambda a: np.diag(a, -1), (((4,),), *MATRICES),
        label="below"),
    row("trace", lambda m, a: m.trace(a), summed, MATRICES),
    row("trace", lambda m, a: m.trace(a, 1, 0, 2), lambda a: summed(a, 1, 0, 2), BATCHES,
        label="batch"),
    row("trace", lambda m, a: m.trace(a, dtype=m.float32),
        lambda a: np.trace(np.real(a).astype("f8")), MATRICES, label="dtype"),
]  # fmt: skip

ROWS = in_family("diagonal", ROWS)
