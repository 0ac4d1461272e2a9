"""Functions in files: traced once, called without the code that they were written in."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

from plimsoll import _core
from plimsoll._core import array
from plimsoll._io import _translated

_Arguments = tuple[list[array], list[tuple[str, array]]]


def _arguments(op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Arguments:
    """Arrays by position and by ascending keyword, which may come in a tuple and a dict, too."""
    if args and not kwargs and not isinstance(args[0], array):
        args, kwargs = _unpacked(args)
    arrays = [*args, *kwargs.values()]
    if not all(isinstance(a, array) for a in arrays) or not all(isinstance(k, str) for k in kwargs):
        raise ValueError(
            f"[{op}] expected arrays by position and keyword, or a single tuple or list and a "
            f"single dict of arrays, got {', '.join(type(a).__name__ for a in arrays) or 'none'}"
        )
    return list(args), sorted(kwargs.items())


def _unpacked(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if len(args) == 1 and isinstance(args[0], dict):
        return (), args[0]
    if len(args) <= 2 and isinstance(args[0], list | tuple):
        if len(args) == 1:
            return tuple(args[0]), {}
        if isinstance(args[1], dict):
            return tuple(args[0]), args[1]
    return args, {}


class FunctionExporter:
    """Writes traces of a function to a file; ``exporter`` makes one.

    Call it with arrays to add a trace for their shapes and dtypes. The file is written by
    ``close``, or at the end of a ``with`` block that raised nothing.
    """

    _fun: Callable[..., Any]
    _core: _core._FunctionExporter
    _closed: bool

    def __init__(self) -> None:
        raise TypeError("FunctionExporter: use exporter(file, fun) to make one")

    @classmethod
    def _make(
        cls, file: object, fun: Callable[..., Any], shapeless: bool, metadata: str | None
    ) -> FunctionExporter:
        if not isinstance(file, str | os.PathLike):
            raise TypeError(
                f"[export_function] expected the name of a file, got {type(file).__name__}"
            )
        if not callable(fun):
            raise TypeError(f"[export_function] expected a function, got {type(fun).__name__}")
        self = object.__new__(cls)
        self._fun = fun
        self._core = _core._FunctionExporter(
            os.fspath(cast("str", file)), shapeless, metadata or ""
        )
        self._closed = False
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Traces the function on arrays like these.

        Args:
            args: Arrays, or a tuple or list of them, then possibly a dict of arrays by keyword.
            kwargs: Arrays by keyword.

        Raises:
            ValueError: where an argument or a result is no array, or an operation cannot be
                written.
            RuntimeError: where there is a trace for such arrays, or the exporter is closed.
        """
        self._core.add(self._fun, *_arguments("export_function", args, kwargs))

    def close(self) -> None:
        """Evaluates what the function captured and writes the file. Closing again does nothing.

        Raises:
            OSError: where the file cannot be written.
        """
        if not self._closed:
            self._closed = True
            with _translated():
                self._core.close()

    def __enter__(self) -> FunctionExporter:
        """Returns the exporter."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the exporter; after an error no file is written."""
        if error is None:
            self.close()


def exporter(
    file: str,
    fun: Callable[..., Any],
    *,
    shapeless: bool = False,
    metadata: str | None = None,
) -> FunctionExporter:
    """An object that writes several traces of a function to one file.

    Args:
        file: The file's name, by custom with the ending .mlxfn. The format is Plimsoll's own.
        fun: A function of arrays that returns an array, or a tuple or list of them.
        shapeless: As in export_function.
        metadata: A text to keep with the function.

    Returns:
        A FunctionExporter: call it with arrays for each trace, in a ``with`` block or before
        ``close``.

    Example:
        >>> with mx.exporter("sum.mlxfn", lambda *args: sum(args)) as export:
        ...     export(mx.array(1))
        ...     export(mx.array(1), mx.array(2))
        >>> mx.import_function("sum.mlxfn")(mx.array(3), mx.array(4))
        (array(7, dtype=int32),)
    """
    return FunctionExporter._make(file, fun, shapeless, metadata)


def export_function(
    file_or_callback: str | Callable[..., Any],
    fun: Callable[..., Any],
    *args: Any,
    shapeless: bool = False,
    metadata: str | None = None,
    **kwargs: Any,
) -> None:
    """Writes what a function does to arrays of given shapes and dtypes to a file.

    The function is called on stand-ins for the arguments, whose values do not matter. Arrays that
    it uses besides are evaluated and written, too.

    Args:
        file_or_callback: The file's name, by custom with the ending .mlxfn. The format is
            Plimsoll's own: MLX does not read it. Callbacks are not supported.
        fun: A function of arrays that returns an array, or a tuple or list of them.
        args: Arrays, or a tuple or list of them, then possibly a dict of arrays by keyword.
        shapeless: Whether other sizes are allowed in later calls. The function is then traced for
            other sizes, too: a dimension on which the operations depend (as reshape to a fixed
            shape, or a product with a captured matrix) stays fixed, and so does one for which the
            function raises ValueError, TypeError, IndexError or AssertionError.
        metadata: A text to keep with the function.
        kwargs: Arrays by keyword.

    Raises:
        ValueError: where an argument or a result is no array, or an operation cannot be written:
            one of a custom_function with rules.
        OSError: where the file cannot be written.

    Example:
        >>> mx.export_function("add.mlxfn", lambda x, y: x + y, mx.array(1.0), y=mx.array(1.0))
        >>> mx.import_function("add.mlxfn")(mx.array(1.0), y=mx.array(2.0))
        (array(3, dtype=float32),)
    """
    one = FunctionExporter._make(file_or_callback, fun, shapeless, metadata)
    one(*args, **kwargs)
    one.close()


def import_function(file: str, return_metadata: bool = False) -> Any:
    """A function from a file of export_function or exporter.

    Arrays that the function captured are read when they are used, and under a memory limit dropped
    and read again: the file must stay as it is. Gradients, vmap and compile go through the function
    as through any other.

    Args:
        file: The file's name.
        return_metadata: Whether the text that was kept with the function is returned, too.

    Returns:
        A function of arrays by position and keyword, or of a tuple or list and a dict of them, that
        returns a tuple of arrays. It raises ValueError where no trace has the shapes, dtypes and
        keywords of the arguments. With ``return_metadata`` a pair of the function and the text.

    Raises:
        ValueError: where the file is not what the format says; also a RuntimeError, as in MLX.
        FileNotFoundError: where there is no such file; also a RuntimeError.
        OSError: where the file cannot be read.

    Example:
        >>> mx.export_function("double.mlxfn", lambda x: x * 2, mx.array([1, 2]))
        >>> mx.import_function("double.mlxfn")(mx.array([3, 4]))[0].tolist()
        [6, 8]
    """
    with _translated():
        imported = _core._ImportedFunction(os.fspath(file))
        try:
            metadata = imported.metadata.decode()
        except UnicodeDecodeError:
            raise ValueError(f"[import_function] expected metadata of UTF-8 in {file}") from None

    def function(*args: Any, **kwargs: Any) -> tuple[array, ...]:
        return tuple(imported(*_arguments("import_function", args, kwargs)))

    return (function, metadata) if return_metadata else function
