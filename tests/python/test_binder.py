import gc
import inspect

import numpy as np
import plimsoll.core as mx
import pytest


def test_wrong_types_list_the_signature():
    with pytest.raises(TypeError, match=r"sum\(a: array, /, axis: None \| int"):
        mx.sum(mx.ones((2,)), axis="a")


@pytest.mark.parametrize(
    "call",
    [
        lambda x: mx.sum(),
        lambda x: mx.sum(x, foo=1),
        lambda x: mx.sum(a=x),
        lambda x: mx.sum(x, 0, False, None),
        lambda x: mx.add(x, x, b=x),
        lambda x: mx.add(x, x, stream="cpu"),
        lambda x: mx.reshape(x, "ab"),
    ],
)
def test_calls_that_do_not_fit_raise_type_error(call):
    with pytest.raises(TypeError, match="incompatible function arguments"):
        call(mx.ones((2, 3)))


def test_error_classes_follow_the_cause():
    x = mx.ones((2, 3))
    with pytest.raises(ValueError, match="reshape"):
        mx.reshape(x, (5, 5))
    with pytest.raises(IndexError):
        mx.sum(x, axis=5)
    with pytest.raises(ValueError, match="broadcast"):
        x + mx.ones((4,))


def test_a_gpu_is_refused_where_it_is_used():
    with pytest.raises(ValueError, match="gpu"):
        mx.add(mx.ones(2), 1, stream=mx.gpu)
    with pytest.raises(ValueError, match="gpu"):
        mx.set_default_device(mx.gpu)


def test_functions_are_methods_too():
    x = mx.array([[1.0, 2.0], [3.0, 4.0]])
    assert x.sum(axis=0).tolist() == mx.sum(x, axis=0).tolist() == [4.0, 6.0]
    assert x.reshape(4).tolist() == x.reshape((4,)).tolist() == x.flatten().tolist()
    assert x.transpose().tolist() == x.T.tolist() == [[1.0, 3.0], [2.0, 4.0]]


def test_second_names_are_the_same_operation():
    x = mx.array([0.5])
    assert mx.acos(x).item() == mx.arccos(x).item()
    assert mx.concat([x, x]).shape == (2,)


def test_pairs_of_pad_may_be_nested():
    x = mx.ones((1, 1))
    assert mx.pad(x, [(1, 0), (0, 2)]).tolist() == np.pad([[1]], [(1, 0), (0, 2)]).tolist()


def test_every_public_operation_has_a_docstring_with_its_signature():
    missing = [
        name
        for name in dir(mx)
        if type(getattr(mx, name)).__name__ == "OpFunction"
        and f"{name}(" not in getattr(mx, name).__doc__
    ]
    assert not missing


def test_random_state_splits_as_mlx_does():
    peer = pytest.importorskip("mlx.core")
    for seed in (0, 7, 2**40 + 5):
        mx.random.seed(seed)
        peer.random.seed(seed)
        for _ in range(3):
            assert mx.random.uniform(shape=[5]).tolist() == peer.random.uniform(shape=[5]).tolist()


def test_the_random_state_is_a_chain_of_splits():
    mx.random.seed(2**40 + 5)
    key = mx.random.key(2**40 + 5)
    for i in range(600):
        key, sub = mx.random.split(key)
        mx.eval(key)
        drawn = mx.random.uniform(shape=[3])
        if i % 50 == 0 or 250 < i < 260:
            assert drawn.tolist() == mx.random.uniform(shape=[3], key=sub).tolist()
    assert mx.random.state[0].tolist() == key.tolist()


def test_draws_that_nobody_evaluates_leave_nothing():
    mx.random.seed(3)
    gc.collect()
    before = mx.memory_report().metadata
    for _ in range(5000):
        mx.random.uniform(shape=[3])
    assert mx.memory_report().metadata < before + 500_000


def test_every_operation_has_a_signature_that_inspect_reads():
    modules = (mx, mx.random, mx.linalg, mx.fast)
    operations = [f for m in modules for f in vars(m).values() if type(f).__name__ == "OpFunction"]
    assert len(operations) > 150
    for f in operations:
        assert f.__doc__.startswith(f"{f.__name__}(")
        assert "stream" in inspect.signature(f).parameters
    softmax = inspect.signature(mx.softmax)
    assert list(softmax.parameters) == ["a", "axis", "precise", "stream"]
    assert softmax.parameters["a"].kind is inspect.Parameter.POSITIONAL_ONLY
    assert softmax.parameters["precise"].default is False
    assert inspect.signature(mx.random.normal).parameters["dtype"].default == mx.float32
