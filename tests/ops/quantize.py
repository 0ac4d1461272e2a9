"""Numbers in few bits: codes, scales and words are exactly mlx's."""

import mlx.core as peer
import numpy as np

from ops.opcase import Fixed, OpCase, Uniform, in_family

HALVES = ("float16", "bfloat16", "float32")
NORMAL = Uniform(-2, 2)
AT = Fixed(Uniform(0, 2), "int32")
MATRIX = (((3, 128),), ((2, 2, 256),))
ODD = "mlx has no such dtype here"


def packed(label, dtypes=HALVES, **settings):
    """Words, scales and biases."""
    return OpCase("quantize", lambda m, w: list(m.quantize(w, **settings)), None, (NORMAL,), MATRIX,
                  dtypes, label, peer_ulps=0, layouts=("transposed", "strided"),
                  refuses_others=ODD)  # fmt: skip


def rebuilt(label, dtypes=HALVES, oracle=None, **settings):
    """What was packed by the same library; mlx rounds to 16 bits on the way."""
    return OpCase("dequantize",
                  lambda m, w: m.dequantize(*m.quantize(w, **settings), dtype=w.dtype, **settings),
                  oracle, (NORMAL,), MATRIX, dtypes, label, peer_ulps=32, layouts=(),
                  refuses_others=ODD)  # fmt: skip


def rounded(w, **settings):
    """What mlx makes of a matrix by packing and unpacking it."""
    settings.setdefault("mode", "affine")
    flat = peer.array(np.asarray(w, "f4").reshape(-1, w.shape[-1]))
    back = peer.dequantize(*peer.quantize(flat, **settings), dtype=peer.float32, **settings)
    return np.array(back).astype("f8").reshape(w.shape)


def multiplied(label, shapes, transpose=True, dtypes=("float32",), **settings):
    def fn(m, x, w):
        words = m.quantize(m.stop_gradient(w), **settings)
        return m.quantized_matmul(x, *words, transpose=transpose, **settings)

    def oracle(x, w):
        w = rounded(w, **settings)
        return x @ (np.swapaxes(w, -1, -2) if transpose else w)

    return OpCase("quantized_matmul", fn, oracle, (NORMAL, NORMAL), shapes, dtypes, label,
                  ulps=16, magnitude=sums(oracle), peer_ulps=256, grad=(0,), second="linear",
                  layouts=(), batched=(0,), refuses_others=ODD)  # fmt: skip


def sums(oracle):
    """Errors are relative to the sums of the terms' magnitudes, here bounded by their number."""
    return lambda x, *rest: np.full(oracle(x, *rest).shape, 4.0 * x.shape[-1])


def picked(label, shapes, transpose=True, dtypes=("float32",), **settings):
    def fn(m, x, w, i, j):
        words = m.quantize(m.stop_gradient(w), **settings)
        return m.gather_qmm(x, *words, i, j, transpose=transpose, **settings)

    def oracle(x, w, i, j):
        w = rounded(w, **settings)
        return x[i] @ (np.swapaxes(w, -1, -2) if transpose else w)[j]

    return OpCase("gather_qmm", fn, oracle, (NORMAL, NORMAL, AT, AT), shapes, dtypes, label,
                  ulps=16, magnitude=sums(oracle), peer_ulps=256, grad=(0,), second="linear",
                  layouts=(), batched=(0, 2, 3), refuses_others=ODD,
                  grad_peer="mlx has none here")  # fmt: skip


def both(op, label, fn, oracle, makers, shapes, **more):
    """mlx has one-row products only on the CPU, so its packing is the oracle."""
    return OpCase(op, fn, oracle, (NORMAL, NORMAL, *makers), shapes, ("float32",), label, ulps=16,
                  magnitude=sums(oracle), peer_dtypes=(), layouts=(), refuses_others=ODD,
                  **more)  # fmt: skip


def product_of(mode):
    return lambda x, w: rounded(x, mode=mode) @ rounded(w, mode=mode).T


def e4m3(code):
    exponent, fraction = (code >> 3) & 15, code & 7
    size = np.where(exponent == 0, fraction / 8 * 2.0**-6, (1 + fraction / 8) * 2.0 ** (
        exponent.astype(int) - 7))  # fmt: skip
    size = np.where(code & 127 == 127, np.nan, size)
    return np.where(code & 128, -size, size)


class Bytes(Uniform):
    def __call__(self, rng, shape, dtype):
        return rng.permutation(np.arange(int(np.prod(shape))) % 256).reshape(shape).astype("uint8")


class Wide(Uniform):
    """Magnitudes from far below to above what E4M3 holds."""

    def __call__(self, rng, shape, dtype):
        signs = rng.choice([-1, 1], shape)
        values = super().__call__(rng, shape, "float64")
        return (signs * 2.0**values).astype("float16").astype("float32" if dtype == "bfloat16"
                                                              else dtype)  # fmt: skip


ROWS = [
    OpCase("to_fp8", lambda m, x: m.to_fp8(x), None, (Wide(-12, 10),), (((64, 65),), ((),)), HALVES,
           refuses_others=ODD, layouts=()),
    OpCase("from_fp8", lambda m, x: m.from_fp8(x, m.float32), lambda x: e4m3(x).astype("f4"),
           (Bytes(),), (((256,),), ((16, 32),)), ("uint8",), layouts=(),
           refuses_others="codes are uint8 whatever is tested"),
    *(packed(f"{bits}-bits", group_size=64, bits=bits) for bits in (1, 2, 3, 4, 5, 6, 8)),
    packed("default"), packed("128", group_size=128, bits=4),
    *(packed(mode, mode=mode) for mode in ("mxfp4", "mxfp8", "nvfp4")),
    *(rebuilt(f"{bits}-bits", group_size=32, bits=bits) for bits in (1, 2, 3, 4, 5, 6, 8)),
    *(rebuilt(mode, mode=mode) for mode in ("mxfp4", "mxfp8", "nvfp4")),
    multiplied("", (((3, 64), (5, 64)), ((1, 128), (4, 128))), dtypes=HALVES),
    multiplied("3-bits", (((3, 64), (5, 64)),), bits=3, group_size=32),
    multiplied("plain", (((3, 5), (5, 64)),), False),
    multiplied("mxfp4", (((3, 64), (5, 64)),), mode="mxfp4"),
    picked("", (((3, 2, 64), (3, 5, 64), (4,), (4,)),), dtypes=HALVES, bits=8),
    picked("plain", (((3, 2, 5), (3, 5, 64), (4,), (4,)),), False),
    both("qqmm", "", lambda m, x, w: m.qqmm(x, w, mode="mxfp8"), product_of("mxfp8"), (),
         (((3, 64), (5, 64)),), batched=(0,)),
    both("qqmm", "packed", lambda m, x, w: m.qqmm(x, *m.quantize(w, mode="nvfp4")),
         product_of("nvfp4"), (), (((3, 64), (5, 64)),), batched=(0,)),
    both("gather_qqmm", "", lambda m, x, w, j: m.gather_qqmm(x, w, rhs_indices=j),
         lambda x, w, j: rounded(x, mode="nvfp4") @ np.swapaxes(rounded(w, mode="nvfp4"), 1, 2)[j],
         (AT,), (((2, 64), (3, 5, 64), (4,)),), batched=(2,)),
]  # fmt: skip

ROWS = in_family("quantize", ROWS)
