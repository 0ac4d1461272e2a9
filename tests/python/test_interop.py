"""Arrays in other hands and back: DLPack, buffers, pickles, copies, equality, threads."""

import copy
import gc
import pickle
import threading

import numpy as np
import plimsoll.core as mx
import pytest

peer = pytest.importorskip("mlx.core")

DTYPES = ("bool_", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
          "float16", "float32", "float64", "complex64")  # fmt: skip


def sample(dtype):
    return np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype.removesuffix("_"))


def both(fn):
    return fn(mx), fn(peer)


# ---- DLPack.


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_gives_every_dtype_of_numpy(dtype):
    values = sample(dtype)
    a = mx.array(values, getattr(mx, dtype))
    got = np.from_dlpack(a)
    assert got.dtype == values.dtype
    assert np.array_equal(got, values)
    assert np.array_equal(np.from_dlpack(a.T), values.T)


@pytest.mark.parametrize("dtype", DTYPES)
def test_from_dlpack_takes_every_dtype_of_numpy(dtype):
    values = sample(dtype)
    for given in (values, values.T, values[:, ::2], values[:0], values[0, 0:1].reshape(())):
        ours, theirs = both(lambda m, given=given: m.from_dlpack(given))
        assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
        assert ours.tolist() == theirs.tolist()


def test_from_dlpack_takes_what_mlx_refuses():
    assert mx.from_dlpack(np.arange(4)[::-1]).tolist() == [3, 2, 1, 0]


def test_dlpack_shares_bytes_both_ways():
    a = mx.array([1.0, 2.0, 3.0])
    view = np.from_dlpack(a)
    with memoryview(a) as bytes_of_a:
        bytes_of_a[0] = 9.0
    assert view[0] == 9.0


def test_from_dlpack_copies():
    values = np.arange(4, dtype=np.float32)
    a = mx.from_dlpack(values)
    values[0] = 99
    assert a.tolist() == [0, 1, 2, 3]


def test_bfloat16_goes_through_a_capsule():
    a = mx.array([1.5, -2.0]).astype(mx.bfloat16)
    assert mx.from_dlpack(a.__dlpack__()).dtype == mx.bfloat16
    assert peer.from_dlpack(a).tolist() == [1.5, -2.0]
    assert mx.from_dlpack(peer.array([1.5], peer.bfloat16)).dtype == mx.bfloat16


class OnlyDlpack:
    """As a PyTorch tensor of bfloat16, which has no buffer and no __array__."""

    def __init__(self, a):
        self.a = a

    def __dlpack__(self, *, stream=None):  # an older library: no max_version
        return self.a.__dlpack__()

    def __dlpack_device__(self):
        return self.a.__dlpack_device__()


def test_array_and_asarray_take_objects_with_dlpack_only():
    given = OnlyDlpack(mx.array([1, 2], mx.int16))
    for take in (mx.array, mx.asarray, mx.from_dlpack):
        assert take(given).dtype == mx.int16
        assert take(given).tolist() == [1, 2]


def test_dlpack_device_is_the_cpu():
    ours, theirs = both(lambda m: tuple(m.array([1.0]).__dlpack_device__()))
    assert ours == theirs == (1, 0)


def test_capsules_have_the_version_that_was_asked_for():
    a = mx.array([1.0])
    assert '"dltensor"' in repr(a.__dlpack__())
    assert '"dltensor_versioned"' in repr(a.__dlpack__(max_version=(1, 0)))


def test_a_constant_is_shown_read_only():
    assert np.from_dlpack(mx.array(2.5)) == 2.5
    assert not np.from_dlpack(mx.array(2.5)).flags.writeable


def test_a_dlpack_view_is_pinned_until_it_is_dropped():
    a = mx.zeros((1024, 1024))
    mx.eval(a)
    before = sum(mx.memory_report().pinned_by.values())
    view = np.from_dlpack(a)
    pinned = mx.memory_report().pinned_by
    assert sum(pinned.values()) - before >= a.nbytes
    assert any("DLPack" in owner and "(1024, 1024)" in owner for owner in pinned)
    with pytest.raises(mx.MemoryLimitError) as error, mx.memory_limit(3 << 20):
        mx.eval(mx.sin(a))
    assert any("DLPack" in owner for owner in error.value.pinned)
    del view
    gc.collect()
    assert sum(mx.memory_report().pinned_by.values()) == before


def test_capsules_that_nobody_takes_release_their_bytes():
    a = mx.zeros((1024, 1024))
    before = sum(mx.memory_report().pinned_by.values())
    for version in (None, (1, 0)):
        capsule = a.__dlpack__(max_version=version)
        assert sum(mx.memory_report().pinned_by.values()) > before
        del capsule
        assert sum(mx.memory_report().pinned_by.values()) == before


def test_a_copy_pins_nothing_of_the_array():
    a = mx.array([1.0, 2.0])
    view = np.from_dlpack(a, copy=True) if np.__version__ >= "2.1" else None
    if view is not None:
        view[0] = 7
    assert a.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda m: m.from_dlpack(3), TypeError),
        (lambda m: m.from_dlpack([1]), TypeError),
        (lambda m: m.from_dlpack(np.ones(2, np.float32), copy=False), ValueError),
        (lambda m: m.array([1.0]).__array_namespace__(api_version="1999.12"), ValueError),
    ],
)
def test_refusals_are_mlxs(call, error):
    for m in (mx, peer):
        with pytest.raises(error):
            call(m)


def test_used_and_foreign_capsules_are_refused():
    capsule = mx.array([1.0]).__dlpack__()
    mx.from_dlpack(capsule)
    with pytest.raises(ValueError, match="not used"):
        mx.from_dlpack(capsule)
    with pytest.raises(BufferError, match="CPU"):
        mx.array([1.0]).__dlpack__(dl_device=(2, 0))


def test_array_namespace_is_the_module():
    assert mx.array([1]).__array_namespace__() is mx


def test_asarray():
    a = mx.array([1.0, 2.0])
    assert mx.asarray(a) is not None
    with memoryview(a) as view:
        same, other = mx.asarray(a, copy=False), mx.asarray(a, copy=True)
        view[0] = 5.0
    assert same.tolist() == [5.0, 2.0]
    assert other.tolist() == [1.0, 2.0]
    assert mx.asarray([1, 2], mx.float16).dtype == mx.float16
    for m in (mx, peer):
        with pytest.raises(ValueError, match=r".*"):
            m.asarray([1, 2], copy=False)


# ---- Bytes, pickles, copies.


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
def test_bytes_are_the_elements_in_order(dtype):
    ours, theirs = both(lambda m: bytes(m.arange(6).reshape(2, 3).T.astype(getattr(m, dtype))))
    assert ours == theirs


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_come_back(dtype, protocol):
    for shape in ((2, 3), (), (0, 3)):
        a = mx.full(shape, 3).astype(getattr(mx, dtype))
        b = pickle.loads(pickle.dumps(a, protocol))
        assert (b.shape, b.dtype, bytes(b)) == (a.shape, a.dtype, bytes(a))


def test_state_is_taken():
    a, b = mx.array([[1.0, 2.0]]), mx.array(0)
    b.__setstate__(a.__getstate__())
    assert (b.dtype, b.tolist()) == (a.dtype, a.tolist())
    for bad in ((), (b"", (1,), mx.int8), (b"\1", (-1,), mx.int8)):
        with pytest.raises((TypeError, ValueError)):
            b.__setstate__(bad)
    assert b.tolist() == a.tolist()


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_copies_are_independent(how):
    for m in (mx, peer):
        a = m.array([1.0, 2.0])
        b = how(a)
        assert b is not a
        b[0] = 9
        a[1] = 7
        assert (a.tolist(), b.tolist()) == ([1.0, 7.0], [9.0, 2.0])


def test_deepcopy_of_a_tree():
    tree = {"a": [mx.array([1, 2]), {"b": mx.array(3)}], "c": (mx.ones((2,)), "text")}
    again = copy.deepcopy(tree)
    tree["a"][0][0] = 5
    assert again["a"][0].tolist() == [1, 2]
    assert again["c"][1] == "text"


# ---- Hash and equality.


def test_hashes_and_membership_are_by_identity():
    for m in (mx, peer):
        a, b = m.array([1, 2]), m.array([1, 2])
        assert {a: 1}[a] == 1
        assert b not in {a: 1}
        assert hash(a) == hash(a) != hash(b)
        assert a in [a]


@pytest.mark.parametrize("other", ["x", [1, 2], object(), (1, 2), {}])
def test_others_are_unequal(other):
    for m in (mx, peer):
        assert (m.array([1, 2]) == other) is False
        assert (m.array([1, 2]) != other) is True


def test_format_of_an_array_with_axes_is_refused():
    for m in (mx, peer):
        assert f"{m.array(1.5):.2f}" == "1.50"
        assert f"{m.array([1])}" == "array([1], dtype=int32)"
        with pytest.raises(TypeError, match="format"):
            f"{m.array([1.0]):.2f}"


# ---- The device that is not there.


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.set_default_device(m.gpu), lambda m: m.new_stream(m.gpu),
        lambda m: m.default_stream(m.gpu), lambda m: m.add(m.ones((2,)), 1, stream=m.gpu),
        lambda m: m.stream(m.gpu).__enter__(),
    ],
)  # fmt: skip
def test_the_gpu_is_refused(call):
    for m in (mx, peer):
        with pytest.raises(ValueError, match="gpu"):
            call(m)
        assert not m.is_available(m.gpu)
        assert m.device_count(m.gpu) == 0
        assert m.default_device() == m.Device(m.cpu, 0)


# ---- Threads.


def test_threads_record_evaluate_and_export():
    x = mx.random.normal((64, 64))
    mx.eval(x)
    want = bytes(mx.softmax(x @ x, axis=-1))
    errors = []

    def work(seed):
        try:
            for i in range(20):
                y = mx.softmax(x @ x, axis=-1)
                if i % 3 == seed % 3:
                    view = np.from_dlpack(y)
                    assert view.tobytes() == want
                g = mx.grad(lambda a: mx.sin(a).sum())(x)
                assert g.shape == x.shape
                assert bytes(y) == want
                mx.eval(g, mx.compile(lambda a: a * 2 + 1)(x))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
