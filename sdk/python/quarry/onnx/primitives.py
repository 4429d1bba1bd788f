"""What several rules need beyond the engine's functions: constants, positions that are known, unsigned arithmetic."""

from __future__ import annotations

from typing import Any, Callable, Sequence, Union

import numpy as np

from ..tensor import Tensor

from . import engine as F

CONSTANT_ELEMENTS = 1 << 12  # arrays up to here are searched for being uniform
TOP_BIT = -(1 << 63)
EXACT_IN_F64 = 1 << 53
Number = Union[int, float, bool]


def from_array(array: np.ndarray, dtype: str) -> Tensor:
    """A tensor that has this value: a constant where all elements are the same bits."""
    if array.size == 0:
        return full(array.shape, 0, dtype)
    if array.size <= CONSTANT_ELEMENTS:
        flat = np.ascontiguousarray(array).reshape(-1)
        if (flat.view(np.uint8).reshape(array.size, -1) == flat[:1].view(np.uint8)).all() and np.isfinite(flat[0]):
            return full(array.shape, flat[0].item(), dtype)
    return Tensor(array, dtype)


def full(shape: Sequence[int], value: Number, dtype: str) -> Tensor:
    return Tensor.full(tuple(shape), value, dtype)


def zeros(shape: Sequence[int], dtype: str) -> Tensor:
    return full(shape, 0, dtype)


def full_like(x: Tensor, value: Number) -> Tensor:
    return full(x.shape, value, x.dtype)


def zeros_like(x: Tensor) -> Tensor:
    return full_like(x, 0)


def ones_like(x: Tensor) -> Tensor:
    return full_like(x, 1)


def iota(dtype: str, shape: Sequence[int], axis: int) -> Tensor:
    return F.iota(dtype, list(shape), axis)


def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    return F.broadcast_to(x, list(shape))


def at(x: Tensor, axis: int, position: int) -> Tensor:
    """The position of an axis, which is dropped."""
    return F.select(x, axis, position)


def concatenate(tensors: list[Tensor], axis: int) -> Tensor:
    return F.cat(tensors, axis) if len(tensors) > 1 else tensors[0]


def pad_with(x: Tensor, amounts: Sequence[tuple[int, int]], value: Number) -> Tensor:
    """Negative amounts cut off."""
    if isinstance(value, int) and abs(value) > EXACT_IN_F64:  # integers wrap, so the way there and back is exact
        return F.pad_with(x - value, list(amounts), "constant", 0.0) + value
    return F.pad_with(x, list(amounts), "constant", float(value))


def take_known(x: Tensor, axis: int, positions: np.ndarray) -> Tensor:
    """x at known positions of an axis, all inside of it: by movement alone where they are regular."""
    count, length = len(positions), x.shape[axis]
    if count == 0:
        return F.narrow(x, axis, 0, 0)
    step = int(positions[1] - positions[0]) if count > 1 else 1
    first, last = int(positions[0]), int(positions[-1])
    if step != 0 and np.array_equal(positions, first + step * np.arange(count)):
        whole = [slice(None)] * len(x.shape)
        whole[axis] = slice(first, last + 1) if step > 0 else slice(first, last - 1 if last > 0 else None)
        if abs(step) != 1:
            whole[axis] = slice(whole[axis].start, whole[axis].stop, step)
        elif step < 0:
            whole[axis] = slice(whole[axis].start, whole[axis].stop, -1)
        return x[tuple(whole)]
    if count % length == 0 and np.array_equal(positions, np.repeat(np.arange(length), count // length)):
        return F.repeat_interleave(x, count // length, axis)
    return F.take(x, Tensor(positions.astype(np.int32), "i32"), axis, "outside")


def in_f32(function: Callable[[Tensor], Any], x: Tensor) -> Any:
    """function(x) in f32 where x is of 16 bits, rounded once at the end."""
    if x.dtype not in ("f16", "bf16"):
        return function(x)
    return function(x.cast("f32")).cast(x.dtype)


# ---- integers


def integer_power_of_float(x: Tensor, y: Tensor) -> Tensor:
    """An integer to a float, as an integer: exact for whole exponents, else the truncated real power, in which an error
    of the last places of f64 does not count."""
    base, exponent = x.cast("f64"), y.cast("f64")
    power = F.pow(base, exponent)
    nearest = F.round(power)
    close = F.abs(power - nearest) <= F.abs(power) * 1e-13
    fractional = F.where(close, nearest, F.trunc(power)).cast(x.dtype)
    whole = F.pow(x.cast("i64"), exponent.cast("i64")).cast(x.dtype)
    return F.where(F.trunc(exponent) == exponent, whole, fractional)


def halved(x: Tensor) -> Tensor:
    """The bits of an i64 one place to the right, with 0 at the top."""
    return F.floor_divide(x, full_like(x, 2)) + F.where(x < 0, full_like(x, TOP_BIT), zeros_like(x))


def unsigned_less(x: Tensor, y: Tensor) -> Tensor:
    return x + TOP_BIT < y + TOP_BIT


def unsigned_division(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Quotient and remainder of u64 in the bits of i64."""
    x, y = broadcast_to(x, (x + y).shape), broadcast_to(y, (x + y).shape)
    guess = F.div(halved(x), y) * 2  # at most one too small where y is below 2^63
    rest = x - guess * y
    again = F.logical_not(unsigned_less(rest, y))
    small = guess + again.cast("i64"), F.where(again, rest - y, rest)
    fits = F.logical_not(unsigned_less(x, y))
    large = fits.cast("i64"), F.where(fits, x - y, x)
    quotient, remainder = (F.where(y < 0, of_large, of_small) for of_large, of_small in zip(large, small))
    return quotient, remainder


def shift_left(x: Tensor, amount: Tensor) -> Tensor:
    """What is shifted out wraps away; amounts of the width and more give 0."""
    return x * F.pow(full_like(amount, 2), amount)


def shift_right(x: Tensor, amount: Tensor, bits: int) -> Tensor:
    """Of unsigned integers. A power of two that wraps to 0, or to the lowest integer, gives the quotient 0."""
    if bits < 64:
        return F.div(x, F.pow(full_like(amount, 2), amount))
    shifted = F.div(halved(x), F.pow(full_like(amount, 2), amount - 1))
    return F.where(amount == 0, x, shifted)


def unsigned_to_float(x: Tensor, dtype: str) -> Tensor:
    """u64 rounded once: above 2^63 the halved number with its lost bit kept sticky, twice."""
    half = halved(x)
    lost = x - half * 2
    sticky = half + lost * (1 - (half - F.floor_divide(half, full_like(half, 2)) * 2))
    return F.where(x < 0, sticky.cast(dtype) * 2, x.cast(dtype))


def float_to_unsigned(x: Tensor) -> Tensor:
    """The bits of u64 in an i64."""
    limit = 2.0 ** 63
    if x.dtype == "f16":  # which ends below the limit
        return x.cast("i64")
    return F.where(x < limit, x.cast("i64"), (x - limit).cast("i64") + TOP_BIT)
