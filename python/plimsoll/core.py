"""Arrays, operations, transforms, devices and the memory page, with MLX's names.

Example:
    >>> import plimsoll.core as mx
    >>> (mx.array([1, 2, 3]) * 2).tolist()
    [2, 4, 6]
"""

from __future__ import annotations

import builtins as _builtins
import math as _math
import sys as _sys
from collections.abc import Sequence as _Sequence
from typing import Any as _Any

from plimsoll import _core, _hints
from plimsoll import _distributed as distributed
from plimsoll._arrays import ArrayLike, asarray
from plimsoll._core import *  # noqa: F403
from plimsoll._dtypes import can_cast, finfo, iinfo, isdtype
from plimsoll._export import FunctionExporter, export_function, exporter, import_function
from plimsoll._hardware import (
    cuda,
    cuda_kernel,
    get_array_buffer_size,
    metal,
    metal_kernel,
    precompiled_cuda_kernel,
)
from plimsoll._io import load, save, save_gguf, save_safetensors, savez, savez_compressed
from plimsoll._memory import MemoryPlan, memory_limit, memory_plan
from plimsoll._printing import (
    PrintOptions,
    get_printoptions,
    printoptions,
    set_printoptions,
)
from plimsoll._transforms import (
    async_eval,
    checkpoint,
    compile,
    custom_function,
    depends,
    disable_compile,
    enable_compile,
    eval,
    export_to_dot,
    grad,
    jvp,
    value_and_grad,
    vjp,
    vmap,
)

__all__ = [name for name in dir(_core) if not name.startswith("_")]
__all__ += [
    "ArrayLike",
    "FunctionExporter",
    "MemoryPlan",
    "PrintOptions",
    "asarray",
    "async_eval",
    "broadcast_shapes",
    "can_cast",
    "checkpoint",
    "compile",
    "cuda",
    "custom_function",
    "depends",
    "device_info",
    "distributed",
    "disable_compile",
    "e",
    "enable_compile",
    "euler_gamma",
    "eval",
    "export_function",
    "export_to_dot",
    "exporter",
    "finfo",
    "get_array_buffer_size",
    "get_printoptions",
    "grad",
    "iinfo",
    "import_function",
    "inf",
    "isdtype",
    "jvp",
    "load",
    "memory_limit",
    "memory_plan",
    "metal",
    "nan",
    "newaxis",
    "pi",
    "printoptions",
    "result_type",
    "save",
    "save_gguf",
    "save_safetensors",
    "savez",
    "savez_compressed",
    "set_printoptions",
    "synchronize",
    "value_and_grad",
    "vjp",
    "vmap",
]

pi: float = _math.pi
e: float = _math.e
inf: float = _math.inf
nan: float = _math.nan
euler_gamma: float = 0.5772156649015328606
newaxis = None


def __getattr__(name: str) -> _Any:
    if name == "__version__":
        import plimsoll

        return plimsoll.__version__
    raise _hints.missing("module 'plimsoll.core'", name, _hints.CORE)


def broadcast_shapes(*shapes: _Sequence[int]) -> tuple[int, ...]:
    """The shape that arrays of the given shapes broadcast to.

    Args:
        shapes: Shapes, the last dimensions aligned.

    Returns:
        The common shape.

    Raises:
        ValueError: where the shapes do not fit together.

    Example:
        >>> broadcast_shapes((1, 2), (3, 1))
        (3, 2)
    """
    out: list[int] = []
    for shape in shapes:
        length = _builtins.max(len(out), len(shape))
        a = [1] * (length - len(out)) + out
        b = [1] * (length - len(shape)) + list(shape)
        if _builtins.any(x != y and x != 1 and y != 1 for x, y in zip(a, b, strict=True)):
            raise ValueError(
                f"[broadcast_shapes] expected shapes that fit together, got {list(shapes)}"
            )
        out = [y if x == 1 else x for x, y in zip(a, b, strict=True)]
    return tuple(out)


def result_type(*arrays_and_dtypes: _core.array | _core.Dtype) -> _core.Dtype:
    """The dtype that holds the elements of all arguments.

    Args:
        arrays_and_dtypes: Arrays and Dtypes, at least one.

    Returns:
        Their promoted Dtype.

    Raises:
        ValueError: for another kind of argument, or none.

    Example:
        >>> result_type(int32, float16)
        plimsoll.core.float16
    """
    dtypes = [
        a.dtype if isinstance(a, _core.array) else a
        for a in arrays_and_dtypes
        if isinstance(a, _core.array | _core.Dtype)
    ]
    if len(dtypes) != len(arrays_and_dtypes) or not dtypes:
        raise ValueError("[result_type] Inputs must be arrays or dtypes.")
    out = dtypes[0]
    for dtype in dtypes[1:]:
        out = _core._promote_types(out, dtype)
    return out


def synchronize(stream: object = None) -> None:
    """Waits until the work that was submitted to the stream is done.

    Args:
        stream: A Stream, a device, or None for the default stream.
    """
    _core._synchronize(stream)


def device_info(d: object = None) -> dict[str, str | int]:
    """What is known of a device.

    Args:
        d: A Device or DeviceType. Default: the default device.

    Returns:
        Its architecture, name and bytes of memory.
    """
    import os
    import platform

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "architecture": platform.machine(),
        "device_name": platform.processor() or platform.machine(),
        "memory_size": memory,
    }


_hints.guard_arrays(_core.array)
_hints.guard(random, "plimsoll.core.random", _hints.RANDOM)  # noqa: F405
for _kernel in (cuda_kernel, metal_kernel, precompiled_cuda_kernel):
    setattr(_core.fast, _kernel.__name__, _kernel)
for _name in ("cuda", "distributed", "fast", "fft", "linalg", "metal", "random"):
    if _name in globals():
        _sys.modules[f"{__name__}.{_name}"] = globals()[_name]
