"""Training loops plan each kind of step once, and the plan that is reused gives the same bits."""

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import plimsoll.optimizers as optim
import pytest
from plimsoll.utils import tree_flatten


def train(layers: list, shape: tuple[int, ...], share: float | None) -> tuple[list, list]:
    """Weights after fourteen steps, and whether each step's plan was made before."""
    mx.random.seed(3)
    model = nn.Sequential(*(make() for make in layers))
    optimizer = optim.Adam(1e-3)
    rng = np.random.default_rng(0)
    x = mx.array(rng.standard_normal(shape).astype(np.float32))
    y = mx.array(rng.integers(0, 10, shape[0]))

    def loss(x, y):
        out = model(x)
        return nn.losses.cross_entropy(out.reshape(shape[0], -1), y, reduction="mean")

    gradient = nn.value_and_grad(model, loss)

    def step() -> list:
        value, gradients = gradient(x, y)
        optimizer.update(model, gradients)
        return [value, *(v for _, v in tree_flatten((model.parameters(), optimizer.state)))]

    first = step()
    mx.eval(first)
    again = step()
    plan = mx.memory_plan(again)
    reused = []
    limit = None if share is None else max(plan.floor, int(plan.unlimited_peak * share))
    with mx.memory_limit(limit or mx.get_memory_limit(), strict=True):
        mx.eval(again)
        for _ in range(12):
            mx.eval(step())
            done = mx.last_evaluation()
            assert limit is None or done.peak <= limit
            reused.append(done.plan_reused)
    return [np.array(v) for _, v in tree_flatten(model.parameters())], reused


PERCEPTRON = [lambda: nn.Linear(256, 512), nn.ReLU, lambda: nn.Linear(512, 512)]
CONVOLUTIONS = [lambda: nn.Conv2d(1, 8, 3, padding=1), nn.ReLU, lambda: nn.MaxPool2d(2, 2)]
NETS = {
    "perceptron": ([*PERCEPTRON, nn.ReLU, lambda: nn.Linear(512, 10)], (1024, 256)),
    "convolutions": (
        [*CONVOLUTIONS, lambda: nn.Conv2d(8, 16, 3, padding=1), nn.ReLU],
        (256, 28, 28, 1),
    ),
}


@pytest.mark.parametrize("net", list(NETS))
@pytest.mark.parametrize("share", [0.6, 0.35])
def test_training_plans_once_and_keeps_its_bits(net, share):
    want, free = train(*NETS[net], share=None)
    assert not any(free)  # what fits needs no plan of another
    got, reused = train(*NETS[net], share=share)
    for a, b in zip(want, got, strict=True):
        np.testing.assert_array_equal(a, b)
    # The first steps leave other arrays in memory than they found.
    assert all(reused[8:]), reused
