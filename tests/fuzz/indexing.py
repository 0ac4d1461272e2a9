"""Random keys: they read and write what NumPy reads and writes, or an error says why not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import plimsoll.core as mx
from fuzz.outcome import outcome

Key = tuple[Any, ...]

DTYPES = [
    "bool_", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float32", "float64", "complex64",
]  # fmt: skip
INDEX_DTYPES = DTYPES[1:9]
LENGTHS = [0, 1, 1, 2, 3, 3, 4, 5, 7, 17]
HUGE = [2**31, -(2**31) - 1, 2**32, 2**62, 2**63 - 1, -(2**63)]
BEYOND = [2**63, -(2**63) - 1, 2**64, 10**30]
NOT_KEYS = [1.0, "a", b"a", 2j, True, object(), {}, (0, 1), [[0], [1, 2]], [0.5], [None]]
UPDATES = ["add", "subtract", "multiply", "divide", "maximum", "minimum"]


def numpy_dtype(name: str) -> type:
    return np.float32 if name == "bfloat16" else getattr(np, name)


def numbers(rng: random.Random, shape: tuple[int, ...], name: str, most: int = 4) -> np.ndarray:
    """Integers that every dtype holds, and a few sums of them too."""
    low = 0 if name in ("bool_", "uint8", "uint16", "uint32", "uint64") else -most
    values = np.random.default_rng(rng.randrange(2**32)).integers(low, most + 1, shape)
    return values.astype(numpy_dtype(name))


class Array(NamedTuple):
    """An array of ours and the same one of NumPy."""

    ours: mx.array
    numpy: np.ndarray


def random_array(rng: random.Random, name: str) -> Array:
    """Of any layout: some are views."""
    rank = rng.choice([0, 1, 1, 2, 2, 3, 3, 4, 5, 6])
    lengths = [*LENGTHS, 40_000] if rank == 1 else LENGTHS
    shape = tuple(rng.choice(lengths) for _ in range(rank))
    if np.prod(shape, dtype=int) > 100_000:
        shape = tuple(min(d, 5) for d in shape)
    a = numbers(rng, shape, name)
    x = mx.array(a).astype(getattr(mx, name))
    layout = rng.random()
    if layout < 0.15:
        axes = rng.sample(range(rank), rank)
        return Array(mx.transpose(x, axes), a.transpose(axes))
    if layout < 0.25 and rank:
        step = rng.choice([-1, 2, -2])
        return Array(x[::step], a[::step])
    if layout < 0.3:
        return Array(mx.broadcast_to(x, (3, *shape)), np.broadcast_to(a, (3, *shape)))
    return Array(x, a)


class Part(NamedTuple):
    """One part of a key, as each library takes it; `refused` where it need not be taken."""

    ours: Any
    numpy: Any
    refused: bool = False


def random_int(rng: random.Random, extent: int) -> int:
    inside = extent and rng.random() < 0.97
    return rng.randrange(-extent, extent) if inside else rng.choice([extent, -extent - 1, *HUGE])


def random_bound(rng: random.Random, extent: int) -> Part:
    kind = rng.random()
    if kind < 0.3:
        return Part(None, None)
    i = rng.randint(-extent - 3, extent + 3) if kind < 0.93 else rng.choice(HUGE)
    if kind > 0.99:
        return Part(rng.choice(BEYOND), i, refused=True)
    return Part(mx.array(i) if kind < 0.34 else np.int64(i) if kind < 0.38 else i, i)


def random_slice(rng: random.Random, extent: int) -> Part:
    start, stop = random_bound(rng, extent), random_bound(rng, extent)
    step = rng.choice([None, None, 1, 2, 3, -1, -1, -2, 7, -7])
    if rng.random() < 0.05:
        step = rng.choice([0, *HUGE])
    return Part(
        slice(start.ours, stop.ours, step),
        slice(start.numpy, stop.numpy, step),
        start.refused or stop.refused,
    )


def random_indices(rng: random.Random, extent: int, shape: tuple[int, ...]) -> Part:
    """An array of indices, of ours or NumPy's, or a list."""
    name = rng.choice(INDEX_DTYPES)
    info = np.iinfo(numpy_dtype(name))
    low, high = max(-extent, int(info.min)), min(extent - 1, int(info.max))
    count = int(np.prod(shape))
    values = [rng.randint(low, high) if high >= low else 0 for _ in range(count)]
    if values and rng.random() < 0.04:
        values[rng.randrange(count)] = rng.choice([int(info.min), int(info.max), extent, -low - 1])
    values = [min(max(v, int(info.min)), int(info.max)) for v in values]
    a = np.array(values, numpy_dtype(name)).reshape(shape)
    # uint64 indices would wrap.
    wide = np.array([min(v, 2**63 - 1) for v in values], np.int64).reshape(shape)
    kind = rng.random()
    if kind < 0.6:
        x = mx.array(a)
        if kind < 0.1 and a.ndim == 2:
            x = mx.array(np.ascontiguousarray(a.T)).T
        elif kind < 0.2 and a.ndim:
            x = mx.array(np.repeat(a, 2, axis=0))[::2]
        elif kind < 0.25:
            x = x + mx.zeros((), x.dtype)  # is not evaluated yet
        return Part(x, wide)
    if kind < 0.8 or not a.size or name == "uint64":
        return Part(a, wide)
    return Part(a.tolist() if a.ndim else int(a), wide if a.ndim else int(wide))


def random_key(rng: random.Random, shape: tuple[int, ...]) -> tuple[Part, ...]:
    """Parts for some of the axes, and at times too many of them."""
    used = rng.randint(0, len(shape))
    broadcast = rng.choice([(), (1,), (2,), (3,), (2, 3), (0,), (3, 1, 2), (1000,)])
    most = 1 if broadcast == (1000,) else 3
    parts, arrays = [], 0
    for extent in shape[:used]:
        kind = rng.random()
        if kind < 0.3:
            i = random_int(rng, extent)
            beyond = rng.random() < 0.005
            parts.append(Part(rng.choice(BEYOND) if beyond else i, i, beyond))
        elif kind < 0.65 or arrays == most:
            parts.append(random_slice(rng, extent))
        else:
            dims = tuple(rng.choice([d, d, d, 1]) for d in broadcast[rng.choice([0, 0, 0, 1]) :])
            if rng.random() < 0.01:
                dims = (*dims, 2)
            parts.append(random_indices(rng, extent, dims))
            arrays += 1
    if rng.random() < 0.02:
        parts.append(random_slice(rng, 3))  # one too many, maybe
    if rng.random() < 0.02:
        parts.insert(rng.randint(0, len(parts)), Part(rng.choice(NOT_KEYS), 0, refused=True))
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        parts.insert(rng.randint(0, len(parts)), Part(None, None))
    for _ in range(rng.choice([0] * 6 + [1] * 5 + [2])):
        parts.insert(rng.randint(0, len(parts)), Part(..., ...))
    return tuple(parts)


def split(rng: random.Random, shape: tuple[int, ...]) -> tuple[Any, Any, bool]:
    """A key for each library, and whether it may be refused."""
    parts = random_key(rng, shape)
    bare = len(parts) == 1 and rng.random() < 0.7
    ours: Any = tuple(p.ours for p in parts)
    theirs: Any = tuple(p.numpy for p in parts)
    # To NumPy, not to MLX, a "..." of no axes stands between the arrays around it.
    dots = sum(p is ... for p in theirs)
    if dots == 1 and sum(p is not None for p in theirs) - 1 == len(shape):
        theirs = tuple(p for p in theirs if p is not ...)
        bare = False
    refused = any(p.refused for p in parts)
    return (ours[0] if bare else ours), (theirs[0] if bare else theirs), refused


def as_numpy(x: mx.array) -> np.ndarray:
    return np.array(x.astype(mx.float32) if x.dtype == mx.bfloat16 else x)


def same(x: mx.array, a: np.ndarray, name: str) -> None:
    assert x.dtype == getattr(mx, name), x.dtype
    assert x.shape == a.shape, (x.shape, a.shape)
    np.testing.assert_array_equal(as_numpy(x), a)


def evaluated(x: mx.array) -> mx.array:
    mx.eval(x)
    return x


def agree(ours: Any, theirs: Any, name: str, refused: bool, empty: Any = None) -> bool:
    """Calls both; True where both have a value, which is the same.

    Where nothing is read or written, `empty`, indices need not be looked at.
    """
    try:
        want = theirs()
    except (IndexError, ValueError, TypeError, OverflowError) as e:
        want = e
    got, text = outcome(lambda: evaluated(ours()))
    if text:
        assert refused or isinstance(want, Exception), f"refused, {text}, where NumPy has a value"
        return False
    if refused:
        return False
    if isinstance(want, IndexError) and empty is not None and empty():
        return False
    assert not isinstance(want, Exception), f"a value, {got.shape}, where NumPy says: {want}"
    same(got, want, name)
    return True


def read(rng: random.Random, array: Array, name: str) -> bool:
    ours, theirs, refused = split(rng, array.numpy.shape)
    return agree(
        lambda: array.ours[ours],
        lambda: array.numpy[theirs],
        name,
        refused,
        lambda: is_nothing(array, ours),
    )


def random_value(rng: random.Random, shape: tuple[int, ...], name: str) -> Array:
    """A value of this shape, one that broadcasts to it, or another one."""
    kind = rng.random()
    if kind < 0.3:
        shape = tuple(d if rng.random() < 0.7 else 1 for d in shape[rng.choice([0, 0, 1]) :])
    elif kind < 0.4:
        shape = (1, *shape)
    elif kind < 0.5:
        shape = ()
    elif kind < 0.54:
        shape = tuple(rng.choice(LENGTHS) for _ in range(rng.randint(0, 3)))
    a = numbers(rng, shape, name, 1 if np.prod(shape, dtype=int) > 100 else 4)
    other = rng.choice(DTYPES[9:13]) if rng.random() < 0.3 and name != "bool_" else name
    return Array(mx.array(a).astype(getattr(mx, other)), a)


def target_shape(a: np.ndarray, key: Any) -> tuple[int, ...]:
    try:
        return a[key].shape
    except (IndexError, ValueError, TypeError, OverflowError):
        return ()


def is_nothing(array: Array, key: Any) -> bool:
    """Whether the array, or what the key takes of it, is empty."""
    return array.numpy.size == 0 or array.ours[key].size == 0


def fitted(value: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The value in a shape, without leading axes of one element."""
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = value[0]
    return np.broadcast_to(value, shape).astype(dtype)


def write(rng: random.Random, array: Array, name: str) -> bool:
    if rng.random() < 0.15:
        return write_mask(rng, array, name)
    ours, theirs, refused = split(rng, array.numpy.shape)
    value = random_value(rng, target_shape(array.numpy, theirs), name)

    def set_ours() -> mx.array:
        x = mx.array(array.ours)
        x[ours] = value.ours.item() if value.ours.ndim == 0 and plain(name) else value.ours
        return x

    def set_theirs() -> np.ndarray:
        a = array.numpy.copy()
        a[theirs] = fitted(value.numpy, a[theirs].shape, a.dtype)
        return a

    return agree(set_ours, set_theirs, name, refused, lambda: is_nothing(array, ours))


def plain(name: str) -> bool:
    """Whether a number of Python takes the dtype of what it is written to."""
    return name in ("int32", "float32")


def write_mask(rng: random.Random, array: Array, name: str) -> bool:
    """Masks of the leading axes; a value for all, or a row for each true element and more."""
    shape = array.numpy.shape
    used = rng.randint(0, len(shape))
    dims = list(shape[:used])
    if rng.random() < 0.1:
        dims.insert(rng.randint(0, used), rng.choice(LENGTHS))
    mask = np.random.default_rng(rng.randrange(2**32)).random(dims) < rng.choice([0, 0.2, 0.5, 1])
    count, rest = int(mask.sum()), shape[used:]
    rows = rng.choice([(), (1,), (count,), (count,), (count + 1,), (max(count - 1, 0),)])
    value = random_value(rng, (*rows, *rest), name)
    key = rng.choice([mx.array(mask), mask, mask.tolist() if mask.ndim and mask.size else mask])

    def set_ours() -> mx.array:
        x = mx.array(array.ours)
        x[key] = value.ours
        return x

    def set_theirs() -> np.ndarray:
        if mask.shape != shape[: mask.ndim]:
            raise IndexError("the mask's shape")
        a, v = array.numpy.copy(), value.numpy.astype(array.numpy.dtype)
        rest = shape[mask.ndim :]
        while v.ndim and len(v) == 1:
            v = v[0]
        if v.ndim > len(rest) + 1:
            raise IndexError("too many dimensions")
        if v.ndim == len(rest) + 1:
            if len(v) < count:
                raise IndexError("too few rows")
            v = v[:count]
        a[mask] = v
        return a

    fits = mask.shape == shape[: mask.ndim]
    return agree(set_ours, set_theirs, name, False, lambda: fits and array.numpy.size == 0)


def sums_are_exact(shape: tuple[int, ...], key: Any, name: str) -> bool:
    """Whether 16 bits hold what is added to the element that the key names most often."""
    if name not in ("float16", "bfloat16"):
        return True
    times = np.zeros(shape, np.int32)
    try:
        np.add.at(times, key, 1)
    except (IndexError, ValueError, TypeError, OverflowError):
        return True
    return int(times.max(initial=0)) < 50


def update(rng: random.Random, array: Array, name: str) -> bool:
    """`x.at[key].add(value)` and its like; every duplicate counts."""
    how = rng.choice(UPDATES)
    ours, theirs, refused = split(rng, array.numpy.shape)
    value = random_value(rng, target_shape(array.numpy, theirs), name)
    exact = name not in ("bool_", "complex64")
    if how == "multiply":
        value = signs(rng, value, name)
    if how == "divide":
        exact &= name in DTYPES[9:13]
        value = signs(rng, value, name)

    def ours_of() -> mx.array:
        return getattr(array.ours.at[ours], how)(value.ours)

    def theirs_of() -> np.ndarray:
        a = array.numpy.copy()
        getattr(np, how).at(a, theirs, fitted(value.numpy, a[theirs].shape, a.dtype))
        return a

    exact = exact and not refused and sums_are_exact(array.numpy.shape, theirs, name)
    return agree(ours_of, theirs_of, name, not exact, lambda: is_nothing(array, ours))


def signs(rng: random.Random, value: Array, name: str) -> Array:
    """Factors of which any number may be multiplied or divided by."""
    low = 1 if name.startswith(("u", "b")) else -1
    a = np.random.default_rng(rng.randrange(2**32)).choice([low, 1], value.numpy.shape)
    return Array(mx.array(a).astype(value.ours.dtype), a.astype(value.numpy.dtype))


def take(rng: random.Random, array: Array, name: str) -> bool:
    """The functions that take indices."""
    a, x = array.numpy, array.ours
    if a.ndim == 0:
        return False
    axis = rng.randrange(-a.ndim, a.ndim)
    if rng.random() < 0.4:
        shape = rng.choice([(), (2,), (2, 3), (0,)])
        indices = random_indices(rng, a.shape[axis], shape)
        lists = isinstance(indices.ours, list)
        return agree(
            lambda: mx.take(x, mx.array(indices.ours) if lists else indices.ours, axis),
            lambda: np.take(a, indices.numpy, axis),
            name,
            indices.refused or isinstance(indices.ours, np.ndarray) or a.size == 0,
        )
    shape = list(a.shape)
    shape[axis] = rng.choice([0, 1, 2, 5])
    indices = random_indices(rng, a.shape[axis], tuple(shape))
    at = mx.array(indices.ours)
    if rng.random() < 0.5:
        return agree(
            lambda: mx.take_along_axis(x, at, axis),
            lambda: np.take_along_axis(a, indices.numpy, axis),
            name,
            indices.refused,
            lambda: a.size == 0 or indices.numpy.size == 0,
        )
    values = numbers(rng, tuple(shape), name)

    def put() -> np.ndarray:
        b = a.copy()
        np.put_along_axis(b, indices.numpy, values, axis)
        return b

    put_ours = mx.array(values).astype(getattr(mx, name))
    return agree(
        lambda: mx.put_along_axis(x, at, put_ours, axis),
        put,
        name,
        indices.refused,
        lambda: a.size == 0 or indices.numpy.size == 0,
    )


def gradient(rng: random.Random, array: Array, name: str) -> bool:
    """Of what a key reads: how often each element is read."""
    del name
    x = array.ours.astype(mx.float32)
    ours, theirs, refused = split(rng, array.numpy.shape)

    def counts() -> np.ndarray:
        a = np.zeros(array.numpy.shape, np.float32)
        np.add.at(a, theirs, np.float32(1))
        return a

    return agree(
        lambda: mx.grad(lambda x: x[ours].sum())(x),
        counts, "float32", refused, lambda: is_nothing(array, ours),
    )  # fmt: skip


def run(rng: random.Random, folder: Path) -> bool:
    """One case; True where a value came of it."""
    del folder
    name = rng.choice(DTYPES)
    array = random_array(rng, name)
    return rng.choice([read, read, write, write, update, take, gradient])(rng, array, name)
