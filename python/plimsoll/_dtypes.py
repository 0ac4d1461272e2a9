"""Questions about dtypes."""

from __future__ import annotations

from plimsoll import _core

_FORMATS = {
    # bits, bits of the significand behind the point, exponent of the smallest normal number
    "float16": (16, 10, -14),
    "bfloat16": (16, 7, -126),
    "float32": (32, 23, -126),
    "float64": (64, 52, -1022),
    "complex64": (32, 23, -126),
}
_KINDS = {
    "bool": (),
    "signed integer": (_core.signedinteger,),
    "unsigned integer": (_core.unsignedinteger,),
    "integral": (_core.integer,),
    "real floating": (_core.floating,),
    "complex floating": (_core.complexfloating,),
    "numeric": (_core.number,),
}


def isdtype(dtype: _core.Dtype, kind: _core.Dtype | str | tuple[_core.Dtype | str, ...]) -> bool:
    """Whether a Dtype is of a kind.

    Args:
        dtype: The Dtype in question.
        kind: A Dtype, "bool", "signed integer", "unsigned integer", "integral", "real floating",
            "complex floating", "numeric", or a tuple of these, of which one suffices.

    Raises:
        TypeError: where dtype is none.
        ValueError: for another kind.

    Example:
        >>> mx.isdtype(mx.int8, "integral"), mx.isdtype(mx.int8, ("bool", mx.float32))
        (True, False)
    """
    if not isinstance(dtype, _core.Dtype):
        raise TypeError(f"isdtype(): expected a Dtype, got {type(dtype).__name__}")
    matches = False
    for one in kind if isinstance(kind, tuple) else (kind,):
        if isinstance(one, _core.Dtype):
            matches |= dtype == one
        elif not isinstance(one, str):
            raise ValueError("[isdtype] `kind` must be a dtype, a string, or a tuple of these.")
        elif one not in _KINDS:
            raise ValueError(f"[isdtype] Unknown data type kind: '{one}'.")
        elif one == "bool":
            matches |= dtype == _core.bool_
        else:
            matches |= any(_core.issubdtype(dtype, category) for category in _KINDS[one])
    return matches


def can_cast(from_: _core.array | _core.Dtype, to: _core.Dtype) -> bool:
    """Whether promoting the two dtypes gives ``to``.

    Args:
        from_: An array, or a Dtype.
        to: A Dtype.

    Raises:
        ValueError: where ``from_`` is neither.

    Example:
        >>> mx.can_cast(mx.int8, mx.int16), mx.can_cast(mx.float32, mx.int32)
        (True, False)
    """
    if isinstance(from_, _core.array):
        from_ = from_.dtype
    if not isinstance(from_, _core.Dtype):
        raise ValueError("[can_cast] `from_` must be an array or a dtype.")
    return bool(_core._promote_types(from_, to) == to)


class finfo:
    """Limits of a float dtype; of float32 for complex64.

    Attributes:
        bits: Bits of a number.
        dtype: The Dtype.
        eps: Distance from 1 to the next greater number.
        max: The greatest finite number.
        min: The least.
        smallest_normal: The least positive number with a full significand.

    Raises:
        ValueError: for integers and bool.

    Example:
        >>> mx.finfo(mx.float16).max
        65504.0
    """

    def __init__(self, arg: _core.Dtype, /) -> None:
        if not isinstance(arg, _core.Dtype):
            raise TypeError(f"finfo(): expected a Dtype, got {type(arg).__name__}")
        if arg.name not in _FORMATS:
            raise ValueError(f"[finfo] dtype {arg.name} is not inexact.")
        self.bits, fraction, least = _FORMATS[arg.name]
        self.dtype = _core.float32 if arg == _core.complex64 else arg
        self.eps = 2.0**-fraction
        self.max = (2.0 - self.eps) * 2.0 ** (1 - least)
        self.min = -self.max
        self.smallest_normal = 2.0**least

    def __repr__(self) -> str:
        return f"finfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype.name})"


class iinfo:
    """Limits of an integer dtype.

    Attributes:
        dtype: The Dtype.
        max: The greatest number.
        min: The least.

    Raises:
        ValueError: for other dtypes.

    Example:
        >>> mx.iinfo(mx.int8)
        iinfo(min=-128, max=127, dtype=int8)
    """

    def __init__(self, arg: _core.Dtype, /) -> None:
        if not isinstance(arg, _core.Dtype):
            raise TypeError(f"iinfo(): expected a Dtype, got {type(arg).__name__}")
        if not _core.issubdtype(arg, _core.integer):
            raise ValueError(f"[iinfo] Only integer types supported but {arg.name} was provided")
        bits = 8 * arg.size
        signed = _core.issubdtype(arg, _core.signedinteger)
        self.dtype = arg
        self.min = -(2 ** (bits - 1)) if signed else 0
        self.max = 2 ** (bits - signed) - 1

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype.name})"
