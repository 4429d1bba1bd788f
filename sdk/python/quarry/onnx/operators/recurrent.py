"""RNN, GRU and LSTM, unrolled over time: one graph for the sequence's length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

from ...tensor import Tensor
from .. import engine as F
from .. import primitives
from ..registry import operator

if TYPE_CHECKING:
    from ..importer import Node

UNROLLED_STEPS = 10_000
Activation = Callable[[Tensor], Tensor]
State = tuple[Tensor, ...]
Step = Callable[[Tensor, State], State]  # input and state -> new state, the output first


def activation(node: "Node", name: str, alpha: Optional[float], beta: Optional[float]) -> Activation:
    def of(given: Optional[float], default: float) -> float:
        return default if given is None else given

    table: dict[str, Activation] = {
        "relu": F.relu, "tanh": F.tanh, "sigmoid": F.sigmoid, "softsign": F.softsign,
        "softplus": lambda x: F.softplus(x, 1.0),
        "affine": lambda x: x * of(alpha, 1.0) + of(beta, 0.0),
        "leakyrelu": lambda x: F.leaky_relu(x, of(alpha, 0.01)),
        "thresholdedrelu": lambda x: F.thresholded_relu(x, of(alpha, 1.0)),
        "scaledtanh": lambda x: F.tanh(x * of(beta, 1.0)) * of(alpha, 1.0),
        "hardsigmoid": lambda x: F.hardsigmoid(x, of(alpha, 0.2), of(beta, 0.5)),
        "elu": lambda x: F.elu(x, of(alpha, 1.0))}
    node.require(name.lower() in table, f"unknown activation {name!r}")
    return table[name.lower()]


class Sequence:
    """What the three have in common: layouts, directions, lengths, clipping, the loop over time."""

    def __init__(self, node: "Node", x: Tensor, lengths: Optional[Tensor], functions: list[str]):
        self.node = node
        self.layout = node.attribute("layout", 0)
        self.x = x.permute((1, 0, 2)) if self.layout else x  # [time, batch, input]
        self.steps, self.batch, _ = self.x.shape
        if self.steps > UNROLLED_STEPS:
            node.refuse(f"a sequence of more than {UNROLLED_STEPS} steps")
        self.hidden = node.values[2].shape[-1]
        node.require(node.attribute("hidden_size", self.hidden) == self.hidden, "hidden_size differs from the weights'")
        direction = node.attribute("direction", "forward")
        node.require(direction in ("forward", "reverse", "bidirectional"), f"unknown direction {direction!r}")
        self.reversed = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
        self.lengths = lengths
        self.clip = node.attribute("clip")
        names = node.attribute("activations", functions * len(self.reversed))
        node.require(len(names) == len(functions) * len(self.reversed), f"activations {names}")
        alphas, betas = iter(node.attribute("activation_alpha", [])), iter(node.attribute("activation_beta", []))
        chosen = []
        for name in names:  # each takes its parameters, if it has any, from the lists
            takes_alpha = name.lower() in ("affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu")
            takes_beta = name.lower() in ("affine", "scaledtanh", "hardsigmoid")
            chosen.append(activation(node, name, next(alphas, None) if takes_alpha else None,
                                     next(betas, None) if takes_beta else None))
        self.functions = [chosen[place:place + len(functions)] for place in range(0, len(chosen), len(functions))]

    def clipped(self, x: Tensor) -> Tensor:
        return x if self.clip is None else F.clip(x, -self.clip, self.clip)

    def initial(self, given: Optional[Tensor], direction: int) -> Tensor:
        """[batch, hidden] of one direction."""
        if given is None:
            return primitives.zeros((self.batch, self.hidden), self.x.dtype)
        if self.layout:
            given = given.permute((1, 0, 2))
        return primitives.at(given, 0, direction)

    def run(self, direction: int, step: Step, state: State) -> tuple[list[Tensor], State]:
        """The hidden state after each step, in order of time, and the last state. Beyond a sequence's length the state
        stays and the output is 0. So a reversed direction begins at each sequence's own end."""
        outputs: list[Optional[Tensor]] = [None] * self.steps
        order = range(self.steps - 1, -1, -1) if self.reversed[direction] else range(self.steps)
        for time in order:
            new = step(primitives.at(self.x, 0, time), state)
            output = new[0]
            if self.lengths is not None:
                inside = primitives.broadcast_to((self.lengths > time).reshape((self.batch, 1)),
                                                 (self.batch, self.hidden))
                new = tuple(F.where(inside, after, before) for after, before in zip(new, state))
                output = F.where(inside, output, primitives.zeros_like(output))
            outputs[time], state = output, new
        return outputs, state

    def results(self, begin: Callable[[int], tuple[Step, State]]) -> tuple[Tensor, ...]:
        """Y [time, directions, batch, hidden] and the last states [directions, batch, hidden]; batch first in layout
        1. `begin` gives a direction's step and its first state."""
        outputs, states = [], []
        for direction in range(len(self.reversed)):
            steps, state = self.run(direction, *begin(direction))
            outputs.append(F.stack(steps, 0))
            states.append(state)
        whole = F.stack(outputs, 1)
        last = [F.stack(list(parts), 0) for parts in zip(*states)]
        if self.layout:
            whole = whole.permute((2, 0, 1, 3))
            last = [part.permute((1, 0, 2)) for part in last]
        return (whole, *last)[:len(self.node.output_names)]


def gates(parameter: Tensor, direction: int, count: int) -> list[Tensor]:
    """One direction's weights [count * hidden, n] as matrices [n, hidden], or its biases as rows."""
    mine = primitives.at(parameter, 0, direction)
    height = mine.shape[0] // count
    parts = [F.narrow(mine, 0, place * height, height) for place in range(count)]
    return [part.permute((1, 0)) if len(part.shape) == 2 else part.reshape((1, height)) for part in parts]


def biases(sequence: Sequence, bias: Optional[Tensor], direction: int, count: int) -> list[Tensor]:
    if bias is None:
        return [primitives.zeros((1, sequence.hidden), sequence.x.dtype)] * count
    return gates(bias, direction, count)


@operator("RNN", since=7, refuses="more than 10,000 steps")
def rnn(node: "Node", x: Tensor, w: Tensor, r: Tensor, bias: Optional[Tensor] = None, lengths: Optional[Tensor] = None,
        initial: Optional[Tensor] = None) -> tuple[Tensor, ...]:
    sequence = Sequence(node, x, lengths, ["Tanh"])

    def begin(direction: int) -> tuple[Step, State]:
        (function,) = sequence.functions[direction]
        (w_i,), (r_i,) = gates(w, direction, 1), gates(r, direction, 1)
        b_w, b_r = biases(sequence, bias, direction, 2)

        def step(x_t: Tensor, state: State) -> State:
            return (function(sequence.clipped(x_t @ w_i + state[0] @ r_i + (b_w + b_r))),)

        return step, (sequence.initial(initial, direction),)

    return sequence.results(begin)


@operator("GRU", since=7, refuses="more than 10,000 steps")
def gru(node: "Node", x: Tensor, w: Tensor, r: Tensor, bias: Optional[Tensor] = None, lengths: Optional[Tensor] = None,
        initial: Optional[Tensor] = None) -> tuple[Tensor, ...]:
    sequence = Sequence(node, x, lengths, ["Sigmoid", "Tanh"])
    before = node.attribute("linear_before_reset", 0)

    def begin(direction: int) -> tuple[Step, State]:
        f, g = sequence.functions[direction]
        w_z, w_r, w_h = gates(w, direction, 3)
        r_z, r_r, r_h = gates(r, direction, 3)
        b_wz, b_wr, b_wh, b_rz, b_rr, b_rh = biases(sequence, bias, direction, 6)

        def step(x_t: Tensor, state: State) -> State:
            (h,) = state
            z = f(sequence.clipped(x_t @ w_z + h @ r_z + (b_wz + b_rz)))
            reset = f(sequence.clipped(x_t @ w_r + h @ r_r + (b_wr + b_rr)))
            from_h = reset * (h @ r_h + b_rh) if before else (reset * h) @ r_h + b_rh
            candidate = g(sequence.clipped(x_t @ w_h + from_h + b_wh))
            return ((1 - z) * candidate + z * h,)

        return step, (sequence.initial(initial, direction),)

    return sequence.results(begin)


@operator("LSTM", since=7, refuses="more than 10,000 steps")
def lstm(node: "Node", x: Tensor, w: Tensor, r: Tensor, bias: Optional[Tensor] = None, lengths: Optional[Tensor] = None,
         initial_h: Optional[Tensor] = None, initial_c: Optional[Tensor] = None,
         peepholes: Optional[Tensor] = None) -> tuple[Tensor, ...]:
    sequence = Sequence(node, x, lengths, ["Sigmoid", "Tanh", "Tanh"])
    coupled = node.attribute("input_forget", 0)

    def begin(direction: int) -> tuple[Step, State]:
        f, g, h = sequence.functions[direction]
        w_i, w_o, w_f, w_c = gates(w, direction, 4)
        r_i, r_o, r_f, r_c = gates(r, direction, 4)
        all_biases = biases(sequence, bias, direction, 8)
        b_i, b_o, b_f, b_c = (of_x + of_h for of_x, of_h in zip(all_biases[:4], all_biases[4:]))
        p_i, p_o, p_f = biases(sequence, peepholes, direction, 3)

        def step(x_t: Tensor, state: State) -> State:
            hidden, cell = state
            i = f(sequence.clipped(x_t @ w_i + hidden @ r_i + b_i + p_i * cell))
            forget = 1 - i if coupled else f(sequence.clipped(x_t @ w_f + hidden @ r_f + b_f + p_f * cell))
            candidate = g(sequence.clipped(x_t @ w_c + hidden @ r_c + b_c))
            new_cell = forget * cell + i * candidate
            o = f(sequence.clipped(x_t @ w_o + hidden @ r_o + b_o + p_o * new_cell))
            return o * h(new_cell), new_cell

        return step, (sequence.initial(initial_h, direction), sequence.initial(initial_c, direction))

    return sequence.results(begin)
