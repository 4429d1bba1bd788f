"""Functions of tensors, under PyTorch's names and in its order of arguments. Shapes in the docstrings use `..` for axes that pass through.

Arguments may be Tensors, arrays or numbers. f16 and bf16 norms, softmax, losses and attention scores compute inside in f32.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any, Union

import numpy as np

import _quarry
from _quarry import TensorError

from .context import context
from .dtypes import DTypeLike, dtype_name
from .tensor import Axis, Operand, Tensor, axes_of, node_of, operand, sizes_of

Sizes = Union[int, Sequence[int]]
Padding = Union[int, str, Sequence[Any]]


def _maybe(value: Any) -> _quarry.Tensor | None:
    return None if value is None else node_of(value)


def _nodes(tensors: Sequence[Any]) -> list[_quarry.Tensor]:
    if isinstance(tensors, Tensor):
        raise TensorError("give a list of tensors, not one")
    return [node_of(tensor) for tensor in tensors]


def _of_pair(name: str, x: Operand, y: Operand) -> Tensor:
    function = getattr(_quarry, name)
    if isinstance(x, Tensor):
        return Tensor.of(function(x.node, operand(x, y)))
    y = y if isinstance(y, Tensor) else Tensor(y)
    return Tensor.of(function(operand(y, x), y.node))


def _each(sizes: Sizes | None, count: int, what: str) -> list[int]:
    """One entry for each spatial axis; None: none, which stands for the default."""
    if sizes is None:
        return []
    entries = sizes_of([sizes] if isinstance(sizes, (int, np.integer)) else [list(sizes)], what)
    if len(entries) == 1:
        entries *= count
    if len(entries) != count:
        raise TensorError(f"{what} has {len(entries)} entries for {count} spatial axes")
    return entries


def _pads(padding: Any, count: int) -> list[tuple[int, int]]:
    """PyTorch's padding: a number, one for each spatial axis, or (before, after) of each."""
    if isinstance(padding, (int, np.integer)):
        return [(int(padding), int(padding))] * count
    entries = [(entry, entry) if isinstance(entry, (int, np.integer)) else tuple(sizes_of(entry, "padding")) for entry in padding]
    if len(entries) == 1:
        entries *= count
    if len(entries) != count or builtins.any(len(entry) != 2 for entry in entries):
        raise TensorError(f"padding {padding!r} is not for {count} spatial axes")
    return entries


def _need_axes(x: Tensor, weight: Tensor, axes: int, where: str) -> None:
    if weight.ndim != axes + 2 or x.ndim not in (axes + 1, axes + 2):
        raise TensorError(f"{where}: {x.dtype}{list(x.shape)} and weight {weight.dtype}{list(weight.shape)} "
                          f"do not have {axes} spatial axes beside channels")


# ---- convolutions

def _conv(axes: int, x: Any, weight: Any, bias: Any, stride: Sizes, padding: Padding, dilation: Sizes, groups: int) -> Tensor:
    x, weight = Tensor.of(node_of(x)), Tensor.of(node_of(weight))
    _need_axes(x, weight, axes, f"conv{axes}d")
    strides, dilations = _each(stride, axes, "stride"), _each(dilation, axes, "dilation")
    if padding == "valid":
        padding = 0
    if isinstance(padding, str):
        if padding != "same":
            raise TensorError(f'padding is numbers, "same" or "valid", not {padding!r}')
        pads = _quarry.same_padding(list(x.shape[-axes:]), list(weight.shape[-axes:]), strides, dilations, False)
    else:
        pads = _pads(padding, axes)
    batched = x if x.ndim == axes + 2 else x.unsqueeze(0)
    result = Tensor.of(_quarry.conv(batched.node, weight.node, _maybe(bias), strides, pads, dilations, groups))
    return result if x.ndim == axes + 2 else result.squeeze(0)


def conv1d(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1,
           groups: int = 1) -> Tensor:
    """x [n, c, l], weight [out, c / groups, k], bias [out] -> [n, out, l']"""
    return _conv(1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1,
           groups: int = 1) -> Tensor:
    """x [n, c, h, w], weight [out, c / groups, kh, kw], bias [out] -> [n, out, h', w']. padding: a number, one an axis, (before, after) of
    each, "same" or "valid"."""
    return _conv(2, x, weight, bias, stride, padding, dilation, groups)


def conv3d(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1,
           groups: int = 1) -> Tensor:
    """x [n, c, d, h, w], weight [out, c / groups, kd, kh, kw], bias [out] -> [n, out, d', h', w']"""
    return _conv(3, x, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(axes: int, x: Any, weight: Any, bias: Any, stride: Sizes, padding: Padding, output_padding: Sizes, groups: int,
                    dilation: Sizes) -> Tensor:
    x, weight = Tensor.of(node_of(x)), Tensor.of(node_of(weight))
    _need_axes(x, weight, axes, f"conv_transpose{axes}d")
    batched = x if x.ndim == axes + 2 else x.unsqueeze(0)
    result = Tensor.of(_quarry.conv_transpose(
        batched.node, weight.node, _maybe(bias), _each(stride, axes, "stride"), _pads(padding, axes),
        _each(dilation, axes, "dilation"), groups, _each(output_padding, axes, "output_padding")))
    return result if x.ndim == axes + 2 else result.squeeze(0)


def conv_transpose1d(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Padding = 0,
                     output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1) -> Tensor:
    """x [n, c, l], weight [c, out / groups, k], bias [out] -> [n, out, l']"""
    return _conv_transpose(1, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Padding = 0,
                     output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1) -> Tensor:
    """x [n, c, h, w], weight [c, out / groups, kh, kw], bias [out] -> [n, out, h', w']"""
    return _conv_transpose(2, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Padding = 0,
                     output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1) -> Tensor:
    """x [n, c, d, h, w], weight [c, out / groups, kd, kh, kw], bias [out] -> [n, out, d', h', w']"""
    return _conv_transpose(3, x, weight, bias, stride, padding, output_padding, groups, dilation)


# ---- pooling: x [.., L1, .., Ld] -> [.., O1, .., Od]

def _max_pool(axes: int, x: Any, kernel: Sizes, stride: Sizes | None, padding: Padding, dilation: Sizes, ceil_mode: bool,
              return_indices: bool) -> Any:
    arguments = (node_of(x), _each(kernel, axes, "kernel_size"), _each(stride, axes, "stride"), _pads(padding, axes),
                 _each(dilation, axes, "dilation"), ceil_mode)
    if return_indices:
        return tuple(Tensor.of(node) for node in _quarry.max_pool_with_indices(*arguments))
    return Tensor.of(_quarry.max_pool(*arguments))


def max_pool1d(x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, dilation: Sizes = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """x [.., l] -> [.., l']"""
    return _max_pool(1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, dilation: Sizes = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """x [.., h, w] -> [.., h', w']; with return_indices also the i64 positions in h * w."""
    return _max_pool(2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, dilation: Sizes = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """x [.., d, h, w] -> [.., d', h', w']"""
    return _max_pool(3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_unpool2d(x: Tensor, indices: Tensor, output_size: Sequence[int]) -> Tensor:
    """The inverse of max_pool2d with return_indices: values [n, c, h', w'] at their places in [n, c, *output_size], 0 elsewhere."""
    return Tensor.of(_quarry.max_unpool(node_of(x), node_of(indices), sizes_of([output_size])))


def _avg_pool(axes: int, x: Any, kernel: Sizes, stride: Sizes | None, padding: Padding, ceil_mode: bool, with_pad: bool) -> Tensor:
    return Tensor.of(_quarry.avg_pool(node_of(x), _each(kernel, axes, "kernel_size"), _each(stride, axes, "stride"),
                                      _pads(padding, axes), [], ceil_mode, with_pad))


def avg_pool1d(x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, ceil_mode: bool = False,
               count_include_pad: bool = True) -> Tensor:
    """x [.., l] -> [.., l']"""
    return _avg_pool(1, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, ceil_mode: bool = False,
               count_include_pad: bool = True) -> Tensor:
    """x [.., h, w] -> [.., h', w']"""
    return _avg_pool(2, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool3d(x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, ceil_mode: bool = False,
               count_include_pad: bool = True) -> Tensor:
    """x [.., d, h, w] -> [.., d', h', w']"""
    return _avg_pool(3, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def lp_pool2d(x: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False) -> Tensor:
    """x [.., h, w] -> [.., h', w'], the norm of each window."""
    return Tensor.of(_quarry.lp_pool(node_of(x), norm_type, _each(kernel_size, 2, "kernel_size"), _each(stride, 2, "stride"), [], [],
                                     ceil_mode))


def adaptive_avg_pool2d(x: Tensor, output_size: Any) -> Tensor:
    """x [n, c, h, w] -> [n, c, *output_size]; None keeps a size."""
    return Tensor.of(_quarry.adaptive_avg_pool(node_of(x), _adaptive(output_size)))


def adaptive_max_pool2d(x: Tensor, output_size: Any) -> Tensor:
    """x [n, c, h, w] -> [n, c, *output_size]; None keeps a size."""
    return Tensor.of(_quarry.adaptive_max_pool(node_of(x), _adaptive(output_size)))


def _adaptive(output_size: Any) -> list[int]:
    entries = [output_size] * 2 if output_size is None or isinstance(output_size, int) else output_size
    return _each([-1 if entry is None else entry for entry in entries], 2, "output_size")


def global_avg_pool(x: Tensor) -> Tensor:
    """x [n, c, ..] -> [n, c, 1, .., 1]"""
    return Tensor.of(_quarry.global_avg_pool(node_of(x)))


def global_max_pool(x: Tensor) -> Tensor:
    """x [n, c, ..] -> [n, c, 1, .., 1]"""
    return Tensor.of(_quarry.global_max_pool(node_of(x)))


# ---- products

def matmul(x: Tensor, y: Tensor) -> Tensor:
    """[.., m, k] @ [.., k, n] -> [.., m, n]"""
    return _of_pair("matmul", x, y)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [.., in], weight [out, in], bias [out] -> [.., out]"""
    return Tensor.of(_quarry.linear(node_of(x), node_of(weight), _maybe(bias)))


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """NumPy's: einsum("bij,bjk->bik", x, y)"""
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    return Tensor.of(_quarry.einsum(equation, _nodes(operands)))


def tensordot(x: Tensor, y: Tensor, dims: int = 2) -> Tensor:
    """The last `dims` axes of x with the first of y."""
    return Tensor.of(_quarry.tensordot(node_of(x), node_of(y), dims))


# ---- normalisations

def batch_norm(x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
               bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """x [n, c, ..], all others [c]. Training: with the statistics of the batch, and the running ones are assigned new values."""
    if not training:
        if running_mean is None or running_var is None:
            raise TensorError("batch_norm without running statistics is for training only")
        return Tensor.of(_quarry.batch_norm(node_of(x), node_of(running_mean), node_of(running_var), _maybe(weight), _maybe(bias), eps))
    output, _, _, mean, variance = _quarry.batch_norm_training(
        node_of(x), _maybe(running_mean), _maybe(running_var), _maybe(weight), _maybe(bias), momentum, eps)
    if running_mean is not None and running_var is not None:
        running_mean.assign(Tensor.of(mean))
        running_var.assign(Tensor.of(variance))
    return Tensor.of(output)


def layer_norm(x: Tensor, normalized_shape: Sizes, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Over the last axes, whose sizes are normalized_shape, as are those of weight and bias."""
    return Tensor.of(_quarry.layer_norm(node_of(x), _shape(normalized_shape), _maybe(weight), _maybe(bias), eps))


def rms_norm(x: Tensor, normalized_shape: Sizes, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axes."""
    return Tensor.of(_quarry.rms_norm(node_of(x), _shape(normalized_shape), _maybe(weight), eps))


def group_norm(x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """x [n, c, ..] over groups of c / num_groups channels; weight, bias [c]."""
    return Tensor.of(_quarry.group_norm(node_of(x), num_groups, _maybe(weight), _maybe(bias), eps))


def instance_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """x [n, c, ..] over the axes after the channels; weight, bias [c]."""
    return Tensor.of(_quarry.instance_norm(node_of(x), _maybe(weight), _maybe(bias), eps))


def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x [n, c, ..] over `size` neighbouring channels."""
    return Tensor.of(_quarry.local_response_norm(node_of(x), size, alpha, beta, k))


def normalize(x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(||x||_p, eps) along an axis."""
    return Tensor.of(_quarry.normalize(node_of(x), p, dim, eps))


def _shape(sizes: Sizes) -> list[int]:
    return sizes_of([sizes] if isinstance(sizes, (int, np.integer)) else [list(sizes)])


# ---- losses: rank 0, unless reduction="none"

def cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None, ignore_index: int | None = -100,
                  reduction: str = "mean", label_smoothing: float = 0.0) -> Tensor:
    """logits [n, classes, ..]; targets: class numbers [n, ..], or probabilities in the logits' shape."""
    return Tensor.of(_quarry.cross_entropy(node_of(logits), node_of(targets), _maybe(weight), ignore_index, label_smoothing, reduction))


def nll_loss(log_probabilities: Tensor, targets: Tensor, weight: Tensor | None = None, ignore_index: int | None = -100,
             reduction: str = "mean") -> Tensor:
    """log_probabilities [n, classes, ..], targets: class numbers [n, ..]."""
    return Tensor.of(_quarry.nll_loss(node_of(log_probabilities), node_of(targets), _maybe(weight), ignore_index, 0.0, reduction))


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
    return Tensor.of(_quarry.binary_cross_entropy(node_of(x), node_of(target), _maybe(weight), reduction))


def binary_cross_entropy_with_logits(x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean",
                                     pos_weight: Tensor | None = None) -> Tensor:
    """x: logits."""
    return Tensor.of(_quarry.binary_cross_entropy_with_logits(node_of(x), node_of(target), _maybe(weight), _maybe(pos_weight), reduction))


def kl_div(x: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target * (log target - x), x: log-probabilities."""
    return Tensor.of(_quarry.kl_div(node_of(x), node_of(target), log_target, reduction))


# ---- attention

def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: float | None = None, *, mask: Tensor | None = None) -> Tensor:
    """query [.., heads, q, width], key [.., kv heads, k, width], value [.., kv heads, k, out] -> [.., heads, q, out]. mask: bool (true:
    look) or added to the scores, broadcast to [.., q, k]. kv heads divide heads."""
    mask = attn_mask if mask is None else mask
    stream = context.stream() if dropout_p > 0 else 0
    return Tensor.of(_quarry.scaled_dot_product_attention(node_of(query), node_of(key), node_of(value), _maybe(mask), is_causal, scale,
                                                          dropout_p, stream))


def rotary_tables(positions: Tensor, width: int, base: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines [positions shape .., width / 2] of rotary_embedding."""
    cosines, sines = _quarry.rotary_tables(node_of(positions), width, base)
    return Tensor.of(cosines), Tensor.of(sines)


def rotary_embedding(x: Tensor, cosines: Tensor, sines: Tensor, layout: str = "half_split") -> Tensor:
    """x [.., length, width] turned by the tables [length, width / 2]. layout: "half_split" (Hugging Face) or "interleaved" (Meta)."""
    return Tensor.of(_quarry.rotary_embedding(node_of(x), node_of(cosines), node_of(sines), layout))


def sinusoidal_positions(length: int, width: int, base: float = 10000.0, dtype: DTypeLike = "f32") -> Tensor:
    """[length, width]"""
    return Tensor.of(_quarry.sinusoidal_positions(length, width, base, dtype_name(dtype)))


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Elements become 0 with probability p, the others are scaled by 1 / (1 - p); each call, and each step of a job, in its own way."""
    if not training or p == 0:
        return x
    return Tensor.of(_quarry.dropout(node_of(x), p, context.stream()))


def embedding(ids: Tensor, weight: Tensor) -> Tensor:
    """ids: integers of any shape, weight [n, ..] -> [ids shape, ..]"""
    return Tensor.of(_quarry.embedding(node_of(ids), node_of(weight)))


def one_hot(ids: Tensor, num_classes: int, dtype: DTypeLike = "f32", axis: int = -1) -> Tensor:
    """[..] -> [.., num_classes]"""
    return Tensor.of(_quarry.one_hot(node_of(ids), num_classes, dtype_name(dtype), axis))


# ---- activations and clipping

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
    return first * sigmoid(second)


def clip(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Between two bounds, numbers or tensors; either may be missing."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    if not isinstance(min, (Tensor, np.ndarray)) and not isinstance(max, (Tensor, np.ndarray)):
        return Tensor.of(_quarry.clip(x.node, -math.inf if min is None else float(min), math.inf if max is None else float(max)))
    return Tensor.of(_quarry.clip_tensors(x.node, *(None if bound is None else operand(x, bound) for bound in (min, max))))


clamp = clip


def where(condition: Tensor, x: Operand, y: Operand) -> Tensor:
    """x where the condition is not 0, else y; exact also beside inf and NaN. All three are broadcast."""
    like = x if isinstance(x, Tensor) else y if isinstance(y, Tensor) else Tensor(x)
    return Tensor.of(_quarry.where(node_of(condition), operand(like, x), operand(like, y)))


def masked_fill(x: Tensor, mask: Tensor, value: float) -> Tensor:
    """x where mask is 0, else value."""
    return Tensor.of(_quarry.masked_fill(node_of(x), node_of(mask), value))


# ---- reduces: axis None is all of them

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


# ---- joining, splitting, repeating

def cat(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    return Tensor.of(_quarry.cat(_nodes(tensors), axis))


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Joins equal shapes along a new axis."""
    return Tensor.of(_quarry.stack(_nodes(tensors), axis))


def split(x: Tensor, size: Sizes, axis: int = 0) -> list[Tensor]:
    """Parts of `size`, the last one smaller where it does not divide the axis; or parts of the given sizes."""
    if isinstance(size, (int, np.integer)):
        return [Tensor.of(node) for node in _quarry.split(node_of(x), int(size), axis)]
    return [Tensor.of(node) for node in _quarry.split_sizes(node_of(x), _shape(size), axis)]


def chunk(x: Tensor, chunks: int, axis: int = 0) -> list[Tensor]:
    return [Tensor.of(node) for node in _quarry.chunk(node_of(x), chunks, axis)]


def flip(x: Tensor, axis: Axis = None) -> Tensor:
    return Tensor.of(_quarry.flip(node_of(x), axes_of(axis)))


def roll(x: Tensor, shifts: Sizes, axis: Axis = None) -> Tensor:
    """Without an axis the flattened tensor is rolled, as in NumPy."""
    x = Tensor.of(node_of(x))
    if axis is None:
        return Tensor.of(_quarry.roll(x.reshape(-1).node, _shape(shifts), [0])).reshape(x.shape)
    return Tensor.of(_quarry.roll(x.node, _shape(shifts), axes_of(axis)))


def tile(x: Tensor, repeats: Sizes) -> Tensor:
    return Tensor.of(_quarry.tile(node_of(x), _shape(repeats)))


def repeat_interleave(x: Tensor, repeats: int, axis: int = 0) -> Tensor:
    return Tensor.of(_quarry.repeat_interleave(node_of(x), repeats, axis))


def moveaxis(x: Tensor, source: Sizes, destination: Sizes) -> Tensor:
    return Tensor.of(_quarry.moveaxis(node_of(x), _shape(source), _shape(destination)))


def unflatten(x: Tensor, axis: int, sizes: Sequence[int]) -> Tensor:
    return Tensor.of(_quarry.unflatten(node_of(x), axis, _shape(sizes)))


def narrow(x: Tensor, axis: int, start: int, length: int) -> Tensor:
    return Tensor.of(_quarry.narrow(node_of(x), axis, start, length))


def select(x: Tensor, axis: int, index: int) -> Tensor:
    return Tensor.of(_quarry.select(node_of(x), axis, index))


def pad(x: Tensor, amounts: Sequence[Any], mode: str = "constant", value: float = 0.0) -> Tensor:
    """amounts: (before, after) of each axis; or, as in PyTorch, a flat list of them that begins with the last axis."""
    x = Tensor.of(node_of(x))
    amounts = list(amounts)
    if amounts and isinstance(amounts[0], (int, np.integer)):
        flat = sizes_of([amounts], "padding")
        if len(flat) % 2 or len(flat) > 2 * x.ndim:
            raise TensorError(f"pad: {flat} are not pairs for the last axes of {x.dtype}{list(x.shape)}")
        pairs = list(zip(flat[::2], flat[1::2]))
        amounts = [(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1]
    return x.pad(amounts, mode, value)


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    return Tensor.of(_quarry.tril(node_of(x), diagonal))


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    return Tensor.of(_quarry.triu(node_of(x), diagonal))


def causal_mask(rows: int, columns: int | None = None, diagonal: int = 0) -> Tensor:
    """bool [rows, columns]: true where column - row <= diagonal."""
    return Tensor.of(_quarry.lower_triangle(rows, rows if columns is None else columns, diagonal))


def diag(x: Tensor, offset: int = 0) -> Tensor:
    """[n] -> [n, n] with x on the diagonal."""
    return Tensor.of(_quarry.diag(node_of(x), offset))


def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return Tensor.of(_quarry.diagonal(node_of(x), offset, axis1, axis2))


def meshgrid(*tensors: Tensor, indexing: str = "ij") -> list[Tensor]:
    if indexing not in ("ij", "xy"):
        raise TensorError(f'meshgrid: indexing is "ij" or "xy", not {indexing!r}')
    return [Tensor.of(node) for node in _quarry.meshgrid(_nodes(tensors), indexing == "xy")]


def unfold(x: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Padding = 0, stride: Sizes = 1) -> Tensor:
    """[n, c, h, w] -> [n, c * kh * kw, windows]"""
    return Tensor.of(_quarry.unfold(node_of(x), _each(kernel_size, 2, "kernel_size"), _each(dilation, 2, "dilation"), _pads(padding, 2),
                                    _each(stride, 2, "stride")))


def fold(x: Tensor, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Padding = 0, stride: Sizes = 1) -> Tensor:
    """[n, c * kh * kw, windows] -> [n, c, *output_size]; overlaps are summed."""
    return Tensor.of(_quarry.fold(node_of(x), _each(output_size, 2, "output_size"), _each(kernel_size, 2, "kernel_size"),
                                  _each(dilation, 2, "dilation"), _pads(padding, 2), _each(stride, 2, "stride")))


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """[n, c * b * b, h, w] -> [n, c, h * b, w * b]"""
    return Tensor.of(_quarry.depth_to_space(node_of(x), upscale_factor, "CRD"))


def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """[n, c, h * b, w * b] -> [n, c * b * b, h, w]"""
    return Tensor.of(_quarry.space_to_depth(node_of(x), downscale_factor, "CRD"))


# ---- reading and writing at computed positions; an index outside reads 0 and writes nothing

def take(x: Tensor, index: Tensor, axis: int = 0) -> Tensor:
    """[.., n, ..] -> [.., index shape, ..]; negative indices count from the end."""
    return Tensor.of(_quarry.take(node_of(x), node_of(index), axis, "wrap"))


index_select = take


def gather(x: Tensor, axis: int, index: Tensor) -> Tensor:
    """PyTorch's: x[.., index, ..] with the other coordinates the element's own."""
    return Tensor.of(_quarry.gather_along_axis(node_of(x), axis, node_of(index), "outside"))


def take_along_axis(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """NumPy's: as gather, negative indices count from the end."""
    return Tensor.of(_quarry.gather_along_axis(node_of(x), axis, node_of(index), "wrap"))


def gather_nd(x: Tensor, index: Tensor, batch_dims: int = 0) -> Tensor:
    """The last axis of index holds positions on as many axes of x."""
    return Tensor.of(_quarry.gather_nd(node_of(x), node_of(index), batch_dims, "wrap"))


def scatter(x: Tensor, axis: int, index: Tensor, source: Tensor, reduce: str = "set") -> Tensor:
    """A copy of x where x[.., index, ..] is combined with source. reduce: set, add, multiply, max or min."""
    return Tensor.of(_quarry.scatter(node_of(x), axis, node_of(index), node_of(source), reduce, "outside"))


def scatter_add(x: Tensor, axis: int, index: Tensor, source: Tensor) -> Tensor:
    return scatter(x, axis, index, source, "add")


def scatter_nd(x: Tensor, index: Tensor, updates: Tensor, reduce: str = "set") -> Tensor:
    """A copy of x with updates at the positions in the last axis of index."""
    return Tensor.of(_quarry.scatter_nd(node_of(x), node_of(index), node_of(updates), reduce, "wrap"))


def row_update(old: Tensor, axis: int, index: Tensor, row: Tensor) -> Tensor:
    """old with one row of an axis replaced: in place where a job carries the result back into `old`, as a key-value cache."""
    return Tensor.of(_quarry.row_update(node_of(old), axis, node_of(index), node_of(row)))


def slice_put(x: Tensor, slices: Sequence[slice], value: Operand) -> Tensor:
    """A copy of x with x[slices] replaced by value."""
    x = Tensor.of(node_of(x))
    parts = [(part.start, part.stop, 1 if part.step is None else part.step) for part in slices]
    return Tensor.of(_quarry.slice_put(x.node, parts, operand(x, value)))


def cumsum(x: Tensor, axis: int, exclusive: bool = False, reverse: bool = False) -> Tensor:
    return Tensor.of(_quarry.cumsum(node_of(x), axis, exclusive, reverse))


def cumprod(x: Tensor, axis: int, exclusive: bool = False, reverse: bool = False) -> Tensor:
    return Tensor.of(_quarry.cumprod(node_of(x), axis, exclusive, reverse))


def sort(x: Tensor, axis: int = -1, descending: bool = False) -> tuple[Tensor, Tensor]:
    """Values and i32 positions; stable."""
    values, indices = _quarry.sort(node_of(x), axis, descending)
    return Tensor.of(values), Tensor.of(indices)


def argsort(x: Tensor, axis: int = -1, descending: bool = False) -> Tensor:
    return Tensor.of(_quarry.argsort(node_of(x), axis, descending))


def topk(x: Tensor, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The k greatest (or smallest), best first: values and i32 positions."""
    values, indices = _quarry.topk(node_of(x), k, axis, largest)
    return Tensor.of(values), Tensor.of(indices)


# ---- resampling

def interpolate(x: Tensor, size: Sizes | None = None, scale_factor: Any = None, mode: str = "nearest",
                align_corners: bool = False) -> Tensor:
    """x [n, c, L1, .., Ld] to `size`, or by scale_factor. mode: nearest, nearest-exact, linear, bilinear, trilinear or bicubic."""
    x = Tensor.of(node_of(x))
    axes = x.ndim - 2
    if (size is None) == (scale_factor is None):
        raise TensorError("interpolate needs one of size and scale_factor")
    scales: list[float] = []
    if size is None:
        scales = [float(scale_factor)] * axes if np.isscalar(scale_factor) else [float(scale) for scale in scale_factor]
        if len(scales) != axes or not np.isfinite(scales).all() or not np.greater(scales, 0).all():
            raise TensorError(f"interpolate: scale_factor {scale_factor!r} is not for the {axes} spatial axes of {x.dtype}{list(x.shape)}")
        size = [int(math.floor(length * scale)) for length, scale in zip(x.shape[2:], scales)]
    return Tensor.of(_quarry.interpolate(x.node, _each(size, axes, "size"), mode, align_corners, scales))


def grid_sample(x: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False) -> Tensor:
    """x [n, c, h, w], grid [n, ho, wo, 2] of (x, y) in [-1, 1] -> [n, c, ho, wo]"""
    return Tensor.of(_quarry.grid_sample(node_of(x), node_of(grid), mode, padding_mode, align_corners))


# ---- numbers

def nan_to_num(x: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    return Tensor.of(_quarry.nan_to_num(node_of(x), nan, posinf, neginf))


def lerp(x: Tensor, y: Tensor, weight: Operand) -> Tensor:
    """x + weight * (y - x)"""
    x = Tensor.of(node_of(x))
    return Tensor.of(_quarry.lerp(x.node, node_of(y), operand(x, weight)))


_UNARY = {
    "abs": "|x|", "sign": "-1, 0 or 1", "square": "x^2", "sqrt": "NaN below 0", "rsqrt": "1 / sqrt(x)", "reciprocal": "1 / x",
    "exp": "", "exp2": "2^x", "expm1": "exp(x) - 1, exact near 0", "log": "", "log2": "", "log10": "", "log1p": "log(1 + x), exact near 0",
    "sin": "", "cos": "", "tan": "", "asin": "", "acos": "", "atan": "", "sinh": "", "cosh": "", "tanh": "", "asinh": "", "acosh": "",
    "atanh": "", "erf": "", "floor": "", "ceil": "", "trunc": "", "round": "halves to even", "isnan": "bool", "isinf": "bool",
    "isfinite": "bool", "relu": "max(x, 0)", "relu6": "min(max(x, 0), 6)", "sigmoid": "1 / (1 + exp(-x))", "logsigmoid": "", "silu":
    "x * sigmoid(x)", "mish": "", "softsign": "x / (1 + |x|)", "hardswish": "", "neg": "-x", "logical_not": "bool",
}
_BINARY = {
    "maximum": "NaN wins", "minimum": "NaN wins", "pow": "x^y", "atan2": "", "fmod": "the remainder with the sign of x", "remainder":
    "the remainder with the sign of y, as Python's %", "floor_divide": "Python's //", "logical_and": "", "logical_or": "", "logical_xor": "",
}


def _define_elementwise() -> None:
    """The functions of one element and of pairs, one a line of the tables above."""
    def unary(name: str):
        native = getattr(_quarry, name)

        def function(x: Tensor) -> Tensor:
            return Tensor.of(native(x.node if isinstance(x, Tensor) else node_of(x)))
        return function

    def binary(name: str):
        def function(x: Operand, y: Operand) -> Tensor:
            return _of_pair(name, x, y)
        return function

    for make, table, what in ((unary, _UNARY, "Of each element"), (binary, _BINARY, "Of each pair of elements, broadcast")):
        for name, meaning in table.items():
            function = make(name)
            function.__name__ = function.__qualname__ = name
            function.__doc__ = what + (f": {meaning}." if meaning else ".")
            globals()[name] = function


_define_elementwise()

# What a tensor has as methods too: x.softmax(1) is softmax(x, 1).
METHODS = (
    *(name for name in _UNARY if name not in ("neg",)), "maximum", "minimum", "pow", "matmul", "where", "clip", "clamp", "sum", "mean",
    "max", "min", "prod", "any", "all", "var", "std", "norm", "logsumexp", "argmax", "argmin", "softmax", "log_softmax", "cumsum", "cumprod",
    "sort", "argsort", "topk", "gelu", "leaky_relu", "elu", "softplus", "masked_fill", "take", "gather", "scatter", "split", "chunk", "roll",
    "tile", "repeat_interleave", "unflatten", "narrow", "select", "tril", "triu", "one_hot", "dropout", "diagonal", "moveaxis")
for _name in METHODS:
    setattr(Tensor, _name, globals()[_name])
