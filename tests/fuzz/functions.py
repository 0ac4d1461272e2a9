"""Damaged files of functions, and operations that no program records.

Whatever a file is, importing it gives a function, or a ValueError that says what was expected; and
calling the function gives arrays or an error of Python. Anything else, and of course a crash, is a
bug.
"""

from __future__ import annotations

import random
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plimsoll.core as mx

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).parent.parent))
from fuzz.files import KINDS, Edit, edited
from fuzz.operands import Operation, file_of, operations

X = mx.array(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4))
WEIGHT = mx.array(np.arange(20_000, dtype=np.float32).reshape(4, 5000) / 20_000)  # lazy
INDEX = mx.array([2, -1, 0])


def network(x: mx.array) -> list[mx.array]:
    y = mx.fast.layer_norm(x @ WEIGHT, None, None, 1e-5)
    return [mx.softmax(y, axis=-1).sum(axis=0), mx.argmax(y, axis=1), y[:, 1:9:2]]


def indexing(x: mx.array) -> list[mx.array]:
    z = mx.zeros((3, 4))
    z[INDEX, 1:3] = x[:, 1:3]
    return [
        mx.take(x, INDEX, axis=1), mx.take_along_axis(x, mx.argsort(x, axis=1), axis=1), z,
        x[INDEX, INDEX], mx.concatenate([x, x[::-1]], axis=1), x.at[INDEX].add(x),
        mx.as_strided(x, (2, 3), (1, 4), 1), x.reshape(4, 3).T, x.view(mx.int16), mx.pad(x, 1),
    ]  # fmt: skip


def matrices(x: mx.array) -> list[mx.array]:
    a = x[:, :3]
    q = x.reshape(1, 1, 3, 4)
    image = x.reshape(1, 3, 4, 1)
    return [
        *mx.linalg.qr(a, stream=mx.cpu), mx.linalg.inv(a + 3 * mx.eye(3), stream=mx.cpu),
        mx.fast.scaled_dot_product_attention(q, q, q, scale=0.5, mask="causal"),
        mx.conv2d(image, mx.ones((2, 2, 2, 1)), padding=1), mx.fft.fft(x),
        mx.gather_mm(a, a, INDEX % 1), mx.diagonal(a, 1), mx.cumsum(x, axis=1),
        mx.random.uniform(shape=(3,), key=mx.random.key(1)), mx.arange(3) + a[0].astype(mx.int32),
    ]  # fmt: skip


def gradient(x: mx.array) -> list[mx.array]:
    def loss(x: mx.array) -> mx.array:
        return (mx.fast.rms_norm(mx.tanh(x), mx.ones(4), 1e-5) ** 2).sum() + mx.logsumexp(x)

    return [mx.grad(loss)(x), mx.where(x > 0, mx.clip(x, -0.5, 0.5), 1)]


def packed(x: mx.array) -> list[mx.array]:
    y = mx.concatenate([x] * 16, axis=1)  # [3, 64]
    words = mx.quantize(mx.concatenate([y, y[:1]]), group_size=32, bits=4)
    batch = [a.reshape(2, 2, -1) for a in words]
    return [
        mx.quantized_matmul(y, *words, group_size=32, bits=4),
        mx.gather_qmm(y[None], *batch, rhs_indices=mx.array([1, 0]), group_size=32, bits=4),
    ]


def good(fn: Callable[..., Any], shapeless: bool = False) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.mlxfn"
        mx.export_function(str(path), fn, X, shapeless=shapeless, metadata="ü")
        return path.read_bytes()


SEEDS = [
    good(network), good(indexing), good(matrices), good(gradient), good(packed),
    good(lambda x: mx.exp(x).sum(axis=1), shapeless=True),
]  # fmt: skip

# Errors of calls: shapes and indices, matrices that are singular, kernels and limits.
EXPECTED = (ValueError, IndexError, TypeError, RuntimeError, MemoryError, NotImplementedError)


def changed(text: bytes, edits: list[Edit]) -> bytes:
    """As edited; half of the edits in which sizes stay as they are, so that more is read."""
    for what, where, number in edits:
        at = min(int(where * len(text)), max(len(text) - 8, 0))
        if what == "number" and number % 2:
            small = number // 2 % 40 - 8
            text = text[:at] + struct.pack("<q", small) + text[at + 8 :]
        elif what == "repeat" and number % 2:
            text = text[:at] + struct.pack("<I", number // 2 % 40) + text[at + 4 :]
        else:
            text = edited(text, [(what, where, number)])
    return text


def check(text: bytes, folder: Path) -> bool:
    """Imports the file and calls what it holds; True where it was accepted."""
    path = folder / "fuzz.mlxfn"
    path.write_bytes(text)
    message = ""
    try:
        fn = mx.import_function(str(path))
    except ValueError as e:
        message = str(e)
    if message:
        assert message.startswith("[import_function]"), message
        assert len(message) < 2000, message
        return False
    try:
        mx.eval(fn(X))
        mx.eval(mx.grad(lambda x: sum(y.sum() for y in fn(x) if y.dtype == mx.float32))(X))
    except EXPECTED as e:
        message = str(e)
    assert "internal error" not in message, message
    return True


def random_case(rng: random.Random) -> tuple[bytes, list[Edit]]:
    """A good file, and edits that are mostly in its traces."""
    text = rng.choice(SEEDS)
    body = struct.unpack_from("<Q", text, 16)[0]
    edits = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        where = rng.random() * (min(1.0, (body + 30) / len(text)) if rng.random() < 0.9 else 1)
        edits.append((rng.choice(KINDS), where, rng.randrange(2**32)))
    return text, edits


OPERATIONS = [op for seed in SEEDS for op in operations(seed)]


def random_operation(rng: random.Random) -> Operation:
    """An operation of a good file on operands of other dtypes and shapes, with other attributes."""
    op = rng.choice(OPERATIONS)
    inputs = []
    for dtype, shape in op.inputs:
        if rng.random() < 0.1:
            dtype = rng.randrange(14)
        dims = list(shape)
        for _ in range(rng.choice([0, 0, 1, 2])):
            at = rng.randint(0, len(dims))
            dims[at : at + rng.randint(0, 2)] = [rng.choice([0, 1, 2, 3, 7, 2**31, 2**62])]
        inputs.append((dtype, tuple(dims)))
    if rng.random() < 0.1:
        inputs = rng.choice([inputs[1:], [*inputs, *inputs[:1]], inputs[::-1]])
    attrs = op.attrs
    for _ in range(rng.choice([0, 1, 1, 2])):
        attrs = changed(
            attrs, [(rng.choice(["number", "repeat"]), rng.random(), rng.getrandbits(32))]
        )
    return Operation(op.name, tuple(inputs), attrs)


def run(rng: random.Random, folder: Path) -> bool:
    """One case; True where the file was accepted."""
    if rng.random() < 0.3:
        return check(file_of(random_operation(rng)), folder)
    text, edits = random_case(rng)
    return check(changed(text, edits), folder)
