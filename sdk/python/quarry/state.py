"""The tensors of a model in a safetensors file, and back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import safetensors

if TYPE_CHECKING:
    from .nn import Module


def save(module: Module, path: str | os.PathLike) -> None:
    """Writes weights and running statistics under their paths; what is lazy is computed in one run."""
    tensors = module.state_dict()
    if tensors:
        first, *others = tensors.values()
        first.realize(*others)
    safetensors.save(path, tensors)


def load(module: Module, path: str | os.PathLike, strict: bool = True) -> None:
    """Assigns the tensors of a file to those of equal paths. strict: no path may be missing or left over."""
    module.load_state_dict(safetensors.load_tensors(path), strict)
