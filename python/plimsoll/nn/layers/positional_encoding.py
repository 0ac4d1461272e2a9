"""Encodings of positions."""

from __future__ import annotations

import math

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module


class RoPE(Module):
    """Rotary positional encoding (Su et al. 2021); see mx.fast.rope.

    Args:
        dims: Features that are turned, even; the others are kept.
        traditional: Whether neighbours are paired, not features half of ``dims`` apart.
        base: Base of the frequencies.
        scale: Factor of the positions.

    Example:
        >>> nn.RoPE(4)(mx.ones((1, 3, 4))).shape
        (1, 3, 4)
    """

    def __init__(
        self, dims: int, traditional: bool = False, base: float = 10000, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.dims = dims
        self.traditional = traditional
        self.base = base
        self.scale = scale

    def _extra_repr(self) -> str:
        return f"{self.dims}, traditional={self.traditional}"

    def __call__(self, x: mx.array, offset: int | mx.array = 0) -> mx.array:
        """``x`` of (batch, *, length, features), turned from position ``offset`` on."""
        return mx.fast.rope(
            x,
            self.dims,
            traditional=self.traditional,
            base=self.base,
            scale=self.scale,
            offset=offset,
        )


class SinusoidalPositionalEncoding(Module):
    """Sines and cosines of positions at frequencies that fall by one factor (Vaswani et al. 2017).

    Args:
        dims: Features of the result, even.
        min_freq: The lowest frequency.
        max_freq: The highest frequency.
        scale: Factor of the result. Default: sqrt(2 / dims).
        cos_first: Whether cosines come before sines.
        full_turns: Whether frequencies are in turns, not in radians.

    Raises:
        ValueError: where ``dims`` is not positive and even.

    Example:
        >>> nn.SinusoidalPositionalEncoding(8)(mx.arange(5)).shape
        (5, 8)
    """

    def __init__(
        self,
        dims: int,
        min_freq: float = 0.0001,
        max_freq: float = 1,
        scale: float | None = None,
        cos_first: bool = False,
        full_turns: bool = False,
    ) -> None:
        super().__init__()
        if dims <= 0 or dims % 2 != 0:
            raise ValueError(
                f"[SinusoidalPositionalEncoding] dims must be positive and even but got {dims}."
            )
        half = dims // 2
        way = 1 - mx.arange(half) / max(half - 1, 1)
        low, high = math.log(min_freq), math.log(max_freq)
        sigmas = mx.exp(way * (high - low) + low)
        # The name's underscore keeps it out of the parameters.
        self._sigmas = sigmas * (2 * math.pi) if full_turns else sigmas
        self.scale = scale or (2 / dims) ** 0.5
        self.cos_first = cos_first

    def __call__(self, x: mx.array) -> mx.array:
        """The encodings of positions, with one axis of ``dims`` more than ``x``."""
        y = x[..., None] * self._sigmas
        waves = [mx.cos(y), mx.sin(y)] if self.cos_first else [mx.sin(y), mx.cos(y)]
        y = mx.concatenate(waves, axis=-1)
        return y * self.scale if self.scale != 1 else y


class ALiBi(Module):
    """Attention with linear biases: scores fall with the distance of positions (Press et al. 2021).

    Example:
        >>> nn.ALiBi()(mx.zeros((1, 1, 1, 3))).tolist()
        [[[[0.0, -0.00390625, -0.0078125]]]]
    """

    @staticmethod
    def create_alibi_matrix(
        q_sequence_length: int,
        k_sequence_length: int,
        num_heads: int,
        offset: int = 0,
        dtype: mx.Dtype = mx.float32,
    ) -> mx.array:
        """The biases, of (1, num_heads, queries, keys).

        Args:
            q_sequence_length: Position after the last query.
            k_sequence_length: Number of keys.
            num_heads: Number of heads.
            offset: Position of the first query.
            dtype: The dtype of the result.

        Returns:
            Minus the distances times the slopes of the heads.
        """
        queries = mx.arange(offset, q_sequence_length)
        keys = mx.arange(k_sequence_length)
        distance = -mx.abs(queries[:, None] - keys[None])
        slope = ALiBi.create_alibi_slope(num_heads, dtype)
        return distance[None, None].astype(dtype) * slope

    @staticmethod
    def create_alibi_slope(num_heads: int, dtype: mx.Dtype = mx.float32) -> mx.array:
        """The slopes, of (num_heads, 1, 1).

        Args:
            num_heads: Number of heads.
            dtype: The dtype of the result.

        Returns:
            A geometric sequence from 2 ** (-8 / n), n the power of 2 up to ``num_heads``; then
            every second item of the sequence for 2 * n.
        """
        n = 2 ** int(math.log2(num_heads))
        slopes = [2 ** (-8 * i / n) for i in range(1, n + 1)]
        slopes += [2 ** (-4 * i / n) for i in range(1, 2 * (num_heads - n), 2)]
        return mx.array(slopes).astype(dtype).reshape(num_heads, 1, 1)

    def __call__(
        self, attention_scores: mx.array, offset: int = 0, mask: mx.array | None = None
    ) -> mx.array:
        """Adds the biases to scores.

        Args:
            attention_scores: An array of (batch, heads, queries, keys).
            offset: Position of the first query.
            mask: Added as well.

        Returns:
            An array of the scores' shape.
        """
        biases = ALiBi.create_alibi_matrix(
            q_sequence_length=attention_scores.shape[-2] + offset,
            k_sequence_length=attention_scores.shape[-1],
            num_heads=attention_scores.shape[1],
            offset=offset,
            dtype=attention_scores.dtype,
        )
        if mask is not None:
            biases = biases + mask
        return attention_scores + biases
