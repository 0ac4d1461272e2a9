"""Convolution, pooling and resizing layers of nn against MLX's."""

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import pytest

pytest.importorskip("mlx.nn")
from python.test_nn_layers import close, compare, data, peer, pnn, same_refusal


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda n: n.Conv1d(4, 6, 3), (2, 9, 4)),
        (lambda n: n.Conv1d(4, 6, 3, 2, 1, 2, 2, False), (2, 9, 4)),
        (lambda n: n.Conv2d(4, 6, 3), (2, 7, 8, 4)),
        (lambda n: n.Conv2d(4, 6, (3, 2), (1, 2), (2, 1), (1, 2), groups=2), (2, 7, 8, 4)),
        (lambda n: n.Conv3d(2, 3, 2, padding=1), (1, 4, 3, 5, 2)),
        (lambda n: n.ConvTranspose1d(4, 6, 3, 2, 1), (2, 5, 4)),
        (lambda n: n.ConvTranspose2d(4, 6, (3, 2), 2, bias=False), (2, 5, 4, 4)),
        (lambda n: n.ConvTranspose3d(2, 3, 2, 2, 1), (1, 3, 4, 3, 2)),
    ],
)
def test_convolutions(make, shape):
    compare(make, data(*shape))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda n: n.MaxPool1d(2), (2, 9, 3)),
        (lambda n: n.MaxPool1d(2), (2, 8, 3)),
        (lambda n: n.MaxPool1d((3,), 2, 1), (2, 9, 3)),
        (lambda n: n.MaxPool2d(2), (2, 6, 8, 3)),
        (lambda n: n.MaxPool2d(3, 2, 1), (2, 7, 8, 3)),
        (lambda n: n.MaxPool2d((2, 3), stride=(1, 2)), (2, 7, 8, 3)),
        (lambda n: n.MaxPool3d(2, 1), (1, 4, 3, 5, 2)),
        (lambda n: n.AvgPool1d(3, 1, 1), (2, 9, 3)),
        (lambda n: n.AvgPool2d(2), (2, 6, 8, 3)),
        (lambda n: n.AvgPool2d((3, 2), 2, (1, 0)), (2, 7, 8, 3)),
        (lambda n: n.AvgPool3d(2), (1, 4, 3, 5, 2)),
    ],
)
def test_pools(make, shape):
    compare(make, data(*shape))


@pytest.mark.parametrize("make", [lambda n: n.MaxPool1d(2), lambda n: n.MaxPool1d(3, 2, 1)])
def test_equal_greatest_values_share_the_gradient(make):
    def gradient(m, n):
        weights = m.array([[[1.0], [2.0]]])
        return m.grad(lambda x: (make(n)(x) * weights).sum())(m.zeros((1, 4, 1)))

    close(gradient(mx, nn), gradient(peer, pnn))


def test_pools_keep_infinities_and_whole_numbers():
    x = np.array([[[-np.inf], [np.inf], [1.0], [-np.inf], [-np.inf]]], "float32")
    got = np.array(nn.MaxPool1d(2, 1)(mx.array(x)))
    assert got.ravel().tolist() == [np.inf, np.inf, 1, -np.inf]
    whole = nn.MaxPool1d(2, 1)(mx.array([[[3], [1], [2]]]))
    assert whole.dtype == mx.int32
    assert whole.tolist() == [[[3], [2]]]


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("scale", [2, 1.5, 0.5, (2, 0.4)])
@pytest.mark.parametrize("align", [False, True])
def test_upsample(mode, scale, align):
    compare(lambda n: n.Upsample(scale, mode, align), data(2, 6, 5, 3))


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("scale", [2, 0.5, 0.25])
def test_upsample_without_aliasing(mode, scale):
    compare(lambda n: n.Upsample(scale, mode, antialias=True), data(2, 8, 12, 3))


def test_refusals():
    same_refusal(lambda n, m: n.Conv2d(3, 4, 2, groups=2))
    same_refusal(lambda n, m: n.MaxPool2d((2, 2, 2)))
    same_refusal(lambda n, m: n.AvgPool1d(2, "a"))
    same_refusal(lambda n, m: n.Upsample(2, "other"))
    same_refusal(lambda n, m: n.Upsample(2, antialias=True))
    same_refusal(lambda n, m: n.Upsample(2, "linear", True, antialias=True))
    same_refusal(lambda n, m: n.Upsample(2)(m.zeros((2, 3))))
    same_refusal(lambda n, m: n.Upsample((2, 2))(m.zeros((2, 3, 3))))
    with pytest.raises(ValueError, match="MaxPool2d"):
        nn.MaxPool2d(2)(mx.zeros((2, 4, 3)))
