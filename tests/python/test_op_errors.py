"""Arguments that do not fit raise the wheel's error class, with a text that names the function."""

import plimsoll.core as mx
import pytest

peer = pytest.importorskip("mlx.core")


def words(m):
    return m.zeros((4, 8), m.uint32)


def half_a_group(m):
    """Rows of 96 numbers in 4 bits, which are one group of 64 and a half."""
    return m.zeros((4, 12), m.uint32), m.zeros((4, 1)), m.zeros((4, 1))


def attend(m, sinks, dtype="float32", **more):
    x = m.zeros((1, 2, 3, 4), getattr(m, dtype))
    return m.fast.scaled_dot_product_attention(x, x, x, scale=1.0, sinks=sinks, **more)


def update(m, q=(1, 2, 2, 3), v=(1, 2, 4, 5), rate=(1, 2, 4), **more):
    x = m.zeros(q)
    return m.fast.gated_delta_update(x, x, m.zeros(v), m.zeros(rate), m.zeros((1, 2, 4)), **more)


# Name, call; a is 2 by 3, v has 5 elements.
CALLS = [
    ("roll", lambda m, a, v: m.roll(a, 1, 5)),
    ("roll", lambda m, a, v: m.roll(a, (1,) * 2, (0, 1, 0))),
    ("flip", lambda m, a, v: m.flip(a, 3)),
    ("matrix_transpose", lambda m, a, v: m.matrix_transpose(v)),
    ("unstack", lambda m, a, v: m.unstack(a, axis=2)),
    ("meshgrid", lambda m, a, v: m.meshgrid(v, v, indexing="k")),
    ("diag", lambda m, a, v: m.diag(m.zeros((2, 2, 2)))),
    ("diagonal", lambda m, a, v: m.diagonal(v)),
    ("diagonal", lambda m, a, v: m.diagonal(a, 0, 0, -2)),
    ("diagonal", lambda m, a, v: m.diagonal(a, 0, 0, 3)),
    ("diff", lambda m, a, v: m.diff(a, -1)),
    ("diff", lambda m, a, v: m.diff(a, 1, 4)),
    ("kron", lambda m, a, v: m.kron(m.zeros((0,)), v)),
    ("sum", lambda m, a, v: m.count_nonzero(a, axis=5)),
    ("vecdot", lambda m, a, v: m.vecdot(m.array(1), v)),
    ("vecdot", lambda m, a, v: m.vecdot(a, v)),
    ("vecdot", lambda m, a, v: m.vecdot(a, a, axis=2)),
    ("linalg.cross", lambda m, a, v: m.linalg.cross(v, v)),
    ("linalg.cross", lambda m, a, v: m.linalg.cross(a, a, axis=5)),
    ("as_strided", lambda m, a, v: m.as_strided(a, (-6,))),
    ("view", lambda m, a, v: m.view(m.array([1, 2, 3], m.int16), m.int32)),
    ("view", lambda m, a, v: m.view(m.array(1.0), m.int16)),
    ("scaled_dot_product_attention", lambda m, a, v: attend(m, m.zeros((1,)))),
    ("scaled_dot_product_attention", lambda m, a, v: attend(m, m.zeros((1, 2)))),
    ("scaled_dot_product_attention", lambda m, a, v: attend(m, m.zeros((2,)), "float16")),
    ("scaled_dot_product_attention", lambda m, a, v: attend(m, None, "float64", force_fused=True)),
    ("gated_delta_update", lambda m, a, v: update(m, v=(1, 2, 3, 5))),
    ("gated_delta_update", lambda m, a, v: update(m, v=(1, 1, 4, 5))),
    ("gated_delta_update", lambda m, a, v: update(m, rate=(1, 2, 4, 5))),
    ("gated_delta_update", lambda m, a, v: update(m, initial_state=m.zeros((1, 4, 3, 5)))),
    ("gated_delta_update", lambda m, a, v: update(m, mask=m.ones((1, 1)))),
    ("slice", lambda m, a, v: m.slice(a, m.array([1]), (0, 1), (1, 2))),
    ("slice", lambda m, a, v: m.slice(a, m.array([1]), (0,), (1,))),
    ("slice", lambda m, a, v: m.slice(a, m.array([1.0]), (0,), (1, 2))),
    ("slice", lambda m, a, v: m.slice(a, m.array([[1]]), (0,), (1, 2))),
    ("slice", lambda m, a, v: m.slice(a, m.array([1]), (3,), (1, 2))),
    ("slice", lambda m, a, v: m.slice(a, m.array([0, 1]), (1, 1), (1, 2))),
    ("slice", lambda m, a, v: m.slice(a, m.array([1]), (0,), (3, 2))),
    ("slice_update", lambda m, a, v: m.slice_update(a, m.zeros((3, 2)), m.array([0, 0]), (0, 1))),
    ("slice_update", lambda m, a, v: m.slice_update(a, v[:1], m.array([0]), (5,))),
    ("partition", lambda m, a, v: m.partition(v, 5)),
    ("partition", lambda m, a, v: m.partition(v, 0, axis=3)),
    ("argpartition", lambda m, a, v: m.argpartition(v, -6)),
    ("topk", lambda m, a, v: m.topk(v, 6)),
    ("topk", lambda m, a, v: m.topk(v, -1)),
    ("median", lambda m, a, v: m.median(m.zeros((0,)))),
    ("median", lambda m, a, v: m.median(a, 5)),
    ("median", lambda m, a, v: m.median(a, (0, 0))),
    ("searchsorted", lambda m, a, v: m.searchsorted(a, v)),
    ("searchsorted", lambda m, a, v: m.searchsorted(v, v, side="foo")),
    ("unique", lambda m, a, v: m.unique(v, -1)),
    ("unique", lambda m, a, v: m.unique(m.zeros((0,)), 2)),
    ("unique", lambda m, a, v: m.unique(v, 3, fill_value=v)),
    ("einsum", lambda m, a, v: m.einsum("ij,jk", a)),
    ("einsum", lambda m, a, v: m.einsum("i", a)),
    ("einsum", lambda m, a, v: m.einsum("ij->ii", a)),
    ("einsum", lambda m, a, v: m.einsum("i1", a)),
    ("einsum", lambda m, a, v: m.einsum("i.j", a)),
    ("einsum", lambda m, a, v: m.einsum("ij,jk->ik", a, v[:2, None])),
    ("einsum", lambda m, a, v: m.einsum("ii", a)),
    ("einsum", lambda m, a, v: m.einsum("ij")),
    ("einsum", lambda m, a, v: m.einsum("i\0", v)),
    ("einsum", lambda m, a, v: m.einsum("ii", a[:1])),
    ("einsum", lambda m, a, v: m.einsum_path("ii", a[:1])),
    ("matmul", lambda m, a, v: m.einsum("ij,ij->i", a, a)),
    ("convolve", lambda m, a, v: m.convolve(v, v)),
    ("convolve", lambda m, a, v: m.convolve(a * 1.0, v * 1.0)),
    ("convolve", lambda m, a, v: m.convolve(v * 1.0, v * 1.0, "foo")),
    ("convolve", lambda m, a, v: m.convolve(m.zeros(0), v * 1.0)),
    ("gather_mm", lambda m, a, v: m.gather_mm(a, a.T, v[:1] * 0)),
    ("gather_mm", lambda m, a, v: m.gather_mm(a * 1.0, a * 1.0, v[:1] * 0)),
    ("gather_mm", lambda m, a, v: m.gather_mm(a * 1.0, a.T * 1.0, v * 1.0)),
    ("segmented_mm", lambda m, a, v: m.segmented_mm(a * 1.0, a.T * 1.0, v)),
    ("segmented_mm", lambda m, a, v: m.segmented_mm(a * 1.0, a.T * 1.0, v[:2] * 1.0)),
    ("segmented_mm", lambda m, a, v: m.segmented_mm(m.zeros((1, 2, 3)), a.T * 1.0, v[:2])),
    ("block_masked_mm", lambda m, a, v: m.block_masked_mm(a * 1.0, a.T * 1.0, 16, m.ones((1, 1)))),
    ("matmul", lambda m, a, v: m.block_masked_mm(a, a.T, 32)),
    ("hadamard_transform", lambda m, a, v: m.eval(m.hadamard_transform(m.zeros(10)))),
    ("hadamard_transform", lambda m, a, v: m.hadamard_transform(m.zeros((2, 0)))),
    ("to_fp8", lambda m, a, v: m.to_fp8(a)),
    ("from_fp8", lambda m, a, v: m.from_fp8(a, m.float32)),
    ("from_fp8", lambda m, a, v: m.from_fp8(a.astype(m.uint8), m.int32)),
    ("quantize", lambda m, a, v: m.quantize(m.zeros((4, 48)), group_size=32)),
    ("quantize", lambda m, a, v: m.quantize(m.zeros(64))),
    ("quantize", lambda m, a, v: m.quantize(m.zeros((4, 64), m.int32))),
    ("quantize", lambda m, a, v: m.quantize(m.zeros((4, 64)), group_size=16)),
    ("quantize", lambda m, a, v: m.quantize(m.zeros((4, 64)), bits=7)),
    ("quantize", lambda m, a, v: m.quantize(m.zeros((4, 64)), mode="foo")),
    ("quantize", lambda m, a, v: m.quantize(m.zeros((4, 64)), 64, mode="mxfp4")),
    ("quantize", lambda m, a, v: m.quantize(m.zeros((4, 64)), global_scale=m.array(1.0))),
    ("dequantize", lambda m, a, v: m.dequantize(words(m), m.zeros((4, 1)))),
    ("dequantize", lambda m, a, v: m.dequantize(words(m), m.zeros((4, 2)), m.zeros((4, 2)))),
    ("dequantize", lambda m, a, v: m.dequantize(a, m.zeros((4, 1)), m.zeros((4, 1)))),
    ("dequantize", lambda m, a, v: m.dequantize(words(m), m.zeros((4, 2)), mode="mxfp4")),
    (
        "quantized_matmul",
        lambda m, a, v: m.quantized_matmul(
            m.zeros((3, 32)), words(m), m.zeros((4, 1)), m.zeros((4, 1))
        ),
    ),
    (
        "quantized_matmul",
        lambda m, a, v: m.quantized_matmul(m.zeros((3, 64)), words(m), m.zeros((4, 1))),
    ),
    (
        "quantized_matmul",
        lambda m, a, v: m.quantized_matmul(m.zeros((3, 64)), a, m.zeros((4, 1)), m.zeros((4, 1))),
    ),
    ("dequantize", lambda m, a, v: m.dequantize(*half_a_group(m))),
    ("quantized_matmul", lambda m, a, v: m.quantized_matmul(m.zeros((3, 96)), *half_a_group(m))),
    (
        "gather_qmm",
        lambda m, a, v: m.gather_qmm(m.zeros((3, 96)), *half_a_group(m), rhs_indices=m.array(0)),
    ),
    ("multivariate_normal", lambda m, a, v: m.random.multivariate_normal(m.zeros(2), m.eye(3))),
    ("multivariate_normal", lambda m, a, v: m.random.multivariate_normal(m.array(1.0), m.eye(1))),
    (
        "multivariate_normal",
        lambda m, a, v: m.random.multivariate_normal(m.zeros(2), m.eye(2), dtype=m.float16),
    ),
]


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_error_class(name, call):
    arguments = [
        [m.arange(6).reshape(2, 3), m.arange(5)] for m in (peer, mx)
    ]  # fmt: skip
    with pytest.raises((ValueError, IndexError)) as want:
        call(peer, *arguments[0])
    with pytest.raises(want.type, match=rf"^\[{name}\]"):
        call(mx, *arguments[1])


def test_starts_outside_are_refused_on_evaluation():
    a = mx.arange(6).reshape(2, 3)
    for start in (2, -3):
        with pytest.raises(IndexError, match="index"):
            mx.eval(mx.slice(a, mx.array([start]), (0,), (1, 3)))
        with pytest.raises(IndexError, match="index"):
            mx.eval(mx.slice_update(a, mx.array([9]), mx.array([start]), (0,)))
    assert mx.slice(a, mx.array([-1]), (0,), (1, 3)).tolist() == [[3, 4, 5]]
    with pytest.raises(ValueError, match=r"\[as_strided\] expected elements 0 to 5"):
        mx.as_strided(a, (2, 4))


@pytest.mark.parametrize("einsum", [mx.einsum, mx.einsum_path])
def test_bytes_of_other_letters_are_named(einsum):
    with pytest.raises(ValueError, match=r"\[einsum\] expected letters .* got '\\xc3'"):
        einsum("é", mx.ones(3))


def test_einsum_path_is_that_of_mlx():
    for subscripts, shapes in (
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij->i", [(2, 3)]),
        ("ij,jk,kl->il", [(2, 30), (30, 4), (4, 50)]),
        ("ij,jk,kl->il", [(200, 3), (3, 400), (400, 5)]),
        ("ab,bc,cd,de,ef,fg,gh->ah", [(5, 5)] * 7),
        ("...ij,...jk->...ik", [(7, 2, 3), (7, 3, 2)]),
    ):
        ours = mx.einsum_path(subscripts, *(mx.zeros(s) for s in shapes))
        assert ours == peer.einsum_path(subscripts, *(peer.zeros(s) for s in shapes))
