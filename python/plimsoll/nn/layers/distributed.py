"""Linear layers and modules that are shared out over a group of processes.

A group is one process here (plimsoll.core.distributed), whose share is the whole: these layers
compute what the plain ones do. Groups of more processes are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module
from plimsoll.nn.layers.linear import Affine
from plimsoll.nn.layers.quantized import PackedAffine, QuantizedLinear
from plimsoll.utils import tree_flatten, tree_map

Segments = int | list[int] | list[float]


def alone(group: Any, name: str) -> Any:
    """The group, that of all processes for None.

    Raises:
        ValueError: for a group of more than one process.
    """
    group = mx.distributed.init() if group is None else group
    if group.size() != 1:
        raise ValueError(
            f"[{name}] expected a group of 1 process, got {group.size()}: this build has no "
            "communication backend"
        )
    return group


def _check_segments(length: int, segments: Segments, name: str) -> None:
    if isinstance(segments, int):
        if segments < 1 or length % segments:
            raise ValueError(f"[{name}] expected a divisor of {length} as segments, got {segments}")
        return
    ends = [*segments]
    most = length if all(isinstance(end, int) for end in ends) else 1
    if not ends or ends != sorted(ends) or not 0 <= ends[0] <= ends[-1] <= most:
        raise ValueError(
            f"[{name}] expected segments that end in ascending order in [0, {length}], or "
            f"fractions of it in [0, 1], got {ends}"
        )


class _ShardedLinear(Affine):
    """A Linear whose matrix is cut along an axis."""

    _cut_axis = 0

    def __init__(
        self, input_dims: int, output_dims: int, bias: bool = True, group: Any = None
    ) -> None:
        super().__init__(input_dims, output_dims, bias)
        self.group = alone(group, type(self).__name__)

    @classmethod
    def from_linear(
        cls, linear_layer: Module, *, segments: Segments = 1, group: Any = None
    ) -> _ShardedLinear:
        """A layer with a Linear's parameters.

        Args:
            linear_layer: The Linear, which stays as it is.
            segments: Parts of the axis that is cut, each cut by itself: their number, or
                where they end.
            group: None, or a group of one process.

        Raises:
            ValueError: for a group of more processes, and a number of segments that does not divide
                the axis, and ends that do not ascend or lie outside.
        """
        outputs, inputs = linear_layer.weight.shape
        _check_segments((outputs, inputs)[cls._cut_axis], segments, cls.__name__)
        layer = cls(inputs, outputs, "bias" in linear_layer, group)
        layer.update(linear_layer.parameters())
        return layer


class AllToShardedLinear(_ShardedLinear):
    """A Linear of which each process computes a part of the outputs: here all of them.

    Args:
        input_dims: Features of the input.
        output_dims: Features of the output.
        bias: Whether a bias is added.
        group: None, or a group of one process.

    Raises:
        ValueError: for a group of more processes.

    Example:
        >>> nn.AllToShardedLinear(4, 2)(mx.ones((3, 4))).shape
        (3, 2)
    """


class ShardedToAllLinear(_ShardedLinear):
    """A Linear of which each process gets a part of the inputs: here all of them.

    Args:
        input_dims: Features of the input.
        output_dims: Features of the output.
        bias: Whether a bias is added.
        group: None, or a group of one process.

    Raises:
        ValueError: for a group of more processes.

    Example:
        >>> nn.ShardedToAllLinear(4, 2)(mx.ones((3, 4))).shape
        (3, 2)
    """

    _cut_axis = 1


class _QuantizedShardedLinear(PackedAffine):
    """A QuantizedLinear whose matrix is cut along an axis."""

    _cut_axis = 0

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group_size: int = 64,
        bits: int = 4,
        mode: str = "affine",
        group: Any = None,
    ) -> None:
        super().__init__(input_dims, output_dims, bias, group_size, bits, mode)
        self.group = alone(group, type(self).__name__)

    def unfreeze(
        self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False
    ) -> Module:
        """Leaves the layer's own parameters frozen.

        Returns:
            The layer.
        """
        super().unfreeze(recurse=recurse, keys=keys, strict=strict)
        return self.freeze(recurse=False)

    @classmethod
    def from_quantized_linear(
        cls, quantized_linear_layer: Module, *, segments: Segments = 1, group: Any = None
    ) -> _QuantizedShardedLinear:
        """A layer with a QuantizedLinear's parameters.

        Args:
            quantized_linear_layer: The QuantizedLinear, which stays as it is.
            segments: As for from_linear of the layers that are not quantized.
            group: None, or a group of one process.

        Raises:
            ValueError: for a group of more processes, and a number of segments that does not divide
                the axis, and ends that do not ascend or lie outside.
        """
        given = quantized_linear_layer
        outputs, inputs = given._dims()
        _check_segments((outputs, inputs)[cls._cut_axis], segments, cls.__name__)
        layer = cls(
            inputs, outputs, "bias" in given, given.group_size, given.bits, given.mode, group
        )
        layer.update(given.parameters())
        return layer


class QuantizedAllToShardedLinear(_QuantizedShardedLinear):
    """AllToShardedLinear with a matrix in few bits; its parameters stay frozen.

    Args:
        input_dims: Features of the input, a multiple of the group size.
        output_dims: Features of the output.
        bias: Whether a bias is added.
        group_size: Elements that share a scale.
        bits: Bits of an element.
        mode: "affine", "mxfp4", "mxfp8" or "nvfp4".
        group: None, or a group of one process.

    Raises:
        ValueError: for a group of more processes, and for settings that mx.quantize does not take.

    Example:
        >>> nn.QuantizedAllToShardedLinear(64, 2)(mx.ones((3, 64))).shape
        (3, 2)
    """


class QuantizedShardedToAllLinear(_QuantizedShardedLinear):
    """ShardedToAllLinear with a matrix in few bits; its parameters stay frozen.

    Args:
        input_dims: Features of the input, a multiple of the group size.
        output_dims: Features of the output.
        bias: Whether a bias is added.
        group_size: Elements that share a scale.
        bits: Bits of an element.
        mode: "affine", "mxfp4", "mxfp8" or "nvfp4".
        group: None, or a group of one process.

    Raises:
        ValueError: for a group of more processes, and for settings that mx.quantize does not take.

    Example:
        >>> nn.QuantizedShardedToAllLinear(64, 2)(mx.ones((3, 64))).shape
        (3, 2)
    """

    _cut_axis = 1


class FullyShardedModule(Module):
    """A module of whose parameters each process keeps a share: here all of them.

    Args:
        module: The module, which becomes ``module``.
        group: None, or a group of one process.
        compute_dtype: The dtype that parameters of floats are converted to for each call; gradients
            are of their own dtype. Default: none.

    Raises:
        ValueError: for a group of more processes.

    Example:
        >>> layer = nn.FullyShardedModule(nn.Linear(4, 2), compute_dtype=mx.bfloat16)
        >>> layer(mx.ones((3, 4), mx.bfloat16)).dtype == mx.bfloat16
        True
    """

    def __init__(
        self, module: Module, group: Any = None, compute_dtype: mx.Dtype | None = None
    ) -> None:
        super().__init__()
        alone(group, "FullyShardedModule")
        self.module = module
        self._compute_dtype = compute_dtype

    def _extra_repr(self) -> str:
        return f"num_sharded_params={len(tree_flatten(self.module.parameters()))}"

    def _gathered_call(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        dtype = self._compute_dtype
        if dtype is None:
            return fn(*args, **kwargs)
        kept = self.module.parameters()
        self.module.update(
            tree_map(lambda p: p.astype(dtype) if mx.issubdtype(p.dtype, mx.floating) else p, kept)
        )
        try:
            return fn(*args, **kwargs)
        finally:
            self.module.update(kept)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the module."""
        return self._gathered_call(self.module, *args, **kwargs)

    def as_linear(self, *args: Any, **kwargs: Any) -> Any:
        """Calls ``as_linear`` of the module, an Embedding."""
        return self._gathered_call(self.module.as_linear, *args, **kwargs)


def fully_shard(
    module: Module, *, group: Any = None, compute_dtype: mx.Dtype | None = None
) -> Module:
    """Wraps a module in FullyShardedModule where there are several processes: here never.

    Args:
        module: The module.
        group: None, or a group of one process.
        compute_dtype: As for FullyShardedModule.

    Returns:
        The module.

    Raises:
        ValueError: for a group of more processes.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> nn.fully_shard(layer) is layer
        True
    """
    alone(group, "fully_shard")
    return module


_LINEARS = {"all-to-sharded": AllToShardedLinear, "sharded-to-all": ShardedToAllLinear}
_QUANTIZED = {
    "all-to-sharded": QuantizedAllToShardedLinear,
    "sharded-to-all": QuantizedShardedToAllLinear,
}


def _check_sharding(sharding: Any, name: str) -> None:
    if sharding not in _LINEARS:
        raise ValueError(
            f"[{name}] expected 'all-to-sharded' or 'sharded-to-all' as sharding, got {sharding!r}"
        )


def shard_linear(
    module: Module, sharding: str, *, segments: Segments = 1, group: Any = None
) -> Module:
    """A sharded layer with the parameters of a Linear or QuantizedLinear.

    Args:
        module: The layer, which stays as it is.
        sharding: "all-to-sharded" or "sharded-to-all".
        segments: Parts of the axis that is cut: their number, or where they end.
        group: None, or a group of one process.

    Raises:
        ValueError: for another sharding, a group of more processes, and a number of segments that
            does not divide the axis.

    Example:
        >>> nn.layers.distributed.shard_linear(nn.Linear(4, 2), "sharded-to-all")
        ShardedToAllLinear(input_dims=4, output_dims=2, bias=True)
    """
    _check_sharding(sharding, "shard_linear")
    if isinstance(module, QuantizedLinear):
        return _QUANTIZED[sharding].from_quantized_linear(module, segments=segments, group=group)
    return _LINEARS[sharding].from_linear(module, segments=segments, group=group)


def sum_gradients(group: Any) -> Callable[[mx.array], mx.array]:
    """A function that gives its argument back, whose gradient is the group's sum: here its own.

    Args:
        group: A group of one process.

    Raises:
        ValueError: for a group of more processes.

    Example:
        >>> f = nn.layers.distributed.sum_gradients(mx.distributed.init())
        >>> f(mx.array([1.0, 2.0]))
        array([1, 2], dtype=float32)
    """
    alone(group, "sum_gradients")
    return lambda x: x


def shard_inplace(
    module: Module,
    sharding: str | Callable[[str, mx.array], Any],
    *,
    segments: Segments = 1,
    group: Any = None,
) -> None:
    """Replaces a module's parameters by this process's share of them: here all.

    Args:
        module: The module.
        sharding: "all-to-sharded", "sharded-to-all", or a function that gets a parameter's dotted
            name and the parameter and returns the axis to cut, that and segments, or None.
        segments: Parts of the axis that is cut: their number, or where they end.
        group: None, or a group of one process.

    Raises:
        ValueError: for another sharding, and for a group of more processes.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> nn.layers.distributed.shard_inplace(layer, "all-to-sharded")
        >>> layer.weight.shape
        (2, 4)
    """
    if not callable(sharding):
        _check_sharding(sharding, "shard_inplace")
    alone(group, "shard_inplace")
