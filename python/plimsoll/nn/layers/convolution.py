"""Convolutions over one to three spatial axes, and transposed ones. Channels come last."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module

Size = int | tuple[int, ...]


def _each(value: Size, axes: int) -> tuple[int, ...]:
    """A size for each spatial axis."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


class _Convolution(Module):
    """What all convolutions have in common.

    Attributes:
        weight: [out_channels, *kernel_size, in_channels / groups], uniform in ±1/sqrt(terms of a
            sum).
        bias: [out_channels], zeros at first; absent where ``bias`` is False.
    """

    _axes: int
    _options: tuple[str, ...]

    weight: mx.array
    bias: mx.array

    def _make(
        self, in_channels: int, out_channels: int, kernel_size: Size, bias: bool, groups: int = 1
    ) -> None:
        if in_channels % groups != 0:
            raise ValueError(
                f"The number of input channels ({in_channels}) must be divisible by the number of "
                f"groups ({groups})"
            )
        kernel = _each(kernel_size, self._axes)
        scale = math.sqrt(1 / (in_channels // groups * math.prod(kernel)))
        shape = (out_channels, *kernel, in_channels // groups)
        self.weight = mx.random.uniform(-scale, scale, shape)
        if bias:
            self.bias = mx.zeros((out_channels,))

    def _place(self, value: Size) -> Any:
        """A number in one dimension, a size for each axis in more."""
        if isinstance(value, str):
            raise TypeError(
                f"[{type(self).__name__}] expected a number or one an axis, got '{value}'; "
                "an odd kernel keeps the size with padding=kernel_size // 2"
            )
        return value if self._axes == 1 else _each(value, self._axes)

    def _extra_repr(self) -> str:
        kernel = self.weight.shape[1:-1]
        # What was given per axis is kept under a name of its own, as MLX keeps it.
        options = "".join(f"{name}={getattr(self, name)}, " for name in self._options)
        return (
            f"{self._inputs()}, {self.weight.shape[0]}, "
            f"kernel_size={kernel[0] if self._axes == 1 else tuple(kernel)}, "
            f"{options}bias={'bias' in self}"
        )

    def _inputs(self) -> int:
        return int(self.weight.shape[-1]) * int(getattr(self, "groups", 1))

    def _apply(self, function: Callable[..., mx.array], x: mx.array) -> mx.array:
        y = function(x, self.weight, **{name: getattr(self, name) for name in self._options})
        return y + self.bias if "bias" in self else y


class Conv1d(_Convolution):
    """A convolution of [N, L, C] (see :func:`plimsoll.core.conv1d`).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps.
        stride: Step between outputs.
        padding: Zeros at each end.
        dilation: Distance of the taps.
        groups: Independent convolutions that the channels are cut into.
        bias: Whether a bias is added.

    Example:
        >>> nn.Conv1d(3, 8, 5)(mx.ones((2, 16, 3))).shape
        (2, 12, 8)
    """

    _axes = 1
    _options = ("stride", "padding", "dilation", "groups")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self._make(in_channels, out_channels, kernel_size, bias, groups)
        self.stride, self.padding = self._place(stride), self._place(padding)
        self.dilation, self.groups = dilation, groups

    def __call__(self, x: mx.array) -> mx.array:
        """The convolution of ``x``."""
        return self._apply(mx.conv1d, x)


class Conv2d(_Convolution):
    """A convolution of [N, H, W, C] (see :func:`plimsoll.core.conv2d`).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps, one number or one an axis.
        stride: Step between outputs, one number or one an axis.
        padding: Zeros at each end, one number or one an axis.
        dilation: Distance of the taps, one number or one an axis.
        groups: Independent convolutions that the channels are cut into.
        bias: Whether a bias is added.

    Example:
        >>> nn.Conv2d(3, 8, 3, padding=1)(mx.ones((2, 16, 16, 3))).shape
        (2, 16, 16, 8)
    """

    _axes = 2
    _options = ("stride", "padding", "dilation", "groups")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self._make(in_channels, out_channels, kernel_size, bias, groups)
        self.stride, self.padding = self._place(stride), self._place(padding)
        self.dilation, self.groups = dilation, groups

    def __call__(self, x: mx.array) -> mx.array:
        """The convolution of ``x``."""
        return self._apply(mx.conv2d, x)


class Conv3d(_Convolution):
    """A convolution of [N, D, H, W, C] (see :func:`plimsoll.core.conv3d`).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps, one number or one an axis.
        stride: Step between outputs, one number or one an axis.
        padding: Zeros at each end, one number or one an axis.
        dilation: Distance of the taps, one number or one an axis.
        bias: Whether a bias is added.
    """

    _axes = 3
    _options = ("stride", "padding", "dilation")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self._make(in_channels, out_channels, kernel_size, bias)
        self.stride, self.padding = self._place(stride), self._place(padding)
        self.dilation = dilation

    def __call__(self, x: mx.array) -> mx.array:
        """The convolution of ``x``."""
        return self._apply(mx.conv3d, x)


class _ConvTranspose(_Convolution):
    """A transposed convolution: ``stride`` spreads the input.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps, one number or one an axis.
        stride: Step between the outputs of two inputs, one number or one an axis.
        padding: Outputs left out at each end, one number or one an axis.
        dilation: Distance of the taps, one number or one an axis.
        output_padding: Outputs added at the end, one number or one an axis.
        bias: Whether a bias is added.
    """

    _options = ("stride", "padding", "dilation", "output_padding")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        output_padding: Size = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self._make(in_channels, out_channels, kernel_size, bias)
        self.stride, self.padding = self._place(stride), self._place(padding)
        self.dilation, self.output_padding = dilation, self._place(output_padding)


class ConvTranspose1d(_ConvTranspose):
    """A transposed convolution of [N, L, C] (see :func:`plimsoll.core.conv_transpose1d`).

    Example:
        >>> nn.ConvTranspose1d(3, 8, 4, stride=2)(mx.ones((2, 5, 3))).shape
        (2, 12, 8)
    """

    _axes = 1

    def __call__(self, x: mx.array) -> mx.array:
        """The transposed convolution of ``x``."""
        return self._apply(mx.conv_transpose1d, x)


class ConvTranspose2d(_ConvTranspose):
    """A transposed convolution of [N, H, W, C] (see :func:`plimsoll.core.conv_transpose2d`).

    Example:
        >>> nn.ConvTranspose2d(3, 8, 2, stride=2)(mx.ones((2, 5, 5, 3))).shape
        (2, 10, 10, 8)
    """

    _axes = 2

    def __call__(self, x: mx.array) -> mx.array:
        """The transposed convolution of ``x``."""
        return self._apply(mx.conv_transpose2d, x)


class ConvTranspose3d(_ConvTranspose):
    """A transposed convolution of [N, D, H, W, C] (see :func:`plimsoll.core.conv_transpose3d`)."""

    _axes = 3

    def __call__(self, x: mx.array) -> mx.array:
        """The transposed convolution of ``x``."""
        return self._apply(mx.conv_transpose3d, x)
