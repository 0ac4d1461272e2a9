"""Adafactor and Muon."""

from __future__ import annotations

import math
from typing import Any

import plimsoll.core as mx
from plimsoll.optimizers.optimizers import Optimizer, Schedule


def _rms(x: mx.array) -> mx.array:
    return mx.sqrt(mx.mean(mx.square(x)))


class Adafactor(Optimizer):
    """Adam whose mean of squares is kept by rows and columns only (Shazeer and Stern 2018).

    The state of an (n, m) parameter has n + m numbers; ``beta_1`` adds n * m.

    Args:
        learning_rate: A number, or a function of the step; used where ``relative_step`` is False.
        eps: Added to the squared gradient, and the least scale of a parameter.
        clip_threshold: Root mean square above which an update is scaled down.
        decay_rate: The squares' mean keeps a share of 1 - step ** decay_rate.
        beta_1: Decay of the mean of updates. Default: there is none.
        weight_decay: Share of a parameter that a step of rate 1 takes away.
        scale_parameter: Whether steps are proportional to the parameter's root mean square.
        relative_step: Whether the rate follows from the step.
        warmup_init: Whether that rate starts small.

    Example:
        >>> parameters = {"w": mx.ones((2, 3))}
        >>> optim.Adafactor().apply_gradients({"w": mx.ones((2, 3))}, parameters)["w"].shape
        (2, 3)
    """

    def __init__(
        self,
        learning_rate: float | Schedule | None = None,
        eps: tuple[float, float] = (1e-30, 1e-3),
        clip_threshold: float = 1.0,
        decay_rate: float = -0.8,
        beta_1: float | None = None,
        weight_decay: float = 0.0,
        scale_parameter: bool = True,
        relative_step: bool = True,
        warmup_init: bool = False,
    ) -> None:
        super().__init__()
        if learning_rate is not None:
            self._maybe_schedule("learning_rate", learning_rate)
        self.eps = eps
        self.clip_threshold = clip_threshold
        self.decay_rate = decay_rate
        self.beta_1 = beta_1
        self.weight_decay = weight_decay
        self.scale_parameter = scale_parameter
        self.relative_step = relative_step
        self.warmup_init = warmup_init

    def init_single(self, parameter: mx.array, state: dict[str, Any]) -> None:
        """Starts all means at 0."""
        shape, dtype = parameter.shape, parameter.dtype
        if parameter.ndim >= 2:
            state["exp_avg_sq_row"] = mx.zeros(shape[:-1], dtype)
            state["exp_avg_sq_col"] = mx.zeros(shape[:-2] + shape[-1:], dtype)
        else:
            state["exp_avg_sq"] = mx.zeros_like(parameter)
        if self.beta_1 is not None:
            state["exp_avg"] = mx.zeros_like(parameter)

    def _rate(self, parameter_rms: mx.array) -> mx.array:
        if self.relative_step:
            least = 1e-6 * self.step if self.warmup_init else 1e-2
            rate = mx.minimum(least, mx.rsqrt(self.step))
        else:
            rate = self.learning_rate
        rate = rate.astype(parameter_rms.dtype)
        return mx.maximum(self.eps[1], parameter_rms) * rate if self.scale_parameter else rate

    def _scaled(self, gradient: mx.array, beta_2: mx.array, state: dict[str, Any]) -> mx.array:
        squares = mx.square(gradient) + self.eps[0]
        if gradient.ndim < 2:
            mean: mx.array = beta_2 * state["exp_avg_sq"] + (1 - beta_2) * squares
            state["exp_avg_sq"] = mean
            return mx.rsqrt(mean) * gradient
        rows: mx.array = beta_2 * state["exp_avg_sq_row"] + (1 - beta_2) * mx.mean(squares, axis=-1)
        cols: mx.array = beta_2 * state["exp_avg_sq_col"] + (1 - beta_2) * mx.mean(squares, axis=-2)
        state["exp_avg_sq_row"] = rows
        state["exp_avg_sq_col"] = cols
        by_row = mx.rsqrt(rows / mx.mean(rows, axis=-1, keepdims=True))
        return by_row[..., None] * mx.rsqrt(cols)[..., None, :] * gradient

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """One step of one parameter."""
        rate = self._rate(_rms(parameter))
        beta_2 = (1.0 - self.step**self.decay_rate).astype(gradient.dtype)
        update = self._scaled(gradient, beta_2, state)
        update = rate * (update / mx.maximum(1.0, _rms(update) / self.clip_threshold))
        if self.beta_1 is not None:
            update = self.beta_1 * state["exp_avg"] + (1 - self.beta_1) * update
            state["exp_avg"] = update
        if self.weight_decay != 0:
            parameter = parameter - rate * self.weight_decay * parameter
        return parameter - update


class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal by Newton-Schulz steps (Jordan et al. 2024).

    It is for the matrices of hidden layers; embeddings, the last layer, and parameters of less
    than 2 axes do better with another optimizer (see MultiOptimizer). Filters of more than 2 axes
    are taken as matrices of the first axis by the others.

    Args:
        learning_rate: A number, or a function of the step.
        momentum: Share of the momentum that a step keeps.
        weight_decay: L2 penalty, added to the gradient.
        nesterov: Whether the update looks ahead.
        ns_steps: Number of Newton-Schulz steps.

    Example:
        >>> parameters = {"w": mx.ones((2, 3))}
        >>> optim.Muon(0.1).apply_gradients({"w": mx.ones((2, 3))}, parameters)["w"].shape
        (2, 3)
    """

    def __init__(
        self,
        learning_rate: float | Schedule,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        nesterov: bool = True,
        ns_steps: int = 5,
    ) -> None:
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self.ns_steps = ns_steps

    def init_single(self, parameter: mx.array, state: dict[str, Any]) -> None:
        """Starts the momentum at 0."""
        state["v"] = mx.zeros_like(parameter)

    def _orthogonal(self, x: mx.array) -> mx.array:
        # The quintic of the authors: it drives singular values to about 1, fastest from 0.
        a, b, c = 3.4445, -4.7750, 2.0315
        tall = x.shape[0] > x.shape[1]
        y = x.T if tall else x
        y = y / (mx.sqrt(mx.sum(mx.square(y))) + 1e-7)
        for _ in range(self.ns_steps):
            gram = y @ y.T
            y = a * y + (b * gram + c * (gram @ gram)) @ y
        return y.T if tall else y

    def apply_single(
        self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]
    ) -> mx.array:
        """One step of one parameter."""
        rate = self.learning_rate.astype(gradient.dtype)
        if self.weight_decay != 0:
            gradient = gradient + self.weight_decay * parameter
        v: mx.array = self.momentum * state["v"] + (1 - self.momentum) * gradient
        state["v"] = v
        update = gradient * (1 - self.momentum) + v * self.momentum if self.nesterov else v
        if update.ndim < 2:
            return parameter - rate * update
        matrix = self._orthogonal(update.reshape(update.shape[0], -1))
        scale = math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))
        return parameter - rate * scale * matrix.reshape(parameter.shape)
