"""GGUF files: what is written, what is read, and what is refused."""

import io
import struct

import numpy as np
import plimsoll.core as mx
import pytest

peer = pytest.importorskip("mlx.core")

BOTH = ["float32", "float16", "int8", "int16", "int32"]  # dtypes that the wheel has, too
MORE = ["bfloat16", "float64", "int64"]


def bits(a):
    data, shape, dtype = a.__reduce__()[1]
    return data, tuple(shape), dtype


def text(s):
    return struct.pack("<Q", len(s.encode())) + s.encode()


def gguf(tensors, metadata=(), version=3, alignment=32):
    """A file by the format's description. Tensors: (name, dims, type, bytes)."""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, kind, value in metadata:
        out += text(key) + struct.pack("<I", kind) + value
    data = b""
    for name, dims, kind, raw in tensors:
        out += text(name) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        out += struct.pack("<IQ", kind, len(data))
        data += raw + bytes(-len(raw) % alignment)
    return out + bytes(-len(out) % alignment) + data


@pytest.mark.parametrize("name", BOTH + MORE)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3, 4), (300, 200)])
def test_arrays_come_back(tmp_path, name, shape):
    x = (mx.arange(int(np.prod(shape))) % 100 - 2).reshape(shape).astype(getattr(mx, name))
    y = mx.arange(5.0)
    mx.save_gguf(tmp_path / "a", {"x": x, "y": y}, {"n": mx.array(3)})
    stream = io.BytesIO()
    mx.save_gguf(stream, {"x": x, "y": y}, {"n": mx.array(3)})
    assert stream.getvalue() == (tmp_path / "a.gguf").read_bytes()
    stream.seek(0)
    for loaded in (mx.load(tmp_path / "a.gguf"), mx.load(stream, format="gguf")):
        assert list(loaded) == ["x", "y"]
        assert bits(loaded["x"]) == bits(x)
        assert bits(loaded["y"]) == bits(y)


@pytest.mark.parametrize("name", BOTH)
def test_mlx_reads_ours_and_we_read_mlxs(tmp_path, name):
    ours, theirs = str(tmp_path / "ours.gguf"), str(tmp_path / "theirs.gguf")
    values = np.arange(24).reshape(2, 3, 4)
    mx.save_gguf(ours, {"x": mx.array(values).astype(getattr(mx, name))})
    peer.save_gguf(theirs, {"x": peer.array(values).astype(getattr(peer, name))})
    a, b = mx.load(theirs)["x"], peer.load(ours)["x"]
    assert str(a.dtype).split(".")[-1] == str(b.dtype).split(".")[-1] == name
    np.testing.assert_array_equal(np.array(a), values)
    np.testing.assert_array_equal(np.array(b), values)


METADATA = {
    "text": "ü",
    "none": "",
    "texts": ["a", "", "ü"],
    "no.texts": [],
    "flag": (True, "bool_"),
    "flags": ([True, False], "bool_"),
    **{f"one.{n}": (3, n) for n in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64",
                                    "int64", "float32")},
    **{f"list.{n}": ([3, 4], n) for n in ("uint8", "int16", "uint32", "int64", "float32")},
}  # fmt: skip


def metadata_for(m):
    return {
        key: m.array(value[0]).astype(getattr(m, value[1])) if isinstance(value, tuple) else value
        for key, value in METADATA.items()
    }


def plain(metadata):
    return {
        key: value if isinstance(value, str | list)
        else (value.tolist(), str(value.dtype).split(".")[-1])
        for key, value in metadata.items()
    }  # fmt: skip


def test_metadata_of_both_libraries_agree(tmp_path):
    ours, theirs = str(tmp_path / "ours.gguf"), str(tmp_path / "theirs.gguf")
    mx.save_gguf(ours, {"x": mx.zeros(1)}, metadata_for(mx))
    peer.save_gguf(theirs, {"x": peer.zeros(1)}, metadata_for(peer))
    want = plain(metadata_for(mx))
    for path in (ours, theirs):
        assert plain(mx.load(path, return_metadata=True)[1]) == want
        assert plain(peer.load(path, return_metadata=True)[1]) == want


def blocks(kind, rows, columns, seed=0):
    """Quantized bytes and the numbers that they stand for, by the format's description."""
    rng = np.random.default_rng(seed)
    count = rows * columns // 32
    d = rng.uniform(-1, 1, (count, 1)).astype(np.float16)
    m = rng.uniform(-1, 1, (count, 1)).astype(np.float16)
    if kind == 8:
        q = rng.integers(-128, 128, (count, 32)).astype(np.int8)
        raw = np.concatenate([d.view(np.uint8), q.view(np.uint8)], axis=1)
        return raw.tobytes(), (d.astype(np.float64) * q).reshape(rows, columns)
    q = rng.integers(0, 256, (count, 16)).astype(np.uint8)
    elements = np.concatenate([q & 15, q >> 4], axis=1).astype(np.float64)
    if kind == 2:
        raw = np.concatenate([d.view(np.uint8), q], axis=1)
        return raw.tobytes(), (d * (elements - 8)).reshape(rows, columns)
    raw = np.concatenate([d.view(np.uint8), m.view(np.uint8), q], axis=1)
    return raw.tobytes(), (d * elements + m).reshape(rows, columns)


@pytest.mark.parametrize(("kind", "width"), [(2, 4), (3, 4), (8, 8)])
@pytest.mark.parametrize(("rows", "columns"), [(2, 32), (3, 128), (600, 512)])
def test_quantized_tensors_are_weight_scales_and_biases(tmp_path, kind, width, rows, columns):
    raw, values = blocks(kind, rows, columns)
    path = tmp_path / "q.gguf"
    path.write_bytes(gguf([("a.weight", [columns, rows], kind, raw), ("b", [2], 0, bytes(8))]))
    ours, theirs = mx.load(path), peer.load(str(path))
    assert set(ours) == set(theirs) == {"a.weight", "a.scales", "a.biases", "b"}
    for name, a in ours.items():
        b = theirs[name]
        assert (a.shape, str(a.dtype).split(".")[-1]) == (b.shape, str(b.dtype).split(".")[-1])
        np.testing.assert_array_equal(np.array(a), np.array(b))
    dequantized = mx.dequantize(
        ours["a.weight"],
        ours["a.scales"].astype(mx.float32),
        ours["a.biases"].astype(mx.float32),
        group_size=32,
        bits=width,
    )
    np.testing.assert_allclose(np.array(dequantized), values, rtol=1e-5, atol=2e-4)


def test_quantized_tensors_may_be_empty(tmp_path):
    path = tmp_path / "q.gguf"
    path.write_bytes(gguf([("a", [0, 3, 2], 8, b""), ("b", [32, 0], 2, b"")]))
    shapes = {name: np.array(a).shape for name, a in mx.load(path).items()}
    assert shapes == {
        "a": (2, 3, 0), "a.scales": (2, 3, 0), "a.biases": (2, 3, 0),
        "b": (0, 4), "b.scales": (0, 1), "b.biases": (0, 1),
    }  # fmt: skip


def test_nothing_is_resident_before_it_is_used(tmp_path):
    raw, _ = blocks(8, 1024, 1024)
    (tmp_path / "q.gguf").write_bytes(gguf([("a.weight", [1024, 1024], 8, raw)]))
    mx.save_gguf(tmp_path / "x.gguf", {"x": mx.zeros((1024, 1024))})
    before = mx.get_active_memory()
    loaded = [mx.load(tmp_path / "q.gguf"), mx.load(tmp_path / "x.gguf")]
    assert mx.get_active_memory() - before < 1 << 16
    assert loaded[1]["x"].sum().item() == 0


def test_alignments_and_version_2_are_read(tmp_path):
    tensors = [("x", [3], 0, np.float32([1, 2, 3]).tobytes()), ("y", [1], 26, b"\7\0\0\0")]
    alignment = ("general.alignment", 4, struct.pack("<I", 64))
    (tmp_path / "a.gguf").write_bytes(gguf(tensors, [alignment], alignment=64))
    (tmp_path / "b.gguf").write_bytes(gguf(tensors, version=2))
    for name in ("a.gguf", "b.gguf"):
        loaded = mx.load(tmp_path / name)
        assert loaded["x"].tolist() == [1.0, 2.0, 3.0]
        assert loaded["y"].tolist() == [7]


@pytest.mark.parametrize("name", ["bool_", "uint8", "uint32", "uint64", "complex64"])
def test_dtypes_that_the_format_lacks_are_refused(tmp_path, name):
    x = mx.zeros(2).astype(getattr(mx, name))
    for error in (ValueError, RuntimeError):
        with pytest.raises(error, match=r"\[save_gguf\] expected"):
            mx.save_gguf(tmp_path / "a.gguf", {"x": x})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value",
    [3, 1.5, None, [1], [["a"]], {}, mx.zeros((2, 2)), mx.zeros(0), mx.array(1, dtype=mx.float16)],
)
def test_other_metadata_are_refused(tmp_path, value):
    for error in (ValueError, RuntimeError):
        with pytest.raises(error, match=r"\[save_gguf\] expected"):
            mx.save_gguf(tmp_path / "a.gguf", {"x": mx.zeros(2)}, {"k": value})


def test_other_arguments_are_refused(tmp_path):
    with pytest.raises(TypeError):
        mx.save_gguf(tmp_path / "a.gguf", [mx.zeros(2)])
    with pytest.raises(TypeError):
        mx.save_gguf(tmp_path / "a.gguf", {"x": 3})
    for error in (FileNotFoundError, RuntimeError):
        with pytest.raises(error):
            mx.load(tmp_path / "none.gguf")


X = ("x", [2], 0, bytes(8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a GGUF file"),
        (b"hello world" * 9, "expected a GGUF file"),
        (gguf([X], version=1), "version 2 or 3"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version 2 or 3"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "expected a number of tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60) + bytes(99), "expected a number of metadata"),
        (gguf([X], [("k", 13, b"")]), "of a type below 13"),
        (gguf([X], [("k", 9, struct.pack("<IQ", 9, 0))]), "elements of type 9"),
        (gguf([X], [("k", 9, struct.pack("<IQ", 4, 1 << 60))]), "expected a number of numbers"),
        (gguf([X], [("k", 9, struct.pack("<IQ", 8, 1 << 40))]), "expected a number of texts"),
        (gguf([X], [("k", 8, struct.pack("<Q", 1 << 62))]), "got the end of the file"),
        (gguf([X], [("k", 0, b"a"), ("k", 0, b"a")]), "expected a key once"),
        (gguf([X], [("general.alignment", 4, struct.pack("<I", 0))]), "expected a multiple of 8"),
        (gguf([X], [("general.alignment", 8, text("32"))]), "of type uint32"),
        (gguf([("x", [2], 99, bytes(8))]), "got type 99"),
        (gguf([("x", [2], 12, bytes(8))]), "got type 12"),
        (gguf([("x", [1] * 65, 0, bytes(8))]), "at most 64 dimensions"),
        (gguf([("x", [1 << 63], 0, bytes(8))]), "a dimension of at most 2^56"),
        (gguf([("x", [1 << 56, 1 << 56], 0, bytes(8))]), "expected a shape that memory can hold"),
        (gguf([("x", [0, 1 << 30, 1 << 31], 2, b"")]), "expected a shape that memory can hold"),
        (gguf([("x", [1 << 40], 0, bytes(8))]), "is the file complete?"),
        (gguf([("x", [33], 8, bytes(99))]), "whole blocks of 32"),
        (gguf([("x", [], 8, bytes(99))]), "whole blocks of 32"),
        (gguf([X, X]), "names that differ"),
        (gguf([("a.weight", [32], 2, bytes(18)), ("a.scales", [1], 0, bytes(4))]), "that differ"),
        (gguf([X], [("\xff", 0, b"a")]).replace("\xff".encode(), b"\xff\xff"), "UTF-8"),
        (gguf([X])[:-60], ""),
        (gguf([X]).replace(bytes(8) + bytes(7), b"\1" + bytes(14), 1), ""),
    ],
)  # fmt: skip
def test_hostile_files_are_refused(tmp_path, data, message):
    (tmp_path / "a.gguf").write_bytes(data)
    with pytest.raises(ValueError, match=r"\[load\] expected") as caught:
        mx.load(tmp_path / "a.gguf")
    assert message in str(caught.value)
    with pytest.raises(ValueError, match=r"\[load\] expected"):
        mx.load(io.BytesIO(data), format="gguf")


def test_tensors_do_not_overlap(tmp_path):
    data = gguf([("x", [20], 0, bytes(80)), ("y", [20], 0, bytes(80))])
    at = data.index(b"y") + 1 + 4 + 8 + 4
    assert struct.unpack_from("<Q", data, at) == (96,)
    (tmp_path / "a.gguf").write_bytes(data[:at] + struct.pack("<Q", 64) + data[at + 8 :])
    with pytest.raises(ValueError, match="that do not overlap"):
        mx.load(tmp_path / "a.gguf")
    (tmp_path / "a.gguf").write_bytes(data[:at] + struct.pack("<Q", 7) + data[at + 8 :])
    with pytest.raises(ValueError, match="on a multiple of 32"):
        mx.load(tmp_path / "a.gguf")
