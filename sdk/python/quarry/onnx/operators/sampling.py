"""Reading a picture between its pixels: GridSample and RoiAlign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from ...tensor import Tensor
from .. import engine as F
from .. import primitives
from ..registry import operator
from ..values import FLOATS

if TYPE_CHECKING:
    from ..importer import Node

CUBIC = -0.75


def unnormalised(coordinate: Tensor, size: int, aligned: bool) -> Tensor:
    """From [-1, 1] to positions of an axis."""
    if aligned:
        return (coordinate + 1) * ((size - 1) / 2)
    return ((coordinate + 1) * size - 1) / 2


def reflected(position: Tensor, size: int, aligned: bool) -> Tensor:
    """Mirrored at the borders, as often as it takes."""
    low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
    if high <= low:
        return primitives.zeros_like(position)
    span = high - low
    distance = F.abs(position - low)
    folded = F.fmod(distance, primitives.full_like(distance, 2 * span))
    return F.where(folded > span, 2 * span - folded, folded) + low


def pixels(x: Tensor, rows: Tensor, columns: Tensor, padding: str, aligned: bool) -> Tensor:
    """x [n, c, h, w] at whole positions rows, columns [n, ho, wo] -> [n, c, ho, wo]; outside by the padding mode."""
    n, c, h, w = x.shape
    inside = None
    if padding == "zeros":
        inside = F.logical_and(F.logical_and(rows >= 0, rows <= h - 1), F.logical_and(columns >= 0, columns <= w - 1))
    elif padding == "reflection":
        rows, columns = reflected(rows, h, aligned), reflected(columns, w, aligned)
    rows, columns = F.clip(rows, 0, h - 1), F.clip(columns, 0, w - 1)
    shape = tuple(rows.shape[1:])
    place = (F.round(rows).cast("i32") * w + F.round(columns).cast("i32")).reshape((n, 1, shape[0] * shape[1]))
    place = primitives.broadcast_to(place, (n, c, shape[0] * shape[1]))
    found = F.gather_along_axis(x.reshape((n, c, h * w)), 2, place, "outside").reshape((n, c) + shape)
    if inside is None:
        return found
    inside = primitives.broadcast_to(inside.reshape((n, 1) + shape), (n, c) + shape)
    return F.where(inside, found, primitives.zeros_like(found))


def linear_weights(fraction: Tensor) -> list[Tensor]:
    return [1 - fraction, fraction]


def cubic_weights(fraction: Tensor) -> list[Tensor]:
    """Keys' kernel at the distances 1 + t, t, 1 - t, 2 - t."""
    def near(t: Tensor) -> Tensor:
        return ((CUBIC + 2) * t - (CUBIC + 3)) * t * t + 1

    def far(t: Tensor) -> Tensor:
        return ((CUBIC * t - 5 * CUBIC) * t + 8 * CUBIC) * t - 4 * CUBIC

    return [far(fraction + 1), near(fraction), near(1 - fraction), far(2 - fraction)]


@operator("GridSample", refuses="volumes; integers")
def grid_sample(node: "Node", x: Tensor, grid: Tensor) -> Tensor:
    mode, padding = node.attribute("mode", "bilinear"), node.attribute("padding_mode", "zeros")
    aligned = bool(node.attribute("align_corners", 0))
    node.require(mode in ("bilinear", "nearest", "bicubic"), f"unknown mode {mode!r}")
    node.require(padding in ("zeros", "border", "reflection"), f"unknown padding_mode {padding!r}")
    if len(x.shape) != 4 or x.dtype not in FLOATS:
        node.refuse(f"volumes, and elements of {x.dtype}")
    dtype = x.dtype
    if dtype in ("f16", "bf16"):  # whose positions would be too coarse
        x = x.cast("f32")
    grid = grid.cast(x.dtype)
    columns = unnormalised(primitives.at(grid, 3, 0), x.shape[3], aligned)
    rows = unnormalised(primitives.at(grid, 3, 1), x.shape[2], aligned)
    if mode == "nearest":
        return pixels(x, F.round(rows), F.round(columns), padding, aligned).cast(dtype)
    if mode == "bilinear" and padding != "zeros":  # cubic neighbours are padded one by one, linear ones as a point
        if padding == "reflection":
            rows, columns = reflected(rows, x.shape[2], aligned), reflected(columns, x.shape[3], aligned)
        rows, columns = F.clip(rows, 0, x.shape[2] - 1), F.clip(columns, 0, x.shape[3] - 1)
    first, weights = (0, linear_weights) if mode == "bilinear" else (-1, cubic_weights)
    top, left = F.floor(rows), F.floor(columns)
    total: Optional[Tensor] = None
    for down, row_weight in enumerate(weights(rows - top), first):
        for right, column_weight in enumerate(weights(columns - left), first):
            found = pixels(x, top + down, left + right, padding, aligned)
            weight = row_weight * column_weight
            term = found * weight.reshape((weight.shape[0], 1) + tuple(weight.shape[1:]))
            total = term if total is None else total + term
    return total.cast(dtype)


@operator("RoiAlign", refuses="maxima; a sampling_ratio of 0")
def roi_align(node: "Node", x: Tensor, rois: Tensor, batch: Tensor) -> Tensor:
    """Means of bilinear samples in a grid of bins over each region."""
    if node.attribute("mode", "avg") != "avg":
        node.refuse("maxima of samples: implementations differ in whether they are taken before or after interpolating")
    height, width = node.attribute("output_height", 1), node.attribute("output_width", 1)
    ratio = node.attribute("sampling_ratio", 0)
    if ratio <= 0:
        node.refuse("a sampling_ratio of 0, with which the regions' sizes would decide how many samples are taken")
    half = node.attribute("coordinate_transformation_mode", "half_pixel" if node.version >= 16 else "output_half_pixel")
    node.require(half in ("half_pixel", "output_half_pixel"), f"unknown coordinate_transformation_mode {half!r}")
    offset = 0.5 if half == "half_pixel" else 0.0
    scaled = rois * node.attribute("spatial_scale", 1.0) - offset
    x1, y1, x2, y2 = (primitives.at(scaled, 1, place) for place in range(4))
    roi_width, roi_height = x2 - x1, y2 - y1
    if half == "output_half_pixel":  # regions have at least one pixel there
        roi_width, roi_height = (F.maximum(size, primitives.full_like(size, 1)) for size in (roi_width, roi_height))
    rows = positions(y1, roi_height, height, ratio)  # [regions, height * ratio]
    columns = positions(x1, roi_width, width, ratio)
    samples = bilinear(x, batch, rows, columns)  # [regions, c, height * ratio, width * ratio]
    regions, channels = samples[0].shape[:2]
    shape = (regions, channels, height, ratio, width, ratio)
    return F.mean((samples[0] + samples[1] + samples[2] + samples[3]).reshape(shape), [3, 5], False)


def positions(start: Tensor, size: Tensor, bins: int, ratio: int) -> Tensor:
    """[regions, bins * ratio]: the middles of `ratio` parts of each bin."""
    count, regions = bins * ratio, start.shape[0]
    part = primitives.iota("i32", (1, count), 1).cast(start.dtype) + 0.5
    return start.reshape((regions, 1)) + (size / count).reshape((regions, 1)) * part


def bilinear(x: Tensor, batch: Tensor, rows: Tensor, columns: Tensor) -> list[Tensor]:
    """The four neighbours of each crossing of rows [r, m] and columns [r, n], weighted: [r, c, m, n] each. Samples more
    than one pixel outside are 0."""
    n, c, h, w = x.shape
    regions, m, k = rows.shape[0], rows.shape[1], columns.shape[1]
    picture = F.take(x.reshape((n, c * h * w)), batch, 0, "outside").reshape((regions, c, h * w))

    def inside(position: Tensor, size: int) -> Tensor:
        return F.logical_and(position >= -1, position <= size)

    valid = F.logical_and(inside(rows, h).reshape((regions, m, 1)), inside(columns, w).reshape((regions, 1, k)))
    y, z = F.clip(rows, 0, h - 1), F.clip(columns, 0, w - 1)
    top, left = F.floor(y), F.floor(z)
    results = []
    for down, y_weight in ((0, 1 - (y - top)), (1, y - top)):
        for right, z_weight in ((0, 1 - (z - left)), (1, z - left)):
            row, column = F.clip(top + down, 0, h - 1).cast("i32"), F.clip(left + right, 0, w - 1).cast("i32")
            place = (row.reshape((regions, m, 1)) * w + column.reshape((regions, 1, k))).reshape((regions, 1, m * k))
            found = F.gather_along_axis(picture, 2, primitives.broadcast_to(place, (regions, c, m * k)),
                                        "outside").reshape((regions, c, m, k))
            weight = y_weight.reshape((regions, 1, m, 1)) * z_weight.reshape((regions, 1, 1, k))
            mask = primitives.broadcast_to(valid.reshape((regions, 1, m, k)), (regions, c, m, k))
            results.append(F.where(mask, found * weight, primitives.zeros_like(found)))
    return results
