"""Schedules: functions of the step, for learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable

import plimsoll.core as mx

ScheduleFn = Callable[[mx.array | int], mx.array | float]


def exponential_decay(init: float, decay_rate: float) -> ScheduleFn:
    """init * decay_rate ** step.

    Args:
        init: The first value.
        decay_rate: The factor of each step.

    Returns:
        A function of the step.

    Example:
        >>> round(optim.exponential_decay(0.1, 0.9)(3), 4)
        0.0729
    """
    return lambda step: init * decay_rate**step


def step_decay(init: float, decay_rate: float, step_size: int) -> ScheduleFn:
    """init * decay_rate ** (step // step_size).

    Args:
        init: The first value.
        decay_rate: The factor.
        step_size: Steps between two factors.

    Returns:
        A function of the step.
    """
    return lambda step: init * decay_rate ** (step // step_size)


def cosine_decay(init: float, decay_steps: int, end: float = 0.0) -> ScheduleFn:
    """Half a cosine from ``init`` to ``end`` (Loshchilov and Hutter 2017).

    Args:
        init: The first value.
        decay_steps: Steps of the decay.
        end: The value from then on.

    Returns:
        A function of the step.

    Example:
        >>> round(optim.cosine_decay(0.1, 10)(mx.array(5)).item(), 4)
        0.05
    """

    def schedule(step: mx.array | int) -> mx.array:
        s = mx.minimum(step, decay_steps)
        decay = 0.5 * (1.0 + mx.cos((math.pi / decay_steps) * s))
        return end + decay * (init - end)

    return schedule


def linear_schedule(init: float, end: float, steps: int) -> ScheduleFn:
    """A line from ``init`` to ``end``.

    Args:
        init: The first value.
        end: The value from ``steps`` on.
        steps: Steps of the line.

    Returns:
        A function of the step.

    Raises:
        ValueError: where there are no steps.

    Example:
        >>> optim.linear_schedule(0.0, 1.0, 10)(30).item()
        1.0
    """
    if steps < 1:
        raise ValueError(f"steps must be greater than 0, but got {steps}.")

    def schedule(step: mx.array | int) -> mx.array:
        s = mx.minimum(step, steps)
        return s * ((end - init) / steps) + init

    return schedule


def join_schedules(schedules: list[ScheduleFn], boundaries: list[int]) -> ScheduleFn:
    """Schedules one after the other; each counts its steps from its own start.

    Args:
        schedules: The schedules, at least one.
        boundaries: The steps at which the next one begins.

    Returns:
        A function of the step.

    Raises:
        ValueError: where the number of boundaries does not fit.
    """
    if not schedules:
        raise ValueError("Must provide at least 1 schedule to join.")
    if len(schedules) != len(boundaries) + 1:
        raise ValueError(
            f"Received {len(boundaries)} boundaries but expected {len(schedules) - 1}."
        )

    def schedule(step: mx.array | int) -> mx.array:
        output = mx.array(schedules[0](step))
        for boundary, follow in zip(boundaries, schedules[1:], strict=True):
            # Unsigned steps would wrap below the boundary, where the result is not used.
            output = mx.where(step < boundary, output, follow(step - boundary))
        return output

    return schedule
