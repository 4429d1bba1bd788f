"""Layers. A Module's tensors are found through its attributes: tensors, modules, and lists, tuples and dicts of them.

Weights start as PyTorch's do. Names in state_dict() are PyTorch's too, so its safetensors files load.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from _quarry import TensorError

from . import functional as F
from . import initial, state
from .dtypes import DTypeLike, dtype_name
from .tensor import Tensor

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "Dropout",
           "Embedding", "GELU",
           "GroupNorm", "Identity", "LayerNorm", "Linear", "Module", "MultiheadAttention", "RMSNorm", "ReLU",
           "Sequential", "SiLU", "state"]


class Module:
    """A part of a model. Subclasses put tensors and modules into attributes and define forward(); calling one calls
    that."""

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def children(self) -> Iterator[tuple[str, Module]]:
        for name, value in vars(self).items():
            for path, part in _parts(name, value):
                if isinstance(part, Module):
                    yield path, part

    def modules(self) -> Iterator[Module]:
        yield self
        for _, child in self.children():
            yield from child.modules()

    def named_tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Weights and running statistics, with their paths: "layers.0.weight"."""
        for name, value in vars(self).items():
            for path, part in _parts(prefix + name, value):
                if isinstance(part, Tensor):
                    yield path, part
                else:
                    yield from part.named_tensors(path + ".")

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        for name, tensor in self.named_tensors():
            if tensor.requires_grad and id(tensor) not in seen:
                seen.add(id(tensor))
                yield name, tensor

    def parameters(self) -> list[Tensor]:
        """The tensors that require a gradient, each once."""
        return [tensor for _, tensor in self.named_parameters()]

    def state_dict(self) -> dict[str, Tensor]:
        """{path: Tensor} of weights and running statistics."""
        return dict(self.named_tensors())

    def load_state_dict(self, values: Mapping[str, Any], strict: bool = True) -> None:
        """Assigns arrays or tensors by their paths; dtypes are converted. strict: no path may be missing or left
        over, except how many batches a batch norm of PyTorch's saw."""
        own = self.state_dict()
        missing = [name for name in own if name not in values]
        unknown = [name for name in values if name not in own and not name.endswith(".num_batches_tracked")]
        if strict and (missing or unknown):
            raise TensorError("load_state_dict: " + "; ".join(
                f"{what} {', '.join(names[:5])}{' and more' if len(names) > 5 else ''}"
                for what, names in (("missing", missing), ("not in the model:", unknown)) if names))
        wrong = [f"{name} is {list(own[name].shape)}, given {list(np.shape(values[name]))}"
                 for name in own if name in values and tuple(np.shape(values[name])) != own[name].shape]
        if wrong:
            raise TensorError("load_state_dict: " + "; ".join(wrong[:5]))
        for name, tensor in own.items():
            if name in values:
                value = values[name]
                tensor.assign(value.cast(tensor.dtype) if isinstance(value, Tensor) else Tensor(value, tensor.dtype))

    def train(self, mode: bool = True) -> Any:
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Any:
        return self.train(False)

    def cast(self, dtype: DTypeLike) -> Any:
        """All floating tensors to another float dtype."""
        name = dtype_name(dtype)
        for tensor in self.state_dict().values():
            if tensor.dtype in ("f16", "bf16", "f32", "f64") and tensor.dtype != name:
                tensor.become(tensor.cast(name))
        return self

    def __repr__(self) -> str:
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.children()]
        return f"{type(self).__name__}({self.extra_repr()}" + ("\n" + "\n".join(lines) + "\n)" if lines else ")")

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={tensor.dtype}{list(tensor.shape)}" for name,
                         tensor in vars(self).items() if isinstance(tensor, Tensor))


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (Tensor, Module)):
        yield path, value
    elif isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            yield from _parts(f"{path}.{number}", part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _parts(f"{path}.{key}", part)


def _entries(sizes: Any, count: int) -> tuple[int, ...]:
    return (sizes,) * count if isinstance(sizes, int) else tuple(sizes)


class Sequential(Module):
    """Modules or functions, one after the other."""

    def __init__(self, *layers: Callable[[Tensor], Tensor]):
        for number, layer in enumerate(layers):  # PyTorch's paths: "0.weight"
            setattr(self, str(number), layer)
        self._count = len(layers)

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self, str(number)) for number in range(self._count))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Any:
        return list(self)[number]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x


class Linear(Module):
    """x [.., in_features] -> [.., out_features]; weight [out, in], bias [out]"""

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = initial.uniform(bound, out_features, in_features)
        self.bias = initial.uniform(bound, out_features) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class _Conv(Module):
    axes = 2
    function: Callable[..., Tensor]

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 dilation: Any = 1, groups: int = 1, bias: bool = True):
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise TensorError(f"{type(self).__name__}: {groups} groups do not divide {in_channels} and {out_channels} "
                              "channels")
        kernel = _entries(kernel_size, self.axes)
        bound = 1 / math.sqrt(in_channels // groups * math.prod(kernel))
        self.weight = initial.uniform(bound, out_channels, in_channels // groups, *kernel)
        self.bias = initial.uniform(bound, out_channels) if bias else None
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    def forward(self, x: Tensor) -> Tensor:
        return type(self).function(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """x [n, c, l] -> [n, out, l']"""
    axes, function = 1, staticmethod(F.conv1d)


class Conv2d(_Conv):
    """x [n, c, h, w] -> [n, out, h', w']; weight [out, c / groups, kh, kw]"""
    axes, function = 2, staticmethod(F.conv2d)


class Conv3d(_Conv):
    """x [n, c, d, h, w] -> [n, out, d', h', w']"""
    axes, function = 3, staticmethod(F.conv3d)


class ConvTranspose2d(Module):
    """x [n, c, h, w] -> [n, out, h', w']; weight [c, out / groups, kh, kw]"""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1):
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise TensorError(f"ConvTranspose2d: {groups} groups do not divide {in_channels} and {out_channels} "
                              "channels")
        kernel = _entries(kernel_size, 2)
        bound = 1 / math.sqrt(out_channels // groups * math.prod(kernel))
        self.weight = initial.uniform(bound, in_channels, out_channels // groups, *kernel)
        self.bias = initial.uniform(bound, out_channels) if bias else None
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.groups, self.dilation = groups, dilation

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, self.output_padding,
                                  self.groups, self.dilation)


class _BatchNorm(Module):
    """x [n, c, ..]. In training with the statistics of the batch, which the running ones follow; else with those."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True,
                 track_running_stats: bool = True):
        self.weight = Tensor.ones(num_features, requires_grad=True) if affine else None
        self.bias = Tensor.zeros(num_features, requires_grad=True) if affine else None
        self.running_mean = Tensor.zeros(num_features) if track_running_stats else None
        self.running_var = Tensor.ones(num_features) if track_running_stats else None
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Tensor) -> Tensor:
        of_batch = self.training or self.running_mean is None
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, of_batch, self.momentum,
                            self.eps)


class BatchNorm1d(_BatchNorm):
    """x [n, c] or [n, c, l]"""


class BatchNorm2d(_BatchNorm):
    """x [n, c, h, w]"""


class BatchNorm3d(_BatchNorm):
    """x [n, c, d, h, w]"""


class LayerNorm(Module):
    """Over the last axes, whose sizes are normalized_shape."""

    def __init__(self, normalized_shape: Any, eps: float = 1e-5, bias: bool = True):
        self.normalized_shape, self.eps = _entries(normalized_shape, 1), eps
        self.weight = Tensor.ones(*self.normalized_shape, requires_grad=True)
        self.bias = Tensor.zeros(*self.normalized_shape, requires_grad=True) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last axes."""

    def __init__(self, normalized_shape: Any, eps: float = 1e-6):
        self.normalized_shape, self.eps = _entries(normalized_shape, 1), eps
        self.weight = Tensor.ones(*self.normalized_shape, requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """x [n, num_channels, ..] over groups of channels."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5):
        self.num_groups, self.eps = num_groups, eps
        self.weight, self.bias = Tensor.ones(num_channels, requires_grad=True), Tensor.zeros(num_channels,
                                                                                             requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class Embedding(Module):
    """ids of any shape -> [ids shape, embedding_dim]; weight [num_embeddings, embedding_dim]"""

    def __init__(self, num_embeddings: int, embedding_dim: int):
        self.weight = initial.normal(num_embeddings, embedding_dim)

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.weight)


class Dropout(Module):
    """In training, elements become 0 with probability p; fresh in each step."""

    def __init__(self, p: float = 0.5):
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)


class Identity(Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class ReLU(Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class GELU(Module):
    def __init__(self, approximate: str = "none"):
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x, self.approximate)


class SiLU(Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x)


class MultiheadAttention(Module):
    """query [n, q, embed_dim], key and value [n, k, embed_dim] -> [n, q, embed_dim]; as PyTorch's with batch_first."""

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True):
        if num_heads < 1 or embed_dim % num_heads:
            raise TensorError(f"MultiheadAttention: {num_heads} heads do not divide {embed_dim}")
        self.num_heads, self.dropout = num_heads, dropout
        self.in_proj_weight = initial.uniform(math.sqrt(6 / (4 * embed_dim)), 3 * embed_dim, embed_dim)
        self.in_proj_bias = Tensor.zeros(3 * embed_dim, requires_grad=True) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        if bias:
            self.out_proj.bias = Tensor.zeros(embed_dim, requires_grad=True)

    def forward(self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, mask: Tensor | None = None,
                is_causal: bool = False) -> Tensor:
        """key: the query, value: the key when they are not given. mask: bool (true: look) or added to the scores."""
        key = query if key is None else key
        projected = self._projected(query, key, key if value is None else value)
        q, k, v = (x.reshape(*x.shape[:-1], self.num_heads, -1).transpose(-3, -2) for x in projected)
        attended = F.scaled_dot_product_attention(q, k, v, mask, self.dropout if self.training else 0.0, is_causal)
        return self.out_proj(attended.transpose(-3, -2).reshape(query.shape))

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> Sequence[Tensor]:
        if query is key and key is value:
            return F.chunk(F.linear(query, self.in_proj_weight, self.in_proj_bias), 3, -1)
        weights = F.chunk(self.in_proj_weight, 3)
        biases = [None] * 3 if self.in_proj_bias is None else F.chunk(self.in_proj_bias, 3)
        return [F.linear(x, weight, bias) for x, weight, bias in zip((query, key, value), weights, biases)]
