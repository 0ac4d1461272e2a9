"""Function transforms: thin wrappers that keep a function's name, over the engine's."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
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
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    if not isinstance(numbers, Sequence) or not all(isinstance(n, int) for n in numbers):
        raise TypeError(
            f"[grad] expected positions of arguments as argnums, got {type(argnums).__name__}; "
            "for a model write nn.value_and_grad(model, fun)"
        )
    for number in numbers:
        if number < 0:
            raise ValueError(
                f"[grad] Can't compute the gradient of negative argument index {number}"
            )
        if numbers.count(number) > 1:
            raise ValueError(f"[grad] Duplicate argument index {number} is not allowed.")
    return tuple(numbers)


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
            with an entry for each argument, in which trees may stand for trees. For a single
            argument its tree alone will do.
        out_axes: The mapped axis of the outputs, likewise.

    Returns:
        The mapped function.

    Example:
        >>> mx.vmap(lambda a, b: (a * b).sum())(mx.ones((3, 2)), mx.ones((3, 2))).tolist()
        [2.0, 2.0, 2.0]
    """
    _check(fun, "vmap")

    def mapped(*args: Any) -> Any:
        axes = in_axes
        if len(args) == 1 and not (isinstance(axes, list | tuple) and len(axes) == 1):
            axes = (axes,)
        return _core._vmap(fun, args, axes, out_axes)

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

    It is traced anew where the structure, shapes, dtypes or constants of its arguments change; the
    64 traces that were used last are kept. The results have the same bits. Threads may call it at
    the same time unless it has ``inputs`` or ``outputs``.

    Args:
        fun: A function of arrays and constants (bool, int, float, str, None) in lists, tuples and
            dicts. What else it reads is read when it is traced.
        inputs: A list or dict of arrays that the function reads besides its arguments.
        outputs: A list or dict of arrays that the function replaces; each call puts the new values
            in.
        shapeless: Accepted; shapes are always part of what is traced, so that no result depends on
            the shapes of an earlier call.

    Returns:
        A function of the same arguments and results. It raises ValueError for other arguments.

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


def depends(
    inputs: array | Sequence[array], dependencies: array | Sequence[array]
) -> array | list[array]:
    """The inputs, for readers that are to wait until other arrays have been computed.

    Values do not change. An evaluation in the default order computes the dependencies first.

    Args:
        inputs: An array or several.
        dependencies: An array or several.

    Returns:
        An array, or a list for several inputs.

    Example:
        >>> x, y = mx.array([1.0]), mx.array([2.0])
        >>> mx.depends(x * 2, y).tolist()
        [2.0]
    """
    after = [dependencies] if isinstance(dependencies, array) else list(dependencies)
    if isinstance(inputs, array):
        return _core._depends([inputs], after)[0]
    return _core._depends(list(inputs), after)


def _fill(tree: Any, leaves: Iterator[Any]) -> Any:
    """The tree with its arrays replaced, in the order of _core._arrays_in."""
    if isinstance(tree, array):
        return next(leaves)
    if isinstance(tree, list | tuple):
        items = [_fill(item, leaves) for item in tree]
        if isinstance(tree, list):
            return items
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if isinstance(tree, dict):
        return {key: _fill(value, leaves) for key, value in tree.items()}
    return tree


def _leaves(tree: Any, axes: Any) -> list[int | None]:
    """The axis of each array of a tree, from a prefix of ints and None."""
    if isinstance(tree, array):
        return [axes]
    below = list(tree.values()) if isinstance(tree, dict) else tree
    if not isinstance(below, list | tuple):
        return []
    if axes is None or isinstance(axes, int):
        parts = [axes] * len(below)
    else:
        parts = [axes[key] for key in tree] if isinstance(tree, dict) else list(axes)
    if len(parts) != len(below):
        raise ValueError("[custom_function] expected axes of the structure of the outputs")
    return [axis for item, part in zip(below, parts, strict=True) for axis in _leaves(item, part)]


class custom_function:
    """A function whose gradient, tangents or batching are defined by other functions.

    It is meant as a decorator. A rule that is not given leaves what the function's operations say.
    What the function captures counts as constant once there is a rule.

    Args:
        f: A function of arrays and trees of them. Keyword arguments go to the rules as they are.

    Example:
        >>> @mx.custom_function
        ... def clip(x):
        ...     return mx.minimum(x, 1.0)
        >>> @clip.vjp
        ... def _(primals, cotangents, outputs):
        ...     return cotangents  # straight through
        >>> mx.grad(clip)(mx.array(3.0)).item()
        1.0
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        _check(f, "custom_function")
        functools.update_wrapper(self, f, assigned=("__name__", "__qualname__", "__doc__"))
        self._fun = f
        self._vjp: Callable[..., Any] | None = None
        self._jvp: Callable[..., Any] | None = None
        self._vmap: Callable[..., Any] | None = None

    def vjp(self, f: Callable[..., Any]) -> custom_function:
        """Sets the gradient: f(primals, cotangents, outputs) returns gradients by the primals.

        Args:
            f: Gets the positional arguments (a single one as it is, several as a tuple), and
                cotangents and outputs in the structure of the result; returns gradients in the
                structure of the primals.

        Returns:
            This function.
        """
        self._vjp = f
        return self

    def jvp(self, f: Callable[..., Any]) -> custom_function:
        """Sets the tangents: f(primals, tangents) returns the tangents of the outputs.

        Args:
            f: Gets the positional arguments and, in their structure, tangents or None; returns
                tangents in the structure of the result.

        Returns:
            This function.
        """
        self._jvp = f
        return self

    def vmap(self, f: Callable[..., Any]) -> custom_function:
        """Sets the batching: f(inputs, axes) returns batched outputs and their axes.

        Args:
            f: Gets the positional arguments and, in their structure, the batched axes or None;
                returns the outputs over the batch and a tree of their axes.

        Returns:
            This function.
        """
        self._vmap = f
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function."""
        if not (self._vjp or self._jvp or self._vmap):
            return self._fun(*args, **kwargs)
        # What lives on must hold no array: it would be kept in memory.
        nothing = array(0)
        inputs = _core._arrays_in(args)
        structure = _fill(args, iter([nothing] * len(inputs)))
        shown: list[Any] = []  # the structure of the result

        def filled(leaves: Sequence[Any]) -> Any:
            given = _fill(structure, iter(leaves))
            return given[0] if len(given) == 1 else given

        def plain(arrays: list[array]) -> list[array]:
            result = self._fun(*_fill(structure, iter(arrays)), **kwargs)
            outputs = _core._arrays_in(result)
            shown[:] = [_fill(result, iter([nothing] * len(outputs)))]
            return outputs

        def vjp_rule(p: list[array], c: list[array], o: list[array]) -> list[array]:
            assert self._vjp
            cotangents, outputs = _fill(shown[0], iter(c)), _fill(shown[0], iter(o))
            return _core._arrays_in(self._vjp(filled(p), cotangents, outputs, **kwargs))

        def jvp_rule(p: list[array], t: list[array | None]) -> list[array]:
            assert self._jvp
            return _core._arrays_in(self._jvp(filled(p), filled(t), **kwargs))

        def vmap_rule(p: list[array], axes: list[int | None]) -> tuple[list[array], list[int]]:
            assert self._vmap
            outputs, where = self._vmap(filled(p), filled(axes), **kwargs)
            flat = [-1 if axis is None else axis for axis in _leaves(outputs, where)]
            return _core._arrays_in(outputs), flat

        outputs = _core._custom(
            plain,
            vjp_rule if self._vjp else None,
            jvp_rule if self._jvp else None,
            vmap_rule if self._vmap else None,
            inputs,
        )
        return _fill(shown[0], iter(outputs))


def export_to_dot(file: Any, *args: Any, **kwargs: array) -> None:
    """Writes what leads to the arrays as a graph in Graphviz's language.

    Operations are boxes, arrays are ellipses. What is evaluated already has no operation.

    Args:
        file: A path, or an object with ``write`` for text.
        args: The arrays, or trees of them.
        kwargs: Arrays of the graph with the names to show.

    Example:
        >>> x = mx.array([1.0])
        >>> mx.export_to_dot("graph.dot", mx.sin(x), x=x)
        >>> print(open("graph.dot").read())
        digraph {
        { rank=source; "x"; }
        { 1 [label="sin", shape=rectangle]; }
        "x" -> 1
        { rank=sink; "A"; }
        1 -> "A"
        }
    """
    roots = _core._arrays_in(args)
    steps = _core._graph(roots)
    names = {_core._id(a): name for name, a in kwargs.items()}
    letters = _letters(set(names.values()))
    last = {_core._id(a) for a in roots}
    lines = ["digraph {"]
    for number, (node, operation, inputs) in enumerate(steps):
        name = names.get(node) or names.setdefault(node, next(letters))
        if not operation:
            lines.append(f'{{ rank=source; "{name}"; }}')
            continue
        lines.append(f'{{ {number} [label="{operation}", shape=rectangle]; }}')
        lines += [f'"{names[i]}" -> {number}' for i in inputs]
        lines.append(f'{{ rank=sink; "{name}"; }}' if node in last else f'{{ "{name}"; }}')
        lines.append(f'{number} -> "{name}"')
    text = "\n".join([*lines, "}"]) + "\n"
    if hasattr(file, "write"):
        file.write(text)
    else:
        with open(os.fspath(file), "w", encoding="utf-8") as out:
            out.write(text)


def _letters(taken: set[str]) -> Iterator[str]:
    """A, B, …, Z, AA, AB, … but those that are taken."""
    number = 0
    while True:
        number += 1
        n, name = number, ""
        while n > 0:
            n, digit = divmod(n - 1, 26)
            name = chr(ord("A") + digit) + name
        if name not in taken:
            yield name
