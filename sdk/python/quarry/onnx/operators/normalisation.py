"""Normalisations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Sequence

from ...tensor import Tensor
from .. import engine as F
from .. import primitives, shapes
from ..registry import operator

if TYPE_CHECKING:
    from ..importer import Node


def by_channel(parameter: Tensor, rank: int) -> Tensor:
    """[c] as [1, c, 1, ..]."""
    return parameter.reshape((1, parameter.shape[0]) + (1,) * (rank - 2))


def normalised(x: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    return (x - mean) / F.sqrt(variance + epsilon)


def moments(x: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance, with the axes kept."""
    mean = F.mean(x, axes, True)
    difference = x - mean
    return mean, F.mean(difference * difference, axes, True)


def affine(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    """In f32 for the 16-bit types: a variance does not fit their range."""
    dtype, rank = x.dtype, len(x.shape)
    if dtype in ("f16", "bf16"):
        x, scale, bias, mean, variance = (operand.cast("f32") for operand in (x, scale, bias, mean, variance))
    mean, variance, scale, bias = (by_channel(operand, rank).cast(x.dtype) for operand in (mean, variance, scale, bias))
    return (normalised(x, mean, variance, epsilon) * scale + bias).cast(dtype)


@operator("BatchNormalization", until=9, refuses="spatial = 0; training mode of versions before 14")
def batch_normalization_of_inference(node: "Node", x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor,
                                     variance: Tensor) -> Tensor:
    if node.attribute("spatial", 1) != 1:
        node.refuse("statistics for each element (spatial = 0)")
    if len([name for name in node.output_names if name]) > 1 or node.version < 7 and not node.attribute("is_test", 0):
        node.refuse("training mode of versions before 14")
    return affine(x, scale, bias, mean, variance, node.attribute("epsilon", 1e-5))


@operator("BatchNormalization", since=14)
def batch_normalization(node: "Node", x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Any:
    epsilon = node.attribute("epsilon", 1e-5)
    if not node.attribute("training_mode", 0):
        return affine(x, scale, bias, mean, variance, epsilon)
    axes = [0, *range(2, len(x.shape))]
    of_batch = [primitives.in_f32(lambda y, which=which: moments(y, axes)[which], x).reshape((x.shape[1],))
                for which in (0, 1)]
    momentum = node.attribute("momentum", 0.9)
    running = [(old * momentum + new.cast(old.dtype) * (1 - momentum)) for old, new in zip((mean, variance), of_batch)]
    return (affine(x, scale, bias, *of_batch, epsilon), *running)


@operator("InstanceNormalization", since=1)
def instance_normalization(node: "Node", x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, scale, bias, node.attribute("epsilon", 1e-5))


@operator("LayerNormalization", refuses="a stash_type other than f32 and f64")
def layer_normalization(node: "Node", x: Tensor, scale: Tensor, bias: Optional[Tensor] = None) -> tuple[Tensor, ...]:
    """Mean and 1 / deviation are results too, in the type of stash_type."""
    axis = shapes.normal_axis(node.attribute("axis", -1), len(x.shape))
    axes = list(range(axis, len(x.shape)))
    if node.attribute("stash_type", 1) not in (1, 11):
        node.refuse("a stash_type other than f32 and f64")
    inner = x.cast("f64" if node.attribute("stash_type", 1) == 11 else "f32")
    mean, variance = moments(inner, axes)
    deviation = F.reciprocal(F.sqrt(variance + node.attribute("epsilon", 1e-5)))
    result = ((inner - mean) * deviation).cast(x.dtype) * scale
    return (result if bias is None else result + bias, mean, deviation)[:len(node.output_names)]


@operator("MeanVarianceNormalization", since=9)
def mean_variance_normalization(node: "Node", x: Tensor) -> Tensor:
    axes = shapes.normal_axes(node.attribute("axes", [0, 2, 3]), len(x.shape))

    def normal(y: Tensor) -> Tensor:
        mean, variance = moments(y, axes)
        return (y - mean) / (F.sqrt(variance) + 1e-9)

    return primitives.in_f32(normal, x)


@operator("LRN")
def local_response(node: "Node", x: Tensor) -> Tensor:
    return F.local_response_norm(x, node.attribute("size"), node.attribute("alpha", 0.0001),
                                 node.attribute("beta", 0.75),
                                 node.attribute("bias", 1.0))


@operator("LpNormalization")
def lp_normalization(node: "Node", x: Tensor) -> Tensor:
    axis = shapes.normal_axis(node.attribute("axis", -1), len(x.shape))
    if node.attribute("p", 2) == 1:
        return x / F.sum(F.abs(x), [axis], True)
    return x / F.sqrt(F.sum(x * x, [axis], True))
