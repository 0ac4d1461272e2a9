"""Random numbers: the bits of mlx for the same key.

What goes through erfinv or a logarithm has the rounding of two formulas in it: mlx's normal numbers
are up to 3.2 units from the exact ones in float32, ours up to 1.5.
"""

import numpy as np

from ops.opcase import OpCase, Uniform, in_family

FLOATS = ("float16", "bfloat16", "float32")
INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64")
SHAPES = ((), (1,), (3, 5), (7,), (2, 3, 7), (1031,), (0, 3))


def key(rng, shape, dtype):
    return rng.integers(0, 2**32, (2,), dtype=np.uint32)


def drawn(op, fn, dtypes, label="", ulps=0.0, shapes=SHAPES, **more):
    """A row for each shape, since shapes are no inputs."""
    return [
        OpCase(op, lambda m, t, k, s=s: fn(m, t, k, s), None, (key,), (((2,),),), dtypes,
               "-".join(filter(None, [label, "x".join(map(str, s)) or "0d"])), peer_ulps=ulps,
               layouts=("strided", "reversed"), typed=True,
               refuses_others="see tests/python/test_errors.py", **more)
        for s in shapes
    ]  # fmt: skip


def logits(rng, shape, dtype):
    return Uniform(-2, 2)(rng, shape, "float32")


ROWS = [
    *drawn("random_bits", lambda m, t, k, s: m.random.split(k, 5), ("uint32",), shapes=((),)),
    *drawn("key", lambda m, t, k, s: m.random.key(7) + k * 0, ("uint32",), shapes=((),)),
    *drawn("random.split", lambda m, t, k, s: m.random.split(k, 3), ("uint32",), shapes=((),)),
    *drawn("uniform", lambda m, t, k, s: m.random.uniform(0, 1, s, t, k), FLOATS),
    *drawn("uniform", lambda m, t, k, s: m.random.uniform(-3, 5, s, t, k), FLOATS, "range"),
    *drawn("randint", lambda m, t, k, s: m.random.randint(0, 100, s, t, k), INTEGERS),
    *drawn("randint", lambda m, t, k, s: m.random.randint(-9, 9, s, t, k), ("int32", "int64"),
           "signed"),
    *drawn("normal", lambda m, t, k, s: m.random.normal(s, t, key=k),
           (*FLOATS, "complex64"), ulps=4.0),
    *drawn("normal", lambda m, t, k, s: m.random.normal(s, t, 2.0, 0.5, k), FLOATS, "moved",
           ulps=4.0),
    *drawn("truncated_normal", lambda m, t, k, s: m.random.truncated_normal(-1.0, 1.0, s, t, k),
           FLOATS, ulps=16.0),
    *drawn("multivariate_normal", lambda m, t, k, s: m.random.multivariate_normal(
        m.array([1.0, -2.0]), m.array([[2.0, 1.0], [1.0, 3.0]]), s, t, k), ("float32",), ulps=16.0,
        shapes=((), (3,), (2, 2))),
    *drawn("gumbel", lambda m, t, k, s: m.random.gumbel(s, t, k), FLOATS, ulps=32.0),
    *drawn("laplace", lambda m, t, k, s: m.random.laplace(s, t, key=k), FLOATS, ulps=4.0),
    *drawn("laplace", lambda m, t, k, s: m.random.laplace(s, t, 1.0, 0.5, k), FLOATS, "moved",
           ulps=32.0),
    *drawn("bernoulli", lambda m, t, k, s: m.random.bernoulli(0.3, s, k), ("float32",)),
    *drawn("permutation", lambda m, t, k, s: m.random.permutation(11, key=k), ("uint32",),
           shapes=((),)),
    *drawn("permutation", lambda m, t, k, s: m.random.permutation(m.arange(6).reshape(2, 3), 1, k),
           ("int32",), "array", shapes=((),)),
    OpCase("categorical", lambda m, a, k: m.random.categorical(a, key=k), None, (logits, key),
           (((3, 5), (2,)), ((7,), (2,))), ("float32",), layouts=(),
           refuses_others="any dtype is taken"),
    OpCase("categorical", lambda m, a, k: m.random.categorical(a, num_samples=4, key=k), None,
           (logits, key), (((3, 5), (2,)),), ("float32",), label="samples", layouts=(),
           refuses_others="any dtype is taken"),
    OpCase("categorical", lambda m, a, k: m.random.categorical(a, 0, num_samples=4, key=k), None,
           (logits, key), (((3, 5), (2,)),), ("float32",), label="samples-first", layouts=(),
           refuses_others="any dtype is taken"),
    OpCase("categorical", lambda m, a, k: m.random.categorical(a, shape=(4, 3), key=k), None,
           (logits, key), (((3, 5), (2,)),), ("float32",), label="shape", layouts=(),
           refuses_others="any dtype is taken"),
]  # fmt: skip

ROWS = in_family("random", ROWS)
