"""Trains a small GPT on the source of Python's standard library, byte by byte.

Written for MLX, and run on Plimsoll unchanged:

    plimsoll run examples/char_lm.py
    plimsoll run --memory-limit 300MB examples/char_lm.py
    python examples/char_lm.py --demo    # without a limit and under three; see char_lm_demo.py

Everything is seeded, so the digest of the final weights is the same in every run, whatever the
memory limit.
"""

import argparse
import hashlib
import json
import math
import sys
import sysconfig
import time
from pathlib import Path

if __name__ == "__main__" and "--demo" in sys.argv[1:]:
    from char_lm_demo import main as demo

    sys.exit(demo())

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten

VOCABULARY = 256  # bytes


class Attention(nn.Module):
    """Causal self-attention with several heads."""

    def __init__(self, dims, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dims, 3 * dims, bias=False)
        self.out = nn.Linear(dims, dims, bias=False)

    def __call__(self, x):
        batch, length, dims = x.shape
        q, k, v = (
            part.reshape(batch, length, self.heads, -1).transpose(0, 2, 1, 3)
            for part in mx.split(self.qkv(x), 3, axis=-1)
        )
        scale = math.sqrt(self.heads / dims)
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask="causal")
        return self.out(y.transpose(0, 2, 1, 3).reshape(batch, length, dims))


class Block(nn.Module):
    """Attention and a perceptron, each normalised before and added to what came in."""

    def __init__(self, dims, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dims)
        self.attention = Attention(dims, heads)
        self.norm2 = nn.LayerNorm(dims)
        self.up = nn.Linear(dims, 4 * dims)
        self.down = nn.Linear(4 * dims, dims)

    def __call__(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(nn.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """A decoder-only transformer over bytes."""

    def __init__(self, length, dims, layers, heads):
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, dims)
        self.positions = nn.Embedding(length, dims)
        self.blocks = [Block(dims, heads) for _ in range(layers)]
        self.norm = nn.LayerNorm(dims)
        self.head = nn.Linear(dims, VOCABULARY, bias=False)

    def __call__(self, tokens):
        x = self.tokens(tokens) + self.positions(mx.arange(tokens.shape[1]))
        x = x * math.sqrt(x.shape[-1])  # embeddings start small; the blocks' outputs do not
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def corpus():
    """The standard library's modules, one after the other, as bytes."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return np.frombuffer(b"".join(file.read_bytes() for file in files), dtype=np.uint8)


def batches(text, batch, length, steps):
    """Yields inputs and targets: pieces of the text, and the same one byte on."""
    random = np.random.default_rng(0)
    for _ in range(steps):
        starts = random.integers(0, len(text) - length, size=(batch, 1))
        piece = text[starts + np.arange(length + 1)].astype(np.int32)
        yield mx.array(piece[:, :-1]), mx.array(piece[:, 1:])


def show_progress(step, steps, loss, seconds):
    """Draws the progress bar again; where no one watches, a line now and then."""
    bar = ("#" * (24 * step // steps)).ljust(24, ".")
    text = f"step {step:3}/{steps} [{bar}] loss {loss:.4f}  {seconds:5.2f} s a step"
    if sys.stderr.isatty():
        print(f"\r{text}\x1b[K", end="" if step < steps else "\n", file=sys.stderr, flush=True)
    elif step == steps or step % math.ceil(steps / 5) == 0:
        print(text, file=sys.stderr, flush=True)


class Recorder:
    """Takes down what the engine says of every step. MLX's own engine says nothing."""

    def __init__(self):
        self.steps = []
        self.timeline = []

    def evaluated(self, seconds, loss):
        """Takes down one step."""
        entry = {"seconds": seconds, "loss": loss}
        if hasattr(mx, "last_evaluation"):
            last = mx.last_evaluation()
            entry |= {
                "stage": last.stage,
                "peak": last.peak,
                "planned_peak": last.planned_peak,
                "limit": last.limit,
                "spilled": last.written,
                "reloaded": last.loaded,
                "recomputed": last.recomputed,
                "besides": resident("VmRSS") - mx.memory_report().used,
            }
            self.timeline = last.timeline
        self.steps.append(entry)

    def report(self):
        """All steps, the last one's bytes over time, and the median time after the first steps."""
        seconds = [entry["seconds"] for entry in self.steps]
        return {
            "seconds": float(np.median(seconds[2:] or seconds)),
            "resident_peak": resident("VmHWM"),
            "steps": self.steps,
            "timeline": self.timeline,
        }


def train(model, options, recorder):
    """Trains the model; returns the last loss."""
    optimizer = optim.AdamW(
        learning_rate=options.lr, betas=[0.9, 0.95], weight_decay=0.1, bias_correction=True
    )

    def loss_of(x, y):
        return nn.losses.cross_entropy(model(x), y, reduction="mean")

    loss_and_grad = nn.value_and_grad(model, loss_of)
    for step, (x, y) in enumerate(
        batches(corpus(), options.batch, options.seq, options.steps), start=1
    ):
        start = time.perf_counter()
        loss, gradients = loss_and_grad(x, y)
        optimizer.update(model, gradients)
        del gradients  # nothing but the update needs them
        mx.eval(model.parameters(), optimizer.state, loss)
        seconds = time.perf_counter() - start
        recorder.evaluated(seconds, loss.item())
        show_progress(step, options.steps, loss.item(), seconds)
    return loss.item()


def sample(model, prompt, count, length):
    """The prompt and what the model thinks comes next, drawn at a low temperature."""
    text = list(prompt.encode())
    for _ in range(count):
        window = text[-length:]
        tokens = mx.array([window + [0] * (length - len(window))])  # of one shape throughout
        logits = model(tokens)[0, len(window) - 1]
        text.append(mx.random.categorical(logits / 0.7).item())
    return bytes(text).decode(errors="replace")


def digest(model):
    """SHA-256 of all weights, in the order of their names."""
    total = hashlib.sha256()
    for name, weight in sorted(tree_flatten(model.parameters())):
        total.update(name.encode() + np.array(weight).tobytes())
    return total.hexdigest()


def resident(what):
    """Bytes that this process has resident (VmRSS) or had at most (VmHWM), as Linux counts them."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.split(what + ":")[1].split()[0])


def parse_options():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30, help="training steps")
    parser.add_argument("--batch", type=int, default=16, help="sequences a step")
    parser.add_argument("--seq", type=int, default=256, help="bytes a sequence")
    parser.add_argument("--dim", type=int, default=256, help="features")
    parser.add_argument("--layers", type=int, default=6, help="transformer blocks")
    parser.add_argument("--heads", type=int, default=8, help="attention heads")
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--report", metavar="FILE", help="write what was measured, as JSON")
    parser.add_argument("--demo", action="store_true", help="train without and with limits")
    return parser.parse_args()


def main():
    """Trains, shows what was learnt, and reports."""
    options = parse_options()
    mx.random.seed(0)
    model = GPT(options.seq, options.dim, options.layers, options.heads)
    recorder = Recorder()
    loss = train(model, options, recorder)
    weights = digest(model)
    print(f"loss    {loss:.6f}")
    print(f"digest  {weights}")
    print(f"sample  {sample(model, 'def ', 96, options.seq)!r}")
    if options.report:
        report = recorder.report() | {"loss": loss, "digest": weights}
        Path(options.report).write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
