"""Sequential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plimsoll.nn.layers.base import Module


class Sequential(Module):
    """Layers that are called one after the other.

    Args:
        modules: Modules or functions of one array.

    Raises:
        TypeError: where one cannot be called.

    Example:
        >>> nn.Sequential(nn.Linear(4, 8), nn.relu, nn.Linear(8, 2))(mx.ones((1, 4))).shape
        (1, 2)
    """

    def __init__(self, *modules: Callable[[Any], Any]) -> None:
        super().__init__()
        for layer in modules:
            if not callable(layer):
                raise TypeError(
                    f"[Sequential] expected modules or functions, got {type(layer).__name__}; "
                    "write nn.Sequential(*layers) for a list"
                )
        self.layers = list(modules)

    def __call__(self, x: Any) -> Any:
        """Passes ``x`` through all layers."""
        for layer in self.layers:
            x = layer(x)
        return x
