"""The extension module under hostile arguments: it raises, it never crashes, hangs or takes the interpreter's
memory."""
import faulthandler
import os
import random
import resource
import signal
import unittest
import warnings

import numpy as np

import _quarry
import quarry
from quarry import Tensor, functional as F

SEED = int(os.environ.get("QUARRY_TEST_SEED", "20261122"))
CALLS_A_FUNCTION = int(os.environ.get("QUARRY_FUZZ_CALLS", "150"))
# What a wrong argument may raise; anything else is a bug of ours.
EXPECTED = (TypeError, ValueError, IndexError, OverflowError, ZeroDivisionError, quarry.RunError)
DUCKS = (*EXPECTED, AttributeError)  # of Python code that is given what is no tensor


def tensors(rng):
    return [Tensor(rng.normal(size=(2, 3)).astype(np.float32)).node, Tensor(np.arange(6).reshape(1, 6)).node,
            Tensor(1.5).node,
            Tensor(np.zeros((0, 4))).node, Tensor(rng.normal(size=(1, 3, 5, 5)).astype(np.float16)).node,
            Tensor([True, False]).node,
            Tensor(rng.normal(size=(4, 3, 2, 2)).astype(np.float32), "bf16").node,
            quarry.input("lone", (2**31, 2**20)).node,
            _quarry.detached(Tensor([1.0, 2.0]).node), Tensor(rng.normal(size=(3, 4))).node,
            Tensor(rng.normal(size=(3,)).astype(np.float32)).node, Tensor(np.arange(3)).node]


def values(rng, pool):
    integers = [0, 1, -1, 2, 3, 5, -7, 16, 17, 2**31, -2**31, 2**62, 2**63 - 1, -2**63, 2**63, 2**64, -2**70, 10**30]
    plain = [None, True, False, 0.0, 1.5, -0.5, float("nan"), float("inf"), -1e308, "", "f32", "mean", "x" * 300,
             "\x01", "\udc80", "ij,jk->ik",
             b"", b"\xff", object(), np.float32(2), np.zeros(3), [], [1], [1, 1], [2, 3], [0, 0, 0], [-1],
             [2**40, 2**40], [(0, 0), (0, 0)],
             [(1, 2)], [(-1, 2**62)], [None], ["a"], {}, {"a": 1}, (1, 2), [1.5], [0] * 17, [[1]], np.int64(1),
             lambda x: x]
    return integers + plain + pool * 4 + [pool[:2], [pool[0], pool[0]], [pool[5], None], [(None, None, -1), (1, 2, 1)]]


def parameters_of(function):
    """The types of a native function's parameters, from the signature in its docstring."""
    text = function.__doc__.split("(", 1)[1].rsplit(") ->", 1)[0]
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(text + ","):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            parts.append(text[start:at].split(": ", 1)[-1].split(" = ")[0].strip())
            start = at + 1
    return [part for part in parts if part]


INTEGERS = [0, 1, 1, 2, 2, 3, -1, -2, 4, 5, 7, 100, -100, 2**31 - 1, 2**40, 2**62, 2**63 - 1, -2**63]
NUMBERS = [0.0, 1.0, 0.5, -1.0, 2.0, 3.7, 1e-300, 1e300, float("inf"), float("-inf"), float("nan")]
WORDS = ["f32", "bf16", "i32", "bool", "mean", "none", "sum", "wrap", "outside", "constant", "reflect", "circular",
         "set", "add", "nearest", "bilinear", "bicubic", "asymmetric", "half_pixel", "floor", "zeros", "border", "tanh",
         "interleaved", "CRD", "ij,jk->ik", "ii->i", "...a,...b->ab", "a->aa", "->", "opencl:9", "", "x"]


def value_of_type(chosen, pool, kind):
    """Something of a type, more often than not of a sensible size."""
    if kind.startswith("Optional["):
        return None if chosen.random() < 0.5 else value_of_type(chosen, pool, kind[9:-1])
    if kind.startswith("List["):
        return [value_of_type(chosen, pool, kind[5:-1]) for _ in range(chosen.choice([0, 1, 1, 2, 2, 3, 4, 17]))]
    if kind.lower().startswith("tuple["):
        return tuple(value_of_type(chosen, pool, part) for part in kind[6:-1].split(", "))
    if kind == "int":
        return chosen.choice(INTEGERS[:9] if chosen.random() < 0.7 else INTEGERS)
    if kind == "float":
        return chosen.choice(NUMBERS)
    if kind == "bool":
        return chosen.random() < 0.5
    if kind == "str":
        return chosen.choice(WORDS)
    if kind == "_quarry.Realised":
        return _quarry.no_values()
    return chosen.choice(pool)


class Fuzz(unittest.TestCase):
    def setUp(self):
        faulthandler.enable()
        faulthandler.dump_traceback_later(120, exit=True)  # a hang shows where
        # A result of absurd size must be refused, not allocated. AddressSanitizer's shadow takes more than any limit: its own
        # option bounds each allocation (CMakeLists.txt).
        self.limits = resource.getrlimit(resource.RLIMIT_AS)
        if "asan" not in os.environ.get("LD_PRELOAD", ""):
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, self.limits[1]))

    def tearDown(self):
        resource.setrlimit(resource.RLIMIT_AS, self.limits)
        faulthandler.cancel_dump_traceback_later()

    def attempt(self, what, call, *args, expected=EXPECTED, **kwargs):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return call(*args, **kwargs)
        except expected:
            return None
        except MemoryError:
            return None
        except Exception as error:
            self.fail(f"{what}{args} raised {type(error).__name__}: {error}")

    def test_every_native_function_takes_any_arguments(self):
        chosen, rng = random.Random(SEED), np.random.default_rng(SEED)
        pool = tensors(rng)
        arguments = values(rng, pool)
        names = [name for name in dir(_quarry) if not name.startswith("__") and callable(getattr(_quarry, name))
                 and not isinstance(getattr(_quarry, name), type)]
        self.assertGreater(len(names), 200)
        for name in names:
            function = getattr(_quarry, name)
            wanted = parameters_of(function)
            for _ in range(CALLS_A_FUNCTION):
                fitting = [value_of_type(chosen, pool, kind) if chosen.random() < 0.95 else chosen.choice(arguments)
                           for kind in wanted]
                self.attempt(name, function, *fitting)
                if chosen.random() < 0.2:
                    self.attempt(name, function, *(chosen.choice(arguments) for _ in range(chosen.randrange(0, 8))))

    def test_every_function_of_the_package_takes_any_arguments(self):
        chosen, rng = random.Random(SEED), np.random.default_rng(SEED)
        pool = [Tensor.of(node) for node in tensors(rng)[:7]]
        arguments = values(rng, pool)
        functions = {name: function for name, function in vars(F).items() if not name.startswith("_")
                     and getattr(function, "__module__", "").startswith("quarry.functional")}
        self.assertGreater(len(functions), 150)
        for name, function in functions.items():
            for _ in range(CALLS_A_FUNCTION // 2):
                self.attempt(name, function, *(chosen.choice(pool if chosen.random() < 0.5 else arguments)
                                               for _ in range(chosen.randrange(1, 5))), expected=DUCKS)

    def test_every_method_of_a_tensor_takes_any_arguments(self):
        chosen, rng = random.Random(SEED), np.random.default_rng(SEED)
        pool = [Tensor.of(node) for node in tensors(rng)[:7]]
        arguments = values(rng, pool)
        skipped = {"become", "of", "numpy", "stored", "realize", "item", "tolist"}
        for name in dir(Tensor):
            if name in skipped or (name.startswith("_")
                                   and name not in ("__getitem__", "__add__", "__matmul__", "__pow__", "__and__",
                                                    "__floordiv__")):
                continue
            for _ in range(CALLS_A_FUNCTION // 2):
                member = self.attempt(name, getattr, chosen.choice(pool), name)
                if callable(member):
                    self.attempt(name, member, *(chosen.choice(arguments) for _ in range(chosen.randrange(0, 4))),
                                 expected=DUCKS)

    def test_random_arrays_become_tensors_or_errors(self):
        rng = np.random.default_rng(SEED)
        codes = ["?", "i1", "<u2", ">i2", "u1", ">i4", "<i8", ">f2", "<f4", ">f8", "c8", "O", "U3", "M8[s]", "f4,i4",
                 "g", "V5", "S2"]
        for code in codes:
            for shape in ((), (0,), (3,), (2, 0, 5), (4, 5), (1,) * 17):
                array = np.zeros(shape, code)
                strided = array[tuple(slice(None, None, -1) for _ in shape)]
                for given in (array, strided, np.broadcast_to(array, (2, *shape)), np.asfortranarray(array)):
                    result = self.attempt("Tensor", Tensor, given)
                    if result is not None and result.size:
                        np.testing.assert_array_equal(result.numpy(on="interpreter"),
                                                      np.asarray(given).astype(result.numpy().dtype))
                    self.attempt("run", quarry.run, quarry.build(quarry.input("x", (2,)) + 1), {"x": given},
                                 on="interpreter")
        del rng

    def test_mutated_graphs_are_read_or_refused(self):
        chosen = random.Random(SEED)
        x = quarry.input("x", (3, 4))
        text = quarry.build({"y": (x @ x.T).exp().sum(0), "z": x.pad([(1, 1), (0, 2)])[::2]})
        for original in (text.json().encode(), text.cbor()):
            for _ in range(1500):
                data = bytearray(original)
                for _ in range(chosen.randrange(1, 4)):
                    at = chosen.randrange(len(data))
                    kind = chosen.random()
                    if kind < 0.5:
                        data[at] = chosen.randrange(256)
                    elif kind < 0.75:
                        del data[at:at + chosen.randrange(1, 9)]
                    else:
                        data[at:at] = data[chosen.randrange(len(data)):][:chosen.randrange(1, 9)]
                graph = self.attempt("parse", quarry.Graph.parse, bytes(data))
                if graph is not None and all(np.prod(shape, dtype=float) < 1e4 for _,
                                             shape in (*graph.inputs.values(), *graph.outputs.values())):
                    self.attempt("count", graph.count)

    def test_objects_that_were_never_made_are_refused(self):
        for kind in (_quarry.Tensor, _quarry.Graph, _quarry.Realised, _quarry.Device):
            with self.assertRaises(TypeError):
                kind.__new__(kind)
            with self.assertRaises(TypeError):
                kind()

    def test_a_device_takes_any_arguments(self):
        chosen, rng = random.Random(SEED), np.random.default_rng(SEED)
        device = _quarry.open_device("interpreter", "")
        graph = quarry.build(quarry.input("x", (2,)) + 1).native
        good = [graph, [("x", (np.zeros(8, np.uint8), "f32", [2]))], [], {}, [], [("out", "last")], 0, 0, 1, None]
        self.assertIn("out", device.run(*good))
        arguments = [value for value in values(rng, tensors(rng)) if not callable(value)] + [
            [("x", (np.zeros(8, np.uint8)[::2], "f32", [1]))], [("x", (np.zeros(8, np.uint8), "f32", [-2]))],
            [("x", (b"12345678", "i32", [2]))],
            [("x", (np.zeros(7, np.uint8), "f32", [2]))], [("y", (b"", "f32", [0]))],
            [("x", (b"1" * 8, "f32", [2**62, 2**62]))], [("x", "x")],
            [("out", "first")], {"x": True}]
        for _ in range(1500):
            changed = list(good)
            changed[chosen.randrange(len(good))] = chosen.choice(arguments)
            if isinstance(changed[8], int) and changed[8] > 100:
                continue  # as many steps as were asked for
            self.attempt("run", device.run, *changed)


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    unittest.main()
