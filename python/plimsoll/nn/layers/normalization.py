"""LayerNorm and RMSNorm."""

from __future__ import annotations

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module


class LayerNorm(Module):
    """Rows of mean 0 and variance 1 over the last axis, then scaled and shifted (Ba et al. 2016).

    Args:
        dims: Features.
        eps: Added to the variance.
        affine: Whether there is a weight that scales.
        bias: Whether there is also a bias that shifts.

    Example:
        >>> nn.LayerNorm(4)(mx.ones((2, 4))).shape
        (2, 4)
    """

    def __init__(
        self, dims: int, eps: float = 1e-5, affine: bool = True, bias: bool = True
    ) -> None:
        super().__init__()
        if affine:
            self.weight = mx.ones((dims,))
            if bias:
                self.bias = mx.zeros((dims,))
        self.eps = eps
        self.dims = dims

    def _extra_repr(self) -> str:
        return f"{self.dims}, eps={self.eps}, affine={'weight' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        """Normalises the last axis of ``x``."""
        return mx.fast.layer_norm(x, self.get("weight"), self.get("bias"), self.eps)


class RMSNorm(Module):
    """Rows divided by their root mean square over the last axis, then scaled.

    Args:
        dims: Features.
        eps: Added to the mean square.
    """

    def __init__(self, dims: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = mx.ones((dims,))
        self.eps = eps

    def _extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"

    def __call__(self, x: mx.array) -> mx.array:
        """Normalises the last axis of ``x``."""
        return mx.fast.rms_norm(x, self["weight"], self.eps)
