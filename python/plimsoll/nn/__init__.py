"""Neural networks: modules, layers, losses."""

from plimsoll.nn import init, losses
from plimsoll.nn.layers import *  # noqa: F403
from plimsoll.nn.layers import __all__ as _layers
from plimsoll.nn.utils import value_and_grad

__all__ = ["init", "losses", "value_and_grad", *_layers]
