"""RNN, GRU and LSTM with random attributes against NumPy, written from the equations in ONNX's text."""

from __future__ import annotations

import unittest

import numpy as np
from onnx import TensorProto

import quarry.onnx
from onnx_models import F32, model, node, value

ON = "interpreter"
FUNCTIONS = {"Tanh": np.tanh, "Sigmoid": lambda x: 1 / (1 + np.exp(-x)), "Relu": lambda x: np.maximum(x, 0),
             "Affine": lambda x: 0.5 * x + 0.1, "HardSigmoid": lambda x: np.clip(0.3 * x + 0.4, 0, 1),
             "LeakyRelu": lambda x: np.where(x < 0, 0.2 * x, x), "Softsign": lambda x: x / (1 + np.abs(x)),
             "Softplus": lambda x: np.log1p(np.exp(x)), "ScaledTanh": lambda x: 0.7 * np.tanh(0.6 * x),
             "ThresholdedRelu": lambda x: np.where(x > 0.3, x, 0),
             "Elu": lambda x: np.where(x > 0, x, 1.5 * np.expm1(x))}
PARAMETERS = {"Affine": (0.5, 0.1), "HardSigmoid": (0.3, 0.4), "LeakyRelu": (0.2,), "ScaledTanh": (0.7, 0.6),
              "ThresholdedRelu": (0.3,), "Elu": (1.5,)}


class Drawn:
    """A random layer: sizes, attributes, operands by ONNX's names."""

    def __init__(self, rng: np.random.Generator, operator: str, gates: int, functions: int, states: int):
        self.operator, self.rng = operator, rng
        self.steps, self.batch, self.inputs, self.hidden = (int(size) for size in rng.integers(1, 5, 4))
        self.directions = {"forward": [1], "reverse": [-1], "bidirectional": [1, -1]}
        direction = str(rng.choice(list(self.directions)))
        self.directions = self.directions[direction]
        count = len(self.directions)
        self.names = [str(name) for name in rng.choice(list(FUNCTIONS), functions * count)]
        self.clip = float(rng.uniform(0.3, 2)) if rng.integers(2) else None
        self.attributes = {"hidden_size": self.hidden, "direction": direction, "activations": self.names,
                           "activation_alpha": [PARAMETERS[name][0] for name in self.names if name in PARAMETERS],
                           "activation_beta": [PARAMETERS[name][1] for name in self.names
                                               if len(PARAMETERS.get(name, ())) > 1]}
        if self.clip is not None:
            self.attributes["clip"] = self.clip
        self.operands = {"X": self.normal(self.steps, self.batch, self.inputs),
                         "W": self.normal(count, gates * self.hidden, self.inputs),
                         "R": self.normal(count, gates * self.hidden, self.hidden),
                         "B": self.maybe(count, 2 * gates * self.hidden), "lengths": None}
        if rng.integers(2):
            self.operands["lengths"] = rng.integers(1, self.steps + 1, self.batch).astype(np.int32)
        for state in range(states):
            self.operands[f"initial {state}"] = self.maybe(count, self.batch, self.hidden)

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(np.float32)

    def maybe(self, *shape: int) -> np.ndarray | None:
        return self.normal(*shape) if self.rng.integers(2) else None

    def given(self, name: str, direction: int, *shape: int) -> np.ndarray:
        array = self.operands[name]
        return np.zeros(shape, np.float32) if array is None else array[direction]

    def limited(self, x: np.ndarray) -> np.ndarray:
        return x if self.clip is None else np.clip(x, -self.clip, self.clip)

    def expected(self, step, states: int) -> list[np.ndarray]:
        """step(direction, x, state, functions) -> state, whose first entry is the output."""
        whole = np.zeros((self.steps, len(self.directions), self.batch, self.hidden), np.float32)
        last = np.zeros((states, len(self.directions), self.batch, self.hidden), np.float32)
        per = len(self.names) // len(self.directions)
        for direction, sign in enumerate(self.directions):
            functions = [FUNCTIONS[name] for name in self.names[direction * per:(direction + 1) * per]]
            for row in range(self.batch):
                length = self.steps if self.operands["lengths"] is None else self.operands["lengths"][row]
                state = [self.given(f"initial {i}", direction, self.batch, self.hidden)[row] for i in range(states)]
                for time in range(length)[::sign]:
                    state = step(direction, self.operands["X"][time, row], state, functions)
                    whole[time, direction, row] = state[0]
                last[:, direction, row] = state
        return [whole, *last]

    def check(self, case: unittest.TestCase, expected: list[np.ndarray]) -> None:
        given = {name: array for name, array in self.operands.items() if array is not None}
        inputs = [value(name, TensorProto.INT32 if array.dtype == np.int32 else F32, array.shape)
                  for name, array in given.items()]
        names = [name if array is not None else "" for name, array in self.operands.items()]
        outputs = ["Y", "Y_h", "Y_c"][:len(expected)]
        attributes = {name: entry for name, entry in self.attributes.items() if entry != []}  # which has no type
        proto = model([node(self.operator, names, outputs, **attributes)], inputs, outputs, opset=14)
        results = quarry.onnx.load(proto)(given, on=ON)
        for name, wanted in zip(outputs, expected):
            np.testing.assert_allclose(results[name], wanted, rtol=1e-4, atol=1e-5,
                                       err_msg=f"{name}: {self.attributes}")


def gates_of(drawn: Drawn, direction: int, count: int) -> tuple[list[np.ndarray], ...]:
    """W, R, Wb and Rb, one entry for each gate."""
    bias = drawn.given("B", direction, 2 * count * drawn.hidden)
    return (np.split(drawn.operands["W"][direction], count), np.split(drawn.operands["R"][direction], count),
            *(np.split(half, count) for half in np.split(bias, 2)))


class Recurrent(unittest.TestCase):
    rounds = 40

    def test_rnn(self):
        rng = np.random.default_rng(1)
        for _ in range(self.rounds):
            drawn = Drawn(rng, "RNN", 1, 1, 1)

            def step(direction, x, state, functions):
                (w,), (r,), (bw,), (br,) = gates_of(drawn, direction, 1)
                return [functions[0](drawn.limited(w @ x + r @ state[0] + bw + br))]

            drawn.check(self, drawn.expected(step, 1))

    def test_gru_in_both_forms_of_the_reset_gate(self):
        rng = np.random.default_rng(2)
        for _ in range(self.rounds):
            drawn = Drawn(rng, "GRU", 3, 2, 1)
            drawn.attributes["linear_before_reset"] = after = int(rng.integers(2))

            def step(direction, x, state, functions):
                (wz, wr, wh), (rz, rr, rh), (bwz, bwr, bwh), (brz, brr, brh) = gates_of(drawn, direction, 3)
                (h,), (f, g) = state, functions
                z = f(drawn.limited(wz @ x + rz @ h + bwz + brz))
                r = f(drawn.limited(wr @ x + rr @ h + bwr + brr))
                inner = r * (rh @ h + brh) if after else rh @ (r * h) + brh
                return [(1 - z) * g(drawn.limited(wh @ x + inner + bwh)) + z * h]

            drawn.check(self, drawn.expected(step, 1))

    def test_lstm_with_peepholes_and_coupled_gates(self):
        rng = np.random.default_rng(3)
        for _ in range(self.rounds):
            drawn = Drawn(rng, "LSTM", 4, 3, 2)
            drawn.operands["P"] = drawn.maybe(len(drawn.directions), 3 * drawn.hidden)
            drawn.attributes["input_forget"] = coupled = int(rng.integers(2))

            def step(direction, x, state, functions):
                w, r, bw, br = gates_of(drawn, direction, 4)
                pi, po, pf = np.split(drawn.given("P", direction, 3 * drawn.hidden), 3)
                (h, c), (f, g, k) = state, functions
                i, o, forget, new = (w[n] @ x + r[n] @ h + bw[n] + br[n] for n in range(4))
                i = f(drawn.limited(i + pi * c))
                forget = 1 - i if coupled else f(drawn.limited(forget + pf * c))
                c = forget * c + i * g(drawn.limited(new))
                return [f(drawn.limited(o + po * c)) * k(c), c]

            drawn.check(self, drawn.expected(step, 2))


if __name__ == "__main__":
    unittest.main()
