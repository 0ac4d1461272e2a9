"""Fourier transforms.

Errors grow with the log of the length; they are a few units of the greatest term (Bluestein's
convolution for large prime factors has three transforms).
"""

import numpy as np

from ops.opcase import COMPLEX, FLOATS, INTEGERS, LAYOUTS, OpCase, in_family

UNITS = {"complex64": 16, "float32": 16}
SHAPES = (((3, 6),), ((8,),), ((2, 3, 7),), ((5, 1),), ((2, 30),), ((3, 17),), ((2, 53),),
          ((1, 1001),), ((33, 64),), ((0, 4),))  # fmt: skip
DTYPES = ("bool_", *INTEGERS, *FLOATS, *COMPLEX)
GRIDS = (((3, 6),), ((2, 3, 4),), ((5, 17),))


def row(op, oracle, shapes=SHAPES, name=None, label="", **options):
    """Values of all dtypes; the gradient of complex ones."""

    def fn(m, a):
        return getattr(m.fft, name or op)(a, **options)

    def want(a):
        return oracle(a.real if op.startswith("r") else a, **options)

    def size(a):
        return np.max(np.abs(want(a)), initial=1e-30)

    more = {
        "shapes": shapes,
        "ulps": UNITS,
        "magnitude": size,
        "peer_ulps": 64,
        "layouts": LAYOUTS[:3],
    }
    values = OpCase(op, fn, want, dtypes=DTYPES, label=label, inexact=True,
                    refuses_others="all dtypes are taken", **more)  # fmt: skip
    if op.startswith("r"):
        slopes = OpCase(op, lambda m, a: (m.real(fn(m, a)), m.imag(fn(m, a))),
                        lambda a: [want(a).real, want(a).imag], dtypes=("float32",), grad=(0,),
                        label=f"{label} gradient".strip(), second="linear",
                        refuses_others="see the other row", **more)  # fmt: skip
    else:
        slopes = OpCase(op, fn, want, dtypes=COMPLEX, grad=(0,), second="linear",
                        label=f"{label} gradient".strip(), refuses_others="see the other row",
                        **more)  # fmt: skip
    return [values, slopes]


def shift(op, oracle, label="", **options):
    return OpCase(op, lambda m, a: getattr(m.fft, op)(a, **options), lambda a: oracle(a, **options),
                  shapes=(((3, 5),), ((4,),), ((2, 3, 6),)), label=label, grad=(0,),
                  refuses_others=False)  # fmt: skip


def frequencies(op, oracle):
    return OpCase(op, lambda m, a: a.astype(m.float32) + getattr(m.fft, op)(7, 0.5).sum()
                  * m.ones((1,)), lambda a: a + oracle(7, 0.5).sum(), shapes=(((3,),),),
                  dtypes=("float32",), ulps=4, magnitude=lambda a: 2,
                  refuses_others="no array is taken")  # fmt: skip


ROWS = [
    *row("dft", lambda a, axis: np.fft.fft(a, axis=axis), GRIDS, name="fft", axis=0),
    *row("rdft", lambda a, axis: np.fft.rfft(a, axis=axis), (((4, 3),), ((6, 5),)), name="rfft",
         axis=0),
    *row("irdft", lambda a: np.fft.irfft(a), (((3, 4),), ((2, 9),)), name="irfft"),
    *row("fft", np.fft.fft),
    *row("fft", np.fft.fft, GRIDS, label="cut", n=4, axis=1, norm="ortho"),
    *row("fft", np.fft.fft, GRIDS, label="padded", n=9, axis=0, norm="forward"),
    *row("ifft", np.fft.ifft),
    *row("ifft", np.fft.ifft, GRIDS, label="padded", n=9, axis=0, norm="forward"),
    *row("rfft", np.fft.rfft),
    *row("rfft", np.fft.rfft, GRIDS, label="cut", n=3, axis=1, norm="ortho"),
    *row("irfft", np.fft.irfft, SHAPES[:3] + SHAPES[4:9]),
    *row("irfft", np.fft.irfft, GRIDS, label="odd", n=7, axis=0, norm="ortho"),
    *row("fft2", np.fft.fft2, GRIDS),
    *row("ifft2", np.fft.ifft2, GRIDS, s=(4, 2), axes=(0, 1)),
    *row("rfft2", np.fft.rfft2, GRIDS, norm="forward"),
    *row("irfft2", np.fft.irfft2, GRIDS),
    *row("fftn", np.fft.fftn, GRIDS),
    *row("ifftn", np.fft.ifftn, GRIDS, norm="ortho"),
    *row("rfftn", np.fft.rfftn, GRIDS),
    *row("irfftn", np.fft.irfftn, GRIDS, s=(4, 5), axes=(1, 0)),
    shift("fftshift", np.fft.fftshift),
    shift("fftshift", np.fft.fftshift, label="axis", axes=(-1,)),
    shift("ifftshift", np.fft.ifftshift),
    frequencies("fftfreq", np.fft.fftfreq),
    frequencies("rfftfreq", np.fft.rfftfreq),
]  # fmt: skip

ROWS = in_family("fft", ROWS)
