"""Multi-head attention."""

from __future__ import annotations

import math

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module
from plimsoll.nn.layers.linear import Linear


class MultiHeadAttention(Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017).

    Args:
        dims: Features of the model; divided among the heads.
        num_heads: Number of heads.
        query_input_dims: Features of the queries. Default: ``dims``.
        key_input_dims: Features of the keys. Default: ``dims``.
        value_input_dims: Features of the values. Default: that of the keys.
        value_dims: Features of the values after projection. Default: ``dims``.
        value_output_dims: Features of the result. Default: ``dims``.
        bias: Whether the projections have biases.

    Raises:
        ValueError: where ``dims`` is no multiple of ``num_heads``.

    Example:
        >>> x = mx.ones((1, 5, 8))
        >>> nn.MultiHeadAttention(8, 2)(x, x, x).shape
        (1, 5, 8)
    """

    def __init__(
        self,
        dims: int,
        num_heads: int,
        query_input_dims: int | None = None,
        key_input_dims: int | None = None,
        value_input_dims: int | None = None,
        value_dims: int | None = None,
        value_output_dims: int | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if dims % num_heads != 0:
            raise ValueError(
                "The input feature dimensions should be divisible by the number of heads "
                f"({dims} % {num_heads}) != 0"
            )
        query_input_dims = query_input_dims or dims
        key_input_dims = key_input_dims or dims
        value_input_dims = value_input_dims or key_input_dims
        value_dims = value_dims or dims
        value_output_dims = value_output_dims or dims
        self.num_heads = num_heads
        self.query_proj = Linear(query_input_dims, dims, bias=bias)
        self.key_proj = Linear(key_input_dims, dims, bias=bias)
        self.value_proj = Linear(value_input_dims, value_dims, bias=bias)
        self.out_proj = Linear(value_dims, value_output_dims, bias=bias)

    def _split_heads(self, x: mx.array) -> mx.array:
        batch, length, dims = x.shape
        return x.reshape(batch, length, self.num_heads, dims // self.num_heads).transpose(
            0, 2, 1, 3
        )

    def __call__(
        self, queries: mx.array, keys: mx.array, values: mx.array, mask: mx.array | None = None
    ) -> mx.array:
        """Attention of (batch, length, features) queries over keys and values.

        Args:
            queries: What looks.
            keys: What is looked at.
            values: What is summed.
            mask: Added to the scores, or a bool array of the pairs that count.

        Returns:
            An array of (batch, length of the queries, value_output_dims).
        """
        q = self._split_heads(self.query_proj(queries))
        k = self._split_heads(self.key_proj(keys))
        v = self._split_heads(self.value_proj(values))
        scale = math.sqrt(1 / q.shape[-1])
        out = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=mask)
        batch, _, length, _ = out.shape
        return self.out_proj(out.transpose(0, 2, 1, 3).reshape(batch, length, -1))

    @staticmethod
    def create_additive_causal_mask(N: int, dtype: mx.Dtype = mx.float32) -> mx.array:
        """An (N, N) mask with 0 where a query may look, and the least finite number elsewhere."""
        least = {mx.float16: -65504.0, mx.bfloat16: -3.3895313892515355e38}
        positions = mx.arange(N)
        mask = positions[:, None] < positions[None]
        return mask.astype(dtype) * least.get(dtype, -3.4028234663852886e38)
