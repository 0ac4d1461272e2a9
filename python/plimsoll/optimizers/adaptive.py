"""Adagrad, AdaDelta, RMSprop, Adamax and Lion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plimsoll.core as mx
from plimsoll.optimizers.optimizers import Adam, Optimizer, Schedule


def _at_least_zero(optimizer: str, name: str, value: float, bound: str) -> None:
    if value < 0:
        raise ValueError(f"{optimizer} {name} should be {bound}, {value} was provided instead")


class RMSprop(Optimizer):
    """Steps divided by the root of a running mean of the squared gradient (Hinton 2012).

    Args:
        learning_rate: A number, or a function of the step.
        alpha: Decay of the mean.
        eps: Added to the denominator.

    Raises:
        ValueError: where ``alpha`` or ``eps`` is negative.

    Example:
        >>> parameters = {"w": mx.ones(2)}
        >>> optim.RMSprop(0.1).apply_gradients({"w": mx.ones(2)}, parameters)["w"].shape
        (2,)
    """

    def __init__(
        self, learning_rate: float | Schedule, alpha: float = 0.99, eps: float = 1e-8
    ) -> None:
        super().__init__()
        _at_least_zero("RMSprop", "alpha", alpha, ">=0")
        _at_least_zero("RMSprop", "epsilon", eps, ">0")
        self._maybe_schedule("learning_rate", learning_rate)
        self.alpha = alpha
        self.eps = eps

    def init_single(self, parameter: mx.array, state: dict[str, Any]) -> None:
        """Starts the mean at 0."""
        state["v"] = mx.zeros_like(parameter)

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """One step of one parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        v: mx.array = self.alpha * state["v"] + (1 - self.alpha) * mx.square(gradient)
        state["v"] = v
        return parameter - rate * gradient / (mx.sqrt(v) + self.eps)


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients (Duchi et al. 2011).

    Args:
        learning_rate: A number, or a function of the step.
        eps: Added to the denominator.

    Raises:
        ValueError: where ``eps`` is negative.

    Example:
        >>> parameters = {"w": mx.ones(2)}
        >>> optim.Adagrad(0.5).apply_gradients({"w": mx.ones(2)}, parameters)["w"].tolist()
        [0.5, 0.5]
    """

    def __init__(self, learning_rate: float | Schedule, eps: float = 1e-8) -> None:
        super().__init__()
        _at_least_zero("Adagrad", "epsilon", eps, ">0")
        self._maybe_schedule("learning_rate", learning_rate)
        self.eps = eps

    def init_single(self, parameter: mx.array, state: dict[str, Any]) -> None:
        """Starts the sum at 0."""
        state["v"] = mx.zeros_like(parameter)

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """One step of one parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        v: mx.array = state["v"] + mx.square(gradient)
        state["v"] = v
        return parameter - rate * gradient / (mx.sqrt(v) + self.eps)


class AdaDelta(Optimizer):
    """Steps of the size that earlier steps had (Zeiler 2012).

    Args:
        learning_rate: A number, or a function of the step.
        rho: Decay of the means of the squared gradient and of the squared step.
        eps: Added to both means below their roots.

    Raises:
        ValueError: where ``rho`` or ``eps`` is negative.

    Example:
        >>> parameters = {"w": mx.ones(2)}
        >>> optim.AdaDelta(1.0).apply_gradients({"w": mx.ones(2)}, parameters)["w"].shape
        (2,)
    """

    def __init__(
        self, learning_rate: float | Schedule, rho: float = 0.9, eps: float = 1e-6
    ) -> None:
        super().__init__()
        _at_least_zero("AdaDelta", "rho", rho, ">=0")
        _at_least_zero("AdaDelta", "epsilon", eps, ">0")
        self._maybe_schedule("learning_rate", learning_rate)
        self.rho = rho
        self.eps = eps

    def init_single(self, parameter: mx.array, state: dict[str, Any]) -> None:
        """Starts both means at 0."""
        state["v"] = mx.zeros_like(parameter)
        state["u"] = mx.zeros_like(parameter)

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """One step of one parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        u: mx.array = state["u"]
        v: mx.array = self.rho * state["v"] + (1 - self.rho) * mx.square(gradient)
        change = mx.sqrt(u + self.eps) / mx.sqrt(v + self.eps) * gradient
        state["v"] = v
        state["u"] = self.rho * u + (1 - self.rho) * mx.square(change)
        return parameter - rate * change


class Adamax(Adam):
    """Adam with the largest gradient in place of the mean of squares (Kingma and Ba 2015).

    Args:
        learning_rate: A number, or a function of the step.
        betas: Decay of the mean of the gradient and of its largest size.
        eps: Added to the denominator.

    Raises:
        ValueError: where ``eps`` is negative.

    Example:
        >>> parameters = {"w": mx.ones(2)}
        >>> optim.Adamax(0.1).apply_gradients({"w": mx.ones(2)}, parameters)["w"].shape
        (2,)
    """

    def __init__(
        self,
        learning_rate: float | Schedule,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(learning_rate, betas, eps)

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """One step of one parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        b1, b2 = self.betas
        m: mx.array = b1 * state["m"] + (1 - b1) * gradient
        v = mx.maximum(b2 * state["v"], mx.abs(gradient))
        state["m"] = m
        state["v"] = v
        return parameter - rate * m / (v + self.eps)


class Lion(Optimizer):
    """Steps of one size in the direction of the momentum's sign (Chen et al. 2023).

    Use a rate 3 to 10 times smaller than AdamW's, and a weight decay as much larger.

    Args:
        learning_rate: A number, or a function of the step.
        betas: Share of the momentum in the direction, and the momentum's decay.
        weight_decay: Share of a parameter that a step of rate 1 takes away.

    Example:
        >>> parameters = {"w": mx.ones(2)}
        >>> optim.Lion(0.5).apply_gradients({"w": mx.ones(2)}, parameters)["w"].tolist()
        [0.5, 0.5]
    """

    def __init__(
        self,
        learning_rate: float | Schedule,
        betas: Sequence[float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.betas = list(betas)
        self.weight_decay = weight_decay

    def init_single(self, parameter: mx.array, state: dict[str, Any]) -> None:
        """Starts the momentum at 0."""
        state["m"] = mx.zeros_like(parameter)

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """One step of one parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        b1, b2 = self.betas
        m: mx.array = state["m"]
        direction = mx.sign(b1 * m + (1 - b1) * gradient)
        state["m"] = b2 * m + (1 - b2) * gradient
        if self.weight_decay > 0:
            parameter = (1 - rate * self.weight_decay) * parameter
        return parameter - rate * direction
