"""Every function against NumPy, on odd shapes and all float dtypes, on the interpreter and on OpenCL: the cases are in
function_cases.py.

A compiling device takes a tenth of a second for each case, so each run gives it another sample of them:
QUARRY_TEST_SHARE=1 is all. QUARRY_TEST_SEED chooses other shapes and numbers."""
import os
import random
import unittest

import numpy as np

import quarry
from quarry import Tensor, functional as F
from quarry.dtypes import for_people, storage
from quarry.graph import build

from function_cases import CASES, FLOATS

SEED = int(os.environ.get("QUARRY_TEST_SEED", "3"))
SHARE = float(os.environ.get("QUARRY_TEST_SHARE", "0.07"))  # of the cases on OpenCL
SAMPLE = int(os.environ.get("QUARRY_TEST_SAMPLE", int.from_bytes(os.urandom(3), "little")))
EPSILON = {"f16": 2.0**-11, "bf16": 2.0**-8, "f32": 2.0**-24, "f64": 2.0**-53}
# What f16 and bf16 results may be off: they are computed in f32 and rounded once, or are made of a few results that
# are.
MOST_ULPS_OF_16_BITS = 4
# Functions that need no case of their own, because they are others under another name or have tests of their own.
ELSEWHERE = {"clamp", "index_select", "scatter_add", "causal_mask", "dropout", "rotary_tables", "logical_not",
             "logical_or"}


def rounded(array, dtype):
    """`array` in the dtype: what the engine stores, and the same values as float64."""
    if array.dtype.kind != "f":
        return Tensor(array), array
    stored, _ = storage(array, dtype)
    return Tensor(stored, dtype), for_people(stored, dtype).astype(np.float64)


def prepared(case, number, dtype):
    """The case's tensor, and what NumPy says."""
    rng = np.random.default_rng([SEED, number])
    ours, theirs = [], []
    for given in case.inputs(rng):
        tensor, array = rounded(given, dtype) if isinstance(given, np.ndarray) else (given, given)
        ours.append(tensor)
        theirs.append(array)
    with np.errstate(all="ignore"):
        return case.ours(*ours), np.asarray(case.theirs(*theirs))


class Functions(unittest.TestCase):
    def check(self, name, case, dtype, result, result_dtype, wanted):
        self.assertEqual(result.shape, wanted.shape, name)
        if result_dtype not in FLOATS:
            np.testing.assert_array_equal(result, wanted, err_msg=name)
            return
        ulps, near = case.ulps, case.near
        if dtype in ("f16", "bf16"):
            ulps, near = min(ulps, MOST_ULPS_OF_16_BITS), min(near, MOST_ULPS_OF_16_BITS)
        finite = np.abs(wanted[np.isfinite(wanted)])
        largest = finite.max() if finite.size else 0.0
        with np.errstate(invalid="ignore"):
            allowed = 2 * EPSILON[dtype] * (ulps * np.abs(wanted) + near * largest) + (6e-8 if dtype == "f16" else 0)
            wrong = ~((result == wanted) | (np.isnan(result) & np.isnan(wanted)) | (np.abs(result - wanted) <= allowed))
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            ulps_off = abs(result[at] - wanted[at]) / (2 * EPSILON[dtype] * max(abs(wanted[at]), 1e-300))
            self.fail(f"{name}: {wrong.sum()} of {wrong.size} differ, first at {at}: {result[at]!r}, "
                      f"NumPy has {wanted[at]!r} (off by {ulps_off:.1f} ulps)")

    def run_dtype(self, dtype):
        """The cases of a dtype in one graph a device: a kernel each, one run."""
        cases = [(number, case) for number, case in enumerate(CASES) if dtype in case.dtypes]
        sampled = random.Random(f"{SAMPLE} {dtype}").sample(cases, max(1, round(SHARE * len(cases))))
        for place, chosen in (("interpreter", cases), ("opencl:0", sampled)):
            given = {f"{case.name}, {dtype}": (case, *prepared(case, number, dtype)) for number, case in chosen}
            results = quarry.run(build({name: tensor for name, (_, tensor, _) in given.items()}), on=place)
            for name, (case, tensor, wanted) in given.items():
                with self.subTest(name=name, place=place, sample=SAMPLE):
                    self.check(f"{name} on {place}", case, dtype, results[name], tensor.dtype, wanted)

    def test_on_f16(self):
        self.run_dtype("f16")

    def test_on_bf16(self):
        self.run_dtype("bf16")

    def test_on_f32(self):
        self.run_dtype("f32")

    def test_on_f64(self):
        self.run_dtype("f64")

    def test_every_function_has_a_case(self):
        cases = {word for case in CASES for word in (case.name, *case.name.split())}
        missing = [name for name, function in vars(F).items() if not name.startswith("_")
                   and getattr(function, "__module__", "").startswith("quarry.functional")
                   and name not in cases and name not in ELSEWHERE]
        self.assertEqual(missing, [])

    def test_integers_wrap_and_divide_as_documented(self):
        rng = np.random.default_rng(SEED)
        for dtype in ("i8", "u8", "i32", "i64"):
            info = np.iinfo({"i8": "i1", "u8": "u1", "i32": "i4", "i64": "i8"}[dtype])
            x, y = (rng.integers(info.min, info.max, 50, endpoint=True).astype(info.dtype) for _ in range(2))
            y[y == 0] = 1
            a, b = Tensor(x), Tensor(y)
            with np.errstate(over="ignore"):
                wanted = {"add": x + y, "sub": x - y, "mul": x * y, "floor": x // y, "mod": x % y,
                          "max": np.maximum(x, y), "less": x < y}
            ours = {"add": a + b, "sub": a - b, "mul": a * b, "floor": a // b, "mod": a % b, "max": F.maximum(a, b),
                    "less": a < b}
            for place in ("interpreter", "opencl:0"):
                for name, result in quarry.run(build(ours), on=place).items():
                    np.testing.assert_array_equal(result, wanted[name], err_msg=f"{name} of {dtype} on {place}")


if __name__ == "__main__":
    unittest.main()
