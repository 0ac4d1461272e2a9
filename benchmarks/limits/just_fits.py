"""What a limit costs that just suffices: the planned peak itself against no limit.

    PYTHONPATH=build/release/python python benchmarks/limits/just_fits.py [PAIRS]

Each pair times the same evaluation under both, in random order; the ratio is the pairs' median.
The goal is 1.01. The stage must be "fits": the same plan runs, with no room for a cache besides.
"""

import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import plimsoll.optimizers as optim

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import workloads

CHUNKS = 1 << 17  # recorded operations take chunks of 64 KiB, some evaluations one more than others


def chain() -> Callable[[], Any]:
    """Thirty operations over 16 M elements, a few alive at a time."""
    x = mx.random.normal((4096, 1024))
    mx.eval(x)

    def record() -> list:
        y = x
        for k in range(10):
            y = mx.softmax(y * 1.5, axis=k % 2) + x
        return [y]

    return record


def products() -> Callable[[], Any]:
    """A chain of products 1024 wide."""
    w = [mx.random.normal((1024, 1024)) * 0.03 for _ in range(8)]
    mx.eval(w)

    def record() -> list:
        y = w[0]
        for m in w:
            y = mx.tanh(y @ m)
        return [y]

    return record


def gpt() -> Callable[[], Any]:
    """A training step of the GPT of benchmarks/run.py."""
    return workloads.gpt_step(mx, nn, optim)


def measure(record: Callable[[], Any], pairs: int) -> tuple[float, str, int]:
    def timed() -> float:
        arrays = record()
        begin = time.perf_counter()
        mx.eval(arrays)
        return time.perf_counter() - begin

    for _ in range(3):
        timed()
    limit = mx.memory_plan(record()).unlimited_peak + CHUNKS
    timed()  # what a training step recorded for the plan
    stages, ratios = set(), []
    rng = random.Random(1)
    for _ in range(pairs + 2):
        seconds = {}
        for limited in rng.sample([False, True], 2):
            if limited:
                with mx.memory_limit(limit):
                    seconds[True] = timed()
                    stages.add(mx.last_evaluation().stage)
            else:
                seconds[False] = timed()
        ratios.append(seconds[True] / seconds[False])
    return statistics.median(ratios[2:]), "/".join(sorted(stages)), limit


def main() -> None:
    """Prints a line for each workload."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    print(f"{'workload':<10} {'limit, MB':>10} {'ratio':>7}  stage   ({pairs} pairs)")
    for make in (chain, products, gpt):
        np.random.seed(0)
        mx.random.seed(0)
        ratio, stage, limit = measure(make(), pairs)
        print(f"{make.__name__:<10} {limit / 1e6:10.1f} {ratio:7.3f}  {stage}", flush=True)


if __name__ == "__main__":
    main()
