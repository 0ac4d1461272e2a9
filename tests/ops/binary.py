"""Functions of two arrays, element by element, and promotion."""

import numpy as np

from ops.opcase import (
    ALL,
    BINARY_SHAPES,
    BOOL,
    COMPLEX,
    FLOATS,
    INTEGERS,
    REAL,
    Fixed,
    OpCase,
    Uniform,
    in_family,
)

ANY = (Uniform(-9, 9), Uniform(-9, 9))
NONZERO = (Uniform(-9, 9), Uniform(1, 5))
BITS = BOOL + INTEGERS


def call(name):
    return lambda m, a, b: getattr(m, name)(a, b)


def binary(op, oracle, inputs=ANY, dtypes=ALL, **more):
    more.setdefault("shapes", BINARY_SHAPES)
    return OpCase(op, call(op), oracle, inputs, dtypes=dtypes, **more)


def as_numbers(f):
    """NumPy refuses arithmetic with bool where MLX has a meaning."""
    return lambda a, b: f(a.astype(np.uint8), b.astype(np.uint8)).astype(bool) if (
        a.dtype == bool
    ) else f(a, b)  # fmt: skip


def remainder(a, b):
    """a - b * floor_divide(a, b), so a where an integer is divided by 0."""
    if a.dtype.kind == "f":
        return np.remainder(a, b)
    return (a - b * floor_divide(a, b)).astype(a.dtype) if a.dtype != bool else a & ~b


def floor_divide(a, b):
    if a.dtype.kind in "iub":
        if a.dtype == bool:
            return a & b
        quotient = np.floor_divide(a, np.where(b == 0, 1, b).astype(a.dtype))
        return np.where(b == 0, 0, quotient).astype(a.dtype)
    return np.floor(a / b)


def shift(f):
    def oracle(a, b):
        if a.dtype == bool:
            a, b = a.astype(np.uint8), b.astype(np.uint8)
        return f(a, b)

    return oracle


BOTH = {"grad": (0, 1)}
LINEAR = {**BOTH, "second": "linear"}

ROWS = [
    binary("add", np.add, **LINEAR, magnitude=lambda a, b: np.abs(a) + np.abs(b)),
    OpCase("add", lambda m, a: m.add(a, 2), lambda a: a + (1 if a.dtype == bool else 2),
           dtypes=INTEGERS + FLOATS + COMPLEX, label="weak", refuses_others="bool is promoted",
           magnitude=lambda a: np.abs(a) + 2),
    OpCase("add", lambda m, a, b: a + b, np.add, (Uniform(-9, 9), Fixed(Uniform(0, 9), "uint8")),
           BINARY_SHAPES[:1], label="with-uint8", dtypes=INTEGERS + FLOATS + COMPLEX,
           refuses_others="bool is promoted", magnitude=lambda a, b: np.abs(a) + np.abs(b)),
    OpCase("add", lambda m, a, b: a + b, np.add, (Uniform(-9, 9), Fixed(Uniform(-9, 9), "float16")),
           BINARY_SHAPES[:1], label="with-float16", ulps={"bfloat16": 1},
           magnitude=lambda a, b: np.abs(a) + np.abs(b)),
    binary("subtract", lambda a, b: a != b if a.dtype == bool else a - b, **LINEAR,
           magnitude=lambda a, b: np.abs(a) + np.abs(b)),
    binary("multiply", np.multiply, **BOTH, ulps={"complex64": 2}),
    binary("divide", np.divide, NONZERO, **BOTH, inexact=True, ulps={"complex64": 4}),
    binary("floor_divide", floor_divide, (Uniform(-20, 20), Uniform(1, 5)), REAL),
    OpCase("floor_divide", call("floor_divide"), floor_divide, (Uniform(-9, 9), Uniform(0, 1)),
           (((64,), (64,)),), INTEGERS, label="by-zero", layouts=(), peer="mlx: undefined",
           peer_dtypes=(), refuses_others="see the other row"),
    binary("remainder", remainder, (Uniform(-20, 20), Uniform(1, 5)), REAL, **BOTH,
           second="piecewise linear", magnitude=lambda a, b: np.abs(a) + np.abs(b)),
    binary("power", as_numbers(np.power), (Uniform(0.5, 3), Uniform(0, 3)), **BOTH,
           grad_peer="complex: mlx does not conjugate the slope",
           ulps={"float16": 2, "bfloat16": 2, "float32": 4, "float64": 4, "complex64": 16}),
    binary("maximum", np.maximum, **BOTH, second="piecewise linear"),
    binary("minimum", np.minimum, **BOTH, second="piecewise linear"),
    binary("logaddexp", np.logaddexp, (Uniform(1, 5), Uniform(1, 5)), REAL, **BOTH, inexact=True,
           ulps=2),
    binary("arctan2", np.arctan2, (Uniform(-3, 3), Uniform(1, 3)), REAL, **BOTH, inexact=True,
           ulps=2),
    binary("bitwise_and", np.bitwise_and, dtypes=BITS),
    binary("bitwise_or", np.bitwise_or, dtypes=BITS),
    binary("bitwise_xor", np.bitwise_xor, dtypes=BITS),
    binary("left_shift", shift(np.left_shift), (Uniform(-9, 9), Uniform(0, 6)), BITS),
    binary("right_shift", shift(np.right_shift), (Uniform(-99, 99), Uniform(0, 6)), BITS),
    binary("divmod", lambda a, b: [floor_divide(a, b), remainder(a, b)],
           (Uniform(-20, 20), Uniform(1, 5)), REAL, ulps=1,
           peer_values=INTEGERS + FLOATS,  # mlx: bool over False is undefined
           magnitude=lambda a, b: np.abs(a) + np.abs(b)),
]  # fmt: skip

ROWS = in_family("binary", ROWS)
