"""Loss functions."""

from __future__ import annotations

import math
from typing import Literal

import plimsoll.core as mx

Reduction = Literal["none", "mean", "sum"]


def _reduce(loss: mx.array, reduction: Reduction = "none") -> mx.array:
    if reduction == "mean":
        return mx.mean(loss)
    if reduction == "sum":
        return mx.sum(loss)
    if reduction == "none":
        return loss
    raise ValueError("Invalid reduction. Must be one of ('none', 'mean', 'sum').")


def _same_shape(name: str, predictions: mx.array, targets: mx.array) -> None:
    if predictions.shape != targets.shape:
        raise ValueError(
            f"[{name}] expected targets of the predictions' shape {predictions.shape}, got "
            f"{targets.shape}"
        )


def cross_entropy(
    logits: mx.array,
    targets: mx.array,
    weights: mx.array | None = None,
    axis: int = -1,
    label_smoothing: float = 0.0,
    reduction: Reduction = "none",
) -> mx.array:
    """Cross entropy of softmax(logits) against targets.

    Args:
        logits: Scores, not normalised.
        targets: Class numbers, of the logits' shape without ``axis``, or probabilities of the
            logits' shape.
        weights: A weight for each loss.
        axis: The axis of classes.
        label_smoothing: Share of the target that is spread over all classes, in [0, 1).
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, or their reduction.

    Raises:
        ValueError: where shapes do not fit or ``label_smoothing`` is outside its range.

    Example:
        >>> logits = mx.array([[2.0, -1.0], [-1.0, 2.0]])
        >>> nn.losses.cross_entropy(logits, mx.array([0, 1]))
        array([0.0485873, 0.0485873], dtype=float32)
    """
    if label_smoothing < 0 or label_smoothing >= 1:
        raise ValueError(f"Label smoothing must in [0, 1), got {label_smoothing}.")
    as_probs = targets.ndim == logits.ndim
    expected = list(logits.shape)
    del expected[axis]
    if list(targets.shape) != (list(logits.shape) if as_probs else expected):
        raise ValueError(
            f"Targets shape {targets.shape} does not match logits shape {logits.shape}."
        )
    normaliser = mx.logsumexp(logits, axis=axis)
    if as_probs:
        score = mx.sum(logits * targets, axis=axis)
    else:
        score = mx.take_along_axis(logits, mx.expand_dims(targets, axis), axis=axis).squeeze(axis)
    if label_smoothing > 0:
        score = score * (1 - label_smoothing)
        smoothed = mx.mean(logits, axis=axis) * label_smoothing
        loss = normaliser - score - smoothed
    else:
        loss = normaliser - score
    if weights is not None:
        if weights.shape != loss.shape:
            raise ValueError(
                f"Weights with shape {weights.shape} is not the same as output loss with shape "
                f"{loss.shape}."
            )
        loss = loss * weights
    return _reduce(loss, reduction)


def binary_cross_entropy(
    inputs: mx.array,
    targets: mx.array,
    weights: mx.array | None = None,
    with_logits: bool = True,
    reduction: Reduction = "mean",
) -> mx.array:
    """Binary cross entropy.

    Args:
        inputs: Logits, or probabilities where ``with_logits`` is False.
        targets: Numbers in [0, 1], of the inputs' shape.
        weights: A weight for each loss.
        with_logits: Whether the inputs are logits.
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, or their reduction. Logarithms of probabilities are cut at -100.

    Raises:
        ValueError: where shapes differ.
    """
    if inputs.shape != targets.shape:
        raise ValueError(
            f"Inputs shape {inputs.shape} does not match targets shape {targets.shape}."
        )
    if with_logits:
        loss = mx.logaddexp(0.0, inputs) - inputs * targets
    else:
        yes = mx.maximum(mx.log(inputs), -100)
        no = mx.maximum(mx.log(1 - inputs), -100)
        loss = -(targets * yes + (1 - targets) * no)
    if weights is not None:
        if weights.shape != loss.shape:
            raise ValueError(
                f"Weights with shape {weights.shape} is not the same as output loss with shape "
                f"{loss.shape}."
            )
        loss = loss * weights
    return _reduce(loss, reduction)


def l1_loss(predictions: mx.array, targets: mx.array, reduction: Reduction = "mean") -> mx.array:
    """Absolute differences.

    Args:
        predictions: An array.
        targets: An array of the same shape.
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, or their reduction.

    Raises:
        ValueError: where shapes differ.
    """
    _same_shape("l1_loss", predictions, targets)
    return _reduce(mx.abs(predictions - targets), reduction)


def mse_loss(predictions: mx.array, targets: mx.array, reduction: Reduction = "mean") -> mx.array:
    """Squared differences.

    Args:
        predictions: An array.
        targets: An array of the same shape.
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, or their reduction.

    Raises:
        ValueError: where shapes differ.
    """
    _same_shape("mse_loss", predictions, targets)
    return _reduce(mx.square(predictions - targets), reduction)


def nll_loss(
    inputs: mx.array, targets: mx.array, axis: int = -1, reduction: Reduction = "none"
) -> mx.array:
    """Minus the log-probability of the target class.

    Args:
        inputs: Log-probabilities.
        targets: Class numbers, of the inputs' shape without ``axis``.
        axis: The axis of classes.
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, or their reduction.
    """
    picked = mx.take_along_axis(inputs, mx.expand_dims(targets, axis), axis=axis)
    return _reduce(-picked.squeeze(axis), reduction)


def kl_div_loss(
    inputs: mx.array, targets: mx.array, axis: int = -1, reduction: Reduction = "none"
) -> mx.array:
    """Kullback-Leibler divergence of two distributions.

    Args:
        inputs: Log-probabilities of the model.
        targets: Log-probabilities of the truth.
        axis: The axis of classes.
        reduction: "none", "mean" or "sum".

    Returns:
        The divergences, or their reduction.
    """
    return _reduce(mx.sum(mx.exp(targets) * (targets - inputs), axis=axis), reduction)


def smooth_l1_loss(
    predictions: mx.array, targets: mx.array, beta: float = 1.0, reduction: Reduction = "mean"
) -> mx.array:
    """Squared differences below ``beta``, absolute ones above.

    Args:
        predictions: An array.
        targets: An array of the same shape.
        beta: Where the two meet.
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, or their reduction.

    Raises:
        ValueError: where shapes differ.
    """
    _same_shape("smooth_l1_loss", predictions, targets)
    diff = mx.abs(predictions - targets)
    loss = mx.where(diff < beta, 0.5 * mx.square(diff) / beta, diff - 0.5 * beta)
    return _reduce(loss, reduction)


def huber_loss(
    inputs: mx.array, targets: mx.array, delta: float = 1.0, reduction: Reduction = "none"
) -> mx.array:
    """Half the squared difference up to ``delta``, linear beyond.

    Args:
        inputs: An array.
        targets: An array of the same shape.
        delta: Where the two meet.
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, or their reduction.
    """
    error = mx.abs(inputs - targets)
    quadratic = mx.minimum(error, delta)
    return _reduce(0.5 * mx.square(quadratic) + delta * (error - quadratic), reduction)


def log_cosh_loss(inputs: mx.array, targets: mx.array, reduction: Reduction = "none") -> mx.array:
    """Logarithm of the hyperbolic cosine of the differences.

    Args:
        inputs: An array.
        targets: An array of the same shape.
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, or their reduction.
    """
    errors = inputs - targets
    return _reduce(mx.logaddexp(errors, -errors) - math.log(2), reduction)


def hinge_loss(inputs: mx.array, targets: mx.array, reduction: Reduction = "none") -> mx.array:
    """max(0, 1 - inputs * targets).

    Args:
        inputs: Scores.
        targets: -1 or 1.
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, or their reduction.
    """
    return _reduce(mx.maximum(1 - inputs * targets, 0), reduction)


def cosine_similarity_loss(
    x1: mx.array,
    x2: mx.array,
    axis: int = 1,
    eps: float = 1e-8,
    reduction: Reduction = "none",
) -> mx.array:
    """Cosine of the angle between vectors.

    Args:
        x1: An array.
        x2: An array of the same shape.
        axis: The axis of the vectors.
        eps: The least product of norms.
        reduction: "none", "mean" or "sum".

    Returns:
        The similarities, or their reduction.
    """
    norms = mx.sqrt(mx.sum(mx.square(x1), axis=axis)) * mx.sqrt(mx.sum(mx.square(x2), axis=axis))
    return _reduce(mx.sum(x1 * x2, axis=axis) / mx.maximum(norms, eps), reduction)


def gaussian_nll_loss(
    inputs: mx.array,
    targets: mx.array,
    vars: mx.array,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> mx.array:
    """Minus the log-likelihood of targets under normal distributions.

    Args:
        inputs: The means.
        targets: Samples, of the same shape.
        vars: The variances, of the same shape.
        full: Whether the constant log(2 * pi) / 2 is added.
        eps: The least variance.
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, or their reduction.

    Raises:
        ValueError: where shapes differ.

    Example:
        >>> nn.losses.gaussian_nll_loss(mx.zeros(2), mx.ones(2), mx.ones(2)).item()
        0.5
    """
    if inputs.shape != targets.shape:
        raise ValueError(
            f"Inputs shape {inputs.shape} does not match targets shape {targets.shape}."
        )
    if inputs.shape != vars.shape:
        raise ValueError(f"Inputs shape {inputs.shape} does not match vars shape {vars.shape}.")
    variance = mx.maximum(vars, eps)
    loss = 0.5 * (mx.log(variance) + mx.square(targets - inputs) / variance)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduce(loss, reduction)


def margin_ranking_loss(
    inputs1: mx.array,
    inputs2: mx.array,
    targets: mx.array,
    margin: float = 0.0,
    reduction: Reduction = "none",
) -> mx.array:
    """max(0, -targets * (inputs1 - inputs2) + margin).

    Args:
        inputs1: Scores.
        inputs2: Other scores, of the same shape.
        targets: 1 where the first should be larger, -1 where the second, of the same shape.
        margin: By how much.
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, or their reduction.

    Raises:
        ValueError: where shapes differ.

    Example:
        >>> nn.losses.margin_ranking_loss(mx.ones(1), mx.zeros(1), mx.array([-1])).tolist()
        [1.0]
    """
    if not inputs1.shape == inputs2.shape == targets.shape:
        raise ValueError(
            "The shapes of the arguments do not match. The provided shapes are "
            f"inputs1.shape={inputs1.shape}, inputs2.shape={inputs2.shape}, and "
            f"targets.shape={targets.shape}."
        )
    return _reduce(mx.maximum(0, -targets * (inputs1 - inputs2) + margin), reduction)


def triplet_loss(
    anchors: mx.array,
    positives: mx.array,
    negatives: mx.array,
    axis: int = -1,
    p: int = 2,
    margin: float = 1.0,
    eps: float = 1e-6,
    reduction: Reduction = "none",
) -> mx.array:
    """By how much anchors are not nearer to positives than to negatives.

    Args:
        anchors: Vectors.
        positives: Vectors that should be near.
        negatives: Vectors that should be far.
        axis: The axis of the vectors.
        p: The norm's degree.
        margin: By how much nearer positives should be.
        eps: Added to the sums of powers, below the root.
        reduction: "none", "mean" or "sum".

    Returns:
        The losses, of the shape without ``axis``, or their reduction.

    Example:
        >>> nn.losses.triplet_loss(mx.zeros((1, 2)), mx.zeros((1, 2)), mx.ones((1, 2)), p=1).shape
        (1,)
    """

    def distance(others: mx.array) -> mx.array:
        powers = mx.power(mx.abs(anchors - others), p)
        return mx.power(mx.sum(powers, axis=axis) + eps, 1 / p)

    return _reduce(mx.maximum(distance(positives) - distance(negatives) + margin, 0), reduction)
