"""Dropout of elements and of channels."""

from __future__ import annotations

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module


def _kept(p: float) -> float:
    if p < 0 or p >= 1:
        raise ValueError(f"The dropout probability {p} is not in [0, 1)")
    return 1 - p


class Dropout(Module):
    """Sets elements to 0 with a probability, in training mode, and scales the others up.

    Args:
        p: The probability, at least 0 and less than 1.

    Raises:
        ValueError: for another probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self._p_1 = _kept(p)

    def _extra_repr(self) -> str:
        return f"p={1 - self._p_1}"

    def __call__(self, x: mx.array) -> mx.array:
        """``x`` with elements dropped; ``x`` itself outside training mode."""
        if self._p_1 == 1 or not self.training:
            return x
        mask = mx.random.bernoulli(self._p_1, x.shape)
        return (mask * x) * (1 / self._p_1)


class _ChannelDropout(Module):
    """Drops whole channels of inputs with ``_spatial`` axes between batch and channels."""

    _spatial: int

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self._p_1 = _kept(p)

    def _extra_repr(self) -> str:
        return f"p={1 - self._p_1}"

    def __call__(self, x: mx.array) -> mx.array:
        """``x`` with channels dropped; ``x`` itself outside training mode."""
        least = self._spatial + 1
        if x.ndim not in (least, least + 1):
            raise ValueError(
                f"Received input with {x.ndim} dimensions. Expected {least} or {least + 1} "
                "dimensions."
            )
        if self._p_1 == 1 or not self.training:
            return x
        batch = x.shape[: x.ndim - least]
        mask = mx.random.bernoulli(self._p_1, (*batch, *[1] * self._spatial, x.shape[-1]))
        return (mask * x) * (1 / self._p_1)


class Dropout2d(_ChannelDropout):
    """Sets whole channels to 0 with a probability, in training mode, and scales the others up.

    The input is (batch, height, width, channels) or (height, width, channels) (Tompson et al.
    2015).

    Args:
        p: The probability, at least 0 and less than 1.

    Raises:
        ValueError: for another probability, and for an input of another number of axes.

    Example:
        >>> nn.Dropout2d(0.2)(mx.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    _spatial = 2


class Dropout3d(_ChannelDropout):
    """Sets whole channels to 0 with a probability, in training mode, and scales the others up.

    The input is (batch, depth, height, width, channels) or the same without batch.

    Args:
        p: The probability, at least 0 and less than 1.

    Raises:
        ValueError: for another probability, and for an input of another number of axes.

    Example:
        >>> nn.Dropout3d(0.2)(mx.ones((2, 4, 4, 4, 3))).shape
        (2, 4, 4, 4, 3)
    """

    _spatial = 3
