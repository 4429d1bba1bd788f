"""A job at the service: watch it, wait for it, stop it, fetch what it made, see what it cost."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import numpy as np

from .answers import Fields, Shown
from .document import JobOutput
from .errors import JobError, ServiceError, bad_answer
from .progress import Progress, ProgressBar, human_flops, human_money, is_watched
from .transport import Retry, busy_or_raise
from .uploads import Result

if TYPE_CHECKING:
    from .service import Service

ENDED = ("succeeded", "failed", "cancelled", "expired")
HELD_SECONDS = 30  # ?wait= of one request
UNWATCHED_SECONDS = 1  # a job that takes less is waited for without opening a stream of events
MAX_EVENT_BYTES = 1 << 20


class Event(NamedTuple):
    """A server-sent event of a job: "job.progress", "segment.accepted", "job.succeeded", ..."""

    kind: str
    data: dict[str, Any]
    id: str


def read_events(response: http.client.HTTPResponse) -> Iterator[Event]:
    """The events of a stream (HTML standard, server-sent events); ends with it."""
    kind, data, identity = "", "", ""
    while line := response.readline(MAX_EVENT_BYTES):
        if len(line) + len(data) >= MAX_EVENT_BYTES:
            raise bad_answer("an event of the service is too long")
        name, _, value = line.rstrip(b"\r\n").decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data += value
        elif name == "id":
            identity = value
        elif not name and not value and (kind or data):
            try:
                document = json.loads(data or "{}")
            except (ValueError, RecursionError):
                document = None
            if not isinstance(document, dict):
                raise bad_answer("an event of the service is no JSON object")
            yield Event(kind, document, identity)
            kind, data, identity = "", "", ""


class Job(Shown):
    """A submitted job. Nothing but the methods that say so talks to the service; printing shows what was last heard."""

    def __init__(self, service: Service, document: Any):
        self._service = service
        self._update(document)

    def _update(self, document: Any) -> None:
        job = Fields(document, "job")
        self.id, self._state = job.text("id"), job.text("state")
        self.steps, self.steps_done = job.count("steps"), job.count("steps_done")
        self.limit, self.spent = job.amount("limit"), job.amount("spent")
        self.metered_flops = job.count("metered_flops")
        self.outputs = job.list("outputs") if "outputs" in document else []  # a list of jobs leaves them out
        if not all(isinstance(output, dict) and isinstance(output.get("name"), str) for output in self.outputs):
            raise job.wrong("outputs")
        self.document = document

    @property
    def _path(self) -> str:
        return f"/v1/jobs/{quote(self.id, safe='')}"

    @property
    def ended(self) -> bool:
        """Whether the job had ended when it was last heard of."""
        return self._state in ENDED

    @property
    def state(self) -> str:
        """"queued", "running", "checking", "held" or one of the ends: asked for, unless it has ended."""
        if not self.ended:
            self.refresh()
        return self._state

    @property
    def cost(self) -> Decimal:
        """Dollars spent so far: asked for, unless the job has ended."""
        if not self.ended:
            self.refresh()
        return self.spent

    def refresh(self) -> Job:
        self._update(self._service.transport.call("GET", self._path))
        return self

    def cancel(self) -> Job:
        """Stops the job; segments that were accepted stay paid. One that has ended stays as it is."""
        self._update(self._service.transport.call("DELETE", self._path))
        return self

    def bill(self) -> dict:
        """Its ledger lines, its metered segments, what was spent: the API's answer."""
        return self._service.transport.call("GET", f"{self._path}/bill")

    # --- waiting ---

    def wait(self, timeout: float | None = None, progress: Progress = None) -> Job:
        """Returns when the job has succeeded. Raises JobError when it ended otherwise, TimeoutError after `timeout`
        seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with ProgressBar("running", progress) as bar:
            watched = is_watched(progress)
            self._hold(deadline, UNWATCHED_SECONDS if watched else HELD_SECONDS)
            if watched and not self.ended:
                self._watch(bar, progress if callable(progress) else None, deadline)
        while not self.ended:
            self._hold(deadline, HELD_SECONDS)
        self._check()
        if callable(progress):
            progress(self.steps_done, self.steps)
        return self

    def _hold(self, deadline: float | None, seconds: int) -> None:
        if self.ended:
            return
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.id} is still {self._state}")
            seconds = min(seconds, max(int(left), 1))
        path = f"{self._path}?wait={seconds}&results=inline"
        self._update(self._service.transport.call("GET", path, wait=seconds))

    def _watch(self, bar: ProgressBar, tell: Callable[[int, int], None] | None, deadline: float | None) -> None:
        """Tells of the job's events until it ends."""
        for event in self.events():
            if event.kind in ("job.progress", "segment.accepted"):
                done = Fields(event.data, "event").count("steps_done")
                if event.kind == "segment.accepted" and "charge" in event.data:
                    self.spent += Fields(event.data, "event").amount("charge")
                spent = human_money(self.spent) if self.spent else ""
                bar.show(done, self.steps, lambda count: f"{count:,.{1 if count < 10 else 0}f} steps", spent)
                if tell:
                    tell(done, self.steps)
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"{self.id} is still {self._state}")

    def _check(self) -> None:
        if self._state == "succeeded":
            return
        detail = f"the job {self.id} {'failed' if self._state == 'failed' else f'was {self._state}'}"
        failure = self.document.get("failure")
        for more in (self.document.get("end_reason"), failure.get("detail") if isinstance(failure, dict) else None):
            if isinstance(more, str) and more and more != self._state:
                detail += f": {more}"
        raise JobError(f"job_{self._state}", detail, job=self, action=f"See `quarry job {self.id}`.")

    def events(self) -> Iterator[Event]:
        """The job's events from its first on, until it ends; after a break they go on where they stopped."""
        transport, retry = self._service.transport, Retry(self._service.transport)
        last, after, problem = "", None, None
        while True:
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
            try:
                with transport.open("GET", f"{self._path}/events", None, headers, seconds=float("inf")) as response:
                    busy = busy_or_raise(response)
                    if busy is None:
                        for event in read_events(response):
                            retry.reset()
                            last = event.id if event.id.isascii() and event.id.isdigit() else last
                            yield event
                            if event.kind.removeprefix("job.") in ENDED:
                                return
                    problem, after = busy or (bad_answer("the stream of events ended before the job"), None)
            except (OSError, http.client.HTTPException) as error:
                problem, after = transport.unreachable(error), None
            retry.pause(problem, after)

    # --- results ---

    def output(self, name: str) -> JobOutput:
        """A result as an input of another job: it stays at the service."""
        return JobOutput(self.id, name)

    def result(self, name: str | None = None, progress: Progress = None) -> Any:
        """Waits, then fetches: {output: ndarray}, or the one array of output `name`. bf16 comes as its bits in
        uint16."""
        self.wait(progress=progress)
        if "outputs" not in self.document:
            self.refresh()
        outputs = {output["name"]: output for output in self.outputs}
        if name is not None and name not in outputs:
            raise ServiceError("output_not_found", f"the job keeps no output {name!r}",
                               action=f"It keeps {', '.join(outputs)}.")
        wanted = outputs.values() if name is None else [outputs[name]]
        results = [Result(self._service.transport, self.id, output, progress) for output in wanted]
        arrays = {result.name: result.fetch() for result in results}
        return arrays if name is None else arrays[name]

    def run_to_end(self, progress: Progress = None) -> dict[str, np.ndarray]:
        """result(), but an interrupt cancels the job: nobody else has its handle."""
        try:
            return self.result(progress=progress)
        except KeyboardInterrupt:
            self.cancel_with_notice()
            raise

    def cancel_with_notice(self) -> None:
        if not self.ended:
            print(f"cancelling {self.id}", file=sys.stderr)
            self.cancel()

    def __repr__(self) -> str:
        return f"<quarry.Job {self.id} {self._state}>"

    def _title(self) -> str:
        return f"{self.id}  {self._state}"

    def _rows(self) -> list[tuple[str, ...]]:
        rows = [("steps", f"{self.steps_done:,} of {self.steps:,}"),
                ("work", f"{human_flops(self.metered_flops)} metered"),
                ("spent", f"{human_money(self.spent)} of at most {human_money(self.limit)}")]
        return rows + [("output", f"{output['name']}  {output.get('dtype')}{output.get('shape')}")
                       for output in self.outputs]
