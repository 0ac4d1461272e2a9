"""Learns handwritten digits, with a perceptron or a convolutional network.

    python examples/digits.py                              # a perceptron
    python examples/digits.py --model cnn --memory-limit 4MB

The 1,797 images of 8 x 8 are scikit-learn's (pip install scikit-learn). The limit is strict: an
evaluation that cannot be done within it is refused, and every other gives the same bits.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import plimsoll.optimizers as optim
from plimsoll.utils import tree_flatten

CLASSES = 10


class Perceptron(nn.Module):
    """Two hidden layers over the flattened image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, CLASSES),
        )  # fmt: skip

    def __call__(self, x: mx.array) -> mx.array:
        """Scores of (batch, 10) for images of (batch, 8, 8)."""
        return self.layers(x.reshape(x.shape[0], -1))


class Convolutional(nn.Module):
    """Two convolutions, a maximum over 2 x 2, and a linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width // 8, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(width // 8, width // 4, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.out = nn.Linear(width // 4 * 16, CLASSES)

    def __call__(self, x: mx.array) -> mx.array:
        """Scores of (batch, 10) for images of (batch, 8, 8)."""
        x = nn.relu(self.conv1(x[..., None]))
        x = self.pool(nn.relu(self.conv2(x)))
        return self.out(x.reshape(x.shape[0], -1))


MODELS = {"mlp": Perceptron, "cnn": Convolutional}


def load() -> tuple[np.ndarray, np.ndarray]:
    """Images in [0, 1] and their digits, shuffled."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit("error: the images are scikit-learn's; pip install scikit-learn")
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = digits.images[order].astype(np.float32) / 16
    return images, digits.target[order].astype(np.int32)


def show_progress(done: int, total: int, text: str) -> None:
    """Draws the progress bar again; where no one watches, a line now and then."""
    line = f"[{('#' * (24 * done // total)).ljust(24, '.')}] {text}"
    if sys.stderr.isatty():
        print(f"\r{line}\x1b[K", end="" if done < total else "\n", file=sys.stderr, flush=True)
    elif done == total or done % max(1, total // 5) == 0:
        print(line, file=sys.stderr, flush=True)


def accuracy(model: nn.Module, images: np.ndarray, digits: np.ndarray, batch: int) -> float:
    """The share of images whose digit has the highest score."""
    right = 0
    for begin in range(0, len(digits), batch):
        scores = model(mx.array(images[begin : begin + batch]))
        guess = mx.argmax(scores, axis=1)
        right += (guess == mx.array(digits[begin : begin + batch])).sum().item()
    return right / len(digits)


def train(model: nn.Module, images: np.ndarray, digits: np.ndarray, epochs: int, batch: int) -> int:
    """Trains with Adam; returns the most bytes that an evaluation had in use."""
    optimizer = optim.Adam(learning_rate=2e-3)

    def loss_of(x: mx.array, y: mx.array) -> mx.array:
        return nn.losses.cross_entropy(model(x), y, reduction="mean")

    step, peak = nn.value_and_grad(model, loss_of), 0
    random = np.random.default_rng(1)
    for epoch in range(1, epochs + 1):
        order = random.permutation(len(digits))
        for begin in range(0, len(order) - batch + 1, batch):
            rows = order[begin : begin + batch]
            loss, gradients = step(mx.array(images[rows]), mx.array(digits[rows]))
            optimizer.update(model, gradients)
            del gradients  # nothing but the update needs them
            mx.eval(model.parameters(), optimizer.state, loss)
            peak = max(peak, mx.last_evaluation().peak)
        show_progress(epoch, epochs, f"epoch {epoch}/{epochs}  loss {loss.item():.4f}")
    return peak


def digest(model: nn.Module) -> str:
    """SHA-256 of all weights, in the order of their names."""
    total = hashlib.sha256()
    for name, weight in sorted(tree_flatten(model.parameters())):
        total.update(name.encode() + np.array(weight).tobytes())
    return total.hexdigest()


def main() -> None:
    """Trains on three quarters of the images and tests on the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="mlp", help="kind of network")
    parser.add_argument("--width", type=int, default=128, help="features of the hidden layers")
    parser.add_argument("--epochs", type=int, default=20, help="times over the images")
    parser.add_argument("--batch", type=int, default=64, help="images a step")
    parser.add_argument("--memory-limit", metavar="BYTES", default="0", help="0: none")
    options = parser.parse_args()
    if options.memory_limit != "0":
        mx.set_memory_limit(options.memory_limit, strict=True)
    mx.random.seed(0)
    images, digits = load()
    split = len(digits) * 3 // 4
    model = MODELS[options.model](options.width)
    start = time.perf_counter()
    peak = train(model, images[:split], digits[:split], options.epochs, options.batch)
    seconds = time.perf_counter() - start
    score = accuracy(model, images[split:], digits[split:], options.batch)
    print(f"digest {digest(model)}")
    print(f"test accuracy {score:.4f} after {seconds:.2f} s, at most {peak / 1e6:.2f} MB in use")


if __name__ == "__main__":
    main()
