"""Arrays put together and taken apart."""

import numpy as np

from ops.opcase import Distinct, Fixed, OpCase, Uniform, in_family

TWO = (Distinct(), Distinct())
PAIRS = (((2, 3), (2, 3)), ((2, 0), (2, 4)), ((2, 1), (2, 5)), ((2, 9, 1), (2, 9, 3)))
ONE = (((2, 3),), ((5, 4),), ((1, 1),), ((3, 0),))
LINEAR = {"second": "linear"}


def update(a, b):
    out = a.copy()
    out[..., 1:4:2] = b
    return out


def assigned(m, a, b):
    out = a + m.zeros_like(a) if a.dtype != m.bool_ else m.logical_not(m.logical_not(a))
    out[..., 1:4:2] = b
    return out


def padded(mode):
    return OpCase("pad", lambda m, a: m.pad(a, ((1, 0), (2, 1)), mode),
                  lambda a: np.pad(a, ((1, 0), (2, 1)), mode), (Distinct(),),
                  (((2, 4),), ((5, 3),)), label=mode, grad=(0,), second="linear",
                  peer_dtypes=None if mode == "edge" else ())  # fmt: skip


ROWS = [
    OpCase("concatenate", lambda m, a, b: m.concatenate([a, b], axis=-1),
           lambda a, b: np.concatenate([a, b], -1), TWO, PAIRS, grad=(0, 1), **LINEAR),
    OpCase("concatenate", lambda m, a, b: m.concatenate([a, b, a], axis=0),
           lambda a, b: np.concatenate([a, b, a]), TWO, PAIRS[:1], label="first", grad=(0, 1),
           **LINEAR),
    OpCase("concatenate", lambda m, a, b: m.concatenate([a, b], axis=None),
           lambda a, b: np.concatenate([a, b], None), TWO, PAIRS, label="flat", grad=(0, 1),
           **LINEAR),
    OpCase("concatenate", lambda m, a, b: m.concatenate([a, b]),
           lambda a, b: np.concatenate([a, b.astype(np.uint16)]) if a.dtype.kind == "b" else
           np.concatenate([a.astype(np.result_type(a, b) if a.dtype.kind in "iu" else a.dtype),
                           b.astype(a.dtype if a.dtype.kind in "fc" else np.result_type(a, b))]),
           (Distinct(), Fixed(Uniform(0, 9), "uint16")), (((2, 3), (4, 3)),), label="promoted"),
    OpCase("stack", lambda m, a, b: m.stack([a, b], axis=1), lambda a, b: np.stack([a, b], 1), TWO,
           (((2, 3), (2, 3)), ((4,), (4,)), ((0, 2), (0, 2))), grad=(0, 1), **LINEAR),
    OpCase("split", lambda m, a: m.split(a, 2, axis=-1), lambda a: np.split(a, 2, -1), TWO[:1],
           (((3, 4),), ((6,),), ((2, 0),)), grad=(0,), **LINEAR),
    OpCase("split", lambda m, a: m.split(a, [1, 3], axis=0), lambda a: np.split(a, [1, 3], 0),
           TWO[:1], (((5, 2),), ((4,),)), label="positions", grad=(0,), **LINEAR),
    OpCase("pad", lambda m, a: m.pad(a, ((1, 2), (0, 3)), constant_values=1),
           lambda a: np.pad(a, ((1, 2), (0, 3)), constant_values=1), TWO[:1], ONE, grad=(0,),
           **LINEAR),
    padded("edge"), padded("reflect"), padded("symmetric"),
    OpCase("repeat", lambda m, a: m.repeat(a, 3, axis=1), lambda a: np.repeat(a, 3, 1), TWO[:1],
           ONE, grad=(0,), **LINEAR),
    OpCase("repeat", lambda m, a: m.repeat(a, 2), lambda a: np.repeat(a, 2), TWO[:1], (*ONE, ((),)),
           label="flat", grad=(0,), **LINEAR),
    OpCase("tile", lambda m, a: m.tile(a, (2, 1, 3)), lambda a: np.tile(a, (2, 1, 3)), TWO[:1],
           (*ONE, ((),)), grad=(0,), **LINEAR),
    OpCase("slice_update", assigned, update, TWO, (((3, 5), (3, 2)), ((4,), (2,)), ((2, 9), ())),
           grad=(0, 1), **LINEAR),
]  # fmt: skip

ROWS = in_family("join", ROWS)
