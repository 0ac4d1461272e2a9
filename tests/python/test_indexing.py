import math

import numpy as np
import plimsoll.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st


def index_for(extent):
    ints = st.integers(-extent, extent - 1)
    bounds = st.none() | st.integers(-extent - 2, extent + 2)
    slices = st.builds(slice, bounds, bounds, st.sampled_from([None, 1, 2, 3, -1, -2]))
    arrays = st.lists(ints, min_size=1, max_size=3).map(np.array)
    return ints | slices | arrays


@st.composite
def keyed_arrays(draw):
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    used = draw(st.integers(0, len(shape)))
    parts = []
    for axis in range(used):
        parts.append(draw(index_for(shape[axis])))
    lengths = {len(p) for p in parts if isinstance(p, np.ndarray)}
    if len(lengths - {1}) > 1:  # they would not broadcast
        parts = [p[:1] if isinstance(p, np.ndarray) else p for p in parts]
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if used == len(shape) and draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), Ellipsis)
    return shape, tuple(parts)


def to_mx(key):
    return tuple(mx.array(k.astype(np.int32)) if isinstance(k, np.ndarray) else k for k in key)


@given(keyed_arrays())
def test_reading_agrees_with_numpy(case):
    shape, key = case
    a = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    expected = a[key]
    got = np.array(mx.array(a)[to_mx(key)])
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got, expected)


@given(keyed_arrays())
def test_writing_agrees_with_numpy(case):
    shape, key = case
    a = np.zeros(shape, dtype=np.int32)
    x = mx.array(a)
    target = a[key].shape
    value = np.arange(1, np.prod(target, dtype=int) + 1, dtype=np.int32).reshape(target)
    a[key] = value
    x[to_mx(key)] = mx.array(value)
    np.testing.assert_array_equal(np.array(x), a)


@given(keyed_arrays())
def test_at_adds_every_duplicate(case):
    shape, key = case
    a = np.ones(shape, dtype=np.float32)
    x = mx.array(a).at[to_mx(key)].add(2.0)
    np.add.at(a, key, 2.0)
    np.testing.assert_array_equal(np.array(x), a)


def test_lists_index_like_arrays():
    x = mx.arange(12).reshape(3, 4)
    assert x[[0, 2]].tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
    assert x[[0, 1], [1, 2]].tolist() == [1, 6]


@pytest.mark.parametrize(
    ("key", "error", "text"),
    [
        (mx.array([True, False, True]), ValueError, "boolean indices"),
        (1.0, ValueError, "Cannot index"),
        ("a", ValueError, "Cannot index"),
        (True, ValueError, "Cannot index"),
        (3, IndexError, "out of bounds"),
        ((0, 0, 0), ValueError, "Too many indices"),
        ((..., ...), ValueError, "single ellipsis"),
        (slice(None, None, 0), ValueError, "step"),
        (mx.array([0.5]), ValueError, "integer"),
    ],
)
def test_keys_that_are_refused(key, error, text):
    with pytest.raises(error, match=text):
        mx.ones((3, 4))[key]


def test_masks_select_where_to_write():
    x = mx.arange(6).reshape(3, 2)
    x[x > 2] = 0
    assert x.tolist() == [[0, 1], [2, 0], [0, 0]]
    x[mx.array([True, False, False])] = 9
    assert x.tolist() == [[9, 9], [2, 0], [0, 0]]


@st.composite
def masked_values(draw):
    shape = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    covered, rest = shape[: (n := draw(st.integers(1, len(shape))))], shape[n:]
    bits = st.lists(st.booleans(), min_size=math.prod(covered), max_size=math.prod(covered))
    mask = np.array(draw(bits)).reshape(covered)
    rows = draw(st.sampled_from([(), (1,), (int(mask.sum()),)]))
    cut = draw(st.integers(0, len(rest)))  # what broadcasts over the axes that the mask leaves
    rest = rest[cut:] if not rows else rest[:cut] + (1,) * len(rest[cut:])
    return shape, mask, np.arange(1, 1 + math.prod(rows + rest)).reshape(rows + rest)


@given(masked_values(), st.sampled_from([mx.array, np.array, np.ndarray.tolist]))
def test_writing_by_masks_agrees_with_numpy(case, kind):
    shape, mask, value = case
    a = np.zeros(shape, dtype=np.int32)
    x = mx.array(a)
    a[mask] = value
    x[kind(mask)] = mx.array(value.astype(np.int32))
    np.testing.assert_array_equal(np.array(x), a)


def test_masks_take_values_in_order_with_gradients():
    mask = mx.array([[True, False, True], [False, True, False]])

    def put(x, values):
        x = x * 1
        x[mask] = values
        return x

    weight = mx.arange(6.0).reshape(2, 3)
    grads = mx.grad(lambda x, v: (put(x, v) * weight).sum(), argnums=(0, 1))(
        mx.zeros((2, 3)), mx.array([7.0, 8.0, 9.0])
    )
    assert grads[0].tolist() == [[0, 1, 0], [3, 0, 5]]
    assert grads[1].tolist() == [0, 2, 4]
    each = mx.vmap(lambda v: put(mx.zeros((2, 3)), v))(mx.arange(6.0).reshape(2, 3))
    assert each[1].tolist() == [[3, 0, 4], [0, 5, 0]]


def test_one_bool_masks_all_or_nothing():
    x = mx.arange(3)
    x[False] = 9
    assert x.tolist() == [0, 1, 2]
    x[True] = 7
    assert x.tolist() == [7, 7, 7]


def test_masks_that_do_not_fit_are_refused():
    x = mx.zeros((3, 2))
    for mask in (mx.array([True]), mx.ones((3, 2, 1), mx.bool_), mx.ones((1, 2), mx.bool_)):
        with pytest.raises(
            ValueError, match=r"\[index\] expected a mask of the array's first axes"
        ):
            x[mask] = 1
    with pytest.raises(ValueError, match="expected values of at most 1 dimensions for the mask"):
        x[x == 0] = mx.ones((2, 3))
    for values in (mx.ones(5), mx.ones((0,))):
        x[x == 0] = values
        with pytest.raises(IndexError):
            mx.eval(x)
        x = mx.zeros((3, 2))
    x[x == 1] = mx.ones((0,))
    assert x.tolist() == [[0, 0], [0, 0], [0, 0]]
    with pytest.raises(ValueError, match=r"in x\[mask\] = values only"):
        x[mx.array([True, False, True]), 0] = 1


def test_writing_keeps_the_dtype_and_the_object():
    x = mx.zeros((2,), mx.int32)
    alias = x
    x[0] = 2.7
    assert x.dtype == mx.int32
    assert alias.tolist() == [2, 0]


def test_indices_outside_raise_when_evaluated():
    with pytest.raises(IndexError):
        mx.eval(mx.ones((3,))[mx.array([5])])


def test_iteration_gives_rows():
    assert [row.tolist() for row in mx.arange(4).reshape(2, 2)] == [[0, 1], [2, 3]]
    with pytest.raises(TypeError):
        iter(mx.array(1))
    with pytest.raises(TypeError, match="0-dimensional"):
        len(mx.array(1))
