"""What the registry holds is complete: kernels, gradients, batching, tiles, docs and rows."""

from collections import defaultdict

import plimsoll.core as mx
import pytest
from plimsoll import _core

from ops.opcase import FORMATS, dtype_name, to
from ops.tables import CASES

OPS = {op["name"]: op for op in _core._registry()}
RECORDED = [name for name, op in OPS.items() if op["kind"] != "composite"]
CUT_BY_KIND = {"elementwise", "random", "view", "projection", "load"}
# Names of kernels and dtypes: bool is "bool" there.
DTYPES = {"bool_": "bool"}

WHOLE = {"uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"}
REAL = WHOLE | {"bool", "float16", "bfloat16", "float32", "float64"}
# Dtypes that the tile interpreter has and the op does not record, with the reason.
UNRECORDED = {
    "abs": ({"bool", "complex64"}, "bool is returned as it is; complex_abs has complex64"),
    "bitwise_invert": ({"bool"}, "logical_not records it"),
    "ceil": (WHOLE, "integers are returned as they are"),
    "complex_abs": (REAL, "abs has them; they share a tile op"),
    "isfinite": ({"bool"}, "true for every bool"),
    "isinf": (WHOLE | {"bool"}, "false for every integer"),
    "isnan": (WHOLE | {"bool"}, "false for every integer"),
    "isneginf": (WHOLE | {"bool"}, "false for every integer"),
    "isposinf": (WHOLE | {"bool"}, "false for every integer"),
    "random_bits": (WHOLE | {"bool", "float64"}, "keys are uint32"),
    "round": (WHOLE, "integers are returned as they are"),
    "sign": ({"bool"}, "bool is returned as it is"),
    "trunc": (WHOLE, "integers are returned as they are"),
}


def ids(names):
    return [pytest.param(OPS[name], id=name) for name in sorted(names)]


def recorded_by(case, dtype):
    """Names of the ops that a row and its gradient record."""
    arrays = [to(mx, v, dtype) for v in case.make(dtype, case.shapes[0])]
    names = set()
    for y in case.run(mx, dtype, arrays):
        names |= _core._recorded_ops(y)
    for at in case.grad:

        def total(*a, at=at):
            parts = [y.sum() for y in case.run(mx, dtype, a) if dtype_name(y) in FORMATS]
            return sum(parts[1:], parts[0]) if parts else (a[at] * 0).sum()

        names |= _core._recorded_ops(mx.grad(total, argnums=at)(*arrays))
    return names


@pytest.fixture(scope="module")
def seen():
    """By op: the rows' dtypes in which it was recorded."""
    found = defaultdict(set)
    for case in CASES:
        for dtype in case.dtypes:
            for name in (
                recorded_by(case, dtype)
                if dtype in FORMATS or case.op not in OPS
                else (named_by(case, dtype))
            ):
                found[name].add(DTYPES.get(dtype, dtype))
    return found


def named_by(case, dtype):
    arrays = [to(mx, v, dtype) for v in case.make(dtype, case.shapes[0])]
    return set().union(*(_core._recorded_ops(y) for y in case.run(mx, dtype, arrays)), set())


def test_every_op_has_a_row():
    rows = {case.op for case in CASES}
    assert set(OPS) - rows == set()
    assert rows - set(OPS) == set()


@pytest.mark.parametrize("op", ids(RECORDED))
def test_rows_record_the_op(op, seen):
    assert op["name"] in seen, f"no row records {op['name']}"


@pytest.mark.parametrize("op", ids(n for n in RECORDED if OPS[n]["kind"] not in ("view",)))
def test_every_kernel_dtype_is_tested(op, seen):
    unrecorded, _ = UNRECORDED.get(op["name"], (set(), ""))
    untested = set(op["kernels"]) - seen[op["name"]] - unrecorded
    assert op["kernels"], f"{op['name']} has no kernel"
    assert not untested, f"{op['name']} is not tested in {sorted(untested)}"


@pytest.mark.parametrize("op", ids(RECORDED))
def test_recorded_ops_are_differentiable_or_say_so(op):
    assert op["has_vjp"] or not op["differentiable"]


@pytest.mark.parametrize("op", ids(n for n in RECORDED if OPS[n]["differentiable"]))
def test_gradients_are_tested(op, seen):
    rows = [c for c in CASES if c.op == op["name"] and c.grad]
    fused = op["name"].endswith("_vjp")  # reached through the gradient of its op
    assert rows or fused, f"no row differentiates {op['name']}"


@pytest.mark.parametrize("op", ids(RECORDED))
def test_recorded_ops_are_batched(op):
    assert op["has_vmap"]


@pytest.mark.parametrize("op", ids(RECORDED))
def test_recorded_ops_say_how_they_are_cut(op):
    assert op["has_tiling"] or op["kind"] in CUT_BY_KIND


@pytest.mark.parametrize("op", ids(n for n in OPS if OPS[n]["signature"]))
def test_public_ops_have_an_example(op):
    assert op["doc"]
    assert ">>> " in op["doc"]


@pytest.mark.parametrize("op", ids(n for n in OPS if not OPS[n]["signature"]))
def test_inner_ops_are_described(op):
    assert op["doc"]
    assert len(op["doc"]) > 20
