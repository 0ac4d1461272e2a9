"""Gradients with respect to a model's parameters, and what trains with less memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module
from plimsoll.nn.layers.distributed import alone


def value_and_grad(model: Module, fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns the value of ``fn`` and its gradients by the model's parameters.

    Args:
        model: The model; its trainable parameters are differentiated by.
        fn: Returns a scalar array, or a tuple whose first item is one.

    Returns:
        A function of fn's arguments that returns (value, tree of gradients).

    Raises:
        TypeError: for anything but a Module and a function.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> step = nn.value_and_grad(model, lambda x: model(x).sum())
        >>> loss, grads = step(mx.ones((3, 2)))
        >>> grads["bias"].tolist()
        [3.0]
    """
    if not isinstance(model, Module) or not callable(fn):
        raise TypeError(
            "[value_and_grad] expected a Module and a function, got "
            f"{type(model).__name__} and {type(fn).__name__}"
        )

    def inner(parameters: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        model.update(parameters)
        return fn(*args, **kwargs)

    value_grad = mx.value_and_grad(inner)

    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        parameters = model.trainable_parameters()
        try:
            value, grad = value_grad(parameters, args, kwargs)
        finally:
            model.update(parameters)  # the traced arrays do not outlive the trace
        return value, grad

    return wrapped


def checkpoint(module: Module, fn: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A function whose inner values are computed again for its gradient instead of being kept.

    Args:
        module: Its trainable parameters get gradients, besides the arguments.
        fn: The function. Default: the module.

    Returns:
        A function of the same arguments and results.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> run = nn.utils.checkpoint(layer)
        >>> run(mx.ones((3, 2))).shape
        (3, 1)
    """
    call = module if fn is None else fn

    def inner(parameters: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        before = module.trainable_parameters()
        module.update(parameters)
        try:
            return call(*args, **kwargs)
        finally:
            module.update(before)  # the traced arrays do not outlive the trace

    again = mx.checkpoint(inner)

    @functools.wraps(call, assigned=("__name__", "__qualname__", "__doc__"), updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return again(module.trainable_parameters(), *args, **kwargs)

    return wrapped


def average_gradients(
    gradients: Any,
    group: Any = None,
    all_reduce_size: int = 32 * 1024**2,
    communication_stream: Any = None,
) -> Any:
    """Gradients averaged over the processes of a group. There is one process here.

    Args:
        gradients: A tree of arrays.
        group: None, or a group of one process.
        all_reduce_size: Bytes that are sent together; accepted.
        communication_stream: The stream of what is sent; accepted.

    Returns:
        The gradients.

    Raises:
        ValueError: for a group of more processes.
    """
    alone(group, "average_gradients")
    return gradients
