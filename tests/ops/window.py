"""Tapering windows."""

import numpy as np

from ops.opcase import OpCase, in_family


def window(op, label, m):
    """float32, from exact arithmetic; mlx rounds on the way, so it is right to 1 of the maximum."""
    return OpCase(op, lambda lib: getattr(lib, op)(m),
                  lambda: getattr(np, op)(m).astype("f4"), (), ((),), ("float32",), label,
                  magnitude=lambda: np.ones(max(m, 0)), vmap="takes no array", layouts=(),
                  refuses_others="takes no array")  # fmt: skip


ROWS = [
    window(op, label, m)
    for op in ("hanning", "hamming", "blackman", "bartlett")
    for label, m in (("", 12), ("odd", 1001), ("one", 1), ("none", 0))
]

ROWS = in_family("window", ROWS)
