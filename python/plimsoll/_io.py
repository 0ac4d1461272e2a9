"""npy, npz, safetensors and GGUF files: loaded lazily, by ranges; saved as streams, by renaming."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import IO, Any, cast

from plimsoll import _core
from plimsoll._core import array

File = str | os.PathLike[str] | IO[bytes]

_PIECE = 4 << 20
_FLATTEN = "; flatten a tree as dict(tree_flatten(tree))"


class FileFormatError(ValueError, RuntimeError):
    """A file that is not what its format says. MLX raises RuntimeError for most of these."""


class MissingFileError(FileNotFoundError, RuntimeError):
    """A file or folder that is not there. MLX raises RuntimeError for it."""


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of files in the classes above."""
    try:
        yield
    except FileNotFoundError as e:
        raise MissingFileError(e.errno or errno.ENOENT, e.strerror or str(e)) from None
    except ValueError as e:
        raise FileFormatError(str(e)) from None


# ---- Saving.


def _path(file: str | os.PathLike[str], ending: str) -> str:
    path = os.fspath(file)
    return path if path.endswith(ending) else path + ending


def _is_stream(file: File, method: str) -> bool:
    if hasattr(file, method):
        return True
    if isinstance(file, str | os.PathLike):
        return False
    raise ValueError(
        f"[{'load' if method == 'read' else 'save'}] expected a file name or a binary file with "
        f"{method}, got {type(file).__name__}"
    )


def _pieces(a: array) -> Iterator[bytes]:
    """The row-major bytes of an array that _row_major returned."""
    for begin in range(0, a.nbytes, _PIECE):
        yield _core._read_bytes(a, begin, min(begin + _PIECE, a.nbytes))


def _write_array(out: Any, a: array) -> None:
    for piece in _pieces(_core._row_major(a)):
        out.write(piece)


def save(file: File, arr: array) -> None:
    """Writes an array to a .npy file.

    A named file is written without a name and renamed when it is complete, so that an array may be
    saved over the file that it was loaded from, and a failure leaves the old file. The array is
    evaluated and goes to the file piece by piece.

    Args:
        file: A name, to which .npy is added where it is missing, or a binary file open for writing.
        arr: The array. bfloat16 has the type ``<V2`` in the file, as in MLX: NumPy reads raw bytes.

    Raises:
        FileNotFoundError: where the folder is missing; also a RuntimeError, as in MLX.
        OSError: where the file cannot be written; a full disk is found out before anything runs.

    Example:
        >>> mx.save("weights.npy", mx.ones((2, 3)))
        >>> mx.load("weights.npy").shape
        (2, 3)
    """
    if not isinstance(arr, array):
        raise TypeError(
            f"[save] expected an array, got {type(arr).__name__}; a model writes its parameters "
            "with save_weights(file)"
        )
    if _is_stream(file, "write"):
        out = cast("IO[bytes]", file)
        out.write(_core._npy_header(arr))
        _write_array(out, arr)
        return
    with _translated():
        _core._save_npy(_path(cast("str", file), ".npy"), arr)


def _npz() -> ModuleType:
    # Few programs need archives, and zipfile takes longer to import than the rest.
    from plimsoll import _npz as module

    return module


def savez(file: File, *args: array, **kwargs: array) -> None:
    """Writes arrays to a .npz file, under their keywords or as arr_0, arr_1 and so on.

    Args:
        file: A name, to which .npz is added where it is missing, or a binary file open for writing.
        args: Arrays without a name.
        kwargs: Arrays by name.

    Raises:
        ValueError: where a keyword is the name of an array without one.
        FileNotFoundError: where the folder is missing; also a RuntimeError.
        OSError: where the file cannot be written.

    Example:
        >>> mx.savez("model.npz", w=mx.ones((2, 3)), b=mx.zeros(3))
        >>> sorted(mx.load("model.npz"))
        ['b', 'w']
    """
    with _translated():
        _npz().save(file, args, kwargs, compressed=False)


def savez_compressed(file: File, *args: array, **kwargs: array) -> None:
    """As savez, compressed. Such a file is not loaded lazily.

    Args:
        file: A name, to which .npz is added where it is missing, or a binary file open for writing.
        args: Arrays without a name.
        kwargs: Arrays by name.

    Raises:
        ValueError: where a keyword is the name of an array without one.
        OSError: where the file cannot be written.
    """
    with _translated():
        _npz().save(file, args, kwargs, compressed=True)


def _named_arrays(op: str, arrays: object) -> list[tuple[str, array]]:
    if not isinstance(arrays, dict):
        raise TypeError(f"[{op}] expected a dict, got {type(arrays).__name__}")
    for name, a in arrays.items():
        if not isinstance(name, str):
            raise TypeError(f"[{op}] expected names that are strings, got {type(name).__name__}")
        if not isinstance(a, array):
            raise TypeError(f"[{op}] expected an array as {name}, got {type(a).__name__}{_FLATTEN}")
    return list(arrays.items())


def save_safetensors(
    file: File, arrays: dict[str, array], metadata: dict[str, str] | None = None
) -> None:
    """Writes arrays to a .safetensors file, as `save` does.

    Args:
        file: A name, to which .safetensors is added where it is missing, or a binary file open for
            writing.
        arrays: The arrays by name.
        metadata: Texts by name, kept in the file's header.

    Raises:
        ValueError: where the metadata are no texts.
        TypeError: where arrays is not a dict of arrays.
        FileNotFoundError: where the folder is missing; also a RuntimeError.
        OSError: where the file cannot be written.

    Example:
        >>> mx.save_safetensors("model.safetensors", {"w": mx.ones((2, 3))}, {"step": "7"})
        >>> mx.load("model.safetensors", return_metadata=True)[1]
        {'step': '7'}
    """
    named = _named_arrays("save_safetensors", arrays)
    texts = list((metadata or {}).items())
    if not all(isinstance(part, str) for pair in texts for part in pair):
        raise ValueError("[save_safetensors] expected metadata of texts, got another type")
    if _is_stream(file, "write"):
        out = cast("IO[bytes]", file)
        header, order = _core._safetensors_header(named, texts)
        _core._eval(list(arrays.values()))
        out.write(header)
        for i in order:
            _write_array(out, named[i][1])
        return
    with _translated():
        _core._save_safetensors(_path(cast("str", file), ".safetensors"), named, texts)


def save_gguf(
    file: File,
    arrays: dict[str, array],
    metadata: dict[str, array | str | list[str]] | None = None,
) -> None:
    """Writes arrays to a .gguf file (version 3), as `save` does.

    Args:
        file: A name, to which .gguf is added where it is missing, or a binary file open for
            writing.
        arrays: The arrays by name: float32, float16, bfloat16, float64 or signed integers.
        metadata: By key, a text, a list of texts, or an array of bool, integers, float32 or
            float64 with at most one axis.

    Raises:
        ValueError: for another dtype or kind of metadata; also a RuntimeError, as in MLX.
        TypeError: where arrays is not a dict of arrays.
        FileNotFoundError: where the folder is missing; also a RuntimeError.
        OSError: where the file cannot be written.

    Example:
        >>> mx.save_gguf("model.gguf", {"w": mx.ones((2, 3))}, {"general.name": "small"})
        >>> mx.load("model.gguf", return_metadata=True)[1]
        {'general.name': 'small'}
    """
    named = _named_arrays("save_gguf", arrays)
    with _translated():
        extra = list((metadata or {}).items())
        for key, value in extra:
            if not isinstance(key, str) or not (
                isinstance(value, array | str)
                or (isinstance(value, list | tuple) and all(isinstance(v, str) for v in value))
            ):
                raise ValueError(
                    f"[save_gguf] expected an array, a text or a list of texts as {key!r}, got "
                    f"{type(value).__name__}"
                )
        if not _is_stream(file, "write"):
            _core._save_gguf(_path(cast("str", file), ".gguf"), named, extra)
            return
    out = cast("IO[bytes]", file)
    header, begins = _core._gguf_header(named, extra)
    _core._eval(list(arrays.values()))
    out.write(header)
    end = 0
    for (_, a), begin in zip(named, begins, strict=True):
        out.write(bytes(begin - end))
        _write_array(out, a)
        end = begin + a.nbytes


# ---- Loading.


class _Reader(io.RawIOBase):
    """An _InputFile for zipfile."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, self._file.size)[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, room: Any) -> int:
        data = self._file.read_at(self._position, len(room))
        room[: len(data)] = data
        self._position += len(data)
        return len(data)


def _stream_bounds(stream: IO[bytes]) -> tuple[IO[bytes], int, int]:
    """A stream that can seek, its position, and the bytes from there to its end."""
    if not hasattr(stream, "seek") or not hasattr(stream, "tell"):
        stream = io.BytesIO(stream.read())
    start = stream.tell()
    size = stream.seek(0, os.SEEK_END) - start
    stream.seek(start)
    return stream, start, max(size, 0)


def _load(file: File, kind: str, is_stream: bool) -> tuple[Any, dict[str, Any]]:
    if is_stream:
        stream, start, size = _stream_bounds(cast("IO[bytes]", file))
        name = str(getattr(stream, "name", "the stream"))
        if kind == "npz":
            return _npz().load(stream, None), {}
        if kind == "npy":
            return _core._load_npy_stream(stream, start, size, name), {}
        if kind == "gguf":
            return _core._load_gguf_stream(stream, start, size, name)
        return _core._load_safetensors_stream(stream, start, size, name)
    path = os.fspath(cast("str", file))
    if kind == "npz":
        opened = _core._InputFile(path)
        return _npz().load(cast("IO[bytes]", io.BufferedReader(_Reader(opened))), opened), {}
    if kind == "npy":
        return _core._load_npy(path), {}
    if kind == "gguf":
        return _core._load_gguf(path)
    return _core._load_safetensors(path)


def _kind_of(file: File, format: str | None) -> str:
    name = file if isinstance(file, str | os.PathLike) else getattr(file, "name", "")
    ending = os.path.splitext(os.fspath(name) if isinstance(name, str | os.PathLike) else "")[1]
    kind = ending[1:] if format is None else format
    if kind not in ("npy", "npz", "safetensors", "gguf"):
        raise ValueError(
            f'[load] expected format "npy", "npz", "safetensors" or "gguf", got "{kind}" for '
            f"{name or 'a stream'}; pass format, or a file with one of these endings"
        )
    return kind


def load(
    file: File,
    /,
    format: str | None = None,
    return_metadata: bool = False,
    *,
    stream: object = None,
) -> Any:
    """Opens the arrays of a .npy, .npz, .safetensors or .gguf file.

    Loading is lazy: the header is read and checked; the elements are read when they are used, in
    the ranges that are used, and need no room before that. Under a memory limit they are dropped
    and read again. Read at once are arrays below 64 KiB, compressed members of .npz files, and
    whatever comes from an open file. The named file must not be written to while its arrays are in
    use (replacing it by renaming, as `save` does, is safe): a changed file raises OSError.

    Args:
        file: A name, or a binary file open for reading (with read and seek).
        format: "npy", "npz", "safetensors" or "gguf". Default: the name's ending.
        return_metadata: Whether the metadata of a safetensors file (texts) or a GGUF file (arrays,
            texts and lists of texts) are returned too.
        stream: Accepted for MLX's sake.

    Returns:
        An array of the shape and dtype in the file (npy), a dict of arrays by name, or a pair of
        that dict and the metadata. Numbers of big-endian files are put in order as they are read.
        A GGUF tensor of type Q4_0, Q4_1 or Q8_0 comes as three arrays, which `quantized_matmul`
        takes with group_size=32: "name.weight" (uint32), "name.scales" and "name.biases" (float16).

    Raises:
        ValueError: where the file is not what its format says, the format is another one, or it
            has no metadata.
        FileNotFoundError: where there is no such file; also a RuntimeError, as in MLX.
        OSError: where the file cannot be read.

    Example:
        >>> mx.save("x.npy", mx.arange(6).reshape(2, 3))
        >>> mx.load("x.npy")[1].tolist()
        [3, 4, 5]
    """
    is_stream = _is_stream(file, "read")
    kind = _kind_of(file, format)
    if return_metadata and kind not in ("safetensors", "gguf"):
        raise ValueError(
            f"[load] expected a safetensors or GGUF file with return_metadata, got format {kind}"
        )
    with _translated():
        loaded, metadata = _load(file, kind, is_stream)
    return (loaded, metadata) if return_metadata else loaded
