"""LayerNorm, RMSNorm, InstanceNorm, GroupNorm and BatchNorm."""

from __future__ import annotations

import math
from typing import Any

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


class InstanceNorm(Module):
    """Channels of mean 0 and variance 1 in each item of a batch (Ulyanov et al. 2016).

    Args:
        dims: Channels.
        eps: Added to the variance.
        affine: Whether the result is scaled and shifted by parameters.

    Example:
        >>> nn.InstanceNorm(3)(mx.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = False) -> None:
        super().__init__()
        if affine:
            self.weight = mx.ones((dims,))
            self.bias = mx.zeros((dims,))
        self.dims = dims
        self.eps = eps

    def _extra_repr(self) -> str:
        return f"{self.dims}, eps={self.eps}, affine={'weight' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        """Normalises the axes between the first and the last one of ``x``.

        Args:
            x: An array of (batch, ..., channels), at least 3 axes.

        Returns:
            An array of the same shape.

        Raises:
            ValueError: where ``x`` has fewer axes.
        """
        if x.ndim < 3:
            raise ValueError(
                "InstanceNorm expects inputs with at least 3 dimensions (N, ..., C) but the input "
                f"has {x.ndim} dimensions."
            )
        axes = tuple(range(1, x.ndim - 1))
        mean = mx.mean(x, axis=axes, keepdims=True)
        var = mx.var(x, axis=axes, keepdims=True)
        y = (x - mean) * mx.rsqrt(var + self.eps)
        return self.weight * y + self.bias if "weight" in self else y


class GroupNorm(Module):
    """Groups of features of mean 0 and variance 1 in each item of a batch (Wu and He 2018).

    Args:
        num_groups: Number of groups.
        dims: Features.
        eps: Added to the variance.
        affine: Whether the result is scaled and shifted by parameters.
        pytorch_compatible: Whether a group is made of neighbouring features, as PyTorch has it;
            else of every num_groups-th one.

    Raises:
        ValueError: where ``dims`` is no multiple of ``num_groups``.

    Example:
        >>> nn.GroupNorm(2, 6)(mx.ones((2, 4, 4, 6))).shape
        (2, 4, 4, 6)
    """

    def __init__(
        self,
        num_groups: int,
        dims: int,
        eps: float = 1e-5,
        affine: bool = True,
        pytorch_compatible: bool = False,
    ) -> None:
        super().__init__()
        if dims % num_groups != 0:
            raise ValueError(
                f"The number of features ({dims}) must be evenly divisible by the number of groups "
                f"({num_groups})."
            )
        if affine:
            self.bias = mx.zeros((dims,))
            self.weight = mx.ones((dims,))
        self.num_groups = num_groups
        self.dims = dims
        self.eps = eps
        self.pytorch_compatible = pytorch_compatible

    def _extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.dims}, eps={self.eps}, affine={'weight' in self}, "
            f"pytorch_compatible={self.pytorch_compatible}"
        )

    def _normalised(self, x: mx.array) -> mx.array:
        batch, features, groups = x.shape[0], x.shape[-1], self.num_groups
        if self.pytorch_compatible:
            # A row for each group: layer_norm reads it once.
            rows = x.reshape(batch, -1, groups, features // groups).transpose(0, 2, 1, 3)
            length = rows.shape[2]
            rows = mx.fast.layer_norm(rows.reshape(batch, groups, -1), None, None, self.eps)
            rows = rows.reshape(batch, groups, length, features // groups)
            return rows.transpose(0, 2, 1, 3).reshape(x.shape)
        rows = x.reshape(batch, -1, groups)
        mean = mx.mean(rows, axis=1, keepdims=True)
        var = mx.var(rows, axis=1, keepdims=True)
        return ((rows - mean) * mx.rsqrt(var + self.eps)).reshape(x.shape)

    def __call__(self, x: mx.array) -> mx.array:
        """Normalises all axes of ``x``, (batch, ..., dims), but the first, by groups."""
        y = self._normalised(x)
        return self.weight * y + self.bias if "weight" in self else y


class BatchNorm(Module):
    """Features of mean 0 and variance 1 over a batch (Ioffe and Szegedy 2015).

    In training mode the batch's own mean and variance are used, and running ones learnt from
    them; outside it the running ones are used.

    Args:
        num_features: Features.
        eps: Added to the variance.
        momentum: Share of the batch in the running mean and variance.
        affine: Whether the result is scaled and shifted by parameters.
        track_running_stats: Whether there are a running mean and variance.

    Example:
        >>> norm = nn.BatchNorm(4)
        >>> norm(mx.full((5, 4), 2.0)).shape
        (5, 4)
        >>> [round(mean, 4) for mean in norm.running_mean.tolist()]
        [0.2, 0.2, 0.2, 0.2]
    """

    running_mean: mx.array
    running_var: mx.array

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = mx.ones((num_features,))
            self.bias = mx.zeros((num_features,))
        if track_running_stats:
            self.running_mean = mx.zeros((num_features,))
            self.running_var = mx.ones((num_features,))
            self.freeze(keys=["running_mean", "running_var"], recurse=False)

    def unfreeze(self, *args: Any, **kwargs: Any) -> BatchNorm:
        """Unfreezes as any module; the running mean and variance are never trained."""
        super().unfreeze(*args, **kwargs)
        self.freeze(keys=["running_mean", "running_var"], recurse=False)
        return self

    def _extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={'weight' in self}, track_running_stats={self.track_running_stats}"
        )

    def _batch_statistics(self, x: mx.array) -> tuple[mx.array, mx.array]:
        count = math.prod(x.shape[:-1])
        if self.training and count == 1:
            raise ValueError("BatchNorm training requires more than one value per channel.")
        axes = tuple(range(x.ndim - 1))
        mean, var = mx.mean(x, axis=axes), mx.var(x, axis=axes)
        if self.training and self.track_running_stats:
            share = self.momentum
            self.running_mean = (1 - share) * self.running_mean + share * mean
            # The running variance is that of the population: estimated from n - 1.
            unbiased = var * (count / (count - 1))
            self.running_var = (1 - share) * self.running_var + share * unbiased
        return mean, var

    def __call__(self, x: mx.array) -> mx.array:
        """Normalises all axes of ``x`` but the last.

        Args:
            x: An array of (batch, features), (batch, length, features) or (batch, height, width,
                features).

        Returns:
            An array of the same shape.

        Raises:
            ValueError: where ``x`` has another number of axes, or one value only of each feature
                in training mode.
        """
        if x.ndim < 2 or x.ndim > 4:
            raise ValueError(
                f"Expected input tensor to have 2, 3 or 4 dimensions, but got {x.ndim}"
            )
        if self.training or not self.track_running_stats:
            mean, var = self._batch_statistics(x)
        else:
            mean, var = self.running_mean, self.running_var
        y = (x - mean) * mx.rsqrt(var + self.eps)
        return self.weight * y + self.bias if "weight" in self else y
