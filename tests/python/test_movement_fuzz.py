"""Random stacks of movement ops and reduces against NumPy, which carries each op out: 12,000 on the interpreter, fewer on OpenCL.

Many stacks make one graph. An OpenCL device compiles each kernel, so there the results of eight stacks are laid end to end in one output,
which one kernel computes from eight ways of indexing.
"""

from __future__ import annotations

import os
import random
import tempfile
import unittest
import unittest.mock

import numpy as np

import _quarry
import quarry

SEED = int(os.environ.get("QUARRY_FUZZ_SEED", random.SystemRandom().randrange(2**32)))
MOST_STEPS, MOST_ELEMENTS = 8, 3000
STACKS = {"interpreter": 12_000, "opencl": 160}
STACKS_A_GRAPH, STACKS_AN_OUTPUT = 120, 8


class Stacks:
    """A graph of random stacks over one input, and what NumPy makes of each."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.x = np.array([rng.randrange(-9, 10) for _ in range(96)], np.int32)
        self.nodes: list[dict] = [{"op": "INPUT", "name": "x", "dtype": "i32", "shape": [96]}]
        self.expected: list[tuple[int, np.ndarray]] = []

    def add(self, op: str, sources: list[int], **attributes) -> int:
        self.nodes.append({"op": op, "src": sources, **attributes})
        return len(self.nodes) - 1

    def stack(self) -> None:
        count = self.rng.randrange(1, 97)
        node, value = self.add("SHRINK", [0], bounds=[[0, count]]), self.x[:count]
        node, value = self.reshape(node, value)
        for _ in range(self.rng.randrange(1, MOST_STEPS + 1)):
            ops = [self.permute, self.pad, self.shrink, self.stride, self.reduce, self.reshape, self.reshape]
            if value.size <= MOST_ELEMENTS:
                ops += [self.expand, self.expand]
            node, value = self.rng.choice(ops)(node, value)
        self.expected.append((node, value))

    def reshape(self, node: int, value: np.ndarray) -> tuple[int, np.ndarray]:
        factors, left = [], value.size
        for prime in (2, 2, 2, 3, 5, 7):  # what is left over makes one axis more
            if left and left % prime == 0:
                factors.append(prime)
                left //= prime
        factors += [left] * (left != 1) + [1] * self.rng.randrange(3)
        self.rng.shuffle(factors)
        shape: list[int] = []
        for factor in factors:
            if shape and self.rng.random() < 0.4:
                shape[-1] *= factor
            else:
                shape.append(factor)
        return self.add("RESHAPE", [node], shape=shape), value.reshape(shape)

    def permute(self, node: int, value: np.ndarray) -> tuple[int, np.ndarray]:
        axes = self.rng.sample(range(value.ndim), value.ndim)
        return self.add("PERMUTE", [node], axes=axes), value.transpose(axes)

    def expand(self, node: int, value: np.ndarray) -> tuple[int, np.ndarray]:
        shape = [self.rng.randrange(1, 5) if size == 1 else size for size in value.shape]
        return self.add("EXPAND", [node], shape=shape), np.broadcast_to(value, shape)

    def pad(self, node: int, value: np.ndarray) -> tuple[int, np.ndarray]:
        pads = [[self.rng.choice((0, 0, 1, 2)) for _ in range(2)] for _ in value.shape]
        return self.add("PAD", [node], pads=pads), np.pad(value, pads) if pads else value

    def shrink(self, node: int, value: np.ndarray) -> tuple[int, np.ndarray]:
        bounds = [sorted((self.rng.randrange(size + 1), self.rng.randrange(size + 1))) for size in value.shape]
        if self.rng.random() < 0.9:  # empty values are allowed, but would soon be all there is
            bounds = [[min(begin, size - 1), max(end, min(begin, size - 1) + 1)] if size else [0, 0]
                      for (begin, end), size in zip(bounds, value.shape)]
        return self.add("SHRINK", [node], bounds=bounds), value[tuple(slice(*bound) for bound in bounds)]

    def stride(self, node: int, value: np.ndarray) -> tuple[int, np.ndarray]:
        strides = [self.rng.choice((-3, -2, -1, 1, 1, 2, 3)) for _ in value.shape]
        return self.add("STRIDE", [node], strides=strides), value[tuple(slice(None, None, stride) for stride in strides)]

    def reduce(self, node: int, value: np.ndarray) -> tuple[int, np.ndarray]:
        axes = [axis for axis in range(value.ndim) if self.rng.random() < 0.4]
        if not axes:
            return node, value
        if value.size and self.rng.random() < 0.5:
            return self.add("REDUCE_MAX", [node], axes=axes), value.max(axis=tuple(axes), keepdims=True)
        total = value.sum(axis=tuple(axes), keepdims=True, dtype=np.int32)
        return self.add("REDUCE_SUM", [node], axes=axes), total

    def end_to_end(self, stacks: list[tuple[int, np.ndarray]]) -> int:
        """One node with the elements of all of them, in a row."""
        whole, before, result = sum(value.size for _, value in stacks), 0, -1
        for node, value in stacks:
            flat = self.add("RESHAPE", [node], shape=[value.size])
            part = self.add("PAD", [flat], pads=[[before, whole - before - value.size]])
            result = part if result < 0 else self.add("ADD", [result, part])
            before += value.size
        return result


class MovementAgainstNumPy(unittest.TestCase):
    def check(self, device: str, stacks_an_output: int) -> None:
        rng = random.Random(f"{SEED} {device}")
        for first in range(0, STACKS[device], STACKS_A_GRAPH):
            case = Stacks(rng)
            for _ in range(STACKS_A_GRAPH):
                case.stack()
            groups = [case.expected[i:i + stacks_an_output] for i in range(0, STACKS_A_GRAPH, stacks_an_output)]
            outputs = {f"y{i}": case.end_to_end(group) for i, group in enumerate(groups)}
            graph = {"version": 1, "nodes": case.nodes, "outputs": outputs}
            results = quarry.run(graph, {"x": case.x}, on=device)
            for i, group in enumerate(groups):
                want = np.concatenate([value.reshape(-1) for _, value in group])
                np.testing.assert_array_equal(results[f"y{i}"], want, f"QUARRY_FUZZ_SEED={SEED}, from stack {first}, output y{i}")

    def test_12000_stacks_on_the_interpreter(self) -> None:
        self.check("interpreter", 1)

    def test_160_stacks_on_opencl(self) -> None:
        if not any(found["backend"] == "opencl" for found in _quarry.devices()):
            self.skipTest("no OpenCL device")
        with tempfile.TemporaryDirectory() as cache, unittest.mock.patch.dict(os.environ, XDG_CACHE_HOME=cache):
            self.check("opencl", STACKS_AN_OUTPUT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
