"""Handwritten digits by a perceptron or a convolutional network, in plain MLX."""

import argparse
import time
from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from sklearn.datasets import load_digits


class MLP(nn.Module):
    """Two hidden layers."""

    def __init__(self, width):
        super().__init__()
        self.layers = [nn.Linear(64, width), nn.Linear(width, width), nn.Linear(width, 10)]

    def __call__(self, x):
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = nn.relu(layer(x))
        return self.layers[-1](x)


class CNN(nn.Module):
    """Two convolutions, normalised by batch, and a linear layer behind dropout."""

    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.norm1 = nn.BatchNorm(width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.norm2 = nn.BatchNorm(2 * width)
        self.pool = nn.AvgPool2d(2, 2)
        self.dropout = nn.Dropout(0.2)
        self.out = nn.Linear(2 * width * 4, 10)

    def __call__(self, x):
        x = self.pool(nn.gelu(self.norm1(self.conv1(x))))
        x = self.pool(nn.gelu(self.norm2(self.conv2(x))))
        return self.out(self.dropout(x.flatten(1)))


def loss_fn(model, x, y):
    """Mean cross-entropy."""
    return nn.losses.cross_entropy(model(x), y, reduction="mean")


def eval_fn(model, x, y):
    """The share of images that are recognised."""
    return mx.mean(mx.argmax(model(x), axis=1) == y)


def batches(x, y, size):
    """All of the data once, in random order."""
    order = mx.random.permutation(y.size)
    for i in range(0, y.size - size + 1, size):
        yield x[order[i : i + size]], y[order[i : i + size]]


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", choices=["mlp", "cnn"], default="mlp")
parser.add_argument("--width", type=int)
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch", type=int, default=256)
args = parser.parse_args()

mx.random.seed(0)
data = load_digits()
order = mx.random.permutation(len(data.target))
images = mx.array(data.images, dtype=mx.float32)[order, :, :, None] / 16
digits = mx.array(data.target)[order]

if args.model == "mlp":
    model = MLP(args.width or 768)
    optimizer = optim.Adam(learning_rate=1e-3)
else:
    model = CNN(args.width or 24)
    schedule = optim.cosine_decay(0.05, 5 * args.epochs)
    optimizer = optim.SGD(learning_rate=schedule, momentum=0.9)
mx.eval(model.parameters())
state = [model.state, optimizer.state, mx.random.state]


@partial(mx.compile, inputs=state, outputs=state)
def step(x, y):
    """One update; the loss before it."""
    loss, grads = nn.value_and_grad(model, loss_fn)(model, x, y)
    optimizer.update(model, grads)
    return loss


start = time.perf_counter()
for epoch in range(args.epochs):
    model.train()
    losses = []
    for x, y in batches(images[:1400], digits[:1400], args.batch):
        losses.append(step(x, y))
        mx.eval(state)
    print(f"epoch {epoch} losses", [loss.item() for loss in losses])
model.eval()
accuracy = eval_fn(model, images[1400:], digits[1400:])
print("test accuracy", accuracy.item())
print(f"{time.perf_counter() - start:.3f} s")
