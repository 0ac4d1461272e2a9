"""Damaged and made-up files of arrays.

Whatever a file is, loading it gives arrays of the bytes that are in it, the same from the name and
from an open file, or a ValueError that says what was expected. Anything else, and of course a
crash, is a bug.
"""

from __future__ import annotations

import io
import random
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plimsoll.core as mx

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).parent.parent))
from fuzz import made

LARGE = np.arange(20_000, dtype=np.float32).reshape(100, 200)  # is loaded lazily
SMALL = np.array([[1, -2, 3]], np.int16)

# What is dangerous in a size, an offset or a text.
TOKENS = [
    b"0", b"1", b"-1", b"63", b"64", b"65535", b"4294967295", b"4294967296",
    b"9223372036854775807", b"9223372036854775808", b"18446744073709551615", b"1e308", b"0.5",
    b"[", b"]", b"{", b"}", b"(", b")", b",", b":", b'"', b"'", b"\\", b"\\ud800", b"\xff", b"\0",
    b"null", b"true", b"True", b"False", b"<f4", b">c8", b"|O", b"<V2", b"F32", b"BOOL", b"I64",
    b"dtype", b"shape", b"data_offsets", b"descr", b"__metadata__", b"[" * 3000, b'{"a":' * 3000,
    b"PK\1\2", b"PK\3\4", b"PK\5\6", b"\x93NUMPY", b"\xff\xff\xff\xff", b"\0\0\0\0\0\0\0\x80",
]  # fmt: skip


def npy(a: np.ndarray, order: str = "C", version: tuple[int, int] = (1, 0)) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(a, order=order), version=version)
    return out.getvalue()


def safetensors(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    mx.save_safetensors(out, {k: mx.array(a) for k, a in arrays.items()}, {"by": "ü"})
    return out.getvalue()


def npz(compression: int, **arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, a in arrays.items():
            archive.writestr(f"{name}.npy", npy(a))
    return out.getvalue()


def gguf(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    metadata = {"a": "ü", "b": ["x", ""], "c": mx.array([1, 2]), "d": mx.array(True)}
    mx.save_gguf(out, {k: mx.array(a) for k, a in arrays.items()}, metadata)
    return out.getvalue()


SEEDS: list[tuple[str, bytes]] = [
    ("npy", npy(SMALL)),
    ("npy", npy(LARGE, "F", (2, 0))),
    ("npy", npy(LARGE.astype(">f8"))),
    ("npy", npy(np.array([True, False]))),
    ("safetensors", safetensors(x=LARGE, y=SMALL, z=np.zeros((0, 3), np.float16))),
    ("safetensors", safetensors()),
    ("gguf", gguf(x=LARGE, y=SMALL, z=np.zeros((0, 3), np.float16))),
    ("gguf", gguf(x=SMALL)),
    ("npz", npz(zipfile.ZIP_STORED, x=LARGE, y=SMALL)),
    ("npz", npz(zipfile.ZIP_DEFLATED, x=SMALL, y=LARGE)),
    ("npz", npz(zipfile.ZIP_DEFLATED, x=SMALL)),
]

Edit = tuple[str, float, int]  # what, where (a part of the file), a number


def edited(text: bytes, edits: list[Edit]) -> bytes:
    """The text after some edits."""
    for what, where, number in edits:
        at = min(int(where * (len(text) + 1)), len(text))
        token = TOKENS[number % len(TOKENS)]
        if what == "flip" and at < len(text):
            text = text[:at] + bytes([text[at] ^ 1 << number % 8]) + text[at + 1 :]
        elif what == "set":
            text = text[:at] + bytes([number % 256]) + text[at + 1 :]
        elif what == "insert":
            text = text[:at] + token + text[at:]
        elif what == "overwrite":
            text = text[:at] + token + text[at + len(token) :]
        elif what == "cut":
            text = text[:at]
        elif what == "remove":
            text = text[:at] + text[at + 1 + number % 16 :]
        elif what == "repeat":
            text = text[:at] + text[at : at + number % 300] * 2 + text[at + number % 300 :]
        elif what == "word":
            size = [2, 4, 8][number % 3]
            value = SIZES[number // 3 % len(SIZES)] % 256**size
            text = text[:at] + value.to_bytes(size, "little") + text[at + size :]
        elif what == "fit":
            text = fitted(text)
        elif what == "number":
            text = text[:at] + struct.pack("<Q", number * 0x9E3779B97F4A7C15 % 2**64) + text[at:]
    return text


KINDS = [
    "flip", "set", "insert", "overwrite", "cut", "remove", "repeat", "number", "word",
    "word", "fit",
]  # fmt: skip
SIZES = [*made.SMALL, *made.HUGE]


def fitted(text: bytes) -> bytes:
    """With the length of an edited header right again, so that more of it is read."""
    if text[:8] == b"\x93NUMPY\1\0":
        end = text.find(b"\n", 10) + 1
        return text[:8] + struct.pack("<H", (end - 10) % 65536) + text[10:] if end else text
    end = text.find(b"}}", 8) + 2
    return struct.pack("<Q", end - 8) + text[8:] if text[8:9] == b"{" and end > 1 else text


def outcome(load: Callable[[], Any]) -> object:
    """Names, shapes, dtypes and bytes of what was loaded; or that it was refused."""
    try:
        loaded = load()
    except ValueError as e:
        text = str(e)
    else:
        arrays = loaded if isinstance(loaded, dict) else {"": loaded}
        return {name: a.__reduce__()[1] for name, a in arrays.items()}
    assert text.startswith("[load] expected"), text
    assert len(text) < 2000, text  # a shape may have 64 axes
    return "refused"


def check(kind: str, text: bytes, folder: Path) -> bool:
    """Loads the text in both ways; True where it was accepted."""
    path = folder / f"fuzz.{kind}"
    path.write_bytes(text)
    by_name = outcome(lambda: mx.load(path))
    by_stream = outcome(lambda: mx.load(io.BytesIO(text), format=kind))
    if kind == "npz" and "refused" in (by_name, by_stream):
        # Only reading a stored member as a stream checks its CRC.
        return by_stream != "refused"
    assert by_name == by_stream
    if kind != "npz" and isinstance(by_name, dict):
        for data, _, dtype in by_name.values():
            swapped = dtype == mx.bool_ or b">" in text[:200]
            assert swapped or not data or len(data) > 4096 or find(text, data, kind), "other bytes"
    return by_name != "refused"


def find(text: bytes, data: bytes, kind: str) -> bool:
    """Whether the bytes are in the file; not those of column-major and of quantized arrays."""
    return data in text or kind == "gguf" or (kind == "npy" and b"True" in text[:200])


def random_case(rng: random.Random, kind: str | None = None) -> tuple[str, bytes]:
    """A kind, and a good or made-up file of it after edits, most of which are in headers."""
    kind = kind or rng.choice(list(made.KINDS))
    if invented := rng.random() < 0.4:
        text = made.KINDS[kind](rng)
    else:
        text = rng.choice([text for k, text in SEEDS if k == kind])
    edits = []
    for _ in range(rng.choice([0, 0, 0, 1] if invented else [1, 1, 2, 3, 6])):
        near = rng.random() * min(1.0, 400 / max(len(text), 1))
        where = rng.choice([near, near, 1 - near, rng.random()])
        edits.append((rng.choice(KINDS), where, rng.randrange(2**32)))
    if edits and rng.random() < 0.5:
        edits.append(("fit", 0.0, 0))
    return kind, edited(text, edits)


def runner(kind: str) -> Callable[[random.Random, Path], bool]:
    """The fuzzer of one format."""
    return lambda rng, folder: check(*random_case(rng, kind), folder)
