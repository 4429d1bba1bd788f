"""Functions of two and more tensors that broadcast: arithmetic, comparisons, logic, casts."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, Callable

from ...tensor import Tensor
from .. import engine as F
from .. import primitives
from ..registry import operator
from ..values import ELEMENT_NAMES, FLOATS, NUMPY_TYPES, WIDENED, Value, into_range, storage_dtype

if TYPE_CHECKING:
    from ..importer import Node

LOWEST_I64 = -(1 << 63)


@operator("Add", since=7, widened="wrap")
def add(node: "Node", x: Tensor, y: Tensor) -> Tensor:
    return x + y


@operator("Sub", since=7, widened="wrap")
def subtract(node: "Node", x: Tensor, y: Tensor) -> Tensor:
    return x - y


@operator("Mul", since=7, widened="wrap")
def multiply(node: "Node", x: Tensor, y: Tensor) -> Tensor:
    return x * y


@operator("Div", since=7, widened="wrap")
def divide(node: "Node", x: Tensor, y: Tensor) -> Tensor:
    return primitives.unsigned_division(x, y)[0] if node.element(0) == "u64" else F.div(x, y)


@operator("Mod", widened="custom", refuses="floats without fmod")
def modulus(node: "Node", x: Tensor, y: Tensor) -> Any:
    if node.attribute("fmod", 0) == 0 and x.dtype in FLOATS:
        node.refuse("Mod of floats has to be asked for with fmod = 1")
    if node.element(0) == "u64":
        return Value.computed(primitives.unsigned_division(x, y)[1], "u64")
    # The sign of the dividend with fmod, else of the divisor. No result leaves the range of its operands.
    result = F.fmod(x, y) if node.attribute("fmod", 0) else F.remainder(x, y)
    return Value.computed(result, node.element(0))


@operator("Pow", since=7, widened="custom", refuses="integer powers with i16, u16, u32 or u64")
def power(node: "Node", x: Tensor, y: Tensor) -> Any:
    base, exponent = node.element(0), node.element(1)
    if base in FLOATS:
        return F.pow(x, primitives.unsigned_to_float(y, x.dtype) if exponent == "u64" else y.cast(x.dtype))
    if exponent in FLOATS:
        return Value.computed(primitives.integer_power_of_float(x, y), base)
    if base in WIDENED or exponent in WIDENED:
        node.refuse("an integer power with a type that is not of the wire")
    wide = "i64" if "i64" in (base, exponent) else base
    return F.pow(x.cast(wide), y.cast(wide)).cast(base)


def of_order(x: Tensor, element: str) -> Tensor:
    """x such that signed comparisons order it: flipping the top bit brings u64 into the order of i64."""
    return x + LOWEST_I64 if element == "u64" else x


def comparison(name: str, function: Callable[[Tensor, Tensor], Tensor], since: int) -> None:
    @operator(name, since=since, widened="exact")
    def compare(node: "Node", x: Tensor, y: Tensor) -> Tensor:
        element = node.element(0)
        return function(of_order(x, element), of_order(y, element))


comparison("Equal", lambda x, y: x == y, 7)
comparison("Less", lambda x, y: x < y, 7)
comparison("LessOrEqual", lambda x, y: x <= y, 12)
comparison("Greater", lambda x, y: x > y, 7)
comparison("GreaterOrEqual", lambda x, y: x >= y, 12)


@operator("Max", "Min", since=1, widened="exact")
def extreme(node: "Node", *operands: Tensor) -> Tensor:
    function = F.maximum if node.operator == "Max" else F.minimum
    element = node.element(0)
    if node.version < 8 and len({tuple(operand.shape) for operand in operands}) > 1:
        node.require(False, "operands of different shapes, which this version does not broadcast")
    return of_order(reduce(function, [of_order(operand, element) for operand in operands]), element)


@operator("Sum", "Mean", since=1)
def total(node: "Node", *operands: Tensor) -> Tensor:
    if node.version < 8 and len({tuple(operand.shape) for operand in operands}) > 1:
        node.require(False, "operands of different shapes, which this version does not broadcast")
    result = reduce(lambda x, y: x + y, operands)
    return result / len(operands) if node.operator == "Mean" else result


@operator("And", since=7)
def logical_and(node: "Node", x: Tensor, y: Tensor) -> Tensor:
    return F.logical_and(x, y)


@operator("Or", since=7)
def logical_or(node: "Node", x: Tensor, y: Tensor) -> Tensor:
    return F.logical_or(x, y)


@operator("Xor", since=7)
def logical_xor(node: "Node", x: Tensor, y: Tensor) -> Tensor:
    return F.logical_xor(x, y)


@operator("Not")
def logical_not(node: "Node", x: Tensor) -> Tensor:
    return F.logical_not(x)


@operator("Where", widened="custom")
def where(node: "Node", condition: Tensor, x: Tensor, y: Tensor) -> Value:
    return Value.computed(F.where(condition, x, y), node.element(1))


@operator("BitShift", widened="custom")
def bit_shift(node: "Node", x: Tensor, amount: Tensor) -> Value:
    element = node.element(0)
    bits = int(element[1:])
    if node.attribute("direction") == "LEFT":
        shifted = primitives.shift_left(x, amount)
    else:
        shifted = primitives.shift_right(x, amount, bits)
    return Value.computed(into_range(shifted, element), element)


@operator("Cast", since=6, widened="custom", refuses="strings")
def cast(node: "Node", x: Tensor) -> Value:
    return convert(node, x, ELEMENT_NAMES.get(node.attribute("to"), "an unknown type"))


@operator("CastLike", widened="custom", refuses="strings")
def cast_like(node: "Node", x: Tensor, like: Tensor) -> Value:
    return convert(node, x, node.element(1))


def convert(node: "Node", x: Tensor, element: str) -> Value:
    """x in another element type. Between integers the lowest bits stay; a float beyond an integer's range gives what
    ONNX leaves open."""
    if element not in NUMPY_TYPES:
        node.refuse(f"{element} is no type of the wire")
    source = node.element(0)
    if source == "u64" and element in FLOATS:
        return Value.computed(primitives.unsigned_to_float(x, element), element)
    if element == "u64" and source in FLOATS:
        return Value.computed(primitives.float_to_unsigned(x), element)
    return Value.computed(into_range(x.cast(storage_dtype(element)), element), element)
