"""Errors of fft, beside the tables of tests/ops."""

import plimsoll.core as mx
import pytest

peer = pytest.importorskip("mlx.core")


@pytest.mark.parametrize("m", [mx, peer], ids=["plimsoll", "mlx"])
def test_what_does_not_fit_is_refused(m):
    x = m.ones((4, 6))
    for call in (
        lambda: m.fft.fft(x, 0),
        lambda: m.fft.irfft(x[:, :1]),
        lambda: m.fft.fftn(x, (3,)),
        lambda: m.fft.fftn(x, (3, 5), (0,)),
        lambda: m.fft.fftn(x, None, (0, 0)),
        lambda: m.fft.fft(x, norm="other"),
        lambda: m.fft.stft(x, 8, 0),
        lambda: m.fft.stft(x, 4, win_length=5),
        lambda: m.fft.stft(x, 8, center=False),
        lambda: m.fft.stft(x, 0),
        lambda: m.fft.istft(m.ones((5,))),
        lambda: m.fft.istft(m.ones((5, 3)), 8, 0),
    ):
        with pytest.raises(ValueError, match=r"\["):
            call()
    for call in (lambda: m.fft.fft(x, axis=5), lambda: m.fft.fftshift(x, axes=5)):
        with pytest.raises(IndexError):
            call()
