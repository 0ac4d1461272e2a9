"""A table from a file: standardised by column, multiplied, softmaxed, saved; in plain MLX."""

import argparse
import tempfile
import time

import mlx.core as mx

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=int, default=100_000)
parser.add_argument("--cols", type=int, default=128)
args = parser.parse_args()

mx.random.seed(0)
weights = mx.random.normal((args.cols, args.cols)) / args.cols**0.5
with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
    offsets, widths = mx.random.uniform(-2, 2, (args.cols,)), mx.random.uniform(1, 2, (args.cols,))
    mx.save(f"{folder}/x.npy", mx.random.normal((args.rows, args.cols)) * widths + offsets)

    start = time.perf_counter()
    x = mx.load(f"{folder}/x.npy")
    z = (x - mx.mean(x, axis=0)) * mx.rsqrt(mx.var(x, axis=0) + 1e-5)
    mx.save(f"{folder}/y.npy", mx.softmax(z @ weights, axis=-1))

    y = mx.load(f"{folder}/y.npy")
    print("rows", y.shape[0], "first", y[0, :8].tolist())
    print("columns", mx.mean(y, axis=0)[:8].tolist(), "largest", mx.max(y).item())
    x = mx.load(f"{folder}/x.npy")
    print("products", mx.diag(x.T @ x)[:8].tolist())
    print(f"{time.perf_counter() - start:.3f} s")
