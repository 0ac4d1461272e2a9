"""How arrays are printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from plimsoll import _core


class PrintOptions:
    """How arrays are printed.

    Attributes:
        precision: Digits behind the point; -1: six significant digits.
    """

    def __init__(self, precision: int = -1) -> None:
        self.precision = precision


def get_printoptions() -> PrintOptions:
    """How arrays are printed now.

    Example:
        >>> get_printoptions().precision
        -1
    """
    return PrintOptions(_core._print_precision())


def set_printoptions(precision: int = -1) -> None:
    """Sets how arrays are printed, in every thread.

    Args:
        precision: Digits behind the point; -1: six significant digits.

    Raises:
        TypeError: where it is no integer.
    """
    if not isinstance(precision, int):
        raise TypeError(f"set_printoptions(): expected an int, got {type(precision).__name__}")
    _core._set_print_precision(precision)


@contextmanager
def printoptions(precision: int = -1) -> Iterator[PrintOptions]:
    """Sets how arrays are printed until the end of a block.

    Args:
        precision: Digits behind the point; -1: six significant digits.

    Example:
        >>> with mx.printoptions(precision=2):
        ...     print(mx.array([1.2345, 2.0]))
        array([1.23, 2.00], dtype=float32)
    """
    before = _core._print_precision()
    set_printoptions(precision)
    try:
        yield get_printoptions()
    finally:
        _core._set_print_precision(before)
