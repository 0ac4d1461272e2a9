"""Evaluates every row at its floor, and prints what came out; test_limits.py runs it.

A process of its own, because slabs and extents of 4 KiB (PLIMSOLL_SLAB_THRESHOLD,
PLIMSOLL_EXTENT_BYTES) are chosen when the package starts; with them a batch of small arrays is
evicted, tiled and recomputed as gigabytes are elsewhere.
"""

import json
import sys

import numpy as np
import plimsoll.core as mx

from ops.opcase import FORMATS, OpCase, dtype_name, to
from ops.tables import CASES

BATCH = 256


def dtype_of_case(case: OpCase) -> str:
    preferred = ("float32", "int32", "bool_", "complex64")
    return next((d for d in preferred if d in case.dtypes), case.dtypes[0])


def batch(case: OpCase, dtype: str) -> tuple[list, tuple]:
    """Inputs with a batch in front of those that may have one."""
    mapped = case.batched if case.batched is not None else tuple(range(len(case.inputs)))
    sets = [case.make(dtype, case.shapes[0], salt=i) for i in range(BATCH if mapped else 1)]
    values = [
        np.stack([s[k] for s in sets]) if k in mapped else sets[0][k]
        for k in range(len(case.inputs))
    ]
    return values, tuple(0 if k in mapped else None for k in range(len(values)))


def recorded(case: OpCase, dtype: str, arrays: list, axes: tuple) -> list:
    """The row over the batch, and its gradient."""
    if case.vmap is not True:
        return case.run(mx, dtype, arrays)

    def fn(*a):
        return mx.vmap(lambda *one: case.run(mx, dtype, one), in_axes=axes)(*a)

    results = fn(*arrays)
    if case.grad and dtype in FORMATS:

        def total(*a):
            parts = [(y * y).sum() for y in fn(*a) if dtype_name(y) in FORMATS]
            return sum(parts[1:], parts[0])

        grads = mx.grad(total, argnums=case.grad)(*arrays)
        results = [*results, *(grads if isinstance(grads, tuple) else (grads,))]
    return results


def bits(arrays: list) -> list[bytes]:
    """Their bytes; float32 holds every bfloat16."""
    return [
        np.array(a.astype(mx.float32) if a.dtype == mx.bfloat16 else a).tobytes() for a in arrays
    ]


def check(case: OpCase) -> dict:
    dtype = dtype_of_case(case)
    values, axes = batch(case, dtype)
    if case.vmap is not True:
        values, axes = list(case.make(dtype, case.shapes[-1])), ()
    arrays = [to(mx, v, dtype) for v in values]
    mx.eval(arrays)
    want = bits(recorded(case, dtype, arrays, axes))
    report: dict = {"differs": [], "stages": [], "over": 0, "written": 0, "loaded": 0,
                    "recomputed": 0, "tiles": 0}  # fmt: skip
    for share in (0.0, 0.5):
        results = recorded(case, dtype, arrays, axes)
        plan = mx.memory_plan(results)
        limit = plan.floor + int(share * max(0, plan.unlimited_peak - plan.floor))
        with mx.memory_limit(limit, strict=True):
            mx.eval(results)
        done = mx.last_evaluation()
        report["stages"].append(done.stage)
        for name in ("written", "loaded", "recomputed", "tiles"):
            report[name] += getattr(done, name)
        if done.actions:  # else it asked for nothing
            report["over"] = max(report["over"], done.peak - limit)
        if bits(results) != want:
            report["differs"].append(limit)
    return report


def main() -> None:
    reports = {}
    for case in CASES:
        try:
            report = check(case)
        except Exception as error:  # told to the parent, which fails that case
            report = {"error": f"{type(error).__name__}: {error}"}
        reports[f"{case.family}/{case.name}"] = report
    json.dump(reports, sys.stdout)


if __name__ == "__main__":
    main()
