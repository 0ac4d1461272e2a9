"""Quantized layers of nn against MLX's: parameters, texts, values, modes, freezing, errors."""

import inspect

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import pytest
from plimsoll.utils import tree_flatten

peer = pytest.importorskip("mlx.core")
pnn = pytest.importorskip("mlx.nn")

BOTH = ((mx, nn), (peer, pnn))
SETTINGS = (
    {}, {"group_size": 32, "bits": 8}, {"bits": 3}, {"mode": "mxfp4"}, {"mode": "mxfp8"},
    {"mode": "nvfp4"},
)  # fmt: skip


def data(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def numbers(tree):
    return {name: np.array(value.astype(value.dtype)) for name, value in tree_flatten(tree)}


def same_parameters(ours, theirs):
    """The same names, in the same order, shapes, dtypes and bits."""
    assert [name for name, _ in tree_flatten(ours)] == [name for name, _ in tree_flatten(theirs)]
    for (_, a), (_, b) in zip(tree_flatten(ours), tree_flatten(theirs), strict=True):
        assert str(a.dtype).split(".")[-1] == str(b.dtype).split(".")[-1]
        assert a.tolist() == b.tolist()


def on_both(make):
    out = []
    for m, n in BOTH:
        m.random.seed(7)
        out.append(make(m, n))
    return out


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_mlx_s(settings, bias):
    ours, theirs = on_both(lambda _, n: n.QuantizedLinear(128, 6, bias, **settings))
    assert repr(ours) == repr(theirs)
    same_parameters(ours.parameters(), theirs.parameters())
    assert tree_flatten(ours.trainable_parameters()) == []
    x = data(3, 128)
    np.testing.assert_allclose(
        np.array(ours(mx.array(x))), np.array(theirs(peer.array(x))), rtol=2e-5, atol=2e-6
    )


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_embedding_is_mlx_s(settings):
    # Normal numbers may differ in the last bits, so the table is given.
    def make(m, n):
        table = n.Embedding(9, 128)
        table.weight = m.array(data(9, 128))
        return n.QuantizedEmbedding.from_embedding(table, **settings)

    ours, theirs = on_both(make)
    assert repr(ours) == repr(theirs)
    same_parameters(ours.parameters(), theirs.parameters())
    assert tree_flatten(ours.trainable_parameters()) == []
    at, x = [[0, 8, 3], [3, 3, 1]], data(2, 128)
    rows, their_rows = ours(mx.array(at)), theirs(peer.array(at))
    assert rows.shape == their_rows.shape
    assert str(rows.dtype).split(".")[-1] == str(their_rows.dtype).split(".")[-1]
    np.testing.assert_allclose(
        np.array(rows.astype(mx.float32)), np.array(their_rows.astype(peer.float32)), rtol=1e-5
    )
    np.testing.assert_allclose(
        np.array(ours.as_linear(mx.array(x))), np.array(theirs.as_linear(peer.array(x))),
        rtol=2e-5, atol=2e-6,
    )  # fmt: skip
    assert ours(mx.array(2)).shape == (128,)


def test_embeddings_start_as_the_plain_layer():
    mx.random.seed(1)
    ours = nn.QuantizedEmbedding(4, 64)
    mx.random.seed(1)
    words = mx.quantize(nn.Embedding(4, 64).weight)
    assert mx.array_equal(ours.weight, words[0])
    assert mx.array_equal(ours.scales, words[1])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_layers_keep_their_dtype(dtype):
    layer = nn.Linear(64, 4)
    layer.set_dtype(getattr(mx, dtype))
    packed = layer.to_quantized()
    assert packed.scales.dtype == packed.biases.dtype == packed.bias.dtype == layer.weight.dtype
    assert packed(mx.ones((2, 64), layer.weight.dtype)).dtype == layer.weight.dtype
    assert packed(mx.ones((2, 64))).dtype == mx.float32


def test_conversion_keeps_the_bias_and_the_layer():
    layer = nn.Linear(64, 4)
    packed = nn.QuantizedLinear.from_linear(layer, bits=8)
    assert packed.bias is layer.bias
    assert layer.weight.shape == (4, 64)
    x = mx.array(data(2, 64))
    words = mx.quantize(layer.weight, bits=8)
    assert mx.array_equal(packed(x), mx.quantized_matmul(x, *words, bits=8) + layer.bias)


def test_unfreezing_is_mlx_s():
    def names(layer):
        return [name for name, _ in tree_flatten(layer.trainable_parameters())]

    def walk(_, n):
        layer = n.QuantizedLinear(64, 4)
        out = [names(layer), names(layer.unfreeze(keys=["scales", "biases"]))]
        out += [names(layer.unfreeze()), names(layer.freeze())]
        model = n.Sequential(n.Linear(64, 64), layer)
        return [*out, names(model), names(model.unfreeze())]

    ours, theirs = on_both(walk)
    assert ours == theirs


def test_scales_and_biases_get_mlx_s_gradients():
    def grads(m, n):
        layer = n.QuantizedLinear(64, 4).unfreeze(keys=["scales", "biases", "bias"])
        x, c = m.array(data(3, 64)), m.array(data(3, 4))
        return n.value_and_grad(layer, lambda x: (layer(x) * c).sum())(x)[1]

    ours, theirs = (numbers(tree) for tree in on_both(grads))
    assert list(ours) == list(theirs) == ["scales", "biases", "bias"]
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-4)


# ---- QQLinear.


@pytest.mark.parametrize("mode", ["nvfp4", "mxfp8"])
def test_qqlinear_packs_for_eval_as_mlx(mode):
    def walk(m, n):
        layer, x = n.QQLinear(64, 5, mode=mode), m.array(data(1, 64))
        seen = [(repr(layer), layer.parameters())]
        layer.eval()
        out = layer(x)
        seen.append((repr(layer), dict(layer.parameters())))
        layer.train()
        return out, [*seen, (repr(layer), layer.parameters())]

    (ours, seen), (theirs, their_seen) = on_both(walk)
    np.testing.assert_allclose(np.array(ours), np.array(theirs), rtol=2e-5, atol=2e-6)
    for (text, tree), (their_text, their_tree) in zip(seen, their_seen, strict=True):
        assert text == their_text
        same_parameters(tree, their_tree)


def test_qqlinear_computes_the_same_packed_or_not():
    layer, x = nn.QQLinear(64, 5, mode="mxfp8"), mx.array(data(3, 64))
    before = layer(x)
    assert mx.array_equal(layer.eval()(x), before)


def test_qqlinear_learns_through_the_rounding():
    layer, x, c = nn.QQLinear(64, 5, mode="mxfp8"), mx.array(data(3, 64)), mx.array(data(3, 5))

    def rounded(a):
        return mx.dequantize(*mx.quantize(a, mode="mxfp8"), mode="mxfp8", dtype=mx.float32)

    def loss(x):
        return (layer(x) * c).sum()

    grads = nn.value_and_grad(layer, loss)(x)[1]
    np.testing.assert_allclose(np.array(grads["weight"]), np.array(c.T @ rounded(x)), rtol=1e-5)
    np.testing.assert_allclose(
        np.array(mx.grad(loss)(x)), np.array(c @ rounded(layer.weight)), rtol=1e-5, atol=1e-6
    )


def test_qqlinear_follows_the_mode_of_its_linear():
    plain = nn.Linear(64, 4, bias=False)
    assert nn.QQLinear.from_linear(plain).weight is plain.weight
    assert nn.QQLinear.from_linear(plain.eval()).weight.dtype == mx.uint32
    assert plain.weight.dtype == mx.float32


# ---- quantize.


def model_of(n):
    class Model(n.Module):
        def __init__(self):
            super().__init__()
            self.first = n.Linear(64, 64)
            self.table = n.Embedding(10, 64)
            self.norm = n.LayerNorm(64)
            self.blocks = [n.Linear(128, 128, bias=False), {"inner": n.Linear(64, 32)}]

    return Model()


PREDICATES = {
    "all": {},
    "settings": {"group_size": 32, "bits": 8},
    "mode": {"mode": "mxfp4"},
    "input": {"mode": "nvfp4", "quantize_input": True,
              "class_predicate": lambda name, _: name == "blocks.0"},
    "names": {"class_predicate": lambda name, _: name in ("first", "blocks.1.inner")},
    "dicts": {"class_predicate": lambda name, _: {"bits": 8} if name == "first" else False},
    "empty": {"class_predicate": lambda name, _: {}},
    "dict-input": {"class_predicate": lambda name, _: name == "blocks.0"
                   and {"mode": "mxfp8", "quantize_input": True}},
}  # fmt: skip


@pytest.mark.parametrize("settings", PREDICATES.values(), ids=PREDICATES)
def test_quantize_replaces_what_mlx_does(settings):
    def run(_, n):
        model = model_of(n)
        assert n.quantize(model, **settings) is None
        return repr(model), [(k, v.shape) for k, v in tree_flatten(model.parameters())]

    ours, theirs = on_both(run)
    assert ours == theirs


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"mode": "bad"}, ValueError),
        ({"bits": 9}, ValueError),
        ({"group_size": 48}, ValueError),
        ({"quantize_input": True}, ValueError),
        ({"quantize_input": True, "mode": "mxfp4"}, ValueError),
        ({"quantize_input": True, "mode": "nvfp4"}, NotImplementedError),
        ({"class_predicate": lambda name, _: name == "norm"}, ValueError),
        ({"class_predicate": lambda name, _: 1 if name == "first" else 0}, ValueError),
        ({"quantize_input": True, "mode": "nvfp4",
          "class_predicate": lambda name, _: name == "table"}, ValueError),
    ],
    ids=str,
)  # fmt: skip
def test_quantize_refuses_as_mlx(settings, error):
    for _, n in BOTH:
        model = model_of(n)
        before = repr(model)
        with pytest.raises(error):
            n.quantize(model, **settings)
        assert repr(model) == before


def test_quantize_calls_to_quantized_of_other_modules():
    calls = []

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = mx.ones((2, 64))

        def to_quantized(self, **settings):
            calls.append(settings)
            return nn.Identity()

    model = nn.Sequential(Own(), nn.ReLU())
    nn.quantize(model, 64, 4)
    assert calls == [{"group_size": 64, "bits": 4, "mode": "affine"}]
    assert isinstance(model.layers[0], nn.Identity)


@pytest.mark.parametrize("name", ["QuantizedLinear", "QuantizedEmbedding", "QQLinear"])
def test_wrong_widths_are_refused(name):
    for _, n in BOTH:
        make = getattr(n, name)
        with pytest.raises(ValueError):  # noqa: PT011 (each library has its text)
            make(100, 65).eval()


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
@pytest.mark.parametrize("forth", [True, False])
def test_checkpoints_are_exchanged_with_mlx(tmp_path, ending, forth):
    file = str(tmp_path / f"model.{ending}")
    (one, other) = BOTH if forth else BOTH[::-1]
    saved = model_of(one[1])
    one[1].quantize(saved)
    saved.save_weights(file)
    loaded = model_of(other[1])
    other[1].quantize(loaded)
    loaded.load_weights(file)
    same_parameters(saved.parameters(), loaded.parameters())


@pytest.mark.parametrize(
    "path",
    ["QuantizedLinear.from_linear", "QuantizedEmbedding.from_embedding", "QQLinear.from_linear",
     "Linear.to_quantized", "Embedding.to_quantized"],
)  # fmt: skip
def test_methods_take_mlx_s_arguments(path):
    holder, name = path.split(".")
    ours, theirs = (
        [(p.name, p.default, p.kind) for p in
         inspect.signature(getattr(getattr(n, holder), name)).parameters.values()]
        for n in (nn, pnn)
    )  # fmt: skip
    assert ours == theirs
