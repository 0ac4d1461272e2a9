"""Optimizer, SGD, Adam and AdamW."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import plimsoll.core as mx
from plimsoll import _hints
from plimsoll.nn.layers.base import Module
from plimsoll.utils import tree_map, tree_reduce

Schedule = Callable[[mx.array], mx.array | float]


class Optimizer:
    """What optimizers derive from: it keeps a state for each parameter and updates parameters.

    Args:
        schedulers: Functions of the step, by the name of the state's entry that they set.
    """

    def __init__(self, schedulers: dict[str, Schedule] | None = None) -> None:
        self._initialized = False
        self._state: dict[str, Any] = {"step": mx.array(0, mx.uint64)}
        self._schedulers = dict(schedulers or {})

    def __getattr__(self, name: str) -> Any:
        raise _hints.missing(f"'{type(self).__name__}' object", name, _hints.OPTIMIZER)

    def update(self, model: Module, gradients: dict[str, Any]) -> None:
        """Replaces a model's parameters by updated ones.

        Args:
            model: The model.
            gradients: A tree of gradients, of all or some parameters.
        """
        model.update(self.apply_gradients(gradients, model))

    def init(self, parameters: dict[str, Any]) -> None:
        """Makes the state of parameters that have none; apply_gradients does it by itself.

        Args:
            parameters: A tree of parameters.
        """

        def add(params: Any, state: Any) -> Any:
            if isinstance(params, dict):
                node = state if isinstance(state, dict) else {}
                for key, value in params.items():
                    node[key] = add(value, node.get(key))
                return node
            if isinstance(params, list | tuple):
                old = list(state) if isinstance(state, list | tuple) else []
                old += [None] * (len(params) - len(old))
                return type(params)(add(p, s) for p, s in zip(params, old, strict=True))
            if state is None:
                state = {}
                self.init_single(params, state)
            return state

        add(parameters, self._state)
        self._schedule()
        self._initialized = True

    def _schedule(self) -> None:
        for name, schedule in self._schedulers.items():
            self._state[name] = mx.array(schedule(self.step))

    def init_single(self, parameter: mx.array, state: dict[str, Any]) -> None:
        """Makes the state of one parameter.

        Args:
            parameter: The parameter.
            state: A dict that takes its state.
        """
        raise NotImplementedError

    def apply_gradients(self, gradients: dict[str, Any], parameters: dict[str, Any]) -> Any:
        """The parameters after one step.

        Args:
            gradients: A tree of gradients.
            parameters: A tree that has at least the gradients' nodes.

        Returns:
            A tree of the gradients' structure.
        """
        if not self._initialized:
            self.init(gradients)
        self._schedule()
        self._state["step"] = self.step + 1
        return tree_map(self.apply_single, gradients, parameters, self._state)

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """One parameter after one step.

        Args:
            gradient: Its gradient.
            parameter: The parameter.
            state: Its state, which is changed.

        Returns:
            The new parameter.
        """
        raise NotImplementedError

    @property
    def state(self) -> dict[str, Any]:
        """The step, the learning rate and the state of each parameter, as a tree."""
        return self._state

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._initialized = False
        self._state = state

    @property
    def step(self) -> mx.array:
        """Number of steps that were made."""
        return self._state["step"]  # type: ignore[no-any-return]

    @property
    def learning_rate(self) -> mx.array:
        """The learning rate of the last step."""
        return self._state["learning_rate"]  # type: ignore[no-any-return]

    @learning_rate.setter
    def learning_rate(self, learning_rate: float | mx.array) -> None:
        self._schedulers.pop("learning_rate", None)
        self._state["learning_rate"] = mx.array(learning_rate)

    def _maybe_schedule(self, name: str, value: float | mx.array | Schedule) -> None:
        if callable(value) and not isinstance(value, mx.array):
            self._schedulers[name] = value
            self._state[name] = mx.array(value(self.step))
        elif isinstance(value, dict):
            raise ValueError(
                f"[{type(self).__name__}] expected a number or a schedule as {name}, got a dict; "
                "the model is given to update(model, gradients)"
            )
        else:
            self._state[name] = mx.array(value)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013).

    Args:
        learning_rate: A number, or a function of the step.
        momentum: Share of the last update that is kept.
        weight_decay: L2 penalty, added to the gradient.
        dampening: Share of the gradient that the momentum does not take.
        nesterov: Whether the update looks ahead; needs momentum and no dampening.

    Raises:
        ValueError: for ``nesterov`` without momentum or with dampening.
    """

    def __init__(
        self,
        learning_rate: float | Schedule,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening.")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.dampening = dampening
        self.nesterov = nesterov

    def init_single(self, parameter: mx.array, state: dict[str, Any]) -> None:
        """Starts the velocity at 0."""
        state["v"] = mx.zeros_like(parameter)

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """One step of one parameter."""
        if self.weight_decay != 0:
            gradient = gradient + self.weight_decay * parameter
        rate = self.learning_rate.astype(gradient.dtype)
        if self.momentum <= 0:
            return parameter - rate * gradient
        v: mx.array = self.momentum * state["v"]
        v = v + ((1 - self.dampening) * gradient if self.dampening > 0 else gradient)
        update = gradient + self.momentum * v if self.nesterov else v
        state["v"] = v
        return parameter - rate * update


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015).

    Args:
        learning_rate: A number, or a function of the step.
        betas: Decay of the means of the gradient and of its square.
        eps: Added to the denominator.
        bias_correction: Whether the means are corrected for starting at 0.

    Raises:
        ValueError: where ``eps`` is negative.
    """

    def __init__(
        self,
        learning_rate: float | Schedule,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        bias_correction: bool = False,
    ) -> None:
        if eps < 0:
            raise ValueError(f"Adam epsilon should be >=0, {eps} was provided instead")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.betas = list(betas)
        self.eps = eps
        self.bias_correction = bias_correction

    def init_single(self, parameter: mx.array, state: dict[str, Any]) -> None:
        """Starts both means at 0."""
        state["m"] = mx.zeros_like(parameter)
        state["v"] = mx.zeros_like(parameter)

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """One step of one parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        b1, b2 = self.betas
        m: mx.array = b1 * state["m"] + (1 - b1) * gradient
        v: mx.array = b2 * state["v"] + (1 - b2) * mx.square(gradient)
        state["m"] = m
        state["v"] = v
        if self.bias_correction:
            step = self.step
            first = (rate / (1 - b1**step)).astype(gradient.dtype)
            second = mx.rsqrt(1 - b2**step).astype(gradient.dtype)
            return parameter - first * m / (mx.sqrt(v) * second + self.eps)
        return parameter - rate * m / (mx.sqrt(v) + self.eps)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    Args:
        learning_rate: A number, or a function of the step.
        betas: Decay of the means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: Share of a parameter that a step of rate 1 takes away.
        bias_correction: Whether the means are corrected for starting at 0.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> optimizer = optim.AdamW(1e-3)
        >>> _, grads = nn.value_and_grad(model, lambda x: model(x).sum())(mx.ones((1, 2)))
        >>> optimizer.update(model, grads)
    """

    def __init__(
        self,
        learning_rate: float | Schedule,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        bias_correction: bool = False,
    ) -> None:
        super().__init__(learning_rate, betas, eps, bias_correction)
        self.weight_decay = weight_decay

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """One step of one parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        decayed = parameter * (1 - rate * self.weight_decay)
        return super().apply_single(gradient, decayed, state)


def clip_grad_norm(grads: Any, max_norm: float) -> tuple[Any, mx.array]:
    """Scales gradients down so that their common norm does not pass a bound.

    Args:
        grads: A tree of gradients.
        max_norm: The bound.

    Returns:
        The tree of scaled gradients, and the norm before.

    Example:
        >>> clipped, norm = optim.clip_grad_norm({"a": mx.ones(4)}, 1.0)
        >>> norm.item()
        2.0
    """
    squared = tree_reduce(lambda total, g: total + mx.sum(mx.square(g)), grads, 0.0)
    norm = mx.sqrt(mx.array(squared))
    scale = mx.minimum(max_norm / (norm + 1e-6), 1.0)
    return tree_map(lambda g: g * scale, grads), norm


__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "clip_grad_norm"]
