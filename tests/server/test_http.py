"""Raw sockets against the front door: what Beast alone would let pass, limits, time-outs, and what keep-alive promises."""

import itertools
import re
import resource
import socket
import ssl
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from server_under_test import PATIENCE_SECONDS, Server, is_closed, read_answer  # noqa: E402

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

# Every head here gets this status, a problem document, and the end of the connection.
REFUSED = [
    ("no Host", b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    ("no Host in HTTP/1.0", b"GET /healthz HTTP/1.0\r\n\r\n", 400),
    ("two Hosts", GET + b"Host: localhost\r\n\r\n", 400),
    ("an empty Host", b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("a Host with a path", b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("a Host list", b"GET /healthz HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    ("repeated equal Content-Length", POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
    ("different Content-Lengths", POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    ("two Authorizations", GET + b"Authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n", 400),
    ("two Idempotency-Keys", POST + b"Idempotency-Key: a\r\nIdempotency-Key: a\r\nContent-Length: 2\r\n\r\n{}", 400),
    ("two Content-Types", POST + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 400),
    ("two Ranges", GET + b"Range: bytes=0-1\r\nRange: bytes=2-3\r\n\r\n", 400),
    ("two Last-Event-IDs", GET + b"Last-Event-ID: 1\r\nLast-Event-ID: 2\r\n\r\n", 400),
    ("a Content-Length list", POST + b"Content-Length: 2, 2\r\n\r\n{}", 400),
    ("a signed Content-Length", POST + b"Content-Length: +2\r\n\r\n{}", 400),
    ("a negative Content-Length", POST + b"Content-Length: -2\r\n\r\n{}", 400),
    ("a hexadecimal Content-Length", POST + b"Content-Length: 0x2\r\n\r\n{}", 400),
    ("an empty Content-Length", POST + b"Content-Length:\r\n\r\n{}", 400),
    ("a Content-Length past 2^64", POST + b"Content-Length: 18446744073709551618\r\n\r\n{}", 400),
    ("Transfer-Encoding identity", POST + b"Transfer-Encoding: identity\r\n\r\n", 400),
    ("Transfer-Encoding xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n", 400),
    ("Transfer-Encoding chunked, gzip", POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
    ("Transfer-Encoding gzip, chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
    ("Transfer-Encoding chunked, chunked", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding twice", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding with Content-Length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("a target that is not ASCII", "GET /é HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 400),
    ("a target with a control character", b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a target with a fragment", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("an absolute target", b"GET https://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("an asterisk target", b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("a folded field", GET + b"X-A: 1\r\n 2\r\n\r\n", 400),
    ("a folded field by a tab", GET + b"X-A: 1\r\n\t2\r\n\r\n", 400),
    ("a blank before the colon", GET + b"X-A : 1\r\n\r\n", 400),
    ("a field without a colon", GET + b"X-A\r\n\r\n", 400),
    ("a field without a name", GET + b": 1\r\n\r\n", 400),
    ("a field name with a bracket", GET + b"X[A]: 1\r\n\r\n", 400),
    ("a NUL in a value", GET + b"X-A: 1\x002\r\n\r\n", 400),
    ("lines that end in LF alone", b"GET /healthz HTTP/1.1\nHost: localhost\n\n", 400),
    ("a bare CR in a value", GET + b"X-A: 1\r2\r\n\r\n", 400),
    ("two blanks in the request line", b"GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("no version", b"GET /healthz\r\nHost: a\r\n\r\n", 400),
    ("a lower-case method", b"get /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("an unknown method", b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a leading empty line", b"\r\n" + GET + b"\r\n", 400),
    ("a method that the API never uses", b"PATCH /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("HTTP/2.0 in the request line", b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("an expectation that is not met", GET + b"Expect: tea\r\n\r\n", 417),
    ("a target over 4 kB", b"GET /" + b"a" * 4097 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ("65 fields", GET + b"".join(b"X-%d: 1\r\n" % i for i in range(64)) + b"\r\n", 431),
    ("a head over 16 kB", GET + b"X-A: " + b"a" * 17000 + b"\r\n\r\n", 431),
]


class FrontDoor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_what_two_parsers_might_read_differently_is_refused_and_the_connection_closed(self):
        for name, raw, status in REFUSED:
            with self.subTest(name), self.server.raw() as sock:
                sock.sendall(raw)
                answer = read_answer(sock)
                self.assertIsNotNone(answer, name)
                self.assertEqual(answer[0], status, answer)
                self.assertIn("application/problem+json", answer[1])
                self.assertIn(b'"code":', answer[2])
                self.assertTrue(is_closed(sock))

    def test_what_follows_a_refused_head_is_never_read_as_a_request(self):
        with self.server.raw() as sock:
            sock.sendall(POST + b"Content-Length: 2, 2\r\n\r\n{}" + GET + b"\r\n")
            self.assertEqual(read_answer(sock)[0], 400)
            self.assertTrue(is_closed(sock))

    def test_a_connection_serves_one_request_after_the_other(self):
        with self.server.raw() as sock:
            for _ in range(3):
                sock.sendall(GET + b"\r\n")
                self.assertEqual(read_answer(sock)[0], 200)

    def test_pipelined_requests_are_answered_in_order(self):
        with self.server.raw() as sock:
            sock.sendall(GET + b"\r\n" + b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
            statuses, data = [], b""
            while data.count(b"HTTP/1.1 ") < 2 or not data.endswith(b"}"):
                data += sock.recv(65536)
            for part in data.split(b"HTTP/1.1 ")[1:]:
                statuses.append(int(part[:3]))
            self.assertEqual(statuses, [200, 404])

    def test_a_request_that_comes_byte_by_byte_is_read(self):
        with self.server.raw() as sock:
            for byte in GET + b"\r\n":
                sock.sendall(bytes([byte]))
            self.assertEqual(read_answer(sock)[0], 200)

    def test_connection_close_is_obeyed(self):
        with self.server.raw() as sock:
            sock.sendall(GET + b"Connection: close\r\n\r\n")
            self.assertEqual(read_answer(sock)[0], 200)
            self.assertTrue(is_closed(sock))

    def test_http_1_0_is_closed_after_its_answer(self):
        with self.server.raw() as sock:
            sock.sendall(b"GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n")
            self.assertEqual(read_answer(sock)[0], 200)
            self.assertTrue(is_closed(sock))

    def test_a_chunked_body_is_read(self):
        key = self.server.keys["renter"].encode()
        with self.server.raw() as sock:
            sock.sendall(b"POST /v1/boxes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer " + key +
                         b"\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"name\r\n9;x=y\r\n\":\"fred\"}\r\n0\r\n\r\n")
            self.assertEqual(read_answer(sock)[0], 201)
            sock.sendall(GET + b"\r\n")
            self.assertEqual(read_answer(sock)[0], 200)

    def test_malformed_chunks_are_refused(self):
        key = self.server.keys["renter"].encode()
        for chunk in (b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}xx0\r\n\r\n", b"-1\r\n"):
            with self.subTest(chunk), self.server.raw() as sock:
                sock.sendall(b"POST /v1/boxes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer " + key +
                             b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
                self.assertEqual(read_answer(sock)[0], 400)
                self.assertTrue(is_closed(sock))

    def test_a_chunks_size_line_or_trailers_without_end_are_refused_and_not_kept(self):
        for start in (b"1;", b"0\r\nX-A: "):
            with self.subTest(start), self.server.raw() as sock:
                sock.sendall(b"POST /v1/boxes:claim HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                             b"Transfer-Encoding: chunked\r\n\r\n" + start + b"a" * 100_000)
                self.assertEqual(read_answer(sock)[0], 400)

    def test_large_bodies_that_are_announced_and_do_not_come_keep_nobody_out(self):
        head = (b"POST /v1/graphs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer " +
                self.server.keys["stranger"].encode() + b"\r\nExpect: 100-continue\r\nContent-Length: 134217728\r\n\r\n")
        waiting = [self.server.raw() for _ in range(5)]  # together more than the server holds of bodies
        for sock in waiting:
            sock.sendall(head)
            self.assertTrue(sock.recv(1024).startswith(b"HTTP/1.1 100 Continue\r\n"))
        self.assertEqual(self.server.request("POST", "/v1/boxes", {"name": "box"}).status, 201)
        for sock in waiting:
            sock.close()

    def test_the_server_reads_no_further_once_it_has_refused_a_request_and_will_close(self):
        length = 1 << 40
        heads = [("no key", b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % length),
                 ("no route", b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n" % length),
                 ("a chunked body", b"POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"),
                 ("a body that waits for 100", b"POST /nowhere HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n")]
        block = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for (name, head), last in itertools.product(heads, (b"\r\n", b"Connection: close\r\n\r\n")):
            with self.subTest(name, last=last), self.server.raw() as sock:
                sock.sendall(head + last)
                self.assertIn(read_answer(sock)[0], (401, 404))
                sent = 0
                with self.assertRaises(OSError):  # what the sockets hold and what is dropped is a few megabytes
                    while sent < 256 << 20:
                        sock.sendall(block)
                        sent += len(block)
                self.assertLess(sent, 64 << 20)

    def test_expect_continue_is_answered_before_the_body(self):
        key = self.server.keys["renter"].encode()
        with self.server.raw() as sock:
            sock.sendall(b"POST /v1/boxes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer " + key +
                         b"\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n")
            self.assertTrue(sock.recv(1024).startswith(b"HTTP/1.1 100 Continue\r\n"))
            sock.sendall(b'{"name":"b"}')
            self.assertEqual(read_answer(sock)[0], 201)

    def test_a_client_that_never_speaks_tls_does_no_harm(self):
        with socket.create_connection(("127.0.0.1", self.server.facts["port"])) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assertEqual(self.server.request("GET", "/healthz", key=None).status, 200)

    def test_a_session_is_never_resumed(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(cafile=str(self.server.directory / "authority.crt"))
            context.minimum_version = context.maximum_version = version
            sessions = [None]
            for _ in range(2):
                plain = socket.create_connection(("127.0.0.1", self.server.facts["port"]), timeout=PATIENCE_SECONDS)
                with context.wrap_socket(plain, server_hostname="127.0.0.1", session=sessions[-1]) as sock:
                    sock.sendall(GET + b"\r\n")
                    self.assertEqual(read_answer(sock)[0], 200)
                    self.assertFalse(sock.session_reused)
                    self.assertFalse(sock.session is not None and sock.session.has_ticket)
                    sessions.append(sock.session)

    def suite(self, version, suites):
        """The suite that the server takes of those that are offered, or None."""
        context = ssl.create_default_context(cafile=str(self.server.directory / "authority.crt"))
        context.minimum_version = context.maximum_version = version
        if suites:
            context.set_ciphers(suites)
        plain = socket.create_connection(("127.0.0.1", self.server.facts["port"]), timeout=PATIENCE_SECONDS)
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
                return sock.cipher()[0]
        except ssl.SSLError:
            return None

    def test_tls_1_2_has_aead_suites_alone_and_the_servers_order_holds(self):
        old = ssl.TLSVersion.TLSv1_2
        for refused in ("ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256",
                        "DHE-RSA-AES128-GCM-SHA256"):
            self.assertIsNone(self.suite(old, refused), refused)
        strong, weak = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"
        self.assertEqual(self.suite(old, weak), weak)
        self.assertEqual(self.suite(old, f"{weak}:{strong}"), strong)
        self.assertEqual(self.suite(ssl.TLSVersion.TLSv1_3, None), "TLS_AES_256_GCM_SHA384")

    def test_many_slow_connections_leave_room_for_others(self):
        slow = [self.server.raw() for _ in range(100)]
        try:
            for sock in slow:
                sock.sendall(b"GET /")
            self.assertEqual(self.server.request("GET", "/healthz", key=None).status, 200)
        finally:
            for sock in slow:
                sock.close()

    def test_every_answer_names_its_request_and_forbids_plain_http(self):
        answer = self.server.request("GET", "/healthz", key=None)
        self.assertTrue(answer.headers["Request-Id"].startswith("req_"))
        self.assertIn("max-age", answer.headers["Strict-Transport-Security"])
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertIn("default-src 'none'", answer.headers["Content-Security-Policy"])
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        same_for_all = self.server.request("GET", "/v1/openapi.json", key=None)
        self.assertEqual(same_for_all.headers["Cache-Control"], "public, max-age=300")
        again = self.server.request("GET", "/healthz", key=None)
        self.assertNotEqual(answer.headers["Request-Id"], again.headers["Request-Id"])

    def test_metrics_are_on_a_port_of_their_own(self):
        self.assertEqual(self.server.request("GET", "/metrics").status, 404)
        with socket.create_connection(("127.0.0.1", self.server.facts["metrics_port"])) as sock:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            text = b""
            while got := sock.recv(65536):
                text += got
        self.assertIn(b"quarry_http_requests_total{", text)
        self.assertIn(b"quarry_http_connections ", text)


class Crowds(unittest.TestCase):
    """Thousands of connections that are only held open."""

    def crowd(self, server, count, networks):
        """Open TCP connections from 127.0.0.2 on, as many as that; all speak TLS or say nothing."""
        sockets = []
        for i in range(count):
            sock = socket.socket()
            sock.bind((f"127.0.0.{2 + i % networks}", 0))
            sock.connect(("127.0.0.1", server.facts["port"]))
            sockets.append(sock)
        self.addCleanup(lambda: [sock.close() for sock in sockets])
        return sockets

    def memory(self, server):
        if re.search("lib[at]san", Path(f"/proc/{server.process.pid}/maps").read_text()):
            self.skipTest("a sanitizer keeps memory that was freed")
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) << 10

    def test_twelve_thousand_connections_of_three_addresses_keep_nobody_out(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        count = min(12_000, hard - 500)
        server = Server()
        self.addCleanup(server.stop)
        self.crowd(server, count, networks=3)
        server.eventually(lambda: server.metrics()["quarry_http_connections_gave_way_total"] > 0, "nobody gave way")
        self.assertLessEqual(server.metrics()["quarry_http_connections"], 3 * 1024)
        for _ in range(20):
            self.assertEqual(server.request("GET", "/v1/account").status, 200)

    def test_a_full_server_lets_newcomers_in_and_keeps_those_who_ask(self):
        server = Server(connections=200, connections_per_network=100)
        self.addCleanup(server.stop)
        job = server.request("POST", "/v1/jobs", {"job": server.job()}).json["id"]
        streams = [server.raw() for _ in range(20)]
        for sock in streams:
            sock.sendall(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {server.keys['renter']}\r\n\r\n".encode())
            while b"job.queued" not in sock.recv(65536):
                pass
        kept = server.connect()
        server.request("GET", "/healthz", key=None, connection=kept)
        self.crowd(server, 1000, networks=5)
        for _ in range(50):
            self.assertEqual(server.request("GET", "/healthz", key=None).status, 200)
        self.assertLessEqual(server.metrics()["quarry_http_connections"], 200)
        self.assertEqual(server.metrics()["quarry_event_streams"], 20)
        server.request("DELETE", f"/v1/jobs/{job}")
        for sock in streams:
            text = b""
            while got := sock.recv(65536):
                text += got
            self.assertIn(b"job.cancelled", text)
            sock.close()

    def test_the_memory_of_connections_is_given_back(self):
        server = Server()
        self.addCleanup(server.stop)
        for _ in range(50):
            server.request("GET", "/v1/account")
        before = self.memory(server)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for _ in range(2):
            sockets = [context.wrap_socket(sock) for sock in self.crowd(server, 500, networks=3)]
            for sock in sockets:
                sock.sendall(GET + b"\r\n")
                self.assertEqual(read_answer(sock)[0], 200)
            self.assertLess(self.memory(server) - before, 500 * (40 << 10))
            for sock in sockets:
                sock.close()
        server.eventually(lambda: server.metrics()["quarry_http_connections"] == 0, "connections stay")
        server.eventually(lambda: self.memory(server) - before < 4 << 20, "memory stays")


class Slowness(unittest.TestCase):
    """Limits so short that a test can wait for them."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(head=1000, body_gap=1000, rate_grace=1500)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def send_head(self, sock, length):
        sock.sendall(b"POST /v1/boxes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer " +
                     self.server.keys["renter"].encode() + b"\r\nContent-Length: %d\r\n\r\n" % length)

    def test_a_head_that_comes_too_slowly_is_ended(self):
        with self.server.raw() as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\n")
            self.assertEqual(read_answer(sock)[0], 408)

    def test_a_body_that_stops_is_ended(self):
        with self.server.raw() as sock:
            self.send_head(sock, 100)
            sock.sendall(b"{")
            answer = read_answer(sock)
            self.assertEqual(answer[0], 408)
            self.assertIn(b"body_timeout", answer[2])

    def test_a_body_slower_than_the_least_rate_is_ended_although_bytes_keep_coming(self):
        with self.server.raw() as sock, self.assertRaises(OSError):
            self.send_head(sock, 100_000)
            for _ in range(5 * PATIENCE_SECONDS):
                sock.sendall(b"x")
                time.sleep(0.2)

    def test_bytes_that_came_quickly_earn_no_pause_later(self):
        with self.server.raw() as sock:
            self.send_head(sock, 8_000_000)
            sock.sendall(b" " * 4_000_000)  # at the least rate they would last for more than an hour
            with self.assertRaises(OSError):
                for _ in range(5 * PATIENCE_SECONDS):
                    sock.sendall(b"x")
                    time.sleep(0.2)

    def test_an_idle_connection_is_closed(self):
        server = Server(idle=1000)
        self.addCleanup(server.stop)
        with server.raw() as sock:
            self.assertTrue(is_closed(sock))


if __name__ == "__main__":
    unittest.main()
