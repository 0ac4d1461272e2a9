"""Factorisations.

Factors are unique up to signs and phases at most, so that rows multiply them together again; LAPACK
is backward stable: a product is off by a few units of the matrix's norm times its size.
"""

import numpy as np

from ops.opcase import LAYOUTS, OpCase, Uniform, in_family, rounded

REAL = ("float32", "float64")
DTYPES = (*REAL, "complex64")
SQUARE = (((3, 3),), ((1, 1),), ((2, 4, 4),), ((17, 17),), ((2, 0, 0),))
SHAPES = (((4, 3),), ((3, 4),), ((2, 3, 3),), ((17, 9),), ((9, 33),), ((0, 3),), ((3, 0),))
UNITS = dict.fromkeys(DTYPES, 64)
OTHERS = "see the other row"
NO_PEER = "mlx has no gradient of factorisations"


def norm(a):
    return np.max(np.abs(a), initial=0) * max(a.shape[-2:]) + 1e-30


def row(op, fn, oracle, inputs=Uniform(-2, 2), shapes=SHAPES, dtypes=REAL, **more):
    more.setdefault("magnitude", norm)
    more.setdefault("refuses_others", not more.get("label"))
    return OpCase(op, fn, oracle, (inputs,), shapes, dtypes, ulps=UNITS, peer_ulps=256,
                  grad_peer=NO_PEER, layouts=LAYOUTS[:3], **more)  # fmt: skip


def positive(rng, shape, dtype):
    a = Uniform(-1, 1)(rng, shape, "float64")
    return rounded(a @ np.swapaxes(a, -1, -2) + np.eye(shape[-1]) * 4, dtype)


def apart(rng, shape, dtype):
    """Matrices with singular values (and pivots) well apart."""
    a = Uniform(-0.5, 0.5)(rng, shape, dtype)
    diagonal = np.zeros(shape[-2:])
    np.fill_diagonal(diagonal, 2 + 3 * np.arange(min(shape[-2:])))
    return rounded(a + diagonal, dtype)


def sym(m, a):
    return (a + m.swapaxes(a, -1, -2)) * 0.5


def numpy_sym(a):
    return (a + np.swapaxes(a, -1, -2)) / 2


def numpy_cholesky(a):
    return np.linalg.cholesky(a) if a.shape[-1] else a


def qr_product(m, a):
    q, r = m.linalg.qr(a)
    return q @ r, m.swapaxes(q, -1, -2) @ q, m.triu(r) - r


def qr_identity(a):
    k = min(a.shape[-2:])
    eye = np.broadcast_to(np.eye(k), (*a.shape[:-2], k, k))
    return a, eye, np.zeros((*a.shape[:-2], k, a.shape[-1]))


def qr_smooth(m, a):
    """Squares of both, whose signs are not determined."""
    q, r = m.linalg.qr(a)
    return q * q, r * r


def qr_smooth_numpy(a):
    q, r = np.linalg.qr(a)
    return [q * q, r * r]


def svd_product(m, a):
    u, s, vh = m.linalg.svd(a)
    k = s.shape[-1]
    uh = m.conjugate(m.swapaxes(u, -1, -2))
    return (u[..., :k] * m.expand_dims(s, -2)) @ vh[..., :k, :], s, uh @ u


def svd_numpy(a):
    eye = np.broadcast_to(np.eye(a.shape[-2]), (*a.shape[:-2], a.shape[-2], a.shape[-2]))
    return [a, np.linalg.svd(a, compute_uv=False), eye + 0 * a.sum()]


def svd_smooth(m, a):
    """Functions of u, s and vh that do not depend on signs."""
    u, s, vh = m.linalg.svd(a)
    k = s.shape[-1]
    u, vh = u[..., :k], vh[..., :k, :]
    return (u * m.expand_dims(s * s * 0.1, -2)) @ vh, u * u, vh * vh


def svd_smooth_numpy(a):
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return [(u * (s * s * 0.1)[..., None, :]) @ vh, u * u, vh * vh]


def lu_product(m, a):
    p, lower, u = m.linalg.lu(a)
    back = m.take_along_axis(lower, m.expand_dims(p, -1), -2) @ u
    return back, m.tril(lower) - lower, m.triu(u) - u


def lu_numpy(a):
    m, n = a.shape[-2:]
    k = min(m, n)
    return [a, np.zeros((*a.shape[:-2], m, k)), np.zeros((*a.shape[:-2], k, n))]


def doolittle(a):
    """LU in one matrix without exchanges."""
    a = a.copy()
    for j in range(min(a.shape[-2:])):
        a[..., j + 1 :, j] /= a[..., j, j][..., None]
        a[..., j + 1 :, j + 1 :] -= a[..., j + 1 :, j, None] * a[..., j, None, j + 1 :]
    return a


def eig_residual(m, a):
    w, v = m.linalg.eig(a)
    wide = a.astype(m.complex64)
    return wide @ v - v * m.expand_dims(w, -2), m.sum(m.abs(v) ** 2, axis=-2)


def eig_numpy(a):
    return [np.zeros(a.shape, complex), np.ones(a.shape[:-1])]


def eig_size(a):
    return [norm(a), 8]


def power_sums(m, w):
    """Of the eigenvalues, whose order is free."""
    return m.sum(w, axis=-1), m.sum(w * w, axis=-1)


ROWS = [
    row("cholesky", lambda m, a: m.linalg.cholesky(a), numpy_cholesky, positive, SQUARE),
    row("cholesky", lambda m, a: m.linalg.cholesky(a, upper=True),
        lambda a: np.swapaxes(numpy_cholesky(a), -1, -2), positive, SQUARE, label="upper"),
    row("cholesky", lambda m, a: m.linalg.cholesky(sym(m, a)),
        lambda a: np.linalg.cholesky(numpy_sym(a)), positive, SQUARE[:3], label="gradient",
        grad=(0,)),
    row("cholesky", lambda m, a: m.linalg.cholesky(sym(m, a), True),
        lambda a: np.swapaxes(np.linalg.cholesky(numpy_sym(a)), -1, -2), positive, SQUARE[:1],
        label="upper gradient", grad=(0,)),
    row("qr", qr_product, qr_identity, magnitude=lambda a: [norm(a), 8, 8]),
    row("qr", qr_smooth, qr_smooth_numpy, apart, SHAPES[:3], label="gradient", grad=(0,),
        magnitude=lambda a: [8, norm(a) ** 2]),
    row("svd", svd_product, svd_numpy, dtypes=DTYPES, magnitude=lambda a: [norm(a), norm(a), 8]),
    row("svd", svd_smooth, svd_smooth_numpy, apart, SHAPES[:3], label="gradient", grad=(0,),
        magnitude=lambda a: [norm(a) ** 2, 8, 8]),
    row("singular_values", lambda m, a: m.linalg.svd(a, compute_uv=False),
        lambda a: np.linalg.svd(a, compute_uv=False), apart, SHAPES, DTYPES, grad=(0,)),
    row("lu_factor", lambda m, a: m.linalg.lu_factor(a)[0], doolittle, apart, SQUARE[:4],
        grad=(0,)),
    row("lu_factor", lambda m, a: m.linalg.lu_factor(a)[1] * 1,
        lambda a: np.broadcast_to(np.arange(a.shape[-1]), a.shape[:-1]), apart, SQUARE,
        label="pivots"),
    row("lu", lu_product, lu_numpy),
    row("lu", lambda m, a: m.linalg.lu(a)[1:],
        lambda a: (lambda b: [np.tril(b, -1) + np.eye(a.shape[-1]), np.triu(b)])(doolittle(a)),
        apart, SQUARE[:3], label="gradient", grad=(0,)),
    row("eig", eig_residual, eig_numpy, shapes=SQUARE, dtypes=DTYPES, magnitude=eig_size,
        peer="residuals are rounding"),
    row("eigvals", lambda m, a: power_sums(m, m.linalg.eigvals(a)),
        lambda a: [np.trace(a, axis1=-2, axis2=-1) + 0j,
                   np.trace(a @ a, axis1=-2, axis2=-1) + 0j],
        shapes=SQUARE, dtypes=DTYPES, magnitude=lambda a: [norm(a), norm(a) ** 2]),
]  # fmt: skip

ROWS = in_family("factor", ROWS)
