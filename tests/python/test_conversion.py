import copy
import pickle

import numpy as np
import plimsoll.core as mx
import pytest

peer = pytest.importorskip("mlx.core")

VALUES = [
    1, True, 2.5, 1 + 2j, 2**40, [], [[]], [1, 2.0], [True, 1], [1, 2**40], [[1, 2], [3, 4]],
    [1.5, 2.25e10], [float("nan"), float("inf"), -1e-8], [1 + 2j, 3],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_python_values_become_what_mlx_makes_of_them(value):
    ours, theirs = mx.array(value), peer.array(value)
    assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.arange(2000),
        lambda m: m.ones((100, 100)),
        lambda m: m.arange(24).reshape(2, 3, 4),
        lambda m: m.zeros((0, 3)),
        lambda m: m.array([True, False]),
        lambda m: m.array([100000.0, 1e6, 1e16, 12345.678, 0.1]),
        lambda m: m.ones((3, 20), m.bfloat16),
        lambda m: m.arange(7),
        lambda m: m.arange(6),
    ],
)
def test_repr_is_that_of_mlx(make):
    assert repr(make(mx)) == repr(make(peer))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float64", "float32"), ("float32", "float32"), ("float16", "float16"),
        ("int64", "int64"), ("int8", "int8"), ("uint16", "uint16"), ("bool", "bool"),
        ("complex64", "complex64"), ("complex128", "complex64"),
    ],
)  # fmt: skip
def test_numpy_arrays_are_copied_with_mlx_dtypes(dtype, expected):
    a = np.arange(6).reshape(2, 3).astype(dtype)
    x = mx.array(a)
    assert str(x.dtype).endswith(expected)
    a[:] = 0
    assert np.array(x).astype(np.complex64).sum() != 0


def test_strided_numpy_arrays():
    a = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_array_equal(np.array(mx.array(a.T[::-1, ::2])), a.T[::-1, ::2])


@pytest.mark.parametrize("name", ["float16", "float32", "int32", "uint8", "bool_", "complex64"])
def test_numpy_gets_the_same_values(name):
    x = mx.array([[0, 1], [2, 3]], getattr(mx, name))
    assert np.array(x).tolist() == x.tolist()


def test_views_reach_numpy_in_order():
    x = mx.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(np.array(x.T), np.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(np.array(x[:, ::-1]), np.arange(6).reshape(2, 3)[:, ::-1])


def test_conversion_to_half_rounds_to_nearest_even():
    values = np.array([1.0009765625, 2049.0, 65519.0, 65520.0, 1e-8, 6e-8, -0.0, np.nan], "float32")
    got = np.array(mx.array(values.tolist(), mx.float16))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(got, values.astype(np.float16))


@pytest.mark.parametrize("value", [[[1], [2, 3]], ["a"], [1, None], "text"])
def test_values_that_are_no_arrays_are_refused(value):
    with pytest.raises(ValueError, match=r"non-uniform|Invalid type"):
        mx.array(value)


def test_arrays_in_lists_are_stacked():
    assert mx.array([mx.array([1, 2]), mx.array([3, 4])]).tolist() == [[1, 2], [3, 4]]


def test_copies_and_pickles():
    x = mx.arange(6).reshape(2, 3).astype(mx.bfloat16)
    for y in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y.tolist() == x.tolist()
        assert y.dtype == mx.bfloat16
    assert pickle.loads(pickle.dumps(mx.float16)) == mx.float16


def test_dtypes_and_categories():
    assert mx.float32.size == 4
    assert mx.issubdtype(mx.int8, mx.signedinteger)
    assert not mx.issubdtype(mx.int8, mx.floating)
    assert mx.result_type(mx.int32, mx.float16) == mx.float16
    assert mx.broadcast_shapes((1, 2), (3, 1)) == (3, 2)
