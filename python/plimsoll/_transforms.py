"""Function transforms: thin wrappers that keep a function's name, over the engine's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from plimsoll import _core
from plimsoll._core import array

F = TypeVar("F", bound=Callable[..., Any])


def eval(*args: Any) -> None:
    """Computes all arrays in the arguments and waits for them.

    Args:
        args: Arrays, or trees (dicts, lists, tuples) of them; other leaves are passed over.

    Raises:
        MemoryLimitError: where no plan fits under a strict memory limit.
        KeyboardInterrupt: on Ctrl-C; every array stays valid.

    Example:
        >>> x = mx.array([1.0, 2.0]) * 2
        >>> mx.eval(x)
    """
    _core._eval(args)


def async_eval(*args: Any) -> None:
    """Starts computing all arrays in the arguments; the next use of one waits for it.

    Args:
        args: Arrays, or trees of them.
    """
    _core._async_eval(args)


def _indices(argnums: int | Sequence[int] | None, argnames: Sequence[str]) -> tuple[int, ...]:
    if argnums is None:
        return () if argnames else (0,)
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for number in numbers:
        if number < 0:
            raise ValueError(
                f"[grad] Can't compute the gradient of negative argument index {number}"
            )
        if numbers.count(number) > 1:
            raise ValueError(f"[grad] Duplicate argument index {number} is not allowed.")
    return numbers


def _check(fun: object, name: str) -> None:
    if not callable(fun):
        raise TypeError(f"{name}(): expected fun: Callable, got {type(fun).__name__}")


def _named_like(wrapper: Callable[..., Any], fun: Callable[..., Any]) -> Callable[..., Any]:
    return functools.update_wrapper(wrapper, fun, assigned=("__name__", "__qualname__", "__doc__"))


def _differentiate(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] | None,
    argnames: str | Sequence[str],
    scalar_only: bool,
) -> Callable[..., tuple[Any, Any]]:
    names = (argnames,) if isinstance(argnames, str) else tuple(argnames)
    numbers = _indices(argnums, names)
    if not numbers and not names:
        raise ValueError("[grad] Gradient wrt no argument requested")

    def run(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        value, positional, named = _core._value_and_grad(
            fun, numbers, names, args, kwargs, scalar_only
        )
        first = None
        if numbers:
            first = positional[0] if len(numbers) == 1 else tuple(positional)
        return value, (first, named) if names else first

    return run


def value_and_grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] | None = None,
    argnames: str | Sequence[str] = (),
) -> Callable[..., Any]:
    """A function that returns the value of ``fun`` and its gradients.

    Args:
        fun: Returns a scalar array, or a tuple whose first item is one and whose others are kept.
        argnums: Positions of the arguments to differentiate by. Default: 0 unless argnames are
            given.
        argnames: Names of keyword arguments to differentiate by.

    Returns:
        A function of the same arguments. It returns (value, gradients); the gradients have the
        structure of the argument, are a tuple for several argnums, and a pair of those and a dict
        of the named ones where argnames are given.

    Raises:
        ValueError: where the value is no scalar array, or an argument has leaves that are no
            arrays.

    Example:
        >>> value, slope = mx.value_and_grad(lambda x: x * x)(mx.array(3.0))
        >>> value.item(), slope.item()
        (9.0, 6.0)
    """
    _check(fun, "value_and_grad")
    return _named_like(_differentiate(fun, argnums, argnames, False), fun)


def grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] | None = None,
    argnames: str | Sequence[str] = (),
) -> Callable[..., Any]:
    """A function that returns the gradients of ``fun``.

    Args:
        fun: Returns a scalar array.
        argnums: Positions of the arguments to differentiate by. Default: 0 unless argnames are
            given.
        argnames: Names of keyword arguments to differentiate by.

    Returns:
        A function of the same arguments; see value_and_grad for what it returns.

    Raises:
        ValueError: where ``fun`` returns anything but a scalar array.

    Example:
        >>> mx.grad(lambda x: x * x)(mx.array(3.0)).item()
        6.0
    """
    _check(fun, "grad")
    both = _differentiate(fun, argnums, argnames, True)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return _named_like(gradient, fun)


def vjp(
    fun: Callable[..., Any], primals: Sequence[array], cotangents: Sequence[array]
) -> tuple[list[array], list[array]]:
    """Outputs of a function and the product of cotangents with its Jacobian.

    Args:
        fun: A function of arrays that returns an array or several.
        primals: Where it is evaluated.
        cotangents: One for each output, of its shape.

    Returns:
        The outputs, and one array for each primal.

    Example:
        >>> _, (g,) = mx.vjp(mx.sin, [mx.array(0.0)], [mx.array(1.0)])
        >>> g.item()
        1.0
    """
    return _core._vjp(fun, list(primals), list(cotangents))


def jvp(
    fun: Callable[..., Any], primals: Sequence[array], tangents: Sequence[array]
) -> tuple[list[array], list[array]]:
    """Outputs of a function and the product of its Jacobian with tangents.

    Args:
        fun: A function of arrays that returns an array or several.
        primals: Where it is evaluated.
        tangents: One for each primal, of its shape.

    Returns:
        The outputs, and one tangent for each of them.

    Example:
        >>> _, (t,) = mx.jvp(mx.sin, [mx.array(0.0)], [mx.array(2.0)])
        >>> t.item()
        2.0
    """
    return _core._jvp(fun, list(primals), list(tangents))


def vmap(fun: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """A function that applies ``fun`` along an axis of its arguments.

    Args:
        fun: A function of arrays and trees of them.
        in_axes: The mapped axis of the arguments: an int or None (not mapped) for all, or a tuple
            with an entry for each argument, in which trees may stand for trees.
        out_axes: The mapped axis of the outputs, likewise.

    Returns:
        The mapped function.

    Example:
        >>> mx.vmap(lambda a, b: (a * b).sum())(mx.ones((3, 2)), mx.ones((3, 2))).tolist()
        [2.0, 2.0, 2.0]
    """
    _check(fun, "vmap")

    def mapped(*args: Any) -> Any:
        return _core._vmap(fun, args, in_axes, out_axes)

    return _named_like(mapped, fun)


def checkpoint(fun: F) -> F:
    """A function whose inner values are computed again for its gradient instead of being kept.

    Args:
        fun: A function of arrays and trees of them.

    Returns:
        A function of the same arguments and results.

    Example:
        >>> mx.grad(mx.checkpoint(lambda x: mx.exp(x).sum()))(mx.array([0.0])).tolist()
        [1.0]
    """
    _check(fun, "checkpoint")

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return _core._checkpoint(fun, args, kwargs)

    return _named_like(wrapped, fun)  # type: ignore[return-value]


def compile(fun: F, inputs: Any = None, outputs: Any = None, shapeless: bool = False) -> F:
    """A function that records its operations once and then replays them without Python.

    It is traced anew where the structure, shapes or dtypes of its arguments change. The results
    have the same bits.

    Args:
        fun: A function of arrays, trees of them, and constants.
        inputs: A list or dict of arrays that the function reads besides its arguments.
        outputs: A list or dict of arrays that the function replaces; each call puts the new values
            in.
        shapeless: Accepted; shapes are always part of what is traced.

    Returns:
        A function of the same arguments and results.

    Example:
        >>> double = mx.compile(lambda x: x + x)
        >>> double(mx.array([1, 2])).tolist()
        [2, 4]
    """
    _check(fun, "compile")
    traces = _core._Compiled()

    def compiled(*args: Any, **kwargs: Any) -> Any:
        return traces(fun, args, kwargs, inputs, outputs)

    return _named_like(compiled, fun)  # type: ignore[return-value]


def disable_compile() -> None:
    """Makes compiled functions run as they are written."""
    _core._set_compile(False)


def enable_compile() -> None:
    """Undoes disable_compile."""
    _core._set_compile(True)
