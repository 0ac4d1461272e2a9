"""Other shapes of the same elements."""

import numpy as np

from ops.opcase import Distinct, OpCase, in_family

SHAPES = (((2, 3, 4),), ((4, 3, 2),), ((2, 1, 12),), ((2, 3, 0),))
MAKER = (Distinct(),)


def view(op, fn, oracle, shapes=SHAPES, label="", **more):
    more.setdefault("grad", (0,))
    return OpCase(op, fn, oracle, MAKER, shapes, label=label, second="linear", **more)


def moved(a):
    return np.moveaxis(a, 0, -1)


ROWS = [
    view("reshape", lambda m, a: m.reshape(a, (-1, 2)), lambda a: a.reshape(a.size // 2, 2),
         (*SHAPES[:3], ((6,),))),
    view("transpose", lambda m, a: m.transpose(a), lambda a: a.transpose(), (*SHAPES, ((),))),
    view("transpose", lambda m, a: m.transpose(a, (1, 2, 0)), lambda a: a.transpose(1, 2, 0),
         label="axes"),
    view("broadcast_to", lambda m, a: m.broadcast_to(a, (2, 3, 4)),
         lambda a: np.broadcast_to(a, (2, 3, 4)), (((3, 1),), ((),), ((2, 1, 1),), ((4,),))),
    view("slice", lambda m, a: a[..., 1:, ::2], lambda a: a[..., 1:, ::2],
         (*SHAPES[:2], ((5, 7),), ((2, 0),))),
    view("slice", lambda m, a: a[::-1, :, None, 3:0:-2], lambda a: a[::-1, :, None, 3:0:-2],
         (((2, 3, 4),), ((5, 1, 9),), ((0, 1, 4),)), label="reversed"),
    view("contiguous", lambda m, a: m.contiguous(m.swapaxes(a, 0, 1)),
         lambda a: np.swapaxes(a, 0, 1)),
    view("flatten", lambda m, a: m.flatten(a), np.ravel, (*SHAPES, ((),), ((5,),))),
    view("flatten", lambda m, a: m.flatten(a, 1, 2), lambda a: a.reshape(a.shape[0], a.shape[1] *
         a.shape[2]), label="inner"),
    view("unflatten", lambda m, a: m.unflatten(a, -1, (2, -1)),
         lambda a: a.reshape(*a.shape[:-1], 2, a.shape[-1] // 2), SHAPES[:3]),
    view("swapaxes", lambda m, a: m.swapaxes(a, 0, -1), lambda a: np.swapaxes(a, 0, -1)),
    view("moveaxis", lambda m, a: m.moveaxis(a, 0, -1), moved),
    view("expand_dims", lambda m, a: m.expand_dims(a, (0, -1)),
         lambda a: np.expand_dims(a, (0, -1)), (*SHAPES, ((),))),
    view("squeeze", lambda m, a: m.squeeze(a, 1), lambda a: np.squeeze(a, 1),
         (((2, 1, 12),), ((3, 1),), ((0, 1),))),
    view("squeeze", lambda m, a: m.squeeze(a), np.squeeze, (((2, 1, 3),), ((1, 1),), ((),)),
         label="all"),
    OpCase("broadcast_arrays", lambda m, a, b: m.broadcast_arrays(a, b),
           lambda a, b: list(np.broadcast_arrays(a, b)), (Distinct(), Distinct()),
           (((2, 3), (3,)), ((2, 1), (1, 4)), ((), (2,))), grad=(0, 1), second="linear"),
    view("slice", lambda m, a: a[1], lambda a: a[1], SHAPES[:3], label="integer"),
]  # fmt: skip

ROWS = in_family("view", ROWS)
