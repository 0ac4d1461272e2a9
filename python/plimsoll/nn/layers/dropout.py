"""Dropout."""

from __future__ import annotations

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module


class Dropout(Module):
    """Sets elements to 0 with a probability, in training mode, and scales the others up.

    Args:
        p: The probability, at least 0 and less than 1.

    Raises:
        ValueError: for another probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if p < 0 or p >= 1:
            raise ValueError(f"The dropout probability {p} is not in [0, 1)")
        self._p_1 = 1 - p

    def _extra_repr(self) -> str:
        return f"p={1 - self._p_1}"

    def __call__(self, x: mx.array) -> mx.array:
        """``x`` with elements dropped; ``x`` itself outside training mode."""
        if self._p_1 == 1 or not self.training:
            return x
        mask = mx.random.bernoulli(self._p_1, x.shape)
        return (mask * x) * (1 / self._p_1)
