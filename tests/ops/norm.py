"""Normalisation of rows, and its fused gradients."""

import numpy as np

from ops.opcase import FLOATS, OpCase, Uniform, in_family

EPS = 2.0**-17  # float32 holds it: so do attributes
ULPS = {"float32": 8, "float64": 32}
X, W = Uniform(-2, 2), Uniform(0.5, 2)
XWB = (((3, 5), (5,), (5,)), ((4,), (4,), (4,)), ((2, 3, 129), (129,), (129,)),
       ((0, 5), (5,), (5,)))  # fmt: skip


def normed(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, -1, keepdims=True) + EPS)


def scaled(x):
    return x / np.sqrt(np.mean(x**2, -1, keepdims=True) + EPS)


def rms(x, w):
    return scaled(x) * w


def layer(x, w, b):
    return normed(x) * w + b


def pulled(oracle, argnums):
    """The gradients of sum(g * oracle) by closed form."""

    def oracle_of_gradient(x, w, g):
        u = g * w
        if oracle is rms:
            y = scaled(x)
            scale = 1 / np.sqrt(np.mean(x**2, -1, keepdims=True) + EPS)
            dx = scale * (u - y * np.mean(u * y, -1, keepdims=True))
        else:
            y = normed(x)
            scale = 1 / np.sqrt(np.var(x, -1, keepdims=True) + EPS)
            dx = scale * (u - u.mean(-1, keepdims=True) - y * np.mean(u * y, -1, keepdims=True))
        rows = tuple(range(x.ndim - 1))
        grads = [dx, np.sum(g * y, rows), np.sum(g, rows)]
        return grads[:argnums]

    return oracle_of_gradient


def gradient_size(x, w, g):
    size = np.max(np.abs(g)) * np.max(np.abs(w)) * 4 + 1e-30
    return [size * np.max(1 / np.sqrt(np.var(x, -1) + EPS), initial=1), size * x.shape[0],
            size * x.shape[0]]  # fmt: skip


def layer_gradient(m, x, w, g):
    return m.vjp(lambda x, w, b: m.fast.layer_norm(x, w, b, EPS), [x, w, w * 0], [g])[1]


def rms_gradient(m, x, w, g):
    return m.vjp(lambda x, w: m.fast.rms_norm(x, w, EPS), [x, w], [g])[1]


BOUND = {"magnitude": lambda x, w=1, b=0: 4 * np.max(np.abs(w), initial=0) + np.max(np.abs(b))}
PLAIN = {"magnitude": lambda x, *w: 4 * np.max(np.abs(w[0]) if w else 1, initial=1)}
XG = (((3, 5), (5,), (3, 5)), ((2, 4, 33), (33,), (2, 4, 33)))

ROWS = [
    OpCase("layer_norm", lambda m, x, w, b: m.fast.layer_norm(x, w, b, EPS), layer, (X, W, W), XWB,
           FLOATS, ulps=ULPS, grad=(0, 1, 2), **BOUND),
    OpCase("layer_norm", lambda m, x: m.fast.layer_norm(x, None, None, EPS), normed, (X,),
           (((3, 5),), ((7, 64),)), FLOATS, label="plain", ulps=ULPS, grad=(0,),
           **PLAIN),
    OpCase("layer_norm", lambda m, x, w: m.fast.layer_norm(x, w, None, EPS),
           lambda x, w: normed(x) * w, (X, W), (((3, 5), (5,)),), FLOATS, label="weight", ulps=ULPS,
           grad=(0, 1), **PLAIN),
    OpCase("rms_norm", lambda m, x, w: m.fast.rms_norm(x, w, EPS), rms, (X, W),
           tuple(s[:2] for s in XWB), FLOATS, ulps=ULPS, grad=(0, 1), **PLAIN),
    OpCase("rms_norm", lambda m, x: m.fast.rms_norm(x, None, EPS), scaled, (X,),
           (((3, 5),), ((7, 64),)), FLOATS, label="plain", ulps=ULPS, grad=(0,),
           **PLAIN),
    OpCase("layer_norm_vjp", layer_gradient, pulled(layer, 3), (X, W, X), XG, FLOATS,
           ulps=ULPS, magnitude=gradient_size, peer_ulps=64,
           refuses_others="layer_norm says so"),
    OpCase("rms_norm_vjp", rms_gradient, pulled(rms, 2), (X, W, X), XG, FLOATS, ulps=ULPS,
           magnitude=lambda *a: gradient_size(*a)[:2], peer_ulps=64,
           refuses_others="rms_norm says so"),
]  # fmt: skip

ROWS = in_family("norm", ROWS)
