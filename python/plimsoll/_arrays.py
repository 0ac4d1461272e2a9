"""What counts as an array, and how it becomes one."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from plimsoll import _core


@runtime_checkable
class ArrayLike(Protocol):
    """An object that gives an array when asked: functions take it where they take arrays."""

    def __mlx_array__(self) -> _core.array:
        """The array."""
        ...


def asarray(a: Any, dtype: _core.Dtype | None = None, *, copy: bool | None = None) -> _core.array:
    """The values as an array.

    Args:
        a: A number, an array, a nested sequence, or an object with a buffer.
        dtype: The Dtype of the result; None keeps that of ``a``.
        copy: True copies always, False raises where a copy would be needed, None copies where it
            is. Buffers of other libraries are always copied.

    Raises:
        ValueError: where ``copy`` is False and a copy is needed.

    Example:
        >>> asarray([1, 2])
        array([1, 2], dtype=int32)
    """
    if isinstance(a, _core.array) and dtype in (None, a.dtype):
        return _core._array_from_bytes(bytes(a), a.shape, a.dtype) if copy else a
    if copy is False:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    return _core.array(a, dtype) if dtype is not None else _core.array(a)
