"""Arrays to the service and results back: what is there is not sent, what broke off goes on where it stopped."""

from __future__ import annotations

import base64
import http.client
import math
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

import numpy as np

from .errors import ServiceError, bad_answer
from .progress import Progress, ProgressBar, human_bytes
from .tensor_file import MAX_RANK, MAX_RESULT_HEAD_BYTES, NUMPY_OF, TensorFile, check_head
from .transport import ADVANCE_BYTES, BUSY, Answer, Retry, Transport, busy_or_raise, problem_of

PACKED_BYTES = 1 << 20  # arrays up to this size share a file, one request for all; each larger one is sent once
UNASKED_BYTES = 64 << 10  # a file up to this size is sent without asking first whether it is there
MAX_RESULT_BYTES = 64 << 30  # what the service keeps of a job
BROKEN_OFF = ("upload_offset", "upload_busy", "body_timeout", "body_truncated")  # an upload to go on with
LONE_NAME = "value"  # in a file of its own an array is the same file under whatever input's name


class Stored(NamedTuple):
    """Where an array lies: a stored file and its name in there."""

    file: str
    tensor: str


class Uploads:
    """The files of one process: remembers what the service has."""

    def __init__(self, transport: Transport):
        self.transport = transport
        self.present: set[str] = set()

    def forget(self) -> None:
        """The service has lost something: everything is asked for again."""
        self.present.clear()

    def store(self, arrays: Mapping[str, np.ndarray], progress: Progress = None) -> dict[str, Stored]:
        """Makes the arrays present at the service, and says where each one is."""
        packed = {name: array for name, array in arrays.items() if array.nbytes <= PACKED_BYTES}
        where: dict[str, Stored] = {}
        if packed:
            sha256 = self.store_file(TensorFile(packed), progress)
            where = {name: Stored(sha256, name) for name in packed}
        by_array: dict[int, Stored] = {}  # the same array given twice is hashed and sent once
        for name, array in arrays.items():
            if name not in packed:
                if id(array) not in by_array:
                    by_array[id(array)] = Stored(self.store_file(TensorFile({LONE_NAME: array}), progress), LONE_NAME)
                where[name] = by_array[id(array)]
        return where

    def store_file(self, file: TensorFile, progress: Progress = None) -> str:
        with ProgressBar("hashing", progress) as bar:
            sha256 = file.sha256(lambda done: bar.show(done, file.bytes, human_bytes))
        if sha256 not in self.present:
            with ProgressBar("uploading", progress) as bar:
                self.send(file, sha256, bar)
            self.present.add(sha256)
        return sha256

    def offset(self, path: str) -> int | None:
        """How much of a file has arrived; None when all of it has."""
        answer = self.transport.request("HEAD", path)
        if answer.status == 200:
            return None
        if answer.status != 404:
            self.transport.call("GET", path)  # a HEAD's answer has no body to explain itself
            raise problem_of(answer)
        offset = answer.headers.get("Upload-Offset", "0")
        return int(offset) if offset.isascii() and offset.isdigit() and len(offset) < 20 else 0

    def send(self, file: TensorFile, sha256: str, bar: ProgressBar) -> None:
        path = f"/v1/tensors/{sha256}"
        retry = Retry(self.transport)
        offset: int | None = 0 if file.bytes <= UNASKED_BYTES else self.offset(path)
        furthest = 0
        while offset is not None:
            offset = offset if offset < file.bytes else 0
            try:
                answer = self.put(path, file, offset, bar)
            except (OSError, http.client.HTTPException) as error:
                failure, after = self.transport.unreachable(error), None
            else:
                if answer.status in (200, 201):
                    return
                failure = problem_of(answer) if answer.status != 202 else None
                after = answer.headers.get("Retry-After")
                if failure and answer.status not in BUSY and failure.code not in BROKEN_OFF:
                    raise failure
            offset = self.offset(path)
            if offset is not None and offset >= furthest + ADVANCE_BYTES:
                furthest = offset
                retry.reset()
            elif offset is not None:
                retry.pause(failure or bad_answer(f"the upload of {sha256} does not advance"), after)

    def put(self, path: str, file: TensorFile, offset: int, bar: ProgressBar) -> Answer:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.bytes - offset)}
        if offset:
            headers["Content-Range"] = f"bytes {offset}-{file.bytes - 1}/{file.bytes}"
        body = lambda: file.chunks(offset, lambda done: bar.show(done, file.bytes, human_bytes))  # noqa: E731
        return self.transport.attempt("PUT", path, body, headers)


def read_exactly(response: http.client.HTTPResponse, into: memoryview) -> int:
    """How many bytes came: fewer than asked for when the connection ended."""
    at = 0
    while at < into.nbytes:
        count = response.readinto(into[at:])
        if not count:
            break
        at += count
    return at


class Result:
    """One result on its way. A small one came with the job, as base64; else a file is fetched: a head that says what it
    is, then its bytes, asked for again from where they broke off."""

    def __init__(self, transport: Transport, job: str, output: dict, progress: Progress):
        self.transport, self.progress = transport, progress
        try:
            self.name, self.dtype, self.shape = str(output["name"]), str(output["dtype"]), tuple(output["shape"])
            self.bytes = NUMPY_OF[self.dtype].itemsize * math.prod(self.shape)
            if len(self.shape) > MAX_RANK + 1 or not all(type(size) is int and size >= 0 for size in self.shape):
                raise ValueError
            if self.bytes > MAX_RESULT_BYTES:
                raise bad_answer(f"the result {self.name!r} would have {self.bytes} bytes")
            self.array = np.empty(self.shape, NUMPY_OF[self.dtype])
        except (LookupError, TypeError, ValueError):
            raise bad_answer(f"the service describes a result that cannot be: {str(output)[:200]}") from None
        self.path = f"/v1/jobs/{quote(job, safe='')}/results/{quote(self.name, safe='')}"
        self.data = memoryview(self.array.reshape(-1).view(np.uint8))
        self.inline = output.get("data")
        self.head_bytes, self.arrived = 0, 0

    def fetch(self) -> np.ndarray:
        if self.inline is None:
            return self.download()
        try:
            self.data[:] = base64.b64decode(self.inline, validate=True)
        except (TypeError, ValueError):
            raise bad_answer(f"the result {self.name!r} came as something else than its {self.bytes} bytes") from None
        return self.array

    def download(self) -> np.ndarray:
        retry, furthest = Retry(self.transport), 0
        with ProgressBar(f"fetching {self.name}", self.progress) as bar:
            while True:
                after = None
                try:
                    busy = self.attempt(bar)
                    if busy is None:
                        return self.array
                    problem, after = busy
                except (OSError, http.client.HTTPException) as error:
                    problem = self.transport.unreachable(error)
                if self.arrived >= furthest + ADVANCE_BYTES:
                    furthest = self.arrived
                    retry.reset()
                retry.pause(problem, after)

    def attempt(self, bar: ProgressBar) -> tuple[ServiceError, str | None] | None:
        """Fetches what is missing. None when that was all; else what to try again after, with its Retry-After."""
        headers = {"Range": f"bytes={self.head_bytes + self.arrived}-"} if self.arrived else {}
        with self.transport.open("GET", self.path, None, headers, paced=True) as response:
            if busy := busy_or_raise(response):
                return busy
            if response.status == 200:
                self.read_head(response)
            while self.arrived < self.bytes:
                count = response.readinto(self.data[self.arrived:self.arrived + (1 << 20)])
                if not count:
                    raise http.client.IncompleteRead(b"", self.bytes - self.arrived)
                self.arrived += count
                bar.show(self.arrived, self.bytes, human_bytes)
            if response.read(1):
                raise bad_answer(f"the result {self.name!r} is longer than its shape says")
        return None

    def read_head(self, response: http.client.HTTPResponse) -> None:
        length = bytearray(8)
        self.arrived = 0
        if read_exactly(response, memoryview(length)) < 8:
            raise bad_answer(f"the result {self.name!r} is too short for a safetensors file")
        head = bytearray(min(int.from_bytes(length, "little"), MAX_RESULT_HEAD_BYTES + 1))
        if len(head) > MAX_RESULT_HEAD_BYTES:
            raise bad_answer(f"the result {self.name!r} has a header that is too long for one tensor")
        if read_exactly(response, memoryview(head)) < len(head):
            raise http.client.IncompleteRead(bytes(head))
        check_head(bytes(head), self.name, self.dtype, self.shape, self.bytes)
        self.head_bytes = 8 + len(head)
