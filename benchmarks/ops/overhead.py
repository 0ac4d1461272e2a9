"""What an operation costs beside its arithmetic, against MLX's wheel in the same run.

Usage: python benchmarks/ops/overhead.py

Small arrays, so that the time is recording, planning and starting. Microseconds, medians over
rounds that take the libraries in turn, and the median of the rounds' ratios. record_cost.py times
recording alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import mlx.core as peer
import plimsoll.core as mx

ROUNDS = 25
CHAIN = 1_000


def record_and_eval(m: Any, x: Any) -> None:
    m.eval(x + 1)


def record_chain(m: Any, x: Any) -> Any:
    for _ in range(CHAIN):
        x = x + 1.0
    return x


def eval_chain(m: Any, x: Any) -> None:
    m.eval(record_chain(m, x))


ROWS: dict[str, tuple[Callable[[Any, Any], Any], int]] = {  # what to call, and how often a round
    "eval of x + 1": (record_and_eval, 200),
    f"record {CHAIN} adds": (record_chain, 5),
    f"record and eval {CHAIN} adds": (eval_chain, 5),
}


def microseconds(f: Callable[[Any, Any], Any], m: Any, x: Any, calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        f(m, x)
    return (time.perf_counter() - begin) / calls * 1e6


def main() -> None:
    libraries = [(m, m.ones((16,))) for m in (mx, peer)]
    for m, x in libraries:
        m.eval(x)
    print(f"{'us':28} {'ours':>9} {'mlx':>9} {'ratio':>7}")
    for name, (f, calls) in ROWS.items():
        pairs = [[microseconds(f, m, x, calls) for m, x in libraries] for _ in range(ROUNDS)]
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{name:28} {ours:9.1f} {theirs:9.1f} {ratio:7.2f}")


if __name__ == "__main__":
    main()
