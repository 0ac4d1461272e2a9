"""Scaled dot product attention and its fused gradient."""

import numpy as np
from scipy import special

from ops.opcase import FLOATS, OpCase, Uniform, in_family

QKV = (Uniform(-1, 1), Uniform(-1, 1), Uniform(-1, 1))
SCALE = 0.5
SHAPES = (
    ((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 4)),
    ((2, 4, 3, 8), (2, 2, 3, 8), (2, 2, 3, 8)),
    ((1, 1, 1, 16), (1, 1, 70, 16), (1, 1, 70, 16)),
    ((1, 1, 65, 8), (1, 1, 65, 8), (1, 1, 65, 8)),
)
# Weights sum to 1, so errors are relative to the largest |v|.
ULPS = {"float32": 8, "float64": 16, "float16": 2, "bfloat16": 2}
SIZE = {"magnitude": lambda q, k, v, *rest: np.max(np.abs(v))}


def attention(mask=None, sinks=False):
    def oracle(q, k, v, *given):
        group = q.shape[1] // k.shape[1]
        k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
        scores = SCALE * q @ np.swapaxes(k, -1, -2)
        if mask == "causal":
            offset = k.shape[2] - q.shape[2]
            scores = np.where(np.tri(q.shape[2], k.shape[2], offset, dtype=bool), scores, -np.inf)
        for m in given[: len(given) - sinks]:
            scores = np.where(m, scores, -np.inf) if m.dtype == bool else scores + m
        if sinks:
            column = np.broadcast_to(given[-1][:, None, None], (*scores.shape[:-1], 1))
            scores = np.concatenate([scores, column], -1)
        return special.softmax(scores, axis=-1)[..., : v.shape[2]] @ v

    return oracle


def attend(mask=None, sinks=False):
    def fn(m, q, k, v, *given):
        return m.fast.scaled_dot_product_attention(
            q, k, v, scale=SCALE, mask=given[0] if len(given) > sinks else mask,
            **({"sinks": given[-1]} if sinks else {}),
        )  # fmt: skip

    return fn


def mask_of(rng, shape, dtype):
    """Hides some keys of every query, never all."""
    mask = rng.random(shape) < 0.7
    mask[..., 0] = True
    return mask


def pulled(m, q, k, v, g, *sinks):
    return m.vjp(lambda *a: attend(None, bool(sinks))(m, *a), [q, k, v, *sinks], [g])[1][:3]


def pulled_oracle(q, k, v, g, *sinks):
    scores = SCALE * q @ np.swapaxes(k, -1, -2)
    for s in sinks:
        column = np.broadcast_to(s[:, None, None], (*scores.shape[:-1], 1))
        scores = np.concatenate([scores, column], -1)
    y = special.softmax(scores, axis=-1)[..., : v.shape[2]]
    dv = np.swapaxes(y, -1, -2) @ g
    dy = g @ np.swapaxes(v, -1, -2)
    ds = y * (dy - np.sum(dy * y, -1, keepdims=True)) * SCALE
    return [ds @ k, np.swapaxes(ds, -1, -2) @ q, dv]


# float64 runs in plain ops; the fused kernel is float32's.
def all_of(op, fn, oracle, inputs, shapes, label="", **more):
    return OpCase(op, fn, oracle, inputs, shapes, FLOATS, label=label, ulps=ULPS, peer_ulps=64,
                  smooth="float32", peer_dtypes=("float16", "bfloat16", "float32"),
                  **more)  # fmt: skip


ROWS = [
    all_of("sdpa", attend(), attention(), QKV, SHAPES, grad=(0, 1, 2), **SIZE),
    all_of("sdpa", attend("causal"), attention("causal"), QKV,
           (((1, 2, 5, 4), (1, 1, 5, 4), (1, 1, 5, 4)), ((1, 1, 3, 4), (1, 1, 7, 4), (1, 1, 7, 4)),
            SHAPES[3]), "causal", grad=(0, 1, 2), **SIZE),
    all_of("sdpa", attend(), attention(), (*QKV, mask_of),
           ((*SHAPES[0], (3, 5)), (*SHAPES[1], (2, 1, 3, 3))), "mask", grad=(0, 1, 2),
           **SIZE),
    all_of("sdpa", attend(), attention(), (*QKV, Uniform(-1, 1)),
           ((*SHAPES[0], (1, 1, 3, 5)),), "bias", grad=(0, 1, 2, 3), **SIZE),
    all_of("sdpa", attend(None, True), attention(None, True), (*QKV, Uniform(-1, 1)),
           tuple((*shapes, shapes[0][1:2]) for shapes in SHAPES), "sinks", grad=(0, 1, 2, 3),
           **SIZE),
    all_of("sdpa", attend("causal", True), attention("causal", True), (*QKV, Uniform(-1, 1)),
           (((1, 2, 5, 4), (1, 1, 3, 4), (1, 1, 3, 4), (2,)),), "causal sinks", grad=(0, 1, 2, 3),
           **SIZE),
    all_of("sdpa", attend(None, True), attention(None, True),
           (*QKV, Uniform(-1, 1), Uniform(-1, 1)),
           ((*SHAPES[1], (2, 1, 3, 3), (4,)),), "bias sinks", grad=(0, 1, 2, 3, 4), **SIZE),
    all_of("sdpa_vjp", pulled, pulled_oracle, (*QKV, Uniform(-1, 1)),
           ((*SHAPES[0], (1, 2, 3, 4)),), refuses_others="sdpa says so",
           magnitude=lambda q, k, v, g: 4.0 * g.shape[2]),
    all_of("sdpa_vjp", pulled, pulled_oracle, (*QKV, Uniform(-1, 1), Uniform(-1, 1)),
           ((*SHAPES[0], (1, 2, 3, 4), (2,)),), "sinks", refuses_others="sdpa says so",
           magnitude=lambda q, k, v, g, s: 4.0 * g.shape[2]),
]  # fmt: skip

ROWS = in_family("attention", ROWS)
