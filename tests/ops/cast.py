"""Changes of dtype."""

import numpy as np

from ops.opcase import ALL, OpCase, Uniform, in_family, rounded


def cast_to(dtype):
    def oracle(a):
        if a.dtype.kind == "c" and dtype != "complex64":
            a = a.real
        if dtype == "bool_":
            return a != 0
        return rounded(a, dtype).astype(np.float64) if dtype == "bfloat16" else a.astype(
            np.dtype(dtype))  # fmt: skip

    return OpCase(
        "astype", lambda m, a: a.astype(getattr(m, dtype)), oracle, (Uniform(0.1, 90),),
        (((3, 5),), ((),), ((0,),), ((1031,),)), ALL, label=dtype.removesuffix("_"),
    )  # fmt: skip


ROWS = [cast_to(dtype) for dtype in ALL]
ROWS += [
    OpCase("astype", lambda m, a: a.astype(m.float32), lambda a: a.real if a.dtype.kind == "c" else
           a.astype(np.float64), dtypes=("float16", "bfloat16", "float32", "float64"),
           label="gradient", ulps=1, grad=(0,), second="linear",
           refuses_others="any dtype is taken"),
    OpCase("stop_gradient", lambda m, a: m.stop_gradient(a), lambda a: a, dtypes=ALL),
]  # fmt: skip

ROWS = in_family("cast", ROWS)
