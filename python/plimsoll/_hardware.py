"""MLX's names for hardware that this build has no backend for."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from plimsoll import _core


def _namespace(name: str, doc: str, *members: Callable[..., Any]) -> types.ModuleType:
    module = types.ModuleType(f"plimsoll.core.{name}", doc)
    for member in members:
        setattr(module, member.__name__, member)
    return module


def is_available() -> bool:
    """False: this build has no such backend."""
    return False


def start_capture(path: str) -> None:
    """Does nothing: there is no GPU to capture."""


def stop_capture() -> None:
    """Does nothing: there is no GPU to capture."""


def device_info() -> dict[str, str | int]:
    """Nothing: there is no GPU."""
    return {}


metal = _namespace(
    "metal",
    "Apple's GPU. There is none; the memory functions are those of plimsoll.core.",
    is_available,
    start_capture,
    stop_capture,
    device_info,
    _core.clear_cache,
    _core.get_active_memory,
    _core.get_cache_memory,
    _core.get_peak_memory,
    _core.reset_peak_memory,
    _core.set_cache_limit,
    _core.set_memory_limit,
    _core.set_wired_limit,
)
cuda = _namespace("cuda", "NVIDIA's GPUs. This build does not use them.", is_available)


def _no_metal(*args: object, **kwargs: object) -> NoReturn:
    raise RuntimeError("[metal_kernel] this build has no Metal backend")


def metal_kernel(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str = "",
    ensure_row_contiguous: bool = True,
    atomic_outputs: bool = False,
    compile_options: object | None = None,
) -> Callable[..., NoReturn]:
    """A kernel in Metal's language: a function that raises RuntimeError, as there is no Metal."""
    return _no_metal


def cuda_kernel(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str = "",
    ensure_row_contiguous: bool = True,
    shared_memory: int = 0,
) -> NoReturn:
    """Raises RuntimeError: this build has no CUDA backend."""
    raise RuntimeError("[cuda_kernel] this build has no CUDA backend")


def precompiled_cuda_kernel(
    *,
    name: str,
    compiled_source: bytes,
    inputs: Sequence[_core.array],
    output_shapes: Sequence[Sequence[int]],
    output_dtypes: Sequence[_core.Dtype],
    scalars: Sequence[object],
    grid: tuple[int, int, int],
    threadgroup: tuple[int, int, int],
    shared_memory: int = 0,
    init_value: float | None = None,
    ensure_row_contiguous: bool = False,
    stream: object = None,
) -> NoReturn:
    """Raises RuntimeError: this build has no CUDA backend."""
    raise RuntimeError("[cuda_kernel] this build has no CUDA backend")


def get_array_buffer_size(*args: object) -> int:
    """Bytes of the buffers behind arrays, each counted once.

    Args:
        args: Arrays, and nested lists, tuples and dicts of arrays; what is no array is passed over.

    Raises:
        ValueError: where an array is not evaluated.

    Example:
        >>> a = mx.zeros((1024,))
        >>> mx.eval(a)
        >>> mx.get_array_buffer_size(a, [a]) >= a.nbytes
        True
    """
    buffers: dict[int, int] = {}
    pending = list(args)
    while pending:
        item = pending.pop()
        if isinstance(item, _core.array):
            address, size = _core._buffer_of(item)
            buffers[address] = size
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
    return sum(buffers.values())
