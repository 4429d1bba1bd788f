"""x[...]: integers, slices, None, Ellipsis, and one integer tensor."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

import _quarry
from _quarry import TensorError


def get(x: _quarry.Tensor, index: Any) -> _quarry.Tensor:
    entries = _entries(x, index if isinstance(index, tuple) else (index,))
    taken = [entry for entry in entries if _is_array(entry)]
    if len(taken) > 1:
        raise TensorError("only one axis at a time can be indexed by a tensor; use functional.gather_nd for several")
    slices, kept_shape, take_axis = [], [], None
    axis = 0
    for entry in entries:
        if entry is None:
            kept_shape.append(1)
            continue
        size = x.shape[axis]
        if isinstance(entry, slice):
            start, stop, step = _bounds(entry, size, axis)
            slices.append((start, stop, step))
            kept_shape.append(len(range(start, stop, step)))
        elif _is_array(entry):
            take_axis = len(kept_shape)
            slices.append((0, size, 1))
            kept_shape.append(size)
        else:
            slices.append(_one(entry, size, axis, x))
        axis += 1
    result = _quarry.reshape(_sliced(x, slices), kept_shape)
    return result if take_axis is None else _taken(result, taken[0], take_axis)


def _entries(x: _quarry.Tensor, index: tuple[Any, ...]) -> list[Any]:
    """One entry for each axis, and None for each new one."""
    entries = list(index)
    used = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if used > len(x.shape):
        raise TensorError(f"{used} indices for {x.dtype}{list(x.shape)}, which has {len(x.shape)} axes")
    dots = [i for i, entry in enumerate(entries) if entry is Ellipsis]
    if len(dots) > 1:
        raise TensorError("an index has at most one ...")
    at = dots[0] if dots else len(entries)
    return entries[:at] + [slice(None)] * (len(x.shape) - used) + entries[at + len(dots):]


def _is_array(entry: Any) -> bool:
    return hasattr(entry, "shape") and hasattr(entry, "dtype") and not isinstance(entry,
                                                                                  np.integer) or isinstance(entry, list)


def _bounds(entry: slice, size: int, axis: int) -> tuple[int, int, int]:
    try:
        return entry.indices(size)
    except (TypeError, ValueError) as error:
        raise TensorError(f"axis {axis}: {error}") from None


def _one(entry: Any, size: int, axis: int, x: _quarry.Tensor) -> tuple[int, int, int]:
    try:
        if isinstance(entry, (bool, np.bool_)):
            raise TypeError
        position = operator.index(entry)
    except TypeError:
        raise TensorError(f"an index is an integer, a slice, None, ... or an integer tensor, not {entry!r}") from None
    if not -size <= position < size:
        raise TensorError(f"index {position} is outside of axis {axis} of {x.dtype}{list(x.shape)}")
    position %= size
    return position, position + 1, 1


def _sliced(x: _quarry.Tensor, slices: list[tuple[int, int, int]]) -> _quarry.Tensor:
    ranges, steps = [], []
    for start, stop, step in slices:
        count = len(range(start, stop, step))
        last = start + (count - 1) * step
        ranges.append((0, 0) if count == 0 else (min(start, last), max(start, last) + 1))
        steps.append(1 if count == 0 else step)
    return _quarry.stride(_quarry.shrink(x, ranges), steps)


def _taken(x: _quarry.Tensor, index: Any, axis: int) -> _quarry.Tensor:
    from .tensor import node_of
    node = node_of(index)
    if node.dtype == "bool":
        raise TensorError("a bool tensor as index would give a shape that depends on data; use where or masked_fill")
    return _quarry.take(x, node, axis, "wrap")
