"""Evaluates random graphs under the pressure setting of the environment; test_pressure.py runs it.

Prints JSON: a digest of each graph's results, and how many evaluations used each mechanism.
"""

import collections
import hashlib
import json
import random
import sys

import plimsoll.core as mx

from limits.graphs import OPS, Graph, bits


def graph(seed: int) -> Graph:
    """A graph of up to 16 operations; the first goes through all operations as seeds go up."""
    r = random.Random(seed)
    names = sorted(OPS)

    def some(least: int, most: int) -> tuple[int, ...]:
        return tuple(r.randrange(10) for _ in range(r.randint(least, most)))

    operations = tuple(
        (names[seed % len(names)] if i == 0 else r.choice(names), *(r.randrange(10) for _ in "abc"))
        for i in range(r.randint(4, 16))
    )
    return Graph(r.choice((33, 64)), some(1, 4), operations, some(1, 3), some(0, 2))


def main() -> None:
    """Entry point."""
    digests, counters = [], collections.Counter()
    for seed in range(int(sys.argv[1])):
        inputs, outputs, held = graph(seed).build()
        mx.eval(outputs)
        report = mx.last_evaluation()
        for counter in ("written", "recomputed", "tiles"):
            counters[counter] += getattr(report, counter) > 0
        counters["cached"] += mx.get_cache_memory() > 0
        digests.append(hashlib.sha256(repr(bits(outputs + held)).encode()).hexdigest()[:16])
        del inputs, outputs, held
    print(json.dumps({"digests": digests, "counters": counters}))


if __name__ == "__main__":
    main()
