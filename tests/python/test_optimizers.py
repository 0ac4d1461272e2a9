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
]


@pytest.mark.parametrize("make", MAKERS)
def test_steps_agree_with_mlx(make):
    ours, theirs = make(optim), make(poptim)
    rng = np.random.default_rng(0)
    start = {"a": rng.standard_normal((3, 2)), "b": [rng.standard_normal(4)]}
    p = {"a": mx.array(start["a"]), "b": [mx.array(start["b"][0])]}
    q = {"a": peer.array(start["a"]), "b": [peer.array(start["b"][0])]}
    for _ in range(5):
        g = rng.standard_normal((3, 2)), rng.standard_normal(4)
        p = ours.apply_gradients({"a": mx.array(g[0]), "b": [mx.array(g[1])]}, p)
        q = theirs.apply_gradients({"a": peer.array(g[0]), "b": [peer.array(g[1])]}, q)
    np.testing.assert_allclose(np.array(p["a"]), np.array(q["a"]), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(np.array(p["b"][0]), np.array(q["b"][0]), rtol=2e-5, atol=1e-6)
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
