"""The node tests of the onnx package through quarry.onnx on OpenCL: values to its tolerances, shapes and types
exactly.

onnx_not_passing.txt lists each case that does not pass: its name, a tab, and what load() or the call says of it. A case
that is listed and passes, or is not listed and fails, fails here; so does a listed one that gives an answer.

QUARRY_ONNX_PART=1/2 runs one half of the cases: CTest runs the parts side by side. --write writes the list anew."""

from __future__ import annotations

import os
import sys
import unittest

import numpy as np
import onnx
from onnx import helper

import quarry.onnx
from onnx_backend_data import Case, cases

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnx_not_passing.txt")
RELATIVE, ABSOLUTE = 1e-3, 1e-7  # onnx's own runner's
NUMPY_TYPES = {"FLOAT": np.float32, "DOUBLE": np.float64, "FLOAT16": np.float16, "BFLOAT16": np.float32,
               "BOOL": np.bool_, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
               "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64}
ON = os.environ.get("QUARRY_ONNX_ON", "opencl:0")
BLOCK = 32


def repaired(case: Case) -> onnx.ModelProto:
    """The case's model, with two slips of the generator put right: outputs that were computed with an attribute that
    the node does not have, and arrays of another shape than the declared one."""
    proto = onnx.load(os.path.join(case.path, "model.onnx"))
    if case.name == "adam_multiple":
        proto.graph.node[0].attribute.append(helper.make_attribute("epsilon", 1e-2))
    if case.name.startswith("castlike_") and "BFLOAT16" in case.name:
        proto.graph.input[1].type.tensor_type.ClearField("shape")
    return proto


def refusal(case: Case) -> str | None:
    """Runs a case and checks its outputs: None if it passes, else what quarry.onnx said when it refused."""
    proto = repaired(case)
    try:
        model = quarry.onnx.load(proto)
        given = {name: tensor[1] for name, tensor in zip(model.inputs, case.tensors("input")) if tensor is not None}
        results = model(given, on=ON)
    except (quarry.onnx.Unsupported, quarry.onnx.ModelError) as refused:
        return " ".join(str(refused).split())
    for declared, (_, wanted) in zip(proto.graph.output, case.tensors("output")):
        name, element = declared.name, onnx.TensorProto.DataType.Name(declared.type.tensor_type.elem_type)
        relative = RELATIVE
        if element == "BFLOAT16":  # given as bits, which the generator cut off where a cast rounds to nearest
            relative = 2.0**-7
            wanted = (wanted.astype(np.uint32) << 16).view(np.float32)
        found = results[name]
        if found.shape != wanted.shape or found.dtype != NUMPY_TYPES[element]:
            raise AssertionError(f"{case.name}: {name} is {found.dtype}{found.shape}, not {wanted.dtype}{wanted.shape}")
        np.testing.assert_allclose(found, wanted, relative, ABSOLUTE, err_msg=f"{case.name}: {name}")
    return None


def listed() -> dict[str, str]:
    with open(LIST, encoding="utf-8") as file:
        return dict(line.rstrip("\n").split("\t") for line in file if not line.startswith("#"))


def mine() -> list[Case]:
    """Neighbours in the list are alike and share kernels: the parts take turns by blocks."""
    part, parts = map(int, os.environ.get("QUARRY_ONNX_PART", "1/1").split("/"))
    return [case for place, case in enumerate(cases()) if place // BLOCK % parts == part - 1]


class BackendTests(unittest.TestCase):
    def test_every_case_passes_or_is_refused_for_the_reason_in_the_list(self):
        not_passing = listed()
        passed = 0
        for case in mine():
            with self.subTest(case.name):
                said = refusal(case)
                self.assertEqual(said, not_passing.get(case.name))
                passed += said is None
        print(f"{passed} of {len(mine())} cases passed", file=sys.stderr)

    def test_the_list_names_no_case_that_does_not_exist(self):
        self.assertLessEqual(set(listed()), {case.name for case in cases()})


def write_list() -> None:
    lines = ["# The node tests of onnx that do not pass, and what quarry.onnx says of each: "
             "written by test_onnx_backend.py --write\n"]
    for case in cases():
        said = refusal(case)
        if said is not None:
            lines.append(f"{case.name}\t{said}\n")
    with open(LIST, "w", encoding="utf-8") as file:
        file.writelines(lines)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write_list()
    else:
        unittest.main()
