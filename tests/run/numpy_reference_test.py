"""Compares a device with NumPy: every op on every dtype, movement chains, reduces, random numbers, idioms.

usage: numpy_reference_test.py RUN_CASE DEVICE [SEED]. Inputs and shapes are random; the seed is printed, so a failure can be run again.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from reference import DTYPES, FLOATS, INTEGERS, evaluate, from_bytes, rounded, to_bytes  # noqa: E402

RUN_CASE, DEVICE = sys.argv[1], sys.argv[2]
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else int.from_bytes(os.urandom(4), "little")
# A compiling device takes a tenth of a second for each case, so each run of the tests gives it another sample of them.
SHARE = 1.0 if DEVICE == "interpreter" else 0.12
BITS = {"bool": 8, "i8": 8, "u8": 8, "i32": 32, "i64": 64, "f16": 16, "bf16": 16, "f32": 32, "f64": 64}
MOST_RANK = 16  # of a graph's shapes
EPSILON = {"f16": 2.0**-11, "bf16": 2.0**-8, "f32": 2.0**-24, "f64": 2.0**-53}  # half an ulp of 1


def special_values(dtype):
    if dtype == "bool":
        return [False, True]
    if dtype in INTEGERS:
        info = np.iinfo(DTYPES[dtype])
        return [info.min, info.min + 1, 0, 1, 2, 3, 5, info.max - 1, info.max] + ([-1, -2, -7] if info.min < 0 else [])
    largest = {"f16": 65504.0, "bf16": 3.3895313892515355e38, "f32": 3.4028234663852886e38, "f64": 1.7976931348623157e308}
    least = {"f16": 2.0**-14, "bf16": 2.0**-126, "f32": 2.0**-126, "f64": 2.0**-1022}
    return [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 10.5, np.inf, -np.inf, np.nan,
            largest[dtype], -largest[dtype], least[dtype]]


def random_values(rng, dtype, shape):
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype in INTEGERS:
        info = np.iinfo(DTYPES[dtype])
        small = rng.integers(max(info.min, -9), 10, shape)
        return np.where(rng.random(shape) < 0.5, small, rng.integers(info.min, info.max, shape, endpoint=True)).astype(DTYPES[dtype])
    return rounded(dtype, rng.normal(0, 1, shape) * np.exp(rng.normal(0, 1.5, shape)))


def random_shape(rng, most_rank=4, most=5):
    return [int(size) for size in rng.integers(0 if rng.random() < 0.08 else 1, most + 1, rng.integers(0, most_rank + 1))]


class GraphText:
    """Builds a graph in its JSON form."""

    def __init__(self):
        self.nodes, self.shapes, self.inputs, self.outputs = [], [], {}, {}

    def add(self, op, result_shape, source=(), /, **fields):
        self.nodes.append({"op": op, **({"src": list(source)} if source else {}), **fields})
        self.shapes.append([int(size) for size in result_shape])
        return len(self.nodes) - 1

    def input(self, dtype, values):
        name = f"in{len(self.inputs)}"
        self.inputs[name] = (dtype, values)
        return self.add("INPUT", values.shape, name=name, dtype=dtype, shape=list(values.shape))

    def constant(self, dtype, shape, value):
        return self.add("CONST", shape, dtype=dtype, shape=list(shape), value=value)

    def binary(self, op, x, y):
        return self.add(op, self.shapes[x], [x, y])

    def cast(self, x, dtype):
        return self.add("CAST", self.shapes[x], [x], dtype=dtype)

    def reduce(self, op, x, axes):
        return self.add(op, [1 if i in axes else size for i, size in enumerate(self.shapes[x])], [x], axes=list(axes))

    def reshape(self, x, shape):
        return self.add("RESHAPE", shape, [x], shape=list(shape))

    def expand(self, x, shape):
        return self.add("EXPAND", shape, [x], shape=list(shape))

    def document(self):
        return {"version": 1, "nodes": self.nodes, "outputs": self.outputs}


def random_movement(rng, graph, x):
    shape = graph.shapes[x]
    op = rng.choice(["RESHAPE", "PERMUTE", "EXPAND", "PAD", "SHRINK", "STRIDE"])
    if op == "RESHAPE":
        factors = [size for size in shape for size in split(rng, size)]
        return graph.reshape(x, factors if len(factors) <= MOST_RANK and rng.random() < 0.5 else merge(rng, factors))
    if op == "PERMUTE":
        axes = [int(axis) for axis in rng.permutation(len(shape))]
        return graph.add(op, [shape[axis] for axis in axes], [x], axes=axes)
    if op == "EXPAND":
        return graph.expand(x, [int(rng.integers(1, 4)) if size == 1 else size for size in shape])
    if op == "PAD":
        pads = [[int(n) for n in rng.integers(0, 3, 2)] for _ in shape]
        return graph.add(op, [size + sum(pad) for size, pad in zip(shape, pads)], [x], pads=pads)
    if op == "SHRINK":
        bounds = []
        for size in shape:
            begin = int(rng.integers(0, size // 2 + 1))
            bounds.append([begin, int(rng.integers(min(begin + 1, size), size + 1))])
        return graph.add(op, [end - begin for begin, end in bounds], [x], bounds=bounds)
    strides = [int(rng.choice([-3, -2, -1, 1, 1, 2, 3])) for _ in shape]
    return graph.add(op, [-(-size // abs(stride)) for size, stride in zip(shape, strides)], [x], strides=strides)


def split(rng, size):
    divisors = [n for n in range(1, size + 1) if size % n == 0] or [1]
    divisor = int(rng.choice(divisors))
    return [divisor, size // divisor] if rng.random() < 0.5 else [size]


def merge(rng, shape):
    merged = []
    for size in shape:
        if merged and rng.random() < 0.4 or len(merged) >= 6:
            merged[-1] *= size
        else:
            merged.append(size)
    return merged


class Cases:
    """Collects cases, runs them in one process, and compares every output."""

    def __init__(self, rng):
        self.cases, self.rng = [], rng

    def add(self, graph, ulps=0, bound=None, expected=None, seed=0, step=0):
        if self.rng.random() < SHARE:
            self.cases.append((graph, ulps, bound, expected, seed, step))

    def check(self, test):
        with tempfile.TemporaryDirectory() as directory:
            for number, (graph, _, _, _, seed, step) in enumerate(self.cases):
                self.write(os.path.join(directory, str(number)), graph, seed, step)
            subprocess.run([RUN_CASE, DEVICE, directory], check=True)
            for number, case in enumerate(self.cases):
                self.compare(test, os.path.join(directory, str(number)), *case)

    @staticmethod
    def write(directory, graph, seed, step):
        os.mkdir(directory)
        with open(os.path.join(directory, "graph.json"), "w") as file:
            json.dump(graph.document(), file)
        with open(os.path.join(directory, "scalars"), "w") as file:
            file.write(f"{seed} {step}\n")
        for name, (dtype, values) in graph.inputs.items():
            with open(os.path.join(directory, name + ".in"), "wb") as file:
                file.write(to_bytes(dtype, values))

    @staticmethod
    def compare(test, directory, graph, ulps, bound, expected, seed, step):
        context = f"seed {SEED}, device {DEVICE}, graph {json.dumps(graph.document())[:3000]}"
        problem = os.path.join(directory, "problem")
        if os.path.exists(problem):
            test.fail(open(problem).read() + "; " + context)
        values, dtypes = evaluate(graph.document(), {n: v for n, (_, v) in graph.inputs.items()}, seed, step)
        for name, node in graph.outputs.items():
            with open(os.path.join(directory, name + ".out"), "rb") as file:
                got = from_bytes(dtypes[node], file.read(), graph.shapes[node])
            want = values[node] if expected is None else expected
            test.assertEqual(list(want.shape), graph.shapes[node], context)
            bad = differing(dtypes[node], got, want, ulps, bound)
            if bad.any():
                test.fail(f"{int(bad.sum())} of {bad.size} elements differ, first {got[bad][0]!r} for {want[bad][0]!r}; {context}")


def ordered(dtype, values):
    """Floats as integers whose differences are ulps."""
    if dtype == "bf16":
        bits, width = (np.ascontiguousarray(values).view(np.uint32) >> 16).astype(np.int64), 16
    else:
        width = BITS[dtype]
        bits = np.ascontiguousarray(values).view({16: np.uint16, 32: np.uint32, 64: np.uint64}[width]).astype(np.int64)
        if width == 64:
            return np.where(bits < 0, np.int64(-2**63) - bits, bits)
    magnitude = bits & ((1 << (width - 1)) - 1)
    return np.where(bits >> (width - 1) != 0, -magnitude, magnitude)


def differing(dtype, got, want, ulps, bound):
    got, want = np.atleast_1d(got), np.atleast_1d(want)
    if dtype not in FLOATS:
        return got != want
    both_nan = np.isnan(got) & np.isnan(want)
    with np.errstate(all="ignore"):
        if bound is not None:
            finite = np.isfinite(want)
            near = np.abs(got.astype(np.float64) - want.astype(np.float64)) <= np.atleast_1d(bound)
            return ~(both_nan | (got == want) | (finite & near))
        if ulps == 0:  # bit for bit, but a maximum of zeros may have either sign
            return ~(both_nan | (got == want))
        a, b = ordered(dtype, got), ordered(dtype, want)
        far = np.abs(a.astype(np.float64) - b.astype(np.float64)) > 2.0**40  # where a difference of integers might wrap
        return ~(both_nan | (~far & (np.abs(a - b) <= ulps)))


class Operations(unittest.TestCase):
    def setUp(self):
        self.rng = np.random.default_rng([SEED, sum(self.id().encode())])
        self.cases = Cases(np.random.default_rng(SEED))

    def tearDown(self):
        self.cases.check(self)

    def pairs(self, dtype):
        special = rounded(dtype, special_values(dtype)) if dtype in FLOATS else np.array(special_values(dtype), DTYPES[dtype])
        count = len(special)
        x = np.concatenate([np.repeat(special, count), random_values(self.rng, dtype, 137)])
        y = np.concatenate([np.tile(special, count), random_values(self.rng, dtype, 137)])
        return x, y

    def binary_case(self, op, dtype, x, y, ulps=0):
        graph = GraphText()
        graph.outputs["out"] = graph.binary(op, graph.input(dtype, x), graph.input(dtype, y))
        self.cases.add(graph, ulps)

    def test_arithmetic_is_correctly_rounded_and_integers_wrap(self):
        for dtype in DTYPES:
            for op in ("ADD", "SUB", "MUL", "DIV", "MAX", "CMPEQ"):
                if (op, dtype) != ("DIV", "bool"):
                    self.binary_case(op, dtype, *self.pairs(dtype))

    def test_pow_is_c_pow_on_floats_and_a_wrapping_product_on_integers(self):
        for dtype in DTYPES:
            self.binary_case("POW", dtype, *self.pairs(dtype), ulps=16)

    def test_pow_by_0_is_1_and_by_1_keeps_every_bit(self):
        for dtype in FLOATS:
            x, _ = self.pairs(dtype)
            self.binary_case("POW", dtype, x, rounded(dtype, np.zeros(len(x))))
            self.binary_case("POW", dtype, x, rounded(dtype, np.ones(len(x))))

    def test_exp_and_log_are_within_4_ulp(self):
        for dtype in FLOATS:
            x, y = self.pairs(dtype)
            for op, values in (("EXP", x), ("LOG", x), ("LOG", np.abs(y))):
                graph = GraphText()
                graph.outputs["out"] = graph.add(op, values.shape, [graph.input(dtype, values)])
                self.cases.add(graph, 4)

    def test_cast_truncates_saturates_and_rounds_to_nearest_even(self):
        for source in DTYPES:
            x, _ = self.pairs(source)
            if source in FLOATS:
                edges = [255.0, 255.5, 256.0, -0.9, 127.9, 128.0, 2147483648.0, -2147483648.0, 9.3e18, 65519.0, 65520.0, 1.00390625]
                x = np.concatenate([x, rounded(source, edges)])
            for target in DTYPES:
                graph = GraphText()
                graph.outputs["out"] = graph.cast(graph.input(source, x), target)
                self.cases.add(graph)

    def test_chains_of_movement_show_the_elements_that_numpy_shows(self):
        for _ in range(150):
            dtype = str(self.rng.choice(list(DTYPES)))
            graph = GraphText()
            x = graph.input(dtype, random_values(self.rng, dtype, random_shape(self.rng)))
            for _ in range(self.rng.integers(1, 9)):
                if np.prod(graph.shapes[x], dtype=np.float64) < 4000:
                    x = random_movement(self.rng, graph, x)
            graph.outputs["out"] = x
            self.cases.add(graph)

    def test_movement_between_operations_and_reduces_is_seen_by_both(self):
        for _ in range(80):
            dtype = str(self.rng.choice(["i32", "i64", "u8", "bool"]))
            graph = GraphText()
            x = graph.input(dtype, random_values(self.rng, dtype, random_shape(self.rng)))
            for _ in range(self.rng.integers(2, 10)):
                x = self.exact_step(graph, dtype, x)
            graph.outputs["out"] = x
            self.cases.add(graph)

    def exact_step(self, graph, dtype, x):
        choice = self.rng.integers(0, 4)
        if choice == 0 and graph.shapes[x]:
            axes = [i for i in range(len(graph.shapes[x])) if self.rng.random() < 0.5] or [0]
            return graph.reduce(str(self.rng.choice(["REDUCE_SUM", "REDUCE_MAX"])), x, axes)
        if choice == 1:
            other = graph.input(dtype, random_values(self.rng, dtype, graph.shapes[x]))
            return graph.binary(str(self.rng.choice(["ADD", "SUB", "MUL", "POW", "CMPEQ", "MAX"])), x, other)
        if np.prod(graph.shapes[x], dtype=np.float64) < 2000:
            return random_movement(self.rng, graph, x)
        return x

    def test_sums_are_within_the_bound_of_any_order(self):
        for dtype in FLOATS:
            for _ in range(12):
                shape = random_shape(self.rng, 4, 9) or [3]
                axes = [i for i in range(len(shape)) if self.rng.random() < 0.6] or [0]
                values = random_values(self.rng, dtype, shape)
                graph = GraphText()
                graph.outputs["out"] = graph.reduce("REDUCE_SUM", graph.input(dtype, values), axes)
                self.cases.add(graph, bound=self.sum_bound(dtype, values, axes))

    @staticmethod
    def sum_bound(dtype, values, axes):
        count = int(np.prod([values.shape[i] for i in axes], dtype=np.int64))
        inner = EPSILON["f64" if dtype == "f64" else "f32"]
        magnitude = np.sum(np.abs(values.astype(np.float64)), axis=tuple(axes), keepdims=True)
        return (count * inner + 2 * EPSILON[dtype]) * magnitude

    def test_integer_sums_wrap_and_maxima_propagate_nan(self):
        for dtype in DTYPES:
            for shape, axes in (([7, 5], [0]), ([7, 5], [1]), ([2, 3, 4], [0, 2]), ([3, 0, 2], [1]), ([0], [0]), ([1, 1], [0, 1])):
                values = random_values(self.rng, dtype, shape)
                if dtype in FLOATS and values.size:
                    values.reshape(-1)[0] = np.nan
                graph = GraphText()
                x = graph.input(dtype, values)
                graph.outputs["max"] = graph.reduce("REDUCE_MAX", x, axes)
                if dtype not in FLOATS or not values.size:
                    graph.outputs["sum"] = graph.reduce("REDUCE_SUM", x, axes)
                self.cases.add(graph)

    def test_matmul_of_odd_shapes_is_within_its_bound(self):
        for dtype in ("f16", "bf16", "f32", "f64"):
            m, n, k = (int(size) for size in self.rng.integers(1, 40, 3))
            a, b = random_values(self.rng, dtype, [m, k]), random_values(self.rng, dtype, [k, n])
            a, b = rounded(dtype, np.clip(a, -8, 8)), rounded(dtype, np.clip(b, -8, 8))
            graph = GraphText()
            left = graph.expand(graph.reshape(graph.input(dtype, a), [m, k, 1]), [m, k, n])
            right = graph.expand(graph.reshape(graph.input(dtype, b), [1, k, n]), [m, k, n])
            graph.outputs["out"] = graph.reduce("REDUCE_SUM", graph.binary("MUL", left, right), [1])
            product = a.astype(np.float64)[:, :, None] * b.astype(np.float64)[None]
            self.cases.add(graph, bound=self.sum_bound(dtype, product, [1]))

    def test_random_numbers_are_philox_of_element_step_stream_and_seed(self):
        for dtype in ("f32", "i32"):
            for shape in ([13], [3, 5], [], [0]):
                graph = GraphText()
                graph.outputs["out"] = graph.add("RAND", shape, dtype=dtype, shape=shape, stream=int(self.rng.integers(0, 2**32)))
                seed = int(self.rng.integers(0, 2**63)) * 2 + 1
                self.cases.add(graph, seed=seed, step=int(self.rng.integers(0, 2**31 - 1)))

    def test_iota_step_and_constants_of_every_dtype(self):
        graph = GraphText()
        for dtype in DTYPES:
            value = True if dtype == "bool" else "nan" if dtype == "bf16" else "-inf" if dtype == "f16" else 3
            if dtype != "bool":
                graph.outputs["const_" + dtype] = graph.constant(dtype, [2, 3], value)
        for dtype in ("i32", "i64"):
            graph.outputs["iota_" + dtype] = graph.add("IOTA", [3, 4], dtype=dtype, shape=[3, 4], axis=int(self.rng.integers(0, 2)))
        graph.outputs["step"] = graph.add("STEP", [])
        self.cases.add(graph, step=12345)

    def test_select_is_exact_where_the_branch_not_taken_is_infinite_or_nan(self):
        for dtype in FLOATS:
            x, y = self.pairs(dtype)
            flags = self.rng.integers(0, 2, len(x)).astype(np.bool_)
            graph = GraphText()
            condition = graph.cast(graph.input("bool", flags), dtype)
            left, right = graph.input(dtype, x), graph.input(dtype, y)
            inverse = graph.binary("SUB", graph.constant(dtype, [len(x)], 1), condition)
            graph.outputs["out"] = graph.binary("MUL", graph.binary("POW", left, condition), graph.binary("POW", right, inverse))
            self.cases.add(graph, expected=np.where(flags, x, y))

    def test_gather_is_exact_with_infinite_rows_and_indices_out_of_range(self):
        for dtype in ("f16", "bf16", "f32", "f64", "i32", "i64"):
            for index_dtype in ("i32", "i64"):
                rows, width, count = (int(size) for size in self.rng.integers(1, 9, 3))
                table = random_values(self.rng, dtype, [rows, width])
                if dtype in FLOATS:
                    table[self.rng.integers(0, rows), self.rng.integers(0, width)] = np.inf
                    table[self.rng.integers(0, rows), self.rng.integers(0, width)] = np.nan
                index = self.rng.integers(-2, rows + 2, count).astype(DTYPES[index_dtype])
                shape = [count, rows, width]
                graph = GraphText()
                wanted = graph.expand(graph.reshape(graph.input(index_dtype, index), [count, 1]), [count, rows])
                iota = graph.add("IOTA", [count, rows], dtype=index_dtype, shape=[count, rows], axis=1)
                mask = graph.cast(graph.binary("CMPEQ", iota, wanted), dtype)
                mask = graph.expand(graph.reshape(mask, [count, rows, 1]), shape)
                values = graph.expand(graph.reshape(graph.input(dtype, table), [1, rows, width]), shape)
                graph.outputs["out"] = graph.reduce("REDUCE_SUM", graph.binary("MUL", mask, values), [1])
                inside = ((index >= 0) & (index < rows))[:, None]
                found = np.where(inside, table[np.clip(index, 0, rows - 1)], np.zeros_like(table[:1]))
                self.cases.add(graph, expected=found.reshape(count, 1, width))

    def test_a_bool_of_comparisons_follows_its_algebra(self):
        graph = GraphText()
        x, y = graph.input("bool", np.array([0, 0, 1, 1], np.bool_)), graph.input("bool", np.array([0, 1, 0, 1], np.bool_))
        for op in ("ADD", "SUB", "MUL", "MAX", "POW", "CMPEQ"):
            graph.outputs[op] = graph.binary(op, x, y)
        self.cases.add(graph)


if __name__ == "__main__":
    print(f"seed {SEED}", flush=True)
    unittest.main(argv=[sys.argv[0]], verbosity=1)
