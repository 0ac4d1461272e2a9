"""Layers whose matrices are packed in few bits, and quantize."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module
from plimsoll.utils import tree_map_with_path


def _settings(group_size: int | None, bits: int | None, mode: str) -> tuple[int, int]:
    """Group size and bits, the mode's own for None."""
    words, scales, *_ = mx.quantize(mx.zeros((1, 128)), group_size, bits, mode)
    return 128 // scales.shape[1], words.shape[1] // 4


class _Packed(Module):
    """A matrix that mx.quantize packed: ``weight``, ``scales`` and, if affine, ``biases``."""

    weight: mx.array
    scales: mx.array
    biases: mx.array | None

    def __init__(
        self, weight: mx.array, group_size: int | None, bits: int | None, mode: str
    ) -> None:
        super().__init__()
        self.group_size, self.bits = _settings(group_size, bits, mode)
        self.mode = mode
        self._pack(weight)

    def _pack(self, weight: mx.array) -> None:
        self.weight, self.scales, *biases = mx.quantize(
            weight, self.group_size, self.bits, self.mode
        )
        self.biases = biases[0] if biases else None

    def _times(self, x: mx.array) -> mx.array:
        return mx.quantized_matmul(
            x, self.weight, self.scales, self.biases, group_size=self.group_size, bits=self.bits,
            mode=self.mode,
        )  # fmt: skip

    def _dims(self) -> tuple[int, int]:
        rows, words = self.weight.shape
        return rows, words * 32 // self.bits

    def _format(self) -> str:
        return f"group_size={self.group_size}, bits={self.bits}, mode={self.mode}"


class PackedAffine(_Packed):
    """What QuantizedLinear is, and its sharded forms; frozen."""

    bias: mx.array

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
    ) -> None:
        bound = math.sqrt(1.0 / input_dims)
        weight = mx.random.uniform(-bound, bound, (output_dims, input_dims))
        super().__init__(weight, group_size, bits, mode)
        if bias:
            self.bias = mx.zeros((output_dims,))
        self.freeze()

    def _extra_repr(self) -> str:
        outputs, inputs = self._dims()
        return (
            f"input_dims={inputs}, output_dims={outputs}, bias={'bias' in self}, {self._format()}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the layer to the last axis of ``x``."""
        y = self._times(x)
        return y + self.bias if "bias" in self else y


class QuantizedLinear(PackedAffine):
    """x @ weight.T + bias over the last axis, with a matrix in few bits.

    ``weight`` (uint32), ``scales`` and ``biases`` are what mx.quantize gives; ``bias`` is the
    layer's own. All start frozen. The matrix starts as that of Linear, the bias as zeros.

    Args:
        input_dims: Features of the input, a multiple of the group size.
        output_dims: Features of the output.
        bias: Whether a bias is added.
        group_size: Elements that share a scale. Default: the mode's own, as for mx.quantize.
        bits: Bits of an element. Default: the mode's own.
        mode: "affine", "mxfp4", "mxfp8" or "nvfp4".

    Raises:
        ValueError: for settings and shapes that mx.quantize does not take.

    Example:
        >>> layer = nn.QuantizedLinear(64, 2, bits=8)
        >>> layer.weight.shape, layer(mx.ones((3, 64))).shape
        ((2, 16), (3, 2))
    """

    @classmethod
    def from_linear(
        cls,
        linear_layer: Module,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
    ) -> QuantizedLinear:
        """A layer with a Linear's matrix, quantized, and its bias.

        Args:
            linear_layer: The Linear, which stays as it is.
            group_size: As for QuantizedLinear, as are ``bits`` and ``mode``.
            bits: Bits of an element.
            mode: The mode of mx.quantize.

        Raises:
            ValueError: for settings and shapes that mx.quantize does not take.
        """
        outputs, inputs = linear_layer.weight.shape
        layer = cls(inputs, outputs, False, group_size, bits, mode)
        layer._pack(linear_layer.weight)
        if "bias" in linear_layer:
            layer.bias = linear_layer.bias
        return layer.freeze()  # type: ignore[return-value]


class QuantizedEmbedding(_Packed):
    """A table of vectors in few bits that integers look up.

    ``weight`` (uint32), ``scales`` and ``biases`` are what mx.quantize gives, and start frozen. The
    table starts as that of Embedding.

    Args:
        num_embeddings: Rows of the table.
        dims: Features of a row, a multiple of the group size.
        group_size: Elements that share a scale. Default: the mode's own, as for mx.quantize.
        bits: Bits of an element. Default: the mode's own.
        mode: "affine", "mxfp4", "mxfp8" or "nvfp4".

    Raises:
        ValueError: for settings and shapes that mx.quantize does not take.

    Example:
        >>> nn.QuantizedEmbedding(10, 64)(mx.array([1, 2, 3])).shape
        (3, 64)
    """

    def __init__(
        self,
        num_embeddings: int,
        dims: int,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
    ) -> None:
        weight = mx.random.normal((num_embeddings, dims), scale=math.sqrt(1.0 / dims))
        super().__init__(weight, group_size, bits, mode)
        self.num_embeddings, self.dims = num_embeddings, dims
        self.freeze()

    def _extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.dims}, {self._format()}"

    def __call__(self, x: mx.array) -> mx.array:
        """The rows that the integers in ``x`` name, in the scales' dtype (bfloat16 for uint8)."""
        at = x.reshape(-1)
        biases = None if self.biases is None else self.biases[at]
        rows = mx.dequantize(
            self.weight[at], self.scales[at], biases, self.group_size, self.bits, self.mode
        )
        return rows.reshape(*x.shape, self.dims)

    def as_linear(self, x: mx.array) -> mx.array:
        """x @ table.T, for models whose output layer is the embedding."""
        return self._times(x)

    @classmethod
    def from_embedding(
        cls,
        embedding_layer: Module,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
    ) -> QuantizedEmbedding:
        """A layer with an Embedding's table, quantized.

        Args:
            embedding_layer: The Embedding, which stays as it is.
            group_size: As for QuantizedEmbedding, as are ``bits`` and ``mode``.
            bits: Bits of an element.
            mode: The mode of mx.quantize.

        Raises:
            ValueError: for settings and shapes that mx.quantize does not take.
        """
        rows, dims = embedding_layer.weight.shape
        layer = cls(rows, dims, group_size, bits, mode)
        layer._pack(embedding_layer.weight)
        return layer


class QQLinear(Module):
    """x @ weight.T over the last axis, with both rounded to the numbers of a quantized format.

    In training mode ``weight`` is a matrix of floats, rounded in each call, and gets the gradient
    of the product with the rounded numbers. eval() packs it (``weight`` in uint32, ``scales``),
    train() unpacks it to bfloat16.

    Args:
        input_dims: Features of the input, a multiple of the group size.
        output_dims: Features of the output.
        group_size: Elements that share a scale. Default: the mode's own, as for mx.quantize.
        bits: Bits of an element. Default: the mode's own.
        mode: "nvfp4", "mxfp8" or "mxfp4".

    Raises:
        ValueError: for settings that mx.quantize does not take.

    Example:
        >>> layer = nn.QQLinear(64, 2, mode="mxfp8")
        >>> layer.eval().weight.shape
        (2, 16)
    """

    weight: mx.array
    scales: mx.array

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "nvfp4",
    ) -> None:
        super().__init__()
        self.group_size, self.bits = _settings(group_size, bits, mode)
        self.mode = mode
        bound = math.sqrt(1.0 / input_dims)
        self.weight = mx.random.uniform(-bound, bound, (output_dims, input_dims))
        self._quantized = False

    def _extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        if self._quantized:
            inputs = inputs * 32 // self.bits
        return (
            f"input_dims={inputs}, output_dims={outputs}, group_size={self.group_size}, "
            f"bits={self.bits}, mode={self.mode}"
        )

    def quantize(self) -> None:
        """Packs the matrix, where it is not packed."""
        if not self._quantized:
            self.weight, self.scales = mx.quantize(
                self.weight, self.group_size, self.bits, self.mode
            )
            self._quantized = True

    def dequantize(self) -> None:
        """Unpacks the matrix to bfloat16, where it is packed."""
        if self._quantized:
            self.weight = mx.dequantize(
                self.weight, self.scales, None, self.group_size, self.bits, self.mode
            )
            del self.scales
            self._quantized = False

    def _set_training_mode(self, mode: bool) -> None:
        super()._set_training_mode(mode)
        if mode:
            self.dequantize()
        else:
            self.quantize()

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the layer to the last axis of ``x``."""
        return mx.qqmm(x, self.weight, self.get("scales"), self.group_size, self.bits, self.mode)

    @classmethod
    def from_linear(
        cls,
        linear_layer: Module,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "nvfp4",
    ) -> QQLinear:
        """A layer with a Linear's matrix; packed where the Linear is not in training mode.

        Args:
            linear_layer: The Linear, which stays as it is.
            group_size: As for QQLinear, as are ``bits`` and ``mode``.
            bits: Bits of an element.
            mode: The mode of mx.quantize.

        Raises:
            NotImplementedError: for a Linear with a bias.
            ValueError: for settings that mx.quantize does not take.
        """
        if "bias" in linear_layer:
            raise NotImplementedError("[QQLinear] expected a Linear without a bias")
        outputs, inputs = linear_layer.weight.shape
        layer = cls(inputs, outputs, group_size, bits, mode)
        layer.weight = linear_layer.weight
        layer.train(linear_layer.training)
        return layer


def quantize(
    model: Module,
    group_size: int | None = None,
    bits: int | None = None,
    *,
    mode: str = "affine",
    quantize_input: bool = False,
    class_predicate: Callable[[str, Module], bool | dict[str, Any]] | None = None,
) -> None:
    """Replaces leaf modules of a model by what their ``to_quantized`` gives.

    Args:
        model: The model, changed in place. Linear and Embedding can be quantized, and whatever else
            has a method ``to_quantized(group_size, bits, mode)``.
        group_size: Elements that share a scale. Default: the mode's own, as for mx.quantize.
        bits: Bits of an element. Default: the mode's own.
        mode: "affine", "mxfp4", "mxfp8" or "nvfp4".
        quantize_input: Whether inputs are quantized, too: Linear without a bias, "nvfp4" and
            "mxfp8" only.
        class_predicate: Called with each leaf's dotted name and the leaf; true quantizes it, and a
            dict with items gives the arguments of ``to_quantized``. Default: whatever has
            ``to_quantized``.

    Raises:
        ValueError: where the predicate picks a leaf that has no ``to_quantized`` or returns
            something else, and for settings that do not fit; the model then stays as it is.
        NotImplementedError: for quantized inputs of a Linear with a bias.

    Example:
        >>> model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
        >>> nn.quantize(model, bits=8, class_predicate=lambda name, _: name == "layers.0")
        >>> model.layers[0].weight.shape, model.layers[2].weight.shape
        ((64, 16), (3, 64))
    """
    settings: dict[str, Any] = {"group_size": group_size, "bits": bits, "mode": mode}
    if quantize_input:
        settings["quantize_input"] = True
    chosen = class_predicate or (lambda _, module: hasattr(module, "to_quantized"))

    def replace(path: str, module: Module) -> Module:
        choice = chosen(path, module)
        if not choice:
            return module
        if not isinstance(choice, bool | dict):
            raise ValueError(
                f"[quantize] expected a bool or a dict of arguments from class_predicate, got "
                f"{type(choice).__name__}"
            )
        if not hasattr(module, "to_quantized"):
            raise ValueError(f"[quantize] {type(module).__name__} has no to_quantized")
        quantized: Module = module.to_quantized(
            **(choice if isinstance(choice, dict) else settings)
        )
        return quantized

    leaves = model.leaf_modules()
    model.update_modules(tree_map_with_path(replace, leaves, is_leaf=Module.is_module))
