"""Quarry: tensors whose work is a graph of twelve ops, so that its exact cost is known before it runs, here or on a
rented slice.

    from quarry import Tensor
    x = Tensor([[1.0, 2.0]])
    (x @ x.T).numpy()

See docs/python.md. Where things run: `on=` or the environment variable QUARRY_ON.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from _quarry import GraphError, RunError, TensorError

from . import functional
from .context import manual_seed
from .graph import Graph, build
from .tensor import Tensor, input

if TYPE_CHECKING:
    from . import nn, onnx, optim, remote, safetensors, state
    from .gradients import grad
    from .capturing import Job, jit
    from .charts import line_chart
    from .quoting import Quote, quote
    from .remote import ServiceError
    from .running import run

__version__ = "0.1.0"

_SUBMODULES = ("nn", "onnx", "optim", "remote", "safetensors", "state")
# Names that are imported when they are first used: `import quarry` stays quick.
_LAZY = {"run": "running", "jit": "capturing", "Job": "capturing", "quote": "quoting", "Quote": "quoting",
         "grad": "gradients", "line_chart": "charts",
         "ServiceError": "remote"}

__all__ = ["Graph", "GraphError", "RunError", "Tensor", "TensorError", "build", "functional", "input", "manual_seed",
           *_SUBMODULES, *_LAZY]


def __getattr__(name: str):
    if name in _LAZY:
        value = getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
