"""Questions about single numbers."""

import numpy as np

from ops.opcase import ALL, COMPLEX, FLOATS, REAL, OpCase, Uniform, in_family, rounded


def special(rng, shape, dtype):
    """NaN and infinities among ordinary numbers."""
    values = Uniform(-3, 3)(rng, shape, dtype)
    if values.dtype.kind not in "fc":
        return values
    choice = rng.integers(0, 6, shape)
    out = np.where(choice == 0, np.nan, np.where(choice == 1, np.inf, values.real))
    out = np.where(choice == 2, -np.inf, out)
    if dtype == "complex64":
        out = out + 1j * values.imag
        if values.ndim:
            out = np.where(choice == 3, values.real + 1j * np.inf, out)
    return rounded(np.asarray(out), dtype)


def infinite(sign):
    return lambda a: (a == sign * np.inf) if a.dtype.kind == "f" else np.zeros(a.shape, bool)


def nan_to_num(a):
    return np.nan_to_num(a, nan=0.5, posinf=9.0, neginf=-8.0)


ROWS = [
    OpCase("isnan", lambda m, a: m.isnan(a), np.isnan, (special,)),
    OpCase("isinf", lambda m, a: m.isinf(a), np.isinf, (special,)),
    OpCase("isfinite", lambda m, a: m.isfinite(a), np.isfinite, (special,)),
    OpCase("isposinf", lambda m, a: m.isposinf(a), infinite(1), (special,),
           dtypes=tuple(d for d in ALL if d not in COMPLEX), refuses_others="mlx has no meaning"),
    OpCase("isneginf", lambda m, a: m.isneginf(a), infinite(-1), (special,),
           dtypes=tuple(d for d in ALL if d not in COMPLEX), refuses_others="mlx has no meaning"),
    OpCase("nan_to_num", lambda m, a: m.nan_to_num(a, 0.5, 9.0, -8.0), nan_to_num, (special,),
           peer_dtypes=tuple(d for d in REAL if d != "float64"),
           dtypes=tuple(d for d in ALL if d not in COMPLEX),
           refuses_others="complex: see docs/differences"),
    OpCase("nan_to_num", lambda m, a: m.nan_to_num(a), lambda a: np.nan_to_num(a), (Uniform(),),
           dtypes=FLOATS, label="gradient",
           peer_dtypes=("float16", "bfloat16", "float32"), grad=(0,), second="linear",
           refuses_others="see the other row"),
]  # fmt: skip

ROWS = in_family("classify", ROWS)
