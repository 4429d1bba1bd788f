"""dtypes by their wire names, and how NumPy holds them. A bf16 array is its bits as uint16, or float32 for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from _quarry import TensorError

NUMPY_OF: dict[str, np.dtype] = {name: np.dtype(code) for name, code in {
    "bool": "?", "i8": "<i1", "u8": "<u1", "i32": "<i4", "i64": "<i8", "f16": "<f2", "bf16": "<u2", "f32": "<f4",
    "f64": "<f8"}.items()}
FLOATS = ("f16", "bf16", "f32", "f64")
INTEGERS = ("i8", "u8", "i32", "i64")
BYTES: dict[str, int] = {name: dtype.itemsize for name, dtype in NUMPY_OF.items()}
_WIRE_OF = {dtype: name for name, dtype in NUMPY_OF.items() if name != "bf16"}
_ALIASES = {"float": "f32", "half": "f16", "float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64",
            "double": "f64",
            "int": "i32", "int8": "i8", "uint8": "u8", "int32": "i32", "int64": "i64", "long": "i64", "bool_": "bool"}
_OF_PYTHON = ((float, "f32"), (int, "i32"), (bool, "bool"))
# What no dtype of the wire is, but holds its values.
_WIDENED = {"uint16": "i32", "int16": "i32", "uint32": "i64"}

DTypeLike = Any  # "f32", "float32", np.float32, np.dtype("f4"), float, int, bool


def dtype_name(dtype: DTypeLike) -> str:
    """The wire's name of a dtype given as that name, NumPy's name, a NumPy dtype or scalar type, or float, int,
    bool."""
    if isinstance(dtype, str):
        if dtype in NUMPY_OF:
            return dtype
        if dtype in _ALIASES:
            return _ALIASES[dtype]
    for kind, name in _OF_PYTHON:  # by identity: NumPy's float64 equals float, and is f64
        if dtype is kind:
            return name
    try:
        name = _WIRE_OF.get(np.dtype(dtype).newbyteorder("<")) if dtype is not None else None
    except TypeError:
        name = None
    if name is None:
        raise TensorError(f"there is no dtype {dtype!r}; use one of {', '.join(NUMPY_OF)}")
    return name


def is_float(name: str) -> bool:
    return name in FLOATS


def bf16_bits(values: Any) -> np.ndarray:
    """The bf16 nearest to each value (ties to even), as uint16 bits."""
    bits = np.ascontiguousarray(_to_odd_f32(values)).view(np.uint32)
    rounded = ((bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    quiet_nan = ((bits >> 16) | 0x40).astype(np.uint16)
    # ascontiguousarray makes one axis of none.
    return np.where((bits & 0x7FFFFFFF) > 0x7F800000, quiet_nan, rounded).astype(np.uint16).reshape(np.shape(values))


def _to_odd_f32(values: Any) -> np.ndarray:
    """float32; from float64 rounded to odd, so that rounding once more to bf16 rounds the value itself."""
    values = np.asarray(values)
    with np.errstate(over="ignore", invalid="ignore"):
        near = values.astype(np.float32)
        if values.dtype != np.float64:
            return near
        back = near.astype(np.float64)
        bits = near.view(np.uint32) if near.ndim else near.reshape(1).view(np.uint32).reshape(())
        away = np.abs(back) > np.abs(values)
        inexact = (back != values) & np.isfinite(values) & np.isfinite(back)
        return np.where(inexact, (bits - (away & inexact)) | 1, bits).astype(np.uint32).view(np.float32)


def bf16_values(bits: np.ndarray) -> np.ndarray:
    """float32 values of bf16 bits."""
    return (np.ascontiguousarray(bits).astype(np.uint32) << 16).view(np.float32).reshape(bits.shape)


def storage(data: Any, dtype: DTypeLike | None = None, *, copy: bool = False) -> tuple[np.ndarray, str]:
    """`data` as the engine stores it, contiguous and little-endian, and its dtype. Python numbers and lists become f32,
    i32 (i64 when one does not fit) and bool; arrays keep their dtype, unless one is given. uint16 for bf16 is taken as
    bits."""
    wanted = None if dtype is None else dtype_name(dtype)
    array = _as_array(data)
    if wanted is None:
        wanted = _dtype_of(array, isinstance(data, (np.ndarray, np.generic)))
    if wanted == "bf16":
        stored = array if array.dtype == np.uint16 else bf16_bits(array)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            stored = array.astype(NUMPY_OF[wanted], copy=False)
    stored = np.array(stored, NUMPY_OF[wanted], order="C", copy=True) if copy else np.asarray(stored, NUMPY_OF[wanted],
                                                                                              order="C")
    return stored, wanted


def _as_array(data: Any) -> np.ndarray:
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise TensorError(f"no tensor can be made of this: {error}") from None
    except OverflowError:
        raise TensorError("no dtype holds integers of more than 64 bits") from None
    if array.dtype.kind not in "biuf":
        raise TensorError(f"no tensor can be made of {type(data).__name__} ({array.dtype}): "
                          "give numbers of equally long rows")
    return array


def _dtype_of(array: np.ndarray, typed: bool) -> str:
    if typed:
        name = _WIRE_OF.get(array.dtype.newbyteorder("<")) or _WIDENED.get(array.dtype.name)
        if name is None:
            raise TensorError(f"there is no {array.dtype} here; cast it to one of {', '.join(NUMPY_OF)}")
        return name
    if array.dtype.kind == "b":
        return "bool"
    if array.dtype.kind == "f":
        return "f32"
    if array.dtype.kind == "u":
        raise TensorError("no dtype holds integers of more than 63 bits and a sign")
    return "i32" if array.size == 0 or (array.min() >= -2**31 and array.max() < 2**31) else "i64"


def for_people(stored: np.ndarray, dtype: str) -> np.ndarray:
    """What .numpy() gives: bf16 as float32, all others as they are."""
    return bf16_values(stored) if dtype == "bf16" else stored
