"""Runs the real service (`quarry up`) for tests and benchmarks, and speaks to its HTTPS API with the standard library alone."""

import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import struct
import subprocess
import tempfile
import time
import uuid
from decimal import Decimal
from pathlib import Path

PATIENCE_SECONDS = 300  # for what must come: no measure of speed, the machine may be slow and busy
ENDED = ("succeeded", "failed", "cancelled", "expired")


class ApiError(Exception):
    """A problem document: status and code say what the service refused."""

    def __init__(self, status, document):
        super().__init__(f"{status} {document}")
        self.status = status
        self.code = document.get("code") if isinstance(document, dict) else None
        self.document = document


class EndedEarly(AssertionError):
    """A job ended before what a test waited for."""


def safetensors(tensors):
    """The bytes of a safetensors file; `tensors` maps names to (dtype, shape, bytes)."""
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor_bytes(file_bytes):
    """The raw bytes of the one tensor in a safetensors file."""
    length = struct.unpack("<Q", file_bytes[:8])[0]
    return file_bytes[8 + length:]


class Service:
    """One `quarry up` in a directory of its own; `with` stops it and removes the directory."""

    def __init__(self, devices=("opencl:0",), data=None, arguments=()):
        self.bin = Path(os.environ["QUARRY_BIN"])
        self.owned = data is None
        self.data = Path(data or tempfile.mkdtemp(prefix="quarry-test-", dir="/var/tmp"))
        os.chmod(self.data, 0o755)  # PostgreSQL's user must be able to reach its directory below
        self.config = self.data / "config.json"
        self.devices, self.arguments = devices, arguments
        self.process = None
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise

    def start(self):
        # When the test is killed, by CTest's time-out for one, the service stops by itself.
        command = ["setpriv", "--pdeathsig", "TERM",
                   self.bin / "quarry", "--json", "--config", self.config, "up", "--data-dir", self.data, "--port", "0"]
        for device in self.devices:
            command += ["--device", device]
        self.log = open(self.data / "up.log", "ab")
        # What the tests of the Python package load into the interpreter under a sanitizer is not for the service's programs.
        environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "ASAN_OPTIONS")}
        arguments = list(self.arguments)
        if self.process and "--credit" in arguments:  # it is added at each start, and a test means it once
            at = arguments.index("--credit")
            del arguments[at:at + 2]
        self.process = subprocess.Popen([*map(str, command), *arguments], env=environment, stdout=subprocess.PIPE, stderr=self.log, text=True)
        text = ""
        for line in self.process.stdout:  # until it is ready, or gives up by limits of its own
            text += line
            if line.rstrip() == "}":
                break
        self.facts = json.loads(text or "{}")
        if not self.facts.get("ready"):
            raise RuntimeError(f"quarry up failed: {text}\n{(self.data / 'up.log').read_text()}")
        config = json.loads(self.config.read_text())
        self.key = config["api_key"]
        self.context = ssl.create_default_context(cafile=config["authority"])
        self.host = self.facts["server"].removeprefix("https://")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process:
            self.process.stdout.close()
            self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        if self.owned and not os.environ.get("QUARRY_KEEP_DATA"):
            shutil.rmtree(self.data, ignore_errors=True)

    # --- HTTPS ---

    def connect(self):
        return http.client.HTTPSConnection(self.host, context=self.context, timeout=PATIENCE_SECONDS)

    def request(self, method, path, body=None, headers=None, connection=None):
        """(status, headers, bytes) of one request."""
        fields = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            fields.setdefault("Content-Type", "application/json")
        own = connection or self.connect()
        try:
            own.request(method, path, body, fields)
            answer = own.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            if connection is None:
                own.close()

    def call(self, method, path, body=None, headers=None, patience=0.0):
        """The JSON of an answer. With patience, connection failures and 503 are tried again for that many seconds: a POST is then
        repeated under the same Idempotency-Key, as a careful client does."""
        headers = dict(headers or {})
        if method == "POST":
            headers.setdefault("Idempotency-Key", uuid.uuid4().hex)
        deadline = time.monotonic() + patience
        while True:
            try:
                status, _, raw = self.request(method, path, body, headers)
                if status < 400:
                    return json.loads(raw)
                if status not in (429, 503) or time.monotonic() > deadline:
                    raise ApiError(status, json.loads(raw))
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def put_tensors(self, tensors):
        raw = safetensors(tensors)
        digest = hashlib.sha256(raw).hexdigest()
        status, _, answer = self.request("PUT", f"/v1/tensors/{digest}", raw)
        if status not in (200, 201):
            raise ApiError(status, json.loads(answer))
        return digest

    def put_graph(self, graph):
        return self.call("POST", "/v1/graphs", graph)["id"]

    def submit(self, job, patience=0.0, **fields):
        return self.call("POST", "/v1/jobs", {"job": job, **fields}, patience=patience)

    def job(self, job_id, patience=PATIENCE_SECONDS):
        return self.call("GET", f"/v1/jobs/{job_id}", patience=patience)

    def wait(self, job_id, seconds=PATIENCE_SECONDS):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self.call("GET", f"/v1/jobs/{job_id}?wait=5", patience=PATIENCE_SECONDS)
            if job["state"] in ENDED:
                return job
        raise TimeoutError(f"{job_id} is still {job['state']} after {seconds} s: {job}")

    def wait_until(self, job_id, condition, seconds=PATIENCE_SECONDS):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self.job(job_id)
            if condition(job):
                return job
            if job["state"] in ENDED:
                raise EndedEarly(job)
            time.sleep(0.02)
        raise TimeoutError(f"{job_id} never got there: {job}")

    def result(self, job_id, output):
        status, _, raw = self.request("GET", f"/v1/jobs/{job_id}/results/{output}")
        if status != 200:
            raise ApiError(status, json.loads(raw))
        return tensor_bytes(raw)

    def balance(self):
        return {book: Decimal(amount) for book, amount in self.call("GET", "/v1/account", patience=PATIENCE_SECONDS)["balance"].items()}

    def bill(self, job_id):
        return self.call("GET", f"/v1/jobs/{job_id}/bill", patience=PATIENCE_SECONDS)

    # --- processes ---

    def pids(self, program, device=None):
        """Process ids of a program of this service, oldest first; `device` picks one worker or its executors."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if os.path.basename(command[0].decode()) != program:
                    continue
                text = b" ".join(command).decode(errors="replace")
                if (program == "quarry-executor" or str(self.data) in text) and self.is_ours(int(entry.name)):
                    if device is None or f"--device {device}" in text:
                        found.append(int(entry.name))
            except (OSError, ProcessLookupError, IndexError):
                continue
        return sorted(found)

    def is_ours(self, pid):
        while pid > 1:
            if pid == self.process.pid:
                return True
            stat = Path(f"/proc/{pid}/stat").read_text()
            pid = int(stat.rpartition(")")[2].split()[1])
        return False

    def kill(self, program, device=None):
        pids = self.pids(program, device)
        if not pids:
            raise RuntimeError(f"no {program} runs")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # an executor and its supervisor end together

    def signal_worker(self, device, number):
        for pid in self.pids("quarry-worker", device):
            os.kill(pid, number)

    def kill_database(self):
        """SIGKILL to PostgreSQL and all its processes at once, as a power cut would."""
        main = int((self.data / "postgres" / "postmaster.pid").read_text().split()[0])
        children = [int(e.name) for e in Path("/proc").iterdir() if e.name.isdigit() and self.parent(int(e.name)) == main]
        for pid in [main, *children]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    @staticmethod
    def parent(pid):
        try:
            return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            return 0

    def logs(self, name):
        path = self.data / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""


def counting_graph(width=64):
    """x_next = x + 1, total = sum(x): a graph whose value after n steps is known, with nothing but launches to pay for."""
    return {"version": 1,
            "nodes": [{"op": "INPUT", "name": "x", "dtype": "i32", "shape": [width]},
                      {"op": "CONST", "dtype": "i32", "shape": [width], "value": 1},
                      {"op": "ADD", "src": [0, 1]},
                      {"op": "REDUCE_SUM", "src": [2], "axes": [0]}],
            "outputs": {"x_next": 2, "total": 3}}


def metric(text, name):
    """The value of a metric without labels in Prometheus text."""
    found = re.search(rf"^{name} (\S+)$", text, re.M)
    return float(found.group(1)) if found else None
