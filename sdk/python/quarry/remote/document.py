"""The job document (docs/graph-format.md, section 7), made of a stored graph and arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from _quarry import TensorError

from ..work import array_for
from .answers import FLOPS_PER_JOB, Fields, Quote
from .tensor_file import value_text

Value = tuple[str, tuple[int, ...]]  # dtype and shape


class JobOutput(NamedTuple):
    """A result that stays at the service: give it as an input of another job."""

    job: str
    output: str


@dataclass(frozen=True)
class StoredGraph:
    """A graph that the service has: its id, its ends, and the counts of one step."""

    id: str
    inputs: dict[str, Value]
    outputs: dict[str, Value]
    step: Quote

    @classmethod
    def of(cls, document: Any) -> StoredGraph:
        graph = Fields(document, "graph")
        step = graph.at("step")
        counts = Quote(step.count("flops"), step.count("weighted"), step.count("bytes"), step.count("stored_values"),
                       step.count("metered_flops") + FLOPS_PER_JOB, step.count("memory_bound_bytes"),
                       tariff=step.count("tariff"))
        return cls(graph.text("id"), cls.values(graph, "inputs"), cls.values(graph, "outputs"), counts)

    @staticmethod
    def values(graph: Fields, name: str) -> dict[str, Value]:
        try:
            return {str(value["name"]): (str(value["dtype"]), tuple(value["shape"])) for value in graph.list(name)}
        except (LookupError, TypeError):
            raise graph.wrong(name) from None


@dataclass
class JobSpec:
    """What a job runs on and how its steps are joined.

    `inputs`: values by input's name, also the starting ones of carried inputs: arrays, numbers, lists, or a JobOutput.
    `carry`: {input: output}. `feed`: {input: array [n, ...shape]} or {input: (array, wraps)}: one slice a step. `keep`:
    {output: "last" or "each"}, or one of the two for all outputs.
    """

    inputs: Mapping[str, Any] | None = None
    steps: int = 1
    first_step: int = 0
    carry: Mapping[str, str] | None = None
    feed: Mapping[str, Any] | None = None
    keep: Mapping[str, str] | str | None = None
    seed: int = 0
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        self.inputs, self.carry = dict(self.inputs or {}), dict(self.carry or {})
        feeds = {name: value if type(value) is tuple else (value, False) for name, value in (self.feed or {}).items()}
        self.feed = {name: value for name, (value, _) in feeds.items()}
        self.wraps = {name: bool(wraps) for name, (_, wraps) in feeds.items()}

    def kept(self, graph: StoredGraph) -> dict[str, str]:
        """{output: "last" or "each"} of what is kept."""
        if isinstance(self.keep, str) or not self.keep:
            return dict.fromkeys(graph.outputs, self.keep or "last")
        return dict(self.keep)

    def missing(self, graph: StoredGraph) -> list[str]:
        """The inputs that have no value."""
        return [name for name in graph.inputs if name not in self.inputs and name not in self.feed]

    def arrays(self, graph: StoredGraph) -> dict[str, np.ndarray]:
        """What has to be stored, under names that a file of them all can have. Wrong names, dtypes and shapes raise."""
        given = {f"input {name}": array_for(graph, name, value)
                 for name, value in self.inputs.items() if not isinstance(value, JobOutput)}
        fed = {f"feed {name}": array_for(graph, name, value, fed=True)
               for name, value in self.feed.items() if not isinstance(value, JobOutput)}
        if missing := self.missing(graph):
            raise TensorError(f"no value is given for {', '.join(map(repr, missing))}; {missing[0]!r} is "
                              f"{value_text(*graph.inputs[missing[0]])}")
        return given | fed

    def document(self, graph: StoredGraph, stored: Mapping[str, Any]) -> dict:
        """The document, given where each of arrays() is stored."""
        def source(kind: str, name: str, value: Any) -> dict:
            return (value if isinstance(value, JobOutput) else stored[f"{kind} {name}"])._asdict()

        stage: dict[str, Any] = {"graph": graph.id, "steps": self.steps, "first_step": self.first_step}
        if self.carry:
            stage["carry"] = self.carry
        if self.feed:
            stage["feed"] = {name: {**source("feed", name, value), "wrap": self.wraps[name]}
                             for name, value in self.feed.items()}
        if self.keep:
            stage["keep"] = self.kept(graph)
        document = {"version": 1, "seed": str(self.seed), "stages": [stage],
                    "inputs": {name: source("input", name, value) for name, value in self.inputs.items()}}
        if self.checkpoint_every is not None:
            document["checkpoint_every"] = self.checkpoint_every
        return document
