"""The operators of ai.onnx.preview.training: optimisers' steps and gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import quarry
from ...tensor import Tensor
from .. import engine as F
from .. import primitives
from ..registry import TRAINING, operator

if TYPE_CHECKING:
    from ..importer import Node


def grouped(operands: tuple[Tensor, ...], kinds: int) -> list[tuple[Tensor, ...]]:
    """The operands [all of the first kind, all of the second, ..] as one tuple for each tensor that is trained."""
    count = len(operands) // kinds
    return [tuple(operands[kind * count + place] for kind in range(kinds)) for place in range(count)]


def flattened(results: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(value for kind in zip(*results) for value in kind)


def count_of(t: Tensor, dtype: str) -> Tensor:
    return t.reshape(()).cast(dtype)


@operator("Adagrad", domain=TRAINING)
def adagrad(node: "Node", rate: Tensor, t: Tensor, *operands: Tensor) -> tuple[Tensor, ...]:
    decay, epsilon = node.attribute("decay_factor", 0.0), node.attribute("epsilon", 1e-6)
    norm = node.attribute("norm_coefficient", 0.0)
    results = []
    for x, gradient, squares in grouped(operands, 3):
        step = rate.reshape(()).cast(x.dtype) / (count_of(t, x.dtype) * decay + 1)
        gradient = x * norm + gradient
        squares = squares + gradient * gradient
        results.append((x - step * gradient / (F.sqrt(squares) + epsilon), squares))
    return flattened(results)


@operator("Adam", domain=TRAINING)
def adam(node: "Node", rate: Tensor, t: Tensor, *operands: Tensor) -> tuple[Tensor, ...]:
    alpha, beta = node.attribute("alpha", 0.9), node.attribute("beta", 0.999)
    epsilon = node.attribute("epsilon", 1e-6)
    norm, norm_after = node.attribute("norm_coefficient", 0.0), node.attribute("norm_coefficient_post", 0.0)
    results = []
    for x, gradient, first, second in grouped(operands, 4):
        count = count_of(t, x.dtype)
        gradient = x * norm + gradient
        first = first * alpha + gradient * (1 - alpha)
        second = second * beta + gradient * gradient * (1 - beta)
        corrected = F.sqrt(1 - power_of(beta, count)) / (1 - power_of(alpha, count))
        step = rate.reshape(()).cast(x.dtype) * F.where(count > 0, corrected, primitives.ones_like(corrected))
        moved = x - step * first / (F.sqrt(second) + epsilon)
        results.append((moved * (1 - norm_after), first, second))
    return flattened(results)


def power_of(base: float, exponent: Tensor) -> Tensor:
    return F.pow(primitives.full_like(exponent, base), exponent)


@operator("Momentum", domain=TRAINING)
def momentum(node: "Node", rate: Tensor, t: Tensor, *operands: Tensor) -> tuple[Tensor, ...]:
    alpha, beta, norm = node.attribute("alpha"), node.attribute("beta"), node.attribute("norm_coefficient")
    mode = node.attribute("mode")
    node.require(mode in ("standard", "nesterov"), f"unknown mode {mode!r}")
    results = []
    for x, gradient, velocity in grouped(operands, 3):
        gradient = x * norm + gradient
        # The first step takes the gradient whole.
        fresh = F.where(count_of(t, x.dtype) > 0, primitives.full((), beta, x.dtype), primitives.full((), 1, x.dtype))
        velocity = velocity * alpha + gradient * fresh
        move = gradient + velocity * alpha if mode == "nesterov" else velocity
        results.append((x - rate.reshape(()).cast(x.dtype) * move, velocity))
    return flattened(results)


@operator("Gradient", domain=TRAINING, refuses="derivatives at another point than that of the operands")
def gradient_of(node: "Node", *operands: Tensor) -> tuple[Tensor, ...]:
    if node.attribute("zs"):
        node.require(len(node.attribute("zs")) + len(node.attribute("xs")) == len(operands),
                     "zs and xs are its operands")
    names = node.attribute("xs")
    target = node.scope.find(node.attribute("y"))
    node.require(target is not None, f"y is {node.attribute('y')!r}, which nothing before it makes")
    wanted = [node.scope.find(name) for name in names]
    for name, operand, value in zip(names, operands, wanted):
        # The operands are where the derivative is taken: only at the very values that y was computed from.
        if value is None or not value.tensor.node.same(operand.node):
            node.refuse(f"a derivative at another point than that at which {name!r} was used")
    loss = F.sum(target.tensor, list(range(len(target.shape))), False)
    return tuple(quarry.grad(loss, [value.tensor for value in wanted]))


