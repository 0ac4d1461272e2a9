"""The Walsh-Hadamard transform."""

import numpy as np
from scipy.linalg import hadamard

from ops.opcase import OpCase, Uniform, in_family

ULPS = {"float32": 32.0, "float64": 32.0, "complex64": 32.0, "float16": 1.0, "bfloat16": 1.0}


def oracle(scale):
    def transform(a):
        n = a.shape[-1] if a.ndim else 1
        return a @ hadamard(n) * (scale or n**-0.5) if a.ndim else a * (scale or 1)

    return transform


def size(a):
    return np.broadcast_to(np.abs(a).sum(-1, keepdims=True) if a.ndim else np.abs(a), a.shape)


def row(label, scale, shapes, want="", **more):
    return OpCase("hadamard_transform", lambda m, a: m.hadamard_transform(a, scale),
                  oracle(scale) if not want else None, (Uniform(-2, 2),), shapes, label=label,
                  inexact=True, ulps=ULPS, magnitude=size if not want else None, second="linear",
                  peer_dtypes=("float16", "bfloat16", "float32"), **more)  # fmt: skip


ROWS = [
    row("", None, (((3, 4),), ((),), ((1,),), ((2, 1, 8),), ((256,),)), grad=(0,)),
    row("scaled", 0.5, (((2, 128),),), grad=(0,)),
    # scipy has no matrix of these orders: mlx is the oracle.
    *(
        OpCase("hadamard_transform", lambda m, a: m.hadamard_transform(a, 1.0), None,
               (Uniform(-2, 2),), (((2, n),),), ("float32",), str(n), peer_ulps=64,
               refuses_others="see the first row")
        for n in (12, 24, 20, 28, 56)
    ),
]  # fmt: skip

ROWS = in_family("hadamard", ROWS)
