"""What loading or calling a model may raise."""

from __future__ import annotations


class ModelError(ValueError):
    """The file is no valid ONNX model, or the arrays given do not fit it. The text names the node or input."""


class Unsupported(NotImplementedError):
    """The model is valid, but something in it cannot be expressed in Quarry's twelve ops.

    Raised before anything is uploaded or run. `operator`, `node` and `reason` are also attributes."""

    def __init__(self, operator: str, node: str, reason: str):
        self.operator = operator
        self.node = node
        self.reason = reason
        super().__init__(f"operator {operator}, node {node!r}: {reason}")


class NeedsValue(Exception):
    """Internal: a shape operand comes from graph inputs; the model has to be built for their values."""

    def __init__(self, inputs: frozenset[str]):
        self.inputs = inputs
        super().__init__(", ".join(sorted(inputs)))
