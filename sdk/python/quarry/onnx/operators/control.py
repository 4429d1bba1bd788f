"""Control flow whose way is known while the graph is written: the chosen branch, the unrolled loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np


from .. import engine as F
from .. import primitives, shapes
from ..registry import operator
from ..values import ELEMENT_NAMES, NUMPY_TYPES, Value

if TYPE_CHECKING:
    from ..importer import Node

UNROLLED_STEPS = 10_000


def stacked(node: "Node", values: list[Value], axis: int = 0) -> Value:
    """The values of all steps along a new axis."""
    if all(value.array is not None for value in values):
        return Value.known(np.stack([value.array for value in values], axis), values[0].element)
    return Value.computed(F.stack([value.tensor for value in values], axis), values[0].element)


def empty_scan(node: "Node", body: Any, position: int) -> Value:
    """What a loop of no steps collected: an axis of 0 before the shape that the body declares."""
    declared = body.output[position].type.tensor_type
    element = ELEMENT_NAMES.get(declared.elem_type, "")
    if element not in NUMPY_TYPES or not declared.HasField("shape"):
        node.refuse("a loop of no steps whose results have no declared shape")
    sizes = [dimension.dim_value for dimension in declared.shape.dim]
    return Value.known(np.zeros((0, *sizes), NUMPY_TYPES[element]), element)


@operator("If", known=(0,), by_values=True, refuses="conditions that are data")
def if_(node: "Node") -> tuple[Value, ...]:
    condition = node.known(0, "its condition")
    branch = node.attribute("then_branch" if condition.item() else "else_branch")
    return tuple(node.run_graph(branch, []))


@operator("Loop", known=(0, 1), by_values=True, refuses="conditions that are data; more than 10,000 steps")
def loop(node: "Node") -> tuple[Value, ...]:
    trips, condition = node.known(0, "its trip count"), node.known(1, "its condition")
    body = node.attribute("body")
    state = list(node.values[2:])
    limit = None if trips is None else int(trips.item())
    going = True if condition is None else bool(condition.item())
    scans: list[list[Value]] = [[] for _ in range(len(body.output) - 1 - len(state))]
    step = 0
    while going and (limit is None or step < limit):
        if step >= UNROLLED_STEPS:
            node.refuse(f"a loop of more than {UNROLLED_STEPS} steps")
        results = node.run_graph(body, [Value.known(np.array(step, np.int64), "i64"),
                                        Value.known(np.array(going), "bool"), *state])
        going = bool(node.value_of(results[0], "the condition that its body computes").item())
        state = results[1:1 + len(state)]
        for collected, value in zip(scans, results[1 + len(state):]):
            collected.append(value)
        step += 1
    return (*state, *(stacked(node, values) if values else empty_scan(node, body, 1 + len(state) + place)
                      for place, values in enumerate(scans)))


def at_step(value: Value, axis: int, step: int) -> Value:
    """One position of an axis, which is dropped."""
    if value.array is not None:
        return Value.known(np.take(value.array, step, axis), value.element)
    return Value.computed(primitives.at(value.tensor, axis, step), value.element)


@operator("Scan", since=9, by_values=True)
def scan(node: "Node") -> tuple[Value, ...]:
    body = node.attribute("body")
    scanned = node.attribute("num_scan_inputs")
    node.require(0 < scanned <= len(node.values), f"{scanned} scan inputs of {len(node.values)}")
    state, inputs = list(node.values[:-scanned]), node.values[-scanned:]
    outputs = len(body.output) - len(state)
    axes = [shapes.normal_axis(axis, len(value.shape))
            for axis, value in zip(node.attribute("scan_input_axes", [0] * scanned), inputs)]
    directions = node.attribute("scan_input_directions", [0] * scanned)
    state, scans = steps_of_scan(node, body, state, list(zip(inputs, axes, directions)))
    ends = []
    for place, values in enumerate(scans):
        backward = node.attribute("scan_output_directions", [0] * outputs)[place]
        axis = shapes.normal_axis(node.attribute("scan_output_axes", [0] * outputs)[place], len(values[0].shape) + 1)
        ends.append(stacked(node, values[::-1] if backward else values, axis))
    return (*state, *ends)


@operator("Scan", until=8, by_values=True, refuses="lengths of sequences in version 8; more than 10,000 steps")
def scan_of_batches(node: "Node") -> tuple[Value, ...]:
    """The first version: axis 0 is a batch of sequences that run apart, axis 1 their steps."""
    body, scanned = node.attribute("body"), node.attribute("num_scan_inputs")
    if node.values[0] is not None:
        node.refuse("lengths of sequences")
    given = node.values[1:]
    node.require(0 < scanned <= len(given), f"{scanned} scan inputs of {len(given)}")
    states = len(given) - scanned
    directions = node.attribute("directions", [0] * scanned)
    runs = []
    for sequence in range(given[0].shape[0]):
        values = [at_step(value, 0, sequence) for value in given]
        inputs = [(value, 0, direction) for value, direction in zip(values[states:], directions)]
        state, scans = steps_of_scan(node, body, values[:states], inputs)
        runs.append([*state, *(stacked(node, collected) for collected in scans)])
    node.require(bool(runs), "an empty batch")
    return tuple(stacked(node, list(values)) for values in zip(*runs))


def steps_of_scan(node: "Node", body: Any, state: list[Value],
                  inputs: list[tuple[Value, int, int]]) -> tuple[list[Value], list[list[Value]]]:
    """The last state and what each step gave, for inputs of (value, axis of steps, whether backwards)."""
    lengths = {value.shape[axis] for value, axis, _ in inputs}
    node.require(len(lengths) == 1, f"its scanned operands differ in length: {sorted(lengths)}")
    (steps,) = lengths
    node.require(steps > 0, "a scan of no steps")
    if steps > UNROLLED_STEPS:
        node.refuse(f"a scan of more than {UNROLLED_STEPS} steps")
    scans: list[list[Value]] = [[] for _ in range(len(body.output) - len(state))]
    for step in range(steps):
        slices = [at_step(value, axis, steps - 1 - step if backward else step) for value, axis, backward in inputs]
        results = node.run_graph(body, state + slices)
        state = results[:len(state)]
        for collected, value in zip(scans, results[len(state):]):
            collected.append(value)
    return state, scans
