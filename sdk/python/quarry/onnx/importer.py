"""Walks a model's nodes in order and turns each into tensors, or into a known array where its operands are known."""

from __future__ import annotations

import contextlib
from typing import Any, Iterable, Iterator, NoReturn, Optional, Sequence

import numpy as np

from . import operators  # noqa: F401  (fills the table)
from .errors import ModelError, NeedsValue, Unsupported
from .folding import FOLDS
from .reader import NESTED_GRAPHS, Source, attribute_value, tensor_value
from .registry import STANDARD, Rule
from .values import FLOATS, NUMPY_TYPES, WIDENED, Value, into_range, storage_dtype

FOLDED_ELEMENTS = 1 << 16  # arrays up to here are shape arithmetic; larger ones are weights and stay tensors
STATIC_ELEMENTS = 1 << 12  # the most that a value has from which shapes are computed
STATIC_FLOATS = 16  # scales and regions; more floats are data
EXPANDED_NODES = 1_000_000  # after unrolling: the most that a graph of the wire may have

class Scope:
    """The values by name that a graph's nodes see: its own, then those of the graphs around it."""

    def __init__(self, opsets: dict[str, int], parent: Optional["Scope"] = None, depth: int = 0):
        self.values: dict[str, Value] = {}
        self.opsets = opsets
        self.parent = parent
        self.depth = depth

    def find(self, name: str) -> Optional[Value]:
        scope: Optional[Scope] = self
        while scope is not None:
            value = scope.values.get(name)
            if value is not None:
                return value
            scope = scope.parent
        return None


class Node:
    """What a rule sees of its node."""

    __slots__ = ("operator", "domain", "version", "name", "values", "output_names", "scope", "importer", "_attributes")

    def __init__(self, importer: "Importer", proto: Any, domain: str, version: int, values: list[Optional[Value]],
                 scope: Scope):
        self.importer = importer
        self.operator: str = proto.op_type
        self.domain = domain
        self.version = version
        self.name: str = proto.name or next((name for name in proto.output if name), "")
        self.values = values
        self.output_names: list[str] = list(proto.output)
        self.scope = scope
        self._attributes = {attribute.name: attribute for attribute in proto.attribute}

    def attribute(self, name: str, default: Any = None) -> Any:
        """The attribute as a Python value: int, float, str, list, Value or GraphProto."""
        proto = self._attributes.get(name)
        return default if proto is None else attribute_value(proto, self.importer.source)

    def wants(self, output: int) -> bool:
        """Whether the model names this optional output."""
        return output < len(self.output_names) and self.output_names[output] != ""

    def element(self, operand: int) -> str:
        """The ONNX element type of an operand."""
        return self.values[operand].element

    def refuse(self, reason: str) -> NoReturn:
        raise Unsupported(self.operator, self.name, reason)

    def require(self, condition: bool, problem: str) -> None:
        """States what must hold of a valid model."""
        if not condition:
            raise ModelError(f"node {self.name!r} ({self.operator}): {problem}")

    def known(self, operand: int, what: str) -> Optional[np.ndarray]:
        """The value of an operand; None where it is left out."""
        value = self.values[operand] if operand < len(self.values) else None
        return None if value is None else self.value_of(value, what)

    def value_of(self, value: Value, what: str) -> np.ndarray:
        """The value as an array. Where it could be one, were some graph inputs known, they are asked for."""
        if value.array is not None:
            return value.array
        if value.sources:
            raise NeedsValue(value.sources)
        self.refuse(f"{what} has to be known before the graph runs, but is computed from the model's data")

    def run_graph(self, graph: Any, bound: Sequence[Value]) -> list[Value]:
        """The outputs of a subgraph of this node, with its inputs bound to values."""
        return self.importer.run_subgraph(graph, bound, self)


class Importer:
    """One pass over a model for given inputs."""

    def __init__(self, source: Source):
        self.source = source
        self._budget = EXPANDED_NODES

    def run(self, inputs: dict[str, Value]) -> list[Value]:
        """The values of the model's outputs."""
        scope = Scope(self.source.opsets)
        scope.values.update(self.source.initialisers)
        scope.values.update(inputs)
        self.run_nodes(self.source.graph.node, scope)
        return [self.output(scope, output.name) for output in self.source.graph.output]

    @staticmethod
    def output(scope: Scope, name: str) -> Value:
        value = scope.find(name)
        if value is None:
            raise ModelError(f"output {name!r} is computed by no node")
        return value

    def run_nodes(self, nodes: Iterable[Any], scope: Scope) -> None:
        if scope.depth > NESTED_GRAPHS:
            raise ModelError(f"graphs are nested more than {NESTED_GRAPHS} deep")
        for proto in nodes:
            self._budget -= 1
            if self._budget < 0:
                raise Unsupported(proto.op_type, proto.name, f"the unrolled model has more than {EXPANDED_NODES} nodes")
            self.run_node(proto, scope)

    def run_node(self, proto: Any, scope: Scope) -> None:
        domain = proto.domain or STANDARD
        values: list[Optional[Value]] = []
        for name in proto.input:
            value = scope.find(name) if name else None
            if name and value is None:
                raise ModelError(f"node {proto.name!r} ({proto.op_type}) reads {name!r}, which nothing before it makes")
            values.append(value)
        function = self.source.functions.get((domain, proto.op_type))
        if function is not None:
            results = self.run_function(function, proto, values, scope)
        else:
            results = self.run_operator(proto, domain, values, scope)
        if any(proto.output[len(results):]):
            raise ModelError(f"node {proto.name!r} ({proto.op_type}) names {len(proto.output)} outputs, "
                             f"there are {len(results)}")
        for name, value in zip(proto.output, results):
            if name:
                scope.values[name] = value

    def run_operator(self, proto: Any, domain: str, values: list[Optional[Value]], scope: Scope) -> list[Value]:
        signature = self.source.signature(domain, proto.op_type, scope.opsets, proto.name)
        node = Node(self, proto, domain, signature.version, values, scope)
        signature.check(node)
        rule = self.source.rule(signature, node.name)
        sources = foldable_sources(node)
        if sources is not None and not sources and node.values:  # every operand is known
            folded = self.fold(node)
            if folded is not None:
                return folded
        results = self.apply(rule, node)
        if sources:
            for value in results:
                if value.array is None and elements(value.shape) <= STATIC_ELEMENTS:
                    value.sources = sources
        return results

    @staticmethod
    def fold(node: Node) -> Optional[list[Value]]:
        with reported(node):
            folded = FOLDS[node.operator](node, *(None if value is None else value.array for value in node.values))
        if folded is None:
            return None
        results = folded if isinstance(folded, tuple) else (folded,)
        pairs = (result if isinstance(result, tuple) else (result, node.element(0)) for result in results)
        return [Value.known(np.asarray(array), element) for array, element in pairs]

    def apply(self, rule: Rule, node: Node) -> list[Value]:
        positions = () if rule.by_values else range(len(node.values))
        operands = [self.operand(rule, node, position) for position in positions]
        with reported(node):
            results = rule.function(node, *operands)
        if not isinstance(results, tuple):
            results = (results,)
        return [self.result(rule, node, result) for result in results]

    def operand(self, rule: Rule, node: Node, position: int) -> Any:
        value = node.values[position]
        if value is None:
            return None
        if position in rule.known:
            name = self.source.operand_name(node, position)
            array = node.known(position, name)
            node.require(array.ndim <= 1, f"{name} is of shape {list(array.shape)}; it is a number or a list")
            return np.atleast_1d(array)
        if value.element in WIDENED and (not rule.widened or value.element == "u64" and not rule.unsigned64):
            node.refuse(f"{value.element} is no type of the wire, and its exact results cannot be had from a wider one")
        if value.element not in NUMPY_TYPES:
            node.refuse(f"{value.element} is no type of the wire")
        return value.tensor

    def result(self, rule: Rule, node: Node, result: Any) -> Value:
        if isinstance(result, Value):
            return result
        element = next((value.element for value in node.values if value is not None and value.element in WIDENED), None)
        if isinstance(result, np.ndarray):
            return Value.known(result, element_of(result))
        if element is None or rule.widened == "custom" or result.dtype != storage_dtype(element):
            return Value.computed(result)
        return Value.computed(into_range(result, element) if rule.widened == "wrap" else result, element)

    def run_function(self, function: Any, proto: Any, values: list[Optional[Value]], scope: Scope) -> list[Value]:
        """A function of the model: its nodes in a scope of their own, with attributes put in."""
        opsets = {entry.domain or STANDARD: entry.version for entry in function.opset_import}
        inner = Scope(opsets, depth=scope.depth + 1)  # without a parent: a function sees its operands only
        for name, value in zip(function.input, values):
            if value is not None:
                inner.values[name] = value
        self.run_nodes(self.source.function_nodes(function, proto), inner)
        return [self.output(inner, name) for name in function.output]

    def run_subgraph(self, graph: Any, bound: Sequence[Value], node: Node) -> list[Value]:
        node.require(len(graph.input) == len(bound),
                     f"its body takes {len(graph.input)} values, it would get {len(bound)}")
        inner = Scope(node.scope.opsets, node.scope, node.scope.depth + 1)
        for tensor in graph.initializer:
            inner.values[tensor.name] = tensor_value(tensor, self.source.folder)
        for entry, value in zip(graph.input, bound):
            inner.values[entry.name] = value
        self.run_nodes(graph.node, inner)
        return [self.output(inner, output.name) for output in graph.output]


def may_be_static(element: str, shape: Sequence[int]) -> bool:
    """Whether a model may be built for each value of such an input."""
    return elements(shape) <= (STATIC_FLOATS if element in FLOATS else STATIC_ELEMENTS)


def foldable_sources(node: Node) -> Optional[frozenset[str]]:
    """The graph inputs that the node's results could be computed from with NumPy: empty if they are known now, None if
    the node has no such rule or depends on data."""
    if node.domain != STANDARD or node.operator not in FOLDS:
        return None
    sources: frozenset[str] = frozenset()
    for value in node.values:
        if value is None:
            continue
        if value.sources is None or elements(value.shape) > FOLDED_ELEMENTS or value.element not in NUMPY_TYPES:
            return None
        sources |= value.sources
    return sources


def elements(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def element_of(array: np.ndarray) -> str:
    """The element type of an array that a rule made."""
    names = {"float16": "f16", "float32": "f32", "float64": "f64", "bool": "bool"}
    return names.get(array.dtype.name) or array.dtype.name.replace("uint", "u").replace("int", "i")


@contextlib.contextmanager
def reported(node: Node) -> Iterator[None]:
    """What is wrong with a node's shapes or attributes shows in many ways inside of a rule; it leaves as a
    ModelError."""
    try:
        yield
    except (ModelError, Unsupported, NeedsValue):
        raise
    except ValueError as error:
        raise ModelError(f"node {node.name!r} ({node.operator}): {error}") from error
    except Exception as error:
        operands = ", ".join("none" if value is None else f"{value.element}{list(value.shape)}"
                             for value in node.values)
        raise ModelError(f"node {node.name!r} ({node.operator}): its operands {operands} and its attributes do not fit "
                         f"each other ({error})") from error
