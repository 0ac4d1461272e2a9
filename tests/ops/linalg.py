"""Eigenvalues, and norms."""

import numpy as np

from ops.opcase import FLOATS, LAYOUTS, OpCase, Uniform, in_family, rounded

DTYPES = ("float32", "float64", "complex64")
MATRICES = (((3, 3),), ((1, 1),), ((2, 4, 4),), ((17, 17),))
# Backward stability: an eigenvalue is off by at most n units of the norm, times a small factor.
ULPS = dict.fromkeys(DTYPES, 32)


def hermitian(rng, shape, dtype):
    a = Uniform(-2, 2)(rng, shape, dtype)
    wide = a + np.swapaxes(a.conj(), -1, -2)
    # Well apart, so that eigenvectors are well conditioned.
    return rounded(wide + np.diag(np.arange(shape[-1]) * 8.0), dtype)


def rebuilt(m, a):
    """V diag(w) V^H: eigenvectors are only defined up to a phase."""
    w, v = m.linalg.eigh(a)
    adjoint = m.conjugate(m.swapaxes(v, -1, -2))
    return w, (v * m.expand_dims(w, -2)) @ adjoint


def norm_rows():
    forms = {
        "": ({}, lambda a: np.sqrt(np.sum(np.abs(a) ** 2))),
        "rows": ({"axis": -1}, lambda a: np.linalg.norm(a, axis=-1)),
        "one": ({"ord": 1, "axis": 0}, lambda a: np.linalg.norm(a, 1, axis=0)),
        "inf": ({"ord": float("inf"), "axis": -1, "keepdims": True},
                lambda a: np.linalg.norm(a, np.inf, axis=-1, keepdims=True)),
        "fro": ({"ord": "fro"}, lambda a: np.linalg.norm(a, "fro")),
        "three": ({"ord": 3, "axis": 1}, lambda a: np.linalg.norm(a, 3, axis=1)),
        "matrix": ({"ord": 1, "axis": (0, 1)}, lambda a: np.linalg.norm(a, 1, axis=(0, 1))),
    }  # fmt: skip
    return [
        OpCase("norm", lambda m, a, k=k: m.linalg.norm(a, **k), f, (Uniform(0.5, 2),),
               (((3, 5),), ((7, 33),)), FLOATS, label=label, ulps=16, peer_ulps=64, grad=(0,),
               second=True if label in ("", "rows", "fro", "three") else "piecewise linear",
               refuses_others="integers are taken as float32")
        for label, (k, f) in forms.items()
    ]  # fmt: skip


def spectral(label, order, reduce):
    """Singular values are off by a few units of the greatest."""

    def oracle(a):
        return reduce(np.linalg.svd(np.swapaxes(a, -1, -2), compute_uv=False))

    return OpCase("norm", lambda m, a: m.linalg.norm(a, order, axis=(-1, 0), keepdims=True),
                  lambda a: np.expand_dims(oracle(np.moveaxis(a, 0, -1)), (0, -1)),
                  (Uniform(-2, 2),), (((3, 5),), ((4, 2, 3),)), ("float32", "float64"), label,
                  ulps=32, magnitude=lambda a: np.linalg.norm(a), peer_ulps=512, grad=(0,),
                  grad_peer="mlx has none", refuses_others="integers are taken as float32",
                  layouts=("transposed",))  # fmt: skip


def symmetric(m, a):
    return (a + m.swapaxes(a, -1, -2)) * 0.5


def squared(m, a):
    """V w^2 V^T, which is the matrix squared: its gradient goes through both outputs."""
    w, v = m.linalg.eigh(symmetric(m, a))
    return (v * m.expand_dims(w * w, -2)) @ m.swapaxes(v, -1, -2)


SYMMETRIC_REAL = (Uniform(-2, 2),)
NO_PEER = "mlx has no gradient of eigh"

ROWS = [
    OpCase("eigh", rebuilt, lambda a: [np.linalg.eigvalsh(a), a], (hermitian,), MATRICES, DTYPES,
           ulps=ULPS, magnitude=lambda a: np.max(np.abs(np.linalg.eigvalsh(a))), peer_ulps=128,
           layouts=LAYOUTS[:3]),
    OpCase("eigh", squared, lambda a: (lambda s: s @ s)((a + np.swapaxes(a, -1, -2)) / 2),
           (Uniform(-2, 2),), (((3, 3),), ((2, 4, 4),)), ("float32", "float64"), label="gradient",
           ulps=ULPS, magnitude=lambda a: 32, peer_ulps=128, grad=(0,), grad_peer=NO_PEER,
           refuses_others="see the other row"),
    OpCase("eigvalsh", lambda m, a: m.linalg.eigvalsh(a), np.linalg.eigvalsh, (hermitian,),
           MATRICES, DTYPES, ulps=ULPS, peer_ulps=128,
           magnitude=lambda a: np.max(np.abs(np.linalg.eigvalsh(a)))),
    OpCase("eigvalsh", lambda m, a: m.linalg.eigvalsh(symmetric(m, a)),
           lambda a: np.linalg.eigvalsh((a + np.swapaxes(a, -1, -2)) / 2), SYMMETRIC_REAL,
           (((3, 3),), ((2, 4, 4),)), ("float32", "float64"), label="gradient", ulps=ULPS,
           magnitude=lambda a: 8, peer_ulps=128, grad=(0,), grad_peer=NO_PEER,
           refuses_others="see the other row"),
    *norm_rows(),
    spectral("greatest", 2, lambda s: s.max(-1)),
    spectral("least", -2, lambda s: s.min(-1)),
    spectral("nuclear", "nuc", lambda s: s.sum(-1)),
]  # fmt: skip

ROWS = in_family("linalg", ROWS)
