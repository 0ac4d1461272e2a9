"""A small GPT on the source of Python's standard library, in plain MLX."""

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np


class GPT(nn.Module):
    """A decoder of MLX's own encoder layers and a causal mask."""

    def __init__(self, length, dims, layers, heads):
        super().__init__()
        self.tokens = nn.Embedding(256, dims)
        self.positions = nn.Embedding(length, dims)
        self.blocks = nn.TransformerEncoder(layers, dims, heads, dropout=0.1, norm_first=True)
        self.head = nn.Linear(dims, 256)

    def __call__(self, x):
        length = x.shape[1]
        mask = nn.MultiHeadAttention.create_additive_causal_mask(length)
        return self.head(self.blocks(self.tokens(x) + self.positions(mx.arange(length)), mask))


def loss_fn(model, x, y):
    """Mean cross-entropy of the next byte."""
    return nn.losses.cross_entropy(model(x), y, reduction="mean")


def batch(text, size, length):
    """Pieces of the text, and the same one byte on."""
    starts = mx.random.randint(0, text.size - length - 1, (size, 1))
    piece = text[starts + mx.arange(length + 1)].astype(mx.int32)
    return piece[:, :-1], piece[:, 1:]


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=12)
parser.add_argument("--batch", type=int, default=12)
parser.add_argument("--length", type=int, default=64)
parser.add_argument("--dims", type=int, default=128)
parser.add_argument("--layers", type=int, default=2)
args = parser.parse_args()

mx.random.seed(0)
files = sorted(Path(os.__file__).parent.glob("*.py"))
source = b"".join(file.read_bytes() for file in files)[:1_000_000]
text = mx.array(np.frombuffer(source, np.uint8))
train_text, test_text = text[:900_000], text[900_000:]

model = GPT(args.length, args.dims, args.layers, heads=4)
mx.eval(model.parameters())
warm_up = optim.linear_schedule(0, 1e-3, steps=5)
schedule = optim.join_schedules([warm_up, optim.cosine_decay(1e-3, args.steps)], [5])
optimizer = optim.AdamW(learning_rate=schedule, weight_decay=0.1)
state = [model.state, optimizer.state, mx.random.state]


@partial(mx.compile, inputs=state, outputs=state)
def step(x, y):
    """One update; the loss before it."""
    loss, grads = nn.value_and_grad(model, loss_fn)(model, x, y)
    grads, _ = optim.clip_grad_norm(grads, max_norm=1.0)
    optimizer.update(model, grads)
    return loss


start = time.perf_counter()
for i in range(args.steps):
    loss = step(*batch(train_text, args.batch, args.length))
    mx.eval(state)
    print(f"step {i} loss", loss.item())

with tempfile.TemporaryDirectory() as folder:
    model.save_weights(f"{folder}/gpt.safetensors")
    model = GPT(args.length, args.dims, args.layers, heads=4)
    model.load_weights(f"{folder}/gpt.safetensors")
    model.eval()
    print("test loss", loss_fn(model, *batch(test_text, args.batch, args.length)).item())
print(f"{time.perf_counter() - start:.3f} s")
