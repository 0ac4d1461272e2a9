"""Rows of the tables: what an operation is tested on, and how far it may be from its oracle.

A row names the operation as it is registered, a function of arrays that records it, makers of its
inputs, and an oracle written in NumPy. test_opcases.py derives every test from it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BOOL = ("bool_",)
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
SIGNED = ("int8", "int16", "int32", "int64")
INTEGERS = UNSIGNED + SIGNED
HALVES = ("float16", "bfloat16")
FLOATS = (*HALVES, "float32", "float64")
COMPLEX = ("complex64",)
REAL = BOOL + INTEGERS + FLOATS
ALL = REAL + COMPLEX
INEXACT = FLOATS + COMPLEX

# Bits of the significand behind the point, and the exponent of the smallest normal number.
FORMATS = {
    "float16": (10, -14),
    "bfloat16": (7, -126),
    "float32": (23, -126),
    "float64": (52, -1022),
    "complex64": (23, -126),
}

Shape = tuple[int, ...]
Arrays = tuple[np.ndarray, ...]


def eps(dtype: str) -> float:
    return 2.0 ** -FORMATS[dtype][0]


def rounded(a: np.ndarray, dtype: str) -> np.ndarray:
    """The values as the dtype holds them, in a NumPy dtype that has room for them."""
    if dtype == "bfloat16":
        bits = np.ascontiguousarray(a, dtype=np.float32).view(np.uint32).astype(np.uint64)
        even = (bits >> np.uint64(16)) & np.uint64(1)
        kept = ((bits + np.uint64(0x7FFF) + even) >> np.uint64(16)) << np.uint64(16)
        return kept.astype(np.uint32).view(np.float32).reshape(np.shape(a))
    return np.asarray(a).astype(dtype.removesuffix("_"))


@dataclass(frozen=True)
class Uniform:
    """Numbers in [low, high]; integers are clipped to what their dtype holds, bool is 0 or 1."""

    low: float = -2.0
    high: float = 2.0

    def __call__(self, rng: np.random.Generator, shape: Shape, dtype: str) -> np.ndarray:
        if dtype == "bool_":
            return rng.integers(0, 2, shape).astype(bool)
        if dtype in INTEGERS:
            info = np.iinfo(dtype)
            low, high = max(int(np.ceil(self.low)), info.min), min(int(self.high), info.max)
            return rng.integers(low, high, shape, endpoint=True).astype(dtype)
        values = rng.uniform(self.low, self.high, shape)
        if dtype == "complex64":
            values = values + 1j * rng.uniform(self.low, self.high, shape)
        return rounded(np.asarray(values), dtype)


@dataclass(frozen=True)
class Distinct:
    """A shuffle of different numbers, `step` apart: no ties for extremes and sorts."""

    step: float = 0.25
    shift: float = 0.0

    def __call__(self, rng: np.random.Generator, shape: Shape, dtype: str) -> np.ndarray:
        n = int(np.prod(shape))
        if dtype == "bool_":
            return rng.integers(0, 2, shape).astype(bool)
        if dtype in INTEGERS:
            low = 0 if dtype in UNSIGNED else -min(n // 2, 120)
            return (low + rng.permutation(n) % 240).reshape(shape).astype(dtype)
        values = (rng.permutation(n) - n // 2) * self.step + self.shift
        if dtype == "complex64":
            values = values + 1j * (rng.permutation(n) - n // 2) * self.step
        return rounded(np.asarray(values).reshape(shape), dtype)


@dataclass(frozen=True)
class Near:
    """Factors near 1 in magnitude, so that long products stay finite; complex ones turn."""

    spread: float = 0.3

    def __call__(self, rng: np.random.Generator, shape: Shape, dtype: str) -> np.ndarray:
        if dtype != "complex64":
            return Uniform(1 - self.spread, 1 + self.spread)(rng, shape, dtype)
        size = np.exp(rng.uniform(-self.spread, self.spread, shape))
        return rounded(np.asarray(size * np.exp(1j * rng.uniform(-1, 1, shape))), dtype)


@dataclass(frozen=True)
class Indices:
    """Integers in [-extent, extent), whatever the dtype that is tested; `unique`: a permutation."""

    extent: int
    dtype: str = "int32"
    unique: bool = False

    def __call__(self, rng: np.random.Generator, shape: Shape, dtype: str) -> np.ndarray:
        if self.unique:
            n = int(np.prod(shape))
            return rng.permutation(self.extent)[:n].reshape(shape).astype(self.dtype)
        low = 0 if self.dtype in UNSIGNED else -self.extent
        return rng.integers(low, self.extent, shape).astype(self.dtype)


@dataclass(frozen=True)
class Fixed:
    """Another maker in one dtype, whatever the dtype that is tested."""

    maker: Callable[..., np.ndarray]
    dtype: str

    def __call__(self, rng: np.random.Generator, shape: Shape, dtype: str) -> np.ndarray:
        return self.maker(rng, shape, self.dtype)


UNARY_SHAPES = (((3, 5),), ((),), ((1,),), ((0,),), ((2, 0, 3),), ((1031,),), ((2, 3, 4),))
BINARY_SHAPES = (
    ((3, 5), (3, 5)),
    ((), ()),
    ((1,), (4,)),
    ((0,), (0,)),
    ((2, 1, 3), (4, 1)),
    ((5,), ()),
    ((2, 3, 7), (2, 3, 7)),
)
LAYOUTS = ("transposed", "strided", "reversed", "repeated")


@dataclass(frozen=True)
class OpCase:
    """A row.

    Attributes:
        op: The registered name.
        fn: fn(m, *arrays) records the operation with m = plimsoll.core or mlx.core.
        oracle: The same of NumPy arrays: floats come in float64, complex in complex128. None where
            only mlx can say what is right (random numbers).
        inputs: One maker for each array.
        shapes: Lists of shapes, one shape for each array; the first is what layouts, gradients
            and vmap are tested on.
        dtypes: Those that the operation supports; any other must be refused, unless the row is one
            of several for its op.
        label: Tells rows of one op apart.
        inexact: Integers are computed in float32: the oracle gets them as float64.
        ulps: Greatest distance in units in the last place: a number, or one for each dtype.
        magnitude: What the error is relative to, from the oracle's inputs; default: the result.
        peer: Why values are not compared with mlx; empty where they are.
        peer_ulps: How far mlx may be, for its own rounding.
        peer_dtypes: Dtypes that mlx has; None: the same.
        peer_values: Dtypes in which mlx's values are right; None: all.
        grad: Inputs to differentiate by.
        grad_peer: Why gradients are not compared with mlx's.
        second: Whether gradients are smooth enough to be differentiated again; a text says why not.
        smooth: The dtype of differences and second gradients; default: float64 where there is one.
        vmap: Whether it is mapped; a text says why not.
        batched: Inputs that may carry the batch; None: all.
        pressed: Shapes for runs under a limit; None: large ones made of the first shapes.
        refuses_others: Whether dtypes outside `dtypes` are refused; a text says why not.
        typed: fn and oracle also take the tested dtype (m's own; its name), before the arrays.
    """

    op: str
    fn: Callable[..., Any]
    oracle: Callable[..., Any] | None
    inputs: tuple[Callable[..., np.ndarray], ...] = (Uniform(),)
    shapes: tuple[tuple[Shape, ...], ...] = UNARY_SHAPES
    dtypes: tuple[str, ...] = ALL
    label: str = ""
    inexact: bool = False
    ulps: float | dict[str, float] = 1.0
    magnitude: Callable[..., Any] | None = None
    peer: str = ""
    peer_ulps: float = 32.0
    peer_dtypes: tuple[str, ...] | None = None
    peer_values: tuple[str, ...] | None = None
    grad: tuple[int, ...] = ()
    grad_peer: str = ""
    second: bool | str = True
    smooth: str = ""
    vmap: bool | str = True
    batched: tuple[int, ...] | None = None
    layouts: tuple[str, ...] = LAYOUTS
    pressed: tuple[Shape, ...] | None = None
    refuses_others: bool | str = True
    typed: bool = False
    family: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        return f"{self.op}-{self.label}" if self.label else self.op

    def run(self, m: Any, dtype: str, arrays: Sequence[Any]) -> list[Any]:
        """What the operation makes of one library's arrays."""
        return outputs(self.fn(m, *((getattr(m, dtype),) if self.typed else ()), *arrays))

    def want(self, dtype: str, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the oracle says."""
        assert self.oracle is not None
        with np.errstate(all="ignore"):
            result = self.oracle(*((dtype,) if self.typed else ()), *values)
        return [np.asarray(w) for w in outputs(result)]

    def tolerance(self, dtype: str) -> float:
        return self.ulps.get(dtype, 1.0) if isinstance(self.ulps, dict) else self.ulps

    def make(self, dtype: str, shapes: Sequence[Shape], salt: int = 0) -> Arrays:
        text = f"{self.name}/{dtype}/{shapes}/{salt}"
        rng = np.random.default_rng(zlib.crc32(text.encode()))
        return tuple(
            maker(rng, shape, dtype) for maker, shape in zip(self.inputs, shapes, strict=True)
        )


def dtype_of(values: np.ndarray, tested: str) -> str:
    """The dtype that an input takes: bfloat16 travels as float32."""
    if values.dtype == np.float32 and tested == "bfloat16":
        return "bfloat16"
    name = values.dtype.name
    return "bool_" if name == "bool" else name


def to(m: Any, values: np.ndarray, tested: str) -> Any:
    dtype = getattr(m, dtype_of(values, tested))
    if dtype == m.float64:
        return m.array(values, m.float64)
    return m.array(values).astype(dtype)


def laid_out(m: Any, values: np.ndarray, tested: str, layout: str) -> Any:
    """An array of the values whose bytes lie otherwise."""
    if values.ndim == 0 or not layout or values.size == 0:
        return to(m, values, tested)
    if layout == "transposed":
        return to(m, np.ascontiguousarray(values.T), tested).transpose()
    if layout == "reversed":
        return to(m, values[::-1].copy(), tested)[::-1]
    if layout == "strided":
        wide = np.repeat(values, 2, axis=-1)
        wide[..., 1::2] = 1
        return to(m, wide, tested)[..., ::2]
    return m.broadcast_to(to(m, values[:1].copy(), tested), values.shape)


def repeated(values: np.ndarray) -> np.ndarray:
    """What the layout `repeated` shows: the first slice everywhere."""
    return values if values.ndim == 0 else np.broadcast_to(values[:1], values.shape)


def widened(values: np.ndarray, inexact: bool) -> np.ndarray:
    """An input as the oracle gets it."""
    if values.dtype.kind == "f" or (inexact and values.dtype.kind in "iub"):
        return values.astype(np.float64)
    return values.astype(np.complex128) if values.dtype.kind == "c" else values


def read(m: Any, a: Any) -> np.ndarray:
    """An array of either library as NumPy's."""
    return np.array(a.astype(m.float32) if a.dtype == m.bfloat16 else a)


def dtype_name(a: Any) -> str:
    name = str(a.dtype).rpartition(".")[2]
    return "bool_" if name == "bool" else name


def outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]


def spacing(magnitude: np.ndarray, dtype: str) -> np.ndarray:
    """The unit in the last place at a magnitude, at least that of the smallest normal number."""
    bits, least = FORMATS[dtype]
    safe = np.where(np.isfinite(magnitude), np.abs(magnitude), 0)
    exponent = np.frexp(np.maximum(safe, 2.0**least))[1] - 1
    return np.ldexp(1.0, exponent - bits)


def assert_close(
    got: np.ndarray,
    want: np.ndarray,
    dtype: str,
    ulps: float,
    magnitude: np.ndarray | None = None,
    half: float = 0.5,
) -> None:
    """Equal for integers and bool, else within so many units in the last place.

    `half` is half a unit more for a `want` that is not rounded to the dtype.
    """
    want = np.asarray(want)
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    if dtype not in FORMATS:
        assert np.array_equal(got, want), f"got {got.ravel()[:9]}, expected {want.ravel()[:9]}"
        return
    wide = np.complex128 if dtype == "complex64" else np.float64
    got, want = got.astype(wide), want.astype(wide)
    with np.errstate(over="ignore", invalid="ignore"):
        held = rounded(want, dtype).astype(wide)  # what overflows is infinite
    exact = (got == held) | (np.isnan(got) & np.isnan(held))
    scale = np.abs(want) if magnitude is None else np.broadcast_to(magnitude, want.shape)
    least = 2.0 ** FORMATS[dtype][1]  # results below the smallest normal may be 0
    with np.errstate(invalid="ignore", over="ignore"):
        close = np.abs(got - want) <= (ulps + half) * spacing(scale, dtype) + least
    if ulps + half == 0:
        close = np.zeros(want.shape, bool)
    bad = ~(exact | close)
    if bad.any():
        at = tuple(int(i[0]) for i in np.nonzero(bad)) if got.ndim else ()
        units = np.abs(got[at] - want[at]) / np.broadcast_to(spacing(scale, dtype), got.shape)[at]
        raise AssertionError(
            f"{bad.sum()} of {bad.size} differ; at {at}: got {got[at]!r}, expected {want[at]!r}, "
            f"{units:.2f} units in the last place of {dtype}, {ulps} allowed"
        )


def in_family(name: str, rows: Sequence[OpCase]) -> list[OpCase]:
    """The rows with their family's name put in."""
    for row in rows:
        object.__setattr__(row, "family", name)
    return list(rows)
