"""Convolutions.

The oracle walks taps over a spread and padded input. Tolerances as for products: 16 units of the
sum of the terms' magnitudes.
"""

import itertools

import numpy as np

from ops.opcase import FLOATS, OpCase, Uniform, in_family

XW = (Uniform(-2, 2), Uniform(-2, 2))
ULPS = dict.fromkeys(FLOATS, 16)


def each(value, n):
    return (value,) * n if isinstance(value, int) else tuple(value)


def convolution(
    x, w, stride=1, padding=0, kernel_dilation=1, input_dilation=1, groups=1, flip=False
):
    n = x.ndim - 2
    stride, dilation, spread = (each(v, n) for v in (stride, kernel_dilation, input_dilation))
    low, high = padding if isinstance(padding, tuple) else (each(padding, n),) * 2
    wide = np.zeros(
        (x.shape[0], *((s - 1) * i + 1 for s, i in zip(x.shape[1:-1], spread, strict=True)),
         x.shape[-1]), x.dtype)  # fmt: skip
    wide[(slice(None), *(slice(None, None, i) for i in spread))] = x
    wide = np.pad(wide, [(0, 0), *zip(low, high, strict=True), (0, 0)])
    taps = w.shape[1:-1]
    if flip:
        w = np.flip(w, tuple(range(1, n + 1)))
    size = [
        (wide.shape[1 + d] - (taps[d] - 1) * dilation[d] - 1) // stride[d] + 1 for d in range(n)
    ]
    per_in, per_out = w.shape[-1], w.shape[0] // groups
    out = np.zeros((x.shape[0], *size, w.shape[0]), x.dtype)
    for at in itertools.product(*(range(t) for t in taps)):
        part = wide[(slice(None), *(
            slice(p * d, p * d + (m - 1) * s + 1, s)
            for p, d, m, s in zip(at, dilation, size, stride, strict=True)))]  # fmt: skip
        for g in range(groups):
            ins = slice(g * per_in, (g + 1) * per_in)
            outs = slice(g * per_out, (g + 1) * per_out)
            out[..., outs] += part[..., ins] @ w[(outs, *at)].T
    return out


def transposed(x, w, stride=1, padding=0, dilation=1, output_padding=0, groups=1):
    n = x.ndim - 2
    reach = [(t - 1) * d for t, d in zip(w.shape[1:-1], each(dilation, n), strict=True)]
    low = [r - p for r, p in zip(reach, each(padding, n), strict=True)]
    high = [a + b for a, b in zip(low, each(output_padding, n), strict=True)]
    return convolution(x, w, 1, (low, high), dilation, stride, groups, True)


def row(op, oracle, shapes, label="", name=None, grad_peer="", **options):
    def fn(m, x, w):
        return getattr(m, name or op)(x, w, **options)

    def want(x, w):
        return oracle(x, w, **options)

    return OpCase(op, fn, want, XW, shapes, FLOATS, label=label, ulps=ULPS,
                  magnitude=lambda x, w: want(np.abs(x), np.abs(w)) + 1e-30, grad=(0, 1),
                  peer_ulps=128, peer_dtypes=FLOATS[:3], grad_peer=grad_peer)  # fmt: skip


def plain(x, w, stride=1, padding=0, dilation=1, groups=1):
    return convolution(x, w, stride, list(each(padding, x.ndim - 2)), dilation, 1, groups)


LINE, IMAGE = ((2, 7, 3), (4, 3, 3)), ((2, 5, 6, 3), (4, 3, 2, 3))
BOX = ((1, 3, 4, 3, 2), (3, 2, 3, 2, 2))
MLX_SHAPE = "mlx gives a gradient of another shape than the input, whose end no output reaches"
GROUPED = ((2, 5, 4, 6), (9, 2, 3, 2))
DEPTHWISE = ((2, 5, 4, 18), (18, 3, 3, 1))

ROWS = [
    row("conv", convolution,
        (IMAGE, ((2, 40, 70, 5), (70, 3, 3, 5)), ((1, 9, 9, 130), (3, 3, 3, 130))),
        name="conv_general", padding=([1, 2], [0, 1])),
    row("conv_general", convolution, (LINE, IMAGE, BOX), stride=2, padding=1, kernel_dilation=2),
    row("conv_general", convolution, (IMAGE,), label="spread", input_dilation=(2, 3), padding=2,
        flip=True, grad_peer=MLX_SHAPE),
    row("conv_general", convolution, (GROUPED,), label="groups", groups=3, stride=(2, 1),
        padding=1),
    row("conv_general", convolution, (DEPTHWISE,), label="depthwise", groups=18, padding=1),
    row("conv1d", plain, (LINE, ((1, 700, 2), (3, 500, 2)), ((0, 7, 3), (4, 3, 3)))),
    row("conv1d", plain, (((2, 9, 4), (6, 3, 2)),), label="all", stride=2, padding=3, dilation=2,
        groups=2),
    row("conv2d", plain, (IMAGE,)),
    row("conv2d", plain, (GROUPED,), label="all", stride=(1, 2), padding=(2, 1), dilation=(2, 1),
        groups=3),
    row("conv3d", plain, (BOX,)),
    row("conv3d", plain, (BOX,), label="all", stride=(1, 2, 1), padding=(1, 0, 2),
        dilation=(2, 1, 1)),
    row("conv_transpose1d", transposed, (LINE,), stride=2, padding=1, output_padding=1),
    row("conv_transpose2d", transposed, (IMAGE,), stride=(2, 3), padding=(1, 0), dilation=(1, 2),
        output_padding=(1, 2), grad_peer=MLX_SHAPE),
    row("conv_transpose2d", transposed, (GROUPED,), label="groups", groups=3, stride=2),
    row("conv_transpose3d", transposed, (BOX,), stride=(1, 2, 1), padding=(0, 1, 1)),
]  # fmt: skip

ROWS = in_family("conv", ROWS)
