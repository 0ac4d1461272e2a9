"""Gradients with respect to a model's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module


def value_and_grad(model: Module, fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns the value of ``fn`` and its gradients by the model's parameters.

    Args:
        model: The model; its trainable parameters are differentiated by.
        fn: Returns a scalar array, or a tuple whose first item is one.

    Returns:
        A function of fn's arguments that returns (value, tree of gradients).

    Example:
        >>> model = nn.Linear(2, 1)
        >>> step = nn.value_and_grad(model, lambda x: model(x).sum())
        >>> loss, grads = step(mx.ones((3, 2)))
        >>> grads["bias"].tolist()
        [3.0]
    """

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
