"""The nearest vectors in a table of random ones, in plain MLX."""

import argparse
import time

import mlx.core as mx


def unit(vectors):
    """The vectors, scaled to length 1."""
    return vectors / mx.linalg.norm(vectors, axis=-1, keepdims=True)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=int, default=200_000)
parser.add_argument("--features", type=int, default=64)
parser.add_argument("--queries", type=int, default=8)
parser.add_argument("--count", type=int, default=5)
args = parser.parse_args()

mx.random.seed(0)
table = unit(mx.random.normal((args.rows, args.features)))
wanted = mx.random.randint(0, args.rows, (args.queries,))
queries = unit(table[wanted] + 0.05 * mx.random.normal((args.queries, args.features)))
mx.eval(table, queries)

start = time.perf_counter()
scores = queries @ table.T
best = mx.argpartition(-scores, args.count, axis=1)[:, : args.count]
found = mx.take_along_axis(scores, best, axis=1)
order = mx.argsort(-found, axis=1)
best = mx.take_along_axis(best, order, axis=1)
found = mx.take_along_axis(found, order, axis=1)
mx.eval(best, found)
for i in range(args.queries):
    print(f"query {i} rows", best[i].tolist(), "products", found[i].tolist())
print("found", mx.sum(best[:, 0] == wanted).item(), "largest", mx.topk(scores[0], 3).max().item())
print(f"{time.perf_counter() - start:.3f} s")
