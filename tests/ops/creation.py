"""Arrays made from a description."""

import numpy as np

from ops.opcase import ALL, FLOATS, INTEGERS, OpCase, in_family, rounded

NUMBERS = INTEGERS + FLOATS
UNMAPPED = "takes no array"


def numpy_dtype(dtype):
    return {"bool_": bool, "bfloat16": np.float32}.get(dtype, dtype)


def made(op, fn, oracle, dtypes=ALL, label="", **more):
    """A function of numbers and a dtype."""

    def want(dtype):
        return rounded(np.asarray(oracle(numpy_dtype(dtype))), dtype)

    return OpCase(op, fn, want, (), ((),), dtypes, label, vmap=UNMAPPED, layouts=(), typed=True,
                  refuses_others="see the other rows", **more)  # fmt: skip


def like(op, oracle):
    return OpCase(op, lambda m, a: getattr(m, op)(a), oracle)


SQUARES = (((4, 4),), ((2, 3, 5),), ((1, 1),), ((0, 3),), ((7, 2),))

ROWS = [
    made("zeros", lambda m, t: m.zeros((2, 3), t), lambda t: np.zeros((2, 3), t)),
    made("zeros", lambda m, t: m.zeros((0, 3), t), lambda t: np.zeros((0, 3), t), label="empty"),
    made("ones", lambda m, t: m.ones((2, 3), t), lambda t: np.ones((2, 3), t)),
    made("full", lambda m, t: m.full((2, 3), 7, t), lambda t: np.full((2, 3), 7, t),
         peer_dtypes=tuple(d for d in ALL if d != "bool_")),  # mlx gives int32
    OpCase("full", lambda m, a: m.full((2, *a.shape), a), lambda a: np.broadcast_to(a, (2, *a.shape)
           ), label="values", grad=(0,), second="linear",
           grad_peer="mlx multiplies by the value"),
    OpCase("full_like", lambda m, a: m.full_like(a, 3), lambda a: np.full_like(a, 3)),
    like("zeros_like", np.zeros_like),
    like("ones_like", np.ones_like),
    made("arange", lambda m, t: m.arange(2, 30, 3, t), lambda t: np.arange(2, 30, 3, t), NUMBERS),
    made("arange", lambda m, t: m.arange(5, 0, -2, t), lambda t: np.arange(5, 0, -2).astype(t),
         NUMBERS, label="down"),
    made("arange", lambda m, t: m.arange(0.5, 3.0, 0.25, t), lambda t: np.arange(0.5, 3.0, 0.25),
         FLOATS, label="fractions"),
    made("arange", lambda m, t: m.arange(1031, dtype=t), lambda t: np.arange(1031).astype(t),
         ("int32", "uint16", "int64", "float32", "float64"), label="long"),
    made("linspace", lambda m, t: m.linspace(-1, 2, 13, dtype=t), lambda t: np.linspace(-1, 2, 13),
         FLOATS, peer_dtypes=("float32", "float16", "bfloat16")),
    made("linspace", lambda m, t: m.linspace(0, 1, 8, False, t),
         lambda t: np.linspace(0, 1, 8, False), ("float32",), label="open"),
    made("eye", lambda m, t: m.eye(3, 5, 1, t), lambda t: np.eye(3, 5, 1, t)),
    made("identity", lambda m, t: m.identity(4, t), lambda t: np.identity(4, t)),
    made("tri", lambda m, t: m.tri(4, 3, -1, t), lambda t: np.tri(4, 3, -1, t)),
    OpCase("tril", lambda m, a: m.tril(a, 1), lambda a: np.tril(a, 1), shapes=SQUARES,
           grad=(0,), second="linear"),
    OpCase("triu", lambda m, a: m.triu(a, -1), lambda a: np.triu(a, -1), shapes=SQUARES,
           grad=(0,), second="linear"),
]  # fmt: skip

ROWS = in_family("creation", ROWS)
