"""ONNX models as Quarry graphs.

    model = quarry.onnx.load("model.onnx")
    outputs = model({"input": array})

docs/onnx.md has the operators and what is refused. The onnx package is imported when the first model is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import ModelError, Unsupported

if TYPE_CHECKING:
    from .model import Model

__all__ = ["Model", "ModelError", "Unsupported", "load"]


def load(path_or_model: Any) -> "Model":
    """A model from a path, the bytes of a file, or an onnx.ModelProto.

    Raises ModelError for what is no valid model, and Unsupported for what the twelve ops cannot express; where the
    model's input shapes are given in the file, all of it is checked here."""
    from .model import Model
    from .reader import read

    return Model(read(path_or_model))


def __getattr__(name: str) -> Any:
    if name == "Model":
        from .model import Model

        return Model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
