import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import pytest
from plimsoll.utils import tree_flatten, tree_map

peer = pytest.importorskip("mlx.core")
pnn = pytest.importorskip("mlx.nn")

RNG = np.random.default_rng(0)


def close(ours, theirs, rtol=2e-5, atol=1e-6):
    np.testing.assert_allclose(np.array(ours), np.array(theirs), rtol=rtol, atol=atol)


class Net:
    """The same model in both packages, by the package's nn."""

    def __new__(cls, n):
        class Model(n.Module):
            def __init__(self):
                super().__init__()
                self.embed = n.Embedding(7, 8)
                self.blocks = [n.Linear(8, 8), n.LayerNorm(8), n.RMSNorm(8)]
                self.extra = {"drop": n.Dropout(0.2)}
                self.head = n.Linear(8, 5, bias=False)
                self.steps = 3

            def __call__(self, x):
                y = self.embed(x)
                for block in self.blocks:
                    y = block(y)
                return self.head(self.extra["drop"](n.gelu(y)))

        return Model()


@pytest.fixture
def models():
    mx.random.seed(3)
    peer.random.seed(3)
    return Net(nn), Net(pnn)


def test_parameters_start_as_in_mlx(models):
    ours, theirs = (dict(tree_flatten(m.parameters())) for m in models)
    assert ours.keys() == theirs.keys()
    for name in ours:
        close(ours[name], theirs[name], rtol=1e-6)


def test_forward_and_gradients_agree_with_mlx(models):
    x = RNG.integers(0, 7, (4, 6))
    y = RNG.integers(0, 5, (4, 6))
    results = []
    for m, n, model in ((mx, nn, models[0]), (peer, pnn, models[1])):
        model.eval()

        def loss(a, b, n=n, model=model):
            return n.losses.cross_entropy(model(a), b, reduction="mean")

        results.append(n.value_and_grad(model, loss)(m.array(x), m.array(y)))
    (value, grads), (their_value, their_grads) = results
    close(value, their_value)
    theirs = dict(tree_flatten(their_grads))
    for name, grad in tree_flatten(grads):
        close(grad, theirs[name], rtol=1e-3, atol=1e-6)


def test_repr_is_that_of_mlx(models):
    assert repr(models[0]) == repr(models[1])


def test_modules_are_listed_in_the_order_of_mlx(models):
    ours, theirs = ([name for name, _ in m.named_modules()] for m in models)
    assert ours == theirs


def test_freezing_and_unfreezing(models):
    for model in models:
        model.freeze()
        assert not tree_flatten(model.trainable_parameters())
        model.unfreeze(keys="bias")
        model.head.unfreeze()
    ours, theirs = ([n for n, _ in tree_flatten(m.trainable_parameters())] for m in models)
    assert ours == theirs


def test_training_mode_reaches_all_modules():
    model = Net(nn)
    assert model.eval() is model
    assert not model.extra["drop"].training
    assert model.train().extra["drop"].training


def test_dropout_drops_as_in_mlx():
    mx.random.seed(5)
    peer.random.seed(5)
    close(nn.Dropout(0.3)(mx.ones(50)), pnn.Dropout(0.3)(peer.ones(50)), rtol=1e-6)
    with pytest.raises(ValueError, match="probability"):
        nn.Dropout(1.0)


def test_update_checks_names_and_types():
    model = nn.Linear(2, 3)
    assert model.update({"weight": mx.ones((3, 2))}) is model
    with pytest.raises(ValueError, match='named "zz"'):
        model.update({"zz": mx.ones(1)})
    with pytest.raises(ValueError, match="invalid type"):
        model.update({"weight": 3})
    model.update({"zz": 1}, strict=False)


def test_load_weights_checks_names_and_shapes():
    model = nn.Linear(2, 3)
    with pytest.raises(ValueError, match="Missing 1 parameters"):
        model.load_weights([("weight", mx.ones((3, 2)))])
    with pytest.raises(ValueError, match="not in model"):
        model.load_weights([("weight", mx.ones((3, 2))), ("bias", mx.ones(3)), ("z", mx.ones(1))])
    with pytest.raises(ValueError, match="Expected shape"):
        model.load_weights([("weight", mx.ones((2, 2))), ("bias", mx.ones(3))])
    model.load_weights([("weight", mx.ones((3, 2)))], strict=False)
    assert model.weight.tolist() == [[1, 1], [1, 1], [1, 1]]


def test_set_dtype_converts_floats_only():
    model = Net(nn)
    model.counter = mx.array([1])
    model.set_dtype(mx.float16)
    assert model.head.weight.dtype == mx.float16
    assert model.counter.dtype == mx.int32


def test_attributes_that_do_not_exist():
    with pytest.raises(AttributeError, match="no attribute 'foo'"):
        nn.Linear(2, 2).foo  # noqa: B018


@pytest.mark.parametrize(
    "name",
    [
        "relu", "relu6", "leaky_relu", "elu", "softplus", "softsign", "softmax", "log_softmax",
        "log_sigmoid", "silu", "mish", "hardswish", "gelu", "gelu_approx", "gelu_fast_approx",
        "sigmoid", "tanh", "step", "glu",
    ],
)  # fmt: skip
def test_activations_agree_with_mlx(name):
    x = (RNG.standard_normal((3, 8)) * 4).astype("float32")
    close(getattr(nn, name)(mx.array(x)), getattr(pnn, name)(peer.array(x)), atol=3e-6)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(
    "name",
    ["mse_loss", "l1_loss", "binary_cross_entropy", "smooth_l1_loss", "huber_loss",
     "log_cosh_loss", "hinge_loss", "kl_div_loss", "cosine_similarity_loss"],
)  # fmt: skip
def test_losses_agree_with_mlx(name, reduction):
    a, b = (RNG.random((4, 5)).astype("float32") for _ in range(2))
    ours = getattr(nn.losses, name)(mx.array(a), mx.array(b), reduction=reduction)
    theirs = getattr(pnn.losses, name)(peer.array(a), peer.array(b), reduction=reduction)
    close(ours, theirs, atol=2e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("probabilities", [True, False])
def test_cross_entropy_agrees_with_mlx(smoothing, probabilities):
    logits = RNG.standard_normal((4, 5)).astype("float32")
    targets = RNG.random((4, 5)).astype("float32") if probabilities else RNG.integers(0, 5, 4)
    if probabilities:
        targets /= targets.sum(axis=1, keepdims=True)
    weights = RNG.random(4).astype("float32")
    ours, theirs = (
        n.losses.cross_entropy(
            m.array(logits), m.array(targets), weights=m.array(weights), label_smoothing=smoothing
        )
        for m, n in ((mx, nn), (peer, pnn))
    )
    close(ours, theirs)
    with pytest.raises(ValueError, match="does not match"):
        nn.losses.cross_entropy(mx.array(logits), mx.zeros((3,), mx.int32))


def test_attention_agrees_with_mlx():
    mx.random.seed(1)
    peer.random.seed(1)
    x = RNG.standard_normal((2, 6, 8)).astype("float32")
    ours, theirs = nn.MultiHeadAttention(8, 2), pnn.MultiHeadAttention(8, 2)
    mask = nn.MultiHeadAttention.create_additive_causal_mask(6)
    pmask = pnn.MultiHeadAttention.create_additive_causal_mask(6)
    a, b = mx.array(x), peer.array(x)
    close(ours(a, a, a, mask=mask), theirs(b, b, b, mask=pmask), rtol=1e-4)
    with pytest.raises(ValueError, match="divisible"):
        nn.MultiHeadAttention(5, 2)


def test_apply_and_state():
    model = nn.Linear(2, 2)
    before = model.weight.tolist()
    model.apply(lambda p: p * 2)
    assert model.weight.tolist() == [[2 * v for v in row] for row in before]
    assert set(model.state) == {"weight", "bias"}
    doubled = tree_map(lambda p: p.shape, model.parameters())
    assert doubled == {"weight": (2, 2), "bias": (2,)}


class Holder(nn.Module):
    """A module with parameters and modules in containers."""

    def __init__(self):
        super().__init__()
        self.listed = [mx.ones(1), nn.Linear(2, 2)]
        self.named = {"a": mx.ones(1), "b": (nn.Linear(1, 1),)}
        self.fixed = (mx.ones(1), nn.Linear(2, 2))


def names(tree):
    return [name for name, _ in tree_flatten(tree)]


def test_tuples_are_not_looked_into():
    model = Holder()
    assert names(model.parameters()) == ["listed.0", "listed.1.weight", "listed.1.bias", "named.a"]
    assert model.children() == {"listed": [{}, model.listed[1]], "named": {"a": {}, "b": {}}}
    assert "fixed" in model.state
    with pytest.raises(ValueError, match="invalid type: list"):
        model.update_modules({"fixed": [{}, nn.Linear(2, 2)]})
    with pytest.raises(ValueError, match="invalid type: int"):
        model.update_modules({"listed": 3})


def test_freezing_without_recursion_leaves_modules_in_containers_trainable():
    model = Holder().freeze(recurse=False)
    assert names(model.trainable_parameters()) == ["listed.1.weight", "listed.1.bias"]
    assert names(model.unfreeze(recurse=False).trainable_parameters()) == names(model.parameters())
