"""Neural networks: modules, layers, losses."""

import sys as _sys

from plimsoll import _hints
from plimsoll.nn import init, layers, losses, utils
from plimsoll.nn.layers import *  # noqa: F403
from plimsoll.nn.layers import (
    __all__ as _layers,
)
from plimsoll.nn.layers import (
    activations,
    base,
    containers,
    convolution,
    distributed,
    dropout,
    embedding,
    linear,
    normalization,
    pooling,
    positional_encoding,
    quantized,
    recurrent,
    transformer,
    upsample,
)
from plimsoll.nn.utils import average_gradients, value_and_grad

__all__ = [
    "activations",
    "average_gradients",
    "base",
    "containers",
    "convolution",
    "distributed",
    "dropout",
    "embedding",
    "init",
    "layers",
    "linear",
    "losses",
    "normalization",
    "pooling",
    "positional_encoding",
    "quantized",
    "recurrent",
    "transformer",
    "upsample",
    "utils",
    "value_and_grad",
    *_layers,
]

_hints.guard(_sys.modules[__name__], __name__, _hints.NN)
