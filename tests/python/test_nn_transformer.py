"""Transformers, rotary positions, initialisers and utilities of nn against MLX's."""

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import pytest
from plimsoll.utils import tree_flatten

peer = pytest.importorskip("mlx.core")
pnn = pytest.importorskip("mlx.nn")
ROTATED = np.random.default_rng(1).standard_normal((2, 3, 5, 8)).astype("float32")


def data(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def causal(m, n):
    return m.array(np.where(np.tri(n, dtype=bool), 0, -1e9).astype("float32"))


def compare(make, call):
    """Names, text, values and gradients are MLX's for the same parameters."""
    ours, theirs = make(nn), make(pnn)
    assert repr(ours) == repr(theirs)
    weights = tree_flatten(theirs.parameters())
    assert [k for k, _ in tree_flatten(ours.parameters())] == [k for k, _ in weights]
    ours.load_weights([(k, mx.array(np.array(v))) for k, v in weights])
    results = []
    for m, n, model in ((mx, nn, ours), (peer, pnn, theirs)):

        def loss(m=m, model=model):
            return m.square(call(m, model)).sum()

        value, grads = n.value_and_grad(model, loss)()
        results.append([("value", value), ("out", call(m, model)), *tree_flatten(grads)])
    for (name, mine), (_, other) in zip(*results, strict=True):
        other = np.array(other)
        size = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(np.array(mine), other, atol=2e-5 * size, err_msg=name)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("checkpoint", [True, False])
def test_encoder(first, checkpoint):
    compare(
        lambda n: n.TransformerEncoder(2, 8, 2, 12, norm_first=first, checkpoint=checkpoint),
        lambda m, model: model(m.array(data(0, 2, 5, 8)), causal(m, 5)),
    )


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("checkpoint", [True, False])
def test_transformer(first, checkpoint):
    compare(
        lambda n: n.Transformer(8, 2, 1, 2, norm_first=first, checkpoint=checkpoint),
        lambda m, model: model(
            m.array(data(0, 2, 5, 8)), m.array(data(1, 2, 3, 8)), None, causal(m, 3), None
        ),
    )


def test_layers_take_another_activation():
    for part in ("Encoder", "Decoder"):
        args = (None,) if part == "Encoder" else (data(3, 2, 4, 8), None, None)
        compare(
            lambda n, part=part: getattr(n, f"Transformer{part}Layer")(8, 2, activation=n.gelu),
            lambda m, model, args=args: model(
                m.array(data(0, 2, 5, 8)), *(None if a is None else m.array(a) for a in args)
            ),
        )


def test_custom_parts_take_the_place_of_the_standard_ones():
    def make(n):
        return n.Transformer(8, 2, 1, 1, custom_encoder=n.Identity(), custom_decoder=n.Identity())

    assert repr(make(nn)) == repr(make(pnn))


def peak_of_gradient(checkpoint):
    mx.random.seed(0)
    model = nn.TransformerEncoder(10, 32, 4, checkpoint=checkpoint)
    x = mx.random.normal((4, 128, 32))
    mx.eval(model, x)
    value, grads = nn.value_and_grad(model, lambda: model(x, None).square().sum())()
    plan = mx.memory_plan(value, grads)
    return plan.unlimited_peak, value, tree_flatten(grads)


@pytest.mark.plenty("a deep gradient in small tiles takes minutes", "tiny-limit", "smallest-tiles")
def test_checkpoint_keeps_less_and_gives_the_same_bits():
    kept, value, grads = peak_of_gradient(False)
    less, again, same = peak_of_gradient(True)
    assert less < 0.6 * kept
    assert value.item() == again.item()
    for (_, a), (_, b) in zip(grads, same, strict=True):
        assert np.array_equal(np.array(a), np.array(b))


def test_checkpoint_of_a_function_reaches_the_modules_parameters():
    layer = nn.Linear(3, 2)
    run = nn.utils.checkpoint(layer, lambda x, scale: mx.sin(layer(x)) * scale)
    x = mx.array(data(0, 4, 3))
    want = nn.value_and_grad(layer, lambda: (mx.sin(layer(x)) * 2).sum())()
    got = nn.value_and_grad(layer, lambda: run(x, scale=2).sum())()
    assert want[0].item() == got[0].item()
    for (_, a), (_, b) in zip(tree_flatten(want[1]), tree_flatten(got[1]), strict=True):
        assert np.array_equal(np.array(a), np.array(b))
    before = layer.weight
    run(x, scale=2)
    assert layer.weight is before  # nothing is left from the trace


@pytest.mark.parametrize("args", [(8,), (4, True), (8, False, 50.0), (8, True, 1e4, 0.5)])
@pytest.mark.parametrize("offset", [0, 9, [3], [4, 6]])
def test_rope(args, offset):
    layers = nn.RoPE(*args), pnn.RoPE(*args)
    assert repr(layers[0]) == repr(layers[1])
    starts = [m.array(offset) if isinstance(offset, list) else offset for m in (mx, peer)]
    got = layers[0](mx.array(ROTATED), offset=starts[0])
    want = layers[1](peer.array(ROTATED), offset=starts[1])
    np.testing.assert_allclose(np.array(got), np.array(want), atol=4e-6)


ROPE = {"traditional": False, "base": 1e4, "scale": 1.0, "offset": 0}


@pytest.mark.parametrize(
    "bad",
    [
        {"dims": 7}, {"dims": 10}, {"dims": 0}, {"base": None}, {"freqs": (4,)},
        {"base": None, "freqs": (3,)}, {"base": None, "freqs": (1, 4)},
        {"offset": (3,)}, {"offset": (1, 2)}, {"offset": 0.5}, {"x": (5, 8)},
    ],
)  # fmt: skip
def test_rope_refuses(bad):
    errors = []
    for m in (mx, peer):
        args = {**ROPE, "dims": 8, **bad}
        x = m.ones(args.pop("x", (2, 5, 8)))
        if "freqs" in args:
            args["freqs"] = m.ones(args["freqs"])
        if isinstance(args["offset"], tuple):
            args["offset"] = m.zeros(args["offset"], dtype=m.int32)
        elif isinstance(args["offset"], float):
            args["offset"] = m.array(args["offset"])
        with pytest.raises(ValueError, match="rope") as error:
            m.fast.rope(x, **args)
        errors.append(str(error.value).split(" shape")[0])
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    ("logits", "targets", "kinds"),
    [
        ((3, 5), (2,), ("float32", "int32")), ((3, 5), (), ("float32", "int32")),
        ((), (), ("float32", "int32")), ((3, 5), (3,), ("float32", "float32")),
        ((3, 5), (3,), ("int32", "int32")), ((3, 5), (3,), ("complex64", "int32")),
        ((3, 5), (3,), ("float32", "bool_")),
    ],
)  # fmt: skip
def test_cross_entropy_refuses(logits, targets, kinds):
    errors = []
    for m in (mx, peer):
        a, b = m.zeros(logits, getattr(m, kinds[0])), m.zeros(targets, getattr(m, kinds[1]))
        with pytest.raises(ValueError, match="cross_entropy") as error:
            m.fast.cross_entropy(a, b)
        errors.append(str(error.value).split(" shape")[0])
    assert errors[0] == errors[1]


def test_cross_entropy_refuses_a_class_that_is_not_there():
    with pytest.raises(IndexError):
        mx.eval(mx.fast.cross_entropy(mx.zeros((2, 3)), mx.array([0, 3])))


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 6)])
def test_orthogonal(shape):
    w = np.array(nn.init.orthogonal(2.0)(mx.zeros(shape))).astype("float64")
    assert w.shape == shape
    gram = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(min(shape)), atol=1e-5)
    assert nn.init.orthogonal(dtype=mx.float16)(mx.zeros(shape)).dtype == mx.float16


def test_orthogonal_has_no_preferred_direction():
    mx.random.seed(3)
    draws = np.stack([np.array(nn.init.orthogonal()(mx.zeros((3, 3)))) for _ in range(300)])
    assert np.abs(draws.mean(0)).max() < 0.15
    np.testing.assert_allclose((draws**2).mean(0), 1 / 3, atol=0.08)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.34, 0.5, 1.0])
def test_sparse(share):
    shape = (4, 10)
    ours = np.array(nn.init.sparse(share)(mx.zeros(shape)))
    theirs = np.array(pnn.init.sparse(share)(peer.zeros(shape)))
    assert (ours == 0).sum(1).tolist() == (theirs == 0).sum(1).tolist()


@pytest.mark.parametrize("name", ["orthogonal", "sparse"])
def test_initialisers_refuse_other_dimensions(name):
    args = (0.5,) if name == "sparse" else ()
    for shape in ((3,), (2, 3, 4)):
        with pytest.raises(ValueError) as theirs:  # noqa: PT011 (the text is compared below)
            getattr(pnn.init, name)(*args)(peer.zeros(shape))
        with pytest.raises(ValueError) as ours:  # noqa: PT011
            getattr(nn.init, name)(*args)(mx.zeros(shape))
        assert str(ours.value) == str(theirs.value)


def test_average_gradients_of_one_process():
    class Group:
        def __init__(self, n):
            self.n = n

        def size(self):
            return self.n

    grads = {"a": mx.ones((2,)), "b": [mx.zeros((3,))]}
    assert nn.average_gradients(grads) is grads
    assert nn.utils.average_gradients(grads, Group(1), 0) is grads
    with pytest.raises(ValueError, match="1 process"):
        nn.average_gradients(grads, Group(2))


def test_modules_of_layers_are_names_of_nn():
    import importlib
    import pkgutil

    for module in pkgutil.iter_modules(nn.layers.__path__):
        assert getattr(nn, module.name) is importlib.import_module(
            f"plimsoll.nn.layers.{module.name}"
        )
        assert hasattr(pnn, module.name)
