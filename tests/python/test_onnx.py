"""quarry.onnx: what a model that is loaded does, what is refused, and what a broken file gets."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
from onnx import TensorProto, helper

import quarry
import quarry.onnx
from onnx_models import BOOL, F32, I64, deep_model, model, node, value

ON = "interpreter"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run(proto, **inputs):
    """The only output of a model."""
    (result,) = quarry.onnx.load(proto)(inputs, on=ON).values()
    return result


class Calling(unittest.TestCase):
    x = np.array([[1, -2, 3], [-4, 5, -6]], np.float32)

    def test_a_model_maps_arrays_by_name_to_arrays_by_name(self):
        loaded = quarry.onnx.load(model([node("Relu", "x", "y"), node("Neg", "y", "z")], [value("x", F32, [2, 3])],
                                        ["z", "y"]))
        results = loaded({"x": self.x}, on=ON)
        self.assertEqual(list(results), ["z", "y"])
        np.testing.assert_array_equal(results["y"], np.maximum(self.x, 0))
        np.testing.assert_array_equal(results["z"], -np.maximum(self.x, 0))

    def test_open_sizes_are_taken_from_the_arrays(self):
        loaded = quarry.onnx.load(model([node("Add", ["x", "y"], "z")],
                                        [value("x", F32, ["n", 3]), value("y", F32, ["n", 3])], ["z"]))
        for size in (1, 4):
            array = np.ones((size, 3), np.float32)
            np.testing.assert_array_equal(loaded({"x": array, "y": array}, on=ON)["z"], array + array)
        with self.assertRaisesRegex(quarry.onnx.ModelError, "'y' has 2 where another input has 1 for 'n'"):
            loaded({"x": np.ones((1, 3), np.float32), "y": np.ones((2, 3), np.float32)}, on=ON)

    def test_an_array_that_does_not_fit_is_refused_with_both_shapes_and_types(self):
        loaded = quarry.onnx.load(model([node("Relu", "x", "y")], [value("x", F32, [2, 3])], ["y"]))
        with self.assertRaisesRegex(quarry.onnx.ModelError, r"'x' is of shape \[2, 3\], the array of \[3, 2\]"):
            loaded({"x": self.x.T}, on=ON)
        with self.assertRaisesRegex(quarry.onnx.ModelError, "'x' is f32, the array is float64"):
            loaded({"x": self.x.astype(np.float64)}, on=ON)
        with self.assertRaisesRegex(quarry.onnx.ModelError, "input 'x' is missing"):
            loaded({}, on=ON)
        with self.assertRaisesRegex(quarry.onnx.ModelError, "'w' is no input of the model; its inputs are x"):
            loaded({"x": self.x, "w": self.x}, on=ON)

    def test_an_initialiser_stands_in_for_an_input_that_is_not_given(self):
        proto = model([node("Add", ["x", "b"], "y")], [value("x", F32, [3]), value("b", F32, [3])], ["y"],
                      {"b": np.float32([1, 2, 3])})
        loaded = quarry.onnx.load(proto)
        x = np.zeros(3, np.float32)
        np.testing.assert_array_equal(loaded({"x": x}, on=ON)["y"], [1, 2, 3])
        np.testing.assert_array_equal(loaded({"x": x, "b": x}, on=ON)["y"], x)

    def test_a_model_is_quoted_by_the_graph_for_given_shapes(self):
        loaded = quarry.onnx.load(model([node("MatMul", ["x", "w"], "y")], [value("x", F32, ["n", 4])], ["y"],
                                        {"w": np.ones((4, 5), np.float32)}))
        self.assertEqual(loaded.graph({"x": (3, 4)}).count()["flops"], 2 * 3 * 4 * 5)

    def test_a_model_is_read_from_a_path_and_from_bytes(self):
        proto = model([node("Relu", "x", "y")], [value("x", F32, [2, 3])], ["y"])
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.onnx")
            with open(path, "wb") as file:
                file.write(proto.SerializeToString())
            for source in (path, proto.SerializeToString()):
                np.testing.assert_array_equal(run(source, x=self.x), np.maximum(self.x, 0))


class Folding(unittest.TestCase):
    def test_a_reshape_to_a_computed_shape_needs_no_values(self):
        nodes = [node("Shape", "x", "s"), node("Gather", ["s", "zero"], "n", axis=0),
                 node("Unsqueeze", ["n", "axes"], "rows"),
                 node("Concat", ["rows", "rest"], "target", axis=0), node("Reshape", ["x", "target"], "y")]
        constants = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1])}
        loaded = quarry.onnx.load(model(nodes, [value("x", F32, ["n", 2, 3])], ["y"], constants))
        self.assertEqual(loaded({"x": np.zeros((5, 2, 3), np.float32)}, on=ON)["y"].shape, (5, 6))
        self.assertFalse(loaded.static_inputs)

    def test_what_shapes_decide_costs_nothing_when_the_model_runs(self):
        nodes = [node("Shape", "x", "s"), node("Mul", ["s", "two"], "t"), node("Cast", "t", "f", to=F32),
                 node("ReduceSum", ["f", "axes"], "sum"),
                 node("Mul", ["x", "sum"], "y")]
        constants = {"two": np.array([2, 2]), "axes": np.array([0])}
        loaded = quarry.onnx.load(model(nodes, [value("x", F32, [2, 3])], ["y"], constants))
        self.assertEqual(loaded.graph({"x": (2, 3)}).count()["flops"], 6)
        np.testing.assert_array_equal(loaded({"x": np.ones((2, 3), np.float32)}, on=ON)["y"], np.full((2, 3), 10))

    def test_an_input_that_decides_a_shape_is_static_and_has_a_graph_for_each_value(self):
        loaded = quarry.onnx.load(model([node("Reshape", ["x", "shape"], "y")],
                                        [value("x", F32, [2, 3]), value("shape", I64, [2])], ["y"]))
        self.assertEqual(loaded.static_inputs, {"shape"})
        x = np.arange(6, dtype=np.float32).reshape(2, 3)
        for target in ([3, 2], [6, 1], [3, 2]):
            np.testing.assert_array_equal(loaded({"x": x, "shape": np.array(target)}, on=ON)["y"], x.reshape(target))

    def test_a_static_input_reaches_its_operator_through_arithmetic(self):
        nodes = [node("Add", ["n", "one"], "end"), node("Slice", ["x", "n", "end"], "y")]
        loaded = quarry.onnx.load(model(nodes, [value("x", F32, [5]), value("n", I64, [1])], ["y"],
                                        {"one": np.array([1])}))
        x = np.arange(5, dtype=np.float32)
        np.testing.assert_array_equal(loaded({"x": x, "n": np.array([3])}, on=ON)["y"], [3])
        self.assertEqual(loaded.static_inputs, {"n"})

    def test_a_static_input_has_to_be_given_as_an_array_for_a_quote(self):
        loaded = quarry.onnx.load(model([node("Expand", ["x", "shape"], "y")],
                                        [value("x", F32, ["n"]), value("shape", I64, [2])], ["y"]))
        with self.assertRaisesRegex(quarry.onnx.ModelError, r"inputs \['shape'\] decide shapes: give their values"):
            loaded.graph({"x": (3,), "shape": (2,)})
        self.assertEqual(loaded.graph({"x": (3,), "shape": np.array([4, 3])}).outputs["y"], ("f32", (4, 3)))

    def test_floats_that_are_data_are_never_static(self):
        nodes = [node("ReduceSum", "x", "sum", keepdims=0), node("Cast", "sum", "n", to=I64),
                 node("Range", ["zero", "n", "one"], "y")]
        proto = model(nodes, [value("x", F32, [20])], ["y"], {"zero": np.array(0), "one": np.array(1)}, output_type=I64)
        with self.assertRaisesRegex(quarry.onnx.Unsupported, "operator Range.*'limit' has to be known"):
            quarry.onnx.load(proto)

    def test_a_shape_that_depends_on_data_is_refused_when_the_model_is_loaded(self):
        nodes = [node("ReduceMax", "x", "m", keepdims=0), node("MatMul", ["x", "x"], "p"),
                 node("Cast", "p", "s", to=I64),
                 node("Reshape", ["x", "s"], "y", name="by data")]
        with self.assertRaises(quarry.onnx.Unsupported) as caught:
            quarry.onnx.load(model(nodes, [value("x", F32, [2])], ["y"]))
        self.assertEqual((caught.exception.operator, caught.exception.node), ("Reshape", "by data"))
        self.assertIn("'shape' has to be known", caught.exception.reason)


class Versions(unittest.TestCase):
    x = np.random.default_rng(3).standard_normal((2, 3, 4)).astype(np.float32)
    inputs = [value("x", F32, [2, 3, 4])]

    def check(self, expected, nodes, constants=None, *, opset, **tolerance):
        result = run(model(nodes, self.inputs, ["y"], constants, opset=opset), x=self.x)
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)

    def test_softmax_runs_over_all_later_axes_before_13_and_over_one_since(self):
        e = np.exp(self.x)
        self.check(e / e.sum((1, 2), keepdims=True), [node("Softmax", "x", "y", axis=1)], opset=11)
        self.check(e / e.sum(1, keepdims=True), [node("Softmax", "x", "y", axis=1)], opset=13)
        self.check(e / e.sum((1, 2), keepdims=True), [node("Softmax", "x", "y")], opset=12)
        self.check(e / e.sum(2, keepdims=True), [node("Softmax", "x", "y")], opset=13)

    def test_clip_has_attributes_before_11_and_operands_since(self):
        bounds = {"low": np.array(-0.5, np.float32), "high": np.array(0.5, np.float32)}
        self.check(self.x.clip(-0.5, 0.5), [node("Clip", "x", "y", min=-0.5, max=0.5)], opset=7)
        self.check(self.x.clip(-0.5, 0.5), [node("Clip", ["x", "low", "high"], "y")], bounds, opset=12)
        self.check(self.x.clip(None, 0.5), [node("Clip", ["x", "", "high"], "y")], bounds, opset=13)

    def test_slice_has_attributes_before_10_and_operands_since(self):
        self.check(self.x[:, 1:3], [node("Slice", "x", "y", starts=[1], ends=[9], axes=[1])], opset=9)
        constants = {"starts": np.array([-1]), "ends": np.array([-9]), "axes": np.array([2]), "steps": np.array([-2])}
        self.check(self.x[..., ::-2], [node("Slice", ["x", "starts", "ends", "axes", "steps"], "y")], constants,
                   opset=13)

    def test_axes_are_attributes_before_13_and_operands_since(self):
        axes = {"axes": np.array([0, 2])}
        for operator, attributes in (("ReduceSum", {"keepdims": 0}), ("Unsqueeze", {})):
            expected = self.x.sum((0, 2)) if operator == "ReduceSum" else self.x[None, :, None]
            self.check(expected, [node(operator, "x", "y", axes=[0, 2], **attributes)], opset=11)
            self.check(expected, [node(operator, ["x", "axes"], "y", **attributes)], axes, opset=13)

    def test_pad_has_attributes_before_11_and_operands_since(self):
        pads = [0, 1, 0, 0, 0, 2]
        expected = np.pad(self.x, [(0, 0), (1, 0), (0, 2)], constant_values=1.5)
        self.check(expected, [node("Pad", "x", "y", pads=pads, value=1.5)], opset=7)
        self.check(expected, [node("Pad", ["x", "pads", "fill"], "y")],
                   {"pads": np.array(pads), "fill": np.array(1.5, np.float32)}, opset=13)

    def test_dropout_passes_everything_on_when_it_does_not_train(self):
        for opset in (7, 10, 12, 13):
            self.check(self.x, [node("Dropout", "x", "y")], opset=opset)

    def test_batch_normalisation_of_every_version_uses_the_given_statistics(self):
        rng = np.random.default_rng(4)
        scale, bias, mean, variance = (rng.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4))
        shaped = [array[:, None] for array in (scale, bias, mean, variance)]
        expected = (self.x - shaped[2]) / np.sqrt(shaped[3] + 1e-5) * shaped[0] + shaped[1]
        for opset in (7, 9, 14, 15):
            self.check(expected, [node("BatchNormalization", ["x", "s", "b", "m", "v"], "y")],
                       {"s": scale, "b": bias, "m": mean, "v": variance}, opset=opset)

    def test_upsample_and_resize_repeat_what_is_nearest(self):
        inputs = [value("x", F32, [1, 1, 2, 2])]
        x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
        expected = x.repeat(2, 2).repeat(3, 3)
        scales = {"scales": np.float32([1, 1, 2, 3])}
        for nodes, opset, constants in (([node("Upsample", "x", "y", scales=[1.0, 1.0, 2.0, 3.0])], 7, {}),
                                        ([node("Upsample", ["x", "scales"], "y")], 9, scales),
                                        ([node("Resize", ["x", "scales"], "y")], 10,
                                         scales), ([node("Resize", ["x", "", "scales"], "y")], 13, scales)):
            np.testing.assert_array_equal(run(model(nodes, inputs, ["y"], constants, opset=opset), x=x), expected)


class Integers(unittest.TestCase):
    """i16, u16, u32 and u64 are no types of the wire; what is computed of them is exact."""

    types = {TensorProto.INT16: np.int16, TensorProto.UINT16: np.uint16, TensorProto.UINT32: np.uint32,
             TensorProto.UINT64: np.uint64}

    def check(self, operator, function, element, dtype, x, y, output=None, **attributes):
        inputs = [value("x", element, x.shape), value("y", element, y.shape)]
        result = run(model([node(operator, ["x", "y"], "z", **attributes)], inputs, ["z"],
                           output_type=output or element), x=x, y=y)
        expected = function(x, y)
        self.assertEqual(result.dtype, expected.dtype, operator)
        np.testing.assert_array_equal(result, expected, f"{operator} of {dtype.__name__}")

    def test_arithmetic_wraps_as_in_the_type_itself(self):
        rng = np.random.default_rng(1)
        for element, dtype in self.types.items():
            limits = np.iinfo(dtype)
            edges = np.array([limits.min, limits.min + 1, 0, 1, 2, limits.max // 2, limits.max - 1, limits.max], dtype)
            x = np.concatenate([rng.integers(limits.min, limits.max, 40, dtype, endpoint=True), edges, edges[::-1]])
            y = np.concatenate([rng.integers(limits.min, limits.max, 40, dtype, endpoint=True), edges, edges])
            with np.errstate(over="ignore"):
                for operator, function in (("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply)):
                    self.check(operator, function, element, dtype, x, y)
            for operator, function in (("Less", np.less), ("Greater", np.greater), ("Equal", np.equal)):
                if element in (TensorProto.UINT32, TensorProto.UINT64) or operator != "Equal":
                    self.check(operator, function, element, dtype, x, y, BOOL)
            self.check("Max", np.maximum, element, dtype, x, y)
            self.check("Min", np.minimum, element, dtype, x, y)
            y[y == 0] = 3
            self.check("Mod", np.mod, element, dtype, x, y)
            if dtype is not np.int16:
                self.check("Div", np.floor_divide, element, dtype, x, y)

    def test_bits_shift_as_in_the_type_itself(self):
        rng = np.random.default_rng(2)
        for element, dtype in {**self.types, TensorProto.UINT8: np.uint8}.items():
            if dtype is np.int16:
                continue
            bits = np.iinfo(dtype).bits
            x = rng.integers(0, np.iinfo(dtype).max, 64, dtype, endpoint=True)
            y = (np.arange(64) % bits).astype(dtype)
            self.check("BitShift", np.left_shift, element, dtype, x, y, direction="LEFT")
            self.check("BitShift", np.right_shift, element, dtype, x, y, direction="RIGHT")

    def test_casts_keep_the_lowest_bits_and_round_once(self):
        x = np.array([0, 1, -1, 1 << 15, (1 << 31) + 5, (1 << 40) + 7, -(1 << 33) - 3], np.int64)
        for element, dtype in self.types.items():
            result = run(model([node("Cast", "x", "y", to=element)], [value("x", I64, x.shape)], ["y"],
                               output_type=element), x=x)
            np.testing.assert_array_equal(result, x.astype(dtype))
            self.assertEqual(result.dtype, dtype)
        large = np.array([(1 << 64) - 1, (1 << 63) + (1 << 39) + 1, (1 << 63) + (1 << 39), 1 << 63, 12345], np.uint64)
        result = run(model([node("Cast", "x", "y", to=F32)], [value("x", TensorProto.UINT64, large.shape)], ["y"]),
                     x=large)
        np.testing.assert_array_equal(result, large.astype(np.float32))

    def test_what_cannot_be_exact_is_refused(self):
        proto = model([node("ReduceMax", "x", "y")], [value("x", TensorProto.UINT64, [3])], ["y"], opset=12,
                      output_type=TensorProto.UINT64)
        with self.assertRaisesRegex(quarry.onnx.Unsupported, "operator ReduceMax.*u64 is no type of the wire"):
            quarry.onnx.load(proto)


class ControlFlow(unittest.TestCase):
    def branch(self, operator):
        return helper.make_graph([node(operator, "x", "out")], operator, [], [value("out", F32, [3])])

    def test_a_branch_is_chosen_by_a_constant_and_reads_what_is_around_it(self):
        x = np.float32([1, -2, 3])
        for chosen, expected in ((True, -x), (False, np.abs(x))):
            nodes = [node("If", ["c"], "y", then_branch=self.branch("Neg"), else_branch=self.branch("Abs"))]
            np.testing.assert_array_equal(run(model(nodes, [value("x", F32, [3])], ["y"], {"c": np.array(chosen)}),
                                              x=x), expected)

    def test_a_branch_on_data_is_refused(self):
        nodes = [node("MatMul", ["x", "x"], "p"), node("Greater", ["p", "zero"], "c"),
                 node("If", ["c"], "y", then_branch=self.branch("Neg"), else_branch=self.branch("Abs"), name="choice")]
        with self.assertRaisesRegex(quarry.onnx.Unsupported,
                                    "operator If, node 'choice': .*computed from the model's data"):
            quarry.onnx.load(model(nodes, [value("x", F32, [3])], ["y"], {"zero": np.zeros((), np.float32)}))

    def test_a_loop_of_known_length_is_unrolled_and_its_steps_are_stacked(self):
        body = helper.make_graph(
            [node("Identity", "going", "still"), node("Add", ["sum", "x"], "next"),
             node("Mul", ["next", "next"], "square")], "body",
            [value("step", I64, []), value("going", BOOL, []), value("sum", F32, [2])],
            [value("still", BOOL, []), value("next", F32, [2]), value("square", F32, [2])])
        nodes = [node("Loop", ["trips", "", "start"], ["last", "squares"], body=body)]
        proto = model(nodes, [value("x", F32, [2])], ["last", "squares"],
                      {"trips": np.array(3), "start": np.zeros(2, np.float32)})
        x = np.float32([1, 2])
        results = quarry.onnx.load(proto)({"x": x}, on=ON)
        np.testing.assert_array_equal(results["last"], 3 * x)
        np.testing.assert_array_equal(results["squares"], np.stack([x * x, 4 * x * x, 9 * x * x]))

    def test_a_function_of_the_model_runs_with_its_attributes(self):
        inner = helper.make_node("Elu", ["a"], ["b"])
        reference = inner.attribute.add()
        reference.name, reference.ref_attr_name, reference.type = "alpha", "slope", 1
        function = helper.make_function("mine", "Bent", ["a"], ["b"], [inner], [helper.make_opsetid("", 17)], ["slope"])
        proto = model([node("Bent", "x", "y", domain="mine", slope=2.0)], [value("x", F32, [3])], ["y"],
                      domains={"mine": 1}, functions=[function])
        x = np.float32([-1, 0, 2])
        np.testing.assert_allclose(run(proto, x=x), np.where(x > 0, x, 2 * np.expm1(x)), rtol=1e-6)


    def test_a_function_that_calls_itself_is_refused(self):
        inner = helper.make_node("Again", ["a"], ["b"], domain="mine")
        function = helper.make_function("mine", "Again", ["a"], ["b"], [inner], [helper.make_opsetid("mine", 1)])
        proto = model([node("Again", "x", "y", domain="mine")], [value("x", F32, [3])], ["y"], domains={"mine": 1},
                      functions=[function])
        with self.assertRaisesRegex(quarry.onnx.ModelError, "nested more than 32 deep"):
            quarry.onnx.load(proto)


class Refusals(unittest.TestCase):
    def test_an_operator_that_is_not_supported_is_named_when_the_model_is_loaded(self):
        proto = model([node("Relu", "x", "r"), node("Unique", "r", "y", name="the odd one")], [value("x", F32, ["n"])],
                      ["y"])
        with self.assertRaises(quarry.onnx.Unsupported) as caught:
            quarry.onnx.load(proto)
        self.assertEqual(str(caught.exception),
                         "operator Unique, node 'the odd one': the shape of its result depends on the data")

    def test_it_is_found_inside_of_a_branch_that_is_not_taken(self):
        taken, other = (helper.make_graph([node(operator, "x", "out")], operator, [], [value("out", F32, [3])])
                        for operator in ("Relu", "RandomNormalLike"))
        nodes = [node("If", "c", "y", then_branch=taken, else_branch=other)]
        with self.assertRaisesRegex(quarry.onnx.Unsupported, "operator RandomNormalLike"):
            quarry.onnx.load(model(nodes, [value("x", F32, [3])], ["y"], {"c": np.array(True)}))

    def test_an_operator_of_an_unknown_domain_is_refused(self):
        proto = model([node("FusedGelu", "x", "y", domain="com.example")], [value("x", F32, [3])], ["y"],
                      domains={"com.example": 1})
        with self.assertRaisesRegex(quarry.onnx.Unsupported,
                                    "operator FusedGelu.*domain com.example has no such operator"):
            quarry.onnx.load(proto)

    def test_strings_sequences_and_later_opsets_are_refused(self):
        for element, text in ((TensorProto.STRING, "string is no type of the wire"),
                              (TensorProto.COMPLEX64, "c64 is no type of the wire")):
            with self.assertRaisesRegex(quarry.onnx.Unsupported, text):
                quarry.onnx.load(model([node("Identity", "x", "y")], [value("x", element, [3])], ["y"],
                                       output_type=element))
        proto = model([node("Relu", "x", "y")], [value("x", F32, [3])], ["y"])
        proto.opset_import[0].version = 99
        with self.assertRaisesRegex(quarry.onnx.Unsupported, "of opset 99; up to 17 are known"):
            quarry.onnx.load(proto)

    def test_operands_of_two_types_are_a_broken_model(self):
        proto = model([node("Add", ["x", "k"], "y")], [value("x", F32, [3])], ["y"], {"k": np.array([1])})
        with self.assertRaisesRegex(quarry.onnx.ModelError, "'the Add'.*types f32 and i64"):
            quarry.onnx.load(proto)

    def test_shapes_that_do_not_fit_name_the_node(self):
        proto = model([node("MatMul", ["x", "w"], "y", name="projection")], [value("x", F32, [2, 3])], ["y"],
                      {"w": np.ones((4, 5), np.float32)})
        with self.assertRaisesRegex(quarry.onnx.ModelError, r"'projection' \(MatMul\).*\[2, 3\].*\[4, 5\]"):
            quarry.onnx.load(proto)


class BrokenFiles(unittest.TestCase):
    def test_what_is_no_model_is_said_to_be_none(self):
        for data in (b"", b"hello", b"\x00" * 100, b"{}"):
            with self.assertRaises(quarry.onnx.ModelError):
                quarry.onnx.load(data)
        with self.assertRaisesRegex(quarry.onnx.ModelError, "cannot read /no/such/file.onnx: No such file"):
            quarry.onnx.load("/no/such/file.onnx")

    def test_an_initialiser_that_lies_about_its_size_is_refused(self):
        proto = model([node("Add", ["x", "k"], "y")], [value("x", F32, [3])], ["y"], {"k": np.ones(3, np.float32)})
        for dims in ([4], [1 << 40], [-3], [1 << 62, 1 << 62]):
            del proto.graph.initializer[0].dims[:]
            proto.graph.initializer[0].dims.extend(dims)
            with self.assertRaises(quarry.onnx.ModelError):
                quarry.onnx.load(proto)

    def test_data_outside_of_the_models_folder_is_not_read(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "model"))
            np.ones(3, np.float32).tofile(os.path.join(folder, "secret"))
            np.ones(3, np.float32).tofile(os.path.join(folder, "model", "weights"))
            os.symlink("../secret", os.path.join(folder, "model", "link"))
            for location, fits in (("weights", True), ("../secret", False), (os.path.join(folder, "secret"), False),
                                   ("link", False), ("none", False)):
                proto = model([node("Add", ["x", "k"], "y")], [value("x", F32, [3])], ["y"],
                              {"k": np.ones(3, np.float32)})
                tensor = proto.graph.initializer[0]
                tensor.ClearField("raw_data")
                tensor.data_location = TensorProto.EXTERNAL
                entry = tensor.external_data.add()
                entry.key, entry.value = "location", location
                path = os.path.join(folder, "model", "model.onnx")
                with open(path, "wb") as file:
                    file.write(proto.SerializeToString())
                if fits:
                    np.testing.assert_array_equal(run(path, x=np.ones(3, np.float32)), [2, 2, 2])
                else:
                    with self.assertRaises(quarry.onnx.ModelError):
                        quarry.onnx.load(path)

    def test_mutated_bytes_give_an_error_or_a_model_and_never_a_crash(self):
        rng = np.random.default_rng(11)
        body = helper.make_graph([node("Identity", "going", "still"), node("Add", ["sum", "x"], "next")], "body",
                                 [value("step", I64, []), value("going", BOOL, []), value("sum", F32, [3])],
                                 [value("still", BOOL, []), value("next", F32, [3])])
        seeds = [model([node("Loop", ["trips", "", "x"], "y", body=body)], [value("x", F32, [3])], ["y"],
                       {"trips": np.array(2)}),
                 model([node("Conv", ["x", "w"], "c", pads=[1, 1, 1, 1]), node("Reshape", ["c", "s"], "f"),
                        node("Softmax", "f", "y")],
                       [value("x", F32, [1, 1, 4, 4])], ["y"], {"w": np.ones((2, 1, 3, 3), np.float32),
                                                                "s": np.array([0, -1])}),
                 model([node("Slice", ["x", "a", "b"], "p"), node("Resize", ["p", "", "k"], "y")],
                       [value("x", F32, [4])], ["y"],
                       {"a": np.array([1]), "b": np.array([3]), "k": np.float32([2])})]
        for round_ in range(900):
            data = bytearray(seeds[round_ % len(seeds)].SerializeToString())
            for _ in range(rng.integers(1, 5)):
                place = int(rng.integers(len(data)))
                kind = rng.integers(3)
                if kind == 0:
                    data[place] = int(rng.integers(256))
                elif kind == 1:
                    data[place] ^= 1 << int(rng.integers(8))
                else:
                    del data[place:place + int(rng.integers(1, 9))]
            try:
                quarry.onnx.load(bytes(data))
            except (quarry.onnx.ModelError, quarry.onnx.Unsupported):
                pass


class Size(unittest.TestCase):
    def test_a_model_of_2000_nodes_becomes_a_graph(self):
        loaded = quarry.onnx.load(deep_model(2000).SerializeToString())
        self.assertGreater(loaded.graph({"x": (4, 8, 8, 8)}).nodes, 2000)


class Documentation(unittest.TestCase):
    def test_the_tables_of_operators_are_those_of_the_registry(self):
        subprocess.run([sys.executable, "-m", "quarry.onnx.table", "--check", os.path.join(ROOT, "docs", "onnx.md")],
                       check=True)

    def test_importing_the_package_does_not_import_onnx(self):
        subprocess.run([sys.executable, "-c", "import sys, quarry.onnx; sys.exit('onnx' in sys.modules)"], check=True)


if __name__ == "__main__":
    unittest.main()
