"""Short-time Fourier transforms against frames that NumPy cuts."""

import numpy as np

from ops.opcase import COMPLEX, LAYOUTS, OpCase, in_family

UNITS = {"complex64": 16, "float32": 16}
WINDOW = np.hanning(8).astype("float32") + np.float32(0.1)


def spectra(x, n, hop, window=None, center=True, mode="reflect", norm="backward", onesided=None):
    window = np.ones(n) if window is None else window
    left = (n - len(window)) // 2
    window = np.pad(window, (left, n - len(window) - left))
    if center:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n // 2, n // 2)], mode=mode)
    starts = range(0, x.shape[-1] - n + 1, hop)
    frames = np.stack([x[..., s : s + n] for s in starts], axis=-2) * window
    half = x.dtype.kind != "c" if onesided is None else onesided
    return np.swapaxes((np.fft.rfft if half else np.fft.fft)(frames, norm=norm), -1, -2)


def both(m, y):
    return m.real(y), m.imag(y)


def given(m, window):
    return None if window is None else m.array(window)


def size(f):
    return lambda *a: np.max(np.abs(f(*a)), initial=1e-30)


def row(label, n, hop, window=None, center=True, mode="reflect", norm="backward", onesided=None):
    def fn(m, x):
        return m.fft.stft(x, n, hop, None, given(m, window), center, mode, norm, onesided)

    def want(x):
        return spectra(x, n, hop, window, center, mode, norm, onesided)

    more = {"ulps": UNITS, "peer_ulps": 64, "layouts": LAYOUTS[:3], "grad": (0,),
            "second": "linear", "shapes": (((20,),), ((2, 3, 19),))}  # fmt: skip
    return [
        OpCase("stft", lambda m, x: both(m, fn(m, x)), lambda x: [want(x).real, want(x).imag],
               dtypes=("float32",), label=label, magnitude=size(want), **more,
               refuses_others="all dtypes are taken"),
        *([] if onesided else [
            OpCase("stft", fn, want, dtypes=COMPLEX, label=f"{label} complex", magnitude=size(want),
                   **more, refuses_others="all dtypes are taken")]),
    ]  # fmt: skip


def back(label, **options):
    """A signal that goes there and back."""
    window = options.pop("window", None)
    shared = {k: options[k] for k in ("center", "norm", "onesided") if k in options}

    def fn(m, x):
        s = m.fft.stft(x, 8, 2, window=given(m, window), **shared)
        return m.fft.istft(s, 8, 2, window=given(m, window), **options)

    length = options.get("length", 20)

    def want(x):
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, max(0, length - 20))])[..., :length]

    return OpCase("istft", fn, want, shapes=(((20,),), ((2, 20),)), dtypes=("float32",),
                  label=label, ulps=UNITS, magnitude=lambda x: 4, peer_ulps=64, grad=(0,),
                  second="linear", layouts=LAYOUTS[:3],
                  refuses_others="all dtypes are taken")  # fmt: skip


ROWS = [
    *row("", 8, 2),
    *row("window", 8, 3, WINDOW, mode="edge", norm="ortho"),
    *row("short window", 9, 4, WINDOW, center=False),
    *row("all terms", 8, 2, mode="constant", onesided=False),
    back(""),
    back("window", window=WINDOW, norm="forward"),
    back("all terms", onesided=False, center=False),
    back("shorter", length=13),
    back("longer", length=20),
]

ROWS = in_family("stft", ROWS)
