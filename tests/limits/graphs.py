"""Random graphs over all families of operations, drawn by Hypothesis.

Every value is a square matrix, so that any operation follows any other; operands are cast to what
an operation takes, so that casts are everywhere too.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import Any

import numpy as np
import plimsoll.core as mx
from hypothesis import strategies as st

DTYPES = (mx.float32, mx.float16, mx.bfloat16, mx.float64, mx.complex64, mx.int32, mx.int8,
          mx.uint16, mx.uint64, mx.bool_)  # fmt: skip
HALVES = (mx.float16, mx.bfloat16)
FLOATS = (mx.float32, mx.float16, mx.bfloat16, mx.float64)
SHARES = (0.0, 0.02, 0.1, 0.3, 0.6, 0.8, 0.95)


def scaled(a, b):
    return a @ b * mx.array(1 / a.shape[0], a.dtype)


def attention(a, b):
    n = a.shape[0]
    q, k = a.reshape(1, 1, n, n), b.reshape(1, 1, n, n)
    return mx.fast.scaled_dot_product_attention(q, k, q, scale=n**-0.5).reshape(n, n)


def scattered(a, b):
    rows = mx.argsort(b[:, 0])[: max(1, a.shape[0] // 3)]
    return a.at[rows].add(b[: rows.size])


def norm_gradient(a, b):
    def loss(x, w):
        return mx.sum(mx.fast.layer_norm(x, w, w, 1e-5) * b)

    gx, gw = mx.grad(loss, argnums=(0, 1))(a, b[0])
    return gx + gw


def split(a, b):
    parts = mx.split(mx.concatenate([a, b], axis=1), [a.shape[0] // 3, a.shape[0] + 5], axis=1)
    return mx.concatenate([parts[1], parts[0], parts[2]], axis=1)[:, 3 : a.shape[0] + 3]


def noise(a, b):
    return mx.random.normal(a.shape, key=mx.random.key(b.size)) + a


def halves(a, b):
    n = a.shape[0] // 2
    return mx.concatenate([a[:n] - a[a.shape[0] - n :], b[n:]], axis=0)


def spectrum(a, b):
    return mx.real(a.astype(mx.complex64) * mx.conjugate(b.astype(mx.complex64)) + 1j * a)


# Per operation: its operands' dtypes (None: any) and a function of two matrices.
OPS: dict[str, tuple[tuple[Any, ...] | None, Any]] = {
    "add": (None, lambda a, b: a + b),
    "chain": (FLOATS, lambda a, b: mx.tanh(a) * b + mx.sigmoid(b - a)),
    "exp": (FLOATS, lambda a, b: mx.exp(-mx.abs(a)) - b),
    "where": (None, lambda a, b: mx.where(a == b, a, b)),
    "matmul": ((mx.float32,), scaled),
    "matmul_half": (HALVES, scaled),
    "matmul_complex": ((mx.complex64,), scaled),
    "matmul_transposed": (FLOATS, lambda a, b: scaled(a.T, b)),
    "transpose": (None, lambda a, b: a.T + b),
    "reverse": (None, lambda a, b: a[::-1] + b[:, ::-1]),
    "mirror": (None, lambda a, b: a * a[::-1, ::-1] + b),
    "ends": (None, lambda a, b: b + (a[0] - a[-1])),
    "halves": (None, halves),
    "reshape": (None, lambda a, b: a.reshape(-1)[::-1].reshape(b.shape) * b),
    "sum_rows": (None, lambda a, b: a - mx.sum(b, axis=0, keepdims=True).astype(a.dtype)),
    "mean_columns": (FLOATS, lambda a, b: a * mx.mean(b, axis=1, keepdims=True)),
    "max": ((mx.float32, mx.int32, mx.bfloat16), lambda a, b: a - mx.max(b)),
    "var": (FLOATS, lambda a, b: a / (1 + mx.var(b, axis=0))),
    "logsumexp": (FLOATS, lambda a, b: a - mx.logsumexp(b, axis=-1, keepdims=True)),
    "softmax": (FLOATS, lambda a, b: mx.softmax(a, axis=-1) + mx.softmax(b, axis=0)),
    "cumsum": ((mx.float32, mx.int32, mx.float16),
               lambda a, b: mx.cumsum(a, axis=0) - mx.cumsum(b, axis=1)),
    "sort": ((mx.float32, mx.int32, mx.float16, mx.uint16),
             lambda a, b: mx.sort(a, axis=-1) + mx.sort(b, axis=0)),
    "take": (None, lambda a, b: mx.take(a, mx.argmax(mx.real(b), axis=-1), axis=0)),
    "take_along": ((mx.float32, mx.int32, mx.bfloat16),
                   lambda a, b: mx.take_along_axis(a, mx.argsort(b, axis=1), axis=1)),
    "scatter": ((mx.float32, mx.int32), scattered),
    "attention": ((mx.float32, mx.float16), attention),
    "layer_norm": ((mx.float32, mx.bfloat16),
                   lambda a, b: mx.fast.layer_norm(a, b[0], b[1], 1e-5)),
    "rms_norm": ((mx.float32, mx.float16), lambda a, b: mx.fast.rms_norm(a, b[0], 1e-5)),
    "norm_gradient": ((mx.float32,), norm_gradient),
    "concatenate": (None, lambda a, b: mx.concatenate([a, b], axis=0)[::2]),
    "split": (None, split),
    "stack": (None, lambda a, b: mx.stack([a, b], axis=1).reshape(-1, a.shape[0])[5:][
        : a.shape[0]]),
    "random": (FLOATS, noise),
    "complex": ((mx.float32,), spectrum),
}  # fmt: skip


@dataclass(frozen=True)
class Graph:
    size: int
    inputs: tuple[int, ...]  # indices of DTYPES
    steps: tuple[tuple[str, int, int, int], ...]  # operation, two operands, choice of dtype
    outputs: tuple[int, ...]  # counted from the newest value
    held: tuple[int, ...]  # values that the user keeps without evaluating them

    def build(self) -> tuple[list[mx.array], list[mx.array], list[mx.array]]:
        """Inputs, outputs and held values, recorded anew; only the inputs have values."""
        rng = np.random.default_rng(self.size)
        values = []
        for which in self.inputs:
            numbers = rng.uniform(-3, 3, (self.size, self.size)).astype(np.float32)
            values.append(cast(mx.array(numbers), DTYPES[which]))
        mx.eval(values)
        inputs = list(values)
        for name, first, second, choice in self.steps:
            dtypes, fn = OPS[name]
            a, b = values[-1 - first % len(values)], values[-1 - second % len(values)]
            dtype = dtypes[choice % len(dtypes)] if dtypes else a.dtype
            values.append(fn(cast(a, dtype), cast(b, dtype)))
            assert values[-1].shape == (self.size, self.size), name
        picked = [[values[-1 - i % len(values)] for i in s] for s in (self.outputs, self.held)]
        return inputs, [*picked[0], mx.sum(values[-1])], picked[1]


def cast(a: mx.array, dtype: Any) -> mx.array:
    """Casts; numbers that integers do not hold are cut off first, as their cast is not defined."""
    if a.dtype == dtype:
        return a
    if a.dtype == mx.complex64:
        a = mx.real(a)
    if dtype not in (*FLOATS, mx.complex64, mx.bool_) and a.dtype in FLOATS:
        low = 0 if dtype in (mx.uint16, mx.uint64) else -100
        a = mx.nan_to_num(mx.clip(a, low, 100))
    return a.astype(dtype)


def graphs(most_steps: int = 16) -> st.SearchStrategy[Graph]:
    index = st.integers(0, 9)
    step = st.tuples(st.sampled_from(sorted(OPS)), index, index, index)
    return st.builds(
        Graph,
        size=st.sampled_from((33, 64, 96)),
        inputs=st.lists(index, min_size=1, max_size=4).map(tuple),
        steps=st.lists(step, min_size=1, max_size=most_steps).map(tuple),
        outputs=st.lists(index, min_size=1, max_size=3).map(tuple),
        held=st.lists(index, max_size=2).map(tuple),
    )


def bits(arrays: list[mx.array]) -> list[bytes]:
    """Their bytes; float32 holds every bfloat16."""
    return [
        np.array(a.astype(mx.float32) if a.dtype == mx.bfloat16 else a).tobytes() for a in arrays
    ]


def settle() -> int:
    """The ledger's bytes once nothing that could be given back is kept."""
    gc.collect()
    mx.clear_cache()
    return mx.memory_report().used
