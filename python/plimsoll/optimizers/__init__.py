"""Optimizers and learning-rate schedules."""

import sys as _sys

from plimsoll import _hints
from plimsoll.optimizers.adaptive import AdaDelta, Adagrad, Adamax, Lion, RMSprop
from plimsoll.optimizers.matrix import Adafactor, Muon
from plimsoll.optimizers.multi import MultiOptimizer
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
    "AdaDelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "MultiOptimizer",
    "Muon",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm",
    "cosine_decay",
    "exponential_decay",
    "join_schedules",
    "linear_schedule",
    "step_decay",
]

_hints.guard(_sys.modules[__name__], __name__, _hints.OPTIMIZERS)
