"""Errors and edges of linalg, beside the tables of tests/ops."""

import numpy as np
import plimsoll.core as mx
import pytest

peer = pytest.importorskip("mlx.core")
SQUARE = ("cholesky", "inv", "tri_inv", "cholesky_inv", "det", "slogdet", "eig", "eigvals")


@pytest.mark.parametrize("name", [*SQUARE, "qr", "svd", "lu", "lu_factor", "pinv"])
def test_shapes_and_dtypes_that_do_not_fit_are_refused_when_recorded(name):
    for m in (mx, peer):
        f = getattr(m.linalg, name)
        with pytest.raises(ValueError, match=name.removeprefix("tri_")):
            f(m.zeros((3,)))
        if name in SQUARE:
            with pytest.raises(ValueError, match="linalg"):
                f(m.zeros((2, 3)))
        if name not in ("det", "slogdet"):
            with pytest.raises(ValueError, match="float32"):
                f(m.zeros((2, 2), m.int32))


@pytest.mark.parametrize("m", [mx, peer], ids=["plimsoll", "mlx"])
def test_singular_matrices_are_refused_when_evaluated(m):
    zeros, ones = m.zeros((2, 2)), m.ones((2, 1))
    for f in (
        lambda: m.linalg.inv(zeros),
        lambda: m.linalg.tri_inv(zeros),
        lambda: m.linalg.cholesky_inv(zeros),
        lambda: m.linalg.solve(zeros, ones),
        lambda: m.linalg.solve_triangular(zeros, ones),
    ):
        with pytest.raises(RuntimeError):
            m.eval(f())


@pytest.mark.parametrize("name", ["solve", "solve_triangular"])
def test_systems_that_do_not_fit_are_refused(name):
    for m in (mx, peer):
        f = getattr(m.linalg, name)
        for a, b in (((2, 2), (3,)), ((2, 3), (2,)), ((2,), (2,)), ((2, 2), (3, 2))):
            with pytest.raises(ValueError, match=name):
                f(m.ones(a), m.ones(b))


def test_determinants_take_integers_and_16_bits():
    for dtype, result in ((mx.int32, mx.float32), (mx.float16, mx.float16)):
        a = mx.array([[2, 1], [4, 5]], dtype)
        assert mx.linalg.det(a).dtype == result
        assert mx.linalg.det(a).item() == 6
        sign, log = mx.linalg.slogdet(a)
        assert (sign.item(), log.dtype) == (1, result)
    sign, log = mx.linalg.slogdet(mx.zeros((2, 2)))
    assert (sign.item(), log.item()) == (0, -np.inf)


def test_svd_without_vectors_is_one_array():
    a = mx.array([[3.0, 0.0], [0.0, 4.0]])
    assert mx.linalg.svd(a, compute_uv=False).tolist() == [4, 3]
    assert len(mx.linalg.svd(a)) == 3


def test_gradient_of_complex_singular_vectors_is_refused():
    with pytest.raises(ValueError, match="complex64"):
        mx.grad(lambda a: mx.abs(mx.linalg.svd(a)[0]).sum())(mx.ones((2, 2), mx.complex64))


def test_gradient_of_a_rectangular_lu_is_refused():
    with pytest.raises(ValueError, match="square"):
        mx.grad(lambda a: mx.linalg.lu_factor(a)[0].sum())(mx.ones((3, 2)))
