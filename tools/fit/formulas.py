"""Fits the polynomials of src/opset/formulas-inl.h and prints them with their errors.

Each is a weighted least-squares fit on Chebyshev nodes, improved by Lawson's reweighting until the
weighted error is nearly equioscillating. Run with a Python that has numpy and scipy.
"""

import numpy as np
from scipy import special


def fit(name, f, low, high, degree, weight=None, digits=17, single=False, steps=60):
    """Prints coefficients c with f(x) ~ sum c[i] x^i, lowest first."""
    x = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(4000) + 0.5) / 4000)
    y = f(x)
    w = np.ones_like(x) if weight is None else weight(x)
    t = (2 * x - low - high) / (high - low)
    lawson = np.ones_like(x)
    basis = np.polynomial.chebyshev.chebvander(t, degree)
    for _ in range(steps):
        scale = w * np.sqrt(lawson)
        c, *_ = np.linalg.lstsq(basis * scale[:, None], y * scale, rcond=None)
        err = np.abs((basis @ c - y) * w)
        lawson *= err / err.max() + 1e-3
        lawson /= lawson.mean()
    line = np.polynomial.Polynomial([-(low + high) / (high - low), 2 / (high - low)])
    mono = np.polynomial.chebyshev.Chebyshev(c).convert(kind=np.polynomial.Polynomial)(line)
    coefs = mono.coef.astype(np.float32).astype(float) if single else mono.coef
    got = np.polynomial.polynomial.polyval(x, coefs)
    print(f"{name}: weighted error {np.abs((got - y) * w).max():.2e}")
    print(
        "  {"
        + ", ".join(f"{c:.{9 if single else digits}g}{'f' if single else ''}" for c in coefs)
        + "}"
    )


def series(f, x, small, taylor):
    """f(x) where |x| > small, else the Taylor polynomial (lowest first)."""
    t = np.polynomial.polynomial.polyval(x, taylor)
    with np.errstate(all="ignore"):
        return np.where(np.abs(x) > small, f(np.where(x == 0, 1, x)), t)


fact = [1.0]
for i in range(1, 30):
    fact.append(fact[-1] * i)
half = np.log(2) / 2 * 1.001

fit(
    "exp, (e^r-1-r)/r^2",
    lambda r: series(
        lambda v: (np.expm1(v) - v) / v**2, r, 0.1, [1 / fact[i + 2] for i in range(14)]
    ),
    -half,
    half,
    4,
    lambda r: r**2,
    single=True,
)
a, b = np.sqrt(0.5) - 1, np.sqrt(2) - 1
fit(
    "log, (log(1+f)-f+f^2/2)/f^3",
    lambda f: series(
        lambda v: (np.log1p(v) - v + v * v / 2) / v**3,
        f,
        0.12,
        [(-1) ** i / (i + 3) for i in range(20)],
    ),
    a,
    b,
    8,
    lambda f: f**2,
    single=True,
)
fit(
    "erf small, erf(x)/x-1 in x^2",
    lambda u: series(
        lambda v: special.erf(np.sqrt(v)) / np.sqrt(v) - 1, u, 1e-12, [2 / np.sqrt(np.pi) - 1]
    ),
    0,
    0.95**2,
    6,
    single=True,
)
fit(
    "erf large, -log(erfc(a))",
    lambda v: -special.log_ndtr(-v * np.sqrt(2)) - np.log(2),
    0.9,
    4.0,
    8,
    lambda v: special.erfc(v) / special.erf(v),
    single=True,
)
fit(
    "tanh small, (tanh(x)/x-1)/x^2 in x^2",
    lambda u: series(
        lambda v: (np.tanh(np.sqrt(v)) / np.sqrt(v) - 1) / v, u, 1e-4, [-1 / 3, 2 / 15, -17 / 315]
    ),
    0,
    0.66**2,
    5,
    lambda u: u,
    single=True,
)
q = (np.pi / 4 * 1.001) ** 2
sin3 = [(-1) ** (i + 1) / fact[2 * i + 3] for i in range(8)]
cos4 = [(-1) ** i / fact[2 * i + 4] for i in range(8)]
fit(
    "sin, (sin r-r)/r^3 in r^2",
    lambda u: np.polynomial.polynomial.polyval(u, sin3),
    0,
    q,
    3,
    lambda u: u,
    single=True,
)
fit(
    "cos, (cos r-1+r^2/2)/r^4 in r^2",
    lambda u: np.polynomial.polynomial.polyval(u, cos4),
    0,
    q,
    2,
    lambda u: u**2,
    single=True,
)

print("--- wide (double lanes) ---")
fit(
    "wide (e^r-1)/r",
    lambda r: np.polynomial.polynomial.polyval(r, [1 / fact[i + 1] for i in range(18)]),
    -half,
    half,
    8,
)
s2 = ((np.sqrt(2) - 1) / (np.sqrt(2) + 1)) ** 2 * 1.001
fit(
    "wide (atanh(s)/s-1)/s^2 in s^2",
    lambda u: np.polynomial.polynomial.polyval(u, [1 / (2 * i + 3) for i in range(14)]),
    0,
    s2,
    5,
)
t2 = np.tan(np.pi / 8) ** 2 * 1.001
fit(
    "wide (atan(t)/t-1)/t^2 in t^2",
    lambda u: np.polynomial.polynomial.polyval(
        u, [(-1) ** (i + 1) / (2 * i + 3) for i in range(40)]
    ),
    0,
    t2,
    8,
)
fit("wide (sin r-r)/r^3 in r^2", lambda u: np.polynomial.polynomial.polyval(u, sin3), 0, q, 4)
fit("wide (cos r-1+r^2/2)/r^4 in r^2", lambda u: np.polynomial.polynomial.polyval(u, cos4), 0, q, 4)


def erfinv_ratio(w):
    """erfinv(x)/x where w = -log(1-x^2)."""
    x = np.sqrt(-np.expm1(-w))
    big = special.erfcinv(np.exp(-w) / (1 + x)) / x
    return np.where(w > 1e-8, np.where(w < 0.5, special.erfinv(x) / x, big), np.sqrt(np.pi) / 2)


fit(
    "wide erfinv(x)/x in w-3, w<6",
    lambda v: erfinv_ratio(v + 3),
    -3,
    3,
    13,
    lambda v: 1 / erfinv_ratio(v + 3),
)
fit(
    "wide erfinv(x)/x in sqrt(w)-3.25, 6<=w<17",
    lambda v: erfinv_ratio((v + 3.25) ** 2),
    np.sqrt(6) - 3.25,
    4.13 - 3.25,
    8,
    lambda v: 1 / erfinv_ratio((v + 3.25) ** 2),
)
