"""A TLS server that answers as a test tells it to, well or with malice."""

import json
import socket
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path


def reply(document, status=200, **headers):
    """The bytes of a JSON answer; names of headers have underscores for hyphens."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    fields = {"Content_Length": len(body), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + body


class ScriptedServer:
    """Each request is handed to `answer(method, path, headers, body)`, which gives bytes, or yields pieces of them;
    None closes the connection."""

    def __init__(self, answer):
        self.answer, self.requests, self.stopping = answer, [], threading.Event()
        self.directory = tempfile.TemporaryDirectory(prefix="quarry-test-")
        self.authority = str(Path(self.directory.name) / "server.crt")
        key = str(Path(self.directory.name) / "server.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "2", "-keyout", key, "-out", self.authority, "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=IP:127.0.0.1"],
                       check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.authority, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.listener.close()
        self.directory.cleanup()

    def accept(self):
        while not self.stopping.is_set():
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as sock, sock.makefile("rb") as reader:
                while self.serve_one(sock, reader):
                    pass
        except (OSError, ValueError):
            pass

    def serve_one(self, sock, reader):
        line = reader.readline().split()
        if len(line) != 3:
            return False
        headers = {}
        while name := reader.readline().strip():
            key, _, value = name.decode().partition(": ")
            headers[key.lower()] = value
        body = reader.read(int(headers.get("content-length", 0)))
        method, path = line[0].decode(), line[1].decode()
        self.requests.append((method, path, headers, body))
        said = self.answer(method, path, headers, body)
        if said is None:
            return False
        for piece in [said] if isinstance(said, bytes) else said:
            if self.stopping.is_set() or piece is None:
                return False
            sock.sendall(piece)
        return True
