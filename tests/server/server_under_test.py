"""Starts the harness (the real server on a real PostgreSQL) and speaks to it: HTTPS through http.client, or raw bytes through TLS."""

import hashlib
import http.client
import json
import os
import socket
import ssl
import struct
import subprocess
import time
from pathlib import Path

import jsonschema

PATIENCE_SECONDS = 120  # for what must come: no measure of speed, the machine may be slow and busy


def safetensors(tensors, metadata=None):
    """The bytes of a safetensors file; `tensors` maps names to (dtype, shape, bytes)."""
    header, data = dict(metadata or {}), b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def counting_graph(width=4):
    return {"version": 1,
            "nodes": [{"op": "INPUT", "name": "x", "dtype": "i32", "shape": [width]},
                      {"op": "CONST", "dtype": "i32", "shape": [width], "value": 1},
                      {"op": "ADD", "src": [0, 1]},
                      {"op": "REDUCE_SUM", "src": [2], "axes": [0]}],
            "outputs": {"x_next": 2, "total": 3}}


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Contract:
    """The served OpenAPI document: every answer that a test sees is checked against it."""

    def __init__(self, document):
        self.document = document
        self.seen = set()

    def operation(self, method, path):
        """(pattern, operation) of a request, or (None, None) for a path that the API does not have."""
        parts = path.partition("?")[0].split("/")
        for pattern, item in self.document.get("paths", {}).items():
            wanted = pattern.split("/")
            fits = len(wanted) == len(parts) and all(w == p or w.startswith("{") for w, p in zip(wanted, parts))
            if fits and method.lower() in item:
                return pattern, item[method.lower()]
        return None, None

    def check(self, method, path, answer):
        pattern, operation = self.operation(method, path)
        if operation is None:
            return
        self.seen.add((method, pattern, answer.status))
        responses = operation["responses"]
        response = responses.get(str(answer.status)) or responses.get(f"{answer.status // 100}XX")
        assert response is not None, f"{method} {pattern} answered {answer.status}, which is not documented"
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        for name in response.get("headers", {}):
            assert name == "Retry-After" or name in answer.headers, f"{method} {pattern} {answer.status} has no {name}"
        if method == "HEAD" or "content" not in response:
            return
        media = answer.headers["Content-Type"]
        assert media in response["content"], f"{method} {pattern} answered {media}"
        if media.endswith("json"):
            schema = {**response["content"][media]["schema"], "components": self.document["components"]}
            jsonschema.Draft202012Validator(schema).validate(json.loads(answer.body))


class Server:
    """One harness, until stop(); `limits` are limits of the server (harness.cpp), the others are a user's."""

    def __init__(self, **limits):
        self.process = subprocess.Popen([str(Path(os.environ["QUARRY_BIN"]) / "server_harness"),
                                         *(f"{name}={limit}" for name, limit in limits.items())],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the harness did not start")
        self.facts = json.loads(line)
        self.keys = self.facts["keys"]
        self.directory = Path(self.facts["directory"])
        self.context = ssl.create_default_context(cafile=str(self.directory / "authority.crt"))
        self.contract = Contract({})
        self.contract = Contract(self.request("GET", "/v1/openapi.json", key=None).json)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE_SECONDS)
        self.process.stdout.close()

    def command(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.facts["port"], context=self.context, timeout=PATIENCE_SECONDS)

    def request(self, method, path, body=None, headers=None, key="renter", connection=None):
        fields = {"Authorization": f"Bearer {self.keys[key]}"} if key else {}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            fields["Content-Type"] = "application/json"
        fields.update(headers or {})
        own = connection or self.connect()
        try:
            own.request(method, path, body, fields)
            got = own.getresponse()
            answer = Answer(got.status, got.headers, got.read())
            self.contract.check(method, path, answer)
            return answer
        finally:
            if connection is None:
                own.close()

    def metrics(self):
        """The figures of /metrics by name, labels included."""
        own = http.client.HTTPConnection("127.0.0.1", self.facts["metrics_port"], timeout=PATIENCE_SECONDS)
        try:
            own.request("GET", "/metrics")
            lines = own.getresponse().read().decode().splitlines()
        finally:
            own.close()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}

    def eventually(self, holds, what):
        """Waits until holds() is true."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < until, what
            time.sleep(0.05)

    def raw(self):
        """A TLS socket to the API, for bytes that no HTTP library would send."""
        plain = socket.create_connection(("127.0.0.1", self.facts["port"]), timeout=PATIENCE_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(plain, server_hostname="127.0.0.1")

    def put_tensors(self, tensors, key="renter"):
        raw = safetensors(tensors)
        digest = hashlib.sha256(raw).hexdigest()
        answer = self.request("PUT", f"/v1/tensors/{digest}", raw, key=key)
        if answer.status not in (200, 201):
            raise AssertionError(answer)
        return digest

    def put_graph(self, graph=None, key="renter"):
        answer = self.request("POST", "/v1/graphs", graph or counting_graph(), key=key)
        if answer.status != 201:
            raise AssertionError(answer)
        return answer.json["id"]

    def job(self, steps=3, **fields):
        """A job document that runs: the counting graph from a start that is stored."""
        graph = self.put_graph()
        start = self.put_tensors({"x": ("I32", [4], struct.pack("<4i", 0, 1, 2, 3))})
        return {"version": 1, "seed": "0", "inputs": {"x": {"file": start, "tensor": "x"}},
                "stages": [{"graph": graph, "steps": steps, "carry": {"x": "x_next"}, "keep": {"x_next": "last", "total": "each"}}],
                **fields}

    def stored_files(self):
        """Every blob that is stored, unfinished uploads apart."""
        blobs = self.directory / "blobs"
        return sorted(str(p.relative_to(blobs)) for kind in ("tensors", "graphs", "results") for p in (blobs / kind).rglob("*") if p.is_file())


def read_answer(sock):
    """(status, head, body) of one answer on a raw socket, or None when the server closed without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            got = sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            got = b""
        if not got:
            return None
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        got = sock.recv(65536)
        if not got:
            break
        body += got
    return int(head.split()[1]), head.decode(), body


def is_closed(sock):
    """Whether the server ends the connection."""
    try:
        return sock.recv(1) == b""
    except socket.timeout:
        return False
    except (ConnectionError, ssl.SSLError):
        return True
