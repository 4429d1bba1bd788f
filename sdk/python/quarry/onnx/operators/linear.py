"""Matrix products, einsum, determinants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from ...tensor import Tensor
from .. import engine as F
from .. import primitives
from ..registry import operator
from ..values import FLOATS

if TYPE_CHECKING:
    from ..importer import Node

DETERMINANT_SIZE = 6  # by cofactors, n! products


@operator("MatMul")
def matmul(node: "Node", x: Tensor, y: Tensor) -> Tensor:
    return F.matmul(x, y)


@operator("Gemm", since=7, refuses="fractions for alpha and beta beside integers")
def gemm(node: "Node", a: Tensor, b: Tensor, c: Optional[Tensor] = None) -> Tensor:
    a = a.permute((1, 0)) if node.attribute("transA", 0) else a
    b = b.permute((1, 0)) if node.attribute("transB", 0) else b
    result = scaled(node, F.matmul(a, b), node.attribute("alpha", 1.0))
    if c is None:
        return result
    return result + primitives.broadcast_to(scaled(node, c, node.attribute("beta", 1.0)), tuple(result.shape))


def scaled(node: "Node", x: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return x
    if x.dtype not in FLOATS and factor != int(factor):
        node.refuse(f"a fraction for alpha or beta beside {x.dtype}")
    return x * (factor if x.dtype in FLOATS else int(factor))


@operator("Einsum")
def einsum(node: "Node", *operands: Tensor) -> Tensor:
    return F.einsum(node.attribute("equation"), list(operands))


@operator("Det", refuses="matrices larger than 6 x 6")
def determinant(node: "Node", x: Tensor) -> Tensor:
    size = x.shape[-1]
    node.require(len(x.shape) >= 2 and x.shape[-2] == size, f"{list(x.shape)} is no square matrix")
    if size > DETERMINANT_SIZE:
        node.refuse(f"matrices larger than {DETERMINANT_SIZE} x {DETERMINANT_SIZE}")
    entries = [[primitives.at(primitives.at(x, -2, row), -1, column) for column in range(size)] for row in range(size)]
    return cofactors(entries) if size else primitives.ones_like(F.sum(x, [-1, -2], False))


def cofactors(entries: list[list[Tensor]]) -> Tensor:
    """The determinant, along the first row."""
    if len(entries) == 1:
        return entries[0][0]
    total = None
    for column, entry in enumerate(entries[0]):
        minor = [row[:column] + row[column + 1:] for row in entries[1:]]
        term = entry * cofactors(minor)
        if total is None:
            total = term
        else:
            total = total - term if column % 2 else total + term
    return total
