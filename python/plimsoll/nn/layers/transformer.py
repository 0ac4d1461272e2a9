"""Multi-head attention, encoders and decoders."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import plimsoll.core as mx
from plimsoll.nn.layers.activations import relu
from plimsoll.nn.layers.base import Module
from plimsoll.nn.layers.dropout import Dropout
from plimsoll.nn.layers.linear import Linear
from plimsoll.nn.layers.normalization import LayerNorm
from plimsoll.nn.utils import checkpoint as checkpointed

Activation = Callable[[Any], Any]


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


class TransformerEncoderLayer(Module):
    """Self-attention, then two linear layers, each added to its input (Vaswani et al. 2017).

    Args:
        dims: Features of inputs and results.
        num_heads: Number of attention heads.
        mlp_dims: Features between the linear layers. Default: 4 * dims.
        dropout: Probability of dropout after attention and after the activation.
        activation: Function between the linear layers.
        norm_first: Whether inputs are normalised before each part rather than sums after it.

    Example:
        >>> layer = nn.TransformerEncoderLayer(8, 2)
        >>> layer(mx.ones((1, 5, 8)), mask=None).shape
        (1, 5, 8)
    """

    def __init__(
        self,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Activation = relu,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        mlp_dims = mlp_dims or dims * 4
        self.attention = MultiHeadAttention(dims, num_heads)
        self.ln1 = LayerNorm(dims)
        self.ln2 = LayerNorm(dims)
        self.linear1 = Linear(dims, mlp_dims)
        self.linear2 = Linear(mlp_dims, dims)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = activation
        self.norm_first = norm_first

    def _mlp(self, x: mx.array) -> mx.array:
        return self.linear2(self.dropout2(self.activation(self.linear1(x))))

    def __call__(self, x: mx.array, mask: mx.array | None) -> mx.array:
        """Encodes (batch, length, dims); ``mask`` is attention's."""
        if self.norm_first:
            y = self.ln1(x)
            x = x + self.dropout1(self.attention(y, y, y, mask))
            return x + self._mlp(self.ln2(x))
        x = self.ln1(x + self.dropout1(self.attention(x, x, x, mask)))
        return self.ln2(x + self._mlp(x))


class TransformerEncoder(Module):
    """Encoder layers one after the other, and a last normalisation.

    Args:
        num_layers: Number of layers.
        dims: Features of inputs and results.
        num_heads: Number of attention heads.
        mlp_dims: Features between the linear layers. Default: 4 * dims.
        dropout: Probability of dropout.
        activation: Function between the linear layers.
        norm_first: Whether inputs are normalised before each part rather than sums after it.
        checkpoint: Whether each layer's inner values are computed again for the gradient.
    """

    def __init__(
        self,
        num_layers: int,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Activation = relu,
        norm_first: bool = True,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.layers = [
            TransformerEncoderLayer(dims, num_heads, mlp_dims, dropout, activation, norm_first)
            for _ in range(num_layers)
        ]
        self.ln = LayerNorm(dims)
        self.checkpoint = checkpoint

    def __call__(self, x: mx.array, mask: mx.array | None) -> mx.array:
        """Encodes (batch, length, dims); ``mask`` is attention's."""
        for layer in self.layers:
            x = (checkpointed(layer) if self.checkpoint else layer)(x, mask)
        return self.ln(x)


class TransformerDecoderLayer(Module):
    """Self-attention, attention over a memory, then two linear layers (Vaswani et al. 2017).

    Args:
        dims: Features of inputs and results.
        num_heads: Number of attention heads.
        mlp_dims: Features between the linear layers. Default: 4 * dims.
        dropout: Probability of dropout after attention and after the activation.
        activation: Function between the linear layers.
        norm_first: Whether inputs are normalised before each part rather than sums after it.

    Example:
        >>> layer = nn.TransformerDecoderLayer(8, 2)
        >>> layer(mx.ones((1, 3, 8)), mx.ones((1, 5, 8)), None, None).shape
        (1, 3, 8)
    """

    def __init__(
        self,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Activation = relu,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        mlp_dims = mlp_dims or dims * 4
        self.self_attention = MultiHeadAttention(dims, num_heads)
        self.cross_attention = MultiHeadAttention(dims, num_heads)
        self.ln1 = LayerNorm(dims)
        self.ln2 = LayerNorm(dims)
        self.ln3 = LayerNorm(dims)
        self.linear1 = Linear(dims, mlp_dims)
        self.linear2 = Linear(mlp_dims, dims)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = activation
        self.norm_first = norm_first

    def _mlp(self, x: mx.array) -> mx.array:
        return self.linear2(self.dropout3(self.activation(self.linear1(x))))

    def __call__(
        self,
        x: mx.array,
        memory: mx.array,
        x_mask: mx.array | None,
        memory_mask: mx.array | None,
    ) -> mx.array:
        """Decodes (batch, length, dims) with a memory of (batch, its length, dims)."""
        if self.norm_first:
            y = self.ln1(x)
            x = x + self.dropout1(self.self_attention(y, y, y, x_mask))
            y = self.cross_attention(self.ln2(x), memory, memory, memory_mask)
            x = x + self.dropout2(y)
            return x + self._mlp(self.ln3(x))
        x = self.ln1(x + self.dropout1(self.self_attention(x, x, x, x_mask)))
        y = self.cross_attention(x, memory, memory, memory_mask)
        x = self.ln2(x + self.dropout2(y))
        return self.ln3(x + self._mlp(x))


class TransformerDecoder(Module):
    """Decoder layers one after the other, and a last normalisation.

    Args:
        num_layers: Number of layers.
        dims: Features of inputs and results.
        num_heads: Number of attention heads.
        mlp_dims: Features between the linear layers. Default: 4 * dims.
        dropout: Probability of dropout.
        activation: Function between the linear layers.
        norm_first: Whether inputs are normalised before each part rather than sums after it.
        checkpoint: Whether each layer's inner values are computed again for the gradient.
    """

    def __init__(
        self,
        num_layers: int,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Activation = relu,
        norm_first: bool = True,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.layers = [
            TransformerDecoderLayer(dims, num_heads, mlp_dims, dropout, activation, norm_first)
            for _ in range(num_layers)
        ]
        self.ln = LayerNorm(dims)
        self.checkpoint = checkpoint

    def __call__(
        self,
        x: mx.array,
        memory: mx.array,
        x_mask: mx.array | None,
        memory_mask: mx.array | None,
    ) -> mx.array:
        """Decodes (batch, length, dims) with a memory of (batch, its length, dims)."""
        for layer in self.layers:
            run = checkpointed(layer) if self.checkpoint else layer
            x = run(x, memory, x_mask, memory_mask)
        return self.ln(x)


class Transformer(Module):
    """An encoder and a decoder that attends to what it made (Vaswani et al. 2017).

    Args:
        dims: Features of inputs and results.
        num_heads: Number of attention heads.
        num_encoder_layers: Number of layers of the encoder.
        num_decoder_layers: Number of layers of the decoder.
        mlp_dims: Features between the linear layers. Default: 4 * dims.
        dropout: Probability of dropout.
        activation: Function between the linear layers.
        custom_encoder: Takes the encoder's place.
        custom_decoder: Takes the decoder's place.
        norm_first: Whether inputs are normalised before each part rather than sums after it.
        checkpoint: Whether each layer's inner values are computed again for the gradient.

    Example:
        >>> model = nn.Transformer(8, 2, 1, 1, checkpoint=True)
        >>> src, tgt = mx.ones((1, 5, 8)), mx.ones((1, 3, 8))
        >>> model(src, tgt, None, None, None).shape
        (1, 3, 8)
    """

    def __init__(
        self,
        dims: int = 512,
        num_heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Activation = relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        norm_first: bool = True,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        shared = (dims, num_heads, mlp_dims, dropout, activation, norm_first, checkpoint)
        # A module without parameters is an empty dict: false.
        if custom_encoder is None:
            custom_encoder = TransformerEncoder(num_encoder_layers, *shared)
        if custom_decoder is None:
            custom_decoder = TransformerDecoder(num_decoder_layers, *shared)
        self.encoder = custom_encoder
        self.decoder = custom_decoder

    def __call__(
        self,
        src: mx.array,
        tgt: mx.array,
        src_mask: mx.array | None,
        tgt_mask: mx.array | None,
        memory_mask: mx.array | None,
    ) -> mx.array:
        """Encodes ``src`` and decodes ``tgt``, each of (batch, its length, dims).

        Args:
            src: What is encoded.
            tgt: What is decoded.
            src_mask: The mask of the encoder's attention.
            tgt_mask: The mask of the decoder's self-attention.
            memory_mask: The mask of the decoder's attention over what was encoded.

        Returns:
            An array of the shape of ``tgt``.
        """
        memory = self.encoder(src, src_mask)
        return self.decoder(tgt, memory, tgt_mask, memory_mask)
