"""A model as the importer needs it, from a file, bytes or a ModelProto. All that is read is hostile until checked here.

The only module, with signatures.py and table.py, that touches the onnx package, which is imported when it is needed."""

from __future__ import annotations

import os
import warnings
from typing import Any, Iterator, Optional, Union

from .errors import ModelError, Unsupported
from .registry import LATEST_OPSET, STANDARD, TABLE, Rule
from .signatures import Signature
from .values import ELEMENT_NAMES, NUMPY_TYPES, Value

ModelSource = Union[str, os.PathLike, bytes, Any]
NESTED_GRAPHS = 32
TENSOR_ELEMENTS = 1 << 36  # of one initialiser; more is a lie in the file


class Source:
    """A checked model: its graph, initialisers, functions, and the operators' signatures of its opsets."""

    def __init__(self, model: Any, folder: Optional[str]):
        self.graph = model.graph
        self.folder = folder
        self.opsets: dict[str, int] = {entry.domain or STANDARD: entry.version for entry in model.opset_import}
        self.functions = {(function.domain or STANDARD, function.name): function for function in model.functions}
        self.signatures: dict[tuple[str, str, int], Signature] = {}
        self.initialisers = {tensor.name: tensor_value(tensor, folder) for tensor in model.graph.initializer}
        if model.graph.sparse_initializer:
            raise Unsupported("sparse_initializer", model.graph.name, "sparse tensors are no type of the wire")
        self.check_operators(model.graph.node, self.opsets)
        for function in model.functions:
            self.check_operators(function.node,
                                 {entry.domain or STANDARD: entry.version for entry in function.opset_import})

    def check_operators(self, nodes: Any, opsets: dict[str, int]) -> None:
        """Raises Unsupported for the first operator that there is no rule for, also inside of subgraphs."""
        for node in nodes:
            domain = node.domain or STANDARD
            if (domain, node.op_type) in self.functions:
                continue
            self.rule(self.signature(domain, node.op_type, opsets, node.name), node.name)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    self.check_operators(attribute.g.node, opsets)

    def signature(self, domain: str, operator: str, opsets: dict[str, int], node: str) -> Signature:
        """The operator as the model's opset of its domain defines it."""
        opset = opsets.get(domain)
        if opset is None:
            raise ModelError(f"node {node!r} ({operator}) is of domain {domain!r}, which the model does not import")
        key = (domain, operator, opset)
        found = self.signatures.get(key)
        if found is None:
            found = self.signatures[key] = read_signature(domain, operator, opset, node)
        return found

    @staticmethod
    def rule(signature: Signature, node: str) -> Rule:
        rule = TABLE.find(signature.domain, signature.operator, signature.version)
        if rule is not None:
            return rule
        reason = TABLE.refused.get((signature.domain, signature.operator))
        if reason is None:
            reason = (f"version {signature.version} of it (domain {signature.domain}) is not supported; "
                      "docs/onnx.md lists what is")
        raise Unsupported(signature.operator, node, reason)

    def operand_name(self, node: Any, position: int) -> str:
        opset = node.scope.opsets[node.domain]
        return "operand " + repr(self.signature(node.domain, node.operator, {node.domain: opset},
                                                node.name).operand_name(position))

    @staticmethod
    def function_nodes(function: Any, call: Any) -> Iterator[Any]:
        """The nodes of a function with the attributes of its call put in the place of references to them."""
        given = {attribute.name: attribute for attribute in call.attribute}
        for node in function.node:
            if any(attribute.ref_attr_name for attribute in node.attribute):
                copy = type(node)()
                copy.CopyFrom(node)
                del copy.attribute[:]
                for attribute in node.attribute:
                    if not attribute.ref_attr_name:
                        copy.attribute.add().CopyFrom(attribute)
                    elif attribute.ref_attr_name in given:
                        filled = copy.attribute.add()
                        filled.CopyFrom(given[attribute.ref_attr_name])
                        filled.name = attribute.name
                node = copy
            yield node


def read(source: ModelSource) -> Source:
    """Reads and checks a model. Raises ModelError or Unsupported."""
    try:
        import onnx
    except ImportError as error:
        raise ModelError("the onnx package is needed to read ONNX models: apt install python3-onnx, "
                         "or pip install onnx") from error
    folder = None
    try:
        if isinstance(source, onnx.ModelProto):
            model = source
        else:
            if not isinstance(source, bytes):
                folder = os.path.dirname(os.path.abspath(source))
                with open(source, "rb") as file:
                    source = file.read()
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of bytes that are left over, which protobuf only warns of
                model = onnx.load_model_from_string(source)
    except OSError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror}") from error
    except Exception as error:  # protobuf's own errors, which the onnx package does not wrap
        raise ModelError(f"not an ONNX model: {error}") from error
    if not isinstance(source, onnx.ModelProto) and not model.ir_version and not model.graph.node:
        raise ModelError("not an ONNX model: it has no version and no nodes")
    check(model)
    return Source(model, folder)


def check(model: Any) -> None:
    """The rules of the format, by onnx's own checker, and the opsets that these rules were written for."""
    import onnx

    opsets = {entry.domain or STANDARD: entry.version for entry in model.opset_import}
    newest = min(onnx.defs.onnx_opset_version(), LATEST_OPSET)
    if opsets.get(STANDARD, 1) > newest:
        raise Unsupported("opset", model.graph.name,
                          f"the model is of opset {opsets[STANDARD]}; up to {newest} are known here")
    for graph in (model.graph, *model.functions):
        check_nesting(graph, 0)
    try:
        onnx.checker.check_model(without_weights(model))
    except Exception as error:
        raise ModelError(f"not a valid ONNX model: {error}") from error


def without_weights(model: Any) -> Any:
    """The model as onnx's checker gets it: initialisers as inputs, since it copies all that it is given; and with
    shapes and a name where they are left out, which exporters do and the checker does not forgive."""
    import onnx

    light = onnx.ModelProto()
    light.ir_version = model.ir_version
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = model.graph.name or "graph"
    light.graph.node.extend(model.graph.node)
    light.graph.input.extend(model.graph.input)
    light.graph.output.extend(model.graph.output)
    given = {entry.name for entry in model.graph.input}
    for tensor in model.graph.initializer:
        if tensor.name not in given:
            entry = light.graph.input.add()
            entry.name = tensor.name
            entry.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    for entry in (*light.graph.input, *light.graph.output):
        if entry.type.HasField("tensor_type"):
            entry.type.tensor_type.shape.SetInParent()
    return light


def check_nesting(graph: Any, depth: int) -> None:
    """The checker recurses into subgraphs on the C stack."""
    if depth > NESTED_GRAPHS:
        raise ModelError(f"graphs are nested more than {NESTED_GRAPHS} deep")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                check_nesting(attribute.g, depth + 1)
            for inner in attribute.graphs:
                check_nesting(inner, depth + 1)


def read_signature(domain: str, operator: str, opset: int, node: str) -> Signature:
    import onnx

    try:
        schema = onnx.defs.get_schema(operator, opset, "" if domain == STANDARD else domain)
    except Exception as error:
        raise Unsupported(operator, node, f"opset {opset} of domain {domain} has no such operator") from error
    return Signature(schema, domain)


def tensor_value(tensor: Any, folder: Optional[str]) -> Value:
    """An initialiser or constant as a known value."""
    from onnx import numpy_helper

    element = ELEMENT_NAMES.get(tensor.data_type)
    if element is None:
        raise ModelError(f"tensor {tensor.name!r} has the unknown element type {tensor.data_type}")
    if element == "string":
        return Value("string", tuple(tensor.dims))  # only its shape can be asked for
    count = 1
    for size in tensor.dims:
        count *= size
        if size < 0 or count > TENSOR_ELEMENTS:
            raise ModelError(f"tensor {tensor.name!r} has the impossible shape {list(tensor.dims)}")
    try:
        if tensor.data_location == tensor.EXTERNAL:
            tensor = with_external_data(tensor, folder)
        array = numpy_helper.to_array(tensor)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"tensor {tensor.name!r} cannot be read: {error}") from error
    if element in NUMPY_TYPES:
        array = array.astype(NUMPY_TYPES[element], copy=False)
    return Value.known(array, element)


def with_external_data(tensor: Any, folder: Optional[str]) -> Any:
    """The tensor with its data from a file beside the model; nothing outside of the model's folder is opened."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise ModelError(f"tensor {tensor.name!r} lies in the file {location!r}: load the model by its path")
    root = os.path.realpath(folder)
    path = os.path.realpath(os.path.join(root, location))
    if not location or os.path.commonpath([root, path]) != root or not os.path.isfile(path):
        raise ModelError(f"tensor {tensor.name!r} lies in {location!r}, which is no file beside the model")
    offset = int(entries.get("offset", 0))
    length = int(entries.get("length", os.path.getsize(path) - offset))
    if offset < 0 or length < 0 or offset + length > os.path.getsize(path):
        raise ModelError(f"tensor {tensor.name!r} lies outside of {location!r}")
    with open(path, "rb") as file:
        file.seek(offset)
        copy = type(tensor)()
        copy.CopyFrom(tensor)
        copy.raw_data = file.read(length)
        copy.data_location = tensor.DEFAULT
        return copy


def attribute_value(attribute: Any, source: Source) -> Any:
    """A node's attribute in Python's types; a tensor becomes a Value."""
    kind = attribute.type
    if kind == attribute.FLOAT:
        return attribute.f
    if kind == attribute.INT:
        return attribute.i
    if kind == attribute.STRING:
        return attribute.s.decode("utf-8", "replace")
    if kind == attribute.TENSOR:
        return tensor_value(attribute.t, source.folder)
    if kind == attribute.GRAPH:
        return attribute.g
    if kind == attribute.FLOATS:
        return list(attribute.floats)
    if kind == attribute.INTS:
        return list(attribute.ints)
    if kind == attribute.STRINGS:
        return [text.decode("utf-8", "replace") for text in attribute.strings]
    raise ModelError(f"attribute {attribute.name!r} is of a kind that no supported operator has")
