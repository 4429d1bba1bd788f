"""What is run: a graph, the arrays of its inputs as the engine stores them, and how its steps are joined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from _quarry import TensorError

from .dtypes import NUMPY_OF, bf16_bits, storage
from .graph import Graph
from .tensor import Tensor


@dataclass
class Work:
    """A job as the engine takes it: a graph, the arrays of its inputs as it stores them, and how its steps are
    joined."""

    graph: Graph
    inputs: dict[str, np.ndarray] = field(default_factory=dict)  # plain ones, and starting values of carried ones
    steps: int = 1
    first_step: int = 0
    carry: dict[str, str] = field(default_factory=dict)  # input <- output
    feed: dict[str, tuple[np.ndarray,
                          bool]] = field(default_factory=dict)  # [n, ...shape of the input], whether it wraps
    keep: dict[str, str] = field(default_factory=dict)  # output -> "last" or "each"
    seed: int = 0


def array_for(graph: Graph, name: str, value: Any, *, fed: bool = False) -> np.ndarray:
    """`value` as input `name` stores it. Fed: with an axis of slices in front."""
    if name not in graph.inputs:
        raise TensorError(f"{name!r} is no input of the graph; its inputs are {', '.join(graph.inputs) or 'none'}")
    dtype, shape = graph.inputs[name]
    if isinstance(value, Tensor):
        value = value.stored()
    if isinstance(value, (np.ndarray, np.generic)):
        array = _of_dtype(np.asarray(value), dtype)
        found = None if array is not None else f"{value.dtype}{list(value.shape)}"
    else:
        array, found = storage(value, dtype)[0], None
    wanted = ("n, " if fed and shape else "n" if fed else "") + ", ".join(map(str, shape))
    if array is None or array.shape[1 if fed else 0:] != shape or (fed and array.ndim != len(shape) + 1):
        raise TensorError(f'input "{name}" is {dtype}[{wanted}] but '
                          f'{found or dtype + str(list(array.shape))} was given')
    return array


def _of_dtype(array: np.ndarray, dtype: str) -> np.ndarray | None:
    if dtype == "bf16" and array.dtype.kind == "f":
        array = bf16_bits(array)
    if array.dtype.newbyteorder("<") != NUMPY_OF[dtype]:
        return None
    return np.asarray(array, NUMPY_OF[dtype], order="C")
