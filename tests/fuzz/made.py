"""Files that are written from random parts: sizes, offsets and names that no writer gives them."""

from __future__ import annotations

import io
import json
import random
import struct
import warnings
import zipfile

SMALL = [0, 1, 2, 3, 4, 8, 16, 31, 32, 33, 64]
HUGE = [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
NAMES = ["x", "y", "", "a.b", "x" * 300, "ü", "__metadata__", "../x", "x\0y", "general.alignment"]


def size(rng: random.Random) -> int:
    """Mostly small."""
    return rng.choice(SMALL) if rng.random() < 0.93 else rng.choice(HUGE)


def shape(rng: random.Random) -> list[int]:
    rank = rng.choice([0, 1, 1, 2, 2, 3, 4, 65]) if rng.random() < 0.9 else rng.choice([8, 64])
    return [size(rng) if rank < 8 else rng.choice([1, 1, 2]) for _ in range(rank)]


def count(dims: list[int]) -> int:
    product = 1
    for d in dims:
        product *= d
    return product


def data(rng: random.Random, wanted: int) -> bytes:
    """About as many bytes as are wanted; few where that is absurd."""
    n = wanted if 0 <= wanted < 100_000 else 64
    if rng.random() < 0.2:
        n = max(0, n + rng.choice([-1, 1, -8, 8, -n, 100]))
    return rng.randbytes(n)


def npy(rng: random.Random) -> bytes:
    descr = rng.choice(
        ["<f4", "<f8", ">f4", "<i2", "|b1", "|u1", "<c8", "<V2", "<f2", "|O", "<U3", ">i8", "<f16"]
    )
    dims = shape(rng)
    dims = [-d if rng.random() < 0.01 else d for d in dims]
    fields = [
        f"'descr': {descr!r}",
        f"'fortran_order': {rng.choice(['True', 'False'])}",
        f"'shape': ({''.join(f'{d}, ' for d in dims)})",
    ]
    if rng.random() < 0.1:
        rng.shuffle(fields)
    if rng.random() < 0.05:
        fields += rng.choice([fields[:1], ["'more': 1"]])
    header = "{" + ", ".join(fields) + rng.choice([", }", "}"])
    version = rng.choice([1, 1, 1, 2, 3, 0, 4]) if rng.random() < 0.3 else 1
    pad = -(len(header) + 11) % 64 if rng.random() < 0.9 else rng.randrange(70)
    header += " " * pad + rng.choice(["\n", "\n", "\n", ""])
    length = len(header) if rng.random() < 0.95 else rng.choice([0, 1, 65535, 2**32 - 1])
    text = b"\x93NUMPY" + bytes([version, 0])
    text += struct.pack("<H", length % 65536) if version < 2 else struct.pack("<I", length)
    return text + header.encode() + data(rng, abs(count(dims)) * (int(descr[2:] or 1) or 1))


WIDTHS = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1, "BOOL": 1, "C64": 8, "F8_E4M3": 1}


def safetensors(rng: random.Random) -> bytes:
    fields, end = [], 0
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        dtype, dims = rng.choice(list(WIDTHS)), shape(rng)
        begin = end if rng.random() < 0.9 else max(0, end + rng.choice([-8, -1, 1, 8, *HUGE]))
        end = begin + count(dims) * WIDTHS[dtype]
        if rng.random() < 0.04:
            end = rng.choice([begin, begin - 1, end + 1, *HUGE])
        entry = {"dtype": dtype, "shape": dims, "data_offsets": [begin, end]}
        if rng.random() < 0.05:
            key = rng.choice(list(entry))
            entry[key] = rng.choice([None, 1, -1, 0.5, 1e300, "F32", [], [1], [[1]], {}, True])
        if rng.random() < 0.03:
            entry.pop(rng.choice(list(entry)))
        fields.append(f"{json.dumps(rng.choice(NAMES))}:{json.dumps(entry)}")
    if rng.random() < 0.2:
        fields.insert(0, rng.choice(['"__metadata__":{"a":"b"}', '"__metadata__":{"a":1}']))
    header = ("{" + ",".join(fields) + "}").encode()
    header += b" " * (-len(header) % 8)
    length = len(header) if rng.random() < 0.95 else rng.choice([*SMALL, *HUGE])
    return struct.pack("<Q", length % 2**64) + header + data(rng, end)


GGUF_BYTES = {
    0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2, 2: 18 / 32, 3: 20 / 32, 8: 34 / 32,
}  # fmt: skip


def gguf_value(rng: random.Random, kind: int) -> bytes:
    widths = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    if kind == 8:
        return gguf_text(rng, rng.choice(NAMES))
    if kind == 9:
        inner, n = rng.choice([*range(9), 10, 11, 12, 9, 13]), rng.choice([0, 1, 2, 5])
        body = b"".join(gguf_value(rng, inner) for _ in range(n))
        n = n if rng.random() < 0.9 else size(rng)
        return struct.pack("<IQ", inner, n) + body
    if kind == 4:
        return struct.pack("<I", rng.choice([32, 32, 8, 64, 0, 1, 7, 2**31]))
    return rng.randbytes(widths.get(kind, 4))


def gguf_text(rng: random.Random, text: str) -> bytes:
    raw = text.encode()
    length = len(raw) if rng.random() < 0.97 else rng.choice([*SMALL, *HUGE])
    return struct.pack("<Q", length % 2**64) + raw


def gguf(rng: random.Random) -> bytes:
    pairs, tensors, end, largest = b"", b"", 0, 0
    n_pairs, n_tensors = rng.choice([0, 0, 1, 2]), rng.choice([0, 1, 1, 2, 3])
    for _ in range(n_pairs):
        kind = rng.choice([4, 8, 9, *range(13), 13])
        name = "general.alignment" if kind == 4 else rng.choice(NAMES)
        pairs += gguf_text(rng, name) + struct.pack("<I", kind) + gguf_value(rng, kind)
    for i in range(n_tensors):
        kind = rng.choice(list(GGUF_BYTES)) if rng.random() < 0.97 else rng.randrange(40)
        dims = shape(rng)
        if kind in (2, 3, 8) and dims and rng.random() < 0.9:
            dims[0] = rng.choice([0, 32, 64])
        name = rng.choice([f"t{i}.weight", *NAMES[:3]])
        begin = end if rng.random() < 0.9 else rng.choice([*SMALL, *HUGE])
        tensors += gguf_text(rng, name) + struct.pack("<I", len(dims))
        tensors += b"".join(struct.pack("<Q", d % 2**64) for d in dims)
        tensors += struct.pack("<IQ", kind, begin % 2**64)
        end = begin + int(count(dims) * GGUF_BYTES.get(kind, 4))
        end += -end % 32
        largest = max(largest, end)
    counts = [
        n if rng.random() < 0.97 else rng.choice([*SMALL, *HUGE]) for n in (n_tensors, n_pairs)
    ]
    version = 3 if rng.random() < 0.95 else rng.choice([0, 1, 2, 4, 0x03000000])
    text = b"GGUF" + struct.pack("<IQQ", version, *(n % 2**64 for n in counts)) + pairs + tensors
    return text + bytes(-len(text) % 32) + data(rng, largest)


def npz(rng: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice
        for i in range(rng.choice([0, 1, 1, 2, 3])):
            name = rng.choice([f"x{i}.npy", f"x{i}.npy", f"x{i}", "../y.npy", ".npy", "ü.npy"])
            method = rng.choice([zipfile.ZIP_STORED] * 2 + [zipfile.ZIP_DEFLATED] * 3)
            if rng.random() < 0.05:
                method = rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=rng.random() < 0.3) as member:
                member.write(npy(rng))
    text = bytearray(out.getvalue())
    if rng.random() < 0.5:
        headers = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
        for _ in range(rng.choice([1, 1, 2])):
            at = text.find(rng.choice(headers), rng.randrange(len(text)))
            at = max(at, 0) + rng.choice([4, 6, 8, 10, 14, 18, 20, 22, 24, 26, 28, 30, 32, 42, 46])
            width = rng.choice([1, 2, 4])
            value = rng.choice([*SMALL, *HUGE, len(text), len(text) - 1]) % 256**width
            text[at : at + width] = value.to_bytes(width, "little")
    return bytes(text)


KINDS = {"npy": npy, "safetensors": safetensors, "gguf": gguf, "npz": npz}
