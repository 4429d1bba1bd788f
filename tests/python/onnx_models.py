"""Small ONNX models for the tests, and a large one for the bench."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

F32, I64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
ELEMENT_TYPES = {np.dtype(np.float32): F32, np.dtype(np.int64): I64, np.dtype(np.bool_): BOOL}


def node(operator: str, inputs: Sequence[str] | str, outputs: Sequence[str] | str, **attributes: Any) -> NodeProto:
    """A node called after its operator; one name stands for a list of one."""
    inputs, outputs = ([names] if isinstance(names, str) else list(names) for names in (inputs, outputs))
    return helper.make_node(operator, inputs, outputs, name=attributes.pop("name", f"the {operator}"), **attributes)


def value(name: str, element: int = F32, shape: Sequence[Any] | None = None) -> Any:
    return helper.make_tensor_value_info(name, element, shape)


def model(nodes: Sequence[NodeProto], inputs: Sequence[Any], outputs: Sequence[str],
          constants: dict[str, np.ndarray] | None = None,
          opset: int = 17, domains: dict[str, int] | None = None, functions: Sequence[Any] = (),
          output_type: int = F32) -> ModelProto:
    """A model whose outputs have no declared shapes."""
    graph = helper.make_graph(list(nodes), "graph", list(inputs), [value(name, output_type) for name in outputs],
                              [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()])
    opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(*entry) for entry in (domains or {}).items()]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=8)


def deep_model(count: int = 2000, channels: int = 8) -> ModelProto:
    """A residual network of about `count` nodes, as exporters write them: convolutions with normalisation, reshapes
    whose targets are computed from shapes, a classifier at the end."""
    rng = np.random.default_rng(7)
    constants: dict[str, np.ndarray] = {"minus one": np.array([-1], np.int64), "zero": np.array(0, np.int64)}
    nodes: list[NodeProto] = []
    last = "x"

    def add(operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{operator.lower()} {len(nodes)}"
        nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def weight(*shape: int) -> str:
        name = f"weight {len(constants)}"
        constants[name] = (rng.standard_normal(shape) * 0.1).astype(np.float32)
        return name

    while len(nodes) < count - 16:
        kept = last
        last = add("Conv", [last, weight(channels, channels, 3, 3)], pads=[1, 1, 1, 1])
        mean, variance = weight(channels), weight(channels)
        constants[variance] = np.abs(constants[variance]) + 1
        last = add("BatchNormalization", [last, weight(channels), weight(channels), mean, variance])
        last = add("Relu", [last])
        last = add("Add", [last, kept])
        shape = add("Shape", [last])
        batch = add("Unsqueeze", [add("Gather", [shape, "zero"], axis=0), add("Identity", ["axis 0"])])
        target = add("Concat", [batch, "minus one"], axis=0)
        last = add("Reshape", [add("Reshape", [last, target]), shape])
    constants["axis 0"] = np.array([0], np.int64)
    last = add("Flatten", [add("GlobalAveragePool", [last])])
    last = add("Softmax", [add("Gemm", [last, weight(channels, 10), weight(10)])], axis=-1)
    nodes[-1].output[0] = "y"
    return model(nodes, [value("x", F32, ["batch", channels, 8, 8])], ["y"], constants)
