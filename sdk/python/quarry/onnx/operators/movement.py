"""Shapes: what moves elements and computes nothing, or nearly so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from ...tensor import Tensor
from .. import engine as F
from .. import primitives, shapes
from ..registry import operator
from ..values import Value

if TYPE_CHECKING:
    from ..importer import Node


@operator("Identity", by_values=True)
def identity(node: "Node") -> Value:
    return node.values[0]


@operator("Shape", by_values=True)
def shape(node: "Node") -> np.ndarray:
    return np.array(node.values[0].shape[slice(node.attribute("start", 0), node.attribute("end"))], np.int64)


@operator("Size", by_values=True)
def size(node: "Node") -> np.ndarray:
    return np.array(shapes.product(node.values[0].shape), np.int64)


@operator("Reshape", until=4, widened="exact")
def reshape_by_attribute(node: "Node", x: Tensor) -> Tensor:
    return x.reshape(shapes.reshaped(x.shape, node.attribute("shape", []), False))


@operator("Reshape", since=5, known=(1,), widened="exact")
def reshape(node: "Node", x: Tensor, target: np.ndarray) -> Tensor:
    return x.reshape(shapes.reshaped(x.shape, target, bool(node.attribute("allowzero", 0))))


@operator("Squeeze", until=11, widened="exact")
def squeeze_by_attribute(node: "Node", x: Tensor) -> Tensor:
    return x.reshape(shapes.squeezed(x.shape, node.attribute("axes")))


@operator("Squeeze", since=13, known=(1,), widened="exact")
def squeeze(node: "Node", x: Tensor, axes: Optional[np.ndarray] = None) -> Tensor:
    return x.reshape(shapes.squeezed(x.shape, axes))


@operator("Unsqueeze", until=11, widened="exact")
def unsqueeze_by_attribute(node: "Node", x: Tensor) -> Tensor:
    return x.reshape(shapes.unsqueezed(x.shape, node.attribute("axes", [])))


@operator("Unsqueeze", since=13, known=(1,), widened="exact")
def unsqueeze(node: "Node", x: Tensor, axes: np.ndarray) -> Tensor:
    return x.reshape(shapes.unsqueezed(x.shape, axes))


@operator("Flatten", widened="exact")
def flatten(node: "Node", x: Tensor) -> Tensor:
    axis = node.attribute("axis", 1)
    node.require(-len(x.shape) <= axis <= len(x.shape), f"axis {axis} of a value of rank {len(x.shape)}")
    axis = axis + len(x.shape) if axis < 0 else axis
    return x.reshape((shapes.product(x.shape[:axis]), shapes.product(x.shape[axis:])))


@operator("Transpose", widened="exact")
def transpose(node: "Node", x: Tensor) -> Tensor:
    axes = node.attribute("perm", list(reversed(range(len(x.shape)))))
    return x.permute(axes)


@operator("Concat", since=1, widened="exact")
def concat(node: "Node", *operands: Tensor) -> Tensor:
    return primitives.concatenate(list(operands), node.attribute("axis", 1))


@operator("Slice", until=1, widened="exact")
def slice_by_attributes(node: "Node", x: Tensor) -> Tensor:
    return sliced(x, node.attribute("starts"), node.attribute("ends"), node.attribute("axes"), None)


@operator("Slice", since=10, known=(1, 2, 3, 4), widened="exact")
def slice_(node: "Node", x: Tensor, starts: np.ndarray, ends: np.ndarray, axes: Optional[np.ndarray] = None,
           steps: Optional[np.ndarray] = None) -> Tensor:
    return sliced(x, starts, ends, axes, steps)


def sliced(x: Tensor, starts: Any, ends: Any, axes: Any, steps: Any) -> Tensor:
    return x[shapes.slices(x.shape, starts, ends, axes, steps)]


@operator("Split", until=11, widened="exact")
def split_by_attribute(node: "Node", x: Tensor) -> tuple[Tensor, ...]:
    return parts(node, x, node.attribute("split"))


@operator("Split", since=13, known=(1,), widened="exact")
def split(node: "Node", x: Tensor, sizes: Optional[np.ndarray] = None) -> tuple[Tensor, ...]:
    return parts(node, x, sizes)


def parts(node: "Node", x: Tensor, sizes: Any) -> tuple[Tensor, ...]:
    axis = shapes.normal_axis(node.attribute("axis", 0), len(x.shape))
    begin, results = 0, []
    for length in shapes.split_sizes(x.shape[axis], sizes, len(node.output_names)):
        results.append(F.narrow(x, axis, begin, length))
        begin += length
    return tuple(results)


@operator("Expand", known=(1,), widened="exact")
def expand(node: "Node", x: Tensor, target: np.ndarray) -> Tensor:
    return primitives.broadcast_to(x, shapes.broadcast(x.shape, tuple(int(length) for length in target)))


@operator("Tile", since=6, known=(1,), widened="exact")
def tile(node: "Node", x: Tensor, repeats: np.ndarray) -> Tensor:
    node.require(len(repeats) == len(x.shape) and all(count >= 0 for count in repeats),
                 f"repeats {list(repeats)} for a value of shape {list(x.shape)}")
    return F.tile(x, [int(count) for count in repeats])


@operator("Pad", until=2)
def pad_by_attributes(node: "Node", x: Tensor) -> Tensor:
    return padded(node, x, node.attribute("pads", node.attribute("paddings")), node.attribute("value", 0.0))


@operator("Pad", since=11, known=(1, 2), widened="exact")
def pad(node: "Node", x: Tensor, pads: np.ndarray, value: Optional[np.ndarray] = None) -> Tensor:
    fill = 0 if value is None or value.size == 0 else value.reshape(-1)[0].item()
    if node.element(0) == "u64" and fill >= 1 << 63:
        fill -= 1 << 64
    return padded(node, x, pads, fill)


def padded(node: "Node", x: Tensor, pads: Any, value: Any) -> Tensor:
    rank = len(x.shape)
    node.require(len(pads) == 2 * rank, f"{len(pads)} pads for a value of rank {rank}")
    amounts = [(int(pads[axis]), int(pads[axis + rank])) for axis in range(rank)]
    mode = node.attribute("mode", "constant")
    if mode == "constant":
        return primitives.pad_with(x, amounts, value)
    # Reflect and edge read elements of x at known positions, also further out than once over.
    for axis, (before, after) in enumerate(amounts):
        if before or after:
            x = primitives.take_known(x, axis, source_positions(node, x.shape[axis], before, after, mode))
    return x


def source_positions(node: "Node", length: int, before: int, after: int, mode: str) -> np.ndarray:
    positions = np.arange(-before, length + after)
    node.require(length > 0 or len(positions) == 0, f"an empty axis has nothing to pad with in mode {mode}")
    if mode == "edge":
        return np.clip(positions, 0, length - 1)
    node.require(mode == "reflect", f"unknown mode {mode!r}")
    if length == 1:
        return np.zeros_like(positions)
    period = 2 * (length - 1)
    positions = np.abs(positions) % period
    return np.where(positions >= length, period - positions, positions)


@operator("DepthToSpace", since=1)
def depth_to_space(node: "Node", x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    b = node.attribute("blocksize")
    node.require(b > 0 and c % (b * b) == 0, f"{c} channels in blocks of {b}")
    if node.attribute("mode", "DCR") == "DCR":
        blocks = x.reshape((n, b, b, c // (b * b), h, w)).permute((0, 3, 4, 1, 5, 2))
    else:
        blocks = x.reshape((n, c // (b * b), b, b, h, w)).permute((0, 1, 4, 2, 5, 3))
    return blocks.reshape((n, c // (b * b), h * b, w * b))


@operator("SpaceToDepth", since=1)
def space_to_depth(node: "Node", x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    b = node.attribute("blocksize")
    node.require(b > 0 and h % b == 0 and w % b == 0, f"{h} x {w} in blocks of {b}")
    return x.reshape((n, c, h // b, b, w // b, b)).permute((0, 3, 5, 1, 2, 4)).reshape((n, c * b * b, h // b, w // b))


@operator("Trilu", known=(1,), widened="exact")
def trilu(node: "Node", x: Tensor, k: Optional[np.ndarray] = None) -> Tensor:
    diagonal = 0 if k is None else int(k.item())
    rows, columns = x.shape[-2:]
    # Beyond the matrix all diagonals are alike.
    diagonal = max(-rows - 1, min(columns + 1, diagonal))
    return F.triu(x, diagonal) if node.attribute("upper", 1) else F.tril(x, diagonal)


@operator("ReverseSequence", widened="exact")
def reverse_sequence(node: "Node", x: Tensor, lengths: Tensor) -> Tensor:
    time, batch = node.attribute("time_axis", 0), node.attribute("batch_axis", 1)
    node.require({time, batch} == {0, 1}, "time_axis and batch_axis have to be 0 and 1")
    shape_ = [1] * len(x.shape)
    shape_[batch] = x.shape[batch]
    last = lengths.reshape(shape_)
    steps = primitives.iota("i64", shape_[:time] + [x.shape[time]] + shape_[time + 1:], time)
    source = F.where(steps < last, last - 1 - steps, steps + last * 0)
    return F.gather_along_axis(x, time, primitives.broadcast_to(source, tuple(x.shape)), "outside")


@operator("Compress", known=(1,), widened="exact")
def compress(node: "Node", x: Tensor, condition: np.ndarray) -> Tensor:
    axis = node.attribute("axis")
    if axis is None:
        x, axis = x.reshape((shapes.product(x.shape),)), 0
    axis = shapes.normal_axis(axis, len(x.shape))
    node.require(condition.ndim == 1 and len(condition) <= x.shape[axis],
                 f"a condition of {list(condition.shape)} for an axis of {x.shape[axis]}")
    return primitives.take_known(x, axis, np.nonzero(condition)[0])


