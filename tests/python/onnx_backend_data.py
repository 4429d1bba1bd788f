"""The node tests of the onnx package, generated once into the build tree: models, inputs, expected outputs."""

from __future__ import annotations

import fcntl
import glob
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import numpy as np

GENERATE = """
import sys, warnings
import numpy
warnings.simplefilter("ignore")
# The generator was written for a NumPy that still had these names of Python's own types.
for name, kind in {"float": float, "int": int, "bool": bool, "object": object, "str": str}.items():
    setattr(numpy, name, kind)
from onnx.backend.test import cmd_tools
sys.argv = ["cmd_tools", "generate-data", "-o", sys.argv[1]]
cmd_tools.main()
"""


def folder() -> str:
    """Where the cases lie; generated when this is asked for the first time, by one process."""
    build = os.path.dirname(os.environ["QUARRY_BIN"]) if "QUARRY_BIN" in os.environ else tempfile.gettempdir()
    data = os.path.join(build, "onnx-backend-data")
    with open(data + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(data):
            partial = data + ".partial"
            subprocess.run([sys.executable, "-c", GENERATE, partial], check=True, stdout=subprocess.DEVNULL)
            os.rename(partial, data)
    return data


@dataclass(frozen=True)
class Case:
    name: str
    path: str

    def tensors(self, kind: str) -> list[tuple[str, np.ndarray] | None]:
        """The "input"s or "output"s of the first data set, as (name, array); None for what is no tensor."""
        found = []
        count = len(glob.glob(os.path.join(self.path, "test_data_set_0", f"{kind}_*.pb")))
        for place in range(count):
            with open(os.path.join(self.path, "test_data_set_0", f"{kind}_{place}.pb"), "rb") as file:
                found.append(read_tensor(file.read()))
        return found


def read_tensor(data: bytes) -> tuple[str, np.ndarray] | None:
    import onnx
    from onnx import numpy_helper

    tensor = onnx.TensorProto()
    try:
        tensor.ParseFromString(data)
        return tensor.name, numpy_helper.to_array(tensor)
    except Exception:  # a sequence or an optional value, in another message
        return None


def cases() -> list[Case]:
    """All node tests and the small models beside them."""
    found = sorted(glob.glob(os.path.join(folder(), "node", "*")) + glob.glob(os.path.join(folder(), "simple", "*")))
    return [Case(os.path.basename(path).removeprefix("test_"), path) for path in found]
