"""Writing elements that integer arrays name; duplicates are applied in ascending order."""

from dataclasses import replace

import numpy as np
from plimsoll import _core

from ops.opcase import ALL, Distinct, Indices, Near, OpCase, Uniform, in_family

MODES = {
    "add": ("add", np.add),
    "max": ("maximum", np.maximum),
    "min": ("minimum", np.minimum),
    "prod": ("multiply", np.multiply),
}
AXIS_SHAPES = (((4, 3), (5,), (5, 3)), ((4,), (2,), (2,)), ((4, 7), (0,), (0, 7)))
ND_SHAPES = (((4, 5), (6,), (6,), (6,)), ((4, 5, 2), (3,), (3,), (3, 2)))
# Products are written to base and updates alike, each within half a unit a factor.
ULPS = {"float16": 8, "bfloat16": 8, "float32": 8, "float64": 8, "complex64": 16}


def accumulated(f, base, key, updates):
    """In ascending order of the updates, as ours and NumPy's `at` do."""
    out = base.copy()
    if out.dtype == bool:
        out = out.astype(np.uint8)
        f.at(out, key, updates.astype(np.uint8))
        return out.astype(bool)
    f.at(out, key, updates)
    return out


def maker(mode, shift=0.0):
    if mode == "prod":
        return Near(0.2)
    return Distinct(shift=shift) if mode in ("max", "min") else Uniform(-9, 9)


def size(f, key_of):
    """The magnitude of the running sum or product."""

    def magnitude(base, *rest):
        return accumulated(f, np.abs(base), key_of(*rest[:-1]), np.abs(rest[-1])) + 1e-30

    return magnitude


def modal(op, fn_of, key_of, indices, shapes, mode):
    method, f = MODES[mode]
    return OpCase(
        f"{op}_{mode}", fn_of(method), lambda base, *r: accumulated(f, base, key_of(*r[:-1]), r[-1]
                                                                    ),
        (maker(mode), *indices, maker(mode, 0.125)), shapes, grad=(0, len(indices) + 1),
        second="linear" if mode == "add" else "piecewise, or a quotient of the result",
        ulps=ULPS, magnitude=size(f, key_of),
        # mlx applies duplicates in no fixed order; in 16 bits that shows.
        peer_values=tuple(d for d in ALL if d not in ("float16", "bfloat16")),
        grad_peer="mlx has no gradient of it" if mode == "prod" else "",
    )  # fmt: skip


def at(method):
    return lambda m, base, i, u: getattr(base.at[i], method)(u)


def at_two(method):
    return lambda m, base, i, j, u: getattr(base.at[i, j], method)(u)


def assigned(m, base, i, u):
    out = m.array(base)
    out[i] = u
    return out


def inner(name, axis, mode):
    """What gradients record; only C++ and this test call it."""
    return lambda m, base, i, u: getattr(_core, name)(base, i, u, axis, mode)


def put(key_of):
    def oracle(base, i, updates):
        out = base.copy()
        out[key_of(i)] = updates
        return out

    return oracle


def first(i):
    return (i,)


def second(i):
    return slice(None), i


def along(i):
    return np.arange(i.shape[0])[:, None], i


def rows_of_unique(rng, shape, dtype):
    """Different numbers below 4 in each row."""
    return np.argsort(rng.random((shape[0], 4)), 1)[:, : shape[1]].astype(np.int32)


UNIQUE = Indices(4, unique=True)
LINEAR = {"grad": (0, 2), "second": "linear"}
SECOND_SHAPES = (((3, 4), (5,), (3, 5)), ((2, 4, 3), (2, 3), (2, 2, 3, 3)), ((3, 4), (0,), (3, 0)))
UNIQUE_SHAPES = (((3, 4), (3,), (3, 3)), ((2, 4, 3), (2,), (2, 2, 3)))
ALONG_SHAPES = (((3, 4), (3, 6), (3, 6)), ((1, 4), (1, 1), (1, 1)), ((3, 4), (3, 0), (3, 0)))
UNIQUE_ALONG = (((3, 4), (3, 2), (3, 2)), ((1, 4), (1, 3), (1, 3)))
NUMBERS = Uniform(-9, 9)
NO_PEER = {"peer_dtypes": (), "grad_peer": "mlx has no name for it"}


def modes(op, name, axis, key_of, shapes):
    """A form's five modes."""
    unique, unique_shapes = (
        (UNIQUE, UNIQUE_SHAPES) if op == "scatter" else (rows_of_unique, UNIQUE_ALONG)
    )
    yield OpCase(f"{op}_set", inner(name, axis, "set"), put(key_of), (NUMBERS, unique, NUMBERS),
                 unique_shapes, **LINEAR, **NO_PEER)  # fmt: skip
    for mode in MODES:
        row = modal(op, lambda _, m=mode: inner(name, axis, m), key_of, (Indices(4),), shapes, mode)
        yield replace(row, **NO_PEER)


ROWS = [
    *modes("scatter", "_scatter", 1, second, SECOND_SHAPES),
    *modes("scatter_along", "_scatter_along_axis", 1, along, ALONG_SHAPES),
    *(modal("scatter_nd", at, first, (Indices(4),), AXIS_SHAPES, mode) for mode in MODES),
    *(replace(modal("scatter_nd", at_two, lambda i, j: (i, j), (Indices(4), Indices(5)), ND_SHAPES,
                    mode), label="two") for mode in MODES),
    OpCase("scatter_nd_set", assigned, put(first), (NUMBERS, UNIQUE, NUMBERS),
           (((4, 3), (3,), (3, 3)), ((4,), (2,), ())), **LINEAR),
    OpCase("put_along_axis", lambda m, a, i, v: m.put_along_axis(a, i, v, axis=1), put(along),
           (NUMBERS, rows_of_unique, NUMBERS), UNIQUE_ALONG, **LINEAR),
]  # fmt: skip

ROWS = in_family("scatter", ROWS)
