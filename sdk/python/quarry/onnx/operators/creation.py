"""Values from nothing: constants, ranges, windows, filter banks. Their operands have to be known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...tensor import Tensor
from .. import engine as F
from .. import primitives, shapes
from ..folding import PRODUCED_ELEMENTS, rounded
from ..registry import operator
from ..values import ELEMENT_NAMES, NUMPY_TYPES, Value, storage_dtype, to_storage

if TYPE_CHECKING:
    from ..importer import Node


@operator("Constant", by_values=True, refuses="strings; sparse tensors")
def constant(node: "Node") -> Value:
    value = node.attribute("value")
    if value is not None:
        return value
    for name, element in (("value_float", "f32"), ("value_floats", "f32"), ("value_int", "i64"), ("value_ints", "i64")):
        given = node.attribute(name)
        if given is not None:
            return Value.known(np.array(given, NUMPY_TYPES[element]), element)
    node.refuse("a constant that is no dense tensor of numbers")


@operator("ConstantOfShape", known=(0,), widened="custom")
def constant_of_shape(node: "Node", shape: np.ndarray) -> Value:
    value = node.attribute("value", Value.known(np.zeros(1, np.float32), "f32"))
    sizes = tuple(int(size) for size in shape)
    node.require(all(size >= 0 for size in sizes), f"{list(sizes)} is no shape")
    node.require(value.array.size == 1, "its value has to be one element")
    if shapes.product(sizes) <= PRODUCED_ELEMENTS:
        return Value.known(np.full(sizes, value.array.reshape(-1)[0]), value.element)
    scalar = to_storage(value.array.reshape(-1)[:1], value.element)[0].item()
    return Value.computed(primitives.full(sizes, scalar, storage_dtype(value.element)), value.element)


@operator("Range", known=(0, 1, 2), widened="custom")
def range_(node: "Node", start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> Value:
    node.require(delta.item() != 0, "a step of 0")
    count = max(0, int(np.ceil((limit.item() - start.item()) / delta.item())))
    if count > PRODUCED_ELEMENTS:
        node.refuse(f"a range of {count} elements")
    return Value.known((start + np.arange(count) * delta).astype(start.dtype), node.element(0))


@operator("EyeLike", widened="custom")
def eye_like(node: "Node", like: Tensor) -> Value:
    given = node.attribute("dtype")
    element = node.element(0) if given is None else ELEMENT_NAMES.get(given, "an unknown type")
    if element not in NUMPY_TYPES:
        node.refuse(f"{element} is no type of the wire")
    rows, columns = like.shape
    diagonal = max(-rows, min(columns, node.attribute("k", 0)))
    return Value.computed(F.eye(rows, columns, storage_dtype(element), diagonal), element)


def window(node: "Node", size: np.ndarray, terms: tuple[float, ...]) -> Value:
    """A sum of cosines over `size` points."""
    count = int(size.item())
    node.require(0 < count <= PRODUCED_ELEMENTS, f"a window of {count} points")
    element = ELEMENT_NAMES.get(node.attribute("output_datatype", 1), "an unknown type")
    if element not in NUMPY_TYPES:
        node.refuse(f"{element} is no type of the wire")
    last = count if node.attribute("periodic", 1) else count - 1
    angle = 2 * np.pi * np.arange(count) / max(last, 1)
    values = sum(term * np.cos(order * angle) for order, term in enumerate(terms))
    return Value.known(rounded(values, element), element)


@operator("HannWindow", known=(0,), widened="custom")
def hann(node: "Node", size: np.ndarray) -> Value:
    return window(node, size, (0.5, -0.5))


@operator("HammingWindow", known=(0,), widened="custom")
def hamming(node: "Node", size: np.ndarray) -> Value:
    return window(node, size, (25 / 46, -21 / 46))


@operator("BlackmanWindow", known=(0,), widened="custom")
def blackman(node: "Node", size: np.ndarray) -> Value:
    return window(node, size, (0.42, -0.5, 0.08))


@operator("MelWeightMatrix", known=(0, 1, 2, 3, 4), widened="custom")
def mel_weight_matrix(node: "Node", bins: np.ndarray, dft_length: np.ndarray, sample_rate: np.ndarray, low: np.ndarray,
                      high: np.ndarray) -> Value:
    """Triangles between frequencies that are equally far apart in mels, at whole positions of the spectrum."""
    count, points = int(bins.item()), int(dft_length.item())
    rows = points // 2 + 1
    node.require(0 < count and 0 < rows and count * rows <= PRODUCED_ELEMENTS, f"a matrix of {rows} x {count}")

    def to_mel(hertz: float) -> float:
        return 2595 * np.log10(1 + hertz / 700)

    # ONNX spaces count + 2 points from low in steps of (high - low) / (count + 2): the last one lies below high.
    low_mel, high_mel = to_mel(float(low.item())), to_mel(float(high.item()))
    mels = low_mel + np.arange(count + 2) * ((high_mel - low_mel) / (count + 2))
    hertz = 700 * (10 ** (mels / 2595) - 1)
    corners = ((points + 1) * hertz // sample_rate.item()).astype(np.int64)
    matrix = np.zeros((rows, count))
    for column in range(count):
        first, centre, last = (int(point) for point in corners[column:column + 3])
        rising = centre - first
        if rising == 0:
            matrix[centre:centre + 1, column] = 1
        else:
            span = np.arange(first, min(centre + 1, rows))
            matrix[span, column] = (span - first) / rising
        if last > centre:
            span = np.arange(centre, min(last, rows))
            matrix[span, column] = (last - span) / (last - centre)
    element = ELEMENT_NAMES.get(node.attribute("output_datatype", 1), "an unknown type")
    if element not in NUMPY_TYPES:
        node.refuse(f"{element} is no type of the wire")
    return Value.known(rounded(matrix, element), element)


@operator("OneHot", known=(1, 2), widened="custom", refuses="u64 indices")
def one_hot(node: "Node", indices: Tensor, depth: np.ndarray, values: np.ndarray) -> Any:
    count = int(depth.item())
    node.require(count > 0 and values.shape == (2,), "depth has to be positive, values a pair")
    element = node.element(2)
    axis = shapes.normal_axis(node.attribute("axis", -1), len(indices.shape) + 1)
    if node.element(0) == "u64":
        node.refuse("u64 indices")
    whole = indices.cast("i64")
    shape = list(indices.shape)
    column = F.where(whole < 0, whole + count, whole).reshape(shape[:axis] + [1] + shape[axis:])
    positions = primitives.iota("i64", shape[:axis] + [count] + shape[axis:], axis)
    off, on = (to_storage(values[place:place + 1], element)[0].item() for place in (0, 1))
    dtype = storage_dtype(element)
    shape = positions.shape
    picked = F.where(positions == column, primitives.full(shape, on, dtype), primitives.full(shape, off, dtype))
    return Value.computed(picked, element)




@operator("NonZero", by_values=True, refuses="all but known values")
def nonzero(node: "Node") -> Value:
    # Of a value that is known it was folded before this rule is asked.
    node.refuse("the shape of its result depends on the data; only that of a constant is known")
