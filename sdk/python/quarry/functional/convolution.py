"""Convolutions, pooling and resampling over spatial axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import _quarry
from _quarry import TensorError

from ..tensor import Tensor, node_of, sizes_of
from .arguments import Padding, Sizes, each_axis, maybe_node, need_axes, pads_of


# ---- convolutions

def _conv(axes: int, x: Any, weight: Any, bias: Any, stride: Sizes, padding: Padding, dilation: Sizes,
          groups: int) -> Tensor:
    x, weight = Tensor.of(node_of(x)), Tensor.of(node_of(weight))
    need_axes(x, weight, axes, f"conv{axes}d")
    strides, dilations = each_axis(stride, axes, "stride"), each_axis(dilation, axes, "dilation")
    if padding == "valid":
        padding = 0
    if isinstance(padding, str):
        if padding != "same":
            raise TensorError(f'padding is numbers, "same" or "valid", not {padding!r}')
        pads = _quarry.same_padding(list(x.shape[-axes:]), list(weight.shape[-axes:]), strides, dilations, False)
    else:
        pads = pads_of(padding, axes)
    batched = x if x.ndim == axes + 2 else x.unsqueeze(0)
    result = Tensor.of(_quarry.conv(batched.node, weight.node, maybe_node(bias), strides, pads, dilations, groups))
    return result if x.ndim == axes + 2 else result.squeeze(0)


def conv1d(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Padding = 0,
           dilation: Sizes = 1, groups: int = 1) -> Tensor:
    """x [n, c, l], weight [out, c / groups, k], bias [out] -> [n, out, l']"""
    return _conv(1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Padding = 0,
           dilation: Sizes = 1, groups: int = 1) -> Tensor:
    """x [n, c, h, w], weight [out, c / groups, kh, kw], bias [out] -> [n, out, h', w']. padding: a number, one an axis,
    (before, after) of each, "same" or "valid"."""
    return _conv(2, x, weight, bias, stride, padding, dilation, groups)


def conv3d(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Padding = 0,
           dilation: Sizes = 1, groups: int = 1) -> Tensor:
    """x [n, c, d, h, w], weight [out, c / groups, kd, kh, kw], bias [out] -> [n, out, d', h', w']"""
    return _conv(3, x, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(axes: int, x: Any, weight: Any, bias: Any, stride: Sizes, padding: Padding, output_padding: Sizes,
                    groups: int, dilation: Sizes) -> Tensor:
    x, weight = Tensor.of(node_of(x)), Tensor.of(node_of(weight))
    need_axes(x, weight, axes, f"conv_transpose{axes}d")
    batched = x if x.ndim == axes + 2 else x.unsqueeze(0)
    result = Tensor.of(_quarry.conv_transpose(
        batched.node, weight.node, maybe_node(bias), each_axis(stride, axes, "stride"), pads_of(padding, axes),
        each_axis(dilation, axes, "dilation"), groups, each_axis(output_padding, axes, "output_padding")))
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

def _max_pool(axes: int, x: Any, kernel: Sizes, stride: Sizes | None, padding: Padding, dilation: Sizes,
              ceil_mode: bool, return_indices: bool) -> Any:
    arguments = (node_of(x), each_axis(kernel, axes, "kernel_size"), each_axis(stride, axes, "stride"), pads_of(padding, axes),
                 each_axis(dilation, axes, "dilation"), ceil_mode)
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
    """The inverse of max_pool2d with return_indices: values [n, c, h', w'] at their places in [n, c, *output_size], 0
    elsewhere."""
    return Tensor.of(_quarry.max_unpool(node_of(x), node_of(indices), sizes_of([output_size])))


def _avg_pool(axes: int, x: Any, kernel: Sizes, stride: Sizes | None, padding: Padding, ceil_mode: bool,
              with_pad: bool) -> Tensor:
    return Tensor.of(_quarry.avg_pool(node_of(x), each_axis(kernel, axes, "kernel_size"), each_axis(stride, axes, "stride"),
                                      pads_of(padding, axes), [], ceil_mode, with_pad))


def avg_pool1d(x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0,
               ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor:
    """x [.., l] -> [.., l']"""
    return _avg_pool(1, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0,
               ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor:
    """x [.., h, w] -> [.., h', w']"""
    return _avg_pool(2, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool3d(x: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0,
               ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor:
    """x [.., d, h, w] -> [.., d', h', w']"""
    return _avg_pool(3, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def lp_pool2d(x: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None,
              ceil_mode: bool = False) -> Tensor:
    """x [.., h, w] -> [.., h', w'], the norm of each window."""
    return Tensor.of(_quarry.lp_pool(node_of(x), norm_type, each_axis(kernel_size, 2, "kernel_size"),
                                     each_axis(stride, 2, "stride"), [], [],
                                     ceil_mode))


def adaptive_avg_pool2d(x: Tensor, output_size: Any) -> Tensor:
    """x [n, c, h, w] -> [n, c, *output_size]; None keeps a size."""
    return Tensor.of(_quarry.adaptive_avg_pool(node_of(x), _adaptive(output_size)))


def adaptive_max_pool2d(x: Tensor, output_size: Any) -> Tensor:
    """x [n, c, h, w] -> [n, c, *output_size]; None keeps a size."""
    return Tensor.of(_quarry.adaptive_max_pool(node_of(x), _adaptive(output_size)))


def _adaptive(output_size: Any) -> list[int]:
    entries = [output_size] * 2 if output_size is None or isinstance(output_size, int) else output_size
    return each_axis([-1 if entry is None else entry for entry in entries], 2, "output_size")


def global_avg_pool(x: Tensor) -> Tensor:
    """x [n, c, ..] -> [n, c, 1, .., 1]"""
    return Tensor.of(_quarry.global_avg_pool(node_of(x)))


def global_max_pool(x: Tensor) -> Tensor:
    """x [n, c, ..] -> [n, c, 1, .., 1]"""
    return Tensor.of(_quarry.global_max_pool(node_of(x)))


# ---- resampling

def interpolate(x: Tensor, size: Sizes | None = None, scale_factor: Any = None, mode: str = "nearest",
                align_corners: bool = False) -> Tensor:
    """x [n, c, L1, .., Ld] to `size`, or by scale_factor. mode: nearest, nearest-exact, linear, bilinear, trilinear or
    bicubic."""
    x = Tensor.of(node_of(x))
    axes = x.ndim - 2
    if (size is None) == (scale_factor is None):
        raise TensorError("interpolate needs one of size and scale_factor")
    scales: list[float] = []
    if size is None:
        scales = [float(scale_factor)] * axes if np.isscalar(scale_factor) else [float(scale) for scale in scale_factor]
        if len(scales) != axes or not np.isfinite(scales).all() or not np.greater(scales, 0).all():
            raise TensorError(f"interpolate: scale_factor {scale_factor!r} is not for the {axes} spatial axes "
                              f"of {x.dtype}{list(x.shape)}")
        size = [int(math.floor(length * scale)) for length, scale in zip(x.shape[2:], scales)]
    return Tensor.of(_quarry.interpolate(x.node, each_axis(size, axes, "size"), mode, align_corners, scales))


def grid_sample(x: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros",
                align_corners: bool = False) -> Tensor:
    """x [n, c, h, w], grid [n, ho, wo, 2] of (x, y) in [-1, 1] -> [n, c, ho, wo]"""
    return Tensor.of(_quarry.grid_sample(node_of(x), node_of(grid), mode, padding_mode, align_corners))
