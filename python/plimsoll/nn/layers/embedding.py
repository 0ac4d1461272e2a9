"""Embedding."""

from __future__ import annotations

import math

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module
from plimsoll.nn.layers.quantized import QuantizedEmbedding


class Embedding(Module):
    """A table of vectors that integers look up.

    The weights start normal with a deviation of 1/sqrt(dims).

    Args:
        num_embeddings: Rows of the table.
        dims: Features of a row.

    Example:
        >>> nn.Embedding(10, 4)(mx.array([1, 2, 3])).shape
        (3, 4)
    """

    weight: mx.array

    def __init__(self, num_embeddings: int, dims: int) -> None:
        super().__init__()
        self.weight = mx.random.normal((num_embeddings, dims), scale=math.sqrt(1.0 / dims))

    def _extra_repr(self) -> str:
        rows, dims = self.weight.shape
        return f"{rows}, {dims}"

    def __call__(self, x: mx.array) -> mx.array:
        """The rows that the integers in ``x`` name."""
        return self.weight[x]

    def as_linear(self, x: mx.array) -> mx.array:
        """x @ weight.T, for models whose output layer is the embedding."""
        return x @ self.weight.T

    def to_quantized(
        self,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
        quantize_input: bool = False,
    ) -> QuantizedEmbedding:
        """A QuantizedEmbedding with the layer's numbers.

        Args:
            group_size: Elements that share a scale. Default: the mode's own, as for mx.quantize.
            bits: Bits of an element. Default: the mode's own.
            mode: "affine", "mxfp4", "mxfp8" or "nvfp4".
            quantize_input: Not possible: integers look rows up.

        Raises:
            ValueError: for ``quantize_input``, and settings that do not fit.
        """
        if quantize_input:
            raise ValueError("[to_quantized] an Embedding has no input that can be quantized")
        return QuantizedEmbedding.from_embedding(self, group_size, bits, mode)
