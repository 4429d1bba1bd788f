"""Reading and writing at positions that are data. An index outside of its axis, which ONNX forbids, reads 0 and writes
nothing; negative ones count from the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...tensor import Tensor
from .. import engine as F
from .. import primitives, shapes
from ..registry import operator

if TYPE_CHECKING:
    from ..importer import Node


@operator("Gather", widened="exact")
def gather(node: "Node", x: Tensor, indices: Tensor) -> Tensor:
    axis = shapes.normal_axis(node.attribute("axis", 0), len(x.shape))
    known = node.values[1].array
    if known is not None and known.ndim <= 1:
        positions = known.reshape(-1)
        length = x.shape[axis]
        node.require(bool(((-length <= positions) & (positions < length)).all()),
                     f"an index lies outside of an axis of {length}")
        taken = primitives.take_known(x, axis, positions % max(length, 1))
        return taken.reshape(x.shape[:axis] + known.shape + x.shape[axis + 1:])
    return F.take(x, indices, axis, "wrap")


@operator("GatherElements", widened="exact")
def gather_elements(node: "Node", x: Tensor, indices: Tensor) -> Tensor:
    axis = shapes.normal_axis(node.attribute("axis", 0), len(x.shape))
    return F.gather_along_axis(x, axis, indices, "wrap")


@operator("GatherND", widened="exact")
def gather_nd(node: "Node", x: Tensor, indices: Tensor) -> Tensor:
    return F.gather_nd(x, indices, node.attribute("batch_dims", 0), "wrap")


HOW = {"none": "set", "add": "add", "mul": "multiply"}


def combination(node: "Node") -> str:
    name = node.attribute("reduction", "none")
    node.require(name in HOW, f"unknown reduction {name!r}")
    if name != "none" and node.element(0) in ("i16", "u16", "u32", "u64"):
        node.refuse(f"reduction {name} of {node.element(0)}")
    return HOW[name]


@operator("ScatterElements", "Scatter", widened="exact", refuses="reductions of i16, u16, u32 and u64")
def scatter_elements(node: "Node", x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    axis = shapes.normal_axis(node.attribute("axis", 0), len(x.shape))
    return F.scatter(x, axis, indices, updates, combination(node), "wrap")


@operator("ScatterND", widened="exact", refuses="reductions of i16, u16, u32 and u64")
def scatter_nd(node: "Node", x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    return F.scatter_nd(x, indices, updates, combination(node), "wrap")
