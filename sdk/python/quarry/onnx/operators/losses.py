"""Losses over class numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ...tensor import Tensor
from .. import engine as F
from .. import primitives
from ..registry import operator

if TYPE_CHECKING:
    from ..importer import Node


def loss_of(node: "Node", log_probabilities: Tensor, target: Tensor, weight: Optional[Tensor]) -> Tensor:
    """-weight[t] * p[.., t, ..], where t is ignored 0; the mean is over the weights that count."""
    x = log_probabilities
    classes = x.shape[1]
    ignored = node.attribute("ignore_index")
    target = target.cast("i64")
    column = target.reshape((target.shape[0], 1) + tuple(target.shape[1:]))
    picked = -F.gather_along_axis(x, 1, column, "outside").reshape(target.shape)
    if weight is None:
        factor = primitives.full(target.shape, 1, x.dtype)
    else:
        node.require(tuple(weight.shape) == (classes,), f"weights {list(weight.shape)} for {classes} classes")
        factor = F.take(weight, target, 0, "outside")
    if ignored is not None:
        counts = target != ignored
        factor = F.where(counts, factor, primitives.zeros_like(factor))
        picked = F.where(counts, picked, primitives.zeros_like(picked))
    loss = picked * factor
    reduction = node.attribute("reduction", "mean")
    if reduction == "none":
        return loss
    axes = list(range(len(loss.shape)))
    total = F.sum(loss, axes, False)
    if reduction == "sum":
        return total
    node.require(reduction == "mean", f"unknown reduction {reduction!r}")
    return total / F.sum(factor, axes, False)


@operator("NegativeLogLikelihoodLoss")
def negative_log_likelihood(node: "Node", x: Tensor, target: Tensor, weight: Optional[Tensor] = None) -> Tensor:
    return primitives.in_f32(lambda y: loss_of(node, y, target, None if weight is None else weight.cast(y.dtype)), x)


@operator("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy(node: "Node", scores: Tensor, target: Tensor, weight: Optional[Tensor] = None) -> Any:
    log_probabilities = F.log_softmax(scores, 1)
    loss = primitives.in_f32(lambda y: loss_of(node, y, target, None if weight is None else weight.cast(y.dtype)),
                             log_probabilities)
    return (loss, log_probabilities)[:len(node.output_names)]
