"""Resize and Upsample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from ...tensor import Tensor
from .. import engine as F
from ..registry import operator
from ..values import FLOATS

if TYPE_CHECKING:
    from ..importer import Node

MODES = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def resized(node: "Node", x: Tensor, scales: list[float], sizes: list[int], coordinates: str, rounding: str,
            region: Optional[np.ndarray] = None) -> Tensor:
    """The axes that change, resampled one after the other; an axis of scale 1 under which nothing moves is left out."""
    mode = node.attribute("mode", "nearest")
    node.require(mode in MODES, f"unknown mode {mode!r}")
    if coordinates == "tf_half_pixel_for_nn":
        node.refuse("the coordinates tf_half_pixel_for_nn, which were taken out of ONNX again")
    if mode != "nearest" and x.dtype not in FLOATS:
        node.refuse(f"interpolation of {x.dtype}, whose rounding ONNX leaves open")
    node.require(coordinates in COORDINATES, f"unknown coordinate_transformation_mode {coordinates!r}")
    node.require(rounding in ROUNDINGS, f"unknown nearest_mode {rounding!r}")
    rank = len(x.shape)
    node.require(len(scales) == rank and len(sizes) == rank,
                 f"{len(scales)} scales or sizes for a value of rank {rank}")
    node.require(all(scale > 0 for scale in scales), f"scales {scales}")
    options = (node.attribute("cubic_coeff_a", -0.75), bool(node.attribute("exclude_outside", 0)))
    reach = [reached(length, scale, size) for length, scale, size in zip(x.shape, scales, sizes)]
    start: list[float] = []
    end: list[float] = []
    if coordinates == "tf_crop_and_resize":
        node.require(region is not None and region.size == 2 * rank, "tf_crop_and_resize needs a region of every axis")
        start = numbers(region[:rank])
        end = [first + (last - first) * part for first, last, part in zip(start, numbers(region[rank:]), reach)]
    elif coordinates == "align_corners":
        if any(part != 1 for part in reach):  # those axes are crops that end where the last element lies
            target = [length if part == 1 else size for length, size, part in zip(x.shape, sizes, reach)]
            x = F.resize(x, target, mode, "tf_crop_and_resize", rounding, *options, [], [0.0] * rank, reach, 0.0)
        scales = []
    return F.resize(x, sizes, mode, coordinates, rounding, *options, scales, start, end,
                    node.attribute("extrapolation_value", 0.0))


def reached(length: int, scale: float, size: int) -> float:
    """Where the last element lies, as a part of the way between the corners. Where the scaled length is no whole
    number, ONNX's reference takes the corner from the length before it is rounded down to the size."""
    return (size - 1) / (length * scale - 1) if length * scale > size * (1 + 1e-6) else 1.0


def scaled_sizes(x: Tensor, scales: Any) -> list[int]:
    return [int(np.floor(np.float32(size) * np.float32(scale))) for size, scale in zip(x.shape, scales)]


def numbers(values: Any) -> list[float]:
    return [float(value) for value in values]


@operator("Upsample", since=7, until=7)
def upsample_by_attribute(node: "Node", x: Tensor) -> Tensor:
    scales = node.attribute("scales", [])
    return resized(node, x, scales, scaled_sizes(x, scales), "asymmetric", "floor")


@operator("Upsample", since=9, known=(1,), refuses="interpolation of integers")
def upsample(node: "Node", x: Tensor, scales: np.ndarray) -> Tensor:
    return resized(node, x, numbers(scales), scaled_sizes(x, scales), "asymmetric", "floor")


@operator("Resize", since=10, until=10, known=(1,), refuses="nearest scales below 1 in version 10")
def resize_by_scales(node: "Node", x: Tensor, scales: np.ndarray) -> Tensor:
    if node.attribute("mode", "nearest") == "nearest" and any(scale < 1 for scale in scales):
        node.refuse("nearest scales below 1 in version 10, which does not say how positions are rounded")
    return resized(node, x, numbers(scales), scaled_sizes(x, scales), "asymmetric", "floor")


@operator("Resize", since=11, known=(1, 2, 3), refuses="tf_half_pixel_for_nn; interpolation of integers")
def resize(node: "Node", x: Tensor, region: Optional[np.ndarray] = None, scales: Optional[np.ndarray] = None,
           sizes: Optional[np.ndarray] = None) -> Tensor:
    if scales is None or scales.size == 0:
        node.require(sizes is not None and len(sizes) == len(x.shape), "it needs scales or sizes")
        target = [int(size) for size in sizes]
        factors = [size / max(before, 1) for size, before in zip(target, x.shape)]
    else:
        factors, target = numbers(scales), scaled_sizes(x, scales)
    return resized(node, x, factors, target, node.attribute("coordinate_transformation_mode", "half_pixel"),
                   node.attribute("nearest_mode", "round_prefer_floor"), region)
