"""Graphs a million nodes deep, on a stack that recursion would overflow."""

import threading

import plimsoll.core as mx
import pytest

NODES = 1_000_000
STACK = 256 * 1024


def on_a_small_stack(work):
    """Runs `work` in a thread whose stack holds a few thousand frames."""
    errors = []

    def run():
        try:
            work()
        except BaseException as error:
            errors.append(error)

    before = threading.stack_size(STACK)
    try:
        thread = threading.Thread(target=run)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if errors:
        raise errors[0]


def chain(x):
    for _ in range(NODES):
        x = x + 1.0
    return x.sum()


def test_a_million_nodes_are_recorded_differentiated_evaluated_and_destroyed():
    def work():
        value, grad = mx.value_and_grad(chain)(mx.zeros((2,)))
        assert value.item() == 2.0 * NODES
        assert grad.tolist() == [1.0, 1.0]

    on_a_small_stack(work)


def test_a_million_nodes_are_destroyed_unevaluated():
    def work():
        y = chain(mx.zeros((2,)))
        del y

    active = mx.get_active_memory()
    on_a_small_stack(work)
    assert mx.get_active_memory() <= active


@pytest.mark.parametrize("transform", ["vmap", "compile", "jvp", "checkpoint"])
def test_transforms_do_not_recurse(transform):
    def f(x):
        for _ in range(50_000):
            x = x + 1.0
        return x

    def work():
        x = mx.zeros((3,))
        if transform == "vmap":
            y = mx.vmap(f)(x)
        elif transform == "compile":
            y = mx.compile(f)(x)
        elif transform == "jvp":
            y = mx.jvp(f, [x], [mx.ones((3,))])[0][0]
        else:
            y = mx.grad(lambda a: mx.checkpoint(f)(a).sum())(x) + 49_999.0
        assert y.tolist() == [50_000.0] * 3

    on_a_small_stack(work)
