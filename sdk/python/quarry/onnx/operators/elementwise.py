"""Functions of one tensor, element by element."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Optional

from ...tensor import Tensor
from .. import engine as F
from .. import primitives, shapes
from ..registry import operator
from ..values import FLOATS

if TYPE_CHECKING:
    from ..importer import Node


# The operators that are one function of the engine. What version 1 and 6 differ in, the attribute consumed_inputs, is a
# hint on memory.
PLAIN = ("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "HardSwish",
         "Log", "Reciprocal", "Relu", "Round", "Sigmoid", "Sin", "Sinh", "Softsign", "Sqrt", "Tan", "Tanh")


@operator(*PLAIN)
def plain(node: "Node", x: Tensor) -> Tensor:
    return getattr(F, node.operator.lower())(x)


@operator("Softplus")
def softplus(node: "Node", x: Tensor) -> Tensor:
    return F.softplus(x, 1.0)


@operator("Abs", widened="wrap", unsigned64=False)
def absolute(node: "Node", x: Tensor) -> Tensor:
    return F.abs(x)


@operator("Neg", widened="wrap")
def negative(node: "Node", x: Tensor) -> Tensor:
    return -x


@operator("Sign", widened="exact", unsigned64=False)
def sign(node: "Node", x: Tensor) -> Tensor:
    return F.sign(x)


@operator("IsNaN")
def is_nan(node: "Node", x: Tensor) -> Tensor:
    return x != x


@operator("IsInf")
def is_inf(node: "Node", x: Tensor) -> Tensor:
    positive, negative_ = node.attribute("detect_positive", 1), node.attribute("detect_negative", 1)
    if positive and negative_:
        return F.abs(x) == math.inf
    if not positive and not negative_:
        return (x != x) & (x == x)
    return x == (math.inf if positive else -math.inf)


def select(condition: Tensor, x: Tensor, y: Any) -> Tensor:
    """x where the condition holds, else y, which may be a number."""
    return F.where(condition, x, y if isinstance(y, Tensor) else primitives.full_like(x, y))


@operator("Celu")
def celu(node: "Node", x: Tensor) -> Tensor:
    return F.celu(x, node.attribute("alpha", 1.0))


@operator("Elu")
def elu(node: "Node", x: Tensor) -> Tensor:
    return F.elu(x, node.attribute("alpha", 1.0))


@operator("Selu")
def selu(node: "Node", x: Tensor) -> Tensor:
    # Version 1 has rounder constants.
    alpha = node.attribute("alpha", 1.6732 if node.version < 6 else 1.67326319217681884765625)
    gamma = node.attribute("gamma", 1.0507 if node.version < 6 else 1.05070102214813232421875)
    return F.selu_with(x, alpha, gamma)


@operator("LeakyRelu")
def leaky_relu(node: "Node", x: Tensor) -> Tensor:
    return F.leaky_relu(x, node.attribute("alpha", 0.01))


@operator("ThresholdedRelu")
def thresholded_relu(node: "Node", x: Tensor) -> Tensor:
    return F.thresholded_relu(x, node.attribute("alpha", 1.0))


@operator("HardSigmoid")
def hard_sigmoid(node: "Node", x: Tensor) -> Tensor:
    return F.hardsigmoid(x, node.attribute("alpha", 0.2), node.attribute("beta", 0.5))


@operator("Shrink", refuses="u8; fractions beside integers")
def shrink(node: "Node", x: Tensor) -> Tensor:
    limit, bias = node.attribute("lambd", 0.5), node.attribute("bias", 0.0)
    if x.dtype == "u8":
        node.refuse("u8, in which -lambd has no place")
    if x.dtype not in FLOATS and (limit != int(limit) or bias != int(bias)):
        node.refuse(f"fractions for lambd and bias beside {x.dtype}")
    if x.dtype not in FLOATS:
        limit, bias = int(limit), int(bias)
    return select(x < -limit, x + bias, select(x > limit, x - bias, 0))


@operator("PRelu", since=7)
def prelu(node: "Node", x: Tensor, slope: Tensor) -> Tensor:
    node.require(shapes.broadcast(x.shape, slope.shape) == tuple(x.shape),
                 f"slopes of {list(slope.shape)} for a value of {list(x.shape)}")
    return F.where(x < 0, x * slope, x)


@operator("Clip", until=6)
def clip_by_attributes(node: "Node", x: Tensor) -> Tensor:
    return F.clip(x, node.attribute("min", -math.inf), node.attribute("max", math.inf))


@operator("Clip", since=11, widened="exact", unsigned64=False)
def clip(node: "Node", x: Tensor, low: Optional[Tensor] = None, high: Optional[Tensor] = None) -> Tensor:
    if low is not None:
        x = F.maximum(x, low)
    return x if high is None else F.minimum(x, high)


@operator("Dropout", until=11, refuses="training mode of versions before 7")
def dropout_of_inference(node: "Node", x: Tensor) -> tuple[Tensor, ...]:
    if node.version < 7 and not node.attribute("is_test", 0):
        node.refuse("dropout in training mode: its numbers cannot be compared with those of another runtime")
    # Before version 10 the mask had the type of the data.
    mask = primitives.full(x.shape, 1, "bool" if node.version >= 10 else x.dtype)
    return (x, mask)[:len(node.output_names)]


@operator("Dropout", since=12, known=(1, 2), refuses="training mode, but with a ratio of 0")
def dropout(node: "Node", x: Tensor, ratio: Any = None, training: Any = None) -> tuple[Tensor, ...]:
    if training is not None and training.item() and (ratio is None or ratio.item() != 0):
        node.refuse("dropout in training mode: its numbers cannot be compared with those of another runtime")
    return (x, primitives.full(x.shape, 1, "bool"))[:len(node.output_names)]
