"""The package's modules stand in layers: what a module imports when it is loaded lies below it. Imports inside of functions,
such as Tensor's methods that reach up to what runs it, are the façade's and free."""

import ast
import unittest
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "sdk" / "python" / "quarry"
LAYERS = """
    context dtypes indexing
    tensor
    functional.arguments functional.shape functional.reduce functional.elementwise functional.convolution functional.network functional
    graph safetensors
    realise gradients state initial
    nn optim
    work
    remote.errors remote.progress remote.config remote.answers remote.tensor_file remote.document remote.transport remote.uploads
    remote.pricing remote.job remote.service remote
    running
    capturing
    quoting
    onnx.errors onnx.signatures onnx.engine onnx.primitives onnx.values onnx.registry onnx.shapes onnx.folding onnx.reader
    onnx.operators.* onnx.operators
    onnx.importer onnx.table onnx.model onnx onnx.__main__
""".split()


def name_of(file):
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in PACKAGE.rglob("*.py")}


def imported(name):
    """The package's modules that a module imports when it is loaded."""
    file = MODULES[name]
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            above = (["quarry"] + package)[:len(package) + 2 - node.level] if node.level else []
            source = above + (node.module.split(".") if node.module else [])
            if source[:1] != ["quarry"]:
                continue
            base = ".".join(source[1:])
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                yield inner if inner in MODULES else base
        elif isinstance(node, ast.Import):
            yield from (alias.name[len("quarry"):].lstrip(".") for alias in node.names if alias.name.split(".")[0] == "quarry")


def layer(name):
    while name not in LAYERS and name.rpartition(".")[0] + ".*" not in LAYERS:
        raise AssertionError(f"quarry.{name} has no place in LAYERS: give it one")
    return LAYERS.index(name if name in LAYERS else name.rpartition(".")[0] + ".*")


class Layers(unittest.TestCase):
    def test_a_module_imports_only_what_lies_below_it(self):
        for name in MODULES.keys() - {""}:
            for other in imported(name):
                if other == "":  # the package itself: all of it is loaded once onnx is
                    self.assertTrue(name.startswith("onnx"), f"quarry.{name} imports the whole package")
                elif other.startswith("onnx.operators.") and name.startswith("onnx.operators."):
                    self.assertNotIn(name, imported(other), f"{name} and {other} import each other")
                else:
                    self.assertLess(layer(other), layer(name), f"quarry.{name} imports quarry.{other}, which lies above it")

    def test_every_layer_is_a_module(self):
        for name in LAYERS:
            self.assertTrue(name in MODULES or name.endswith(".*"), name)


if __name__ == "__main__":
    unittest.main()
