"""isdtype, can_cast, finfo, iinfo and asarray agree with the wheel; printoptions print."""

import numpy as np
import plimsoll.core as mx
import pytest

peer = pytest.importorskip("mlx.core")

NAMES = ["bool_", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
         "float16", "bfloat16", "float32", "float64", "complex64"]  # fmt: skip
KINDS = ["bool", "signed integer", "unsigned integer", "integral", "real floating",
         "complex floating", "numeric"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_kinds_and_casts(name):
    ours, theirs = getattr(mx, name), getattr(peer, name)
    for kind in [*KINDS, ("bool", "integral"), ()]:
        assert mx.isdtype(ours, kind) == peer.isdtype(theirs, kind), kind
    for other in NAMES:
        assert mx.can_cast(ours, getattr(mx, other)) == peer.can_cast(theirs, getattr(peer, other))
    assert mx.can_cast(mx.zeros((2,), ours), ours)
    assert mx.isdtype(ours, (mx.int8, ours))


@pytest.mark.parametrize("name", NAMES)
def test_limits(name):
    ours, theirs = getattr(mx, name), getattr(peer, name)
    for what, fields in (("finfo", ("bits", "eps", "max", "min", "smallest_normal")),
                         ("iinfo", ("max", "min"))):  # fmt: skip
        try:
            want = getattr(peer, what)(theirs)
        except ValueError:
            with pytest.raises(ValueError, match=f"\\[{what}\\]"):
                getattr(mx, what)(ours)
            continue
        got = getattr(mx, what)(ours)
        assert [getattr(got, f) for f in fields] == [getattr(want, f) for f in fields]
        assert repr(got) == repr(want)
        assert str(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1]


def test_what_is_no_dtype_is_refused():
    for call in (lambda: mx.isdtype(3, "bool"), lambda: mx.finfo(3), lambda: mx.iinfo("int8")):
        with pytest.raises(TypeError, match="expected a Dtype"):
            call()
    for kind in ("foo", 3, ["bool"], (("bool",),)):
        with pytest.raises(ValueError, match=r"\[isdtype\]"):
            mx.isdtype(mx.int8, kind)
    with pytest.raises(ValueError, match=r"\[can_cast\]"):
        mx.can_cast(3, mx.int8)


def test_asarray():
    a = mx.array([1, 2])
    assert mx.asarray(a) is a
    assert mx.asarray(a, mx.int32, copy=False) is a
    assert mx.asarray(a, copy=True) is not a
    assert mx.asarray(a, mx.float32).dtype == mx.float32
    assert mx.asarray(np.arange(3.0, dtype="f4")).tolist() == [0, 1, 2]
    for value, dtype in ((a, mx.float32), ([1], None), (np.arange(3), None)):
        with pytest.raises(ValueError, match="avoid copy"):
            mx.asarray(value, dtype, copy=False)


def test_objects_that_give_an_array():
    class Two:
        def __mlx_array__(self):
            return mx.array([2])

    assert isinstance(Two(), mx.ArrayLike)
    assert not isinstance(3, mx.ArrayLike)
    assert (mx.array([3]) + Two()).tolist() == [5]


@pytest.mark.parametrize("precision", [-1, 0, 2, 12])
def test_printed_digits(precision):
    for values, dtype in (([1.23456789, 2], "float32"), ([1 / 3, 1e9], "float16"),
                          ([2.5], "bfloat16"), ([1, 2], "int32"), ([1 + 2.34567j], "complex64"),
                          ([float("inf"), float("nan")], "float32")):  # fmt: skip
        with mx.printoptions(precision=precision) as now, peer.printoptions(precision=precision):
            assert now.precision == mx.get_printoptions().precision == precision
            assert str(mx.array(values, getattr(mx, dtype))) == str(
                peer.array(values, getattr(peer, dtype)))  # fmt: skip
    assert mx.get_printoptions().precision == -1


def test_print_options_are_set_and_checked():
    mx.set_printoptions(3)
    try:
        assert str(mx.array(1.0)) == "array(1.000, dtype=float32)"
    finally:
        mx.set_printoptions()
    with pytest.raises(TypeError, match="expected an int"):
        mx.set_printoptions(precision="a")
    assert mx.PrintOptions().precision == -1
