"""The same bytes read in another way."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ops.opcase import Distinct, OpCase, in_family

FOUR_BYTES = ("int32", "uint32", "float32")
SHAPES = (((3, 4),), ((2, 2, 8),), ((8,),), ((0, 4),), ((3, 0),))
REFUSED = "any dtype of that size can be read"


def bits(to, dtypes, shapes=SHAPES):
    """The oracle gets floats in float64, so it goes back to the tested dtype first."""

    def oracle(dtype, a):
        held = np.ascontiguousarray(a.astype(dtype.removesuffix("_")))
        return held.reshape(a.shape).view(to)

    return OpCase("view", lambda m, t, a: m.view(a, getattr(m, to)), oracle, (Distinct(),), shapes,
                  dtypes, to, typed=True, refuses_others=REFUSED)  # fmt: skip


def windows(a):
    flat = np.ascontiguousarray(a).reshape(-1)
    step = flat.itemsize
    return as_strided(flat[1:], (3, 4), (2 * step, step))


def backwards(a):
    flat = np.ascontiguousarray(a).reshape(-1)
    return as_strided(flat[7:], (2, 3), (0, -2 * flat.itemsize))


def strided(fn, oracle, label, **more):
    return OpCase("as_strided", fn, oracle, (Distinct(),), (((3, 4),), ((2, 2, 3),), ((12,),)),
                  label=label, grad=(0,), second="linear", **more)  # fmt: skip


ROWS = [
    bits("int32", FOUR_BYTES, (*SHAPES, ((),))),
    bits("int16", FOUR_BYTES),
    bits("uint8", ("bool_", "int8", "uint8", "int16", "int32", "int64", "complex64")),
    bits("uint64", ("int32", "uint32", "int16", "uint64", "complex64", "int64")),
    strided(lambda m, a: m.as_strided(a, (3, 4), (2, 1), 1), windows, ""),
    strided(lambda m, a: m.as_strided(a, (2, 3), (0, -2), 7), backwards, "backwards"),
    strided(lambda m, a: m.as_strided(a), lambda a: a, "itself"),
]  # fmt: skip

ROWS = in_family("reinterpret", ROWS)
