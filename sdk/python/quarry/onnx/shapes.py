"""Shape arithmetic that several rules and their NumPy twins share. Knows nothing of tensors."""

from __future__ import annotations

from typing import Optional, Sequence

import numpy as np


def normal_axis(axis: int, rank: int) -> int:
    """The axis counted from 0."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} does not lie in a value of rank {rank}")
    return axis + rank if axis < 0 else axis


def normal_axes(axes: Sequence[int], rank: int) -> list[int]:
    """The axes counted from 0, ascending."""
    normal = sorted(normal_axis(int(axis), rank) for axis in axes)
    if len(set(normal)) != len(normal):
        raise ValueError(f"axes {list(axes)} name one axis twice")
    return normal


def product(sizes: Sequence[int]) -> int:
    result = 1
    for size in sizes:
        result *= int(size)
    return result


def reshaped(shape: Sequence[int], target: Sequence[int], allow_zero: bool) -> tuple[int, ...]:
    """Reshape's target with 0 (keep) and -1 (what is left) put in."""
    sizes = [int(size) for size in target]
    if not allow_zero:
        for position, size in enumerate(sizes):
            if size == 0:
                if position >= len(shape):
                    raise ValueError(f"the target {sizes} keeps axis {position} of a value of shape {list(shape)}")
                sizes[position] = shape[position]
    if sizes.count(-1) > 1 or any(size < -1 for size in sizes):
        raise ValueError(f"{list(target)} is no shape")
    if -1 in sizes:
        rest = product([size for size in sizes if size != -1])
        if rest == 0 or product(shape) % rest:
            raise ValueError(f"{list(shape)} cannot be reshaped to {list(target)}")
        sizes[sizes.index(-1)] = product(shape) // rest
    if product(sizes) != product(shape):
        raise ValueError(f"{list(shape)} cannot be reshaped to {list(target)}")
    return tuple(sizes)


def squeezed(shape: Sequence[int], axes: Optional[Sequence[int]]) -> tuple[int, ...]:
    """The shape without the given axes of size 1; None: without all such axes."""
    if axes is None:
        return tuple(size for size in shape if size != 1)
    dropped = normal_axes(axes, len(shape))
    for axis in dropped:
        if shape[axis] != 1:
            raise ValueError(f"axis {axis} of {list(shape)} is not of size 1")
    return tuple(size for axis, size in enumerate(shape) if axis not in dropped)


def unsqueezed(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """The shape with axes of size 1 at the given positions of the result."""
    added = normal_axes(axes, len(shape) + len(axes))
    sizes = list(shape)
    for axis in added:
        sizes.insert(axis, 1)
    return tuple(sizes)


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    return tuple(np.broadcast_shapes(*map(tuple, shapes)))


def slices(shape: Sequence[int], starts: Sequence[int], ends: Sequence[int], axes: Optional[Sequence[int]],
           steps: Optional[Sequence[int]]) -> tuple[slice, ...]:
    """ONNX's Slice as Python's. Bounds beyond an axis are cut to it; with a negative step a start below the axis is its
    first element, where Python has none."""
    chosen = [slice(None)] * len(shape)
    axes = range(len(starts)) if axes is None else [normal_axis(int(axis), len(shape)) for axis in axes]
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ValueError("starts, ends, axes and steps differ in length")
    for axis, start, end, step in zip(axes, starts, ends, steps):
        start, end, step, size = int(start), int(end), int(step), shape[axis]
        if step == 0:
            raise ValueError(f"the step of axis {axis} is 0")
        start, end = (bound + size if bound < 0 else bound for bound in (start, end))
        if step > 0:
            chosen[axis] = slice(min(max(start, 0), size), min(max(end, 0), size), step)
        elif size > 0:
            last = min(max(end, -1), size - 1)
            chosen[axis] = slice(min(max(start, 0), size - 1), None if last < 0 else last, step)
    return tuple(chosen)


def split_sizes(size: int, parts: Optional[Sequence[int]], count: int) -> list[int]:
    """The sizes of Split's parts."""
    if parts is None:
        if count == 0 or size % count:
            raise ValueError(f"an axis of {size} cannot be split into {count} equal parts")
        return [size // count] * count
    sizes = [int(part) for part in parts]
    if sum(sizes) != size or any(part < 0 for part in sizes) or len(sizes) != count:
        raise ValueError(f"an axis of {size} cannot be split into {count} parts of {sizes}")
    return sizes
