"""Cross entropy against class numbers."""

import numpy as np
from scipy import special

from ops.opcase import FLOATS, OpCase, Uniform, in_family

# Losses are float32 sums of at most 8.
ULPS = dict.fromkeys(FLOATS, 8)


def classes(count, dtype="int32"):
    return lambda rng, shape, _: rng.integers(0, count, shape).astype(dtype)


def oracle(x, y):
    picked = np.take_along_axis(x, y[..., None].astype(np.int64), -1)[..., 0]
    return special.logsumexp(x, axis=-1) - picked


def case(label, count, shapes, dtype="int32", **more):
    return OpCase("cross_entropy", lambda m, x, y: m.fast.cross_entropy(x, y), oracle,
                  (Uniform(-3, 3), classes(count, dtype)), shapes, FLOATS, label=label, ulps=ULPS,
                  magnitude=lambda x, y: np.full(y.shape, 8.0), grad=(0,), smooth="float32",
                  peer_dtypes=("float32",), **more)  # fmt: skip


ROWS = [
    case("few", 5, (((3, 5), (3,)), ((2, 3, 5), (2, 3)), ((5,), ()))),
    case("many", 1031, (((4, 1031), (4,)),), "uint32"),
]
ROWS = in_family("cross_entropy", ROWS)
