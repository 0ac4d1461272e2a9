"""What pickles of arrays and dtypes name."""

from __future__ import annotations

from plimsoll import _core


def array_from_bytes(data: bytes, shape: tuple[int, ...], dtype: _core.Dtype) -> _core.array:
    """The array of a shape and dtype with the given row-major bytes."""
    return _core._array_from_bytes(data, shape, dtype)


def dtype(name: str) -> _core.Dtype:
    """The dtype of that name."""
    return _core._dtype(name)
