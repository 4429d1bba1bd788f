"""Linear quantisation: integers with a scale and a zero point, of the whole tensor or of each slice along an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from ...tensor import Tensor
from .. import engine as F
from .. import primitives, shapes
from ..registry import operator
from .convolution import convolved

if TYPE_CHECKING:
    from ..importer import Node

RANGES = {"u8": (0, 255), "i8": (-128, 127)}


def along(node: "Node", parameter: Tensor, rank: int, axis: int) -> Tensor:
    """A scale or zero point in a shape that broadcasts along an axis of a value."""
    if shapes.product(parameter.shape) == 1:
        return parameter.reshape((1,) * rank)
    node.require(len(parameter.shape) == 1, f"a scale or zero point of shape {list(parameter.shape)}")
    axis = shapes.normal_axis(axis, rank)
    return parameter.reshape((1,) * axis + tuple(parameter.shape) + (1,) * (rank - axis - 1))


def quantised(x: Tensor, scale: Tensor, zero: Tensor, element: str) -> Tensor:
    """round(x / scale) + zero, halves to even, cut to the range of the type."""
    low, high = RANGES[element]
    return F.clip(F.round(x / scale) + zero.cast("f32"), low, high).cast(element)


@operator("QuantizeLinear")
def quantize(node: "Node", x: Tensor, scale: Tensor, zero: Optional[Tensor] = None) -> Tensor:
    axis, rank = node.attribute("axis", 1), len(x.shape)
    zero = primitives.zeros(scale.shape, "u8") if zero is None else zero
    return quantised(x.cast("f32"), along(node, scale, rank, axis), along(node, zero, rank, axis), zero.dtype)


@operator("DequantizeLinear")
def dequantize(node: "Node", x: Tensor, scale: Tensor, zero: Optional[Tensor] = None) -> Tensor:
    axis, rank = node.attribute("axis", 1), len(x.shape)
    whole = x.cast("i32")
    if zero is not None:
        whole = whole - along(node, zero, rank, axis).cast("i32")
    return whole.cast("f32") * along(node, scale, rank, axis)


@operator("DynamicQuantizeLinear")
def dynamic_quantize(node: "Node", x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    axes = list(range(len(x.shape)))
    nothing = primitives.zeros((), "f32")
    low = F.minimum(F.min(x, axes, False), nothing)
    high = F.maximum(F.max(x, axes, False), nothing)
    scale = (high - low) / 255
    zero = F.clip(F.round(-low / scale), 0, 255)
    return quantised(x, scale, zero.cast("u8"), "u8"), scale, zero.cast("u8")


def without_zero(node: "Node", x: Tensor, zero: Optional[Tensor], axis: int) -> Tensor:
    """x - zero in i32, exact."""
    if zero is None:
        return x.cast("i32")
    return x.cast("i32") - along(node, zero, len(x.shape), axis).cast("i32")


@operator("MatMulInteger")
def matmul_integer(node: "Node", a: Tensor, b: Tensor, a_zero: Optional[Tensor] = None,
                   b_zero: Optional[Tensor] = None) -> Tensor:
    return F.matmul(without_zero(node, a, a_zero, -2), without_zero(node, b, b_zero, -1))


@operator("ConvInteger")
def conv_integer(node: "Node", x: Tensor, w: Tensor, x_zero: Optional[Tensor] = None,
                 w_zero: Optional[Tensor] = None) -> Tensor:
    # Padding stands for the zero point, which is 0 after its subtraction.
    return convolved(node, without_zero(node, x, x_zero, 1), without_zero(node, w, w_zero, 0))


@operator("QLinearMatMul")
def quantised_matmul(node: "Node", a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor,
                     b_zero: Tensor,
                     y_scale: Tensor, y_zero: Tensor) -> Tensor:
    product = F.matmul(without_zero(node, a, a_zero, -2), without_zero(node, b, b_zero, -1))
    rank = len(product.shape)
    scale = along(node, a_scale, rank, -2) * along(node, b_scale, rank, -1)
    return quantised(product.cast("f32") * scale, along(node, y_scale, rank, -2), along(node, y_zero, rank, -2),
                     y_zero.dtype)


@operator("QLinearConv")
def quantised_conv(node: "Node", x: Tensor, x_scale: Tensor, x_zero: Tensor, w: Tensor, w_scale: Tensor, w_zero: Tensor,
                   y_scale: Tensor, y_zero: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    sums = convolved(node, without_zero(node, x, x_zero, 1), without_zero(node, w, w_zero, 0), bias)
    rank = len(sums.shape)
    scale = along(node, x_scale, rank, 1) * along(node, w_scale, rank, 1)
    return quantised(sums.cast("f32") * scale, along(node, y_scale, rank, 1), along(node, y_zero, rank, 1),
                     y_zero.dtype)
