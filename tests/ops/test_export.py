"""Every row of the tables goes into a file and back: the same operations, so the same bits."""

import plimsoll.core as mx
import pytest

from ops.opcase import FORMATS, OpCase, dtype_name, to
from ops.tables import CASES
from ops.under_limit import dtype_of_case

EACH = [pytest.param(c, id=f"{c.family}/{c.name}") for c in CASES]


def function(case: OpCase, dtype: str):
    """The row and its gradient."""

    def fn(*arrays):
        results = list(case.run(mx, dtype, arrays))
        if not case.grad or dtype not in FORMATS:
            return results

        def total(*a):
            parts = [(y * y).sum() for y in case.run(mx, dtype, a) if dtype_name(y) in FORMATS]
            return sum(parts[1:], parts[0])

        grads = mx.grad(total, argnums=case.grad)(*arrays)
        return [*results, *(grads if isinstance(grads, tuple) else (grads,))]

    return fn


def bits(arrays):
    return [a.__reduce__()[1] for a in arrays]


@pytest.mark.parametrize("case", EACH)
def test_every_row_comes_back_from_a_file(case, tmp_path):
    dtype = dtype_of_case(case)
    arrays = [to(mx, v, dtype) for v in case.make(dtype, case.shapes[0])]
    path = tmp_path / "f.mlxfn"
    fn = function(case, dtype)
    want = bits(fn(*arrays))
    mx.export_function(str(path), fn, *arrays)
    assert bits(mx.import_function(str(path))(*arrays)) == want
