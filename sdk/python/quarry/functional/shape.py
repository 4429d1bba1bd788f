"""Joining, splitting, repeating; reading and writing at computed positions; order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import _quarry
from _quarry import TensorError

from ..tensor import Axis, Operand, Tensor, axes_of, node_of, operand, sizes_of
from .arguments import Padding, Sizes, each_axis, nodes_of, pads_of, shape_of


# ---- joining, splitting, repeating

def cat(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    return Tensor.of(_quarry.cat(nodes_of(tensors), axis))


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Joins equal shapes along a new axis."""
    return Tensor.of(_quarry.stack(nodes_of(tensors), axis))


def split(x: Tensor, size: Sizes, axis: int = 0) -> list[Tensor]:
    """Parts of `size`, the last one smaller where it does not divide the axis; or parts of the given sizes."""
    if isinstance(size, (int, np.integer)):
        return [Tensor.of(node) for node in _quarry.split(node_of(x), int(size), axis)]
    return [Tensor.of(node) for node in _quarry.split_sizes(node_of(x), shape_of(size), axis)]


def chunk(x: Tensor, chunks: int, axis: int = 0) -> list[Tensor]:
    return [Tensor.of(node) for node in _quarry.chunk(node_of(x), chunks, axis)]


def flip(x: Tensor, axis: Axis = None) -> Tensor:
    return Tensor.of(_quarry.flip(node_of(x), axes_of(axis)))


def roll(x: Tensor, shifts: Sizes, axis: Axis = None) -> Tensor:
    """Without an axis the flattened tensor is rolled, as in NumPy."""
    x = Tensor.of(node_of(x))
    if axis is None:
        return Tensor.of(_quarry.roll(x.reshape(-1).node, shape_of(shifts), [0])).reshape(x.shape)
    return Tensor.of(_quarry.roll(x.node, shape_of(shifts), axes_of(axis)))


def tile(x: Tensor, repeats: Sizes) -> Tensor:
    return Tensor.of(_quarry.tile(node_of(x), shape_of(repeats)))


def repeat_interleave(x: Tensor, repeats: int, axis: int = 0) -> Tensor:
    return Tensor.of(_quarry.repeat_interleave(node_of(x), repeats, axis))


def moveaxis(x: Tensor, source: Sizes, destination: Sizes) -> Tensor:
    return Tensor.of(_quarry.moveaxis(node_of(x), shape_of(source), shape_of(destination)))


def unflatten(x: Tensor, axis: int, sizes: Sequence[int]) -> Tensor:
    return Tensor.of(_quarry.unflatten(node_of(x), axis, shape_of(sizes)))


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
    return [Tensor.of(node) for node in _quarry.meshgrid(nodes_of(tensors), indexing == "xy")]


def unfold(x: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Padding = 0, stride: Sizes = 1) -> Tensor:
    """[n, c, h, w] -> [n, c * kh * kw, windows]"""
    return Tensor.of(_quarry.unfold(node_of(x), each_axis(kernel_size, 2, "kernel_size"), each_axis(dilation, 2, "dilation"),
                                    pads_of(padding, 2),
                                    each_axis(stride, 2, "stride")))


def fold(x: Tensor, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Padding = 0,
         stride: Sizes = 1) -> Tensor:
    """[n, c * kh * kw, windows] -> [n, c, *output_size]; overlaps are summed."""
    return Tensor.of(_quarry.fold(node_of(x), each_axis(output_size, 2, "output_size"),
                                  each_axis(kernel_size, 2, "kernel_size"),
                                  each_axis(dilation, 2, "dilation"), pads_of(padding, 2), each_axis(stride, 2, "stride")))


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
    """old with one row of an axis replaced: in place where a job carries the result back into `old`, as a key-value
    cache."""
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
