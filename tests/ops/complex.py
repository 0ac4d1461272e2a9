"""Parts of complex numbers."""

import numpy as np

from ops.opcase import ALL, OpCase, Uniform, in_family

ROWS = [
    OpCase("real", lambda m, a: m.real(a), np.real, dtypes=ALL, grad=(0,), second="linear"),
    OpCase("imag", lambda m, a: m.imag(a), np.imag, dtypes=ALL, grad=(0,), second="linear"),
    OpCase("conjugate", lambda m, a: m.conjugate(a), np.conj, dtypes=ALL, grad=(0,),
           second="linear"),
    OpCase("complex_abs", lambda m, a: m.abs(a), np.abs, (Uniform(-5, 5),), dtypes=("complex64",),
           ulps=2, grad=(0,), second="not smooth at 0", refuses_others="abs has the others"),
]  # fmt: skip

ROWS = in_family("complex", ROWS)
