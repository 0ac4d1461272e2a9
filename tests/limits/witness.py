"""Evaluates random graphs under limits and asks the system what was resident; test_witness.py runs
it.

    python -m limits.witness COUNT [FOLDER]

Prints JSON: per evaluation the limit, whether its bits were those without a limit, and what the
process held past the limit, in bytes: its high-water mark (VmHWM) less what was resident beside the
engine's arrays when it began. In the memory cgroup FOLDER, which this process must be in, nothing
past the limit and the constant that `plimsoll info` prints can be had while an evaluation runs.
"""

import contextlib
import dataclasses
import gc
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import plimsoll.core as mx
from plimsoll.cli import OUTSIDE

from limits.graphs import bits, settle
from limits.pressure import graph

SIZES = (256, 700, 1100)
SHARES = (0.0, 0.3, 0.7)
CGROUP = Path(sys.argv[2]) if len(sys.argv) > 2 else None


def status(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def forget_peak() -> None:
    """Sets VmHWM back to what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


@contextlib.contextmanager
def confined(limit: int) -> Iterator[None]:
    """No more than `limit` and the constant for what the engine causes: more ends the process."""
    if not CGROUP:
        yield
        return
    first = (CGROUP / "memory.limit_in_bytes").exists()  # version 1
    used = CGROUP / ("memory.usage_in_bytes" if first else "memory.current")
    most = CGROUP / ("memory.limit_in_bytes" if first else "memory.max")
    without = int(used.read_text()) - mx.memory_report().used
    most.write_text(str(without + limit + OUTSIDE))
    yield
    most.write_text("-1" if first else "max")


def outputs_of(i: int) -> list[mx.array]:
    """Those of a random graph, or of what LAPACK does, in memory of its own."""
    if i % 8:
        return dataclasses.replace(graph(i), size=SIZES[i % 3]).build()[1]
    a = mx.random.normal((900, 900), key=mx.random.key(900))
    return [mx.linalg.eigvalsh(a, stream=mx.cpu)]


def digest(arrays: list[mx.array]) -> str:
    """Of all their bits."""
    return hashlib.sha256(b"".join(bits(arrays))).hexdigest()


def main() -> None:
    """Entry point."""
    np.array(mx.sum(mx.ones((64, 64)) @ mx.ones((64, 64))))  # threads start
    found = []
    for i in range(int(sys.argv[1])):
        outputs = outputs_of(i)
        settle()
        plan = mx.memory_plan(outputs)
        above = max(0, plan.unlimited_peak - plan.floor)
        limit = plan.floor + int(SHARES[i % len(SHARES)] * above)
        del plan
        gc.collect()
        without = status("VmRSS") - mx.memory_report().used
        forget_peak()
        with mx.memory_limit(limit), confined(limit):
            mx.eval(outputs)
        past, stage = status("VmHWM") - without - limit, mx.last_evaluation().stage
        same = digest(outputs) == digest(outputs_of(i))
        found.append({"limit": limit, "past": past, "stage": stage, "same": same})
        del outputs
    print(json.dumps(found))


if __name__ == "__main__":
    main()
