"""Functions of tensors, under PyTorch's names and in its order of arguments. Shapes in the docstrings use `..` for axes
that pass through.

Arguments may be Tensors, arrays or numbers. f16 and bf16 norms, softmax, losses and attention scores compute inside in
f32.
"""

from __future__ import annotations

from ..tensor import Tensor
from . import elementwise as _elementwise
from .convolution import (
    adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool1d, avg_pool2d, avg_pool3d, conv1d, conv2d, conv3d,
    conv_transpose1d, conv_transpose2d, conv_transpose3d, global_avg_pool, global_max_pool, grid_sample,
    interpolate, lp_pool2d, max_pool1d, max_pool2d, max_pool3d, max_unpool2d)
from .elementwise import (
    celu, clip, elu, gelu, glu, hardsigmoid, hardtanh, leaky_relu, lerp, masked_fill, nan_to_num, prelu, selu,
    softplus, threshold, where, clamp)
from .network import (
    batch_norm, binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, dropout, einsum,
    embedding, group_norm, huber_loss, instance_norm, kl_div, l1_loss, layer_norm, linear, local_response_norm,
    matmul, mse_loss, nll_loss, normalize, one_hot, rms_norm, rotary_embedding, rotary_tables,
    scaled_dot_product_attention, sinusoidal_positions, smooth_l1_loss, tensordot)
from .reduce import (
    all, any, argmax, argmin, log_softmax, logsumexp, max, mean, min, norm, prod, softmax, std, sum, var)
from .shape import (
    argsort, cat, causal_mask, chunk, cumprod, cumsum, diag, diagonal, flip, fold, gather, gather_nd, meshgrid,
    moveaxis, narrow, pad, pixel_shuffle, pixel_unshuffle, repeat_interleave, roll, row_update, scatter,
    scatter_add, scatter_nd, select, slice_put, sort, split, stack, take, take_along_axis, tile, topk, tril,
    triu, unflatten, unfold, index_select)

globals().update(_elementwise.FUNCTIONS)

# What a tensor has as methods too: x.softmax(1) is softmax(x, 1).
METHODS = (
    *(name for name in _elementwise.UNARY if name != "neg"), "maximum", "minimum", "pow", "matmul", "where", "clip",
    "clamp", "sum", "mean", "max", "min", "prod", "any", "all", "var", "std", "norm", "logsumexp", "argmax", "argmin",
    "softmax", "log_softmax", "cumsum", "cumprod", "sort", "argsort", "topk", "gelu", "leaky_relu", "elu", "softplus",
    "masked_fill", "take", "gather", "scatter", "split", "chunk", "roll", "tile", "repeat_interleave", "unflatten",
    "narrow", "select", "tril", "triu", "one_hot", "dropout", "diagonal", "moveaxis")
for _name in METHODS:
    setattr(Tensor, _name, globals()[_name])
