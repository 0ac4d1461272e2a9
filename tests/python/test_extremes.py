"""Sizes, bounds and numbers at the ends of their ranges."""

import numpy as np
import plimsoll.core as mx
import pytest

TOO_LARGE = {
    "zeros": lambda: mx.zeros((2**62,)),
    "int64": lambda: mx.zeros((2**61,), dtype=mx.int64),
    "add": lambda: mx.ones((2**31, 2**31)) + 1,
    "complex": lambda: mx.full((2**54,), 1j),
    "broadcast": lambda: mx.broadcast_to(mx.ones((1,)), (2**62,)),
    "outer": lambda: mx.outer(mx.zeros(2**31), mx.zeros(2**31)),
    "matmul": lambda: mx.ones((2**31, 1)) @ mx.ones((1, 2**31)),
    "arange": lambda: mx.arange(2**60),
    "linspace": lambda: mx.linspace(0, 1, 2**62),
    "random": lambda: mx.random.uniform(shape=(2**60,)),
    "repeat": lambda: mx.repeat(mx.zeros((2**40,)), 2**40),
    "tile": lambda: mx.tile(mx.zeros((2**40,)), 2**40),
    "pad": lambda: mx.pad(mx.ones(3), 2**60),
    "vmap": lambda: mx.vmap(lambda x: mx.zeros((2**40,)) + x)(mx.zeros((2**40,))),
}


@pytest.mark.parametrize("make", TOO_LARGE.values(), ids=TOO_LARGE)
def test_results_too_large_to_count_are_refused(make):
    with pytest.raises(ValueError, match=r"^\[\w+\] expected .* 2\^56 bytes, got shape .* of \w+"):
        make()


@pytest.mark.parametrize("width", [2**62, 2**63 - 1])
def test_padding_too_wide_to_add_is_refused(width):
    for mode in ("constant", "edge"):
        with pytest.raises(ValueError, match=str(width)):
            mx.pad(mx.ones(3), width, mode=mode)


def test_joined_axes_too_long_to_add_are_refused():
    longest = mx.broadcast_to(mx.array([True]), (2**56,))
    with pytest.raises(ValueError, match=r"^\[concatenate\] expected an axis of at most 2\^63"):
        mx.concatenate([longest] * 256)


def test_empty_arrays_may_have_any_other_axis():
    assert mx.zeros((2**61, 0)).nbytes == 0
    assert mx.eval(mx.zeros((2**61, 0)) + 1) is None


@pytest.mark.parametrize(
    ("bounds", "dtype"),
    [
        ((2**40, 2**40 + 2), mx.int64),
        ((2**31 - 3, 2**31 - 1), mx.int32),
        ((2**31 - 2, 2**31), mx.int64),
        ((-(2**31) - 1, -(2**31) + 1), mx.int64),
        ((-(2**31), -(2**31) + 2), mx.int32),
        ((0, 10, 2**40), mx.int64),
        ((0, 2**33, 2**32), mx.int64),
        ((2**62 + 1, 2**62 + 4), mx.int64),
        ((2**62 + 4, 2**62 + 1, -1), mx.int64),
        ((-(2**63), 2**63 - 1, 2**61), mx.int64),
    ],
)
def test_ranges_of_large_integers_are_exact(bounds, dtype):
    got = mx.arange(*bounds)
    assert got.dtype == dtype
    assert got.tolist() == list(range(*bounds))


def test_a_range_of_too_many_numbers_is_refused():
    with pytest.raises(ValueError, match=r"\[arange\] expected .* 2\^62 numbers, got start 0"):
        mx.arange(2**62)


def test_ranges_take_their_dtype_from_a_wide_one_too():
    np.testing.assert_array_equal(
        np.array(mx.arange(2**63 - 2, 2**63 - 1, dtype=mx.uint64)), [2**63 - 2]
    )


@pytest.mark.parametrize("step", [2**63 - 1, 2**62, -(2**62), -(2**63), 3, -3, 4, -4])
def test_slices_take_any_step(step):
    for a in (np.arange(3), np.arange(0), np.arange(7)):
        x = mx.array(a)
        assert x[::step].tolist() == a[::step].tolist()
        assert x[1:5:step].tolist() == a[1:5:step].tolist()
        assert x[5:1:step].tolist() == a[5:1:step].tolist()
    y = mx.zeros(3)
    y[::step] = 1
    assert y.sum().item() == len(range(3)[::step])


def test_empty_arrays_print_their_edges_only():
    assert repr(mx.zeros((2, 0))) == "array([[],\n       []], dtype=float32)"
    for shape in ((10**7, 0), (2**61, 0), (2**40, 2**20, 0)):
        assert len(repr(mx.zeros(shape))) < 2000


REALS = [
    1e20,
    -1e20,
    np.nan,
    np.inf,
    -np.inf,
    3e9,
    -3e9,
    2.0**63,
    2.0**31,
    -1.5,
    300.7,
    2.0**24 + 1,
]
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_floats_become_the_same_integers_on_every_way(dtype):
    dtype = getattr(mx, dtype)
    reals = np.array(REALS, np.float32)
    want = mx.array(reals).astype(dtype).tolist()  # by the kernel
    assert mx.array(reals, dtype=dtype).tolist() == want
    assert mx.array(reals.tolist(), dtype=dtype).tolist() == want
    assert [mx.array(v, dtype=dtype).item() for v in reals.tolist()] == want
    assert [mx.array(v).astype(dtype).item() for v in reals.tolist()] == want
    assert [mx.array(v).astype(dtype).item() for v in REALS] == want  # rounded to float32 first
    if dtype == mx.int32:
        assert want[:4] == [-(2**31)] * 4  # as mlx


def test_scalars_keep_their_value_in_the_dtype_they_are_given():
    assert mx.array(0.1, dtype=mx.float64).item() == 0.1
    assert mx.array(300, dtype=mx.uint8).item() == 44
    assert mx.array(-1, dtype=mx.uint32).item() == 2**32 - 1
    assert mx.array(2.5 + 1j, dtype=mx.float32).item() == 2.5
    assert mx.array(2**53 + 1, dtype=mx.int64).item() == 2**53 + 1
    assert [mx.array(v, dtype=mx.bool_).item() for v in (0.0, 0.5, 0j, 1j, 0, 256)] == [
        False, True, False, True, False, True,
    ]  # fmt: skip


def nested(depth, leaf):
    for _ in range(depth):
        leaf = [leaf]
    return leaf


def holds_itself():
    tree = [mx.ones(2)]
    tree.append({"again": (tree,)})
    return tree


@pytest.mark.parametrize("make", [lambda: nested(100_000, mx.ones(2)), holds_itself])
@pytest.mark.parametrize(
    "use",
    [
        mx.eval,
        mx.async_eval,
        mx.compile(lambda t: mx.ones(2)),
        mx.grad(lambda t: mx.array(1.0)),
        mx.vmap(lambda t: mx.array(1.0)),
        mx.checkpoint(lambda t: mx.ones(2)),
        lambda t: mx.compile(lambda: t)(),
        lambda t: mx.compile(lambda x: x, inputs=t)(mx.ones(2)),
    ],
)
def test_trees_too_deep_are_refused(make, use):
    with pytest.raises(RecursionError, match="does one hold itself"):
        use(make())


def test_lists_too_deep_for_an_array_are_refused():
    ring = []
    ring.append(ring)
    for value in (ring, nested(100_000, 1.0), nested(100_000, mx.ones(2)), nested(100_000, [])):
        with pytest.raises(ValueError, match=r"\[array\] expected lists nested at most 1000 deep"):
            mx.array(value)
    assert mx.array(nested(60, 1.0)).ndim == 60
    with pytest.raises((IndexError, TypeError, ValueError)):
        mx.zeros(4)[ring] = 1.0
