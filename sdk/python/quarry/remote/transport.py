"""HTTPS with the standard library: connections that stay open, a time limit and a size limit on everything, retries.

A request is repeated after a broken connection, 429 and 503 (after as long as Retry-After says, else with growing
pauses). That is safe because every POST carries an Idempotency-Key and the other methods repeat by nature. Nothing here
knows of jobs or tensors.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import random
import ssl
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from .config import Config
from .errors import ServiceError, bad_answer

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0  # from the last byte of a request to the last byte of a JSON answer
SILENCE_SECONDS = 60.0  # between two bytes of a stream; the service sends a comment each 15 s
SEND_SECONDS = 60.0  # for one chunk of a body
IDLE_SECONDS = 60.0  # a kept connection is not used again after this; the service closes it after 75
LEAST_BYTES_PER_SECOND = 1_000  # of a download, after its grace of ANSWER_SECONDS
MAX_JSON_BYTES = 64 << 20
MAX_PROBLEM_BYTES = 1 << 20
MAX_IDLE_CONNECTIONS = 4

FIRST_PATIENCE_SECONDS = 4.0  # of retries while the service has never answered: a wrong address is told soon
PATIENCE_SECONDS = 60.0  # once it has: a restart takes seconds
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
LONGEST_RETRY_AFTER_SECONDS = 60
BUSY = (429, 502, 503, 504)
ADVANCE_BYTES = 64 << 10  # a transfer that got this much further has not failed, only broken off

Body = bytes | Callable[[], Iterable[memoryview]] | None


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class TimedReader(io.RawIOBase):
    """Reads a socket under a deadline for the whole answer. A time limit on each read alone would not do: a peer that
    sends a byte now and then would hold us for ever. With `bytes_per_second` the deadline moves on with what came."""

    def __init__(self, sock: ssl.SSLSocket, seconds: float, bytes_per_second: float | None):
        self.sock, self.raw = sock, sock.makefile("rb", buffering=0)
        self.deadline = None if seconds == float("inf") else time.monotonic() + seconds
        self.bytes_per_second = bytes_per_second

    def readable(self) -> bool:
        return True

    def readinto(self, into) -> int | None:
        left = SILENCE_SECONDS if self.deadline is None else self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self.sock.settimeout(min(left, SILENCE_SECONDS) if self.bytes_per_second or self.deadline is None else left)
        count = self.raw.readinto(into)
        if self.deadline is not None and self.bytes_per_second and count:
            self.deadline += count / self.bytes_per_second
        return count

    def close(self) -> None:
        self.raw.close()
        super().close()


class TimedSocket:
    """What http.client uses of a socket, with limits of time that the caller sets before each request."""

    def __init__(self, sock: ssl.SSLSocket):
        self.sock = sock
        self.seconds, self.bytes_per_second = ANSWER_SECONDS, None

    def sendall(self, data) -> None:
        self.sock.settimeout(SEND_SECONDS)
        self.sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(TimedReader(self.sock, self.seconds, self.bytes_per_second), 64 << 10)

    def close(self) -> None:
        self.sock.close()


class Connection(http.client.HTTPSConnection):
    """One connection, and when it was used last."""

    used_at = 0.0

    def connect(self) -> None:
        super().connect()
        self.sock = TimedSocket(self.sock)

    def allow(self, seconds: float, bytes_per_second: float | None) -> None:
        if self.sock is None:
            self.connect()
        self.sock.seconds, self.sock.bytes_per_second = seconds, bytes_per_second


def parse_json(body: bytes) -> Any:
    """JSON from a stranger: whatever is wrong with it, a ServiceError."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise bad_answer("the service did not answer with JSON") from None


def problem_of(answer: Answer) -> ServiceError:
    """The RFC 9457 document of a refusal as an exception."""
    request_id = answer.headers.get("Request-Id", "")
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("code"), str):
        return bad_answer(f"the server answered {answer.status} without a problem document", answer.status, request_id)
    text = {key: value for key in ("detail", "pointer", "action") if isinstance(value := document.get(key), str)}
    return ServiceError(document["code"], text.get("detail", ""), status=answer.status, pointer=text.get("pointer", ""),
                        action=text.get("action", ""), request_id=request_id)


def busy_or_raise(response: http.client.HTTPResponse) -> tuple[ServiceError, str | None] | None:
    """None for an answer that is well; of one to try again what to say, and its Retry-After; a refusal is raised."""
    if response.status in (200, 206):
        return None
    answer = Answer(response.status, response.headers, response.read(MAX_PROBLEM_BYTES))
    problem = problem_of(answer)
    if answer.status not in BUSY:
        raise problem
    return problem, answer.headers.get("Retry-After")


class Retry:
    """How long to keep trying one request, and the pauses in between."""

    def __init__(self, transport: Transport):
        self.transport, self.attempt, self.started = transport, 0, time.monotonic()

    def pause(self, failure: ServiceError, retry_after: str | None = None) -> None:
        """Sleeps before the next attempt, or raises `failure` when patience is at its end."""
        patience = PATIENCE_SECONDS if self.transport.has_answered else FIRST_PATIENCE_SECONDS
        seconds = min(FIRST_PAUSE_SECONDS * 2**self.attempt, LONGEST_PAUSE_SECONDS) * random.uniform(0.75, 1.25)
        if retry_after and retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10:
            seconds = max(seconds, min(int(retry_after), LONGEST_RETRY_AFTER_SECONDS))
        self.attempt += 1
        if time.monotonic() + seconds > self.started + patience:
            raise failure
        time.sleep(seconds)

    def reset(self) -> None:
        """Something got through: a fresh set of attempts."""
        self.attempt, self.started = 0, time.monotonic()


class Transport:
    """Requests to one service. Threads may share it: each request has a connection to itself."""

    def __init__(self, config: Config):
        parts = urllib.parse.urlsplit(config.server)
        try:
            self.host, self.port = parts.hostname or "", parts.port or 443
        except ValueError:
            self.host = ""
        if not self.host or parts.path or parts.query or parts.username:
            raise ServiceError("bad_config", f"the server {config.server!r} is not of the form https://host:port")
        self.server = config.server
        self.authorization = f"Bearer {config.api_key}"
        try:
            self.context = ssl.create_default_context(cafile=config.authority or None)
        except OSError as error:
            raise ServiceError("bad_config", f"cannot use the authority {config.authority}: {error}",
                               action="Name the PEM file of the CA that signed the server's certificate.") from None
        self.has_answered = False
        self.idle: list[Connection] = []
        self.process = os.getpid()

    # --- connections ---

    def take(self) -> tuple[Connection, bool]:
        """A connection, and whether it was used before."""
        if self.process != os.getpid():  # after a fork the parent owns the open ones
            self.idle, self.process = [], os.getpid()
        while self.idle:
            with contextlib.suppress(IndexError):  # another thread may be quicker
                connection = self.idle.pop()
                if time.monotonic() - connection.used_at < IDLE_SECONDS:
                    return connection, True
                connection.close()
        return Connection(self.host, self.port, timeout=CONNECT_SECONDS, context=self.context), False

    def give_back(self, connection: Connection) -> None:
        connection.used_at = time.monotonic()
        if connection.sock is None or len(self.idle) >= MAX_IDLE_CONNECTIONS:
            connection.close()
        else:
            self.idle.append(connection)

    def close(self) -> None:
        while self.idle:
            self.idle.pop().close()

    # --- one attempt ---

    def unreachable(self, error: BaseException) -> ServiceError:
        reason = str(error) or type(error).__name__
        return ServiceError("unreachable", f"cannot reach {self.server}: {reason}",
                            action="Is the service running? `quarry up` starts one here.")

    def untrusted(self, error: ssl.SSLCertVerificationError) -> ServiceError:
        return ServiceError("untrusted", f"the certificate of {self.server} is not trusted: {error.verify_message}",
                            action='Set "authority" in the config, or QUARRY_AUTHORITY, to the CA\'s PEM file.')

    def begin(self, connection: Connection, method: str, path: str, body: Body, headers: dict[str, str], seconds: float,
              bytes_per_second: float | None) -> http.client.HTTPResponse:
        """Sends a request and reads the head of its answer, also of a refusal that breaks the body off."""
        connection.allow(seconds, bytes_per_second)
        try:
            connection.request(method, path, body() if callable(body) else body,
                               {"Authorization": self.authorization, **headers})
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as broken:
            try:
                return connection.getresponse()  # why it broke may have been said already
            except (OSError, http.client.HTTPException):
                raise broken from None
        return connection.getresponse()

    @contextlib.contextmanager
    def open(self, method: str, path: str, body: Body = None, headers: dict[str, str] | None = None, *,
             seconds: float | None = None, paced: bool = False) -> Iterator[http.client.HTTPResponse]:
        """One attempt, its answer open for reading for `seconds`; paced, for as long as bytes come fast enough. OSError
        and HTTPException tell that the connection failed."""
        seconds = ANSWER_SECONDS if seconds is None else seconds
        bytes_per_second = LEAST_BYTES_PER_SECOND if paced else None
        for again in (True, False):
            connection, kept = self.take()
            try:
                response = self.begin(connection, method, path, body, headers or {}, seconds, bytes_per_second)
                break
            except ssl.SSLCertVerificationError as error:
                raise self.untrusted(error) from None
            except (ConnectionError, http.client.RemoteDisconnected, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                connection.close()
                if not (kept and again):  # the service may close a kept connection at any time: that is no failure
                    raise
                self.close()
            except BaseException:
                connection.close()
                raise
        self.has_answered = True
        try:
            yield response
        except BaseException:
            connection.close()
            raise
        if response.isclosed():
            self.give_back(connection)
        else:
            connection.close()

    def attempt(self, method: str, path: str, body: Body, headers: dict[str, str], wait: float = 0.0) -> Answer:
        with self.open(method, path, body, headers, seconds=ANSWER_SECONDS + wait) as response:
            text = response.read(MAX_JSON_BYTES + 1)
            if len(text) > MAX_JSON_BYTES:
                raise bad_answer(f"the answer to {method} {path} has more than {MAX_JSON_BYTES} bytes", response.status)
            if response.length:
                raise http.client.IncompleteRead(text, response.length)
            return Answer(response.status, response.headers, text)

    # --- requests ---

    def request(self, method: str, path: str, body: Body = None, headers: dict[str, str] | None = None, *,
                wait: float = 0.0) -> Answer:
        """The answer, whatever its status; tried again while the service is away or busy. `wait`: for how long the
        service may hold it."""
        headers = dict(headers or {})
        if method == "POST":
            headers.setdefault("Idempotency-Key", uuid.uuid4().hex)
        retry = Retry(self)
        while True:
            try:
                answer = self.attempt(method, path, body, headers, wait)
            except (OSError, http.client.HTTPException) as error:
                retry.pause(self.unreachable(error))
                continue
            if answer.status not in BUSY:
                return answer
            retry.pause(problem_of(answer), answer.headers.get("Retry-After"))

    def call(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json",
             wait: float = 0.0, key: str = "") -> dict:
        """The JSON object that answers; a refusal is raised. A `body` that is not bytes is sent as JSON. `key`: the
        Idempotency-Key, for a POST that may have to be looked up later."""
        headers = {"Idempotency-Key": key} if key else {}
        if body is not None:
            headers["Content-Type"] = content_type
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
        answer = self.request(method, path, body, headers, wait=wait)
        if not 200 <= answer.status < 300:
            raise problem_of(answer)
        document = parse_json(answer.body)
        if not isinstance(document, dict):
            raise bad_answer(f"{method} {path} was not answered with a JSON object", answer.status)
        return document
