"""Elements moved along axes, and arrays brought to a common form."""

import numpy as np

from ops.opcase import Distinct, OpCase, in_family

SHAPES = (((2, 3, 4),), ((4, 1, 2),), ((2, 3, 0),), ((1, 1, 5),))
ANY = (((2, 3),), ((),), ((5,),), ((0,),), ((2, 1, 3, 2),))
TWO = (Distinct(), Distinct())
PAIRS = (((3,), (4,)), ((2, 2), (3,)), ((), (2,)), ((0,), (2,)))


def one(op, fn, oracle, shapes=SHAPES, label="", **more):
    return OpCase(op, fn, oracle, (Distinct(),), shapes, label=label, grad=(0,), second="linear",
                  **more)  # fmt: skip


def at_least(n):
    name = f"atleast_{n}d"
    return [
        one(name, lambda m, a: getattr(m, name)(a), getattr(np, name), ANY),
        OpCase(name, lambda m, a, b: getattr(m, name)(a, b),
               lambda a, b: list(getattr(np, name)(a, b)), TWO, PAIRS, label="several",
               grad=(0, 1), second="linear"),
    ]  # fmt: skip


def grid(label, **kind):
    return OpCase("meshgrid", lambda m, a, b: m.meshgrid(a, b, **kind),
                  lambda a, b: np.meshgrid(a, b, **kind), TWO, PAIRS, label=label, grad=(0, 1),
                  second="linear")  # fmt: skip


ROWS = [
    one("roll", lambda m, a: m.roll(a, 2, -1), lambda a: np.roll(a, 2, -1)),
    one("roll", lambda m, a: m.roll(a, -5), lambda a: np.roll(a, -5), ANY, label="flat"),
    one("roll", lambda m, a: m.roll(a, (1, -7), (0, 2)), lambda a: np.roll(a, (1, -7), (0, 2)),
        label="axes"),
    one("flip", lambda m, a: m.flip(a), lambda a: np.flip(a), ANY),
    one("flip", lambda m, a: m.flip(a, (0, -1)), lambda a: np.flip(a, (0, -1)), label="axes"),
    one("matrix_transpose", lambda m, a: m.matrix_transpose(a), lambda a: np.swapaxes(a, -1, -2)),
    one("unstack", lambda m, a: m.unstack(a, axis=1), lambda a: list(np.moveaxis(a, 1, 0)),
        SHAPES[:2]),
    *at_least(1), *at_least(2), *at_least(3),
    grid("xy"), grid("ij", indexing="ij"), grid("sparse", sparse=True),
    OpCase("meshgrid", lambda m, a, b, c: m.meshgrid(a, b, c), lambda a, b, c: np.meshgrid(a, b, c),
           (*TWO, Distinct()), (((2,), (3,), (4,)),), label="three", grad=(0, 1, 2),
           second="linear"),
]  # fmt: skip

ROWS = in_family("rearrange", ROWS)
