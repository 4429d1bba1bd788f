"""What a graph costs, before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .capturing import Job
from .graph import Graph, build
from .remote import Quote
from .running import is_remote, named
from .tensor import Tensor

__all__ = ["Quote", "quote"]


def quote(what: Any, on: str | None = None, *, steps: int = 1, carry: Mapping[str, str] | None = None,
          feed: Sequence[str] = ()) -> Quote:
    """The FLOPs, bytes and memory of a Tensor, {name: Tensor}, graph or Job, without running it; with on="service" or
    "https://..." its price too. steps, carry ({input: output}) and feed (names) are for graphs; a Job has its own."""
    if isinstance(what, Job):
        return _quote_of_job(what, on)
    if isinstance(what, Tensor) or (isinstance(what, Mapping)
                                    and all(isinstance(part, Tensor) for part in what.values())):
        what = build(what)
    graph = Graph.parse(what)
    if is_remote(named(on)):
        from .remote import connect
        return connect(named(on)).quote(graph, steps=steps, carry=carry)  # no values: nothing is uploaded
    return Quote.counted(graph.count(carry=carry, feed=feed, steps=steps), steps)


def _quote_of_job(job: Job, on: str | None) -> Quote:
    if is_remote(named(on)):
        from .remote import connect
        return connect(named(on)).quote(job.graph, steps=job.steps, carry=job.carry, feed=job.feed, keep=job.keep)
    each = [name for name, mode in (job.keep or {}).items() if mode == "each"]
    return Quote.counted(job.graph.count(carry=job.carry, feed=job.fed, keep_each=each, steps=job.steps), job.steps)
