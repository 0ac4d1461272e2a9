"""Layers of nn against MLX's: parameters, values, gradients, texts and errors."""

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import pytest
from plimsoll.utils import tree_flatten

peer = pytest.importorskip("mlx.core")
pnn = pytest.importorskip("mlx.nn")


def close(ours, theirs, rtol=2e-5, atol=2e-6):
    ours, theirs = np.array(ours), np.array(theirs)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def data(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32") * 2


def pair(make):
    mx.random.seed(7)
    peer.random.seed(7)
    return make(nn), make(pnn)


def total(m, out):
    """A number that depends on each element differently."""
    parts = out if isinstance(out, tuple) else (out,)
    return sum((m.sin(part) * part).sum() for part in parts)


def compare(make, *inputs):
    """Same parameters, text, values, gradients by parameters and by the first input."""
    layers = pair(make)
    assert repr(layers[0]) == repr(layers[1]) or "0x" in repr(layers[1])
    results = []
    for m, n, layer in ((mx, nn, layers[0]), (peer, pnn, layers[1])):
        args = [None if i is None else m.array(i) for i in inputs]
        out = layer(*args)
        start = tree_flatten(layer.parameters())  # running statistics after one batch
        by_input = m.grad(lambda a, m=m, layer=layer, args=args: total(m, layer(a, *args[1:])))
        grads = []
        if tree_flatten(layer.trainable_parameters()):
            step = n.value_and_grad(layer, lambda m=m, run=layer, args=args: total(m, run(*args)))
            grads = tree_flatten(step()[1])
        parts = out if isinstance(out, tuple) else (out,)
        results.append(([*start, ("input", by_input(args[0])), *grads], parts))
    (ours, outs), (theirs, their_outs) = results
    for mine, other in zip(outs, their_outs, strict=True):
        close(mine, other)
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    for (_, mine), (_, other) in zip(ours, theirs, strict=True):
        close(mine, other, rtol=2e-4, atol=2e-5)


def same_refusal(call):
    with pytest.raises(ValueError) as theirs:  # noqa: PT011 (the text is compared below)
        call(pnn, peer)
    with pytest.raises(ValueError) as ours:  # noqa: PT011
        call(nn, mx)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: n.CELU(), lambda n: n.CELU(0.5), lambda n: n.SELU(), lambda n: n.GLU(),
        lambda n: n.GLU(axis=0), lambda n: n.HardTanh(), lambda n: n.HardShrink(),
        lambda n: n.HardShrink(0.2), lambda n: n.Softshrink(), lambda n: n.Softshrink(0.2),
        lambda n: n.ReLU2(), lambda n: n.Softmin(),
    ],
)  # fmt: skip
def test_activation_layers(make):
    compare(make, data(4, 6))


@pytest.mark.parametrize(
    "call",
    [
        lambda n, x: n.celu(x, 0.7), lambda n, x: n.selu(x), lambda n, x: n.relu2(x),
        lambda n, x: n.hard_tanh(x, -0.5, 1.5), lambda n, x: n.hard_shrink(x, 1.0),
        lambda n, x: n.softshrink(x, 1.0), lambda n, x: n.softmin(x, axis=0),
        lambda n, x: n.Step(0.3)(x),
    ],
)  # fmt: skip
def test_activation_functions(call):
    close(call(nn, mx.array(data(3, 5))), call(pnn, peer.array(data(3, 5))))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(5, 6), (3, 4, 6), (2, 3, 4, 6)])
def test_normalization_layers(shape, affine):
    compare(lambda n: n.BatchNorm(6, affine=affine, eps=1e-3), data(*shape))
    compare(lambda n: n.BatchNorm(6, affine=affine).eval(), data(*shape))
    compare(lambda n: n.BatchNorm(6, affine=affine, track_running_stats=False), data(*shape))
    compare(lambda n: n.BatchNorm(6, momentum=0.3, affine=affine), data(*shape))
    for pytorch in (True, False):
        compare(
            lambda n, pytorch=pytorch: n.GroupNorm(3, 6, affine=affine, pytorch_compatible=pytorch),
            data(*shape),
        )
    if len(shape) > 2:
        compare(lambda n: n.InstanceNorm(6, affine=affine), data(*shape))


def test_running_statistics_are_never_trained():
    ours, theirs = pair(lambda n: n.BatchNorm(3))
    for layer in (ours, theirs):
        layer.freeze()
        layer.unfreeze()
    names = [[n for n, _ in tree_flatten(layer.trainable_parameters())] for layer in (ours, theirs)]
    assert names[0] == names[1] == ["weight", "bias"]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("Dropout2d", (2, 3, 4, 5)), ("Dropout2d", (3, 4, 5)), ("Dropout3d", (2, 2, 3, 4, 5)),
     ("Dropout3d", (2, 3, 4, 5))],
)  # fmt: skip
def test_channel_dropout(name, shape):
    compare(lambda n: getattr(n, name)().eval(), data(*shape))
    ours, theirs = (getattr(n, name)(0.4) for n in (nn, pnn))
    mx.random.seed(9)
    peer.random.seed(9)
    close(ours(mx.array(data(*shape))), theirs(peer.array(data(*shape))))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(
    "call",
    [
        lambda n, a, b, c, r: n.losses.gaussian_nll_loss(a, b, abs(c), reduction=r),
        lambda n, a, b, c, r: n.losses.gaussian_nll_loss(a, b, abs(c), True, 0.5, reduction=r),
        lambda n, a, b, c, r: n.losses.margin_ranking_loss(a, b, c, 0.3, reduction=r),
        lambda n, a, b, c, r: n.losses.triplet_loss(a, b, c, reduction=r),
        lambda n, a, b, c, r: n.losses.triplet_loss(a, b, c, 0, 1, 0.5, 1e-3, reduction=r),
    ],
)
def test_losses_of_three_arrays(call, reduction):
    arrays = data(3, 4, 5)
    close(
        call(nn, *(mx.array(a) for a in arrays), reduction),
        call(pnn, *(peer.array(a) for a in arrays), reduction),
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda n, m: n.BatchNorm(3)(m.zeros(2)),
        lambda n, m: n.BatchNorm(3)(m.zeros((2, 2, 2, 2, 3))),
        lambda n, m: n.BatchNorm(3)(m.zeros((1, 3))),
        lambda n, m: n.BatchNorm(3, track_running_stats=False)(m.zeros((1, 3))),
        lambda n, m: n.GroupNorm(3, 4),
        lambda n, m: n.InstanceNorm(3)(m.zeros((2, 3))),
        lambda n, m: n.Dropout2d(1.0),
        lambda n, m: n.Dropout3d(-0.1),
        lambda n, m: n.Dropout2d()(m.zeros((2, 3))),
        lambda n, m: n.Dropout3d()(m.zeros((2, 3, 4))),
        lambda n, m: n.losses.mse_loss(m.zeros(3), m.zeros(3), "x"),
        lambda n, m: n.losses.gaussian_nll_loss(m.zeros(3), m.zeros(2), m.zeros(3)),
        lambda n, m: n.losses.gaussian_nll_loss(m.zeros(3), m.zeros(3), m.zeros(2)),
        lambda n, m: n.losses.margin_ranking_loss(m.zeros(3), m.zeros(2), m.zeros(3)),
    ],
)
def test_arguments_are_refused_as_by_mlx(call):
    same_refusal(call)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_recurrent_layers(name, bias):
    for shape in ((5, 3), (2, 5, 3)):
        compare(lambda n: getattr(n, name)(3, 4, bias=bias), data(*shape))
        hidden = data(*shape[:-2], 4)
        compare(lambda n: getattr(n, name)(3, 4, bias=bias), data(*shape), hidden)
    if name == "LSTM":
        compare(lambda n: n.LSTM(3, 4, bias=bias), data(2, 5, 3), data(2, 4), data(2, 4) / 2)
    if name == "RNN":
        compare(lambda n: n.RNN(3, 4, bias=bias, nonlinearity=n.relu), data(2, 5, 3))


@pytest.mark.parametrize(
    "options",
    [{}, {"min_freq": 0.01, "max_freq": 2}, {"scale": 1.0}, {"cos_first": True},
     {"full_turns": True}],
)  # fmt: skip
def test_sinusoidal_positions(options):
    compare(lambda n: n.SinusoidalPositionalEncoding(8, **options), data(2, 5))


@pytest.mark.parametrize("heads", [1, 3, 6, 8])
def test_alibi(heads):
    scores, mask = data(2, heads, 3, 5), data(3, 5)
    for offset in (0, 2):
        ours = nn.ALiBi()(mx.array(scores), offset, mx.array(mask))
        close(ours, pnn.ALiBi()(peer.array(scores), offset, peer.array(mask)))
    compare(lambda n: n.ALiBi(), scores)


def test_sequence_layers_refuse_as_mlx():
    same_refusal(lambda n, m: n.SinusoidalPositionalEncoding(7))
    same_refusal(lambda n, m: n.RNN(3, 4, nonlinearity=3))
