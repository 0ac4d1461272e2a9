"""Running sums, products and extremes."""

import numpy as np

from ops.opcase import REAL, Distinct, Near, OpCase, Uniform, in_family

SHAPES = (((3, 5),), ((1,),), ((2, 3, 4),), ((4, 129),), ((1031,),), ((0,),), ((3, 0),))


def scanned(f, a, axis, reverse=False, inclusive=True, identity=None):
    if reverse:
        return np.flip(scanned(f, np.flip(a, axis), axis, False, inclusive, identity), axis)
    out = f(a, axis)
    if inclusive:
        return out
    first = np.full_like(np.take(out, [0], axis), identity) if out.shape[axis] else out
    kept = np.take(out, range(max(out.shape[axis] - 1, 0)), axis)
    return np.concatenate([first, kept], axis)


def rows(op, f, identity, inputs=(Uniform(),), size=None, **more):
    """Forms: along the last axis, flattened, reversed, exclusive, and both along the first."""

    def row(label, axis, **how):
        def fn(m, a):
            return getattr(m, op)(a, axis=axis, **how)

        def oracle(a):
            one = identity(a) if callable(identity) else identity
            return scanned(f, a if axis is not None else a.ravel(), axis or 0, identity=one, **how)

        magnitude = None
        if size:

            def magnitude(a):
                return (
                    scanned(
                        size,
                        np.abs(a if axis is not None else a.ravel()),
                        axis or 0,
                        identity=0,
                        **how,
                    )
                    + 1e-30
                )

        return OpCase(op, fn, oracle, inputs, SHAPES, label=label, magnitude=magnitude, **more)

    return [
        row("", -1),
        row("flat", None),
        row("reverse", -1, reverse=True),
        row("exclusive", -1, inclusive=False),
        row("both", 0, reverse=True, inclusive=False),
    ]  # fmt: skip


def cumsum(a, axis):
    wide = a.astype(np.int32) if a.dtype == bool else a
    return np.cumsum(wide, axis, dtype=wide.dtype)


def cumprod(a, axis):
    return np.cumprod(a.astype(np.uint8), axis).astype(bool) if a.dtype == bool else np.cumprod(
        a, axis, dtype=a.dtype)  # fmt: skip


def lowest(a):
    if a.dtype.kind == "f":
        return -np.inf
    if a.dtype.kind == "c":
        return complex(-np.inf, -np.inf)
    return False if a.dtype == bool else np.iinfo(a.dtype).min


def highest(a):
    if a.dtype.kind == "f":
        return np.inf
    if a.dtype.kind == "c":
        return complex(np.inf, np.inf)
    return True if a.dtype == bool else np.iinfo(a.dtype).max


# A running sum of 1,031 terms is off by at most as many units of the sum of magnitudes; measured
# in blocks it is far less.
ULPS = {"float32": 32, "float64": 32, "complex64": 32, "float16": 32, "bfloat16": 32}

ROWS = [
    *rows("cumsum", cumsum, 0, (Uniform(-9, 9),), lambda a, k: np.cumsum(a, k), grad=(0,),
          second="linear", ulps=ULPS, peer_ulps=1031),
    *rows("cumprod", cumprod, 1, (Near(0.1),), grad=(0,),
          grad_peer="complex: mlx does not conjugate the slope",
          ulps=dict.fromkeys(("float32", "float64", "complex64", "float16", "bfloat16"), 1100),
          peer="16-bit products differ by their rounding"),
    *rows("cummax", np.maximum.accumulate, lowest, (Distinct(),), grad=(0,),
          second="piecewise linear"),
    *rows("cummin", np.minimum.accumulate, highest, (Distinct(),), grad=(0,),
          second="piecewise linear"),
    *rows("logcumsumexp", np.logaddexp.accumulate, -np.inf, (Uniform(-3, 3),), dtypes=REAL,
          grad=(0,), inexact=True, ulps={"float32": 64, "float64": 64, "float16": 2, "bfloat16": 2},
          peer_ulps=2048),
    OpCase("diff", lambda m, a: m.diff(a), np.diff, (Distinct(),), SHAPES, grad=(0,),
           second="linear"),
    OpCase("diff", lambda m, a: m.diff(a, 2, 0), lambda a: np.diff(a, 2, 0), (Distinct(),),
           (((5, 3),), ((1, 4),)), label="twice", grad=(0,), second="linear"),
]  # fmt: skip

ROWS = in_family("scan", ROWS)
