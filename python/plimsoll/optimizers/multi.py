"""MultiOptimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import plimsoll.core as mx
from plimsoll.optimizers.optimizers import Optimizer
from plimsoll.utils import tree_flatten, tree_merge, tree_unflatten

Filter = Callable[[str, mx.array], bool]


class MultiOptimizer(Optimizer):
    """Several optimizers, each for the parameters that its filter takes.

    Args:
        optimizers: The optimizers; the last one takes what no filter took.
        filters: A function of a parameter's path and its gradient for each optimizer but the last.

    Raises:
        ValueError: where the number of filters does not fit.

    Example:
        >>> matrices = optim.Muon(0.02)
        >>> others = optim.AdamW(1e-3)
        >>> both = optim.MultiOptimizer([matrices, others], [lambda path, w: w.ndim == 2])
        >>> gradients = {"w": mx.ones((2, 2)), "b": mx.ones(2)}
        >>> sorted(both.apply_gradients(gradients, gradients))
        ['b', 'w']
    """

    def __init__(self, optimizers: Sequence[Optimizer], filters: Sequence[Filter] = ()) -> None:
        super().__init__()
        self._state = {}
        if len(filters) != len(optimizers) - 1:
            raise ValueError(f"Given {len(filters)} filters but {len(optimizers) - 1} needed.")
        self.optimizers = list(optimizers)
        self.filters: list[Filter] = [*filters, lambda _path, _gradient: True]

    def _split(self, tree: Any) -> list[Any]:
        parts: list[list[tuple[str, Any]]] = [[] for _ in self.optimizers]
        for path, leaf in tree_flatten(tree):
            chosen = next(i for i, takes in enumerate(self.filters) if takes(path, leaf))
            parts[chosen].append((path, leaf))
        return [tree_unflatten(part) if part else {} for part in parts]

    def init(self, parameters: dict[str, Any]) -> None:
        """Makes the state of parameters that have none, in the optimizer that each belongs to.

        Args:
            parameters: A tree of parameters.
        """
        for optimizer, part in zip(self.optimizers, self._split(parameters), strict=True):
            optimizer.init(part)
        self._initialized = True

    def apply_gradients(self, gradients: dict[str, Any], parameters: dict[str, Any]) -> Any:
        """The parameters after one step of each optimizer.

        Args:
            gradients: A tree of gradients.
            parameters: A tree that has at least the gradients' nodes.

        Returns:
            A tree of the gradients' structure.
        """
        tree: Any = {}
        for optimizer, part in zip(self.optimizers, self._split(gradients), strict=True):
            # One with nothing to do counts the step too.
            updated = optimizer.apply_gradients(part, parameters)
            tree = tree_merge(tree, updated) if part else tree
        return tree

    @property
    def state(self) -> dict[str, Any]:
        """The states of the optimizers, in their order."""
        return {"states": [optimizer.state for optimizer in self.optimizers]}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        states = state.get("states")
        if states is None or len(states) != len(self.optimizers):
            raise ValueError("Invalid state provided")
        for optimizer, part in zip(self.optimizers, states, strict=True):
            optimizer.state = part

    @property
    def learning_rate(self) -> mx.array:
        """The first optimizer's learning rate."""
        return self.optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: float | mx.array) -> None:
        for optimizer in self.optimizers:
            optimizer.learning_rate = learning_rate
