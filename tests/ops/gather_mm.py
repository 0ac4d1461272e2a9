"""Matrix products whose operands are picked, masked or cut by arrays."""

import numpy as np

from ops.opcase import FLOATS, Fixed, Indices, OpCase, Uniform, in_family

AB = (Uniform(-2, 2), Uniform(-2, 2))
ULPS = dict.fromkeys(FLOATS, 16)
LAST = {"float16": 1.0, "bfloat16": 1.0}


def sized(f):
    return lambda a, b, *rest: f(np.abs(a), np.abs(b), *rest) + 1e-30


def row(op, fn, oracle, makers, shapes, label="", **more):
    # mlx has float32 here, and no negative index.
    return OpCase(op, fn, oracle, (*AB, *makers), shapes, FLOATS, label, ulps=ULPS, peer_ulps=64,
                  magnitude=sized(oracle), grad=(0, 1),
                  peer_dtypes=("float32",), **more)  # fmt: skip


def stacked(a):
    return a.reshape(-1, *a.shape[-2:])


def at(extent):
    return Fixed(Uniform(0, extent - 1), "int32")


def cut(a, b, segments):
    pairs = segments.reshape(-1, 2)
    out = np.zeros((len(pairs), a.shape[0], b.shape[1]))
    for s, (i, j) in enumerate(pairs):
        if j > i:
            out[s] = a[:, i:j] @ b[i:j]
    return out.reshape(*segments.shape[:-1], *out.shape[1:])


def spread(mask, size, shape):
    return np.kron(mask, np.ones((size, size)))[: shape[0], : shape[1]]


def kept(a, b, out, left, right):
    a = a * spread(left, 32, a.shape)
    b = b * spread(right, 32, b.shape)
    return a @ b * spread(out, 32, (a.shape[0], b.shape[1]))


BLOCKS = (Fixed(Uniform(), "bool_"),) * 3
COMPLEX = "complex numbers are multiplied, too"
NO_VJP = "mlx has no gradient here, or a wrong one"

ROWS = [
    row("gather_mm", lambda m, a, b, i, j: m.gather_mm(a, b, i, j),
        lambda a, b, i, j: a[i] @ b[j], (at(5), at(4)),
        (((5, 2, 3), (4, 3, 6), (7,), (7,)), ((5, 1, 40), (4, 40, 3), (9,), (9,)),
         ((5, 2, 3), (4, 3, 2), (2, 1), (1, 3))), label=""),
    row("gather_mm", lambda m, a, b, j: m.gather_mm(a, b, rhs_indices=j, sorted_indices=True),
        lambda a, b, j: a @ b[j], (at(4),), (((2, 3), (4, 3, 6), (5,)), ((1, 2, 3), (4, 3, 1), (2,)
        )), label="right", grad_peer=NO_VJP),
    row("gather_mm", lambda m, a, b, i: m.gather_mm(a, b, lhs_indices=i),
        lambda a, b, i: stacked(a)[i] @ b, (at(4),),
        (((2, 2, 2, 3), (3, 3, 4), (3,)),), label="left", grad_peer=NO_VJP),
    OpCase("gather_mm", lambda m, a, b, j: m.gather_mm(a, b, None, j), lambda a, b, j: a @ b[j],
           (*AB, Indices(4)), (((2, 3), (4, 3, 6), (5,)),), FLOATS, "negative", ulps=ULPS,
           magnitude=sized(lambda a, b, j: a @ b[j]), peer_dtypes=()),
    row("segmented_mm", lambda m, a, b, s: m.segmented_mm(a, b, s), cut,
        (Fixed(Uniform(0, 6), "int32"),),
        (((2, 6), (6, 3), (4, 2)), ((1, 6), (6, 40), (2, 3, 2)), ((3, 6), (6, 2), (0, 2))),
        grad_peer=NO_VJP),
    row("block_masked_mm",
        lambda m, a, b, o, i, j: m.block_masked_mm(a, b, 32, o, i, j), kept, BLOCKS,
        (((40, 33), (33, 20), (2, 1), (2, 2), (2, 1)),), batched=(0, 1), layouts=(),
        second="bilinear", refuses_others=COMPLEX),
    OpCase("block_masked_mm", lambda m, a, b: m.block_masked_mm(a, b, 64, m.array([[2.0], [3.0]])),
           lambda a, b: a @ b * np.array([[2.0]] * 64 + [[3.0]]), AB, (((65, 3), (3, 5)),), FLOATS,
           "numbers", ulps=ULPS, magnitude=sized(lambda a, b: 3 * (a @ b)), grad=(0, 1),
           layouts=(), peer_dtypes=("float32",), refuses_others=COMPLEX),
]  # fmt: skip

ROWS = in_family("gather_mm", ROWS)
