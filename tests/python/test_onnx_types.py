"""The node tests of onnx in f16, bf16 and f64: to its precision, an operator gives in a type what it gives in f32."""

from __future__ import annotations

import os
import unittest

import numpy as np
import onnx
from onnx import TensorProto, helper

import quarry.onnx
from quarry.onnx.values import NUMPY_TYPES
from onnx_backend_data import Case, cases

ON = "interpreter"
# Cases whose numbers do not fit the 16-bit types, or where an attribute says the type.
LEFT_OUT = ("large_number", "reduce_prod_default", "cast", "adam_multiple", "window", "melweightmatrix")


def retyped(tensor: onnx.TensorProto, element: int) -> onnx.TensorProto:
    """An f32 tensor in another float type."""
    values = onnx.numpy_helper.to_array(tensor)
    return helper.make_tensor(tensor.name, element, tensor.dims, values.astype(np.float64).reshape(-1).tolist())


def retype(graph: onnx.GraphProto, element: int) -> None:
    """All f32 of a graph in another float type."""
    for entry in (*graph.input, *graph.output):
        if entry.type.tensor_type.elem_type == TensorProto.FLOAT:
            entry.type.tensor_type.elem_type = element
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(retyped(tensor, element))
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        if attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
            attribute.t.CopyFrom(retyped(attribute.t, element))
        if attribute.HasField("g"):
            retype(attribute.g, element)
        if attribute.name in ("to", "dtype", "output_datatype") and attribute.i == TensorProto.FLOAT:
            attribute.i = element


def results_of(case: Case, element: int) -> list[np.ndarray]:
    proto = onnx.load(os.path.join(case.path, "model.onnx"))
    retype(proto.graph, element)
    model = quarry.onnx.load(proto)
    given = {name: array.astype(NUMPY_TYPES[entry.dtype])
             for (name, entry), (_, array) in zip(model.inputs.items(), case.tensors("input"))}
    return list(model(given, on=ON).values())


class Types(unittest.TestCase):
    def check(self, element: int, dtype: type, tolerance: float, least: int) -> None:
        done = 0
        for case in cases():
            if any(name in case.name for name in LEFT_OUT):
                continue
            try:
                results = results_of(case, element)
            except quarry.onnx.Unsupported:
                continue
            except quarry.onnx.ModelError as error:
                self.assertRegex(str(error), "does not take|have to be the same")  # the operator has not this type
                continue
            for found, (name, wanted) in zip(results, case.tensors("output")):
                if wanted.dtype.kind != "f":
                    np.testing.assert_array_equal(found, wanted, f"{case.name}: {name}")
                    continue
                scale = max(1, np.abs(wanted[np.isfinite(wanted)]).max(initial=0))
                np.testing.assert_allclose(found, wanted, tolerance, tolerance * scale, err_msg=f"{case.name}: {name}")
            if case.tensors("output")[0][1].dtype == np.float32:
                self.assertEqual(results[0].dtype, dtype, case.name)
            done += 1
        self.assertGreater(done, least)

    def test_f64(self):
        self.check(TensorProto.DOUBLE, np.float64, 1e-3, 600)

    def test_f16(self):
        self.check(TensorProto.FLOAT16, np.float16, 2e-2, 600)

    def test_bf16_which_comes_as_f32(self):
        self.check(TensorProto.BFLOAT16, np.float32, 6e-2, 400)


if __name__ == "__main__":
    unittest.main()
