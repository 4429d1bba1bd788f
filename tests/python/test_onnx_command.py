"""`quarry onnx run | inspect`: what it prints and writes, its exit codes, here and on a service."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from service_case import ServiceCase

QUARRY = str(Path(os.environ["QUARRY_BIN"]) / "quarry")


def value(name, shape, element=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, element, shape)


def model_of(nodes, inputs, outputs, initialisers=()):
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializer=list(initialisers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


class OnnxCommand(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="quarry-test-")
        cls.addClassCleanup(scratch.cleanup)
        cls.directory = Path(scratch.name)
        weights = numpy_helper.from_array(np.float32([[1, 2], [3, 4], [5, 6]]), "w")
        linear = model_of([helper.make_node("MatMul", ["x", "w"], ["/h"]),
                           helper.make_node("Add", ["/h", "b"], ["y:0"]),
                           helper.make_node("Relu", ["y:0"], ["r"])],
                          [value("x", ["batch", 3]), value("b", [2])],
                          [value("y:0", ["batch", 2]), value("r", ["batch", 2])], [weights])
        cls.linear = cls.write("linear.onnx", linear.SerializeToString())
        cls.fixed = cls.path("fixed.onnx")
        save(model_of([helper.make_node("Exp", ["x"], ["y"])], [value("x", [4])], [value("y", [4])]), cls.fixed)
        cls.strange = cls.path("strange.onnx")
        save(model_of([helper.make_node("StringNormalizer", ["x"], ["y"], name="words")],
                      [value("x", [4], TensorProto.STRING)],
                      [value("y", [4], TensorProto.STRING)]), cls.strange)
        cls.x = cls.path("x.npy")
        np.save(cls.x, np.float32([[1, 0, 0], [0, 1, -1]]))
        cls.b = cls.path("b.npy")
        np.save(cls.b, np.float32([10, 0]))

    @classmethod
    def path(cls, name):
        return str(cls.directory / name)

    @classmethod
    def write(cls, name, data):
        Path(cls.path(name)).write_bytes(data)
        return cls.path(name)

    def run_quarry(self, *arguments, code=0, environment=None, directory=None):
        # /usr/bin first: the Python that Debian's packages belong to.
        variables = {**os.environ, "PATH": f"/usr/bin:{os.environ['PATH']}", **(environment or {})}
        variables.pop("PYTHONPATH", None) if environment is None else None
        done = subprocess.run([QUARRY, *arguments], capture_output=True, text=True, env=variables,
                              cwd=directory)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        self.assertNotIn("Traceback", done.stderr)
        return done

    def json_of(self, *arguments, **options):
        return json.loads(self.run_quarry("--json", *arguments, **options).stdout)

    def test_inputs_come_by_order_or_by_name_and_from_three_kinds_of_file(self):
        expected = [[11, 2], [8, -2]]
        both = self.path("both.npz")
        np.savez(both, x=np.load(self.x), b=np.load(self.b))
        tensor = self.write("b.pb", numpy_helper.from_array(np.load(self.b)).SerializeToString())
        for inputs in ([self.x, self.b], [f"b={self.b}", f"x={self.x}"], [f"b={self.b}", self.x], [both],
                       [self.x, tensor]):
            flags = [part for given in inputs for part in ("--input", given)]
            outputs = self.json_of("onnx", "run", self.linear, *flags)["outputs"]
            self.assertEqual([output["name"] for output in outputs], ["y:0", "r"])
            self.assertEqual(np.reshape(outputs[0]["values"], outputs[0]["shape"]).tolist(), expected)

    def test_outputs_are_printed_or_written_to_a_directory_or_one_file(self):
        flags = ["onnx", "run", self.linear, "-i", self.x, "-i", self.b]
        self.assertIn("y:0  float32[2, 2]  [11.", self.run_quarry(*flags).stdout)
        self.run_quarry(*flags, "--output", self.path("out"))
        self.assertEqual(np.load(self.path("out/y_0.npy")).tolist(), [[11, 2], [8, -2]])
        self.assertEqual(np.load(self.path("out/r.npy")).tolist(), [[11, 2], [8, 0]])
        self.run_quarry(*flags, "--output", self.path("all.npz"), "--on", "interpreter")
        for target in ("out", "all.npz"):  # what is there is written over only when asked to
            self.assertIn("--force", self.run_quarry(*flags, "--output", self.path(target), code=1).stderr)
            self.run_quarry(*flags, "--output", self.path(target), "--force")
        self.assertIn("cannot write", self.run_quarry(*flags, "--output", "/dev/null/x", code=1).stderr)
        with open("/dev/full", "w") as full:
            done = subprocess.run([QUARRY, *flags], stdout=full, stderr=subprocess.PIPE, text=True,
                                  env={**os.environ, "PATH": f"/usr/bin:{os.environ['PATH']}"})
        self.assertEqual((done.returncode, "standard output" in done.stderr), (1, True), done.stderr)
        self.assertEqual(np.load(self.path("all.npz"))["y:0"].shape, (2, 2))

    def test_inspect_names_inputs_outputs_operators_and_work(self):
        facts = self.json_of("onnx", "inspect", self.linear)
        self.assertEqual(facts["inputs"][0], {"name": "x", "dtype": "f32", "shape": ["batch", 3]})
        self.assertEqual((facts["operators"], facts["graph"]), ({"MatMul": 1, "Add": 1, "Relu": 1}, None))
        self.assertIn("--shape", self.run_quarry("onnx", "inspect", self.linear).stdout)
        graph = self.json_of("onnx", "inspect", self.linear, "--shape", "x=8,3")["graph"]
        self.assertGreaterEqual(int(graph["flops"]), 8 * 3 * 2 * 2)
        self.assertIn("metered", self.run_quarry("onnx", "inspect", self.fixed).stdout)

    def test_what_is_unsupported_is_named_before_anything_runs(self):
        done = self.run_quarry("onnx", "run", self.strange, code=3)
        self.assertIn("[unsupported]", done.stderr)
        self.assertEqual(self.json_of("onnx", "inspect", self.strange, code=3)["error"]["code"], "unsupported")

    def test_bad_files_and_flags_have_the_exit_codes_of_the_command_line(self):
        broken = self.write("broken.onnx", Path(self.linear).read_bytes()[:50])
        noise = self.write("noise.npy", b"\x93NUMPY" + os.urandom(64))
        pickled = self.path("pickled.npy")
        np.save(pickled, np.array([{"an": "object"}], dtype=object), allow_pickle=True)
        wrong = self.path("wrong.npy")
        np.save(wrong, np.zeros((2, 4), np.float32))
        for arguments, code, word in (
                (["onnx", "run", self.path("none.onnx")], 3, "none.onnx"), (["onnx", "run", broken], 3, "error"),
                (["onnx", "run", self.linear], 3, "x"),
                (["onnx", "run", self.linear, "-i", self.path("no.npy")], 3, "no.npy"),
                (["onnx", "run", self.linear, "-i", f"x={self.x}", "-i", f"x={self.x}"], 2, "twice"),
                (["onnx", "inspect", self.linear, "--shape", "x=1,3", "--shape", "x=2,3"], 2, "twice"),
                (["onnx", "run", self.fixed, "-i", noise], 3, "noise.npy"),
                (["onnx", "run", self.fixed, "-i", pickled], 3, "pickled.npy"),
                (["onnx", "run", self.linear, "-i", wrong, "-i", self.b], 3, "[2, 4]"),
                (["onnx", "run", self.fixed, "-i", self.b, "-i", self.b], 2, "too many"),
                (["onnx", "run", self.linear, "-i", self.x, "-i", self.b, "--on", "opencl:99"], 3, "opencl:99"),
                (["onnx", "inspect", self.linear, "--shape", "x"], 2, "NAME=2,3"), (["onnx"], 2, "")):
            self.assertIn(word, self.run_quarry(*arguments, code=code).stderr)

    def test_a_python_without_the_package_is_told_in_a_line(self):
        empty = {"PYTHONPATH": "",
                 "QUARRY_PYTHON": self.write("python", b"#!/bin/sh\nexec /usr/bin/python3 -I \"$@\"\n")}
        os.chmod(empty["QUARRY_PYTHON"], 0o755)
        done = self.run_quarry("onnx", "inspect", self.fixed, code=1, environment=empty)
        self.assertIn("python3-onnx", done.stderr)
        error = self.json_of("onnx", "inspect", self.fixed, code=1, environment=empty)["error"]
        self.assertEqual(error["code"], "cannot_start")
        missing = self.run_quarry("onnx", "inspect", self.fixed, code=1, environment={"QUARRY_PYTHON": "/no/python"})
        self.assertIn("QUARRY_PYTHON", missing.stderr)


class OnnxOnService(ServiceCase, OnnxCommand):
    """The same commands with the work done by a service."""

    arguments = ("--credit", "0.5")

    @classmethod
    def setUpClass(cls):
        ServiceCase.setUpClass.__func__(cls)
        OnnxCommand.setUpClass.__func__(cls)

    def run_quarry(self, *arguments, **options):
        where = ["--on", "service"] if len(arguments) > 2 and "--on" not in arguments else []
        return super().run_quarry("--config", str(self.server.config), *arguments, *where, **options)

    def test_a_bad_key_and_a_price(self):
        self.assertIsNotNone(self.json_of("onnx", "inspect", self.fixed)["graph"]["price"])
        key = self.write("key", b"qk_live_wrong")
        done = self.run_quarry("--api-key-file", key, "onnx", "run", self.fixed, "-i", self.path("four.npy"), code=3)
        self.assertIn("four.npy", done.stderr)
        np.save(self.path("four.npy"), np.zeros(4, np.float32))
        self.run_quarry("--api-key-file", key, "onnx", "run", self.fixed, "-i", self.path("four.npy"), code=5)


if __name__ == "__main__":
    unittest.main()
