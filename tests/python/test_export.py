"""Functions in files: what is traced, what a call may be, what a file may hold."""

import os
import struct

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import pytest
from fuzz.functions import SEEDS, check
from fuzz.operands import file_of, operations, others

peer = pytest.importorskip("mlx.core")

X, Y = mx.array([1.0, 2.0]), mx.array([3.0, 4.0])


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "f.mlxfn")


def add(x, y):
    return x + y


def through(path, fn, *args, **kwargs):
    mx.export_function(path, fn, *args, **kwargs)
    return mx.import_function(path)


def lists(outputs):
    assert isinstance(outputs, tuple)
    return [y.tolist() for y in outputs]


# ---- Calls.


def test_arguments_come_one_by_one_or_in_a_tuple_and_a_dict(path):
    f = through(path, add, X, y=Y)
    want = [[4.0, 6.0]]
    assert lists(f(X, y=Y)) == want
    assert lists(f((X,), {"y": Y})) == lists(f([X], {"y": Y})) == want
    for exported in [((X, Y),), ([X, Y],), (X, Y)]:
        f = through(path, add, *exported)
        assert lists(f(X, Y)) == lists(f((X, Y))) == lists(f([X, Y])) == want
    for exported in [({"x": X, "y": Y},), ((), {"x": X, "y": Y})]:
        f = through(path, add, *exported)
        assert lists(f(y=Y, x=X)) == lists(f({"y": Y, "x": X})) == want


def test_keywords_reach_the_parameters_of_their_names(path):
    f = through(path, lambda x, b, a: x * 100 + a * 10 + b, X, b=X, a=Y)
    assert lists(f(X, a=X, b=Y)) == [[113.0, 224.0]]


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((X,), {}), ((X, Y, Y), {}), ((X, mx.array([1, 2])), {}), ((X, mx.zeros(3)), {}),
        ((X, mx.zeros((2, 1))), {}), ((X,), {"y": Y}), ((X, Y), {"z": Y}), ((), {}),
    ],
)  # fmt: skip
def test_other_shapes_dtypes_and_keywords_are_refused(path, args, kwargs):
    f = through(path, add, X, Y)
    expected = r"expected arguments of one of \(float32\(2\), float32\(2\)\), got"
    with pytest.raises(ValueError, match=expected):
        f(*args, **kwargs)


@pytest.mark.parametrize("args", [(X, 1.0), (1, 2), ([X], Y), (X, {"y": Y}), ("x",), ([[X, Y]],)])
def test_arguments_that_are_no_arrays_are_refused(path, args):
    f = through(path, add, X, Y)
    with pytest.raises(ValueError, match=r"\[import_function\] expected arrays by position"):
        f(*args)
    with pytest.raises(ValueError, match=r"\[export_function\] expected arrays by position"):
        mx.export_function(path, add, *args)


def test_results_are_an_array_or_a_sequence_of_arrays(path):
    assert lists(through(path, lambda x: x * 2, X)(Y)) == [[6.0, 8.0]]
    assert lists(through(path, lambda x: (x, x * 2), X)(Y)) == [[3.0, 4.0], [6.0, 8.0]]
    assert lists(through(path, lambda x: [x], X)(Y)) == [[3.0, 4.0]]
    assert through(path, lambda x: (), X)(Y) == ()
    for other in (lambda x: {"x": x}, lambda x: (x, (x,)), lambda x: None, lambda x: (x, 3)):
        with pytest.raises(ValueError, match="expected a function that returns an array"):
            mx.export_function(path, other, X)


def test_mlx_agrees_on_what_calls_return(path, tmp_path):
    theirs = str(tmp_path / "theirs.mlxfn")

    def fn(m):
        return lambda x, y: (m.softmax(x @ y, axis=-1), m.argmax(x, axis=1), x[:, ::-1])

    x, y = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)
    mx.export_function(path, fn(mx), mx.array(x), y=mx.array(y))
    peer.export_function(theirs, fn(peer), peer.array(x), y=peer.array(y))
    a = mx.import_function(path)(mx.array(x), y=mx.array(y))
    b = peer.import_function(theirs)(peer.array(x), y=peer.array(y))
    assert type(a) is type(b)
    for ours, other in zip(a, b, strict=True):
        np.testing.assert_allclose(np.array(ours), np.array(other), rtol=1e-6)


# ---- What is traced.


def test_captured_arrays_and_models_are_in_the_file(path):
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 2))
    x = mx.random.normal((3, 4))
    want = model(x).tolist()
    f = through(path, model, x)
    del model
    assert f(x)[0].tolist() == want


def save_twice(path, weight, x):
    with mx.exporter(path, lambda x: x @ weight @ weight) as export:
        export(x)
        export(x[:1])


def test_captured_arrays_are_read_when_they_are_used_and_written_once(path):
    # Columns of more rows, in blocks of 4 KiB, take minutes at the floor.
    side = 256 if os.environ.get("PLIMSOLL_PRESSURE") else 1024
    weight = mx.arange(side * side, dtype=mx.float32).reshape(side, side) * 1e-6
    mx.eval(weight)
    x = mx.ones((2, side))
    want = (x @ weight @ weight).tolist()
    save_twice(path, weight, x)
    assert weight.nbytes < os.path.getsize(path) < weight.nbytes + 10_000
    del weight
    before = mx.get_active_memory()
    f = mx.import_function(path)
    assert mx.get_active_memory() - before < 1 << 16
    assert f(x)[0].tolist() == want
    assert f(x[:1])[0].tolist() == want[:1]


def test_a_function_may_be_exported_over_its_own_file(path):
    weight = mx.random.normal((300, 300))
    f = through(path, lambda x: x @ weight, mx.ones((1, 300)))
    want = f(mx.ones((1, 300)))[0].tolist()
    g = through(path, lambda x: f(x)[0], mx.ones((1, 300)))
    assert g(mx.ones((1, 300)))[0].tolist() == want == f(mx.ones((1, 300)))[0].tolist()


def test_values_do_not_matter_and_are_not_computed(path):
    def fn(x):
        with pytest.raises(Exception, match="expected arrays with values"):
            mx.eval(x)
        return x + 1

    assert lists(through(path, fn, X)(Y)) == [[4.0, 5.0]]


def test_transforms_go_through_an_imported_function(path):
    f = through(path, lambda x, y: (x * x * y).sum(), X, Y)
    assert mx.grad(lambda x: f(x, Y)[0])(X).tolist() == [6.0, 16.0]
    assert mx.compile(lambda x: f(x, Y)[0])(X).item() == 19.0
    assert mx.vmap(lambda x: f(x, Y)[0])(mx.stack([X, Y])).tolist() == [19.0, 91.0]


def test_gradients_checkpoints_and_barriers_are_exported(path):
    f = through(path, mx.value_and_grad(lambda x: mx.exp(x).sum()), X)
    assert lists(f(X)) == [mx.exp(X).sum().tolist(), mx.exp(X).tolist()]
    f = through(path, mx.checkpoint(lambda x: mx.depends(x * 3, x)), X)
    assert mx.grad(lambda x: f(x)[0].sum())(X).tolist() == [3.0, 3.0]
    f = through(path, lambda x: x * mx.stop_gradient(x), X)
    assert mx.grad(lambda x: f(x)[0].sum())(X).tolist() == X.tolist()


def test_functions_with_rules_of_their_own_are_refused(path):
    @mx.custom_function
    def fn(x):
        return x * 2

    fn.vjp(lambda primals, cotangents, outputs: cotangents)
    with pytest.raises(ValueError, match="expected operations that a file can hold, got custom"):
        mx.export_function(path, fn, X)
    assert not os.path.exists(path)


def test_what_an_outer_transform_traces_is_refused(path):
    def outer(x):
        mx.export_function(path, lambda y: x + y, Y)
        return x.sum()

    with pytest.raises(ValueError, match="outer transform"):
        mx.compile(outer)(X)


def test_long_chains_go_to_a_file(path):
    def fn(x):
        for _ in range(50_000):
            x = x + 1
        return x

    assert lists(through(path, fn, X)(Y)) == [[50_003.0, 50_004.0]]


# ---- Shapeless functions.


def shapes_of(f, *shapes):
    return [y.shape for y in f(*(mx.ones(s) for s in shapes))]


def test_dimensions_that_no_operation_depends_on_may_differ(path):
    f = through(path, lambda x: mx.exp(x) * x.sum(axis=-1, keepdims=True), mx.zeros((2, 3)),
                shapeless=True)  # fmt: skip
    assert shapes_of(f, (5, 4)) == [(5, 4)]
    assert shapes_of(f, (2, 1)) == [(2, 1)]
    assert f(mx.full((1, 2), 1.0))[0].tolist() == (mx.exp(mx.ones((1, 2))) * 2).tolist()
    for other in [mx.ones(3), mx.ones((1, 2, 3)), mx.ones((2, 3), dtype=mx.int32)]:
        with pytest.raises(ValueError, match="expected arguments of one of"):
            f(other)


def test_dimensions_that_must_be_alike_are_compared(path):
    f = through(path, add, X, Y, shapeless=True)
    assert shapes_of(f, (7,), (7,)) == [(7,)]
    with pytest.raises(ValueError, match=r"\(float32\(n1\), float32\(n1\)\), got"):
        f(mx.ones(7), mx.ones(6))


def test_dimensions_that_operations_depend_on_stay_fixed(path):
    weight = mx.ones((3, 4))
    f = through(path, lambda x: x @ weight, mx.ones((2, 3)), shapeless=True)
    assert shapes_of(f, (9, 3)) == [(9, 4)]
    with pytest.raises(ValueError, match=r"float32\(n1, 3\)"):
        f(mx.ones((9, 2)))
    for fixed in (lambda x: x.mean(), lambda x: x / x.size, lambda x: x.reshape(6)):
        f = through(path, fixed, mx.ones((2, 3)), shapeless=True)
        assert f(mx.ones((2, 3)))[0].shape == fixed(mx.ones((2, 3))).shape
        with pytest.raises(ValueError, match="expected arguments of one of"):
            f(mx.ones((4, 3)))


def test_sizes_that_an_operation_does_not_fit_are_refused(path):
    f = through(path, lambda x: x[:2], mx.ones(3), shapeless=True)
    assert shapes_of(f, (5,)) == [(2,)]
    with pytest.raises(ValueError, match="slice does not fit inputs of"):
        f(mx.ones(1))


def picky(error):
    def fn(x):
        if x.shape != (2, 3):
            raise error
        return x * 2

    return fn


@pytest.mark.parametrize("error", [ValueError, TypeError, IndexError, AssertionError])
def test_dimensions_that_a_function_refuses_stay_fixed(path, error):
    f = through(path, picky(error), mx.ones((2, 3)), shapeless=True)
    assert shapes_of(f, (2, 3)) == [(2, 3)]
    with pytest.raises(ValueError, match=r"float32\(2, 3\)"):
        f(mx.ones((4, 3)))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError, SystemExit])
def test_errors_that_are_not_about_shapes_end_an_export(path, error):
    with pytest.raises(error):
        mx.export_function(path, picky(error), mx.ones((2, 3)), shapeless=True)
    assert not os.path.exists(path)


@pytest.mark.parametrize("shapeless", [False, True])
def test_errors_of_the_function_come_out_as_they_are(path, shapeless):
    error = UnicodeError("its own")
    with pytest.raises(UnicodeError) as caught:
        mx.export_function(path, picky(error), X, shapeless=shapeless)
    assert caught.value is error


# ---- Several traces.


def test_an_exporter_writes_several_traces(path):
    with mx.exporter(path, lambda *args: sum(args)) as export:
        assert isinstance(export, mx.FunctionExporter)
        export(X)
        export(X, Y)
        export(mx.array(1), mx.array(2), mx.array(3))
        with pytest.raises(RuntimeError, match="expected one trace for a signature"):
            export(Y, X)
    f = mx.import_function(path)
    assert lists(f(X)) == [[1.0, 2.0]]
    assert lists(f(X, Y)) == [[4.0, 6.0]]
    assert lists(f(mx.array(4), mx.array(5), mx.array(6))) == [15]
    with pytest.raises(RuntimeError, match="expected an open exporter"):
        export(X, X, X)
    export.close()


def test_an_error_leaves_no_file(path):
    def block():
        with mx.exporter(path, add) as export:
            export(X, Y)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert not os.path.exists(path)


def test_exporters_are_made_by_exporter(path):
    with pytest.raises(TypeError):
        mx.FunctionExporter()
    with pytest.raises(TypeError):
        mx.exporter(path, 3)
    with pytest.raises(TypeError):
        mx.export_function(print, add, X, Y)


def test_metadata_come_back(path):
    mx.export_function(path, add, X, Y, metadata="ü {}")
    f, text = mx.import_function(path, return_metadata=True)
    assert text == "ü {}"
    assert lists(f(X, Y)) == [[4.0, 6.0]]
    mx.export_function(path, add, X, Y)
    assert mx.import_function(path, return_metadata=True)[1] == ""


# ---- Files.


def test_missing_files_and_folders_raise_what_python_and_mlx_raise(path):
    for error in (FileNotFoundError, RuntimeError):
        with pytest.raises(error):
            mx.import_function(path)
        with pytest.raises(error):
            mx.export_function(path + "/none/f", add, X, Y)


def good(path):
    mx.export_function(path, lambda x: mx.sum(x + Y, axis=0), X)
    return open(path, "rb").read()


def refused(path, text, message):
    with open(path, "wb") as f:
        f.write(text)
    with pytest.raises(ValueError, match=r"\[import_function\]") as caught:
        mx.import_function(path)
    assert message in str(caught.value)


def test_other_files_and_versions_are_refused(path):
    text = good(path)
    refused(path, b"", "expected at least 24 bytes")
    refused(path, b"hello world" * 9, "expected a file of export_function")
    refused(path, text[:8] + b"\2" + text[9:], "expected version 1, got 2")
    refused(path, text[:12] + b"\2" + text[13:], "expected 0 behind the version")
    refused(path, text[:16] + struct.pack("<Q", 1 << 63) + text[24:], "is the file complete?")


def test_every_truncated_file_is_refused(path):
    text = good(path)
    for size in range(len(text)):
        refused(path, text[:size], "")


def test_unknown_operations_and_wrong_attributes_are_refused(path):
    text = good(path)
    refused(path, text.replace(b"\3\0\0\0sum", b"\3\0\0\0sux"), "got 'sux'")
    refused(path, text.replace(b"\3\0\0\0add", b"\3\0\0\0std"), "expected an operation of a graph")
    at = text.index(b"sum") + 3 + 1 + 4 + 4 + 4  # barrier, number of inputs, one, attributes
    assert text[at] == 1  # axes
    axes = struct.pack("<q", 0)
    assert text[at + 1 : at + 9] == axes
    for axis in (1, -1, 1 << 40, 1 << 62):
        edited = text[: at + 1] + struct.pack("<q", axis) + text[at + 9 :]
        refused(path, edited, "")
    refused(path, text[:at] + b"\7" + text[at + 1 :], "more bytes")


def test_operations_with_other_operands_are_refused(path):
    each = {(op.name, len(op.inputs)): op for seed in SEEDS for op in operations(seed)}
    assert len(each) > 50
    for op in each.values():
        for other in others(op):
            refused(path, file_of(other), "")


def test_no_memory_for_the_operations_is_no_fault_of_the_file(path):
    def fn(x):
        for _ in range(100_000):
            x = x + 1
        return x

    mx.export_function(path, fn, X, shapeless=True)
    limit = mx.get_active_memory() + 2 * os.path.getsize(path)
    with mx.memory_limit(limit), pytest.raises(MemoryError, match="room for one more operation"):
        mx.import_function(path)
    f = mx.import_function(path)
    with mx.memory_limit(limit), pytest.raises(MemoryError, match="room for one more operation"):
        f(mx.ones(5))
    assert f(mx.ones(1))[0].tolist() == [100_001.0]


def test_values_are_made_of_earlier_ones(path):
    text = good(path)
    at = text.index(b"sum") + 3 + 1 + 4  # its input
    for value in (3, 4, 2**32 - 1):
        edited = text[:at] + struct.pack("<I", value) + text[at + 4 :]
        refused(path, edited, "earlier values")


def test_shapes_are_inferred_again(path):
    text = good(path)
    at = text.index(b"add") + 3 + 1 + 4 + 8 + 4 + 1  # dtype, rank, length of its result
    assert text[at + 1] == 1
    assert struct.unpack_from("<q", text, at + 2) == (2,)
    refused(path, text[: at + 2] + b"\3" + text[at + 3 :], "expected the result of add to be")
    refused(path, text[:at] + b"\1" + text[at + 1 :], "expected the result of add to be")


def test_arrays_are_inside_the_file(path):
    text = good(path)
    body = struct.unpack_from("<Q", text, 16)[0]
    at = 24 + 4 + 4 + 1 + 1 + 8  # metadata, number of arrays, dtype, rank, length
    assert struct.unpack_from("<q", text, at - 8) == (2,)
    assert body > 60
    refused(path, text[: at - 8] + struct.pack("<q", 1 << 50) + text[at:], "")
    refused(path, text[: at - 8] + struct.pack("<q", -1) + text[at:], "")
    refused(path, text[:at] + struct.pack("<Q", 1 << 60) + text[at + 8 :], "inside the file")
    refused(path, text[:at] + struct.pack("<Q", 64) + text[at + 8 :], "is the file complete?")


def test_good_files_are_called(tmp_path):
    assert all(check(seed, tmp_path) for seed in SEEDS)
