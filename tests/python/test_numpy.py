"""NumPy and memoryview over an array's own bytes, pinned and accounted for."""

import gc

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import pytest
from plimsoll.utils import tree_flatten

DTYPES = [
    "bool_", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64", "complex64",
]  # fmt: skip


@pytest.mark.parametrize("name", DTYPES)
def test_views_share_bytes_both_ways(name):
    x = mx.array(np.array([[0, 1, 1], [1, 0, 1]]), getattr(mx, name))
    view = np.asarray(x)
    assert view.dtype == np.dtype(name.removesuffix("_"))
    assert not view.flags.owndata
    assert view.tolist() == x.tolist()
    view[0, 0] = 1
    assert x[0, 0].item() == 1


def test_copies_are_apart():
    x = mx.array([1.0, 2.0])
    copy = np.array(x)
    copy[0] = 5
    assert x.tolist() == [1.0, 2.0]


def test_bfloat16_comes_as_a_copy_in_float32():
    x = mx.array([1.5, -2.25], mx.bfloat16)
    assert np.asarray(x).dtype == np.float32
    assert np.asarray(x).tolist() == [1.5, -2.25]
    with pytest.raises(BufferError, match="bfloat16"):
        memoryview(x)


def test_memoryviews_have_shape_and_strides():
    x = mx.arange(6).reshape(2, 3)
    assert memoryview(x).strides == (12, 4)
    assert memoryview(x.T).strides == (4, 12)
    assert memoryview(x[:, ::-1]).strides == (12, -4)
    assert memoryview(x.T).tolist() == np.arange(6).reshape(2, 3).T.tolist()
    assert bytes(memoryview(x)) == np.arange(6, dtype="int32").tobytes()
    assert memoryview(mx.zeros((0, 2))).shape == (0, 2)
    assert memoryview(mx.array(1.5)).tolist() == 1.5
    assert memoryview(mx.array(1.5)).readonly


def test_a_flat_buffer_needs_contiguous_elements():
    assert np.frombuffer(mx.arange(4), "int32").tolist() == [0, 1, 2, 3]
    with pytest.raises(BufferError, match="contiguous"):
        np.frombuffer(mx.arange(6).reshape(2, 3).T, "int32")


def test_views_are_pinned_and_reported():
    before = mx.memory_report().pinned
    x = mx.ones((256, 1024)) + 1
    view = np.asarray(x)
    report = mx.memory_report()
    assert report.pinned - before == 256 * 1024 * 4
    [(owner, size)] = [i for i in report.pinned_by.items() if "float32(256, 1024)" in i[0]]
    assert size == 256 * 1024 * 4
    assert "NumPy" in owner
    del x
    gc.collect()
    assert view[3, 3] == 2
    assert mx.memory_report().pinned > before
    del view
    assert mx.memory_report().pinned == before


def test_pinned_arrays_are_not_overwritten():
    x = mx.ones((256, 1024)) + 1
    view = np.asarray(x)
    for _ in range(3):
        x += 1  # a result that could take x's place, were it not for the view
    mx.eval(x)
    assert view.max() == 2
    assert x.max().item() == 5


def test_pinned_arrays_stay_under_a_limit():
    x = mx.ones((1024, 1024)) + 1
    mx.eval(x)
    view = np.asarray(x)
    with mx.memory_limit(mx.get_active_memory() // 2):
        assert view.sum() == 2 * 1024 * 1024
        view[0, 0] = 7
    assert x[0, 0].item() == 7


def test_spilled_arrays_come_back_for_a_view():
    x = mx.arange(1 << 20, dtype=mx.float32) + 1
    mx.eval(x)
    with mx.memory_limit("3MB"):
        spilled = mx.memory_report().spilled
    assert spilled >= 4 << 20
    view = np.asarray(x)
    assert view[-1] == 1 << 20
    view[-1] = -1
    assert x[-1].item() == -1


def test_views_that_cannot_fit_are_refused_and_copies_are_not():
    x = mx.arange(1 << 20, dtype=mx.float32) + 1
    mx.eval(x)
    with mx.memory_limit("3MB"):
        with pytest.raises(mx.MemoryLimitError, match=r"\[export\] expected room for an array"):
            memoryview(x)
        assert np.array(x)[-1] == 1 << 20


def test_small_parts_of_large_arrays_do_not_hold_them():
    x = mx.ones((1024, 1024)) + 1
    mx.eval(x)
    part = x[3, :16]
    view = np.asarray(part)
    assert mx.memory_report().pinned < 1 << 20
    assert view.tolist() == [2.0] * 16


@pytest.mark.parametrize(
    ("scalar", "name"),
    [
        (np.int8(3), "int8"), (np.uint8(200), "uint8"), (np.uint64(2**63 + 1), "uint64"),
        (np.float16(1.5), "float16"), (np.float64(1.5), "float32"), (np.bool_(True), "bool"),
        (np.complex64(1 + 2j), "complex64"), (np.complex128(1 + 2j), "complex64"),
    ],
)  # fmt: skip
def test_scalars_keep_their_dtype(scalar, name):
    x = mx.array(scalar)
    assert str(x.dtype).endswith(name)
    assert x.item() == scalar


def test_complex_scalars_keep_their_imaginary_part_in_arithmetic():
    assert (mx.array([1, 2]) * np.complex64(2j)).tolist() == [2j, 4j]


X, Y = mx.array([1.0, 2.0]), np.array([3.0, 4.0])


@pytest.mark.parametrize(
    ("loss", "slope"),
    [
        (lambda w: ((Y * w) ** 2).sum(), [18, 64]),
        (lambda w: (np.float64(3) * w).sum(), [3, 3]),
        (lambda w: Y @ w, [3, 4]),
        (lambda w: mx.mean((Y - w) ** 2), [-2, -2]),
        (lambda w: np.square(w).sum(), [2, 4]),
        (lambda w: np.absolute(-w).sum(), [1, 1]),
        (lambda w: mx.where(np.greater(Y, w), w, 0.0).sum(), [1, 1]),
        (lambda w: (np.array(w) * w).sum(), [1, 2]),
    ],
)
def test_numpys_operators_are_recorded_inside_of_transforms(loss, slope):
    assert mx.grad(loss)(X).tolist() == slope
    assert mx.grad(mx.compile(loss) if slope != [1, 2] else loss)(X).tolist() == slope


def test_numpys_operators_are_mapped_and_compiled():
    assert mx.vmap(lambda a: np.float32(2) * a + Y)(mx.ones((3, 2)))[2].tolist() == [5, 6]
    assert mx.compile(lambda a: Y + a)(X).tolist() == [4, 6]


def test_numpys_operators_give_numpys_arrays_elsewhere():
    for value in (Y + X, np.sin(X), np.add.reduce(X), np.multiply.outer(X, X), np.hypot(X, X)):
        assert isinstance(value, np.ndarray | np.number)
    out = np.empty(2)
    assert np.add(Y, X, out=out) is out
    assert out.tolist() == [4, 6]
    with pytest.raises(TypeError, match="expected NumPy's array as out"):
        np.add(Y, X, out=X)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(4, 3), (2, 4)), (nn.RNN(4, 3), (2, 5, 4)), (nn.GRU(4, 3), (2, 5, 4)),
        (nn.LSTM(4, 3), (2, 5, 4)), (nn.BatchNorm(4), (5, 4)), (nn.Conv1d(4, 3, 2), (2, 5, 4)),
        (nn.TransformerEncoderLayer(4, 2), (1, 3, 4)),
    ],
)  # fmt: skip
def test_layers_of_numpys_arrays_have_gradients(layer, shape):
    more = (None,) if isinstance(layer, nn.TransformerEncoderLayer) else ()
    batch = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def loss(x):
        out = layer(x, *more)
        return sum(part.square().sum() for part in (out if isinstance(out, tuple) else (out,)))

    _, ours = nn.value_and_grad(layer, loss)(batch)
    _, expected = nn.value_and_grad(layer, loss)(mx.array(batch))
    for (name, a), (_, b) in zip(tree_flatten(ours), tree_flatten(expected), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_subclasses_of_ndarray_are_arrays(tmp_path):
    values = np.arange(12, dtype="float32").reshape(3, 4)
    np.save(tmp_path / "a.npy", values)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")

    class Named(np.ndarray):
        pass

    for same in (
        mapped,
        mapped[1:],
        values.view(Named),
        values.view(np.recarray),
    ):
        x = mx.array(same)
        assert x.dtype == mx.float32
        np.testing.assert_array_equal(np.array(x), np.asarray(same))
    np.testing.assert_array_equal(np.array(mx.array(1.0) + mapped), values + 1)
    assert mx.array(values[0, 0].reshape(()).view(Named)).shape == ()
    shape = np.array([4, 3]).view(Named)
    assert mx.array(values).reshape(shape).shape == (4, 3)
