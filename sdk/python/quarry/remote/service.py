"""A Quarry service: quote and run graphs there, see jobs and money."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_UP, Decimal
from typing import Any

import numpy as np

from .answers import Account, Fields, Line, Quote, Usage
from .config import Config
from .errors import ServiceError, bad_answer
from .job import Job, JobOutput
from .tensor_file import NUMPY_OF, value_text, wire_dtype
from .transport import Transport
from .uploads import Uploads

LOST = ("graph_not_found", "tensor_not_found")  # what the service had and has no more
NO_OP_GRAPH = b'{"version":1,"nodes":[{"op":"CONST","dtype":"f32","shape":[],"value":1}],"outputs":{"y":0}}'
UNITS = {"pflop": Decimal(10**15), "gib": Decimal(2**30), "gib_hour": Decimal(2**30)}
PICO = Decimal("1e-12")
PAGE = 200

Value = tuple[str, tuple[int, ...]]  # dtype and shape
Source = Any  # an array, a number, nested lists, or a JobOutput


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
        counts = Quote.from_counts(step.count("flops"), step.count("weighted"), step.count("bytes"), step.count("stored_values"),
                                   step.count("memory_bound_bytes"))
        return cls(graph.text("id"), cls.values(graph, "inputs"), cls.values(graph, "outputs"), counts)

    @staticmethod
    def values(graph: Fields, name: str) -> dict[str, Value]:
        try:
            return {str(value["name"]): (str(value["dtype"]), tuple(value["shape"])) for value in graph.list(name)}
        except (LookupError, TypeError):
            raise graph.wrong(name) from None


def graph_body(graph: bytes | str | Mapping) -> tuple[bytes, str]:
    """A graph in one of its wire forms, as bytes and their media type."""
    if isinstance(graph, Mapping):
        return json.dumps(graph).encode(), "application/json"
    if isinstance(graph, str):
        return graph.encode(), "application/json"
    if isinstance(graph, (bytes, bytearray, memoryview)):
        raw = bytes(graph)
        return raw, "application/json" if raw.lstrip(b" \t\r\n")[:1] == b"{" else "application/cbor"
    raise TypeError(f"a graph is CBOR bytes, JSON text or a dict, not {type(graph).__name__}")


def as_array(value: Any, dtype: str, what: str) -> np.ndarray:
    """A value as an array of the input's dtype. Numbers and lists are converted, arrays must have the dtype already."""
    wanted = NUMPY_OF.get(dtype)
    if wanted is None:
        raise bad_answer(f"{what} has the unknown dtype {dtype!r}")
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if wire_dtype(array) != dtype:
            raise ValueError(f"{what} is {dtype}, the array is {value_text(wire_dtype(array), array.shape)}: convert it with "
                             f".astype({str(wanted)!r})")
        return array
    if dtype == "bf16":
        raise TypeError(f"{what} is bf16: give its bits as an array of uint16")
    return np.asarray(value, wanted)


class Service:
    """One service and one account there, over connections that stay open. `connect()` makes them."""

    def __init__(self, config: Config):
        self.config = config
        self.transport = Transport(config)
        self.uploads = Uploads(self.transport)
        self.graphs: dict[bytes, StoredGraph] = {}

    def __repr__(self) -> str:
        return f"<quarry.Service {self.config.server}>"

    def close(self) -> None:
        """Closes the connections; the next call opens one again."""
        self.transport.close()

    # --- graphs and jobs ---

    def put_graph(self, graph: bytes | str | Mapping) -> StoredGraph:
        """Stores a graph, once a process, and says what it is."""
        body, media_type = graph_body(graph)
        key = hashlib.sha256(body).digest()
        if key not in self.graphs:
            self.graphs[key] = StoredGraph.of(self.transport.call("POST", "/v1/graphs", body, content_type=media_type))
        return self.graphs[key]

    def submit(self, graph: bytes | str | Mapping, inputs: Mapping[str, Source] | None = None, *, steps: int = 1, first_step: int = 0,
               carry: Mapping[str, str] | None = None, feed: Mapping[str, Source] | None = None,
               keep: Mapping[str, str] | str | None = None, seed: int = 0, checkpoint_every: int | None = None,
               quote: Quote | None = None, limit: Decimal | float | str | None = None, progress: bool | None = None) -> Job:
        """Uploads what is missing and submits a job; returns at once.

        `inputs`: values by input's name, also the start of carried ones. `carry`: {input: output}. `feed`: {input: array of one slice a
        step}; a feed with fewer slices than steps starts again. `keep`: {output: "last" or "each"}, or one of the two for all outputs.
        `quote`: submit at the quote's prices. `limit`: the most dollars that it may cost.
        """
        terms: dict[str, Any] = {}
        if quote is not None:
            terms["quote"] = quote.token
        if limit is not None:
            terms["limit"] = f"{Decimal(str(limit)):f}"

        def send() -> dict:
            document = self.document(self.put_graph(graph), inputs or {}, feed or {}, carry or {}, keep, steps, first_step, seed,
                                     checkpoint_every, progress)
            return self.transport.call("POST", "/v1/jobs", {"job": document, **terms})

        return Job(self, self.with_what_was_lost(send))

    def run_job(self, graph: bytes | str | Mapping, inputs: Mapping[str, Source] | None = None, *, progress: bool | None = None,
                **options: Any) -> dict[str, np.ndarray]:
        """submit(), wait, fetch: the kept outputs by name. Ctrl-C cancels the job."""
        return self.submit(graph, inputs, progress=progress, **options).run_to_end(progress)

    def quote(self, graph: bytes | str | Mapping, inputs: Mapping[str, Source] | None = None, *, steps: int = 1, first_step: int = 0,
              carry: Mapping[str, str] | None = None, feed: Mapping[str, Source] | None = None,
              keep: Mapping[str, str] | str | None = None, seed: int = 0, checkpoint_every: int | None = None,
              progress: bool | None = None) -> Quote:
        """What submit() with the same arguments would cost, to the last digit. Where a value of an input is missing nothing is uploaded:
        the price is then worked out from the counts of the graph (`exact` is False)."""
        stored = self.put_graph(graph)
        given = {**(inputs or {}), **(feed or {})}
        if not set(stored.inputs) <= set(given):
            return self.estimate(stored.step, steps)

        def send() -> dict:
            document = self.document(self.put_graph(graph), inputs or {}, feed or {}, carry or {}, keep, steps, first_step, seed,
                                     checkpoint_every, progress)
            return self.transport.call("POST", "/v1/quotes", {"job": document})

        return Quote.of(self.with_what_was_lost(send))

    def estimate(self, step: Quote, steps: int = 1) -> Quote:
        """The price of a job from the counts of one step, at the service's prices of now; transfers are left out."""
        counted = Quote.from_counts(step.flops, step.weighted, step.bytes, step.stored_values, step.memory_bound_bytes, steps)
        compute = next((line for line in self.quote(NO_OP_GRAPH).lines if line.item == "compute"), None)
        if compute is None or compute.per not in UNITS:
            raise bad_answer("the service's quote has no price of compute")
        amount = (counted.metered_flops * compute.unit_price / UNITS[compute.per]).quantize(PICO, ROUND_UP)
        line = Line("compute", counted.metered_flops, "flop", compute.unit_price, compute.per, amount)
        return replace(counted, price=amount, lines=(line,), exact=False)

    def with_what_was_lost(self, send: Callable[[], dict]) -> dict:
        """Sends, and when the service no longer has what this process remembers it to have, stores it again and sends once more."""
        try:
            return send()
        except ServiceError as error:
            if error.code not in LOST or not (self.graphs or self.uploads.present):
                raise
            self.graphs.clear()
            self.uploads.forget()
            return send()

    def document(self, graph: StoredGraph, inputs: Mapping[str, Source], feed: Mapping[str, Source], carry: Mapping[str, str],
                 keep: Mapping[str, str] | str | None, steps: int, first_step: int, seed: int, checkpoint_every: int | None,
                 progress: bool | None) -> dict:
        """The job document, its arrays stored. Names, dtypes and shapes are checked here first, before anything is sent."""
        arrays = {f"input {name}": self.checked(graph, name, value, fed=False)
                  for name, value in inputs.items() if not isinstance(value, JobOutput)}
        arrays |= {f"feed {name}": self.checked(graph, name, value, fed=True)
                   for name, value in feed.items() if not isinstance(value, JobOutput)}
        if missing := set(graph.inputs) - set(inputs) - set(feed):
            raise ValueError("no value is given for " + ", ".join(f"{name!r} ({value_text(*graph.inputs[name])})" for name in sorted(missing)))
        stored = self.uploads.store(arrays, progress)

        def source(name: str, value: Source) -> dict:
            return value._asdict() if isinstance(value, JobOutput) else stored[name]._asdict()

        stage: dict[str, Any] = {"graph": graph.id, "steps": steps, "first_step": first_step}
        if carry:
            stage["carry"] = dict(carry)
        if feed:
            stage["feed"] = {name: {**source(f"feed {name}", value), "wrap": self.wraps(arrays.get(f"feed {name}"), first_step + steps)}
                             for name, value in feed.items()}
        if keep:
            stage["keep"] = dict.fromkeys(graph.outputs, keep) if isinstance(keep, str) else dict(keep)
        document = {"version": 1, "seed": str(seed), "inputs": {name: source(f"input {name}", value) for name, value in inputs.items()},
                    "stages": [stage]}
        if checkpoint_every is not None:
            document["checkpoint_every"] = checkpoint_every
        return document

    @staticmethod
    def wraps(array: np.ndarray | None, last: int) -> bool:
        return array is None or array.shape[0] < last

    @staticmethod
    def checked(graph: StoredGraph, name: str, value: Any, fed: bool) -> np.ndarray:
        if name not in graph.inputs:
            raise ValueError(f"the graph has no input {name!r}; it has {', '.join(map(repr, graph.inputs)) or 'none'}")
        dtype, shape = graph.inputs[name]
        array = as_array(value, dtype, f"input {name!r}")
        fits = array.ndim == len(shape) + 1 and array.shape[0] > 0 and array.shape[1:] == shape if fed else array.shape == shape
        if not fits:
            wanted = f"[steps, {', '.join(map(str, shape))}]".replace(", ]", "]") if fed else str(list(shape))
            raise ValueError(f"{'the feed of ' if fed else ''}input {name!r} is {dtype}{wanted}, the array is "
                             f"{value_text(dtype, array.shape)}")
        return array

    # --- what is there ---

    def account(self) -> Account:
        return Account.of(self.transport.call("GET", "/v1/account"))

    def usage(self, limit: int = 50) -> Usage:
        """The sums of all metered work, and the newest `limit` segments (at most 200)."""
        return Usage.of(self.transport.call("GET", f"/v1/usage?limit={min(limit, PAGE)}"))

    def jobs(self, limit: int = 20) -> list[Job]:
        """The newest jobs (at most 200)."""
        page = Fields(self.transport.call("GET", f"/v1/jobs?limit={min(limit, PAGE)}"), "list of jobs")
        return [Job(self, document) for document in page.list("jobs")]

    def job(self, job_id: str) -> Job:
        """The handle of a job by its id, or of the newest one for "last"."""
        if job_id == "last":
            newest = self.jobs(1)
            if not newest:
                raise ServiceError("not_found", "this account has no jobs yet", action="Submit one.")
            return newest[0].refresh()
        from urllib.parse import quote as escape
        return Job(self, self.transport.call("GET", f"/v1/jobs/{escape(job_id, safe='')}"))
