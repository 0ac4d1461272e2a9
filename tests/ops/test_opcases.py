"""What every row of the tables promises."""

import os

import numpy as np
import plimsoll.core as mx
import pytest

from ops.opcase import (
    ALL,
    FORMATS,
    OpCase,
    assert_close,
    dtype_name,
    eps,
    laid_out,
    outputs,
    read,
    repeated,
    to,
    widened,
)
from ops.tables import CASES

peer = pytest.importorskip("mlx.core")

# Oracles of empty rows.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Mean of empty slice", "ignore:invalid value", "ignore:Degrees of freedom"
)
BATCH = 3


def variants(case: OpCase):
    for shapes in case.shapes:
        yield shapes, ""
    for layout in case.layouts:
        yield case.shapes[0], layout


def shape_id(shapes, layout=""):
    text = ",".join("x".join(map(str, s)) or "0d" for s in shapes) or "none"
    return f"{text}-{layout}" if layout else text


FORWARD = [
    pytest.param(case, dtype, shapes, layout,
                 id=f"{case.family}/{case.name}/{dtype}/{shape_id(shapes, layout)}")
    for case in CASES
    for dtype in case.dtypes
    for shapes, layout in variants(case)
]  # fmt: skip
GRADS = [pytest.param(c, id=f"{c.family}/{c.name}") for c in CASES if c.grad]
REAL_GRADS = [p for p in GRADS if {"float32", "float64"} & set(p.values[0].dtypes)]
MAPPED = [pytest.param(c, id=f"{c.family}/{c.name}") for c in CASES if c.vmap is True]
EACH = [pytest.param(c, id=f"{c.family}/{c.name}") for c in CASES]


def expected(case, dtype, values):
    wide = [widened(v, case.inexact) for v in values]
    want = case.want(dtype, wide)
    with np.errstate(all="ignore"):
        sizes = outputs(case.magnitude(*wide)) if case.magnitude else [None]
    return want, sizes if len(sizes) == len(want) else sizes * len(want)


@pytest.mark.parametrize(("case", "dtype", "shapes", "layout"), FORWARD)
def test_forward(case, dtype, shapes, layout):
    values = case.make(dtype, shapes)
    if layout == "repeated":
        values = tuple(repeated(v) for v in values)
    ours = case.run(mx, dtype, [laid_out(mx, v, dtype, layout) for v in values])
    sizes = [None] * len(ours)
    if case.oracle:
        want, sizes = expected(case, dtype, values)
        assert len(ours) == len(want)
        for got, w, size in zip(ours, want, sizes, strict=True):
            assert_close(read(mx, got), w, dtype_name(got), case.tolerance(dtype_name(got)), size)
    if case.peer_dtypes is None or dtype in case.peer_dtypes:
        theirs = case.run(peer, dtype, [to(peer, v, dtype) for v in values])
        # mlx never returns from some reductions of nothing: shapes and dtypes only.
        empty = any(v.size == 0 for v in values)
        known = case.peer_values is None or dtype in case.peer_values
        compare_with_peer(case, ours, theirs, sizes, known and not empty and not case.peer)


def compare_with_peer(case, ours, theirs, sizes, with_values):
    assert len(ours) == len(theirs)
    for got, their, size in zip(ours, theirs, sizes, strict=True):
        assert dtype_name(got) == dtype_name(their)
        assert got.shape == tuple(their.shape)
        if with_values:
            dtype = dtype_name(got)
            # Several of mlx's float64 functions are computed in float32, and the error of many is
            # absolute near a zero.
            ulps = case.peer_ulps * (2**29 if dtype == "float64" else 1)
            values = read(mx, got)
            if size is None and dtype in FORMATS and ulps > 4:
                size = np.maximum(np.abs(values.astype("c16")), 2.0**-4)
            assert_close(values, read(peer, their), dtype, ulps, size, half=0)


@pytest.mark.parametrize("case", [p for p in EACH if p.values[0].refuses_others is True])
def test_other_dtypes_are_refused(case):
    for dtype in sorted(set(ALL) - set(case.dtypes)):
        values = case.make(dtype, case.shapes[0])
        arrays = [to(mx, v, dtype) for v in values]
        with pytest.raises((ValueError, TypeError, RuntimeError), match=r"\[|expected"):
            case.run(mx, dtype, arrays)


def directions(values, salt):
    """Numbers to weigh outputs or inputs with."""
    rng = np.random.default_rng(salt)
    return [rng.uniform(-1, 1, np.shape(v)) for v in values]


def weighed(m, case, dtype, arrays, weights):
    total = None
    for y, w in zip(case.run(m, dtype, arrays), weights, strict=True):
        if dtype_name(y) not in FORMATS:
            continue
        part = (y * w).sum()
        total = part if total is None else total + part
    return total


def gradients(m, case, values, dtype, weights):
    arrays = [to(m, v, dtype) for v in values]
    held = "float32" if dtype == "complex64" else dtype
    w = [m.array(x, getattr(m, held)) for x in weights]
    grads = m.grad(lambda *a: weighed(m, case, dtype, a, w), argnums=case.grad)(*arrays)
    return grads if isinstance(grads, tuple) else (grads,)


def differences(f, values, at, step=1e-6, every=1):
    """Central differences of a function of float64 arrays by one of them; NaN where left out."""
    x = values[at]
    out = np.full(x.shape, np.nan)
    for i in list(np.ndindex(x.shape))[::every]:
        h = step * max(1.0, abs(x[i]))
        high, low = x.copy(), x.copy()
        high[i] += h
        low[i] -= h
        pair = [f(*values[:at], v, *values[at + 1 :]) for v in (high, low)]
        out[i] = (pair[0] - pair[1]) / (high[i] - low[i])
    return out


def smooth_dtype(case):
    return case.smooth or next(
        d for d in ("float64", "float32", "complex64") if d in case.dtypes
    )  # fmt: skip


def weights_of(case, dtype, values):
    return directions(case.want(dtype, [widened(v, case.inexact) for v in values]), 1)


def assert_near(got, want, relative):
    size = np.max(np.abs(want), initial=0.0)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=relative, atol=relative * max(size, 1e-3))


@pytest.mark.parametrize("case", REAL_GRADS)
def test_gradient_agrees_with_finite_differences(case):
    dtype = smooth_dtype(case)
    values = case.make(dtype, case.shapes[0], salt=1)
    weights = weights_of(case, dtype, values)
    grads = gradients(mx, case, values, dtype, weights)

    def f(*x):
        return sum(
            float(np.sum(np.where(np.isfinite(y), y, 0) * w))
            for y, w in zip(case.want(dtype, x), weights, strict=True)
            if y.dtype.kind == "f"
        )

    wide = [widened(v, False) for v in values]
    # Rounding of f (2e-16) over the step, and the third derivative times its square; in float32
    # the gradient's own rounding is greater.
    relative = 2e-7 if dtype == "float64" else 1e-4
    for g, at in zip(grads, case.grad, strict=True):
        assert dtype_name(g) == dtype_name(to(mx, values[at], dtype))
        assert_near(read(mx, g), differences(f, wide, at), relative)


def complex_differences(f, values, at, step=1e-5):
    """dRe(f)/dRe(x) + i dRe(f)/dIm(x), by central differences."""
    x = values[at]
    out = np.zeros(x.shape, complex)
    for i in np.ndindex(x.shape):
        for unit in (1, 1j):
            high, low = x.copy(), x.copy()
            high[i] += step * unit
            low[i] -= step * unit
            pair = [f(*values[:at], v, *values[at + 1 :]) for v in (high, low)]
            out[i] += unit * (pair[0] - pair[1]).real / (2 * step)
    return out


@pytest.mark.parametrize("case", [p for p in GRADS if "complex64" in p.values[0].dtypes])
def test_complex_gradient_agrees_with_finite_differences(case):
    dtype = "complex64"
    values = case.make(dtype, case.shapes[0], salt=8)
    weights = weights_of(case, dtype, values)
    grads = gradients(mx, case, values, dtype, weights)

    def f(*x):
        return sum(
            np.sum(np.where(np.isfinite(y), y, 0) * w)
            for y, w in zip(case.want(dtype, x), weights, strict=True)
        )

    wide = [widened(v, False) for v in values]
    for g, at in zip(grads, case.grad, strict=True):
        assert dtype_name(g) == "complex64"
        assert_near(read(mx, g), complex_differences(f, wide, at), 1e-4)


@pytest.mark.parametrize("case", GRADS)
def test_gradient_agrees_with_mlx(case):
    for dtype in ("float32", "complex64"):
        if dtype not in case.dtypes or (case.peer_dtypes and dtype not in case.peer_dtypes):
            continue
        if case.grad_peer and (dtype == "complex64" or not case.grad_peer.startswith("complex")):
            continue
        values = case.make(dtype, case.shapes[0], salt=2)
        weights = weights_of(case, dtype, values)
        ours = gradients(mx, case, values, dtype, weights)
        theirs = gradients(peer, case, values, dtype, weights)
        for a, b in zip(ours, theirs, strict=True):
            assert dtype_name(a) == dtype_name(b)
            assert_near(read(mx, a), read(peer, b), 1e-4)


@pytest.mark.parametrize("case", GRADS)
def test_gradient_in_16_bits_keeps_dtype_and_size(case):
    for dtype in ("float16", "bfloat16"):
        if dtype not in case.dtypes or "float32" not in case.dtypes:
            continue
        values = case.make(dtype, case.shapes[0], salt=3)
        weights = weights_of(case, dtype, values)
        grads = gradients(mx, case, values, dtype, weights)
        wide = gradients(mx, case, [widened(v, False).astype("float32") if v.dtype.kind == "f"
                                    else v for v in values], "float32", weights)  # fmt: skip
        for g, w, at in zip(grads, wide, case.grad, strict=True):
            assert dtype_name(g) == dtype_name(to(mx, values[at], dtype))
            # A handful of rounded steps on the way, each within half a unit of its own size.
            assert_near(read(mx, g).astype("f8"), read(mx, w).astype("f8"), 16 * eps(dtype))


@pytest.mark.parametrize("case", [p for p in GRADS if p.values[0].second is True])
def test_second_gradient_agrees_with_finite_differences(case):
    dtype = smooth_dtype(case)
    values = case.make(dtype, case.shapes[0], salt=4)
    weights = weights_of(case, dtype, values)
    at = case.grad[0]
    (v,) = directions([values[at]], 5)
    w = [mx.array(x, getattr(mx, dtype)) for x in weights]

    def slope(*a):
        g = mx.grad(lambda *b: weighed(mx, case, dtype, b, w), argnums=at)(*a)
        return (g * mx.array(v, getattr(mx, dtype))).sum()

    arrays = [to(mx, x, dtype) for x in values]
    got = mx.grad(slope, argnums=at)(*arrays)

    def f(*x):
        return slope(*(to(mx, y, dtype) for y in x)).item()

    step, relative = (1e-6, 1e-6) if dtype == "float64" else (1e-2, 2e-2)
    # Two evaluations an element: thousands of elements would take a minute under pressure.
    every = 1 + values[at].size // 128 if os.environ.get("PLIMSOLL_PRESSURE") else 1
    want = differences(f, list(values), at, step, every)
    known = ~np.isnan(want)
    assert np.sum(known) >= min(values[at].size, 64)
    assert_near(np.where(known, read(mx, got), 0), np.where(known, want, 0), relative)


@pytest.mark.parametrize("case", GRADS)
def test_jvp_is_the_transpose_of_vjp(case):
    dtype = smooth_dtype(case)
    values = case.make(dtype, case.shapes[0], salt=6)
    weights = weights_of(case, dtype, values)
    arrays = [to(mx, x, dtype) for x in values]
    moved = list(case.grad)

    def f(*a):
        full = list(arrays)
        for at, x in zip(moved, a, strict=True):
            full[at] = x
        return [y for y in case.run(mx, dtype, full) if dtype_name(y) in FORMATS]

    primals = [arrays[at] for at in moved]
    tangents = [mx.array(t, p.dtype) for t, p in
                zip(directions([values[at] for at in moved], 7), primals, strict=True)
                ]  # fmt: skip
    cotangents = [mx.array(w, y.dtype) for w, y in
                  zip(list(weights), f(*primals), strict=False)]  # fmt: skip
    _, tangents_out = mx.jvp(f, primals, tangents)
    _, grads = mx.vjp(f, primals, cotangents)
    forward, _ = paired(tangents_out, cotangents)
    backward, size = paired(grads, tangents)
    coarsest = max(eps(dtype_name(y)) for y in [*tangents_out, *primals])
    assert abs(forward - backward) <= 64 * coarsest * max(size, 1e-3)


def paired(xs, ys):
    """The real inner product of two lists of arrays, and the sum of its terms' magnitudes."""
    terms = [mx.real(mx.conjugate(x) * y) for x, y in zip(xs, ys, strict=True)]
    return sum(t.sum().item() for t in terms), sum(mx.abs(t).sum().item() for t in terms)


def mapped_dtype(case):
    preferred = ("float32", "int32", "bool_", "complex64")
    return next((d for d in preferred if d in case.dtypes), case.dtypes[0])


def batch_of(case, dtype, shapes, count):
    sets = [case.make(dtype, shapes, salt=10 + i) for i in range(count)]
    return [np.stack([s[k] for s in sets]) for k in range(len(case.inputs))]


def batched_inputs(case):
    return case.batched if case.batched is not None else tuple(range(len(case.inputs)))


def compare_mapped(case, dtype, mapped, singles):
    for k, got in enumerate(mapped):
        want = np.stack([read(mx, one[k]) for one in singles])
        got_values = read(mx, got)
        # The shape decides the order of sums, so a batch may differ in the last places.
        scale = np.max(np.abs(want), initial=0) if dtype_name(got) in FORMATS else None
        assert_close(got_values, want, dtype_name(got), 4 * case.tolerance(dtype), scale)


@pytest.mark.parametrize("case", MAPPED)
def test_vmap_agrees_with_a_loop(case):
    dtype = mapped_dtype(case)
    for shapes in case.shapes[:2] if len(case.shapes) > 1 else case.shapes:
        stacked = batch_of(case, dtype, shapes, BATCH)
        every = batched_inputs(case)
        choices = [every] if len(every) == 1 else [every, *((i,) for i in every)]
        for choice in choices:
            for axis in (0, -1):
                compare_choice(case, dtype, stacked, choice, axis)


def compare_choice(case, dtype, stacked, choice, axis):
    axes = tuple(axis if i in choice else None for i in range(len(stacked)))
    arrays = [
        to(mx, np.moveaxis(v, 0, axis) if i in choice else v[0], dtype)
        for i, v in enumerate(stacked)
    ]
    mapped = mx.vmap(lambda *a: case.run(mx, dtype, a), in_axes=axes)(*arrays)
    singles = [
        case.run(mx, dtype, [to(mx, v[b] if i in choice else v[0], dtype)
                             for i, v in enumerate(stacked)])
        for b in range(BATCH)
    ]  # fmt: skip
    compare_mapped(case, dtype, mapped, singles)


@pytest.mark.parametrize("case", MAPPED)
def test_nested_vmap_agrees_with_a_loop(case):
    dtype = mapped_dtype(case)
    shapes = case.shapes[0]
    every = batched_inputs(case)
    stacked = batch_of(case, dtype, shapes, 2 * BATCH)
    axes = tuple(0 if i in every else None for i in range(len(stacked)))
    arrays = [
        to(mx, v.reshape(2, BATCH, *v.shape[1:]) if i in every else v[0], dtype)
        for i, v in enumerate(stacked)
    ]
    twice = mx.vmap(mx.vmap(lambda *a: case.run(mx, dtype, a), in_axes=axes), in_axes=axes)
    mapped = [mx.flatten(y, 0, 1) for y in twice(*arrays)]
    singles = [
        case.run(mx, dtype, [to(mx, v[b] if i in every else v[0], dtype)
                             for i, v in enumerate(stacked)])
        for b in range(2 * BATCH)
    ]  # fmt: skip
    compare_mapped(case, dtype, mapped, singles)


@pytest.mark.parametrize("case", [p for p in GRADS if p.values[0].vmap is True])
def test_gradients_are_mapped(case):
    dtype = smooth_dtype(case)
    at = case.grad[0]
    if at not in batched_inputs(case):
        pytest.skip("the row says that the input is not mapped")
    stacked = batch_of(case, dtype, case.shapes[0], BATCH)
    weights = [mx.array(w, getattr(mx, dtype)) for w in
               weights_of(case, dtype, [v[0] for v in stacked])]  # fmt: skip

    def slope(*a):
        return mx.grad(lambda *b: weighed(mx, case, dtype, b, weights), argnums=at)(*a)

    fixed = [to(mx, v[0], dtype) for v in stacked]
    axes = tuple(0 if i == at else None for i in range(len(stacked)))
    arrays = [to(mx, v, dtype) if i == at else fixed[i] for i, v in enumerate(stacked)]
    got = read(mx, mx.vmap(slope, in_axes=axes)(*arrays))
    for b in range(BATCH):
        one = list(fixed)
        one[at] = to(mx, stacked[at][b], dtype)
        assert_near(got[b], read(mx, slope(*one)), 256 * eps(dtype))
