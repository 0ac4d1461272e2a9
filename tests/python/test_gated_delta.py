"""What fast.gated_delta_update promises besides the rows of tests/ops."""

import numpy as np
import plimsoll.core as mx
import pytest

peer = pytest.importorskip("mlx.core")


def inputs(m, dtype="float32"):
    rng = np.random.default_rng(0)
    shapes = (1, 6, 2, 4), (1, 6, 2, 4), (1, 6, 4, 3), (1, 6, 4), (1, 6, 4)
    return [m.array(rng.random(s).astype("f4")).astype(getattr(m, dtype)) for s in shapes]


def test_a_sequence_in_parts_is_the_sequence():
    arrays = inputs(mx)
    out, state = mx.fast.gated_delta_update(*arrays)
    first, middle = mx.fast.gated_delta_update(*(a[:, :2] for a in arrays))
    second, last = mx.fast.gated_delta_update(*(a[:, 2:] for a in arrays), middle)
    assert mx.array_equal(mx.concatenate([first, second], 1), out)
    assert mx.array_equal(last, state)


def test_no_steps_leave_the_state():
    arrays = [a[:, :0] for a in inputs(mx)]
    start = mx.random.normal((1, 4, 3, 4))
    out, state = mx.fast.gated_delta_update(*arrays, start)
    assert out.shape == (1, 0, 4, 3)
    assert mx.array_equal(state, start)
    assert not mx.fast.gated_delta_update(*arrays)[1].any()


@pytest.mark.parametrize("at", range(5))
def test_masked_steps_may_hold_anything(at):
    arrays = inputs(mx)
    seen = mx.array([[True, False, True, True, False, True]])
    rows = seen.reshape(1, 6, *[1] * (arrays[at].ndim - 2))
    holed = [*arrays]
    holed[at] = mx.where(rows, arrays[at], mx.array(float("nan")))

    def loss(*a):
        out, state = mx.fast.gated_delta_update(*a, mask=seen)
        return (out * out).sum() + state.sum()

    def seen_of(a):
        return [*mx.fast.gated_delta_update(*a, mask=seen), *mx.grad(loss, range(5))(*a)]

    ours = seen_of(holed)
    for a, b in zip(ours, seen_of(arrays), strict=True):
        assert mx.array_equal(a, b)
    assert not mx.where(rows, 0, ours[2 + at]).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int32"])
@pytest.mark.parametrize("at", [(0,), (1,), (0, 1), (2,), (3,), (4,), (0, 1, 2, 3, 4)], ids=str)
def test_dtypes_are_mlx_s(dtype, at):
    found = []
    for m in (mx, peer):
        arrays, others = inputs(m), inputs(m, dtype)
        mixed = [others[i] if i in at else a for i, a in enumerate(arrays)]
        results = m.fast.gated_delta_update(*mixed)
        assert type(results) is list
        found.append([str(r.dtype).split(".")[-1] for r in results])
    assert found[0] == found[1]


def test_complex_numbers_are_refused():
    arrays = [a.astype(mx.complex64) for a in inputs(mx)]
    with pytest.raises(ValueError, match="real numbers"):
        mx.fast.gated_delta_update(*arrays)
