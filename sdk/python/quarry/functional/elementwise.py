"""Functions of each element and of pairs of elements: mathematics, activations, bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import _quarry
from _quarry import TensorError

from ..tensor import Operand, Tensor, node_of, operand
from .arguments import of_pair
from .shape import chunk


# ---- activations and bounds

def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """approximate: "none" or "tanh"."""
    return Tensor.of(_quarry.gelu(node_of(x), approximate))


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    return Tensor.of(_quarry.leaky_relu(node_of(x), negative_slope))


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """weight: one, or one for each channel (axis 1)."""
    x, weight = Tensor.of(node_of(x)), Tensor.of(node_of(weight))
    if weight.ndim == 1 and x.ndim > 1 and weight.shape[0] > 1:
        weight = weight.reshape(-1, *[1] * (x.ndim - 2))
    return Tensor.of(_quarry.prelu(x.node, weight.node))


def threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    """x above the threshold, else value."""
    return where(x > threshold, x, value)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    return Tensor.of(_quarry.elu(node_of(x), alpha))


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    return Tensor.of(_quarry.celu(node_of(x), alpha))


def selu(x: Tensor) -> Tensor:
    return Tensor.of(_quarry.selu(node_of(x)))


def softplus(x: Tensor, beta: float = 1.0) -> Tensor:
    return Tensor.of(_quarry.softplus(node_of(x), beta))


def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    return Tensor.of(_quarry.hardtanh(node_of(x), min_val, max_val))


def hardsigmoid(x: Tensor) -> Tensor:
    return Tensor.of(_quarry.hardsigmoid(node_of(x), 1 / 6, 0.5))


def glu(x: Tensor, dim: int = -1) -> Tensor:
    """[.., 2 n, ..] -> [.., n, ..]: the first half times the sigmoid of the second."""
    x = Tensor.of(node_of(x))
    if not -x.ndim <= dim < x.ndim or x.shape[dim] % 2:
        raise TensorError(f"glu halves axis {dim} of {x.dtype}{list(x.shape)}")
    first, second = chunk(x, 2, dim)
    return first * FUNCTIONS["sigmoid"](second)


def clip(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Between two bounds, numbers or tensors; either may be missing."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    if not isinstance(min, (Tensor, np.ndarray)) and not isinstance(max, (Tensor, np.ndarray)):
        return Tensor.of(_quarry.clip(x.node, -math.inf if min is None else float(min),
                                      math.inf if max is None else float(max)))
    return Tensor.of(_quarry.clip_tensors(x.node,
                                          *(None if bound is None else operand(x, bound) for bound in (min, max))))


clamp = clip


def where(condition: Tensor, x: Operand, y: Operand) -> Tensor:
    """x where the condition is not 0, else y; exact also beside inf and NaN. All three are broadcast."""
    like = x if isinstance(x, Tensor) else y if isinstance(y, Tensor) else Tensor(x)
    return Tensor.of(_quarry.where(node_of(condition), operand(like, x), operand(like, y)))


def masked_fill(x: Tensor, mask: Tensor, value: float) -> Tensor:
    """x where mask is 0, else value."""
    return Tensor.of(_quarry.masked_fill(node_of(x), node_of(mask), value))


# ---- numbers

def nan_to_num(x: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    return Tensor.of(_quarry.nan_to_num(node_of(x), nan, posinf, neginf))


def lerp(x: Tensor, y: Tensor, weight: Operand) -> Tensor:
    """x + weight * (y - x)"""
    x = Tensor.of(node_of(x))
    return Tensor.of(_quarry.lerp(x.node, node_of(y), operand(x, weight)))


UNARY = {
    "abs": "|x|", "sign": "-1, 0 or 1", "square": "x^2", "sqrt": "NaN below 0", "rsqrt": "1 / sqrt(x)",
    "reciprocal": "1 / x", "exp": "", "exp2": "2^x", "expm1": "exp(x) - 1, exact near 0", "log": "", "log2": "",
    "log10": "", "log1p": "log(1 + x), exact near 0", "sin": "", "cos": "", "tan": "", "asin": "", "acos": "",
    "atan": "", "sinh": "", "cosh": "", "tanh": "", "asinh": "", "acosh": "", "atanh": "", "erf": "", "floor": "",
    "ceil": "", "trunc": "", "round": "halves to even", "isnan": "bool", "isinf": "bool", "isfinite": "bool",
    "relu": "max(x, 0)", "relu6": "min(max(x, 0), 6)", "sigmoid": "1 / (1 + exp(-x))", "logsigmoid": "log(sigmoid(x))",
    "silu": "x * sigmoid(x)", "mish": "x * tanh(softplus(x))", "softsign": "x / (1 + |x|)", "hardswish": "", "neg": "-x",
    "logical_not": "bool",
}
BINARY = {
    "maximum": "NaN wins", "minimum": "NaN wins", "pow": "x^y", "atan2": "",
    "fmod": "the remainder with the sign of x", "remainder": "the remainder with the sign of y, as Python's %",
    "floor_divide": "Python's //", "logical_and": "", "logical_or": "", "logical_xor": "",
}


def _unary(name: str) -> Callable[[Tensor], Tensor]:
    native = getattr(_quarry, name)

    def function(x: Tensor) -> Tensor:
        return Tensor.of(native(x.node if isinstance(x, Tensor) else node_of(x)))
    return _named(function, name, "Of each element", UNARY[name])


def _binary(name: str) -> Callable[[Operand, Operand], Tensor]:
    def function(x: Operand, y: Operand) -> Tensor:
        return of_pair(name, x, y)
    return _named(function, name, "Of each pair of elements, broadcast", BINARY[name])


def _named(function: Callable[..., Tensor], name: str, what: str, meaning: str) -> Callable[..., Tensor]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = what + (f": {meaning}." if meaning else ".")
    return function


# The functions of the two tables, by name.
FUNCTIONS = {name: _unary(name) for name in UNARY} | {name: _binary(name) for name in BINARY}
