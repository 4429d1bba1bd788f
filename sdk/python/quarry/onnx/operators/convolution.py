"""Convolutions and pooling over any number of spatial axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Sequence

import numpy as np

from ...tensor import Tensor
from .. import engine as F
from .. import primitives, shapes
from ..registry import operator

if TYPE_CHECKING:
    from ..importer import Node

Pairs = list[tuple[int, int]]


def per_axis(node: "Node", name: str, count: int) -> list[int]:
    """An attribute with an entry for each spatial axis, 1 if left out."""
    entries = node.attribute(name, [1] * count)
    node.require(len(entries) == count and all(entry > 0 for entry in entries),
                 f"{name} {entries} for {count} spatial axes")
    return entries


def padding(node: "Node", sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
            dilations: Sequence[int]) -> Pairs:
    """The zeros around each axis, by pads or auto_pad."""
    count = len(sizes)
    automatic = node.attribute("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        pairs = []
        for size, width, stride, dilation in zip(sizes, kernel, strides, dilations):
            total = max(0, (-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 - size)
            pairs.append((total // 2, total - total // 2) if automatic == "SAME_UPPER" else (total - total // 2,
                                                                                             total // 2))
        return pairs
    node.require(automatic in ("NOTSET", "VALID"), f"unknown auto_pad {automatic!r}")
    pads = node.attribute("pads", [0] * (2 * count)) if automatic == "NOTSET" else [0] * (2 * count)
    node.require(len(pads) == 2 * count and all(pad >= 0 for pad in pads), f"pads {pads} for {count} spatial axes")
    return list(zip(pads[:count], pads[count:]))


def convolved(node: "Node", x: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    count = len(x.shape) - 2
    kernel = list(weight.shape[2:])
    node.require(node.attribute("kernel_shape", kernel) == kernel, "kernel_shape differs from the weights' shape")
    strides, dilations = per_axis(node, "strides", count), per_axis(node, "dilations", count)
    pads = padding(node, x.shape[2:], kernel, strides, dilations)
    return F.conv(x, weight, bias, strides, pads, dilations, node.attribute("group", 1))


@operator("Conv")
def conv(node: "Node", x: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    return convolved(node, x, weight, bias)


@operator("ConvTranspose")
def conv_transpose(node: "Node", x: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    count = len(x.shape) - 2
    kernel = list(weight.shape[2:])
    node.require(node.attribute("kernel_shape", kernel) == kernel, "kernel_shape differs from the weights' shape")
    strides, dilations = per_axis(node, "strides", count), per_axis(node, "dilations", count)
    extra = node.attribute("output_padding", [0] * count)
    automatic = node.attribute("auto_pad", "NOTSET")
    asked = node.attribute("output_shape")
    reach = [(size - 1) * stride + (width - 1) * dilation + 1 + more
             for size, stride, width, dilation, more in zip(x.shape[2:], strides, kernel, dilations, extra)]
    if asked is None and automatic in ("SAME_UPPER", "SAME_LOWER"):
        asked = [size * stride for size, stride in zip(x.shape[2:], strides)]
    if asked is not None:
        pads = [cut(whole - size, automatic) for whole, size in zip(reach, asked[-count:])]
    else:
        pads = padding(node, x.shape[2:], kernel, strides, dilations)
    return F.conv_transpose(x, weight, bias, strides, pads, dilations, node.attribute("group", 1), extra)


def cut(total: int, automatic: str) -> tuple[int, int]:
    """What to take off both ends; the odd one goes to the start, for SAME_UPPER to the end."""
    if automatic == "SAME_UPPER":
        return total // 2, total - total // 2
    return total - total // 2, total // 2


def pool_shape(node: "Node", x: Tensor) -> tuple[Any, ...]:
    """Kernel, strides, padding, dilations and whether sizes are rounded up."""
    count = len(x.shape) - 2
    kernel = per_axis(node, "kernel_shape", count)
    strides, dilations = per_axis(node, "strides", count), per_axis(node, "dilations", count)
    pads = padding(node, x.shape[2:], kernel, strides, dilations)
    ceil = bool(node.attribute("ceil_mode", 0)) and node.attribute("auto_pad", "NOTSET") == "NOTSET"
    if ceil:
        for size, width, stride, dilation, (before, after) in zip(x.shape[2:], kernel, strides, dilations, pads):
            room = size + before + after - (width - 1) * dilation - 1
            if -(-room // stride) * stride >= size + before:
                node.refuse("a window that lies outside of the value, which ceil_mode makes here")
            if room % stride and node.operator == "AveragePool" and node.attribute("count_include_pad", 0):
                node.refuse("count_include_pad with windows that reach beyond the padding, as ceil_mode makes here")
    return kernel, strides, pads, dilations, ceil


@operator("MaxPool", refuses="windows that ceil_mode puts outside of the value")
def max_pool(node: "Node", x: Tensor) -> Any:
    shape = pool_shape(node, x)
    if not node.wants(1):
        return F.max_pool(x, *shape)
    values, indices = F.max_pool_with_indices(x, *shape)
    return values, whole_indices(node, indices, x.shape)


def whole_indices(node: "Node", indices: Tensor, shape: Sequence[int]) -> Tensor:
    """Positions in the flattened tensor, from those in one channel's plane; by columns if storage_order is 1."""
    count = len(shape) - 2
    plane = shapes.product(shape[2:])
    if node.attribute("storage_order", 0) and count > 1:
        rest, coordinates = indices, []
        for size in reversed(shape[2:]):
            quotient = F.div(rest, primitives.full_like(rest, size))
            coordinates.append(rest - quotient * size)
            rest = quotient
        step, indices = 1, primitives.zeros_like(indices)
        for size, coordinate in zip(shape[2:], reversed(coordinates)):
            indices, step = indices + coordinate * step, step * size
    channels = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(tuple(shape[:2]) + (1,) * count)
    return indices + primitives.iota("i64", [shape[0] * shape[1]], 0).reshape(channels.shape) * plane


@operator("MaxUnpool", known=(2,))
def max_unpool(node: "Node", x: Tensor, indices: Tensor, shape: Optional[np.ndarray] = None) -> Tensor:
    count = len(x.shape) - 2
    kernel, strides = per_axis(node, "kernel_shape", count), per_axis(node, "strides", count)
    pads = padding(node, x.shape[2:], kernel, strides, [1] * count)
    sizes = [(size - 1) * stride - before - after + width
             for size, stride, width, (before, after) in zip(x.shape[2:], strides, kernel, pads)]
    whole = [*x.shape[:2], *sizes]
    if shape is not None:
        # The indices count in the tensor that was pooled, whose shape is the inferred one; the result has another.
        node.require(len(shape) == len(whole), f"output_shape {list(shape)} for a value of rank {len(whole)}")
        given = [int(size) for size in shape]
        node.require(all(size >= least for size, least in zip(given, whole)), f"output_shape {given} is below {whole}")
    flat = primitives.zeros([shapes.product(whole)], x.dtype)
    elements = shapes.product(x.shape)
    result = F.scatter(flat, 0, indices.reshape((elements,)), x.reshape((elements,)), "set", "outside").reshape(whole)
    if shape is not None:
        result = primitives.pad_with(result, [(0, size - least) for size, least in zip(given, whole)], 0)
    return result


@operator("AveragePool", since=7, refuses="windows that ceil_mode puts outside of the value, "
                                          "or with count_include_pad beyond the padding")
def average_pool(node: "Node", x: Tensor) -> Tensor:
    shape = pool_shape(node, x)
    return F.avg_pool(x, *shape, bool(node.attribute("count_include_pad", 0)))


@operator("LpPool", since=2)
def lp_pool(node: "Node", x: Tensor) -> Tensor:
    shape = pool_shape(node, x)
    return F.lp_pool(x, float(node.attribute("p", 2)), *shape)


@operator("GlobalAveragePool")
def global_average_pool(node: "Node", x: Tensor) -> Tensor:
    return F.global_avg_pool(x)


@operator("GlobalMaxPool")
def global_max_pool(node: "Node", x: Tensor) -> Tensor:
    return F.global_max_pool(x)


@operator("GlobalLpPool", since=2)
def global_lp_pool(node: "Node", x: Tensor) -> Tensor:
    return F.global_lp_pool(x, float(node.attribute("p", 2)))


