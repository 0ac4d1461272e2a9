"""Rotary positional encoding."""

import numpy as np

from ops.opcase import FLOATS, OpCase, Uniform, in_family

# Angles up to 30 are in float32: half a unit of 30, in units of a result of at most 2.
ULPS = {"float32": 40, "float64": 40, "float16": 1, "bfloat16": 1}
PEER = {"float16": 2.0**4, "bfloat16": 2.0**4}
SIZE = {"magnitude": lambda x, *f: np.full(x.shape, 2.0)}
X = ((2, 3, 5, 8),)


def turned(dims, traditional, base=100.0, scale=1.0, offset=0):
    def oracle(x, freqs=None):
        half = dims // 2
        turns = base ** (-np.arange(half) / half) if freqs is None else 1 / freqs
        start = np.reshape(offset, (-1,) + (1,) * (x.ndim - 1))
        angle = (np.arange(x.shape[-2])[:, None] + start) * scale * turns
        pairs = (slice(0, dims, 2), slice(1, dims, 2))
        if not traditional:
            pairs = (slice(0, half), slice(half, dims))
        a, b = x[..., pairs[0]], x[..., pairs[1]]
        out = x.copy()
        out[..., pairs[0]] = a * np.cos(angle) - b * np.sin(angle)
        out[..., pairs[1]] = a * np.sin(angle) + b * np.cos(angle)
        return out

    return oracle


def rope(dims, traditional, base=100.0, scale=1.0, offset=0):
    def fn(m, x, freqs=None):
        start = offset if isinstance(offset, int) else m.array(offset)
        return m.fast.rope(x, dims, traditional=traditional, base=None if freqs is not None else
                           base, scale=scale, offset=start, freqs=freqs)  # fmt: skip

    return fn


def case(label, args, shapes=X, inputs=(Uniform(-1, 1),), **more):
    return OpCase("rope", rope(*args), turned(*args), inputs, (shapes,), FLOATS, label=label,
                  ulps=ULPS, peer="" if "peer" not in more else more.pop("peer"), grad=(0,),
                  peer_ulps=64, peer_dtypes=("float32",), **SIZE, **more)  # fmt: skip


ROWS = [
    case("halves", (8, False)),
    case("pairs", (8, True)),
    case("part", (4, False, 100.0, 0.5, 7)),
    case("part-pairs", (4, True, 100.0, 0.5, 7)),
    case("offsets", (8, False, 100.0, 1.0, [3, 11]), vmap="offsets go with the batch"),
    case("offsets-pairs", (6, True, 100.0, 1.0, [3, 11]), vmap="offsets go with the batch"),
    case("freqs", (8, False), ((2, 5, 8), (4,)), (Uniform(-1, 1), Uniform(1, 3)), batched=(0,)),
]  # fmt: skip

ROWS = in_family("rope", ROWS)
