"""Files of arrays: what is read and written, when, and by how much memory."""

import gc
import io
import os
import pickle
import resource
import struct
import threading
import zipfile

import numpy as np
import plimsoll.core as mx
import plimsoll.nn as nn
import pytest

peer = pytest.importorskip("mlx.core")

DTYPES = [
    "bool_", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float32", "float64", "complex64",
]  # fmt: skip
SHAPES = [(), (1,), (0,), (3, 0, 2), (5,), (2, 3), (2, 3, 4)]
LARGE = (1024, 512)  # of float32: 2 MiB, far above the size that is read at once


def bits(a):
    """An array's row-major bytes, its dtype and shape."""
    data, shape, dtype = a.__reduce__()[1]
    return data, tuple(shape), dtype


def sample(name, shape):
    count = int(np.prod(shape))
    return (mx.arange(count) - 2).reshape(shape).astype(getattr(mx, name))


def files(folder):
    return sorted(p.name for p in folder.iterdir())


# ---- What is read and written.


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("where", ["file", "stream"])
def test_every_dtype_and_shape_comes_back_from_every_format(tmp_path, name, shape, where):
    x = sample(name, shape)
    for ending, write in [
        ("npy", lambda f: mx.save(f, x)),
        ("npz", lambda f: mx.savez(f, x=x)),
        ("npz", lambda f: mx.savez_compressed(f, x=x)),
        ("safetensors", lambda f: mx.save_safetensors(f, {"x": x})),
    ]:
        if where == "file":
            target = tmp_path / f"a.{ending}"
            write(target)
            loaded = mx.load(target)
        else:
            target = io.BytesIO()
            write(target)
            target.seek(0)
            loaded = mx.load(target, format=ending)
        assert bits(loaded if ending == "npy" else loaded["x"]) == bits(x)


@pytest.mark.parametrize("name", [n for n in DTYPES if n not in ("bfloat16", "float64")])
def test_numpy_reads_ours_and_we_read_numpys(tmp_path, name):
    x = sample(name, (3, 4))
    mx.save(tmp_path / "ours.npy", x)
    np.testing.assert_array_equal(np.load(tmp_path / "ours.npy"), np.array(x))
    mx.savez(tmp_path / "ours.npz", x)
    np.testing.assert_array_equal(np.load(tmp_path / "ours.npz")["arr_0"], np.array(x))
    np.save(tmp_path / "theirs.npy", np.array(x))
    assert bits(mx.load(tmp_path / "theirs.npy")) == bits(x)


@pytest.mark.parametrize("name", DTYPES)
def test_mlx_reads_ours_and_we_read_mlxs(tmp_path, name):
    x = sample(name, (2, 3))
    mx.save_safetensors(tmp_path / "a", {"x": x, "y": x.T}, metadata={"k": "ü"})
    mx.save(tmp_path / "a", x)
    theirs = peer.load(str(tmp_path / "a.npy"))
    assert str(theirs.dtype).split(".")[-1] == str(x.dtype).split(".")[-1]
    assert theirs.tolist() == x.tolist()
    if name in ("float64", "complex64"):
        return  # not among MLX's safetensors
    arrays, metadata = peer.load(str(tmp_path / "a.safetensors"), return_metadata=True)
    assert metadata == {"k": "ü"}
    assert arrays["y"].tolist() == x.T.tolist()
    peer.save_safetensors(str(tmp_path / "b"), arrays, metadata)
    peer.save(str(tmp_path / "b"), theirs)
    ours, metadata = mx.load(tmp_path / "b.safetensors", return_metadata=True)
    assert metadata == {"k": "ü"}
    assert bits(ours["y"]) == bits(x.T)
    assert bits(mx.load(tmp_path / "b.npy")) == bits(x)


@pytest.mark.parametrize("kind", [">f4", ">f2", ">f8", ">i8", ">u2", ">c8", "<f8", "=i4", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (300, 400, 2)])
def test_byte_orders_and_column_major_files(tmp_path, kind, order, shape):
    a = (np.arange(np.prod(shape)) % 2048).reshape(shape).astype(kind)
    np.save(tmp_path / "a.npy", np.asarray(a, order=order))
    native = a.astype(a.dtype.newbyteorder("="))
    x = mx.load(tmp_path / "a.npy")
    assert x.shape == shape
    assert bits(x)[0] == native.tobytes()
    with open(tmp_path / "a.npy", "rb") as f:
        assert bits(mx.load(f))[0] == native.tobytes()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_npy_header(tmp_path, version):
    a = np.arange(5, dtype=np.float32)
    with open(tmp_path / "a.npy", "wb") as f:
        np.lib.format.write_array(f, a, version=version)
    assert mx.load(tmp_path / "a.npy").tolist() == a.tolist()


def test_bytes_of_a_bool_other_than_0_and_1_are_true(tmp_path):
    np.save(tmp_path / "a.npy", np.array([0, 1, 2, 255], np.uint8).view(bool))
    assert mx.load(tmp_path / "a.npy").astype(mx.int32).tolist() == [0, 1, 1, 1]


def test_several_arrays_in_one_stream(tmp_path):
    stream = io.BytesIO()
    for i in range(3):
        mx.save(stream, mx.full((i + 1,), i))
    stream.seek(0)
    assert [mx.load(stream, format="npy").tolist() for _ in range(3)] == [[0], [1, 1], [2, 2, 2]]


def test_streams_that_cannot_seek_are_read():
    class Pipe:
        name = "x.npy"

        def __init__(self, data):
            self.data = io.BytesIO(data)

        def read(self, n=-1):
            return self.data.read(min(n, 1000) if n >= 0 else -1)

    stream = io.BytesIO()
    np.save(stream, np.arange(100))
    assert mx.load(Pipe(stream.getvalue())).tolist() == list(range(100))


def test_errors_of_a_stream_are_its_own():
    class Broken(io.BytesIO):
        def read(self, n=-1):
            raise KeyError("disk")

    with pytest.raises(KeyError, match="disk"):
        mx.load(Broken(bytes(100)), format="npy")
    with pytest.raises(TypeError):
        mx.load(io.StringIO("text" * 100), format="npy")


def test_formats_come_from_names(tmp_path):
    with open(tmp_path / "a.npy", "wb") as f:
        mx.save(f, mx.array([1, 2]))
    with open(tmp_path / "a.npy", "rb") as f:
        assert mx.load(f).tolist() == [1, 2]
    os.rename(tmp_path / "a.npy", tmp_path / "a.bin")
    assert mx.load(tmp_path / "a.bin", format="npy").tolist() == [1, 2]
    mx.save(tmp_path / "b.NPY", mx.array(1))
    assert files(tmp_path) == ["a.bin", "b.NPY.npy"]


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_weights_go_to_files_and_back(tmp_path, ending):
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    a.save_weights(str(tmp_path / f"w.{ending}"))
    b.load_weights(str(tmp_path / f"w.{ending}"))
    assert a.weight.tolist() == b.weight.tolist()


def test_items_of_safetensors_are_aligned_to_their_size(tmp_path):
    x = {"a": mx.array([True]), "b": mx.ones((3,), mx.float16), "c": mx.ones((1,), mx.int64)}
    mx.save_safetensors(tmp_path / "a", x)
    text = (tmp_path / "a.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", text[:8])
    assert length % 8 == 0
    header = __import__("json").loads(text[8 : 8 + length])
    assert list(header) == ["a", "b", "c"]
    assert {k: v["data_offsets"] for k, v in header.items()} == {
        "a": [14, 15], "b": [8, 14], "c": [0, 8],
    }  # fmt: skip


def test_large_data_starts_on_a_block(tmp_path):
    x = mx.ones(LARGE)
    mx.save(tmp_path / "a", x)
    mx.save_safetensors(tmp_path / "a", {"x": x})
    for name in ("a.npy", "a.safetensors"):
        assert os.path.getsize(tmp_path / name) == x.nbytes + 4096
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.ones(LARGE, np.float32))
    assert peer.load(str(tmp_path / "a.npy")).shape == LARGE
    assert peer.load(str(tmp_path / "a.safetensors"))["x"].shape == LARGE


# ---- When, and by how much memory.


def save_large(folder, ending):
    """A large array of random numbers in a file; the name, and how to open the array."""
    a = np.random.default_rng(0).standard_normal(LARGE).astype(np.float32)
    path = folder / f"large.{ending}"
    if ending == "npy":
        np.save(path, a)
    elif ending == "npz":
        np.savez(path, x=a)
    else:
        peer.save_safetensors(str(path), {"x": peer.array(a)})
    return a, path, lambda: mx.load(path) if ending == "npy" else mx.load(path)["x"]


@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors"])
def test_nothing_is_resident_before_it_is_used(tmp_path, ending):
    a, _, opened = save_large(tmp_path, ending)
    before = mx.get_active_memory()
    x = opened()
    assert x.shape == LARGE
    assert mx.get_active_memory() - before < 65536
    total = mx.sum(mx.abs(x))
    mx.eval(total)
    assert mx.last_evaluation().loaded >= x.nbytes
    assert total.item() == pytest.approx(np.abs(a).sum(dtype=np.float64), rel=1e-5)
    np.testing.assert_array_equal(np.array(x), a)


@pytest.mark.plenty("begins with the array in memory")
@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors"])
def test_evicting_a_loaded_array_writes_nothing(tmp_path, ending):
    a, _, opened = save_large(tmp_path, ending)
    limit, strict = mx.get_memory_limit(), mx.get_memory_strict()
    x = opened()
    mx.eval(mx.sum(x))
    gc.collect()  # what earlier tests' errors hold would be written
    resident = mx.get_active_memory()
    spilled = mx.memory_report().spilled
    try:
        mx.set_memory_limit(1 << 20)
        assert mx.get_active_memory() <= resident - x.nbytes
        assert mx.memory_report().spilled - spilled < x.nbytes
        np.testing.assert_array_equal(np.array(x), a)
    finally:
        mx.set_memory_limit(limit, strict=strict)


@pytest.mark.plenty("arrays of a block of their own are not small")
def test_small_arrays_are_read_at_once(tmp_path):
    mx.save(tmp_path / "a", mx.arange(5))
    x = mx.load(tmp_path / "a.npy")
    os.truncate(tmp_path / "a.npy", 0)
    assert x.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors"])
def test_a_file_that_was_changed_raises(tmp_path, ending):
    a, path, opened = save_large(tmp_path, ending)
    x = opened()
    with open(path, "ab") as f:
        f.write(b"x")
    with pytest.raises(OSError, match="load it again"):
        mx.eval(mx.sum(x))
    with pytest.raises(OSError, match="load it again"):
        np.array(x)
    path.unlink()
    save_large(tmp_path, ending)
    np.testing.assert_array_equal(np.array(opened()), a)


@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors"])
def test_an_array_may_be_saved_over_its_own_file(tmp_path, ending):
    a, path, opened = save_large(tmp_path, ending)
    x = opened()
    y = x + 1
    {
        "npy": lambda: mx.save(path, y),
        "npz": lambda: mx.savez(path, x=y),
        "safetensors": lambda: mx.save_safetensors(path, {"x": y}),
    }[ending]()
    np.testing.assert_array_equal(np.array(opened()), a + 1)
    np.testing.assert_array_equal(np.array(x), a)
    np.testing.assert_array_equal(np.array(y), a + 1)
    assert files(tmp_path) == [path.name]


def test_a_file_may_be_removed_or_renamed_over_while_its_arrays_are_in_use(tmp_path):
    a, path, opened = save_large(tmp_path, "npy")
    x = opened()
    (tmp_path / "other").write_bytes(b"other")
    os.replace(tmp_path / "other", path)
    np.testing.assert_array_equal(np.array(x), a)
    x = mx.load(save_large(tmp_path, "npy")[1])
    path.unlink()
    np.testing.assert_array_equal(np.array(x), a)


def test_saving_needs_little_room(tmp_path):
    limit, strict = mx.get_memory_limit(), mx.get_memory_strict()
    a = np.arange(1 << 22, dtype=np.float32).reshape(2048, 2048)
    np.save(tmp_path / "a.npy", a)
    x = mx.load(tmp_path / "a.npy")
    try:
        mx.set_memory_limit(mx.memory_report().used + (12 << 20))
        mx.reset_peak_memory()
        mx.save(tmp_path / "b.npy", x)
        mx.save_safetensors(tmp_path / "b", {"x": x, "again": x})
        mx.savez(tmp_path / "b.npz", x=x)
        assert mx.get_peak_memory() <= mx.get_memory_limit()
    finally:
        mx.set_memory_limit(limit, strict=strict)
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), a)
    np.testing.assert_array_equal(np.load(tmp_path / "b.npz")["x"], a)
    np.testing.assert_array_equal(peer.load(str(tmp_path / "b.safetensors"))["again"], a)


@pytest.mark.plenty("tiles of one element of a megabyte", "smallest-tiles")
def test_views_are_saved_by_their_own_elements(tmp_path):
    a, _, opened = save_large(tmp_path, "npy")
    x = opened()
    for view, expected in [
        (x.T, a.T),
        (x[5:, ::3], a[5:, ::3]),
        (x[3], a[3]),
        (mx.broadcast_to(x[:1, :4], (3, 4)), np.broadcast_to(a[:1, :4], (3, 4))),
        (mx.broadcast_to(mx.array(1.5), (70, 1000)), np.full((70, 1000), 1.5, np.float32)),
    ]:
        mx.save(tmp_path / "b.npy", view)
        np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), expected)
        stream = io.BytesIO()
        mx.save(stream, view)
        stream.seek(0)
        np.testing.assert_array_equal(np.load(stream), expected)


def test_loaded_arrays_are_used_by_several_threads(tmp_path):
    a, _, opened = save_large(tmp_path, "safetensors")
    x, out = opened(), [None] * 4

    def work(i):
        out[i] = np.array(x + i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in range(4):
        np.testing.assert_array_equal(out[i], a + i)


def test_loaded_arrays_are_pickled_by_value(tmp_path):
    a, path, opened = save_large(tmp_path, "npy")
    text = pickle.dumps(opened())
    path.unlink()
    np.testing.assert_array_equal(np.array(pickle.loads(text)), a)


# ---- What goes wrong.


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.npy"
    mx.save(path, mx.array([1]))
    with pytest.raises(IndexError):
        mx.save(path, mx.ones((3,))[mx.array([7])])
    with pytest.raises(IndexError):
        mx.savez(tmp_path / "a.npz", mx.ones((3,))[mx.array([7])])
    assert mx.load(path).tolist() == [1]
    assert files(tmp_path) == ["a.npy"]


@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors", "gguf"])
def test_missing_files_and_folders_raise_what_python_and_mlx_raise(tmp_path, ending):
    path = str(tmp_path / "none" / f"a.{ending}")
    for call in (
        lambda: mx.load(path),
        lambda: mx.save_safetensors(path, {}) if ending == "safetensors" else mx.savez(path),
        lambda: mx.save(path, mx.array(1)),
    ):
        for cls in (FileNotFoundError, RuntimeError):
            with pytest.raises(cls, match="No such file") as e:
                call()
            assert e.value.errno == 2
    with pytest.raises(IsADirectoryError):
        mx.load(tmp_path, format=ending)
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(IsADirectoryError):
        mx.save(tmp_path / "a", mx.array(1))


def test_too_many_open_files_are_explained(tmp_path):
    _, path, _ = save_large(tmp_path, "npy")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
        with pytest.raises(OSError, match="ulimit -n"):
            held.extend(mx.load(path) for _ in range(100))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    held.clear()
    assert mx.load(path).shape == LARGE


@pytest.mark.parametrize("ending", ["npy", "npz", "safetensors", "gguf"])
@pytest.mark.parametrize("text", [b"", b"x", b"hello world" * 20, b"PK\x03\x04" + bytes(30)])
def test_files_of_something_else_are_refused(tmp_path, ending, text):
    (tmp_path / f"a.{ending}").write_bytes(text)
    for cls in (ValueError, RuntimeError):
        with pytest.raises(cls, match=r"\[load\] expected"):
            mx.load(tmp_path / f"a.{ending}")
        with pytest.raises(cls, match=r"\[load\] expected"):
            mx.load(io.BytesIO(text), format=ending)


def test_other_arguments_are_refused(tmp_path):
    for path in ("a.txt", "a", "a.pt"):
        with pytest.raises(ValueError, match="expected format"):
            mx.load(tmp_path / path)
    with pytest.raises(ValueError, match="expected format"):
        mx.load(io.BytesIO())
    with pytest.raises(ValueError, match="expected a file name"):
        mx.load(3)
    with pytest.raises(ValueError, match="expected a file name"):
        mx.save(3, mx.array(1))
    mx.save(tmp_path / "a", mx.array(1))
    with pytest.raises(ValueError, match="return_metadata, got format npy"):
        mx.load(tmp_path / "a.npy", return_metadata=True)
    for bad in ([1, 2], np.zeros(3)):
        with pytest.raises(TypeError):
            mx.save(tmp_path / "b", bad)
        with pytest.raises(TypeError, match="expected an array as arr_0"):
            mx.savez(tmp_path / "b", bad)
        with pytest.raises(TypeError, match="expected an array as x"):
            mx.save_safetensors(tmp_path / "b", {"x": bad})
    with pytest.raises(TypeError, match="expected a dict"):
        mx.save_safetensors(tmp_path / "b", [mx.array(1)])
    with pytest.raises(ValueError, match="metadata of texts"):
        mx.save_safetensors(tmp_path / "b", {"x": mx.array(1)}, metadata={"a": 1})
    with pytest.raises(ValueError, match="names that differ"):
        mx.save_safetensors(tmp_path / "b", {"__metadata__": mx.array(1)})
    with pytest.raises(ValueError, match=r"names other than \['arr_0'\]"):
        mx.savez(tmp_path / "b", mx.array(1), arr_0=mx.array(2))
    assert files(tmp_path) == ["a.npy"]


def npy(header, data=b"", version=1, length=None):
    header = header if isinstance(header, bytes) else header.encode()
    size = len(header) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", size) + header + data


NPY = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (npy(NPY, b"1234"), "expected 8 bytes for an array of shape .2,. and dtype float32, got 4"),
        (npy(NPY, length=60000), "header of at most 65536 bytes inside the file, got one of 60000"),
        (npy(NPY, version=7), "expected version 1, 2 or 3 of npy, got 7"),
        (npy(NPY, version=2), "expected an npy header of at most"),
        (npy(NPY.replace("(2,)", "(-2,)")), "expected sizes of at least 0 in the shape"),
        (npy(NPY.replace("(2,)", "(2.5,)")), "expected ','"),
        (npy(NPY.replace("(2,)", "2")), r"expected '\('"),
        (npy(NPY.replace("(2,)", f"({2**64},)")), "expected sizes of at least 0"),
        (npy(NPY.replace("(2,)", f"({2**62}, {2**62})")), "shape that memory can hold"),
        (npy(NPY.replace("(2,)", f"(0, {2**62}, {2**62})")), "shape that memory can hold"),
        (npy(NPY.replace("(2,)", "(" + "1, " * 65 + ")")), "at most 64 dimensions"),
        (npy(NPY.replace("<f4", "<c16")), "expected a type of bool.*'<c16'"),
        (npy(NPY.replace("<f4", "|O")), "expected a type of bool.*'|O'"),
        (npy(NPY.replace("'<f4'", "[('a', '<f4')]")), "expected a string"),
        (npy(NPY.replace("False", "0")), "expected True or False"),
        (npy(NPY.replace("'shape'", "'descr'")), "once each in the npy"),
        (npy("{'descr': '<f4', }"), "expected the keys"),
        (npy(NPY + "x"), "expected nothing after the dictionary"),
        (npy("(" * 60000), r"expected '\{'"),
        (npy("{'" + "a" * 60000), "expected the end of a string"),
    ],
)
def test_hostile_npy_files_are_refused(tmp_path, text, message):
    (tmp_path / "a.npy").write_bytes(text)
    with pytest.raises(ValueError, match=message):
        mx.load(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=message):
        mx.load(io.BytesIO(text), format="npy")


def safetensors(header, data=bytes(16), length=None):
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(name="a", dtype='"F32"', shape="[2]", offsets="[0,8]"):
    return f'"{name}":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1234567", "expected a safetensors file, got one of 7 bytes"),
        (safetensors("{}", length=2**63), "header of at most 100000000 bytes inside the file"),
        (safetensors("{}", length=10**8), "header of at most 100000000 bytes inside the file"),
        (safetensors("{" + entry(offsets="[12,20]") + "}"), "inside the 16 bytes of data"),
        (safetensors("{" + entry(offsets="[8,0]") + "}"), "inside the 16 bytes of data"),
        (safetensors("{" + entry(offsets="[0,12]") + "}"), "expected 8 bytes for 'a' of shape"),
        (safetensors("{" + entry(offsets=f"[0,{2**64 - 1}]") + "}"), "inside the 16 bytes of data"),
        (safetensors("{" + entry(offsets=f"[0,{2**70}]") + "}"), "expected two whole numbers"),
        (safetensors("{" + entry(offsets="[-8,0]") + "}"), "two whole numbers of at least 0.*-8"),
        (safetensors("{" + entry(offsets="[0,8,9]") + "}"), "expected two whole numbers"),
        (safetensors("{" + entry(offsets="[0]") + "}"), "expected two whole numbers"),
        (safetensors("{" + entry(offsets="[0,8.0]") + "}"), "expected two whole numbers"),
        (safetensors("{" + entry(shape="[-2]") + "}"), "64 whole numbers of at least 0.*'a'.*-2"),
        (safetensors("{" + entry(shape=f"[{2**63}]") + "}"), "64 whole numbers of at least 0"),
        (safetensors("{" + entry(shape=f"[{2**62},{2**62}]") + "}"), "that memory can hold"),
        (safetensors("{" + entry(shape=f"[{[1] * 65}]"[1:-1]) + "}"), "at most 64 whole numbers"),
        (safetensors("{" + entry(shape="[[2]]") + "}"), "at most 64 whole numbers"),
        (safetensors("{" + entry(dtype='"F4"') + "}"), "expected a dtype such as F32.*'F4'"),
        (safetensors("{" + entry(dtype="4") + "}"), "expected a text as dtype"),
        (safetensors("{" + entry() + "," + entry() + "}"), "each name once.*'a' twice"),
        (safetensors("{" + entry() + "," + entry("b", offsets="[4,12]") + "}"), "do not overlap"),
        (safetensors('{"a":{"dtype":"F32","shape":[2]}}'), "once each, of 'a'.*no more keys"),
        (safetensors('{"a":{"x":1}}'), "the key 'x'"),
        (safetensors('{"a":1}'), "expected an object for every name"),
        (safetensors("[]"), "expected one object"),
        (safetensors("7"), "expected one object"),
        (safetensors('{"__metadata__":{"a":1}}'), "expected texts in __metadata__"),
        (safetensors('{"__metadata__":{"a":{}}}'), "expected texts in __metadata__|an object"),
        (safetensors('{"a":' * 100000), "expected a text as dtype"),
        (safetensors("[" * 100000), "expected one object"),
        (safetensors(b'{"\xff\xfe":1}'), "expected a safetensors header in JSON"),
        (safetensors(b'{"\\ud800":1}'), "expected a safetensors header in JSON"),
        (safetensors("{" + entry()), "expected a safetensors header in JSON"),
        (safetensors("{" + entry() + "}x"), "expected a safetensors header in JSON"),
        (safetensors(""), "expected a safetensors header in JSON"),
    ],
)
def test_hostile_safetensors_are_refused(tmp_path, text, message):
    (tmp_path / "a.safetensors").write_bytes(text)
    with pytest.raises(ValueError, match=message):
        mx.load(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=message):
        mx.load(io.BytesIO(text), format="safetensors")


def test_gaps_trailing_bytes_and_eight_bit_floats_are_accepted_as_in_mlx(tmp_path):
    path = str(tmp_path / "a.safetensors")
    for header in (entry(offsets="[8,16]"), entry(), entry(dtype='"F8_E4M3"', offsets="[0,2]")):
        (tmp_path / "a.safetensors").write_bytes(safetensors("{" + header + "}", bytes(range(20))))
        theirs = peer.load(path)["a"]
        assert mx.load(path)["a"].tolist() == theirs.tolist()


def stored_zip(method=zipfile.ZIP_STORED, **members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, text in members.items():
            archive.writestr(f"{name}.npy", text)
    return bytearray(stream.getvalue())


GOOD = stored_zip(a=npy(NPY, b"12345678"), b=npy(NPY, b"abcdefgh"))
CENTRAL = GOOD.index(b"PK\x01\x02")  # of member a: its record in the directory


def patched(offset, data):
    at = CENTRAL + offset
    return GOOD[:at] + data + GOOD[at + len(data) :]


def test_the_npz_file_that_the_next_test_spoils_is_good(tmp_path):
    (tmp_path / "a.npz").write_bytes(GOOD)
    loaded = mx.load(tmp_path / "a.npz")
    assert {k: bits(v)[0] for k, v in loaded.items()} == {"a": b"12345678", "b": b"abcdefgh"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD[:-30], id="truncated"),
        pytest.param(stored_zip(a=b"text"), id="no npy inside"),
        pytest.param(patched(20, struct.pack("<II", 200, 200)), id="sizes past the next member"),
        pytest.param(patched(24, b"\x01\0\0\0"), id="another size than is stored"),
        pytest.param(patched(42, b"\x05\0\0\0"), id="a member somewhere else"),
        pytest.param(patched(10, b"\x63\0"), id="an unknown compression"),
        pytest.param(patched(8, b"\x01\0"), id="encrypted"),
        pytest.param(stored_zip(zipfile.ZIP_BZIP2, a=npy(NPY, b"12345678")), id="bzip2"),
        pytest.param(stored_zip(zipfile.ZIP_LZMA, a=npy(NPY, b"12345678")), id="lzma"),
        pytest.param(patched(10, b"\x08\0\0\0\0\0\0\0\0\0\0\0\0\0"), id="a stream of no bytes"),
    ],
)
def test_hostile_npz_files_are_refused(tmp_path, text):
    (tmp_path / "a.npz").write_bytes(text)
    with pytest.raises(ValueError, match=r"\[load\] expected"):
        mx.load(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"\[load\] expected"):
        mx.load(io.BytesIO(text), format="npz")


def test_a_small_compressed_member_that_claims_to_be_large_is_refused(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(NPY.replace("(2,)", f"({1 << 29},)"), bytes(100)))
    text = bytearray(stream.getvalue())
    at = text.index(b"PK\x01\x02") + 24
    text[at : at + 4] = struct.pack("<I", (1 << 31) + 200)
    (tmp_path / "a.npz").write_bytes(text)
    with pytest.raises(ValueError, match="which is what deflate can make of"):
        mx.load(tmp_path / "a.npz")


def test_a_compressed_member_that_is_too_large_for_the_limit_is_refused(tmp_path):
    limit, strict = mx.get_memory_limit(), mx.get_memory_strict()
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((64, 1 << 20), np.uint8))
    mx.clear_cache()  # it would make room
    try:
        mx.set_memory_limit(mx.memory_report().used + (8 << 20), strict=True)
        with pytest.raises(MemoryError):
            mx.load(tmp_path / "a.npz")
    finally:
        mx.set_memory_limit(limit, strict=strict)
    assert mx.load(tmp_path / "a.npz")["x"].shape == (64, 1 << 20)
