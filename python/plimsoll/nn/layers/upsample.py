"""Resizing of the spatial axes by nearest, linear and cubic interpolation."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module


def _size(n: int, scale: float) -> int:
    return int(scale * n)


def _places(n: int, scale: float, align_corners: bool) -> np.ndarray:
    """Where in the input each output lies, in elements."""
    m = _size(n, scale)
    at = np.arange(m, dtype=np.float64)
    if align_corners:
        return at * ((n - 1) / (m - 1)) if m > 1 else at * 0
    return (at - (m - 1) / 2) / scale + (n - 1) / 2


def _nearest(n: int, scale: float) -> np.ndarray:
    """The input that each output shows: its left edge's where the axis shrinks, as MLX has it."""
    m = _size(n, scale)
    at = np.arange(m)
    if scale < 1:
        return at * n // m
    centres = (at.astype(np.float32) + np.float32(0.5)) * np.float32(n / max(m, 1))
    return np.asarray(np.clip(np.round(centres - np.float32(0.5)), 0, n - 1))


def _linear(t: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(0, 1 - np.abs(t)))


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel (Keys 1981), with its parameter ``a``."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = a * (((t - 5) * t + 8) * t - 4)
    weights: np.ndarray = np.where(t <= 1, near, np.where(t < 2, far, 0))
    return weights


def _weights(
    n: int, scale: float, mode: str, align_corners: bool, antialias: bool
) -> tuple[np.ndarray, np.ndarray]:
    """For each output, the inputs that it is made of and their weights: [m, taps] each."""
    places = _places(n, scale, align_corners)
    shrink = max(1.0, 1 / scale) if antialias else 1.0
    support = (1 if mode == "linear" else 2) * shrink
    reach = math.ceil(support)
    if mode == "linear" and not antialias:
        places = np.clip(places, 0, n - 1)
    first = np.floor(places).astype(np.int64) - reach + 1
    taps = first[:, None] + np.arange(2 * reach)
    distance = (places[:, None] - taps) / shrink
    a = -0.5 if antialias else -0.75
    weights = _linear(distance) if mode == "linear" else _cubic(distance, a)
    if antialias:  # what lies outside of the input is left out
        weights = np.where((taps >= 0) & (taps < n), weights, 0)
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(taps, 0, n - 1), weights


def _interpolated(
    x: mx.array, axis: int, scale: float, mode: str, align_corners: bool, antialias: bool
) -> mx.array:
    taps, weights = _weights(x.shape[axis], scale, mode, align_corners, antialias)
    shape = [1] * x.ndim
    shape[axis] = len(taps)
    total = None
    for k in range(taps.shape[1]):
        if not weights[:, k].any():
            continue
        weight = mx.array(weights[:, k].astype(np.float32)).reshape(shape)
        part = mx.take(x, mx.array(taps[:, k].astype(np.int32)), axis=axis) * weight
        total = part if total is None else total + part
    assert total is not None
    return total


class Upsample(Module):
    """The spatial axes of [N, spatial…, C] resized, each to ``int(scale * extent)``.

    ``"nearest"`` takes the input nearest to an output's centre, ``"linear"`` and ``"cubic"`` (Keys
    1981, a = -0.75) interpolate axis by axis, in float32 where the input is whole numbers.

    Args:
        scale_factor: The multiplier, one for all spatial axes or a tuple of one an axis.
        mode: ``"nearest"``, ``"linear"`` or ``"cubic"``.
        align_corners: Whether the centres of the outermost elements meet, instead of their edges.
        antialias: Whether kernels are widened where an axis shrinks (and a = -0.5).

    Example:
        >>> nn.Upsample(2)(mx.array([[[1], [2]]])).squeeze()
        array([1, 1, 2, 2], dtype=int32)
    """

    def __init__(
        self,
        scale_factor: float | tuple[float, ...],
        mode: Literal["nearest", "linear", "cubic"] = "nearest",
        align_corners: bool = False,
        antialias: bool = False,
    ) -> None:
        super().__init__()
        if mode not in ("nearest", "linear", "cubic"):
            raise ValueError(f"[Upsample] Got unsupported upsampling algorithm: {mode}")
        if antialias and mode == "nearest":
            raise ValueError(
                "[Upsample] Antialiasing is not supported for nearest neighbor upsampling"
            )
        if antialias and align_corners:
            raise ValueError(
                "[Upsample] antialias=True with align_corners=True is not supported. Use "
                "align_corners=False for antialiased interpolation."
            )
        if isinstance(scale_factor, list | tuple):
            self.scale_factor: float | tuple[float, ...] = tuple(map(float, scale_factor))
        else:
            self.scale_factor = float(scale_factor)
        self.mode = mode
        self.align_corners = align_corners
        self.antialias = antialias

    def _extra_repr(self) -> str:
        return (
            f"scale_factor={self.scale_factor}, mode={self.mode!r}, "
            f"align_corners={self.align_corners}{', antialias=True' if self.antialias else ''}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        """``x`` with its spatial axes resized."""
        axes = x.ndim - 2
        if axes <= 0:
            raise ValueError(
                "[Upsample] The input should have at least 1 spatial dimension which means it "
                f"should be at least 3D but {x.ndim}D was provided"
            )
        scales = self.scale_factor
        if not isinstance(scales, tuple):
            scales = (scales,) * axes
        if len(scales) != axes:
            raise ValueError(
                "[Upsample] One scale per spatial dimension is required but "
                f"scale_factor={scales} and the number of spatial dimensions were {axes}"
            )
        for axis, scale in enumerate(scales, 1):
            if self.mode == "nearest":
                at = _nearest(x.shape[axis], scale).astype(np.int32)
                x = mx.take(x, mx.array(at), axis=axis)
            else:
                x = _interpolated(x, axis, scale, self.mode, self.align_corners, self.antialias)
        return x
