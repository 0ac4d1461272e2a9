"""Principal components of random points around hidden centres, and k-means, in plain MLX."""

import argparse
import time

import mlx.core as mx


def distances(x, centres):
    """Squared distances of points (n, d) to centres (k, d), of (n, k)."""
    return (x * x).sum(1, keepdims=True) - 2 * x @ centres.T + (centres * centres).sum(1)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=int, default=100_000)
parser.add_argument("--cols", type=int, default=64)
parser.add_argument("--components", type=int, default=5)
parser.add_argument("--clusters", type=int, default=6)
parser.add_argument("--rounds", type=int, default=6)
args = parser.parse_args()

mx.random.seed(0)
hidden = 4 * mx.random.normal((args.clusters, args.cols))
x = hidden[mx.random.randint(0, args.clusters, (args.rows,))]
x = x + mx.random.normal((args.rows, args.cols))
mx.eval(x)

start = time.perf_counter()
mean = x.mean(0)
covariance = (x - mean).T @ (x - mean) / (args.rows - 1)
values, vectors = mx.linalg.eigh(covariance, stream=mx.cpu)
values, vectors = values[::-1], vectors[:, ::-1]  # largest first
print("share of variance", (values[: args.components] / values.sum()).tolist())
vectors = vectors[:, : args.components]
largest = mx.take_along_axis(vectors, mx.argmax(mx.abs(vectors), axis=0, keepdims=True), axis=0)
z = (x - mean) @ (vectors * mx.sign(largest))
print("deviations", mx.sqrt(mx.var(z, axis=0)).tolist())

centres = z[:1]
for _ in range(args.clusters - 1):  # each is the point farthest from those before it
    farthest = mx.argmax(mx.min(distances(z, centres), axis=1))
    centres = mx.concatenate([centres, z[farthest][None]])
for i in range(args.rounds):
    near = distances(z, centres)
    labels = mx.argmin(near, axis=1)
    sizes = mx.zeros((args.clusters,)).at[labels].add(1)
    sums = mx.zeros_like(centres).at[labels].add(z)
    centres = mx.where(sizes[:, None] > 0, sums / mx.maximum(sizes, 1)[:, None], centres)
    spread = mx.take_along_axis(near, labels[:, None], axis=1).mean()
    mx.eval(centres, sizes, spread)
    print(f"round {i} spread", spread.item(), "sizes", sizes.astype(mx.int32).tolist())
print("centres", centres.tolist())
print(f"{time.perf_counter() - start:.3f} s")
