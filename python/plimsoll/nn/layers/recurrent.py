"""Recurrent layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module


def _uniform(hidden_size: int, *shape: int) -> mx.array:
    bound = 1.0 / math.sqrt(hidden_size)
    return mx.random.uniform(-bound, bound, shape)


class RNN(Module):
    """h = tanh(Wxh x + Whh h + bias) over a sequence (Elman 1990).

    Args:
        input_size: Features of the input.
        hidden_size: Features of the hidden state.
        bias: Whether there is a bias.
        nonlinearity: A function in place of tanh.

    Raises:
        ValueError: where ``nonlinearity`` cannot be called.

    Example:
        >>> nn.RNN(3, 4)(mx.ones((2, 5, 3))).shape
        (2, 5, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Callable[[mx.array], mx.array] | None = None,
    ) -> None:
        super().__init__()
        self.nonlinearity = nonlinearity or mx.tanh
        if not callable(self.nonlinearity):
            raise ValueError(f"Nonlinearity must be callable. Current value: {self.nonlinearity}.")
        self.hidden_size = hidden_size
        self.Wxh = _uniform(hidden_size, hidden_size, input_size)
        self.Whh = _uniform(hidden_size, hidden_size, hidden_size)
        self.bias = _uniform(hidden_size, hidden_size) if bias else None

    def _extra_repr(self) -> str:
        return (
            f"input_dims={self.Wxh.shape[1]}, hidden_size={self.hidden_size}, "
            f"nonlinearity={self.nonlinearity}, bias={self.bias is not None}"
        )

    def __call__(self, x: mx.array, hidden: mx.array | None = None) -> mx.array:
        """The hidden states after each element of a sequence.

        Args:
            x: An array of (batch, length, input_size) or (length, input_size).
            hidden: The state before, of (batch, hidden_size) or (hidden_size,). Default: zeros.

        Returns:
            An array of (batch, length, hidden_size) or (length, hidden_size).
        """
        x = x @ self.Wxh.T
        if self.bias is not None:
            x = x + self.bias
        states = []
        for t in range(x.shape[-2]):
            now = x[..., t, :]
            hidden = self.nonlinearity(now if hidden is None else now + hidden @ self.Whh.T)
            states.append(hidden)
        return mx.stack(states, axis=-2)


class GRU(Module):
    """A gated recurrent unit over a sequence (Cho et al. 2014).

    r = sigmoid(Wxr x + Whr h + br), z = sigmoid(Wxz x + Whz h + bz),
    n = tanh(Wxn x + bn + r * (Whn h + bhn)), h = (1 - z) * n + z * h. Wx, Wh and b hold the rows
    of r, z and n in this order.

    Args:
        input_size: Features of the input.
        hidden_size: Features of the hidden state.
        bias: Whether there are biases.

    Example:
        >>> nn.GRU(3, 4)(mx.ones((2, 5, 3))).shape
        (2, 5, 4)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.Wx = _uniform(hidden_size, 3 * hidden_size, input_size)
        self.Wh = _uniform(hidden_size, 3 * hidden_size, hidden_size)
        self.b = _uniform(hidden_size, 3 * hidden_size) if bias else None
        self.bhn = _uniform(hidden_size, hidden_size) if bias else None

    def _extra_repr(self) -> str:
        return (
            f"input_dims={self.Wx.shape[1]}, hidden_size={self.hidden_size}, "
            f"bias={self.b is not None}"
        )

    def __call__(self, x: mx.array, hidden: mx.array | None = None) -> mx.array:
        """The hidden states after each element of a sequence.

        Args:
            x: An array of (batch, length, input_size) or (length, input_size).
            hidden: The state before, of (batch, hidden_size) or (hidden_size,). Default: zeros.

        Returns:
            An array of (batch, length, hidden_size) or (length, hidden_size).
        """
        x = x @ self.Wx.T
        if self.b is not None:
            x = x + self.b
        gates, size = 2 * self.hidden_size, self.hidden_size
        states = []
        for t in range(x.shape[-2]):
            now, new = x[..., t, :gates], x[..., t, gates:]
            own = self.bhn
            if hidden is not None:
                past = hidden @ self.Wh.T
                now = now + past[..., :gates]
                own = past[..., gates:] if own is None else past[..., gates:] + own
            now = mx.sigmoid(now)
            r, z = now[..., :size], now[..., size:]
            n = mx.tanh(new if own is None else new + r * own)
            hidden = (1 - z) * n if hidden is None else (1 - z) * n + z * hidden
            states.append(hidden)
        return mx.stack(states, axis=-2)


class LSTM(Module):
    """Long short-term memory over a sequence (Hochreiter and Schmidhuber 1997).

    i, f, o = sigmoid(Wx x + Wh h + bias), g = tanh(Wx x + Wh h + bias), c = f * c + i * g,
    h = o * tanh(c). Wx, Wh and bias hold the rows of i, f, g and o in this order.

    Args:
        input_size: Features of the input.
        hidden_size: Features of the hidden state and of the cell.
        bias: Whether there is a bias.

    Example:
        >>> hidden, cell = nn.LSTM(3, 4)(mx.ones((2, 5, 3)))
        >>> hidden.shape, cell.shape
        ((2, 5, 4), (2, 5, 4))
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.Wx = _uniform(hidden_size, 4 * hidden_size, input_size)
        self.Wh = _uniform(hidden_size, 4 * hidden_size, hidden_size)
        self.bias = _uniform(hidden_size, 4 * hidden_size) if bias else None

    def _extra_repr(self) -> str:
        return (
            f"input_dims={self.Wx.shape[1]}, hidden_size={self.hidden_size}, "
            f"bias={self.bias is not None}"
        )

    def __call__(
        self, x: mx.array, hidden: mx.array | None = None, cell: mx.array | None = None
    ) -> tuple[mx.array, mx.array]:
        """The hidden states and cells after each element of a sequence.

        Args:
            x: An array of (batch, length, input_size) or (length, input_size).
            hidden: The state before, of (batch, hidden_size) or (hidden_size,). Default: zeros.
            cell: The cell before, of the same shape. Default: zeros.

        Returns:
            Two arrays of (batch, length, hidden_size) or (length, hidden_size).
        """
        x = x @ self.Wx.T
        if self.bias is not None:
            x = x + self.bias
        states, cells = [], []
        for t in range(x.shape[-2]):
            now = x[..., t, :]
            if hidden is not None:
                now = now + hidden @ self.Wh.T
            i, f, g, o = mx.split(now, 4, axis=-1)
            new = mx.sigmoid(i) * mx.tanh(g)
            cell = new if cell is None else mx.sigmoid(f) * cell + new
            hidden = mx.sigmoid(o) * mx.tanh(cell)
            states.append(hidden)
            cells.append(cell)
        return mx.stack(states, axis=-2), mx.stack(cells, axis=-2)
