"""What runs over axes: reductions, softmax, arg max, top k, running sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional, Sequence

import numpy as np

from ...tensor import Tensor
from .. import engine as F
from .. import primitives, shapes
from ..registry import operator
from ..values import FLOATS

if TYPE_CHECKING:
    from ..importer import Node

Reduce = Callable[[Tensor, Sequence[int]], Tensor]


def mean(x: Tensor, axes: Sequence[int]) -> Tensor:
    if x.dtype in FLOATS:
        return F.mean(x, axes, True)
    total = F.sum(x, axes, True)
    return F.div(total, primitives.full_like(total, shapes.product([x.shape[axis] for axis in axes])))


REDUCTIONS: dict[str, Reduce] = {
    "ReduceSum": lambda x, axes: F.sum(x, axes, True),
    "ReduceMean": mean,
    "ReduceMax": lambda x, axes: F.max(x, axes, True),
    "ReduceMin": lambda x, axes: F.min(x, axes, True),
    "ReduceProd": lambda x, axes: F.prod(x, axes, True),
    "ReduceL1": lambda x, axes: F.l1_norm(x, axes, True),
    "ReduceL2": lambda x, axes: F.l2_norm(x, axes, True),
    "ReduceLogSum": lambda x, axes: primitives.in_f32(lambda y: F.log(F.sum(y, axes, True)), x),
    "ReduceLogSumExp": lambda x, axes: F.logsumexp(x, axes, True),
    "ReduceSumSquare": lambda x, axes: F.sum(x * x, axes, True),
}
OF_FLOATS = ("ReduceL2", "ReduceLogSum", "ReduceLogSumExp")


def reduced(node: "Node", x: Tensor, axes: Optional[Sequence[int]]) -> Tensor:
    if axes is None or len(axes) == 0:
        if node.attribute("noop_with_empty_axes", 0):
            return x
        axes = range(len(x.shape))
    axes = shapes.normal_axes(axes, len(x.shape))
    if node.operator in OF_FLOATS and x.dtype not in FLOATS:
        node.refuse(f"a real function of {x.dtype}, which ONNX leaves open")
    result = REDUCTIONS[node.operator](x, axes) if axes else reduced_scalar(node, x)
    if node.attribute("keepdims", 1):
        return result
    return result.reshape([size for axis, size in enumerate(x.shape) if axis not in axes])


def reduced_scalar(node: "Node", x: Tensor) -> Tensor:
    """A value of rank 0 has no axis to reduce over."""
    return REDUCTIONS[node.operator](x.reshape((1,)), [0]).reshape(())


def reduced_by_attribute(node: "Node", x: Tensor) -> Tensor:
    return reduced(node, x, node.attribute("axes"))


def reduced_by_operand(node: "Node", x: Tensor, axes: Optional[np.ndarray] = None) -> Tensor:
    return reduced(node, x, axes)


operator("ReduceL1", "ReduceMean")(reduced_by_attribute)
operator("ReduceL2", "ReduceLogSum", "ReduceLogSumExp", refuses="integers")(reduced_by_attribute)
operator("ReduceMax", "ReduceMin", widened="exact", unsigned64=False)(reduced_by_attribute)
# The lower bits of a wider sum or product are the narrower one.
operator("ReduceProd", "ReduceSumSquare", widened="wrap")(reduced_by_attribute)
operator("ReduceSum", until=12, widened="wrap")(reduced_by_attribute)
operator("ReduceSum", since=13, known=(1,), widened="wrap")(reduced_by_operand)


@operator("ArgMax", "ArgMin")
def arg_extreme(node: "Node", x: Tensor) -> Tensor:
    axis = shapes.normal_axis(node.attribute("axis", 0), len(x.shape))
    last = node.attribute("select_last_index", 0)
    node.require(x.shape[axis] > 0, f"axis {axis} is empty")
    x = F.flip(x, [axis]) if last else x
    found = (F.argmax if node.operator == "ArgMax" else F.argmin)(x, axis, True).cast("i64")
    if last:
        found = x.shape[axis] - 1 - found
    return found if node.attribute("keepdims", 1) else found.reshape(x.shape[:axis] + x.shape[axis + 1:])


def hardmax(x: Tensor, axis: int) -> Tensor:
    first = F.argmax(x, axis, True)
    return (primitives.iota(first.dtype, x.shape, axis) == first).cast(x.dtype)


def along_axis(node: "Node", x: Tensor, axis: int) -> Tensor:
    function = {"Softmax": F.softmax, "LogSoftmax": F.log_softmax, "Hardmax": hardmax}[node.operator]
    return function(x, axis)


@operator("Softmax", "LogSoftmax", "Hardmax", until=11)
def softmax_of_matrix(node: "Node", x: Tensor) -> Tensor:
    """As before version 13: the axes from `axis` on are one."""
    rank = len(x.shape)
    axis = node.attribute("axis", 1)
    node.require(-rank <= axis <= rank, f"axis {axis} of a value of rank {rank}")
    axis = axis + rank if axis < 0 else axis
    rows, columns = shapes.product(x.shape[:axis]), shapes.product(x.shape[axis:])
    return along_axis(node, x.reshape((rows, columns)), 1).reshape(x.shape)


@operator("Softmax", "LogSoftmax", "Hardmax", since=13)
def softmax(node: "Node", x: Tensor) -> Tensor:
    return along_axis(node, x, shapes.normal_axis(node.attribute("axis", -1), len(x.shape)))


@operator("TopK", until=1)
def top_k_by_attribute(node: "Node", x: Tensor) -> tuple[Tensor, Tensor]:
    return best(node, x, node.attribute("k"))


@operator("TopK", since=10, known=(1,))
def top_k(node: "Node", x: Tensor, k: np.ndarray) -> tuple[Tensor, Tensor]:
    return best(node, x, int(k.item()))


def best(node: "Node", x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest or smallest; of equal ones the first comes first. They are sorted also if that is not asked
    for."""
    axis = shapes.normal_axis(node.attribute("axis", -1), len(x.shape))
    node.require(0 <= k <= x.shape[axis], f"the best {k} of an axis of {x.shape[axis]}")
    values, indices = F.topk(x, k, axis, bool(node.attribute("largest", 1)))
    return values, indices.cast("i64")


@operator("CumSum", known=(1,), widened="wrap")
def cumulative_sum(node: "Node", x: Tensor, axis: np.ndarray) -> Tensor:
    return F.cumsum(x, shapes.normal_axis(int(axis.item()), len(x.shape)), bool(node.attribute("exclusive", 0)),
                    bool(node.attribute("reverse", 0)))


