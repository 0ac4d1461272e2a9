"""Initialisers: functions of an array that return a random one of its shape."""

from __future__ import annotations

import math
from collections.abc import Callable

import plimsoll.core as mx

Initializer = Callable[..., mx.array]


def constant(value: float, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Fills with a value.

    Args:
        value: The value.
        dtype: The dtype of the result.

    Returns:
        A function of an array.

    Example:
        >>> nn.init.constant(0.5)(mx.zeros((2,))).tolist()
        [0.5, 0.5]
    """
    return lambda a: mx.full(a.shape, value, dtype=dtype)


def normal(mean: float = 0.0, std: float = 1.0, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Normal numbers.

    Args:
        mean: Their mean.
        std: Their deviation.
        dtype: The dtype of the result.

    Returns:
        A function of an array.
    """
    return lambda a: mx.random.normal(a.shape, dtype=dtype, loc=mean, scale=std)


def uniform(low: float = 0.0, high: float = 1.0, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Uniform numbers.

    Args:
        low: Their least value.
        high: What they stay below.
        dtype: The dtype of the result.

    Returns:
        A function of an array.
    """
    return lambda a: mx.random.uniform(low, high, a.shape, dtype=dtype)


def identity(dtype: mx.Dtype = mx.float32) -> Initializer:
    """An identity matrix.

    Args:
        dtype: The dtype of the result.

    Returns:
        A function of a square matrix; ValueError for another.
    """

    def initializer(a: mx.array) -> mx.array:
        if a.ndim != 2 or a.shape[0] != a.shape[1]:
            raise ValueError(f"The input array must be a square matrix but got shape {a.shape}.")
        return mx.eye(a.shape[0], dtype=dtype)

    return initializer


def _fans(a: mx.array) -> tuple[int, int]:
    if a.ndim < 2:
        raise ValueError(
            "Glorot / He initialization requires at least 2 dimensional input but input with "
            f"{a.ndim} dimensions."
        )
    field = math.prod(a.shape[1:-1])
    return a.shape[-1] * field, a.shape[0] * field


def glorot_normal(dtype: mx.Dtype = mx.float32) -> Initializer:
    """Normal numbers of deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010).

    Args:
        dtype: The dtype of the result.

    Returns:
        A function of an array and a gain, 1 by default.
    """

    def initializer(a: mx.array, gain: float = 1.0) -> mx.array:
        fan_in, fan_out = _fans(a)
        std = gain * math.sqrt(2.0 / (fan_in + fan_out))
        return mx.random.normal(a.shape, dtype=dtype, scale=std)

    return initializer


def glorot_uniform(dtype: mx.Dtype = mx.float32) -> Initializer:
    """Uniform numbers in ±gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010).

    Args:
        dtype: The dtype of the result.

    Returns:
        A function of an array and a gain, 1 by default.
    """

    def initializer(a: mx.array, gain: float = 1.0) -> mx.array:
        fan_in, fan_out = _fans(a)
        limit = gain * math.sqrt(6.0 / (fan_in + fan_out))
        return mx.random.uniform(-limit, limit, a.shape, dtype=dtype)

    return initializer


def _fan(a: mx.array, mode: str) -> int:
    fan_in, fan_out = _fans(a)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Invalid mode: {mode}. Valid modes are: fan_in, fan_out")
    return fan_in if mode == "fan_in" else fan_out


def he_normal(dtype: mx.Dtype = mx.float32) -> Initializer:
    """Normal numbers of deviation gain / sqrt(fan) (He et al. 2015).

    Args:
        dtype: The dtype of the result.

    Returns:
        A function of an array, a mode ("fan_in" or "fan_out") and a gain, 1 by default.
    """

    def initializer(a: mx.array, mode: str = "fan_in", gain: float = 1.0) -> mx.array:
        std = gain / math.sqrt(_fan(a, mode))
        return mx.random.normal(a.shape, dtype=dtype, scale=std)

    return initializer


def he_uniform(dtype: mx.Dtype = mx.float32) -> Initializer:
    """Uniform numbers in ±gain * sqrt(3 / fan) (He et al. 2015).

    Args:
        dtype: The dtype of the result.

    Returns:
        A function of an array, a mode ("fan_in" or "fan_out") and a gain, 1 by default.
    """

    def initializer(a: mx.array, mode: str = "fan_in", gain: float = 1.0) -> mx.array:
        limit = gain * math.sqrt(3.0 / _fan(a, mode))
        return mx.random.uniform(-limit, limit, a.shape, dtype=dtype)

    return initializer


def orthogonal(gain: float = 1.0, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Matrices with orthogonal rows or columns, whichever are fewer (Saxe et al. 2014).

    They are the eigenvectors, with random signs, of a symmetric matrix of normal numbers: such a
    basis has no preferred direction.

    Args:
        gain: Length of the rows or columns.
        dtype: The dtype of the result.

    Returns:
        A function of a matrix; ValueError for an array of other dimensions.

    Example:
        >>> w = nn.init.orthogonal()(mx.zeros((2, 3)))
        >>> mx.allclose(w @ w.T, mx.eye(2), atol=1e-5).item()
        True
    """

    def initializer(a: mx.array) -> mx.array:
        if a.ndim != 2:
            raise ValueError(
                f"Orthogonal initialization requires a 2D array but got a {a.ndim}D array."
            )
        rows, cols = a.shape
        n = max(rows, cols)
        noise = mx.random.normal((n, n))
        _, basis = mx.linalg.eigh(noise + noise.T)
        signs = mx.where(mx.random.bernoulli(0.5, (n,)), gain, -gain)
        return (
            (basis * signs)[:rows, :cols].astype(dtype)
            if rows >= cols
            else ((basis * signs)[:, :rows].T.astype(dtype))
        )

    return initializer


def sparse(
    sparsity: float, mean: float = 0.0, std: float = 1.0, dtype: mx.Dtype = mx.float32
) -> Initializer:
    """Normal numbers, of which each row has the same number set to zero (Martens 2010).

    Args:
        sparsity: The share of zeros in a row; their number is rounded up.
        mean: Mean of the normal numbers.
        std: Their deviation.
        dtype: The dtype of the result.

    Returns:
        A function of a matrix; ValueError for an array of other dimensions.

    Example:
        >>> w = nn.init.sparse(0.5)(mx.zeros((2, 4)))
        >>> (w == 0).sum(axis=1).tolist()
        [2, 2]
    """

    def initializer(a: mx.array) -> mx.array:
        if a.ndim != 2:
            raise ValueError("Only tensors with 2 dimensions are supported")
        rows, cols = a.shape
        zeros = math.ceil(sparsity * cols)
        order = mx.argsort(mx.random.uniform(shape=(rows, cols)), axis=1)
        kept = mx.random.normal((rows, cols), dtype=dtype, loc=mean, scale=std)
        return mx.put_along_axis(kept, order[:, :zeros], mx.array(0, dtype), axis=1)

    return initializer
