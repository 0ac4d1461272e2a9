"""Archives of arrays: the .npz files of `savez` and `load`."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO, Any, cast

from plimsoll import _core
from plimsoll._core import array
from plimsoll._io import _FLATTEN, File, _is_stream, _path, _write_array

_MAX_INFLATION = 1032  # a bit of deflate makes 129 bytes at most
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a zip member: lengths of its name and extra field


def save(
    file: File, args: tuple[array, ...], kwargs: dict[str, array], *, compressed: bool
) -> None:
    """Writes arrays as the members of an archive."""
    compression = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    named = {f"arr_{i}": a for i, a in enumerate(args)}
    if clash := named.keys() & kwargs.keys():
        raise ValueError(f"[savez] expected names other than {sorted(clash)}")
    named |= kwargs
    for name, a in named.items():
        if not isinstance(a, array):
            raise TypeError(
                f"[savez] expected an array as {name}, got {type(a).__name__}{_FLATTEN}"
            )
    _core._eval(list(named.values()))  # together: they may share what they are computed from
    stream = _is_stream(file, "write")
    out: Any = file if stream else _core._OutputFile(_path(cast("str", file), ".npz"))
    try:
        with zipfile.ZipFile(out, "w", compression) as archive:
            for name, a in named.items():
                info = zipfile.ZipInfo(f"{name}.npy")
                info.compress_type = compression
                with archive.open(info, "w", force_zip64=True) as member:
                    member.write(_core._npy_header(a))
                    _write_array(member, a)
        if not stream:
            out.commit()
    finally:
        if not stream:
            out.abandon()


def _data_range(member: zipfile.ZipInfo, file: Any) -> tuple[int, int]:
    """Where the bytes of a stored member are."""
    inside = 0 <= member.header_offset < file.size
    header = file.read_at(member.header_offset, _LOCAL_HEADER.size) if inside else b""
    if len(header) != _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise ValueError(f"[load] expected a zip member at {member.header_offset}, got other bytes")
    _, name, extra = _LOCAL_HEADER.unpack(header)
    begin = member.header_offset + _LOCAL_HEADER.size + name + extra
    return begin, begin + member.file_size


def _load_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: Any, limit: int) -> array:
    """`file`: the archive's _InputFile, or None where it is a stream."""
    name = member.filename[:100]
    if file is not None and member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1:
        begin, end = _data_range(member, file)
        if end > limit or member.compress_size != member.file_size:
            raise ValueError(
                f"[load] expected the {member.file_size} bytes of {name} before the next member, "
                f"got [{begin}, {end}] and {limit}"
            )
        return cast("array", file.load_npy(begin, end, name))
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # A few bytes make liblzma ask for 4 GiB, and bzip2 unpack to any size.
        raise ValueError(
            f"[load] expected {name} stored or deflated, got compression {member.compress_type}; "
            "write it with savez_compressed"
        )
    most = _MAX_INFLATION * member.compress_size
    if member.compress_type == zipfile.ZIP_DEFLATED and member.file_size > most + _MAX_INFLATION:
        raise ValueError(
            f"[load] expected {name} of at most {most} bytes, which is what deflate can make "
            f"of {member.compress_size}, got {member.file_size}"
        )
    with archive.open(member) as opened:
        return _core._load_npy_stream(opened, 0, member.file_size, name)


def load(stream: IO[bytes], file: Any) -> dict[str, array]:
    """The arrays of an archive by name; see _load_member for `file`."""
    try:
        with zipfile.ZipFile(stream) as archive:
            members = sorted(archive.infolist(), key=lambda m: m.header_offset)
            starts = [m.header_offset for m in members[1:]] + [archive.start_dir]
            return {
                m.filename.removesuffix(".npy"): _load_member(archive, m, file, limit)
                for m, limit in zip(members, starts, strict=True)
            }
    except (
        zipfile.BadZipFile, zlib.error, EOFError, struct.error, OverflowError,
        ValueError, RuntimeError, OSError,
    ) as e:  # fmt: skip
        # A member that ends early is an OSError without a number.
        if str(e).startswith("[load]") or getattr(e, "errno", None) is not None:
            raise
        raise ValueError(
            f"[load] expected a whole zip file that is not encrypted, got an error: {str(e)[:200]}"
        ) from None
