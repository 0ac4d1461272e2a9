"""Integer division, remainders and powers by Python numbers, at the edges of their dtypes."""

import math

import numpy as np
import plimsoll.core as mx
import pytest

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def wrapped(value: int, dtype: np.dtype) -> int:
    bits = 8 * dtype.itemsize
    value %= 1 << bits
    return value - (1 << bits) if dtype.kind == "i" and value >> (bits - 1) else value


def operands(name: str) -> tuple[np.ndarray, np.ndarray]:
    """All pairs for 8 bits; else random ones and all pairs of the numbers where things change."""
    dtype = np.dtype(name)
    info = np.iinfo(dtype)
    if dtype.itemsize == 1:
        every = np.arange(info.min, info.max + 1).astype(dtype)
        return np.repeat(every, 256), np.tile(every, 256)
    edges = {info.min, info.min + 1, -3, -2, -1, 0, 1, 2, 3, info.max // 2, info.max - 1, info.max}
    some = np.array([e for e in edges if info.min <= e <= info.max], dtype)
    rng = np.random.default_rng(0)
    size = (2, 3000)
    random = rng.integers(info.min, info.max, size, dtype, endpoint=True)
    random[1] >>= rng.integers(0, 8 * dtype.itemsize, size[1]).astype(dtype)
    a = np.concatenate([np.repeat(some, len(some)), random[0]])
    return a, np.concatenate([np.tile(some, len(some)), random[1]])


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_divide_towards_minus_infinity_and_by_zero_to_zero(name):
    a, b = operands(name)
    quotients = np.array(mx.array(a) // mx.array(b))
    remainders = np.array(mx.array(a) % mx.array(b))
    assert quotients.dtype == remainders.dtype == a.dtype
    for x, y, q, r in zip(*(v.tolist() for v in (a, b, quotients, remainders)), strict=True):
        assert q == (wrapped(x // y, a.dtype) if y else 0), (x, y)
        assert r == (x % y if y else x), (x, y)


def python_remainder(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b) or math.isinf(a) or b == 0:
        return math.nan
    r = math.fmod(a, b)
    return r + b if r != 0 and (r < 0) != (b < 0) else r


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_float_remainders_are_rounded_once_whatever_the_quotient(name):
    rng = np.random.default_rng(1)
    special = [0.0, -0.0, 1.0, -1.0, 2.0, 3.5, 1e-30, 1e30, -1e30, 3e38, np.inf, -np.inf, np.nan]
    pairs = np.array([(x, y) for x in special for y in special], np.float32)
    scales = 10.0 ** rng.uniform(-12, 12, (2, 4000))
    a = np.concatenate([pairs[:, 0], (rng.standard_normal(4000) * scales[0]).astype(np.float32)])
    b = np.concatenate([pairs[:, 1], (rng.standard_normal(4000) * scales[1]).astype(np.float32)])
    dtype = getattr(mx, name)
    x, y = mx.array(a).astype(dtype), mx.array(b).astype(dtype)
    exact = [
        python_remainder(*pair)
        for pair in zip(x.astype(mx.float32).tolist(), y.astype(mx.float32).tolist(), strict=True)
    ]
    with np.errstate(over="ignore"):
        expected = mx.array(np.array(exact, np.float32)).astype(dtype).astype(mx.float32)
    got = (x % y).astype(mx.float32)
    np.testing.assert_array_equal(np.array(got), np.array(expected))
    zero = np.array(expected) == 0
    np.testing.assert_array_equal(np.signbit(got)[zero], np.signbit(expected)[zero])


@pytest.mark.parametrize("exponent", [2, 2.0, 3, 3.0, -1, -1.0, True])
@pytest.mark.parametrize(
    "name", ["float32", "float16", "bfloat16", "float64", "complex64", "int32", "uint8", "bool_"]
)
def test_powers_by_python_numbers_are_powers(name, exponent):
    stream = mx.cpu if name == "float64" else None
    values = [-3, -1, 1, 2, 5] if name not in ("uint8", "bool_") else [0, 1, 2, 5, 7]
    if name == "uint8" and exponent == -1 and isinstance(exponent, int):
        exponent = -1.0  # a number that uint8 does not hold is refused
    x = mx.array(values).astype(getattr(mx, name))
    got = mx.power(x, exponent, stream=stream)
    # An array as the exponent takes the general way; of the dtype that the number has here.
    general = mx.power(x.astype(got.dtype), mx.array(exponent).astype(got.dtype), stream=stream)
    assert got.dtype == general.dtype
    wide = got.tolist() if name == "float64" else np.array(got.astype(mx.complex64))
    expected = general.tolist() if name == "float64" else np.array(general.astype(mx.complex64))
    np.testing.assert_allclose(wide, expected, rtol=5e-16 if name == "float64" else 3e-7)


@pytest.mark.parametrize("exponent", [2 + 1j, 3 - 1j, -1 + 5j, 1j])
@pytest.mark.parametrize("name", ["float32", "complex64", "int32"])
def test_powers_by_complex_numbers_keep_both_parts(name, exponent):
    x = mx.array([1, 2, 5]).astype(getattr(mx, name))
    expected = np.array([1, 2, 5], np.complex64) ** exponent
    np.testing.assert_allclose(np.array(x**exponent), expected, rtol=1e-5)


def test_gradients_of_powers_by_python_numbers():
    x = mx.array([-2.0, 0.0, 3.0])
    assert mx.grad(lambda v: (v**2).sum())(x).tolist() == [-4.0, 0.0, 6.0]
    assert mx.grad(lambda v: (v**3).sum())(x).tolist() == [12.0, 0.0, 27.0]
    y = mx.array([-2.0, 4.0])
    assert mx.grad(lambda v: (v**-1).sum())(y).tolist() == [-0.25, -0.0625]
