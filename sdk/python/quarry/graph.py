"""Graphs: from tensors, or from their wire forms (docs/graph-format.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import _quarry
from _quarry import GraphError

from .tensor import Tensor, array_of


class Graph:
    """A graph in normal form. Inputs that came from arrays have their values; the others are given when it runs."""

    def __init__(self, native: _quarry.Graph, payloads: Mapping[str, Any] | None = None):
        self.native = native
        self._payloads: dict[str, Any] = dict(payloads or {})

    @property
    def values(self) -> dict[str, np.ndarray]:
        """{input: array} of those that have one."""
        return {name: array_of(payload) for name, payload in self._payloads.items()}

    @property
    def open_inputs(self) -> list[str]:
        """The inputs without a value."""
        return [name for name in self.inputs if name not in self._payloads]

    @staticmethod
    def parse(graph: Any) -> Graph:
        """A Graph from a Graph, a dict, JSON text, or CBOR bytes. Raises GraphError, whose `pointer` names the
        place."""
        if isinstance(graph, Graph):
            return graph
        if isinstance(graph, _quarry.Graph):
            return Graph(graph)
        if isinstance(graph, Mapping):
            return Graph(_quarry.Graph.from_json(_json_of(graph).encode()))
        if isinstance(graph, str):
            return Graph(_quarry.Graph.from_json(graph.encode("utf-8", "surrogatepass")))
        if isinstance(graph, (bytes, bytearray, memoryview)):
            text = bytes(graph)
            is_json = text.lstrip(b" \t\r\n").startswith(b"{")
            return Graph(_quarry.Graph.from_json(text) if is_json else _quarry.Graph.from_cbor(text))
        raise TypeError(f"a graph is a quarry.Graph, a dict, JSON text or CBOR bytes, not {type(graph).__name__}")

    @property
    def id(self) -> str:
        """"graph_" and 64 hex digits: equal for equal programs, however they are written."""
        return self.native.id

    @property
    def nodes(self) -> int:
        return self.native.nodes

    @property
    def inputs(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """{name: (dtype, shape)}"""
        return self.native.inputs

    @property
    def outputs(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """{name: (dtype, shape)}"""
        return self.native.outputs

    def json(self) -> str:
        return self.native.json()

    def cbor(self) -> bytes:
        return self.native.cbor()

    def count(self, *, carry: Mapping[str, str] | None = None, feed: Sequence[str] = (), keep_each: Sequence[str] = (),
              steps: int = 1, checkpoint_every: int | None = None) -> dict[str, Any]:
        """The work of one step, in exact integers: flops, weighted, bytes, stored_values, memory_bound_bytes, metered;
        and of a job of `steps` steps job_metered, its metered FLOPs, and segments. `tariff` is the version that counted.
        `carry`, `feed` and `keep_each` (outputs of which every step's value is kept) change the memory bound, what is
        copied and what updates in place cost."""
        return self.native.count(list((carry or {}).items()), list(feed), list(keep_each), steps, checkpoint_every)

    def __repr__(self) -> str:
        def listed(values: dict[str, tuple[str, tuple[int, ...]]]) -> str:
            shown = [f"{name}: {dtype}{list(shape)}" for name, (dtype, shape) in list(values.items())[:6]]
            return ", ".join(shown + ["..."] * (len(values) > 6))
        return f"Graph({self.nodes} nodes, {listed(self.inputs)} -> {listed(self.outputs)}, {self.id[:14]})"


def _json_of(graph: Mapping[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            return value.tolist()
        raise TypeError(f"a graph holds no {type(value).__name__}")
    try:
        return json.dumps(graph, default=plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as problem:
        error = GraphError(f"the graph cannot be written as JSON: {problem}")
        error.code, error.pointer, error.action = "malformed_json", "", ""
        raise error from None


def build(outputs: Mapping[str, Tensor] | Tensor) -> Graph:
    """The graph that computes `outputs`: {name: Tensor}, or one Tensor, which is called "out". It is the program as it
    was written, also where values are known already."""
    if isinstance(outputs, Tensor):
        outputs = {"out": outputs}
    for name, value in outputs.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise TypeError(f"build takes {{name: Tensor}}, not {name!r}: {type(value).__name__}")
    return build_nodes({name: value.node for name, value in outputs.items()}, _quarry.no_values())


def build_nodes(outputs: Mapping[str, _quarry.Tensor], realised: _quarry.Realised,
                replacements: Sequence[tuple[_quarry.Tensor, _quarry.Tensor]] = ()) -> Graph:
    """The same of nodes, with values that are known in their places, and other nodes replaced."""
    native, payloads = _quarry.build(list(outputs.items()), list(replacements), realised)
    inputs = native.inputs  # an input that no output needs is in no graph
    return Graph(native, {name: value for name, value in payloads.items() if value is not None and name in inputs})
