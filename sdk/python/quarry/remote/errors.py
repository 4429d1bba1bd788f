"""What a service says when it refuses, and what is said when it cannot be reached."""

from __future__ import annotations


class ServiceError(RuntimeError):
    """A refusal by a Quarry service, or a failure to reach one.

    `code` is stable (docs/api.md lists them), `pointer` a JSON Pointer into the request, `action` what to do next,
    `status` the HTTP status (0 when there was no answer), `request_id` what to name to the service's operator.
    """

    def __init__(self, code: str, detail: str, *, status: int = 0, pointer: str = "", action: str = "",
                 request_id: str = ""):
        super().__init__(code, detail)
        self.code, self.detail, self.status = code, detail, status
        self.pointer, self.action, self.request_id = pointer, action, request_id

    def __str__(self) -> str:
        text = self.detail
        if self.pointer:
            text += f" (at {self.pointer})"
        text += f" [{self.code}]"
        return f"{text}\n  {self.action}" if self.action else text


class JobError(ServiceError):
    """A job that did not end well: code "job_failed", "job_cancelled" or "job_expired". `job` is its handle."""

    def __init__(self, code: str, detail: str, *, job, action: str = ""):
        super().__init__(code, detail, action=action)
        self.job = job


def bad_answer(what: str, status: int = 0, request_id: str = "") -> ServiceError:
    """An answer that no Quarry service gives: broken JSON, a broken tensor, too many bytes."""
    return ServiceError("bad_answer", what, status=status, request_id=request_id,
                        action='Check that "server" in your config is a Quarry service.')
