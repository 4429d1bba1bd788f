"""The engine's functions on Tensors, under their own names and with their own order of arguments (engine/tensor/*.h).

ONNX's semantics are nearer to these than to PyTorch's, which quarry.functional follows. Arguments are positional."""

from __future__ import annotations

from typing import Any, Callable

import _quarry
from ..tensor import Tensor


def _lowered(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.node
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor):
        return [operand.node for operand in value]
    return value


def _lifted(value: Any) -> Any:
    if isinstance(value, _quarry.Tensor):
        return Tensor.of(value)
    return tuple(Tensor.of(part) for part in value)


def _function(name: str) -> Callable[..., Any]:
    native = getattr(_quarry, name)

    def call(*arguments: Any) -> Any:
        return _lifted(native(*map(_lowered, arguments)))

    call.__name__ = name
    return call


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("_") or not hasattr(_quarry, name):
        raise AttributeError(f"the engine has no function {name!r}")
    function = globals()[name] = _function(name)
    return function
