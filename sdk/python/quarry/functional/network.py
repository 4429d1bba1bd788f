"""Products, normalisations, losses and attention."""

from __future__ import annotations

import _quarry
from _quarry import TensorError

from ..context import context
from ..dtypes import DTypeLike, dtype_name
from ..tensor import Tensor, node_of
from .arguments import Sizes, maybe_node, nodes_of, of_pair, shape_of


# ---- products

def matmul(x: Tensor, y: Tensor) -> Tensor:
    """[.., m, k] @ [.., k, n] -> [.., m, n]"""
    return of_pair("matmul", x, y)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [.., in], weight [out, in], bias [out] -> [.., out]"""
    return Tensor.of(_quarry.linear(node_of(x), node_of(weight), maybe_node(bias)))


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """NumPy's: einsum("bij,bjk->bik", x, y)"""
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    return Tensor.of(_quarry.einsum(equation, nodes_of(operands)))


def tensordot(x: Tensor, y: Tensor, dims: int = 2) -> Tensor:
    """The last `dims` axes of x with the first of y."""
    return Tensor.of(_quarry.tensordot(node_of(x), node_of(y), dims))


# ---- normalisations

def batch_norm(x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
               bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """x [n, c, ..], all others [c]. Training: with the statistics of the batch, and the running ones are assigned new
    values."""
    if not training:
        if running_mean is None or running_var is None:
            raise TensorError("batch_norm without running statistics is for training only")
        return Tensor.of(_quarry.batch_norm(node_of(x), node_of(running_mean), node_of(running_var), maybe_node(weight),
                                            maybe_node(bias), eps))
    output, _, _, mean, variance = _quarry.batch_norm_training(
        node_of(x), maybe_node(running_mean), maybe_node(running_var), maybe_node(weight), maybe_node(bias), momentum, eps)
    if running_mean is not None and running_var is not None:
        running_mean.assign(Tensor.of(mean))
        running_var.assign(Tensor.of(variance))
    return Tensor.of(output)


def layer_norm(x: Tensor, normalized_shape: Sizes, weight: Tensor | None = None, bias: Tensor | None = None,
               eps: float = 1e-5) -> Tensor:
    """Over the last axes, whose sizes are normalized_shape, as are those of weight and bias."""
    return Tensor.of(_quarry.layer_norm(node_of(x), shape_of(normalized_shape), maybe_node(weight), maybe_node(bias), eps))


def rms_norm(x: Tensor, normalized_shape: Sizes, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axes."""
    return Tensor.of(_quarry.rms_norm(node_of(x), shape_of(normalized_shape), maybe_node(weight), eps))


def group_norm(x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
               eps: float = 1e-5) -> Tensor:
    """x [n, c, ..] over groups of c / num_groups channels; weight, bias [c]."""
    return Tensor.of(_quarry.group_norm(node_of(x), num_groups, maybe_node(weight), maybe_node(bias), eps))


def instance_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """x [n, c, ..] over the axes after the channels; weight, bias [c]."""
    return Tensor.of(_quarry.instance_norm(node_of(x), maybe_node(weight), maybe_node(bias), eps))


def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x [n, c, ..] over `size` neighbouring channels."""
    return Tensor.of(_quarry.local_response_norm(node_of(x), size, alpha, beta, k))


def normalize(x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(||x||_p, eps) along an axis."""
    return Tensor.of(_quarry.normalize(node_of(x), p, dim, eps))


# ---- losses: rank 0, unless reduction="none"

def cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None, ignore_index: int | None = -100,
                  reduction: str = "mean", label_smoothing: float = 0.0) -> Tensor:
    """logits [n, classes, ..]; targets: class numbers [n, ..], or probabilities in the logits' shape."""
    return Tensor.of(_quarry.cross_entropy(node_of(logits), node_of(targets), maybe_node(weight), ignore_index,
                                           label_smoothing, reduction))


def nll_loss(log_probabilities: Tensor, targets: Tensor, weight: Tensor | None = None, ignore_index: int | None = -100,
             reduction: str = "mean") -> Tensor:
    """log_probabilities [n, classes, ..], targets: class numbers [n, ..]."""
    return Tensor.of(_quarry.nll_loss(node_of(log_probabilities), node_of(targets), maybe_node(weight), ignore_index, 0.0,
                                      reduction))


def mse_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return Tensor.of(_quarry.mse_loss(node_of(x), node_of(target), reduction))


def l1_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return Tensor.of(_quarry.l1_loss(node_of(x), node_of(target), reduction))


def huber_loss(x: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    return Tensor.of(_quarry.huber_loss(node_of(x), node_of(target), delta, reduction))


def smooth_l1_loss(x: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    return Tensor.of(_quarry.smooth_l1_loss(node_of(x), node_of(target), beta, reduction))


def binary_cross_entropy(x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean") -> Tensor:
    """x: probabilities."""
    return Tensor.of(_quarry.binary_cross_entropy(node_of(x), node_of(target), maybe_node(weight), reduction))


def binary_cross_entropy_with_logits(x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean",
                                     pos_weight: Tensor | None = None) -> Tensor:
    """x: logits."""
    return Tensor.of(_quarry.binary_cross_entropy_with_logits(node_of(x), node_of(target), maybe_node(weight),
                                                              maybe_node(pos_weight), reduction))


def kl_div(x: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target * (log target - x), x: log-probabilities."""
    return Tensor.of(_quarry.kl_div(node_of(x), node_of(target), log_target, reduction))


# ---- attention

def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
                                 dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, *,
                                 mask: Tensor | None = None) -> Tensor:
    """query [.., heads, q, width], key [.., kv heads, k, width], value [.., kv heads, k, out] -> [.., heads, q, out].
    mask: bool (true: look) or added to the scores, broadcast to [.., q, k]. kv heads divide heads."""
    mask = attn_mask if mask is None else mask
    stream = context.stream() if dropout_p > 0 else 0
    return Tensor.of(_quarry.scaled_dot_product_attention(node_of(query), node_of(key), node_of(value), maybe_node(mask),
                                                          is_causal, scale,
                                                          dropout_p, stream))


def rotary_tables(positions: Tensor, width: int, base: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines [positions shape .., width / 2] of rotary_embedding."""
    cosines, sines = _quarry.rotary_tables(node_of(positions), width, base)
    return Tensor.of(cosines), Tensor.of(sines)


def rotary_embedding(x: Tensor, cosines: Tensor, sines: Tensor, layout: str = "half_split") -> Tensor:
    """x [.., length, width] turned by the tables [length, width / 2]. layout: "half_split" (Hugging Face) or
    "interleaved" (Meta)."""
    return Tensor.of(_quarry.rotary_embedding(node_of(x), node_of(cosines), node_of(sines), layout))


def sinusoidal_positions(length: int, width: int, base: float = 10000.0, dtype: DTypeLike = "f32") -> Tensor:
    """[length, width]"""
    return Tensor.of(_quarry.sinusoidal_positions(length, width, base, dtype_name(dtype)))


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Elements become 0 with probability p, the others are scaled by 1 / (1 - p); each call, and each step of a job, in
    its own way."""
    if not training or p == 0:
        return x
    return Tensor.of(_quarry.dropout(node_of(x), p, context.stream()))


def embedding(ids: Tensor, weight: Tensor) -> Tensor:
    """ids: integers of any shape, weight [n, ..] -> [ids shape, ..]"""
    return Tensor.of(_quarry.embedding(node_of(ids), node_of(weight)))


def one_hot(ids: Tensor, num_classes: int, dtype: DTypeLike = "f32", axis: int = -1) -> Tensor:
    """[..] -> [.., num_classes]"""
    return Tensor.of(_quarry.one_hot(node_of(ids), num_classes, dtype_name(dtype), axis))
