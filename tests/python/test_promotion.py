"""Result dtypes are mlx's, for every pair of dtypes and for Python's numbers."""

import plimsoll.core as mx
import pytest

peer = pytest.importorskip("mlx.core")

DTYPES = [
    "bool_", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float32", "float64", "complex64",
]  # fmt: skip
NUMBERS = [True, 2, 2.5, 1j]
# Where one side refuses, with the reason; see docs/differences.md.
COMPLEX_ONLY_THERE = {"floor_divide", "logaddexp"}
PAIRS = [
    "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power", "maximum",
    "minimum", "logaddexp", "arctan2", "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift",
    "right_shift", "equal", "less", "logical_and", "logical_or", "isclose", "matmul", "inner",
    "outer", "where", "clip", "addmm", "concatenate", "stack",
]  # fmt: skip
SINGLE = [
    "abs", "sqrt", "exp", "sign", "floor", "ceil", "round", "square", "sigmoid", "erf", "negative",
    "sum", "prod", "max", "min", "mean", "var", "std", "all", "any", "argmax", "cumsum", "cumprod",
    "cummax", "sort", "argsort", "isnan", "logical_not", "bitwise_invert", "reciprocal", "real",
    "imag", "conjugate", "degrees", "tril", "zeros_like", "stop_gradient",
]  # fmt: skip


def call(m, op, a, b):
    if op == "where":
        return m.where(m.array([True, False]), a, b)
    if op in ("concatenate", "stack"):
        return getattr(m, op)([a, b])
    if op == "clip":
        return m.clip(a, b, b)
    if op == "addmm":
        return m.addmm(a.reshape(1, 2), a.reshape(2, 1), b.reshape(1, 2))
    return getattr(m, op)(a, b)


def outcome(f):
    """The dtype's name, or that it is refused."""
    try:
        return str(f().dtype).rpartition(".")[2].removesuffix("_")
    except (ValueError, TypeError, RuntimeError, IndexError):
        return "refused"


def ones(m, dtype):
    return m.array([1, 1]).astype(getattr(m, dtype))


@pytest.mark.parametrize("op", PAIRS)
def test_pairs_of_dtypes(op):
    for a in DTYPES:
        for b in DTYPES:
            if op in COMPLEX_ONLY_THERE and "complex64" in (a, b):
                continue
            ours, theirs = (outcome(lambda m=m: call(m, op, ones(m, a), ones(m, b)))  # noqa: B023
                            for m in (mx, peer))  # fmt: skip
            assert ours == theirs, f"{op}({a}, {b})"


@pytest.mark.parametrize("op", [p for p in PAIRS if p not in ("addmm", "concatenate", "stack")])
def test_python_numbers_are_weak(op):
    for a in DTYPES:
        for b in NUMBERS:
            if op in COMPLEX_ONLY_THERE and (a == "complex64" or b == 1j):
                continue
            ours, theirs = (outcome(lambda m=m: call(m, op, ones(m, a), b))  # noqa: B023
                            for m in (mx, peer))  # fmt: skip
            assert ours == theirs, f"{op}({a}, {b!r})"


@pytest.mark.parametrize("op", SINGLE)
def test_functions_of_one_array(op):
    for dtype in DTYPES:
        for shape in ((2, 2), ()):
            ours, theirs = (
                outcome(lambda m=m: getattr(m, op)(m.ones(shape).astype(getattr(m, dtype))))  # noqa: B023
                for m in (mx, peer)
            )
            assert ours == theirs, f"{op}({dtype}, shape {shape})"


def test_large_python_integers_widen_bool():
    assert (mx.array(True) + 2**40).item() == 2**40 + 1  # mlx wraps around in int32
