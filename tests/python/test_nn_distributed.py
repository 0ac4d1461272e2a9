"""Sharded layers of nn for a group of one process, against MLX's; larger groups are refused."""

import inspect

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import pytest
from plimsoll.nn.layers import distributed
from plimsoll.utils import tree_flatten

peer = pytest.importorskip("mlx.core")
pnn = pytest.importorskip("mlx.nn")

PLAIN = ("AllToShardedLinear", "ShardedToAllLinear")
QUANTIZED = ("QuantizedAllToShardedLinear", "QuantizedShardedToAllLinear")
X = np.random.default_rng(0).standard_normal((3, 64)).astype("float32")


class Two:
    def size(self):
        return 2


def on_both(make):
    out = []
    for m, n in ((mx, nn), (peer, pnn)):
        m.random.seed(7)
        out.append(make(m, n))
    return out


def seen(m, layer):
    """What is compared: text, parameters, trainable names, values."""
    return (
        repr(layer),
        [(name, value.tolist()) for name, value in tree_flatten(layer.parameters())],
        [name for name, _ in tree_flatten(layer.trainable_parameters())],
    ), np.array(layer(m.array(X)))


def same(make):
    (ours, values), (theirs, their_values) = on_both(lambda m, n: seen(m, make(m, n)))
    assert ours == theirs
    np.testing.assert_allclose(values, their_values, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", PLAIN)
def test_plain_layers_are_mlx_s(name, bias):
    same(lambda _, n: getattr(n, name)(64, 6, bias))
    same(lambda m, n: getattr(n, name)(64, 6, bias, m.distributed.init()))
    same(lambda _, n: getattr(n, name).from_linear(n.Linear(64, 6, bias), segments=2))


@pytest.mark.parametrize("name", QUANTIZED)
@pytest.mark.parametrize(
    "settings", [{}, {"group_size": 32, "bits": 8}, {"group_size": 16, "mode": "nvfp4"}], ids=str
)
def test_quantized_layers_are_mlx_s(name, settings):
    same(lambda _, n: getattr(n, name)(64, 6, True, **settings))
    same(lambda _, n: getattr(n, name).from_quantized_linear(n.QuantizedLinear(64, 6, **settings)))


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_layers_stay_frozen(name):
    layer = getattr(nn, name)(64, 6)
    assert layer.unfreeze() is layer
    assert tree_flatten(layer.trainable_parameters()) == []
    for _, n in ((mx, nn), (peer, pnn)):
        with pytest.raises(ValueError, match="group"):
            getattr(n, name)(64, 6, mode="mxfp4")  # whose groups are of 32


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_are_those_of_the_linear(name):
    plain, c = nn.Linear(64, 6), mx.array(X[:, :6])
    sharded = getattr(nn, name).from_linear(plain)

    def grads(layer):
        return nn.value_and_grad(layer, lambda x: (layer(x) * c).sum())(mx.array(X))[1]

    for (_, ours), (_, want) in zip(
        tree_flatten(grads(sharded)), tree_flatten(grads(plain)), strict=True
    ):
        assert mx.array_equal(ours, want)


@pytest.mark.parametrize("segments", [5, 0, -2])
def test_segments_that_do_not_divide_are_refused(segments):
    for _, n in ((mx, nn), (peer, pnn)):
        for name in PLAIN:
            with pytest.raises(ValueError, match=r"split|segments"):
                getattr(n, name).from_linear(n.Linear(64, 6), segments=segments)


@pytest.mark.parametrize("segments", [[], [4, 2], [-2], [65], [0.5, 0.25], [-0.5], [0.5, 2]])
def test_segments_that_end_nowhere_are_refused(segments):
    for name in PLAIN:
        with pytest.raises(ValueError, match=r"segments that end in ascending order"):
            getattr(nn, name).from_linear(nn.Linear(64, 6), segments=segments)
    with pytest.raises(ValueError, match=r"segments that end in ascending order"):
        nn.QuantizedAllToShardedLinear.from_quantized_linear(
            nn.QuantizedLinear(64, 6), segments=segments
        )


@pytest.mark.parametrize("segments", [[2, 4], [0.25, 0.5], (6,)])
def test_segments_by_their_ends_are_mlx_s(segments):
    for name in PLAIN:
        same(
            lambda _, n, name=name: getattr(n, name).from_linear(n.Linear(64, 6), segments=segments)
        )


def test_shard_linear_picks_the_layer_as_mlx():
    def names(_, n):
        make = n.layers.distributed.shard_linear
        return [
            repr(make(layer, sharding, segments=[2, 4]))
            for layer in (n.Linear(64, 6), n.QuantizedLinear(64, 6))
            for sharding in ("all-to-sharded", "sharded-to-all")
        ]

    ours, theirs = on_both(names)
    assert ours == theirs
    for n in (nn, pnn):
        for call in (n.layers.distributed.shard_linear, n.layers.distributed.shard_inplace):
            with pytest.raises(ValueError, match="all-to-sharded"):
                call(n.Linear(8, 6), "other")


# ---- FullyShardedModule.


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_fully_sharded_modules_compute_as_mlx(dtype):
    def make(m, n):
        model = n.Sequential(n.Linear(64, 8), n.ReLU(), n.Linear(8, 2))
        return n.FullyShardedModule(model, compute_dtype=dtype and getattr(m, dtype))

    same(make)


def test_compute_dtype_is_for_calls_only():
    layer = nn.FullyShardedModule(nn.Linear(64, 2), compute_dtype=mx.float16)
    assert layer(mx.ones((1, 64), mx.float16)).dtype == mx.float16
    assert layer.module.weight.dtype == mx.float32
    grads = nn.value_and_grad(layer, lambda x: layer(x).sum())(mx.ones((1, 64)))[1]
    assert grads["module"]["bias"].dtype == mx.float32
    packed = nn.FullyShardedModule(nn.QuantizedLinear(64, 2), compute_dtype=mx.float16)
    assert packed(mx.ones((1, 64), mx.float16)).dtype == mx.float16


def test_fully_sharded_embeddings_are_linear_too():
    table = nn.Embedding(8, 64)
    x = mx.array(X)
    assert mx.array_equal(nn.FullyShardedModule(table).as_linear(x), table.as_linear(x))


def test_one_process_needs_no_wrapping():
    for n in (nn, pnn):
        layer = n.Linear(4, 2)
        assert n.fully_shard(layer) is layer


@pytest.mark.parametrize(
    "call",
    [
        *(lambda name=name: getattr(nn, name)(64, 6, group=Two()) for name in PLAIN + QUANTIZED),
        lambda: nn.FullyShardedModule(nn.Linear(4, 2), Two()),
        lambda: nn.fully_shard(nn.Linear(4, 2), group=Two()),
        lambda: distributed.shard_inplace(nn.Linear(4, 2), "all-to-sharded", group=Two()),
        lambda: distributed.shard_linear(nn.Linear(4, 2), "all-to-sharded", group=Two()),
        lambda: distributed.sum_gradients(Two()),
    ],
)
def test_more_processes_are_refused(call):
    with pytest.raises(ValueError, match="expected a group of 1 process, got 2"):
        call()


@pytest.mark.parametrize(
    "path",
    ["AllToShardedLinear.from_linear", "ShardedToAllLinear.from_linear",
     "QuantizedAllToShardedLinear.from_quantized_linear",
     "QuantizedShardedToAllLinear.from_quantized_linear",
     "layers.distributed.shard_linear", "layers.distributed.shard_inplace",
     "layers.distributed.sum_gradients"],
)  # fmt: skip
def test_functions_take_mlx_s_arguments(path):
    both = []
    for found in (nn, pnn):
        for name in path.split("."):
            found = getattr(found, name)
        both.append([(p.name, p.default, p.kind) for p in
                     inspect.signature(found).parameters.values()])  # fmt: skip
    assert both[0] == both[1]
