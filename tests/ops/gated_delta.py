"""Gated delta networks."""

import numpy as np

from ops.opcase import FLOATS, OpCase, Uniform, in_family

UNIT = Uniform(-1, 1)
RATE = Uniform(0.1, 0.9)


def run(mask=None):
    def fn(m, q, k, v, gamma, beta, *state):
        seen = None if mask is None else m.array(mask)
        return list(m.fast.gated_delta_update(q, k, v, gamma, beta, *state, mask=seen))

    return fn


def steps(mask=None):
    """Loops over batch, heads and time, as the definition has it."""

    def oracle(q, k, v, gamma, beta, *state):
        (batch, time, key_heads, keys), (heads, values) = q.shape, v.shape[2:]
        last = state[0].copy() if state else np.zeros((batch, heads, values, keys))
        out = np.zeros(v.shape)
        for b, h in np.ndindex(batch, heads):
            at = h // (heads // key_heads)
            for t in range(time):
                if mask is not None and not mask[b][t]:
                    continue
                s = last[b, h] * gamma[b, t, h]
                s = s + beta[b, t, h] * np.outer(v[b, t, h] - s @ k[b, t, at], k[b, t, at])
                out[b, t, h], last[b, h] = s @ q[b, t, at], s
        return [out, last]

    return oracle


def case(label, shapes, state=(), mask=None, **more):
    """Numbers of 16 bits are widened, so only the output is rounded to them."""
    makers = (UNIT, UNIT, UNIT, RATE, RATE, *(UNIT for _ in state))
    return OpCase("gated_delta_update", run(mask), steps(mask), makers,
                  tuple((*s, *state) for s in shapes), FLOATS, label, ulps=16, peer_ulps=64,
                  magnitude=lambda *a: 4.0, grad=tuple(range(len(makers))), second=False,
                  refuses_others="integers are computed in float32", **more)  # fmt: skip


def shapes(batch, time, key_heads, heads, keys, values, *per_key):
    key, rate = (batch, time, key_heads, keys), (batch, time, heads)
    return key, key, (batch, time, heads, values), (*rate, *per_key), rate


ROWS = [
    case("", (shapes(2, 3, 2, 2, 4, 3), shapes(1, 5, 1, 3, 4, 2), shapes(1, 1, 1, 1, 2, 2))),
    case("state", (shapes(1, 3, 1, 2, 4, 3, 4),), ((1, 2, 3, 4),)),
    case("mask", (shapes(2, 3, 1, 1, 2, 2),), ((2, 1, 2, 2),), [[1, 0, 1], [0, 0, 1]]),
]  # fmt: skip

ROWS = in_family("gated_delta", ROWS)
