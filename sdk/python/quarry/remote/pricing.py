"""What a job costs at a service's prices, worked out here as the service does (market/prices.cpp): to the last digit,
and without the values of inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from ..dtypes import NUMPY_OF
from ..graph import Graph
from .answers import Line, Quote
from .document import JobOutput, JobSpec, StoredGraph
from .errors import bad_answer

UNITS = {"pflop": 10**15, "gib": 2**30, "gib_hour": 2**30}
PICO_PER_DOLLAR = 10**12
# A job whose quote shows all prices. It keeps one value of four bytes.
PRICED_GRAPH = b'{"version":1,"nodes":[{"op":"CONST","dtype":"f32","shape":[],"value":1}],"outputs":{"y":0}}'


def bytes_of(value: tuple[str, tuple[int, ...]]) -> int:
    dtype, shape = value
    return NUMPY_OF[dtype].itemsize * math.prod(shape)


def counts_of(graph: object, spec: JobSpec, stored: StoredGraph) -> Quote:
    """The counts of the job as `spec` runs it: carries, feeds and what is kept change them."""
    graph = Graph.parse(graph)
    each = [name for name, mode in spec.kept(stored).items() if mode == "each"]
    count = graph.count(carry=spec.carry, feed=list(spec.feed), keep_each=each, steps=spec.steps,
                        checkpoint_every=spec.checkpoint_every)
    return Quote.counted(count, spec.steps)


def bytes_in(spec: JobSpec, graph: StoredGraph) -> int:
    """Of inputs and of the feeds that are arrays: how long another feed is, only its array would say."""
    plain = sum(bytes_of(value) for name, value in graph.inputs.items() if name not in spec.feed)
    return plain + sum(array.nbytes for array in spec.feed.values() if not isinstance(array, JobOutput))


def bytes_out(spec: JobSpec, graph: StoredGraph) -> int:
    kept = spec.kept(graph)
    return sum(bytes_of(graph.outputs[name]) * (spec.steps if mode == "each" else 1) for name, mode in kept.items())


def priced(counted: Quote, arriving: int, leaving: int, sample: Quote) -> Quote:
    """`counted` with the prices of `sample`, a quote of PRICED_GRAPH. Nothing holds these prices: there is no token."""
    sampled = {line.item: line.quantity for line in sample.lines}
    if not sampled.get("transfer_out"):
        raise bad_answer("the service's quote of a job with a result has no line for it")
    kept_hours = sampled.get("retention", 0) // sampled["transfer_out"]
    quantities: Mapping[str, int] = {"compute": counted.metered_flops, "transfer_in": arriving, "transfer_out": leaving,
                                     "retention": leaving * kept_hours}
    exact, total, lines = Fraction(0), Decimal(0), []
    for line in sample.lines:
        if line.item not in quantities or line.per not in UNITS:
            raise bad_answer(f"the service prices {line.item!r} by {line.per!r}, which this client does not know")
        exact += quantities[line.item] * Fraction(line.unit_price) / UNITS[line.per]
        rounded = Decimal(f"{math.ceil(exact * PICO_PER_DOLLAR)}e-12")
        lines.append(replace(line, quantity=quantities[line.item], amount=rounded - total))
        total = rounded
    return replace(counted, price=total, lines=tuple(lines))
