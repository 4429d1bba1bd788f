"""Resize with random attributes against the reference behind onnx's tests; GridSample against loops in NumPy."""

from __future__ import annotations

import itertools
import unittest

import numpy as np
from onnx.backend.test.case.node.resize import cubic_coeffs, interpolate_nd, linear_coeffs, nearest_coeffs

import quarry.onnx
from onnx_models import F32, model, node, value

ON = "interpreter"
COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


class Resize(unittest.TestCase):
    def drawn(self, rng, mode):
        """A random node, its constants, and the reference's arguments."""
        shape = [int(size) for size in rng.integers(2, 6, int(rng.integers(1, 3)))]
        coordinates = str(rng.choice(COORDINATES))
        attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
        options = {"coordinate_transformation_mode": coordinates}
        constants, operands = {}, ["x", "", "", ""]
        if mode == "nearest":
            attributes["nearest_mode"] = str(rng.choice(ROUNDINGS))
        if mode == "cubic" and rng.integers(2):
            attributes["exclude_outside"] = 1
            options["exclude_outside"] = True
        if coordinates == "tf_crop_and_resize":
            begin, end = rng.uniform(0, 0.5, len(shape)), rng.uniform(0.6, 1.3, len(shape))
            constants["roi"] = np.concatenate([begin, end]).astype(np.float32)
            operands[1], options["roi"] = "roi", constants["roi"].astype(np.float64)
            attributes["extrapolation_value"] = options["extrapolation_value"] = 7.0
        # Several elements left: of one the reference and the text differ.
        sizes = [int(size) for size in rng.integers(2, 9, len(shape))]
        if rng.integers(2):
            constants["sizes"], operands[3] = np.array(sizes), "sizes"
            options["output_size"] = sizes
        else:
            scales = [(size + rng.uniform(0.1, 0.9)) / length for size, length in zip(sizes, shape)]
            constants["scales"], operands[2] = np.array(scales, np.float32), "scales"
            options["scale_factors"] = constants["scales"].astype(np.float64)
        return shape, node("Resize", operands, "y", **attributes), constants, options

    def check(self, mode, coefficients, rounds):
        rng = np.random.default_rng(len(mode))
        for _ in range(rounds):
            shape, resize, constants, options = self.drawn(rng, mode)
            x = rng.standard_normal(shape).astype(np.float32)
            expected = interpolate_nd(x.astype(np.float64), coefficients(resize), **options)
            found = quarry.onnx.load(model([resize], [value("x", F32, shape)], ["y"], constants))({"x": x}, on=ON)["y"]
            self.assertEqual(found.shape, expected.shape, resize)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=f"{resize} {constants} {shape}")

    def test_nearest(self):
        def coefficients(resize):
            (rounding,) = (entry.s.decode() for entry in resize.attribute if entry.name == "nearest_mode")
            return lambda ratio: nearest_coeffs(ratio, mode=rounding)
        self.check("nearest", coefficients, 150)

    def test_linear(self):
        self.check("linear", lambda resize: linear_coeffs, 100)

    def test_cubic(self):
        self.check("cubic", lambda resize: cubic_coeffs, 100)


class Picture:
    """[h, w] read between its pixels, as the text of GridSample says."""

    def __init__(self, pixels, padding, aligned):
        self.pixels, self.padding, self.aligned = pixels, padding, aligned

    def borders(self, size):
        return (0, size - 1) if self.aligned else (-0.5, size - 0.5)

    def position(self, coordinate, size):
        return (coordinate + 1) / 2 * (size - 1) if self.aligned else ((coordinate + 1) * size - 1) / 2

    def reflected(self, at, size):
        low, high = self.borders(size)
        while not low <= at <= high:
            at = 2 * low - at if at < low else 2 * high - at
        return at

    def brought_inside(self, at, size):
        if self.padding == "reflection":
            at = self.reflected(at, size)
        return min(max(at, 0), size - 1) if self.padding != "zeros" else at

    def pixel(self, row, column):
        row, column = (self.brought_inside(at, size) for at, size in zip((row, column), self.pixels.shape))
        row, column = round(row), round(column)
        inside = 0 <= row < self.pixels.shape[0] and 0 <= column < self.pixels.shape[1]
        return self.pixels[row, column] if inside else 0

    def sample(self, x, y, mode):
        row, column = self.position(y, self.pixels.shape[0]), self.position(x, self.pixels.shape[1])
        if mode == "nearest":
            return self.pixel(np.rint(row), np.rint(column))
        if mode == "bilinear":
            row, column = (self.brought_inside(at, size) for at, size in zip((row, column), self.pixels.shape))
        weights = self.linear if mode == "bilinear" else self.cubic
        return sum(row_weight * column_weight * self.pixel(r, c) for (r, row_weight), (c, column_weight)
                   in itertools.product(weights(row), weights(column)))

    @staticmethod
    def linear(at):
        low = np.floor(at)
        return [(low, 1 - (at - low)), (low + 1, at - low)]

    @staticmethod
    def cubic(at):
        def kernel(distance):
            d, a = abs(distance), -0.75
            return (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        low = np.floor(at)
        return [(low + step, kernel(at - low - step)) for step in (-1, 0, 1, 2)]


class GridSample(unittest.TestCase):
    def test_every_mode_padding_and_alignment(self):
        rng = np.random.default_rng(1)
        for mode, padding, aligned in itertools.product(("bilinear", "nearest", "bicubic"),
                                                        ("zeros", "border", "reflection"), (0, 1)):
            x = rng.standard_normal((2, 2, 3, 4)).astype(np.float32)
            grid = rng.uniform(-2.5, 2.5, (2, 5, 6, 2)).astype(np.float32)
            proto = model([node("GridSample", ["x", "grid"], "y", mode=mode, padding_mode=padding,
                                align_corners=aligned)],
                          [value("x", F32, x.shape), value("grid", F32, grid.shape)], ["y"])
            found = quarry.onnx.load(proto)({"x": x, "grid": grid}, on=ON)["y"]
            for n, c, i, j in np.ndindex(2, 2, 5, 6):
                expected = Picture(x[n, c].astype(np.float64), padding,
                                   aligned).sample(*grid[n, i, j].astype(np.float64), mode)
                self.assertAlmostEqual(found[n, c, i, j], expected, 4, (mode, padding, aligned, grid[n, i, j]))


if __name__ == "__main__":
    unittest.main()
