"""Convolutions, pooling and slices with random attributes against loops in NumPy that follow ONNX's text."""

from __future__ import annotations

import itertools
import unittest

import numpy as np

import quarry.onnx
from onnx_models import F32, model, node, value

ON = "interpreter"
ROUNDS = 60


def same_pads(size, kernel, stride, dilation, upper):
    total = max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
    small, large = total // 2, total - total // 2
    return (small, large) if upper else (large, small)


class Shape:
    """Random sizes, kernel, strides, dilations and padding of one or two spatial axes, and their attributes."""

    def __init__(self, rng, *, dilated=True):
        self.count = int(rng.integers(1, 3))
        self.sizes = [int(size) for size in rng.integers(5, 9, self.count)]
        self.kernel = [int(width) for width in rng.integers(1, 4, self.count)]
        self.strides = [int(stride) for stride in rng.integers(1, 4, self.count)]
        self.dilations = [int(rng.integers(1, 3)) if dilated else 1 for _ in range(self.count)]
        self.attributes = {"strides": self.strides}
        if dilated:
            self.attributes["dilations"] = self.dilations
        automatic = rng.choice(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])
        if automatic == "NOTSET":
            self.pads = [tuple(int(pad) for pad in rng.integers(0, width, 2)) for width in self.kernel]
            self.attributes["pads"] = [pad[0] for pad in self.pads] + [pad[1] for pad in self.pads]
        else:
            self.attributes["auto_pad"] = str(automatic)
            self.pads = [(0, 0) if automatic == "VALID" else same_pads(*axis, automatic == "SAME_UPPER")
                         for axis in zip(self.sizes, self.kernel, self.strides, self.dilations)]

    def windows(self, x, fill):
        """[.., outputs .., kernel ..] of x padded with `fill`."""
        x = np.pad(x, [(0, 0), (0, 0), *self.pads], constant_values=fill)
        outputs = [(size - (width - 1) * dilation - 1) // stride + 1
                   for size, width, stride, dilation in zip(x.shape[2:], self.kernel, self.strides, self.dilations)]
        result = np.zeros((*x.shape[:2], *outputs, *self.kernel), x.dtype)
        for place in itertools.product(*map(range, (*outputs, *self.kernel))):
            at = [out * stride + tap * dilation for out, tap, stride, dilation
                  in zip(place, place[self.count:], self.strides, self.dilations)]
            result[(slice(None), slice(None), *place)] = x[(slice(None), slice(None), *at)]
        return result


class Windows(unittest.TestCase):
    def check(self, nodes, inputs, expected, shape):
        proto = model(nodes, [value(name, F32, array.shape) for name, array in inputs.items()], ["y"])
        result = quarry.onnx.load(proto)(inputs, on=ON)["y"]
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5, err_msg=f"{vars(shape)}")

    def test_convolutions_with_groups_and_every_padding(self):
        rng = np.random.default_rng(1)
        for _ in range(ROUNDS):
            shape, groups = Shape(rng), int(rng.integers(1, 3))
            x = rng.standard_normal((2, 2 * groups, *shape.sizes)).astype(np.float32)
            w = rng.standard_normal((3 * groups, 2, *shape.kernel)).astype(np.float32)
            b = rng.standard_normal(3 * groups).astype(np.float32)
            windows, axes = shape.windows(x, 0), list(range(-shape.count, 0))
            expected = [np.tensordot(windows[:, 2 * group:2 * group + 2], w[3 * group:3 * group + 3],
                                     ([1] + axes, [1] + axes))
                        for group in range(groups)]
            expected = np.moveaxis(np.concatenate(expected, -1) + b, -1, 1)
            self.check([node("Conv", ["x", "w", "b"], "y", group=groups, **shape.attributes)], {"x": x, "w": w, "b": b},
                       expected, shape)

    def test_transposed_convolutions_are_the_transposes_of_convolutions(self):
        rng = np.random.default_rng(2)
        for _ in range(ROUNDS):
            shape = Shape(rng)
            shape.attributes.pop("auto_pad", None)
            if "pads" not in shape.attributes:
                shape.pads = [(0, 0)] * shape.count
            extra = [int(rng.integers(0, stride)) for stride in shape.strides]
            x = rng.standard_normal((2, 3, *shape.sizes)).astype(np.float32)
            w = rng.standard_normal((3, 4, *shape.kernel)).astype(np.float32)
            whole = [(size - 1) * stride + (width - 1) * dilation + 1 + more for size, stride, width, dilation, more
                     in zip(shape.sizes, shape.strides, shape.kernel, shape.dilations, extra)]
            expected = np.zeros((2, 4, *whole), np.float32)
            for place in itertools.product(*map(range, (*shape.sizes, *shape.kernel))):
                at = tuple(source * stride + tap * dilation for source, tap, stride, dilation
                           in zip(place, place[shape.count:], shape.strides, shape.dilations))
                source = x[(slice(None), slice(None), *place[:shape.count])]
                expected[(slice(None), slice(None), *at)] += source @ w[(slice(None), slice(None),
                                                                         *place[shape.count:])]
            kept = [slice(before, size - after) for size, (before, after) in zip(whole, shape.pads)]
            self.check([node("ConvTranspose", ["x", "w"], "y", output_padding=extra, **shape.attributes)],
                       {"x": x, "w": w},
                       expected[(slice(None), slice(None), *kept)], shape)

    def test_pooling_takes_maxima_and_means_of_what_is_not_padding(self):
        rng = np.random.default_rng(3)
        for _ in range(ROUNDS):
            shape = Shape(rng)
            x = rng.standard_normal((2, 3, *shape.sizes)).astype(np.float32)
            axes = tuple(range(-shape.count, 0))
            self.check([node("MaxPool", "x", "y", kernel_shape=shape.kernel, **shape.attributes)], {"x": x},
                       shape.windows(x, -np.inf).max(axes), shape)
            shape = Shape(rng, dilated=False)
            x = rng.standard_normal((2, 3, *shape.sizes)).astype(np.float32)
            total = shape.windows(x, 0).sum(axes := tuple(range(-shape.count, 0)))
            counted = int(rng.integers(2))
            divisor = np.prod(shape.kernel) if counted else shape.windows(np.ones_like(x), 0).sum(axes)
            self.check([node("AveragePool", "x", "y", kernel_shape=shape.kernel, count_include_pad=counted,
                             **shape.attributes)],
                       {"x": x}, total / divisor, shape)
            power = int(rng.integers(1, 4))
            expected = (np.abs(shape.windows(x, 0)) ** power).sum(axes) ** (1 / power)
            self.check([node("LpPool", "x", "y", kernel_shape=shape.kernel, p=power, **shape.attributes)], {"x": x},
                       expected, shape)

    def test_positions_of_maxima_count_in_the_whole_tensor_by_rows_or_columns(self):
        rng = np.random.default_rng(4)
        x = rng.permutation(2 * 3 * 5 * 6).reshape(2, 3, 5, 6).astype(np.float32)
        for by_columns in (0, 1):
            nodes = [node("MaxPool", "x", ["y", "i"], kernel_shape=[2, 3], strides=[2, 1], storage_order=by_columns)]
            results = quarry.onnx.load(model(nodes, [value("x", F32, x.shape)], ["y", "i"]))({"x": x}, on=ON)
            planes = x.swapaxes(2, 3) if by_columns else x
            np.testing.assert_array_equal(np.ascontiguousarray(planes).reshape(-1)[results["i"]], results["y"])

    def test_windows_that_runtimes_disagree_on_are_refused(self):
        for operator, attributes in (("MaxPool", {"kernel_shape": [1], "strides": [3]}),
                                     ("AveragePool", {"kernel_shape": [2], "strides": [2], "count_include_pad": 1})):
            proto = model([node(operator, "x", "y", ceil_mode=1, **attributes)], [value("x", F32, [1, 1, 5])], ["y"])
            with self.assertRaisesRegex(quarry.onnx.Unsupported, "ceil_mode makes here"):
                quarry.onnx.load(proto)


class Slices(unittest.TestCase):
    @staticmethod
    def positions(size, start, end, step):
        """The elements that ONNX's text picks of an axis."""
        start, end = (bound + size if bound < 0 else bound for bound in (start, end))
        if step > 0:
            return range(min(max(start, 0), size), min(max(end, 0), size), step)
        return range(min(max(start, 0), size - 1), min(max(end, -1), size - 1), step)

    def test_random_bounds_and_steps_pick_what_the_text_says(self):
        rng = np.random.default_rng(5)
        x = np.arange(35, dtype=np.float32).reshape(5, 7)
        ends = [-(1 << 63), (1 << 63) - 1]
        for round_ in range(200):
            starts, stops = (rng.integers(-12, 12, 2) for _ in range(2))
            steps = rng.choice([-3, -2, -1, 1, 2, 3], 2)
            if round_ % 4 == 0:
                stops[0] = ends[int(steps[0] > 0)]
            constants = {"s": starts, "e": stops, "a": np.array([0, -1]), "t": steps}
            proto = model([node("Slice", ["x", "s", "e", "a", "t"], "y")], [value("x", F32, [5, 7])], ["y"], constants)
            rows, columns = (list(self.positions(*axis)) for axis in zip(x.shape, starts.tolist(), stops.tolist(),
                                                                         steps.tolist()))
            np.testing.assert_array_equal(quarry.onnx.load(proto)({"x": x}, on=ON)["y"], x[rows][:, columns],
                                          f"{constants}")


if __name__ == "__main__":
    unittest.main()
