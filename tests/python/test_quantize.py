"""Products that unpack as they go have the bits of a product with the unpacked matrix."""

import os
import subprocess
import sys

import plimsoll.core as mx
import pytest

DTYPES = ("float32", "bfloat16", "float16")
# Under pressure tiles are of a few elements, so millions of them are too many.
PRESSED = bool(os.environ.get("PLIMSOLL_PRESSURE"))


def packed(n, k, dtype, **settings):
    w = mx.random.normal((n, k), key=mx.random.key(1)).astype(getattr(mx, dtype))
    return mx.quantize(w, **settings)


def rows(m, k, dtype):
    return mx.random.normal((m, k), key=mx.random.key(0)).astype(getattr(mx, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 8])
def test_bits_are_those_of_the_unpacked_product(bits, group, dtype):
    settings = {"bits": bits, "group_size": group}
    q = packed(70, 512, dtype, **settings)
    whole = mx.dequantize(*q, **settings).T
    for m in (1, 3, 40):
        x = rows(m, 512, dtype)
        assert mx.array_equal(mx.quantized_matmul(x, *q, **settings), x @ whole)


@pytest.mark.parametrize("dtype", DTYPES)
def test_scales_may_have_another_dtype_than_x(dtype):
    w, scales, biases = packed(9, 64, "float32")
    scales, biases = scales.astype(mx.bfloat16), biases.astype(mx.bfloat16)
    x = rows(2, 64, dtype)
    got = mx.quantized_matmul(x, w, scales, biases)
    out = mx.float32 if dtype == "float16" else x.dtype
    assert got.dtype == out
    whole = mx.dequantize(w, scales, biases, dtype=out)
    assert mx.array_equal(got, x.astype(out) @ whole.T)


def test_leading_axes_of_x():
    q = packed(5, 64, "float32")
    x = rows(12, 64, "float32")
    flat = mx.quantized_matmul(x, *q)
    assert mx.array_equal(mx.quantized_matmul(x.reshape(2, 2, 3, 64), *q), flat.reshape(2, 2, 3, 5))
    assert mx.array_equal(mx.quantized_matmul(x[0], *q), flat[0])
    assert mx.quantized_matmul(x[:0], *q).shape == (0, 5)


def test_gradients_by_scales_and_biases():
    w, scales, biases = packed(5, 64, "float32", group_size=32, bits=3)
    x = rows(4, 64, "float32")

    def product(s, b):
        return (mx.quantized_matmul(x, w, s, b, group_size=32, bits=3) ** 2).sum()

    def unpacked(s, b):
        return ((x @ mx.dequantize(w, s, b, group_size=32, bits=3).T) ** 2).sum()

    got, want = (mx.grad(f, argnums=(0, 1))(scales, biases) for f in (product, unpacked))
    for a, b in zip(got, want, strict=True):
        assert mx.allclose(a, b, rtol=1e-5)


def test_a_batch_of_matrices():
    x = rows(6, 64, "float32").reshape(2, 3, 64)
    q = mx.quantize(mx.random.normal((2, 5, 64), key=mx.random.key(2)))
    got = mx.vmap(mx.quantized_matmul)(x, *q)
    want = mx.stack([mx.quantized_matmul(x[i], *(part[i] for part in q)) for i in range(2)])
    assert mx.array_equal(got, want)


def test_a_packed_matrix_larger_than_the_limit():
    n, k = (12288, 256) if PRESSED else (16384, 2048)
    q = packed(n, k, "float32", bits=8)
    x = rows(3, k, "float32")
    mx.eval(q, x)
    want = mx.quantized_matmul(x, *q, bits=8)
    mx.eval(want)
    fresh = mx.quantized_matmul(x, *q, bits=8)
    limit = mx.memory_plan(fresh).floor + q[0].nbytes // 8
    assert limit < q[0].nbytes
    with mx.memory_limit(limit):
        mx.eval(fresh)
    assert mx.array_equal(fresh, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_gathered_products_have_the_bits_of_unpacked_ones(bits, dtype):
    settings = {"bits": bits, "group_size": 32}
    w = mx.random.normal((5, 40, 96), key=mx.random.key(1)).astype(getattr(mx, dtype))
    q = mx.quantize(w, **settings)
    whole = mx.swapaxes(mx.dequantize(*q, **settings), -1, -2)
    x = rows(7, 96, dtype).reshape(7, 1, 96)
    left, right = mx.array([0, 1, 2, 6, -1, 3]), mx.array([4, 4, 4, 4, 0, -2])
    for indices in ((left, right), (None, mx.array([1] * 7)), (mx.array([[5], [2]]), right[:3])):
        got = mx.gather_qmm(x, *q, *indices, **settings)
        want = mx.gather_mm(x, whole, *indices)
        assert got.shape == want.shape
        assert mx.array_equal(got, want)


def test_gathered_products_of_a_vector_and_without_indices():
    q = mx.quantize(mx.random.normal((3, 5, 64), key=mx.random.key(1)))
    x, at = rows(1, 64, "float32"), mx.array([2, 0])
    vector = mx.gather_qmm(x[0], *q, rhs_indices=at)
    assert vector.shape == (2, 5)
    assert mx.array_equal(vector, mx.gather_qmm(x, *q, rhs_indices=at)[:, 0])
    assert mx.array_equal(mx.gather_qmm(x, *q)[2], vector[:1])


def test_gradients_of_gathered_products():
    w, scales, biases = mx.quantize(mx.random.normal((3, 5, 64), key=mx.random.key(1)))
    x, at = rows(4, 64, "float32").reshape(4, 1, 64), mx.array([2, 0, 2, 2])

    def product(x, s, b):
        return (mx.gather_qmm(x, w, s, b, rhs_indices=at) ** 2).sum()

    def unpacked(x, s, b):
        m = mx.swapaxes(mx.dequantize(w, s, b), -1, -2)
        return (mx.gather_mm(x, m, rhs_indices=at) ** 2).sum()

    got, want = (mx.grad(f, argnums=(0, 1, 2))(x, scales, biases) for f in (product, unpacked))
    for a, b in zip(got, want, strict=True):
        assert mx.allclose(a, b, rtol=1e-5, atol=1e-5)


def test_gathered_products_of_batches():
    x = rows(8, 64, "float32").reshape(2, 4, 1, 64)
    q = mx.quantize(mx.random.normal((2, 3, 5, 64), key=mx.random.key(2)))
    at = mx.array([[0, -1, 2, 0], [1, 1, 2, -3]])

    def product(x, w, s, b, at):
        return mx.gather_qmm(x, w, s, b, rhs_indices=at)

    got = mx.vmap(product)(x, *q, at)
    want = mx.stack([product(x[i], *(part[i] for part in q), at[i]) for i in range(2)])
    assert mx.array_equal(got, want)
    one = mx.vmap(product, in_axes=(0, None, None, None, 0))(x, *(part[0] for part in q), at)
    assert mx.array_equal(one[1], product(x[1], *(part[0] for part in q), at[1]))


def test_gathered_indices_outside_are_refused():
    q = mx.quantize(mx.ones((3, 2, 64)))
    with pytest.raises(IndexError, match=r"right indices in \[-3, 3\), got 3"):
        mx.eval(mx.gather_qmm(mx.ones((1, 64)), *q, rhs_indices=mx.array([3])))


TILES = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # a slot of scratch for one worker alone
import plimsoll.core as mx

# Under pressure elements are tiles.
m, n = (40, 240) if os.environ.get("PLIMSOLL_PRESSURE") else (1000, 2400)
w = mx.quantize(mx.random.normal((n * 10 // 3, 64)), bits=8, group_size=32)
three = mx.quantize(mx.random.normal((3, n, 64)), bits=8, group_size=32)
x, at = mx.random.normal((m, 64)), mx.array([1, 0, 2, 2])

def plain():
    return mx.quantized_matmul(x, *w, bits=8, group_size=32)

def picked():
    return mx.gather_qmm(x.reshape(4, m // 4, 64), *three, rhs_indices=at, bits=8, group_size=32)

mx.eval(w, three, x, at)
for product in plain, picked:
    want = product()
    mx.eval(want)
    tiles = 0
    for share in 1, 2, 3, 3.5, 4, 5, 6, 7:
        got = product()
        with mx.memory_limit(int(mx.memory_plan(got).floor * share)):
            mx.eval(got)
        tiles += mx.last_evaluation().tiles
        assert mx.array_equal(got, want), (product.__name__, share)
    assert tiles > 0
"""


def test_tiles_of_every_size_have_scratch_enough():
    run = subprocess.run([sys.executable, "-c", TILES], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


def gathered(x, w, s, b, at):
    return mx.gather_qmm(x, w, s, b, rhs_indices=at)


def gathered_unpacked(x, w, s, b, at):
    return mx.gather_mm(x, mx.swapaxes(mx.dequantize(w, s, b), -1, -2), rhs_indices=at)


@pytest.mark.parametrize("product", [gathered, gathered_unpacked])
@pytest.mark.parametrize("at", [[[1], [0]], [[-2], [0]], [[0], [-2]], [[0], [1]], [[0], [2**62]]])
def test_indices_outside_do_not_reach_the_next_element_of_a_batch(product, at):
    q = mx.quantize(mx.ones((2, 1, 4, 64)))
    x = mx.ones((1, 3, 64))
    with pytest.raises(IndexError, match="right indices"):
        mx.eval(mx.vmap(product, in_axes=(None, 0, 0, 0, 0))(x, *q, mx.array(at)))


@pytest.mark.parametrize("batched", [(0,), (1, 2, 3), (0, 4), (0, 1, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("product", [gathered, gathered_unpacked])
def test_gathered_products_of_a_batch_of_nothing(product, batched):
    inputs = [mx.ones((1, 3, 64)), *mx.quantize(mx.ones((2, 4, 64))), mx.array([0, 1])]
    for i in batched:
        inputs[i] = mx.zeros((0, *inputs[i].shape), inputs[i].dtype)
    axes = tuple(0 if i in batched else None for i in range(5))
    out = mx.vmap(product, in_axes=axes)(*inputs)
    assert out.tolist() == []
    assert out.shape == (0, 2, 3, 4)


@pytest.mark.parametrize("batched", [(0,), (1, 2, 3), (0, 1, 2, 3)], ids=str)
def test_products_of_a_batch_of_nothing(batched):
    inputs = [mx.ones((3, 64)), *mx.quantize(mx.ones((4, 64)))]
    for i in batched:
        inputs[i] = mx.zeros((0, *inputs[i].shape), inputs[i].dtype)
    axes = tuple(0 if i in batched else None for i in range(4))
    out = mx.vmap(mx.quantized_matmul, in_axes=axes)(*inputs)
    assert out.tolist() == []
    assert out.shape == (0, 3, 4)
