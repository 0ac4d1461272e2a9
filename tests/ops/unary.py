"""Functions of one array, element by element."""

import numpy as np
from scipy import special

from ops.opcase import (
    ALL,
    BOOL,
    COMPLEX,
    FLOATS,
    INTEGERS,
    REAL,
    OpCase,
    Uniform,
    in_family,
)

POSITIVE = (Uniform(0.1, 4.0),)
WIDE = (Uniform(-20.0, 20.0),)
UNIT = (Uniform(-0.95, 0.95),)


def call(name):
    return lambda m, x: getattr(m, name)(x)


def smooth(op, oracle, inputs=(Uniform(),), dtypes=ALL, **more):
    """A differentiable function that computes integers in float32."""
    more.setdefault("ulps", {"float32": 2, "float64": 2, "complex64": 8})
    return OpCase(
        op, call(op), oracle, inputs, dtypes=dtypes, inexact=True, grad=(0,), **more
    )  # fmt: skip


def sign(x):
    if np.iscomplexobj(x):
        return np.where(x == 0, 0, x / np.where(x == 0, 1, np.abs(x)))
    return np.sign(x) if x.dtype != bool else x


def rounded_to(decimals):
    def oracle(x):
        scale = 10.0**decimals
        if x.dtype.kind in "iub":
            return x if decimals >= 0 else (np.round(x * scale) / scale).astype(x.dtype)
        return np.round(x * scale) / scale

    return oracle


STEPS = {"grad": (0,), "second": "its gradient is 0"}

ROWS = [
    OpCase("abs", call("abs"), np.abs, WIDE, grad=(0,), second="not smooth at 0",
           ulps={"complex64": 2}),
    OpCase("negative", call("negative"), np.negative, WIDE, dtypes=INTEGERS + FLOATS + COMPLEX,
           grad=(0,), second="linear"),
    OpCase("sign", call("sign"), sign, WIDE, dtypes=REAL, **STEPS, refuses_others="below"),
    OpCase("sign", call("sign"), sign, WIDE, label="complex", dtypes=COMPLEX, ulps=3,
           refuses_others="above"),
    OpCase("square", call("square"), lambda x: x * x if x.dtype != bool else x,
           (Uniform(-9, 9),), grad=(0,), ulps={"complex64": 2}),
    smooth("sqrt", np.sqrt, POSITIVE),
    smooth("rsqrt", lambda x: 1 / np.sqrt(x), (Uniform(0.6, 4.0),)),
    smooth("reciprocal", lambda x: 1 / x, (Uniform(0.6, 4.0),)),
    smooth("exp", np.exp),
    smooth("expm1", np.expm1, dtypes=REAL),
    smooth("log", np.log, (Uniform(0.6, 9.0),)),
    smooth("log1p", np.log1p, (Uniform(0.1, 4.0),)),
    smooth("log2", np.log2, (Uniform(0.6, 9.0),)),
    smooth("log10", np.log10, (Uniform(0.6, 9.0),)),
    smooth("sin", np.sin),
    smooth("cos", np.cos),
    smooth("tan", np.tan, (Uniform(-1.2, 1.2),)),
    smooth("arcsin", np.arcsin, UNIT),
    smooth("arccos", np.arccos, UNIT),
    smooth("arctan", np.arctan),
    smooth("sinh", np.sinh),
    smooth("cosh", np.cosh),
    smooth("tanh", np.tanh),
    smooth("arcsinh", np.arcsinh, dtypes=ALL),
    smooth("arccosh", np.arccosh, (Uniform(1.1, 5.0),)),
    smooth("arctanh", np.arctanh, UNIT),
    # mlx is up to 64 units away below 0.1.
    smooth("erf", special.erf, dtypes=REAL, peer_ulps=128),
    smooth("erfinv", special.erfinv, UNIT, dtypes=REAL),
    smooth("sigmoid", special.expit, dtypes=REAL),
    OpCase("floor", call("floor"), np.floor, WIDE, dtypes=REAL, **STEPS),
    OpCase("ceil", call("ceil"), np.ceil, WIDE, dtypes=REAL, **STEPS),
    OpCase("trunc", call("trunc"), np.trunc, WIDE, dtypes=REAL, **STEPS),
    OpCase("round", call("round"), rounded_to(0), WIDE, dtypes=ALL, **STEPS),
    OpCase("round", lambda m, x: m.round(x, 1), rounded_to(1), WIDE, label="one",
           peer="mlx rounds the product with 10 to 16 bits",
           layouts=(), ulps=2, **STEPS),
    OpCase("logical_not", call("logical_not"), np.logical_not, (Uniform(-1, 1),)),
    OpCase("bitwise_invert", call("bitwise_invert"), np.invert, WIDE, dtypes=BOOL + INTEGERS),
    smooth("degrees", lambda x: x * (180 / np.pi), second="linear"),
    smooth("radians", lambda x: x * (np.pi / 180), second="linear"),
    OpCase("positive", call("positive"), lambda x: x, WIDE, grad=(0,), second="linear"),
]  # fmt: skip

ROWS = in_family("unary", ROWS)
