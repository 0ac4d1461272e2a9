"""Greatest values and means of windows over one to three spatial axes. Channels come last."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module

Size = int | tuple[int, ...]


def _windows(x: mx.array, kernel: Sequence[int], stride: Sequence[int]) -> Iterator[mx.array]:
    """For each place in the window, what all windows have there: a strided view."""
    count = [
        max(0, (n - k) // s + 1) for n, k, s in zip(x.shape[1:-1], kernel, stride, strict=True)
    ]
    for at in itertools.product(*(range(k) for k in kernel)):
        cuts = tuple(
            slice(p, p + (c - 1) * s + 1 if c else p, s)
            for p, c, s in zip(at, count, stride, strict=True)
        )
        yield x[(slice(None), *cuts)]


def _joined(x: mx.array, kernel: Sequence[int]) -> tuple[mx.array, list[int]]:
    """Windows side by side as axes of their own: a view, where they cover the axes."""
    shape = [x.shape[0]]
    for n, k in zip(x.shape[1:-1], kernel, strict=True):
        shape += [n // k, k]
    return x.reshape(*shape, x.shape[-1]), list(range(2, 2 * len(kernel) + 1, 2))


def _maximum(x: mx.array, kernel: Sequence[int], stride: Sequence[int]) -> mx.array:
    best = None
    for part in _windows(x, kernel, stride):
        best = part if best is None else mx.maximum(best, part)
    assert best is not None
    if not mx.issubdtype(x.dtype, mx.floating):
        return best
    # The gradient is shared by equal greatest values. `nothing` is 0 and carries it.
    best = mx.stop_gradient(best)
    finite = mx.where(mx.isfinite(x), x, mx.zeros_like(x))
    nothing = finite - mx.stop_gradient(finite)
    share: Any = 0
    count: Any = 0
    for part, zero in zip(
        _windows(mx.stop_gradient(x), kernel, stride),
        _windows(nothing, kernel, stride),
        strict=True,
    ):
        hit = part == best
        share = share + mx.where(hit, zero, mx.zeros_like(zero))
        count = count + hit.astype(x.dtype)
    out: mx.array = best + share / mx.maximum(count, 1)
    return out


def _mean(x: mx.array, kernel: Sequence[int], stride: Sequence[int]) -> mx.array:
    total = None
    for part in _windows(x, kernel, stride):
        total = part if total is None else total + part
    assert total is not None
    return total / math.prod(kernel)


class _Pool(Module):
    """Windows over the spatial axes.

    Args:
        kernel_size: Extent of a window, one number or one an axis.
        stride: Step between windows; None: the extent, so that they do not overlap.
        padding: Elements put at each end, which no maximum takes and a mean counts as 0.
    """

    _axes: int
    _mean: bool

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        self._kernel_size = self._each(kernel_size, "kernel_size")
        self._stride = self._kernel_size if stride is None else self._each(stride, "stride")
        self._padding = self._each(padding, "padding")

    def _each(self, value: Any, what: str) -> tuple[int, ...]:
        if isinstance(value, int):
            return (value,) * self._axes
        if not isinstance(value, tuple | list) or len(value) != self._axes:
            raise ValueError(
                f"[{type(self).__name__}] '{what}' must be an integer or a tuple containing "
                f"{self._axes} integer{'s' if self._axes > 1 else ''}"
            )
        return tuple(value)

    def _extra_repr(self) -> str:
        return f"kernel_size={self._kernel_size}, stride={self._stride}, padding={self._padding}"

    def __call__(self, x: mx.array) -> mx.array:
        """One value a window of [N, spatial…, C], channel by channel."""
        if x.ndim != self._axes + 2:
            raise ValueError(
                f"[{type(self).__name__}] expected an input with {self._axes + 2} axes, got shape "
                f"{tuple(x.shape)}"
            )
        if any(self._padding):
            fill = 0 if self._mean else -math.inf
            x = mx.pad(x, [(0, 0), *((p, p) for p in self._padding), (0, 0)], constant_values=fill)
        whole = all(n % k == 0 for n, k in zip(x.shape[1:-1], self._kernel_size, strict=True))
        if whole and self._kernel_size == self._stride:
            parts, axes = _joined(x, self._kernel_size)
            return mx.mean(parts, axes) if self._mean else mx.max(parts, axes)
        return (_mean if self._mean else _maximum)(x, self._kernel_size, self._stride)


class MaxPool1d(_Pool):
    """The greatest value of each window of [N, L, C].

    Example:
        >>> nn.MaxPool1d(2)(mx.array([[[1.0], [3.0], [2.0], [0.0]]]))
        array([[[3],
                [2]]], dtype=float32)
    """

    _axes, _mean = 1, False


class MaxPool2d(_Pool):
    """The greatest value of each window of [N, H, W, C].

    Example:
        >>> nn.MaxPool2d(3, stride=2, padding=1)(mx.ones((2, 8, 8, 4))).shape
        (2, 4, 4, 4)
    """

    _axes, _mean = 2, False


class MaxPool3d(_Pool):
    """The greatest value of each window of [N, D, H, W, C]."""

    _axes, _mean = 3, False


class AvgPool1d(_Pool):
    """The mean of each window of [N, L, C].

    Example:
        >>> nn.AvgPool1d(2)(mx.array([[[1.0], [3.0], [2.0], [0.0]]]))
        array([[[2],
                [1]]], dtype=float32)
    """

    _axes, _mean = 1, True


class AvgPool2d(_Pool):
    """The mean of each window of [N, H, W, C].

    Example:
        >>> nn.AvgPool2d(2)(mx.ones((2, 8, 8, 4))).shape
        (2, 4, 4, 4)
    """

    _axes, _mean = 2, True


class AvgPool3d(_Pool):
    """The mean of each window of [N, D, H, W, C]."""

    _axes, _mean = 3, True
