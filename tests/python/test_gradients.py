"""backward() against the formulas of the gradients in NumPy, in f32 and f64. (tests/tensor checks every function
against finite differences.)"""
import os
import unittest

import numpy as np

import quarry
from quarry import Tensor, functional as F
from quarry.graph import build

from function_cases import convolved, sigmoid, softmax

SEED = int(os.environ.get("QUARRY_TEST_SEED", "3"))
IDS = np.array([2, 0, 2, 5], np.int32)  # 5 is outside of the table


def d_layer_norm(g, x):
    spread = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    y = (x - x.mean(-1, keepdims=True)) / spread
    return (g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True)) / spread


def d_conv(g, x, w):
    """Of the input and of the weight, stride 1, no padding."""
    flipped = w[:, :, ::-1, ::-1].swapaxes(0, 1)
    pads = tuple((k - 1, k - 1) for k in w.shape[2:])
    return convolved(g, flipped, pads=pads), convolved(x.swapaxes(0, 1), g.swapaxes(0, 1)).swapaxes(0, 1)


def d_embedding(g, table):
    slope = np.zeros_like(table)
    for row, position in zip(g, IDS):
        if position < len(table):
            slope[position] += row
    return slope


def d_softmax(g, x):
    y = softmax(x, -1)
    return y * (g - (g * y).sum(-1, keepdims=True))


# name: shapes of the operands, the function, and the gradients for each of them, given the gradient g of its result
FORMULAS = {
    "sum of a broadcast": ([(3, 4), (4,)], lambda x, y: x + y, lambda g, x, y: (g, g.sum(0))),
    "product": ([(3, 4), (3, 1)], lambda x, y: x * y, lambda g, x, y: (g * y, (g * x).sum(1, keepdims=True))),
    "quotient": ([(3,), (3,)], lambda x, y: x / (y * y + 1),
                 lambda g, x, y: (g / (y * y + 1), -g * x * 2 * y / (y * y + 1) ** 2)),
    "matmul": ([(2, 3, 4), (4, 5)], lambda x, y: x @ y, lambda g, x, y: (g @ y.T, np.einsum("bij,bik->jk", x, g))),
    "exp and log": ([(5,)], lambda x: (x.exp() + 1).log(), lambda g, x: (g * sigmoid(x),)),
    "sqrt": ([(5,)], lambda x: (x * x + 1).sqrt(), lambda g, x: (g * x / np.sqrt(x * x + 1),)),
    "power": ([(5,)], lambda x: x ** 3, lambda g, x: (3 * g * x**2,)),
    "relu": ([(4, 5)], F.relu, lambda g, x: (g * (x > 0),)),
    "sigmoid": ([(5,)], F.sigmoid, lambda g, x: (g * sigmoid(x) * (1 - sigmoid(x)),)),
    "tanh": ([(5,)], F.tanh, lambda g, x: (g * (1 - np.tanh(x) ** 2),)),
    "sin": ([(5,)], F.sin, lambda g, x: (g * np.cos(x),)),
    "mean": ([(3, 4)], lambda x: x.mean(0), lambda g, x: (np.broadcast_to(g / 3, x.shape),)),
    "max": ([(3, 4)], lambda x: x.max(1), lambda g, x: (g[:, None] * (x == x.max(1, keepdims=True)),)),
    "softmax": ([(3, 4)], F.softmax, lambda g, x: (d_softmax(g, x),)),
    "log_softmax": ([(3, 4)], F.log_softmax, lambda g, x: (g - softmax(x, -1) * g.sum(-1, keepdims=True),)),
    "layer_norm": ([(3, 6)], lambda x: F.layer_norm(x, 6), lambda g, x: (d_layer_norm(g, x),)),
    "cumsum": ([(3, 4)], lambda x: x.cumsum(1), lambda g, x: (g[:, ::-1].cumsum(1)[:, ::-1],)),
    "where": ([(3, 4), (3, 4)], lambda x, y: F.where(x > 0, x * y, y),
              lambda g, x, y: (g * y * (x > 0), g * np.where(x > 0, x, 1))),
    "movement": ([(3, 4)], lambda x: x.pad([(1, 0), (0, 2)])[::-1, 1:5].T, lambda g,
                 x: (np.pad(g.T[::-1][1:, :3], [(0, 0), (1, 0)]),)),
    "embedding": ([(3, 2)], lambda table: F.embedding(Tensor(IDS), table), lambda g, table: (d_embedding(g, table),)),
    "conv2d": ([(2, 3, 5, 4), (2, 3, 3, 2)], F.conv2d, d_conv),
    "cross_entropy": ([(4, 3)], lambda x: F.cross_entropy(x, Tensor(np.array([0, 2, 1, 1], np.int32))),
                      lambda g, x: (g * (softmax(x, 1) - np.eye(3)[[0, 2, 1, 1]]) / 4,)),
}


class Formulas(unittest.TestCase):
    def check(self, dtype, tolerance, place, names):
        """All in one graph."""
        rng, outputs, wanted = np.random.default_rng(SEED), {}, {}
        for name, (shapes, function, slopes) in FORMULAS.items():
            arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
            tensors = [Tensor(array, requires_grad=True) for array in arrays]
            result = function(*tensors)
            g = rng.normal(size=result.shape).astype(dtype)
            (result * Tensor(g)).sum().backward()
            for number, (tensor, slope) in enumerate(zip(tensors, slopes(g, *arrays))):
                if name in names:
                    outputs[f"{name}, operand {number}"], wanted[f"{name}, operand {number}"] = tensor.grad, slope
        for name, result in quarry.run(build(outputs), on=place).items():
            self.assertEqual(result.dtype, dtype)
            np.testing.assert_allclose(result, wanted[name], rtol=tolerance, atol=tolerance, err_msg=name)

    def test_in_f32(self):
        self.check(np.float32, 3e-5, "interpreter", FORMULAS)

    def test_in_f64(self):
        self.check(np.float64, 1e-10, "interpreter", FORMULAS)

    def test_on_opencl(self):
        self.check(np.float32, 3e-5, "opencl:0", ("matmul", "softmax", "conv2d", "embedding", "cross_entropy"))


if __name__ == "__main__":
    unittest.main()
