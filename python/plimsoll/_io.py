"""npy, npz and safetensors files. Whole arrays are read and written; nothing is lazy here."""

from __future__ import annotations

import json
import math
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

import numpy as np

from plimsoll import _core
from plimsoll._core import array

File = str | os.PathLike[str] | IO[bytes]

_SAFETENSORS = {
    "BOOL": "bool", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
    "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "C64": "complex64",
}  # fmt: skip
_TAGS = {name: tag for tag, name in _SAFETENSORS.items()}


@contextmanager
def _replacing(file: File, ending: str = "") -> Iterator[IO[bytes]]:
    """A file to write; a named one appears under its name only when it is complete."""
    if hasattr(file, "write"):
        yield cast("IO[bytes]", file)
        return
    path = os.fspath(file)
    if ending and not path.endswith(ending):
        path += ending
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(path)), prefix=".tmp")
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def save(file: File, arr: array) -> None:
    """Writes an array to a .npy file.

    Args:
        file: A name, to which .npy is added where it is missing, or an open binary file.
        arr: The array; bfloat16 is written as float32.

    Raises:
        OSError: where the file cannot be written.
    """
    with _replacing(file, ".npy") as out:
        np.save(out, np.array(arr))


def _named(args: tuple[array, ...], kwargs: dict[str, array]) -> dict[str, Any]:
    named = {f"arr_{i}": np.array(a) for i, a in enumerate(args)}
    if clash := named.keys() & kwargs.keys():
        raise ValueError(f"[savez] expected names other than {sorted(clash)}")
    return named | {name: np.array(a) for name, a in kwargs.items()}


def savez(file: File, *args: array, **kwargs: array) -> None:
    """Writes arrays to a .npz file, under their keywords or as arr_0, arr_1 and so on.

    Args:
        file: A name, to which .npz is added where it is missing, or an open binary file.
        args: Arrays without a name.
        kwargs: Arrays by name.
    """
    with _replacing(file, ".npz") as out:
        np.savez(out, **_named(args, kwargs))


def savez_compressed(file: File, *args: array, **kwargs: array) -> None:
    """As savez, compressed.

    Args:
        file: A name, to which .npz is added where it is missing, or an open binary file.
        args: Arrays without a name.
        kwargs: Arrays by name.
    """
    with _replacing(file, ".npz") as out:
        np.savez_compressed(out, **_named(args, kwargs))


def save_safetensors(
    file: File, arrays: dict[str, array], metadata: dict[str, str] | None = None
) -> None:
    """Writes arrays to a .safetensors file.

    Args:
        file: A name, to which .safetensors is added where it is missing, or an open binary file.
        arrays: The arrays by name.
        metadata: Texts by name, kept in the file's header.
    """
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    position = 0
    for name, a in arrays.items():
        header[name] = {
            "dtype": _TAGS[a.dtype.name],
            "shape": list(a.shape),
            "data_offsets": [position, position + a.nbytes],
        }
        position += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with _replacing(file, ".safetensors") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for a in arrays.values():
            out.write(a.__reduce__()[1][0])


def _load_safetensors(file: IO[bytes]) -> tuple[dict[str, array], dict[str, str]]:
    prefix = file.read(8)
    if len(prefix) != 8:
        raise ValueError("[load] expected a safetensors file, got one that ends in its header")
    header = json.loads(file.read(struct.unpack("<Q", prefix)[0]))
    start = file.tell()
    metadata = header.pop("__metadata__", {})
    out = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        dtype = _core._dtype(_SAFETENSORS[entry["dtype"]])
        shape = tuple(entry["shape"])
        if end - begin != math.prod(shape) * dtype.size:
            raise ValueError(f"[load] expected {name} to have as many bytes as its shape says")
        file.seek(start + begin)
        out[name] = _core._array_from_bytes(file.read(end - begin), shape, dtype)
    return out, metadata


def load(
    file: File,
    /,
    format: str | None = None,
    return_metadata: bool = False,
    *,
    stream: object = None,
) -> Any:
    """Reads arrays from a .npy, .npz or .safetensors file.

    Args:
        file: A name or an open binary file.
        format: "npy", "npz" or "safetensors". Default: the name's ending.
        return_metadata: Whether the texts of a safetensors file's header are returned too.
        stream: Accepted for MLX's sake.

    Returns:
        An array, a dict of arrays, or a pair of that and the metadata.

    Raises:
        ValueError: for another format.
        OSError: where the file cannot be read.
    """
    if not hasattr(file, "read"):
        path = os.fspath(file)
        with open(path, "rb") as opened:
            kind = format or os.path.splitext(path)[1].lstrip(".")
            return load(opened, format=kind, return_metadata=return_metadata)
    source = cast("IO[bytes]", file)
    if format == "safetensors":
        arrays, metadata = _load_safetensors(source)
        return (arrays, metadata) if return_metadata else arrays
    if format == "npy":
        return array(_exact(np.load(source)), None)
    if format == "npz":
        with np.load(source) as members:
            return {name: array(_exact(members[name])) for name in members.files}
    raise ValueError(f'[load] expected format "npy", "npz" or "safetensors", got {format!r}')


def _exact(a: Any) -> Any:
    # array() would turn float64 into float32; a file's dtype is kept.
    if a.dtype == np.float64:
        return _core._array_from_bytes(np.ascontiguousarray(a).tobytes(), a.shape, _core.float64)
    return a
