"""NumPy twins of the operators that shape arithmetic is made of, used where all operands are known at import.

A fold gets the node and its operands as arrays. It gives an array of the first operand's element type, or a tuple with
an array or an (array, element type) pair for each output, or None: then the operator's rule runs as if nothing were
known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional

import numpy as np

from quarry.dtypes import bf16_bits, bf16_values

from . import shapes
from .values import ELEMENT_NAMES, FLOATS, NUMPY_TYPES

if TYPE_CHECKING:
    from .importer import Node

FOLDS: dict[str, Callable[..., Any]] = {}
Array = np.ndarray
PRODUCED_ELEMENTS = 1 << 20  # what a fold may make of small operands


def fold(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            FOLDS[name] = function
        return function
    return register


def rounded(array: Array, element: str) -> Array:
    """The array in the NumPy type of an element type; a bf16 is rounded to nearest even in its f32."""
    if element == "bf16":
        return bf16_values(bf16_bits(array))
    return np.asarray(array).astype(NUMPY_TYPES[element], copy=False)


def elementwise(function: Callable[..., Array], wrap: bool = True) -> Callable[..., Any]:
    """A fold of arithmetic: wrapping, without NumPy's warnings; `wrap` brings the result into the operands' type."""
    def folded(node: "Node", *operands: Array) -> Any:
        if node.version < 7 and len(operands) > 1:
            return None
        if shapes.product(shapes.broadcast(*(operand.shape for operand in operands))) > PRODUCED_ELEMENTS:
            return None
        with np.errstate(all="ignore"):
            result = function(*operands)
        return rounded(result, node.element(0)) if wrap else ((np.asarray(result, np.bool_), "bool"),)
    return folded


def divide(x: Array, y: Array) -> Array:
    """Truncating for integers, as in C; x / 0 = 0."""
    if x.dtype.kind == "f":
        return np.asarray(x / y)
    quotient = np.where(y == 0, 0, np.abs(x) // np.where(y == 0, 1, np.abs(y)))
    return np.where((x < 0) != (y < 0), -quotient, quotient)


for _name, _function in {
        "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": divide, "Neg": np.negative, "Abs": np.abs,
        "Floor": np.floor, "Ceil": np.ceil, "Round": np.rint, "Sqrt": np.sqrt, "Exp": np.exp, "Log": np.log,
        "Sign": np.sign, "Reciprocal": lambda x: 1 / x, "Relu": lambda x: np.maximum(x, 0)}.items():
    FOLDS[_name] = elementwise(_function)
for _name, _function in {
        "Equal": np.equal, "Less": np.less, "LessOrEqual": np.less_equal, "Greater": np.greater,
        "GreaterOrEqual": np.greater_equal, "Not": np.logical_not, "And": np.logical_and, "Or": np.logical_or,
        "Xor": np.logical_xor}.items():
    FOLDS[_name] = elementwise(_function, wrap=False)


@fold("Max", "Min")
def extreme(node: "Node", *operands: Array) -> Array:
    result = operands[0]
    for operand in operands[1:]:
        result = (np.maximum if node.operator == "Max" else np.minimum)(result, operand)
    return result


@fold("Pow")
def power(node: "Node", x: Array, y: Array) -> Optional[Array]:
    if x.dtype.kind != "f" and (y.dtype.kind == "f" or np.any(y < 0)):
        return None
    with np.errstate(all="ignore"):
        return rounded(np.power(x, y), node.element(0))


@fold("Mod")
def modulus(node: "Node", x: Array, y: Array) -> Optional[Array]:
    if np.any(y == 0) or (x.dtype.kind == "f" and not node.attribute("fmod", 0)):
        return None
    with np.errstate(all="ignore"):
        return np.asarray(np.fmod(x, y) if node.attribute("fmod", 0) else np.mod(x, y))


@fold("Where")
def where(node: "Node", condition: Array, x: Array, y: Array) -> tuple[tuple[Array, str]]:
    return ((np.where(condition, x, y), node.element(1)),)


@fold("Cast")
def cast(node: "Node", x: Array) -> Optional[tuple[tuple[Array, str]]]:
    element = ELEMENT_NAMES.get(node.attribute("to"), "")
    if element not in NUMPY_TYPES:
        return None
    if x.dtype.kind == "f" and element not in FLOATS and element != "bool":
        with np.errstate(invalid="ignore"):
            x = np.where(np.isfinite(x), x, 0).astype(np.int64)
    with np.errstate(all="ignore"):
        return ((rounded(x, element), element),)


@fold("Identity")
def identity(node: "Node", x: Array) -> Array:
    return x


@fold("Reshape")
def reshape(node: "Node", x: Array, shape: Optional[Array] = None) -> Array:
    target = node.attribute("shape") if shape is None else shape
    return x.reshape(shapes.reshaped(x.shape, target, bool(node.attribute("allowzero", 0))))


@fold("Squeeze")
def squeeze(node: "Node", x: Array, axes: Optional[Array] = None) -> Array:
    return x.reshape(shapes.squeezed(x.shape, node.attribute("axes") if axes is None else axes))


@fold("Unsqueeze")
def unsqueeze(node: "Node", x: Array, axes: Optional[Array] = None) -> Array:
    return x.reshape(shapes.unsqueezed(x.shape, node.attribute("axes") if axes is None else axes))


@fold("Flatten")
def flatten(node: "Node", x: Array) -> Array:
    axis = node.attribute("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(shapes.product(x.shape[:axis]), shapes.product(x.shape[axis:]))


@fold("Transpose")
def transpose(node: "Node", x: Array) -> Array:
    return x.transpose(node.attribute("perm"))


@fold("Concat")
def concat(node: "Node", *operands: Array) -> Array:
    return np.concatenate(operands, axis=node.attribute("axis", 1))


@fold("Slice")
def slice_(node: "Node", x: Array, starts: Optional[Array] = None, ends: Optional[Array] = None,
           axes: Optional[Array] = None, steps: Optional[Array] = None) -> Array:
    if starts is None:
        starts, ends, axes = node.attribute("starts"), node.attribute("ends"), node.attribute("axes")
    return x[shapes.slices(x.shape, starts, ends, axes, steps)]


@fold("Gather")
def gather(node: "Node", x: Array, indices: Array) -> Array:
    return np.take(x, indices, axis=node.attribute("axis", 0))


@fold("Split")
def split(node: "Node", x: Array, parts: Optional[Array] = None) -> tuple[Array, ...]:
    axis = shapes.normal_axis(node.attribute("axis", 0), x.ndim)
    sizes = shapes.split_sizes(x.shape[axis], node.attribute("split") if parts is None else parts,
                               len(node.output_names))
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis=axis))


@fold("Expand")
def expand(node: "Node", x: Array, shape: Array) -> Optional[Array]:
    target = shapes.broadcast(x.shape, tuple(int(size) for size in shape))
    if shapes.product(target) > PRODUCED_ELEMENTS:
        return None
    return np.broadcast_to(x, target)


@fold("Tile")
def tile(node: "Node", x: Array, repeats: Array) -> Optional[Array]:
    if x.size * shapes.product(repeats) > PRODUCED_ELEMENTS:
        return None
    return np.tile(x, repeats)


def reduction(function: Callable[..., Array]) -> Callable[..., Any]:
    def folded(node: "Node", x: Array, axes: Optional[Array] = None) -> Array:
        axes = node.attribute("axes") if axes is None else axes
        if axes is None or len(axes) == 0:
            if node.attribute("noop_with_empty_axes", 0):
                return x
            axes = range(x.ndim)
        keep = bool(node.attribute("keepdims", 1))
        with np.errstate(all="ignore"):
            return rounded(function(x, axis=tuple(shapes.normal_axes(axes, x.ndim)), keepdims=keep), node.element(0))
    return folded


for _name, _function in {"ReduceSum": np.sum, "ReduceProd": np.prod, "ReduceMax": np.max, "ReduceMin": np.min}.items():
    FOLDS[_name] = reduction(_function)


@fold("NonZero")
def nonzero(node: "Node", x: Array) -> tuple[tuple[Array, str]]:
    return ((np.stack(np.nonzero(np.atleast_1d(x))).astype(np.int64), "i64"),)


@fold("CumSum")
def cumsum(node: "Node", x: Array, axis: Array) -> Optional[Array]:
    if node.attribute("exclusive", 0) or node.attribute("reverse", 0):
        return None
    return np.cumsum(x, axis=int(axis), dtype=x.dtype)


@fold("ScatterND")
def scatter_nd(node: "Node", x: Array, indices: Array, updates: Array) -> Optional[Array]:
    if node.attribute("reduction", "none") != "none":
        return None
    result = x.copy()
    result[tuple(np.moveaxis(indices, -1, 0))] = updates
    return result


