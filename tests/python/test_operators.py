import operator
import re

import numpy as np
import plimsoll.core as mx
import pytest
from plimsoll import _core

peer = pytest.importorskip("mlx.core")

DTYPES = [
    "bool_", "uint8", "uint16", "uint32", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float32", "complex64",
]  # fmt: skip
ARITHMETIC = [operator.add, operator.mul, operator.truediv]


def both(values, dtype):
    return mx.array(values, getattr(mx, dtype)), peer.array(values, getattr(peer, dtype))


def same(ours, theirs):
    assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(
        np.array(ours.astype(mx.complex64)),
        np.array(theirs.astype(peer.complex64)),
        rtol=1e-3 if "16" in str(ours.dtype) else 1e-6,
    )


@pytest.mark.parametrize("op", ARITHMETIC)
@pytest.mark.parametrize("a", DTYPES)
@pytest.mark.parametrize("b", DTYPES)
def test_arrays_promote_as_in_mlx(op, a, b):
    (x, px), (y, py) = both([1, 2, 3], a), both([3, 1, 2], b)
    same(op(x, y), op(px, py))


@pytest.mark.parametrize("scalar", [True, 2, 2.5, 1 + 2j])
@pytest.mark.parametrize("dtype", DTYPES)
def test_python_numbers_are_weak(dtype, scalar):
    x, px = both([1, 2, 3], dtype)
    same(x * scalar, px * scalar)
    same(scalar + x, scalar + px)


ONE_ARRAY = re.compile(r"\w+\(a: scalar \| array, (/, )?(decimals: int = 0, )?(\*, )?stream")
UNARY = [op["name"] for op in _core._registry() if ONE_ARRAY.match(op["signature"] or "")]


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("number", [True, 2, -3, 0.25, 2**40, 0.5j])
def test_functions_of_one_array_take_numbers(name, number):
    def call(a):
        try:
            return getattr(mx, name)(a)
        except (ValueError, RuntimeError) as e:
            return str(e)

    of_number, of_array = call(number), call(mx.array(number))
    if isinstance(of_array, str):
        assert of_number == of_array
        return
    assert of_number.dtype == of_array.dtype
    np.testing.assert_array_equal(np.array(of_number), np.array(of_array))
    small = mx.zeros((1,), mx.int8)  # a number's own dtype would give way to it
    assert (of_number + small).dtype == (of_array + small).dtype


def test_as_many_functions_take_numbers_as_in_mlx():
    assert len(UNARY) >= 40
    for name in UNARY:
        if name not in ("trunc", "positive", "degrees", "radians", "bitwise_invert"):
            getattr(peer, name)(True if name == "logical_not" else 0.5)


def test_numpys_reductions_take_arrays():
    x = mx.arange(6.0).reshape(2, 3)
    for name in ("sum", "mean", "max", "min", "prod", "any", "all", "std", "var"):
        ours = getattr(np, name)(x, axis=0)
        assert isinstance(ours, mx.array)
        np.testing.assert_allclose(ours, getattr(np, name)(np.array(x), axis=0))
    with pytest.raises(TypeError, match="Leave out out"):
        mx.sum(x, out=x)


@pytest.mark.parametrize(
    "op",
    [
        operator.sub, operator.floordiv, operator.mod, operator.pow, operator.eq, operator.ne,
        operator.lt, operator.le, operator.gt, operator.ge,
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_operators_agree_with_mlx(op, dtype):
    (x, px), (y, py) = both([7, 2, 5], dtype), both([2, 3, 5], dtype)
    same(op(x, y), op(px, py))
    same(op(x, 2), op(px, 2))


@pytest.mark.parametrize("op", [operator.and_, operator.or_, operator.xor])
@pytest.mark.parametrize("dtype", ["bool_", "uint8", "int32"])
def test_bitwise_operators_agree_with_mlx(op, dtype):
    (x, px), (y, py) = both([1, 0, 1], dtype), both([1, 1, 0], dtype)
    same(op(x, y), op(px, py))
    same(~x, ~px)


def test_reflected_operators_keep_the_order():
    x = mx.array([2.0, 4.0])
    assert (1 - x).tolist() == [-1.0, -3.0]
    assert (8 / x).tolist() == [4.0, 2.0]
    assert (2**x).tolist() == [4.0, 16.0]
    assert (9 // x).tolist() == [4.0, 2.0]
    assert (9 % x).tolist() == [1.0, 1.0]


def test_in_place_operators_keep_the_object():
    x = mx.array([1.0, 2.0])
    alias, before = x, x + 0
    x += 1
    x *= 2
    assert alias is x
    assert x.tolist() == [4.0, 6.0]
    assert before.tolist() == [1.0, 2.0]


def test_matmul_and_its_refusals():
    x = mx.array([[1.0, 2.0], [3.0, 4.0]])
    assert (x @ x).tolist() == [[7.0, 10.0], [15.0, 22.0]]
    with pytest.raises(TypeError):
        x @ 2


def test_comparison_with_other_objects_is_false():
    x = mx.array([1])
    assert (x == "a") is False
    assert (x != [1]) is True


@pytest.mark.parametrize("other", ["a", [1], (1,)])
def test_arithmetic_with_texts_and_lists_is_refused(other):
    with pytest.raises(ValueError, match="Cannot perform addition"):
        mx.array([1]) + other


def test_conversion_to_python_numbers():
    assert int(mx.array(2.7)) == 2
    assert float(mx.array([3])) == 3.0
    assert bool(mx.array([0.0])) is False
    assert complex(mx.array(1 + 2j)) == 1 + 2j
    assert [10, 20, 30][mx.array(1)] == 20
    with pytest.raises(ValueError, match="length-1"):
        float(mx.ones((2,)))
    with pytest.raises(ValueError, match="length-1"):
        bool(mx.ones((2,)))


def test_hash_is_by_identity():
    x, y = mx.array(1), mx.array(1)
    assert hash(x) != hash(y)
    assert len({x: 1, y: 2}) == 2
