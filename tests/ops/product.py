"""Products of vectors and matrices that need no matrix product."""

import numpy as np

from ops.opcase import OpCase, Uniform, in_family

TWO = (Uniform(), Uniform())
SMALL = (Uniform(0, 3), Uniform(-2, 2))
HALF = {"float16": 4.0, "bfloat16": 4.0, "float32": 4.0, "float64": 4.0, "complex64": 4.0}
VECTORS = (((2, 3), (2, 3)), ((3,), (3,)), ((4, 1, 3), (4, 2, 3)))


def counted(a):
    """Narrow integers as sum takes them."""
    if a.dtype.kind in "fc" or a.dtype.itemsize >= 4:
        return a
    return a.astype(np.uint32 if a.dtype.kind == "u" else np.int32)


def vecdot(a, b, axis=-1):
    product = np.conjugate(a) * b if a.dtype.kind != "b" else a & b
    return counted(product).sum(axis, dtype=counted(product).dtype)


def cross(a, b, axis=-1):
    if a.dtype.kind == "b":
        a, b = np.broadcast_arrays(np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0))
        out = [(a[i - 2] & b[i - 1]) ^ (a[i - 1] & b[i - 2]) for i in range(3)]
        return np.moveaxis(np.stack(out), 0, axis)
    return np.cross(a, b, axis=axis)


def sizes(a, b, axis=-1):
    return np.cross(np.abs(a), -np.abs(b[..., ::1]), axis=axis) * 0 + 8


def plane(a, b):
    z = (a[..., 0] & b[..., 1]) ^ (a[..., 1] & b[..., 0]) if a.dtype.kind == "b" else (
        a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])  # fmt: skip
    return np.stack([np.zeros_like(z), np.zeros_like(z), z], -1)


FLOATS = tuple(HALF)[:4]


def convolved(mode, *shapes):
    return OpCase("convolve", lambda m, a, v: m.convolve(a, v, mode),
                  lambda a, v: np.convolve(a, v, mode), TWO, shapes, FLOATS, mode, ulps=HALF,
                  magnitude=lambda a, v: np.convolve(np.abs(a), np.abs(v), mode), peer_ulps=64,
                  grad=(0, 1), peer_dtypes=FLOATS[:3], layouts=("strided", "reversed"))  # fmt: skip


ROWS = [
    convolved("full", ((7,), (3,)), ((2,), (5,)), ((1,), (1,))),
    convolved("same", ((7,), (4,)), ((4,), (4,)), ((3,), (5,))),
    convolved("valid", ((7,), (3,)), ((4,), (4,))),
    OpCase("kron", lambda m, a, b: m.kron(a, b), np.kron, TWO,
           (((2, 3), (3, 2)), ((2,), (2, 2, 2)), ((), (3,)), ((2, 1), (4,))), grad=(0, 1)),
    OpCase("vecdot", lambda m, a, b: m.vecdot(a, b), vecdot, TWO,
           (((2, 5), (2, 5)), ((7,), (7,)), ((3, 1, 4), (1, 2, 4)), ((2, 0), (2, 0))), ulps=HALF,
           magnitude=lambda a, b: np.abs(np.asarray(a)).sum() * 2 + 1, grad=(0, 1)),
    OpCase("vecdot", lambda m, a, b: m.vecdot(a, b, axis=0), lambda a, b: vecdot(a, b, 0), TWO,
           (((5, 2), (5, 2)),), label="axis", ulps=HALF,
           magnitude=lambda a, b: np.abs(np.asarray(a)).sum() * 2 + 1, grad=(0, 1)),
    OpCase("cross", lambda m, a, b: m.linalg.cross(a, b), cross, TWO, VECTORS,
           ulps=HALF, magnitude=lambda a, b: 8.0, grad=(0, 1)),
    OpCase("cross", lambda m, a, b: m.linalg.cross(a, b, axis=0), lambda a, b: cross(a, b, 0), TWO,
           (((3, 4), (3, 4)),), label="axis", ulps=HALF, magnitude=lambda a, b: 8.0, grad=(0, 1)),
    OpCase("cross", lambda m, a, b: m.linalg.cross(a, b), plane, TWO, (((3, 2), (3, 2)),),
           label="plane", ulps=HALF, magnitude=lambda a, b: 8.0, grad=(0, 1)),
]  # fmt: skip

ROWS = in_family("product", ROWS)
