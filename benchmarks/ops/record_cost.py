"""Cost of recording one operation from Python, against MLX's wheel in the same run.

Usage: python benchmarks/ops/record_cost.py

Prints nanoseconds a call, and the median over rounds of the ratio of the two.
"""

from __future__ import annotations

import statistics
import timeit

import mlx.core as peer
import plimsoll.core as mx

STATEMENTS = [
    "x + y",
    "x + 1.0",
    "m.add(x, y)",
    "m.exp(x)",
    "x.sum(axis=0)",
    "x.reshape(4, 4)",
    "x[2:4]",
]
CALLS, ROUNDS = 5_000, 15


def main() -> None:
    ours = {"m": mx, "x": mx.ones((16,)), "y": mx.ones((16,))}
    theirs = {"m": peer, "x": peer.ones((16,)), "y": peer.ones((16,))}
    mx.eval(ours["x"], ours["y"])
    peer.eval(theirs["x"], theirs["y"])
    print(f"{'recorded':18} {'ours ns':>9} {'mlx ns':>9} {'ratio':>7}")
    for statement in STATEMENTS:
        pairs = [
            tuple(
                timeit.timeit(statement, globals=scope, number=CALLS) / CALLS * 1e9
                for scope in (ours, theirs)
            )
            for _ in range(ROUNDS)
        ]
        a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(x / y for x, y in pairs)
        print(f"{statement:18} {a:9.0f} {b:9.0f} {ratio:7.2f}")


if __name__ == "__main__":
    main()
