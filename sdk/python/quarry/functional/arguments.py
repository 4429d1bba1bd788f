"""What the functions take: numbers and arrays beside tensors, sizes and padding as PyTorch writes them."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, Union

import numpy as np

import _quarry
from _quarry import TensorError

from ..tensor import Operand, Tensor, node_of, operand, sizes_of

Sizes = Union[int, Sequence[int]]
Padding = Union[int, str, Sequence[Any]]


def maybe_node(value: Any) -> _quarry.Tensor | None:
    return None if value is None else node_of(value)


def nodes_of(tensors: Sequence[Any]) -> list[_quarry.Tensor]:
    if isinstance(tensors, Tensor):
        raise TensorError("give a list of tensors, not one")
    return [node_of(tensor) for tensor in tensors]


def of_pair(name: str, x: Operand, y: Operand) -> Tensor:
    function = getattr(_quarry, name)
    if isinstance(x, Tensor):
        return Tensor.of(function(x.node, operand(x, y)))
    y = y if isinstance(y, Tensor) else Tensor(y)
    return Tensor.of(function(operand(y, x), y.node))


def each_axis(sizes: Sizes | None, count: int, what: str) -> list[int]:
    """One entry for each spatial axis; None: none, which stands for the default."""
    if sizes is None:
        return []
    entries = sizes_of([sizes] if isinstance(sizes, (int, np.integer)) else [list(sizes)], what)
    if len(entries) == 1:
        entries *= count
    if len(entries) != count:
        raise TensorError(f"{what} has {len(entries)} entries for {count} spatial axes")
    return entries


def pads_of(padding: Any, count: int) -> list[tuple[int, int]]:
    """PyTorch's padding: a number, one for each spatial axis, or (before, after) of each."""
    if isinstance(padding, (int, np.integer)):
        return [(int(padding), int(padding))] * count
    entries = [(entry, entry) if isinstance(entry, (int, np.integer)) else tuple(sizes_of(entry, "padding"))
               for entry in padding]
    if len(entries) == 1:
        entries *= count
    if len(entries) != count or builtins.any(len(entry) != 2 for entry in entries):
        raise TensorError(f"padding {padding!r} is not for {count} spatial axes")
    return entries


def need_axes(x: Tensor, weight: Tensor, axes: int, where: str) -> None:
    if weight.ndim != axes + 2 or x.ndim not in (axes + 1, axes + 2):
        raise TensorError(f"{where}: {x.dtype}{list(x.shape)} and weight {weight.dtype}{list(weight.shape)} "
                          f"do not have {axes} spatial axes beside channels")


def shape_of(sizes: Sizes) -> list[int]:
    return sizes_of([sizes] if isinstance(sizes, (int, np.integer)) else [list(sizes)])
