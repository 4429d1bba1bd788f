"""Fourier transforms, as products with tables of cosines and sines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import numpy as np

from ...tensor import Tensor
from .. import engine as F
from .. import primitives, shapes
from ..registry import operator

if TYPE_CHECKING:
    from ..importer import Node

TABLE_ELEMENTS = 1 << 24


def transformed(node: "Node", x: Tensor, length: int, inverse: bool, one_sided: bool) -> Tensor:
    """x [.., n, 1 or 2] (real, or real and imaginary) -> [.., length or length // 2 + 1, 2], over the last but one
    axis."""
    node.require(x.shape[-1] in (1, 2), f"a last axis of {x.shape[-1]}: it is 1 for real and 2 for complex numbers")
    node.require(length > 0, f"a length of {length}")
    bins = length // 2 + 1 if one_sided else length
    points = min(length, x.shape[-2])  # what is beyond is cut off, what is missing is 0
    if bins * points > TABLE_ELEMENTS:
        node.refuse(f"a transform of {length} points: its table would have more than {TABLE_ELEMENTS} entries")
    turns = (np.outer(np.arange(points), np.arange(bins)) % length) * (2 * np.pi / length)
    factor = 1 / length if inverse else 1.0
    cosine = primitives.from_array(np.cos(turns) * factor, x.dtype)
    sine = primitives.from_array(np.sin(turns) * (factor if inverse else -factor), x.dtype)
    x = F.narrow(x, len(x.shape) - 2, 0, points)
    real = primitives.at(x, len(x.shape) - 1, 0)
    parts = [F.matmul(real, cosine), F.matmul(real, sine)]
    if x.shape[-1] == 2:
        imaginary = primitives.at(x, len(x.shape) - 1, 1)
        parts = [parts[0] - F.matmul(imaginary, sine), parts[1] + F.matmul(imaginary, cosine)]
    return F.stack(parts, -1)


@operator("DFT", known=(1,), refuses="tables of more than 2^24 entries")
def dft(node: "Node", x: Tensor, length: Optional[np.ndarray] = None) -> Tensor:
    rank = len(x.shape)
    axis = shapes.normal_axis(node.attribute("axis", 1), rank)
    node.require(rank >= 2 and axis != rank - 1, f"axis {axis} of a value of rank {rank}")
    inverse, one_sided = bool(node.attribute("inverse", 0)), bool(node.attribute("onesided", 0))
    node.require(not (inverse and one_sided), "a transform cannot be inverse and one-sided")
    order = [place for place in range(rank - 1) if place != axis] + [axis, rank - 1]
    count = x.shape[axis] if length is None else int(length.item())
    result = transformed(node, x.permute(order), count, inverse, one_sided)
    return result.permute([int(place) for place in np.argsort(order)])


@operator("STFT", known=(1, 3), refuses="tables of more than 2^24 entries")
def stft(node: "Node", signal: Tensor, step: np.ndarray, window: Optional[Tensor] = None,
         frame_length: Optional[np.ndarray] = None) -> Tensor:
    node.require(window is not None or frame_length is not None, "it needs a window or a frame_length")
    width = int(frame_length.item()) if frame_length is not None else window.shape[0]
    hop = int(step.item())
    node.require(hop > 0 and 0 < width <= signal.shape[1],
                 f"frames of {width}, {hop} apart, of {signal.shape[1]} samples")
    if len(signal.shape) == 2:
        signal = signal.reshape(tuple(signal.shape) + (1,))
    batch, _, parts = signal.shape
    frames = F.windows(signal.permute((0, 2, 1)), [width], [hop], [])  # [batch, parts, frames, width]
    if window is not None:
        node.require(tuple(window.shape) == (width,), f"a window of {list(window.shape)} for frames of {width}")
        frames = frames * window
    return transformed(node, frames.permute((0, 2, 3, 1)), width, False, bool(node.attribute("onesided", 1)))
