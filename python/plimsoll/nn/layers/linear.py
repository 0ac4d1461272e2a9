"""Identity, Linear and Bilinear."""

from __future__ import annotations

import math
from typing import Any

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module
from plimsoll.nn.layers.quantized import QQLinear, QuantizedLinear


class Identity(Module):
    """Returns its argument, and ignores what it is made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __call__(self, x: mx.array) -> mx.array:
        """``x``."""
        return x


class Affine(Module):
    """What Linear is, and its sharded forms: x @ weight.T + bias over the last axis."""

    weight: mx.array
    bias: mx.array

    def __init__(self, input_dims: int, output_dims: int, bias: bool = True) -> None:
        super().__init__()
        bound = math.sqrt(1.0 / input_dims)
        self.weight = mx.random.uniform(-bound, bound, (output_dims, input_dims))
        if bias:
            self.bias = mx.random.uniform(-bound, bound, (output_dims,))

    def _extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"input_dims={inputs}, output_dims={outputs}, bias={'bias' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the layer to the last axis of ``x``."""
        y = mx.matmul(x, self.weight.T)  # an array for NumPy's, too
        return y + self.bias if "bias" in self else y


class Linear(Affine):
    """x @ weight.T + bias over the last axis.

    Parameters start uniform in ±1/sqrt(input_dims).

    Args:
        input_dims: Features of the input.
        output_dims: Features of the output.
        bias: Whether a bias is added.

    Example:
        >>> nn.Linear(4, 2)(mx.ones((3, 4))).shape
        (3, 2)
    """

    def __init__(self, input_dims: int, output_dims: int, bias: bool = True) -> None:
        super().__init__(input_dims, output_dims, bias)

    def to_quantized(
        self,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
        quantize_input: bool = False,
    ) -> QuantizedLinear | QQLinear:
        """A QuantizedLinear with the layer's numbers; a QQLinear where inputs are quantized, too.

        Args:
            group_size: Elements that share a scale. Default: the mode's own, as for mx.quantize.
            bits: Bits of an element. Default: the mode's own.
            mode: "affine", "mxfp4", "mxfp8" or "nvfp4".
            quantize_input: Whether inputs are quantized: "nvfp4" and "mxfp8" only.

        Raises:
            ValueError: for settings that do not fit.
            NotImplementedError: for quantized inputs of a layer with a bias.
        """
        if not quantize_input:
            return QuantizedLinear.from_linear(self, group_size, bits, mode)
        if mode not in ("nvfp4", "mxfp8"):
            raise ValueError(
                f"[to_quantized] expected 'nvfp4' or 'mxfp8' for quantized inputs, got '{mode}'"
            )
        return QQLinear.from_linear(self, group_size, bits, mode)


class Bilinear(Module):
    """x1 @ weight[i] @ x2 for each output feature i, plus a bias.

    Args:
        input1_dims: Features of the first input.
        input2_dims: Features of the second input.
        output_dims: Features of the output.
        bias: Whether a bias is added.
    """

    weight: mx.array
    bias: mx.array

    def __init__(
        self, input1_dims: int, input2_dims: int, output_dims: int, bias: bool = True
    ) -> None:
        super().__init__()
        bound = math.sqrt(1.0 / input1_dims)
        self.weight = mx.random.uniform(-bound, bound, (output_dims, input2_dims, input1_dims))
        if bias:
            self.bias = mx.random.uniform(-bound, bound, (output_dims,))

    def _extra_repr(self) -> str:
        outputs, second, first = self.weight.shape
        return (
            f"input1_dims={first}, input2_dims={second}, output_dims={outputs}, "
            f"bias={'bias' in self}"
        )

    def __call__(self, x1: mx.array, x2: mx.array) -> mx.array:
        """Applies the layer to the last axes of ``x1`` and ``x2``, whose others are equal."""
        outputs, second, first = self.weight.shape
        rows = x1.reshape(-1, first) @ self.weight.reshape(outputs * second, first).T
        products = rows.reshape(-1, outputs, second) @ x2.reshape(-1, second, 1)
        y = products.reshape(*x1.shape[:-1], outputs)
        return y + self.bias if "bias" in self else y
