import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import plimsoll.optimizers as optim
import pytest
from plimsoll.utils import tree_flatten

peer = pytest.importorskip("mlx.core")
poptim = pytest.importorskip("mlx.optimizers")

MAKERS = [
    lambda o: o.SGD(0.1),
    lambda o: o.SGD(0.1, momentum=0.9, weight_decay=0.01),
    lambda o: o.SGD(0.1, momentum=0.9, nesterov=True),
    lambda o: o.SGD(0.1, momentum=0.9, dampening=0.3),
    lambda o: o.Adam(0.01),
    lambda o: o.Adam(0.01, betas=[0.8, 0.95], eps=1e-6, bias_correction=True),
    lambda o: o.AdamW(0.01, weight_decay=0.1),
    lambda o: o.AdamW(o.linear_schedule(0.1, 0.0, 10)),
    lambda o: o.AdamW(o.cosine_decay(0.1, 3, 0.01), bias_correction=True),
    lambda o: o.RMSprop(0.01),
    lambda o: o.RMSprop(o.linear_schedule(0.1, 0.0, 10), alpha=0.9, eps=1e-3),
    lambda o: o.Adagrad(0.1),
    lambda o: o.Adagrad(0.1, eps=0.1),
    lambda o: o.AdaDelta(1.0),
    lambda o: o.AdaDelta(0.5, rho=0.8, eps=1e-3),
    lambda o: o.Adamax(0.01),
    lambda o: o.Adamax(0.01, betas=[0.8, 0.9], eps=1e-3),
    lambda o: o.Lion(0.01),
    lambda o: o.Lion(0.01, betas=[0.8, 0.9], weight_decay=0.1),
    lambda o: o.Adafactor(),
    lambda o: o.Adafactor(beta_1=0.9, weight_decay=0.1, warmup_init=True),
    lambda o: o.Adafactor(0.1, relative_step=False, clip_threshold=0.5, decay_rate=-0.5),
    lambda o: o.Adafactor(
        o.linear_schedule(0.1, 0.0, 10), eps=(1e-5, 1e-2), relative_step=False,
        scale_parameter=False,
    ),
    lambda o: o.Muon(0.01),
    lambda o: o.Muon(0.01, momentum=0.9, weight_decay=0.0, nesterov=False, ns_steps=3),
    lambda o: o.MultiOptimizer([o.Adam(0.1), o.SGD(0.2)], [lambda path, w: w.ndim == 2]),
    lambda o: o.MultiOptimizer([o.AdamW(0.1)]),
]  # fmt: skip


SHAPES = [(3, 2), (4,), (2, 3, 4)]


@pytest.mark.parametrize("make", MAKERS)
def test_steps_agree_with_mlx(make):
    ours, theirs = make(optim), make(poptim)
    rng = np.random.default_rng(0)

    def tree():
        a, b, c = (rng.standard_normal(shape).astype("float32") for shape in SHAPES)
        return ({"a": m.array(a), "b": [m.array(b)], "c": m.array(c)} for m in (mx, peer))

    p, q = tree()
    for _ in range(5):
        g, h = tree()
        p = ours.apply_gradients(g, p)
        q = theirs.apply_gradients(h, q)
    for mine, other in ((p["a"], q["a"]), (p["b"][0], q["b"][0]), (p["c"], q["c"])):
        np.testing.assert_allclose(np.array(mine), np.array(other), rtol=2e-5, atol=1e-6)
    mine, other = (dict(tree_flatten(o.state)) for o in (ours, theirs))
    assert mine.keys() == other.keys()
    for name in mine:
        np.testing.assert_allclose(
            np.array(mine[name]), np.array(other[name]), rtol=2e-5, atol=1e-6
        )


@pytest.mark.parametrize(
    "make",
    [
        lambda o: o.cosine_decay(0.1, 10, 0.01),
        lambda o: o.linear_schedule(0.0, 1.0, 10),
        lambda o: o.exponential_decay(0.1, 0.9),
        lambda o: o.step_decay(0.1, 0.9, 4),
        lambda o: o.join_schedules([o.linear_schedule(0.0, 1.0, 5), o.cosine_decay(1.0, 10)], [5]),
    ],
)
@pytest.mark.parametrize("step", [0, 3, 5, 9, 30])
def test_schedules_agree_with_mlx(make, step):
    ours = make(optim)(mx.array(step))
    theirs = make(poptim)(peer.array(step))
    np.testing.assert_allclose(float(ours), float(theirs), rtol=1e-5, atol=1e-7)


def test_schedules_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="steps must be"):
        optim.linear_schedule(0, 1, 0)
    with pytest.raises(ValueError, match="at least 1"):
        optim.join_schedules([], [])
    with pytest.raises(ValueError, match="expected 0"):
        optim.join_schedules([optim.step_decay(0.1, 0.9, 10)], [1])
    with pytest.raises(ValueError, match="Nesterov"):
        optim.SGD(0.1, nesterov=True)


@pytest.mark.parametrize("bound", [1.0, 10.0])
def test_clip_grad_norm(bound):
    grads, norm = optim.clip_grad_norm({"a": mx.ones(4)}, bound)
    assert norm.item() == 2.0
    np.testing.assert_allclose(np.array(grads["a"]), min(bound / 2, 1.0), rtol=1e-5)


def test_learning_rate_can_be_set():
    o = optim.AdamW(optim.linear_schedule(0.1, 0.0, 10))
    o.learning_rate = 0.5
    o.apply_gradients({"a": mx.ones(2)}, {"a": mx.ones(2)})
    assert o.learning_rate.item() == 0.5
    assert o.step.item() == 1


def test_training_lowers_the_loss_compiled_or_not():
    losses = []
    for compiled in (False, True):
        mx.random.seed(0)
        model = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 3))
        o = optim.AdamW(1e-2)
        o.init(model.trainable_parameters())
        x, y = mx.random.normal((32, 4)), mx.random.randint(0, 3, (32,))

        def loss(x, y, model=model):
            return nn.losses.cross_entropy(model(x), y, reduction="mean")

        def step(x, y, model=model, o=o, loss=loss):
            value, grads = nn.value_and_grad(model, loss)(x, y)
            o.update(model, grads)
            return value

        state = [model.state, o.state]
        run = mx.compile(step, inputs=state, outputs=state) if compiled else step
        history = []
        for _ in range(10):
            value = run(x, y)
            mx.eval(value, state)
            history.append(value.item())
        losses.append(history)
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize(
    "make",
    [
        lambda o: o.RMSprop(0.1, alpha=-1),
        lambda o: o.RMSprop(0.1, eps=-1),
        lambda o: o.Adagrad(0.1, eps=-1),
        lambda o: o.AdaDelta(0.1, rho=-1),
        lambda o: o.AdaDelta(0.1, eps=-1),
        lambda o: o.Adamax(0.1, eps=-1),
        lambda o: o.Adam(0.1, eps=-1),
        lambda o: o.MultiOptimizer([o.SGD(0.1)], [lambda path, w: True]),
        lambda o: o.MultiOptimizer([o.SGD(0.1), o.SGD(0.1)]),
    ],
)
def test_arguments_are_refused_as_by_mlx(make):
    with pytest.raises(ValueError) as theirs:  # noqa: PT011 (the text is compared below)
        make(poptim)
    with pytest.raises(ValueError) as ours:  # noqa: PT011
        make(optim)
    assert str(ours.value) == str(theirs.value)


def test_multi_optimizer_shares_its_learning_rate_and_state():
    def make():
        return optim.MultiOptimizer(
            [optim.Adam(0.1), optim.SGD(0.2)], [lambda path, w: path.startswith("b")]
        )

    o = make()
    o.learning_rate = 0.5
    assert [each.learning_rate.item() for each in o.optimizers] == [0.5, 0.5]
    parameters = {"a": mx.ones(2), "b": mx.ones(2)}
    o.apply_gradients(parameters, parameters)
    assert set(o.state["states"][0]) == {"step", "learning_rate", "b"}
    other = make()
    other.state = o.state
    assert other.learning_rate.item() == 0.5
    with pytest.raises(ValueError, match="Invalid state"):
        other.state = {}
