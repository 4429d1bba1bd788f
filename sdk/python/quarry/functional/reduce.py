"""Functions that make one element of many. axis: None is all of them."""

from __future__ import annotations

import _quarry
from _quarry import TensorError

from ..tensor import Axis, Tensor, axes_of, node_of


def sum(x: Tensor, axis: Axis = None, keepdim: bool = False) -> Tensor:
    """bool and narrow integers sum in i32."""
    return Tensor.of(_quarry.sum(node_of(x), axes_of(axis), keepdim))


def mean(x: Tensor, axis: Axis = None, keepdim: bool = False) -> Tensor:
    return Tensor.of(_quarry.mean(node_of(x), axes_of(axis), keepdim))


def max(x: Tensor, axis: Axis = None, keepdim: bool = False) -> Tensor:
    return Tensor.of(_quarry.max(node_of(x), axes_of(axis), keepdim))


def min(x: Tensor, axis: Axis = None, keepdim: bool = False) -> Tensor:
    return Tensor.of(_quarry.min(node_of(x), axes_of(axis), keepdim))


def prod(x: Tensor, axis: Axis = None, keepdim: bool = False) -> Tensor:
    return Tensor.of(_quarry.prod(node_of(x), axes_of(axis), keepdim))


def any(x: Tensor, axis: Axis = None, keepdim: bool = False) -> Tensor:
    return Tensor.of(_quarry.any(node_of(x), axes_of(axis), keepdim))


def all(x: Tensor, axis: Axis = None, keepdim: bool = False) -> Tensor:
    return Tensor.of(_quarry.all(node_of(x), axes_of(axis), keepdim))


def logsumexp(x: Tensor, axis: Axis = None, keepdim: bool = False) -> Tensor:
    return Tensor.of(_quarry.logsumexp(node_of(x), axes_of(axis), keepdim))


def var(x: Tensor, axis: Axis = None, correction: float = 1, keepdim: bool = False) -> Tensor:
    """Over n - correction, as in PyTorch; NumPy's is correction=0."""
    return Tensor.of(_quarry.var(node_of(x), axes_of(axis), correction, keepdim))


def std(x: Tensor, axis: Axis = None, correction: float = 1, keepdim: bool = False) -> Tensor:
    return Tensor.of(_quarry.std(node_of(x), axes_of(axis), correction, keepdim))


def norm(x: Tensor, p: float = 2, axis: Axis = None, keepdim: bool = False) -> Tensor:
    """The 1- or 2-norm."""
    if p not in (1, 2):
        raise TensorError(f"norm: p is 1 or 2, not {p!r}")
    return Tensor.of((_quarry.l1_norm if p == 1 else _quarry.l2_norm)(node_of(x), axes_of(axis), keepdim))


def argmax(x: Tensor, axis: int | None = None, keepdim: bool = False) -> Tensor:
    """The first position of the greatest, i32; without an axis in the flattened tensor."""
    return Tensor.of(_quarry.argmax(node_of(x), axis, keepdim))


def argmin(x: Tensor, axis: int | None = None, keepdim: bool = False) -> Tensor:
    return Tensor.of(_quarry.argmin(node_of(x), axis, keepdim))


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    return Tensor.of(_quarry.softmax(node_of(x), axis))


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    return Tensor.of(_quarry.log_softmax(node_of(x), axis))
