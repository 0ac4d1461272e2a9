"""Optimizers and learning-rate schedules."""

from plimsoll.optimizers.optimizers import SGD, Adam, AdamW, Optimizer, clip_grad_norm
from plimsoll.optimizers.schedulers import (
    cosine_decay,
    exponential_decay,
    join_schedules,
    linear_schedule,
    step_decay,
)

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "clip_grad_norm",
    "cosine_decay",
    "exponential_decay",
    "join_schedules",
    "linear_schedule",
    "step_decay",
]
