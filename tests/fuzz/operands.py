"""Operations of a file with other operands and attributes than any program gives them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

Spec = tuple[int, tuple[int, ...]]  # dtype, shape

UINT8, FLOAT32 = 1, 11


class Operation(NamedTuple):
    """One record of a trace."""

    name: bytes
    inputs: tuple[Spec, ...]
    attrs: bytes


class Reader:
    """What docs/export.md says, from the first byte of the body on."""

    def __init__(self, text: bytes) -> None:
        self.text, self.at = text, 0

    def get(self, kind: str) -> Any:
        (value,) = struct.unpack_from("<" + kind, self.text, self.at)
        self.at += struct.calcsize("<" + kind)
        return value

    def bytes(self) -> bytes:
        size = self.get("I")
        self.at += size
        return self.text[self.at - size : self.at]

    def spec(self) -> Spec:
        dtype, rank = self.get("B"), self.get("B")
        return dtype, tuple(self.get("q") for _ in range(rank))


def operations(text: bytes) -> Iterator[Operation]:
    """The operations of all traces of a good file."""
    body = Reader(text[24:])
    body.bytes()
    captured = [(body.spec(), body.get("Q"))[0] for _ in range(body.get("I"))]
    for _ in range(body.get("I")):
        trace = Reader(body.bytes())
        values: list[list[Spec]] = []
        for _ in range(trace.get("I")):
            trace.bytes()
            values.append([trace.spec()])
            trace.at += 2 * len(values[-1][0][1])
        for _ in range(trace.get("I")):
            kind = trace.get("B")
            if kind == 0:
                values.append([captured[trace.get("I")]])
            elif kind == 1:
                values.append([(trace.get("B"), ())])
                trace.at += 25
            elif kind == 2:
                name, _ = trace.bytes(), trace.get("B")
                inputs = tuple(values[trace.get("I")][0] for _ in range(trace.get("I")))
                yield Operation(name, inputs, trace.bytes())
                values.append([trace.spec() for _ in range(trace.get("B"))])
            else:
                values.append([values[trace.get("I")][trace.get("H")]])


def others(op: Operation) -> Iterator[Operation]:
    """Fewer and more operands, others of rank, size and dtype; attributes of zeros."""
    name, inputs, attrs = op
    for count in range(len(inputs)):
        yield Operation(name, inputs[:count], attrs)
    yield Operation(name, inputs + (inputs[:1] or ((FLOAT32, ()),)), attrs)
    for i, (dtype, shape) in enumerate(inputs):
        for spec in [
            (dtype, ()), (dtype, shape[1:]), (dtype, shape[:-1]), (dtype, (1, *shape)),
            (dtype, tuple(0 for _ in shape)), (dtype, tuple(d + 1 for d in shape)), (UINT8, shape),
        ]:  # fmt: skip
            yield Operation(name, (*inputs[:i], spec, *inputs[i + 1 :]), attrs)
    for rank in range(3):
        yield Operation(name, tuple((dtype, shape[:rank]) for dtype, shape in inputs), attrs)
    for size in range(len(attrs) + 1):
        yield Operation(name, inputs, bytes(size))


def file_of(op: Operation) -> bytes:
    """A function that is the operation; what it says of the result is wrong."""

    def text(b: bytes) -> bytes:
        return struct.pack("<I", len(b)) + b

    def spec(dtype: int, shape: tuple[int, ...]) -> bytes:
        return struct.pack(f"<BB{len(shape)}q", dtype, len(shape), *shape)

    count = len(op.inputs)
    trace = struct.pack("<I", count)
    for dtype, shape in op.inputs:
        trace += text(b"") + spec(dtype, shape) + bytes(2 * len(shape))
    trace += struct.pack("<IB", 1, 2) + text(op.name) + b"\0"
    trace += struct.pack(f"<I{count}I", count, *range(count)) + text(op.attrs)
    trace += b"\1" + spec(FLOAT32, (7, 7, 7)) + struct.pack("<II", 1, count)
    body = text(b"") + struct.pack("<II", 0, 1) + text(trace)
    return b"PLIMSFN\n" + struct.pack("<IIQ", 1, 0, len(body)) + body
