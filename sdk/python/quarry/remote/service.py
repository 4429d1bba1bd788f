"""A Quarry service: quote and run graphs there, see jobs and money."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import quote as escape

import numpy as np

from ..graph import Graph
from .answers import Account, Fields, Quote, Usage
from .config import Config
from .document import JobSpec, StoredGraph
from .errors import ServiceError
from .job import HELD_SECONDS, UNWATCHED_SECONDS, Job
from .pricing import PRICED_GRAPH, bytes_in, bytes_out, counts_of, priced
from .progress import Progress, is_watched
from .transport import Transport
from .uploads import Uploads

LOST = ("graph_not_found", "tensor_not_found")  # what the service had and has no more
LONGEST_PAGE = 200


def graph_body(graph: Any) -> tuple[bytes, str]:
    """A graph (a quarry.Graph, a dict, JSON text or CBOR bytes) as bytes and their media type."""
    if isinstance(graph, Graph):
        return graph.cbor(), "application/cbor"
    if isinstance(graph, Mapping):
        return json.dumps(graph).encode(), "application/json"
    if isinstance(graph, str):
        return graph.encode(), "application/json"
    if isinstance(graph, (bytes, bytearray, memoryview)):
        raw = bytes(graph)
        return raw, "application/json" if raw.lstrip(b" \t\r\n")[:1] == b"{" else "application/cbor"
    raise TypeError(f"a graph is a quarry.Graph, a dict, JSON text or CBOR bytes, not {type(graph).__name__}")


def terms_of(quote: Quote | None, limit: Decimal | float | str | None) -> dict[str, str]:
    """The fields of a submit beside the job."""
    if quote is not None and not quote.token:
        raise ValueError("nothing holds the prices of this quote: quote with the values of all inputs, or give a limit")
    terms = {} if quote is None else {"quote": quote.token}
    return terms if limit is None else {**terms, "limit": f"{Decimal(str(limit)):f}"}


class Service:
    """One service and one account there, over connections that stay open. `quarry.remote.connect()` makes them."""

    def __init__(self, config: Config):
        self.config = config
        self.transport = Transport(config)
        self.uploads = Uploads(self.transport)
        self.graphs: dict[Any, StoredGraph] = {}  # by the id of a quarry.Graph, or the hash of its text

    def __repr__(self) -> str:
        return f"<quarry.Service {self.config.server}>"

    def close(self) -> None:
        """Closes the connections; the next call opens one again."""
        self.transport.close()

    # --- graphs and jobs ---

    def put_graph(self, graph: Any) -> StoredGraph:
        """Stores a graph, once a process, and says what it is."""
        if isinstance(graph, Graph):
            key, sent = graph.id, None
        else:
            sent = graph_body(graph)
            key = hashlib.sha256(sent[0]).digest()
        if key not in self.graphs:
            body, media_type = sent or graph_body(graph)
            answer = self.transport.call("POST", "/v1/graphs", body, content_type=media_type)
            self.graphs[key] = StoredGraph.of(answer)
        return self.graphs[key]

    def submit(self, graph: Any, inputs: Mapping[str, Any] | None = None, *, quote: Quote | None = None,
               limit: Decimal | float | str | None = None, progress: Progress = None, **options: Any) -> Job:
        """Uploads what is missing and submits a job; returns at once.

        `graph`: a quarry.Graph, a dict, JSON text or CBOR bytes. `inputs`, and `options` (steps, first_step, carry,
        feed, keep, seed, checkpoint_every): see JobSpec. `quote`: submit at its prices. `limit`: the most dollars that
        it may cost.
        """
        spec = JobSpec(inputs, **options)
        return Job(self, self.post(self.transport.call, "/v1/jobs", graph, spec, progress, terms_of(quote, limit)))

    def run_job(self, graph: Any, inputs: Mapping[str, Any] | None = None, *, quote: Quote | None = None,
                limit: Decimal | float | str | None = None, progress: Progress = None,
                **options: Any) -> dict[str, np.ndarray]:
        """submit(), wait, fetch: the kept outputs by name, bf16 as its bits in uint16. Ctrl-C cancels the job."""
        spec = JobSpec(inputs, **options)
        call = partial(self.call_to_end, UNWATCHED_SECONDS if is_watched(progress) else HELD_SECONDS)
        job = Job(self, self.post(call, "/v1/jobs", graph, spec, progress, terms_of(quote, limit)))
        return job.run_to_end(progress)

    def call_to_end(self, seconds: int, method: str, path: str, body: Any) -> dict:
        """Submits a job and waits for its end, for `seconds` at most: a small job takes one round trip. Interrupted, it
        learns which job that was by sending the same once more, and cancels it."""
        key = uuid.uuid4().hex
        try:
            return self.transport.call(method, f"{path}?wait={seconds}&results=inline", body, wait=seconds, key=key)
        except KeyboardInterrupt:
            Job(self, self.transport.call(method, path, body, key=key)).cancel_with_notice()
            raise

    def quote(self, graph: Any, inputs: Mapping[str, Any] | None = None, *, progress: Progress = None,
              **options: Any) -> Quote:
        """What submit() with the same arguments would cost, to the last digit. Where an input has no value nothing is
        uploaded, and the prices of now are not held: the quote has no token."""
        spec, stored = JobSpec(inputs, **options), self.put_graph(graph)
        if spec.missing(stored):
            counted = counts_of(graph, spec, stored)
            return priced(counted, bytes_in(spec, stored), bytes_out(spec, stored), self.quote(PRICED_GRAPH))
        return Quote.of(self.post(self.transport.call, "/v1/quotes", graph, spec, progress, {}))

    def post(self, call: Callable[..., dict], path: str, graph: Any, spec: JobSpec, progress: Progress,
             terms: dict[str, str]) -> dict:
        """Posts a job with `call`, what it needs stored before. When the service has lost what this process remembers
        it to have (it was restored from a backup, say), that is stored once more."""
        for again in (True, False):
            stored = self.put_graph(graph)
            where = self.uploads.store(spec.arrays(stored), progress)
            try:
                return call("POST", path, {"job": spec.document(stored, where), **terms})
            except ServiceError as error:
                if error.code not in LOST or not again:
                    raise
                self.graphs.clear()
                self.uploads.forget()
        raise AssertionError("unreachable")

    # --- what is there ---

    def account(self) -> Account:
        return Account.of(self.transport.call("GET", "/v1/account"))

    def usage(self, limit: int = 50) -> Usage:
        """The sums of all metered work, and the newest `limit` segments (at most 200)."""
        return Usage.of(self.transport.call("GET", f"/v1/usage?limit={min(limit, LONGEST_PAGE)}"))

    def jobs(self, limit: int = 20) -> list[Job]:
        """The newest jobs (at most 200)."""
        page = Fields(self.transport.call("GET", f"/v1/jobs?limit={min(limit, LONGEST_PAGE)}"), "list of jobs")
        return [Job(self, document) for document in page.list("jobs")]

    def job(self, job_id: str) -> Job:
        """The handle of a job by its id, or of the newest one for "last"."""
        if job_id != "last":
            return Job(self, self.transport.call("GET", f"/v1/jobs/{escape(job_id, safe='')}"))
        newest = self.jobs(1)
        if not newest:
            raise ServiceError("not_found", "this account has no jobs yet", action="Submit one.")
        return newest[0].refresh()
