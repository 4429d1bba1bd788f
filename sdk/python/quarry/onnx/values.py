"""Values between nodes: tensors of a graph that is being written, or arrays that are known while it is.

ONNX has element types that the wire does not: i16, u16, u32 and u64. They are kept in the next wider signed integer
(u64: in the bits of an i64) and brought back into their range after each op that can leave it, which is exact.
"""

from __future__ import annotations

from typing import Optional, Union

import numpy as np

from ..tensor import Tensor

from . import engine, primitives

# TensorProto.DataType -> name. The wire's names where it has the type.
ELEMENT_NAMES = {1: "f32", 2: "u8", 3: "i8", 4: "u16", 5: "i16", 6: "i32", 7: "i64", 8: "string", 9: "bool", 10: "f16",
                 11: "f64", 12: "u32", 13: "u64", 14: "c64", 15: "c128", 16: "bf16"}
# A bf16 array is an f32 array whose values are all bf16: NumPy has no such type.
NUMPY_TYPES = {"f32": np.float32, "u8": np.uint8, "i8": np.int8, "u16": np.uint16, "i16": np.int16, "i32": np.int32,
               "i64": np.int64, "bool": np.bool_, "f16": np.float16, "f64": np.float64, "u32": np.uint32,
               "u64": np.uint64, "bf16": np.float32}
WIDENED = {"i16": "i32", "u16": "i32", "u32": "i64", "u64": "i64"}
FLOATS = ("f16", "bf16", "f32", "f64")


def storage_dtype(element: str) -> str:
    """The wire dtype that holds elements of this type."""
    return WIDENED.get(element, element)


def to_storage(array: np.ndarray, element: str) -> np.ndarray:
    """The array as the wire holds it: the same values, for u64 the same bits."""
    if element == "u64":
        return np.ascontiguousarray(array).view(np.int64).reshape(array.shape)
    if element in WIDENED:
        return array.astype(NUMPY_TYPES[WIDENED[element]])
    return array


def from_storage(array: np.ndarray, element: str) -> np.ndarray:
    """The inverse of to_storage."""
    if element == "u64":
        return np.ascontiguousarray(array).view(np.uint64).reshape(array.shape)
    return array.astype(NUMPY_TYPES[element]) if element in WIDENED else array


def into_range(x: Tensor, element: str) -> Tensor:
    """x modulo the size of a widened element type. A multiplication by 2^16 or 2^32 throws the upper bits away, the
    division brings the lower ones back with their sign; both are exact in wrapping integers."""
    if element not in WIDENED or element == "u64":
        return x
    size = 1 << int(element[1:])
    narrow = engine.div(x * size, primitives.full_like(x, size))
    return narrow if element[0] == "i" else narrow + (narrow < 0).cast(x.dtype) * size


class Value:
    """One value of the model. `array` is set where the value is known at import; `sources` are the graph inputs that
    it could be computed from with NumPy (None: it cannot, as it depends on data)."""

    __slots__ = ("element", "shape", "array", "sources", "_tensor")

    def __init__(self, element: str, shape: tuple[int, ...], array: Optional[np.ndarray] = None,
                 tensor: Optional[Tensor] = None, sources: Optional[frozenset[str]] = None):
        self.element = element
        self.shape = shape
        self.array = array
        self.sources = sources
        self._tensor = tensor

    @classmethod
    def known(cls, array: np.ndarray, element: str) -> "Value":
        return cls(element, tuple(array.shape), array=array, sources=frozenset())

    @classmethod
    def computed(cls, tensor: Tensor, element: Optional[str] = None) -> "Value":
        return cls(element or tensor.dtype, tuple(tensor.shape), tensor=tensor)

    @property
    def tensor(self) -> Tensor:
        """The value in a graph; a known array becomes a constant or an input that is always given."""
        if self._tensor is None:
            self._tensor = primitives.from_array(to_storage(self.array, self.element), storage_dtype(self.element))
        return self._tensor


Result = Union[Tensor, np.ndarray, Value]
