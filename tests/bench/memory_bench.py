#!/usr/bin/python3
"""Server memory over many requests of each kind: QUARRY_BIN=build/release/bin memory_bench.py [REQUESTS].

Sends the requests in turn, pipelined, and prints the server's memory (VmRSS) after the first tenth of them and at the end: what grows with
requests would show as a difference. A kind whose answer ends the connection gets a hundredth of the requests."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))
from server_under_test import Server  # noqa: E402

PIPELINED = 50
END = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def memory_kib(server):
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def send(server, raw, count, closes):
    """Statuses of `count` times the request, on one connection or each on its own."""
    statuses = {}
    while count > 0:
        batch = 1 if closes else min(count, 100 * PIPELINED)
        count -= batch
        with server.raw() as sock:
            for _ in range(0, batch, PIPELINED):
                asked, seen, rest = min(batch, PIPELINED), 0, b""
                sock.sendall(raw * asked)
                while seen < asked:
                    got = sock.recv(1 << 18)
                    if not got:
                        raise RuntimeError(f"the server closed after {rest[:200]}")
                    rest += got
                    found = END.findall(rest)
                    seen += len(found)
                    for status in found:
                        statuses[int(status)] = statuses.get(int(status), 0) + 1
                    rest = rest[-12:] if not found else rest[rest.rfind(found[-1] + b" ") + 4:]
            while closes and sock.recv(1 << 16):
                pass
    return statuses


def main(requests):
    server = Server()
    try:
        job = server.request("POST", "/v1/jobs", {"job": server.job()}).json["id"]
        ended = server.request("POST", "/v1/jobs", {"job": server.job()}).json["id"]
        server.request("DELETE", f"/v1/jobs/{ended}")
        digest = server.put_tensors({"x": ("U8", [9], b"123456789")})
        graph = server.put_graph()

        def request(method, path, body=b"", key="renter", fields=b""):
            head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            if key:
                head += f"Authorization: Bearer {server.keys.get(key, key)}\r\n"
            return head.encode() + fields + b"\r\n" + body
        kinds = [("health", request("GET", "/healthz", key=None), False),
                 ("a path that does not exist", request("GET", "/nowhere"), False),
                 ("account", request("GET", "/v1/account"), False),
                 ("a page of jobs", request("GET", "/v1/jobs?limit=1"), False),
                 ("a job", request("GET", f"/v1/jobs/{job}"), False),
                 ("a wait for an ended job", request("GET", f"/v1/jobs/{ended}?wait=30"), False),
                 ("a wait for no job", request("GET", "/v1/jobs/job_00000000-0000-7000-8000-000000000000?wait=30"), False),
                 ("a tensor", request("GET", f"/v1/tensors/{digest}"), False),
                 ("HEAD of a tensor", request("HEAD", f"/v1/tensors/{digest}"), False),
                 ("a graph", request("GET", f"/v1/graphs/{graph}"), False),
                 ("a quote that is refused", request("POST", "/v1/quotes", b'{"job": {}}'), False),
                 ("a submit that is refused", request("POST", "/v1/jobs", b'{"job": {"version": 1}}'), False),
                 ("a tensor with the wrong hash", request("PUT", "/v1/tensors/" + "0" * 64, b"x"), False),
                 ("a wrong key", request("GET", "/v1/account", key="nonsense", fields=b"Connection: close\r\n"), True),
                 ("the events of an ended job", request("GET", f"/v1/jobs/{ended}/events"), True),
                 ("a head that is refused", request("GET", "/healthz", fields=b"Host: b\r\n"), True)]
        for name, raw, closes in kinds:
            count = max(requests // 100, 10) if closes else requests
            send(server, raw, count // 10, closes)
            before = memory_kib(server)
            statuses = send(server, raw, count - count // 10, closes)
            print(f"{name}: {count} requests, {statuses}, {before} KiB after a tenth, {memory_kib(server)} at the end", flush=True)
    finally:
        server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
