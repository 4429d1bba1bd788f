"""What onnx's schemas say of an operator: the version that a model means, and the element types of its operands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import ModelError

if TYPE_CHECKING:
    from .importer import Node

_ONNX_NAMES = {"f32": "float", "u8": "uint8", "i8": "int8", "u16": "uint16", "i16": "int16", "i32": "int32",
               "i64": "int64",
               "string": "string", "bool": "bool", "f16": "float16", "f64": "double", "u32": "uint32", "u64": "uint64",
               "c64": "complex64", "c128": "complex128", "bf16": "bfloat16"}
_TENSOR_TYPES = {name: f"tensor({onnx_name})" for name, onnx_name in _ONNX_NAMES.items()}


class Signature:
    """One version of one operator."""

    __slots__ = ("domain", "operator", "version", "operand_names", "_formals", "_variadic", "_most", "_least")

    def __init__(self, schema: Any, domain: str):
        self.domain = domain
        self.operator: str = schema.name
        self.version: int = schema.since_version
        self.operand_names = [formal.name for formal in schema.inputs]
        options = type(schema).FormalParameterOption
        self._variadic = bool(schema.inputs) and schema.inputs[-1].option == options.Variadic
        self._least: int = schema.min_input
        self._most: int = schema.max_input
        self._formals = [(formal.typeStr if formal.isHomogeneous else "", frozenset(formal.types),
                          formal.option == options.Single) for formal in schema.inputs]

    def check(self, node: "Node") -> None:
        """Refuses operands whose number or element types the operator does not take."""
        count = len(node.values)
        if not self._least <= count <= self._most:
            raise ModelError(f"node {node.name!r} ({self.operator}) has {count} operands; "
                             f"it takes {self._least} to {self._most}")
        bound: dict[str, str] = {}
        last = len(self._formals) - 1
        for position, value in enumerate(node.values):
            variable, allowed, is_required = self._formals[min(position, last)]
            if value is None:
                if is_required:
                    raise ModelError(f"node {node.name!r} ({self.operator}): operand {position} is left out")
                continue
            if _TENSOR_TYPES[value.element] not in allowed:
                raise ModelError(f"node {node.name!r} ({self.operator}): operand {position} is {value.element}, which "
                                 f"version {self.version} of the operator does not take")
            if variable and bound.setdefault(variable, value.element) != value.element:
                raise ModelError(f"node {node.name!r} ({self.operator}): operands of types {bound[variable]} and "
                                 f"{value.element}, which have to be the same")

    def operand_name(self, position: int) -> str:
        """The name of an operand in the operator's documentation."""
        return self.operand_names[min(position, len(self.operand_names) - 1)]
