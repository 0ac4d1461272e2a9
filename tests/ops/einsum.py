"""Einstein's summation convention."""

import numpy as np

from ops.opcase import ALL, INEXACT, OpCase, Uniform, in_family

ULPS = {"float32": 16.0, "float64": 16.0, "float16": 1.0, "bfloat16": 1.0, "complex64": 16.0}


NOTHING_SUMMED = "a product that sums nothing takes any dtype"


def row(subscripts, *shapes, dtypes=INEXACT, **more):
    def size(*operands):
        return np.einsum(subscripts, *(np.abs(a) for a in operands)) + 1e-30

    n = len(shapes)
    more.setdefault("ulps", {d: u * n for d, u in ULPS.items()})
    return OpCase("einsum", lambda m, *a: m.einsum(subscripts, *a),
                  lambda *a: np.einsum(subscripts, *a), (Uniform(-2, 2),) * n, (shapes,), dtypes,
                  subscripts.replace(",", "_").replace("->", "-to-").replace("...", "etc"),
                  magnitude=size, grad=tuple(range(n)), peer_ulps=128, **more)  # fmt: skip


def exact(subscripts, *shapes):
    """Nothing is multiplied and summed: any dtype. Narrow integers are summed as sum does."""
    return row(subscripts, *shapes, dtypes=tuple(d for d in ALL if d not in (
        "bool_", "int8", "int16", "uint8", "uint16")), second="linear",
        refuses_others="narrow integers become wider")  # fmt: skip


ROWS = [
    row("ij,jk->ik", (3, 4), (4, 5)),
    row("ij,jk", (3, 4), (4, 5)),
    row("bij,bkj->bki", (2, 3, 4), (2, 5, 4)),
    row("...ij,jk->...ki", (2, 3, 4), (4, 5)),
    row("i...,i...->...", (4, 2, 3), (4, 3)),
    row("ij,ij->", (3, 4), (3, 4)),
    row("abc,cd,adb->d", (2, 3, 4), (4, 5), (2, 5, 3)),
    row("ab,bc,cd,de->ae", (2, 3), (3, 4), (4, 2), (2, 3)),
    row("iij,j->ij", (3, 3, 4), (4,), refuses_others=NOTHING_SUMMED),
    row("ij,jk->i", (3, 4), (4, 5)),
    exact("ij->ji", (3, 4)), exact("ii->i", (4, 4)), exact("ij->j", (3, 4)), exact("ii", (4, 4)),
    row("i,jk->kij", (3,), (2, 4), refuses_others=NOTHING_SUMMED),
]  # fmt: skip

ROWS = in_family("einsum", ROWS)
