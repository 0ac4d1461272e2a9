"""Activation functions, and layers that apply them."""

from __future__ import annotations

import math
from collections.abc import Callable

import plimsoll.core as mx
from plimsoll.nn.layers.base import Module


def sigmoid(x: mx.array) -> mx.array:
    """1 / (1 + exp(-x))."""
    return mx.sigmoid(x)


def tanh(x: mx.array) -> mx.array:
    """Hyperbolic tangent."""
    return mx.tanh(x)


def relu(x: mx.array) -> mx.array:
    """max(x, 0)."""
    return mx.maximum(x, 0)


def relu6(x: mx.array) -> mx.array:
    """min(max(x, 0), 6)."""
    return mx.minimum(mx.maximum(x, 0), 6.0)


def leaky_relu(x: mx.array, negative_slope: float = 0.01) -> mx.array:
    """x where positive, else ``negative_slope`` times x."""
    return mx.maximum(negative_slope * x, x)


def elu(x: mx.array, alpha: float = 1.0) -> mx.array:
    """x where positive, else alpha * (exp(x) - 1)."""
    return mx.where(x > 0, x, alpha * (mx.exp(x) - 1))


def celu(x: mx.array, alpha: float = 1.0) -> mx.array:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))."""
    return mx.maximum(x, 0.0) + alpha * (mx.exp(mx.minimum(x, 0.0) / alpha) - 1)


def selu(x: mx.array) -> mx.array:
    """1.0507 * elu(x, 1.67326): keeps mean 0 and variance 1 (Klambauer et al. 2017)."""
    return 1.0507 * elu(x, 1.67326)


def relu2(x: mx.array) -> mx.array:
    """max(x, 0) squared."""
    return mx.square(mx.maximum(x, 0))


def hard_tanh(x: mx.array, min_val: float = -1.0, max_val: float = 1.0) -> mx.array:
    """min(max(x, min_val), max_val)."""
    return mx.minimum(mx.maximum(x, min_val), max_val)


def hard_shrink(x: mx.array, lambd: float = 0.5) -> mx.array:
    """x where its size is above ``lambd``, else 0."""
    return mx.where(mx.abs(x) > lambd, x, 0)


def softshrink(x: mx.array, lambd: float = 0.5) -> mx.array:
    """x brought nearer to 0 by ``lambd``; 0 where its size is not above that."""
    return mx.where(mx.abs(x) > lambd, x - mx.sign(x) * lambd, 0)


def softplus(x: mx.array) -> mx.array:
    """log(1 + exp(x)) without overflow."""
    return mx.logaddexp(x, 0)


def softsign(x: mx.array) -> mx.array:
    """x / (1 + abs(x))."""
    return mx.divide(x, 1 + mx.abs(x))


def softmax(x: mx.array, axis: int = -1) -> mx.array:
    """exp(x) divided by its sum along an axis."""
    return mx.softmax(x, axis=axis)


def softmin(x: mx.array, axis: int = -1) -> mx.array:
    """softmax(-x) along an axis."""
    return mx.softmax(-x, axis=axis)


def log_softmax(x: mx.array, axis: int = -1) -> mx.array:
    """Logarithm of softmax without overflow."""
    return x - mx.logsumexp(x, axis=axis, keepdims=True)


def log_sigmoid(x: mx.array) -> mx.array:
    """Logarithm of sigmoid without overflow."""
    return -softplus(-x)


def silu(x: mx.array) -> mx.array:
    """x * sigmoid(x), also called swish."""
    return x * mx.sigmoid(x)


def mish(x: mx.array) -> mx.array:
    """x * tanh(softplus(x))."""
    return x * mx.tanh(softplus(x))


def hardswish(x: mx.array) -> mx.array:
    """x * min(max(x + 3, 0), 6) / 6."""
    return x * relu6(x + 3) / 6


def prelu(x: mx.array, alpha: mx.array) -> mx.array:
    """max(0, x) + alpha * min(0, x)."""
    return mx.maximum(0, x) + alpha * mx.minimum(0, x)


def step(x: mx.array, threshold: float = 0.0) -> mx.array:
    """1 above the threshold, else 0 (int32)."""
    return mx.where(x > threshold, 1, 0)


def glu(x: mx.array, axis: int = -1) -> mx.array:
    """The first half along an axis times sigmoid of the second half."""
    a, b = mx.split(x, 2, axis=axis)
    return a * mx.sigmoid(b)


def gelu(x: mx.array) -> mx.array:
    """x times the normal distribution function of x (Hendrycks and Gimpel 2016), by erf."""
    return x * (1 + mx.erf(x / math.sqrt(2))) / 2


def gelu_approx(x: mx.array) -> mx.array:
    """GELU by tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)); its error is below 0.0005."""
    return 0.5 * x * (1 + mx.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_fast_approx(x: mx.array) -> mx.array:
    """GELU by x * sigmoid(1.702 * x); its error is below 0.015."""
    return x * mx.sigmoid(1.702 * x)


class _Activation(Module):
    """A layer without parameters."""

    _function: Callable[[mx.array], mx.array]

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the function to each element of ``x``."""
        return type(self)._function(x)


class Sigmoid(_Activation):
    """Applies sigmoid."""

    _function = staticmethod(sigmoid)


class Tanh(_Activation):
    """Applies tanh."""

    _function = staticmethod(tanh)


class ReLU(_Activation):
    """Applies relu."""

    _function = staticmethod(relu)


class ReLU6(_Activation):
    """Applies relu6."""

    _function = staticmethod(relu6)


class ReLU2(_Activation):
    """Applies relu2."""

    _function = staticmethod(relu2)


class SELU(_Activation):
    """Applies selu."""

    _function = staticmethod(selu)


class HardTanh(_Activation):
    """Applies hard_tanh with its bounds of -1 and 1."""

    _function = staticmethod(hard_tanh)


class Softmin(_Activation):
    """Applies softmin to the last axis."""

    _function = staticmethod(softmin)


class SiLU(_Activation):
    """Applies silu."""

    _function = staticmethod(silu)


class Softplus(_Activation):
    """Applies softplus."""

    _function = staticmethod(softplus)


class Softsign(_Activation):
    """Applies softsign."""

    _function = staticmethod(softsign)


class Softmax(_Activation):
    """Applies softmax to the last axis."""

    _function = staticmethod(softmax)


class LogSoftmax(_Activation):
    """Applies log_softmax to the last axis."""

    _function = staticmethod(log_softmax)


class LogSigmoid(_Activation):
    """Applies log_sigmoid."""

    _function = staticmethod(log_sigmoid)


class Mish(_Activation):
    """Applies mish."""

    _function = staticmethod(mish)


class Hardswish(_Activation):
    """Applies hardswish."""

    _function = staticmethod(hardswish)


class LeakyReLU(Module):
    """Applies leaky_relu.

    Args:
        negative_slope: Slope below 0.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self._negative_slope = negative_slope

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the function to each element of ``x``."""
        return leaky_relu(x, self._negative_slope)


class ELU(Module):
    """Applies elu.

    Args:
        alpha: Minus the limit at minus infinity.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self._alpha = alpha

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the function to each element of ``x``."""
        return elu(x, self._alpha)


class CELU(Module):
    """Applies celu.

    Args:
        alpha: Minus the limit at minus infinity.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self._alpha = alpha

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the function to each element of ``x``."""
        return celu(x, self._alpha)


class HardShrink(Module):
    """Applies hard_shrink.

    Args:
        lambd: Size up to which elements become 0.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the function to each element of ``x``."""
        return hard_shrink(x, self.lambd)


class Softshrink(Module):
    """Applies softshrink.

    Args:
        lambd: Size up to which elements become 0.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the function to each element of ``x``."""
        return softshrink(x, self.lambd)


class Step(Module):
    """Applies step.

    Args:
        threshold: Number above which the result is 1.
    """

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        self.threshold = threshold

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the function to each element of ``x``."""
        return step(x, self.threshold)


class GLU(Module):
    """Applies glu.

    Args:
        axis: The axis that is split; its length is even, and half of it in the result.
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def __call__(self, x: mx.array) -> mx.array:
        """The first half of ``x`` times sigmoid of the second half."""
        return glu(x, self.axis)


class PReLU(Module):
    """Applies prelu with a slope that is learnt.

    Args:
        num_parameters: Number of slopes: one, or one for each feature of the last axis.
        init: Where they start.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.weight = mx.full((num_parameters,), init)

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the function to each element of ``x``."""
        return prelu(x, self.weight)


class GELU(Module):
    """Applies GELU.

    Args:
        approx: "none" for the function itself, "precise" or "tanh" for gelu_approx, "fast" for
            gelu_fast_approx.

    Raises:
        ValueError: for another ``approx``.
    """

    def __init__(self, approx: str = "none") -> None:
        super().__init__()
        functions = {
            "none": gelu,
            "precise": gelu_approx,
            "tanh": gelu_approx,
            "fast": gelu_fast_approx,
        }
        if approx not in functions:
            raise ValueError(
                f"The approximation should be in {list(functions)} but '{approx}' was given"
            )
        self._approx = approx
        self._act = functions[approx]

    def __call__(self, x: mx.array) -> mx.array:
        """Applies the function to each element of ``x``."""
        return self._act(x)
