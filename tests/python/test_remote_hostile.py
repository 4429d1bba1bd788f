"""quarry.remote against servers that are busy, broken or malicious: it waits as told, and ends with a clear error."""

import json
import os
import random
import socket
import struct
import threading
import time
import unittest
from unittest import mock

import numpy as np

from quarry.remote import ServiceError, transport
from quarry.remote.config import Config
from quarry.remote.job import ENDED
from quarry.remote.service import Service as Client
from quarry.remote.transport import Retry
from scripted_server import ScriptedServer, reply

GRAPH_ID = "graph_" + "1" * 64
GRAPH = {"id": GRAPH_ID, "nodes": 1, "inputs": [], "outputs": [{"name": "y", "dtype": "f32", "shape": [3]}],
         "step": {"tariff": 2, "flops": "3", "weighted": "6", "bytes": "12", "stored_values": 1, "metered_flops": "100",
                  "memory_bound_bytes": 1}}
JOB = {"id": "job_" + "0" * 26, "state": "succeeded", "end_reason": "succeeded", "graph": GRAPH_ID, "steps": 1,
       "steps_done": 1, "submitted_at": "", "started_at": None, "ended_at": None,
       "limit": "1.000000000000", "spent": "0.500000000000",
       "metered_flops": "100", "segments": 1, "failure": None,
       "outputs": [{"name": "y", "dtype": "f32", "shape": [3], "bytes": 12, "keep": "last"}]}
ACCOUNT = {"id": "acct_1", "name": "me",
           "balance": {"available": "1.0", "reserved": "0.0", "pending": "0.0", "payable": "0.0"}}
Y = np.float32([1, 2, 3])
# Few repetitions, and no limit that a busy machine could pass.
FEW = {"PATIENCE_SECONDS": 0.5, "FIRST_PATIENCE_SECONDS": 0.5, "FIRST_PAUSE_SECONDS": 0.01}
# Limits that a test can wait for: without them it would never end.
SHORT = {**FEW, "ANSWER_SECONDS": 1.0, "SILENCE_SECONDS": 1.0, "CONNECT_SECONDS": 1.0,
         "LEAST_BYTES_PER_SECOND": 1_000_000}


def result_file(array=Y, name="y", **changes):
    header = {name: {"dtype": "F32", "shape": list(array.shape), "data_offsets": [0, array.nbytes], **changes}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + array.tobytes()


def problem(status, code, **headers):
    return reply({"type": "about:blank", "title": "No", "status": status, "code": code, "detail": "no", "action": "go"},
                 status, **headers)


class HostileCase(unittest.TestCase):
    def serve(self, answer, limits=FEW):
        server = ScriptedServer(answer)
        self.addCleanup(server.__exit__)
        for name, value in limits.items():
            patch = mock.patch.object(transport, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        client = Client(Config(server.url, "qk_live_test", server.authority))
        self.addCleanup(client.close)
        return server, client

    def service(self, limits=FEW, **answers):
        """A service whose one job has ended; `answers` replaces what is said to graphs, jobs, results, account."""
        def answer(method, path, headers, body):
            kind = "results" if "/results" in path else path.split("/")[2].split("?")[0]
            said = answers.get(kind, {"graphs": reply(GRAPH), "jobs": reply(JOB), "results": reply(result_file()),
                                      "account": reply(ACCOUNT)}.get(kind))
            return said(method, path, headers, body) if callable(said) else said
        return self.serve(answer, limits)

    def refused(self, client, call=lambda client: client.run_job({}), code="bad_answer"):
        with self.assertRaises(ServiceError) as refusal:
            call(client)
        self.assertEqual(refusal.exception.code, code, refusal.exception)
        return refusal.exception


class Busy(HostileCase):
    def test_retry_after_is_waited_for_and_a_post_is_repeated_under_its_key(self):
        for status, code in ((429, "rate_limited"), (503, "overloaded")):
            answers = iter([problem(status, code, Retry_After=1), reply(GRAPH)])
            server, client = self.serve(lambda *_: next(answers), {})
            start = time.monotonic()
            self.assertEqual(client.put_graph({}).id, GRAPH_ID)
            self.assertGreaterEqual(time.monotonic() - start, 1.0)
            keys = [headers["idempotency-key"] for _, _, headers, _ in server.requests]
            self.assertEqual(keys, [keys[0]] * 2)

    def test_a_service_that_stays_busy_is_given_up_with_its_own_words(self):
        for after in ("0", "3600", "soon", "9" * 1000, "-1"):
            server, client = self.serve(lambda *_: problem(503, "overloaded", Retry_After=after))
            self.assertEqual(self.refused(client, lambda c: c.account(), "overloaded").action, "go")

    def test_a_connection_that_the_service_closed_is_opened_again_at_once(self):
        closing = []

        def answer(*_):
            closing.append(1)
            return [reply(ACCOUNT), None] if len(closing) == 1 else reply(ACCOUNT)
        server, client = self.serve(answer)
        client.account()
        time.sleep(0.2)  # it has heard of the end, or hears of it when it sends
        with mock.patch.object(Retry, "pause", side_effect=AssertionError("it waited")):
            self.assertEqual(client.account().name, "me")

    def test_a_result_that_breaks_off_goes_on_where_it_stopped(self):
        big = np.arange(100_000, dtype=np.float32)
        file, asked = result_file(big), []

        def results(method, path, headers, body):
            asked.append(headers.get("range"))
            whole = reply(file)
            if len(asked) == 1:
                return [whole[:200_000], None]
            first = int(asked[-1].removeprefix("bytes=").removesuffix("-"))
            return reply(file[first:], 206, Content_Range=f"bytes {first}-{len(file) - 1}/{len(file)}")
        job = {**JOB, "outputs": [{"name": "y", "dtype": "f32", "shape": [100_000]}]}
        server, client = self.service({}, jobs=reply(job), results=results)
        np.testing.assert_array_equal(client.run_job({})["y"], big)
        self.assertEqual([asked[0], asked[1] is not None, len(asked)], [None, True, 2])


class Slow(HostileCase):
    def trickle(self, piece):
        def answer(*_):
            yield b"HTTP/1.1 200 OK\r\n"
            while True:
                yield piece
                time.sleep(0.2)
        return answer

    def test_a_server_that_says_nothing_is_given_up(self):
        server, client = self.serve(lambda *_: iter(lambda: time.sleep(0.1) or b"", None), SHORT)
        self.refused(client, lambda c: c.account(), "unreachable")

    def test_a_head_or_a_body_that_trickles_is_given_up(self):
        for piece in (b"X: y\r\n", b"", b"Content-Length: 1000000\r\n\r\n"):
            server, client = self.serve(self.trickle(piece), SHORT)
            self.refused(client, lambda c: c.account(), "unreachable")
        server, client = self.serve(self.trickle(b"HTTP/1.1 100 Continue\r\n\r\n"), SHORT)
        self.refused(client, lambda c: c.account(), "unreachable")

    def test_a_result_that_trickles_is_given_up(self):
        def results(*_):
            whole = reply(result_file(np.zeros(10_000_000, np.float32)))
            yield whole[:1000]
            for at in range(1000, len(whole)):
                yield whole[at:at + 1]
                time.sleep(0.3)
        job = {**JOB, "outputs": [{"name": "y", "dtype": "f32", "shape": [10_000_000]}]}
        server, client = self.service(SHORT, jobs=reply(job), results=results)
        self.refused(client, code="unreachable")

    def test_a_listener_that_is_no_tls_server_is_given_up(self):
        for greeting in (b"", b"220 mail.example.com ESMTP\r\n", os.urandom(2000)):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                def greet(listener=listener, greeting=greeting):
                    while True:
                        try:
                            peer, _ = listener.accept()
                            peer.sendall(greeting)
                            held.append(peer)
                        except OSError:
                            return
                held = []
                threading.Thread(target=greet, daemon=True).start()
                client = Client(Config(f"https://127.0.0.1:{listener.getsockname()[1]}", "qk_live_test"))
                with mock.patch.multiple(transport, **SHORT):
                    self.refused(client, lambda c: c.account(), "unreachable")
                for peer in held:
                    peer.close()


class Malicious(HostileCase):
    def test_answers_that_are_not_json_objects(self):
        for body in (b"", b"<html>", b"[]", b"5", b'{"id": ', b"\xff\xfe", b"[" * 100_000, b'{"id": 1e999}',
                     b'{"balance": []}', b"NaN"):
            server, client = self.service(account=reply(body))
            self.refused(client, lambda c: c.account())

    def test_an_answer_without_end_is_cut_off(self):
        def endless(*_):
            yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            while True:
                yield b"10000\r\n" + b" " * 65536 + b"\r\n"
        with mock.patch.object(transport, "MAX_JSON_BYTES", 1 << 20):
            self.refused(self.service(account=endless)[1], lambda c: c.account())

        def headers(*_):
            yield b"HTTP/1.1 200 OK\r\n"
            while True:
                yield b"X: " + b"y" * 60_000 + b"\r\n"
        self.refused(self.service(account=headers)[1], lambda c: c.account(), "unreachable")
        self.refused(self.service(account=lambda *_: b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000_000)[1],
                     lambda c: c.account(), "unreachable")
        self.refused(self.service(SHORT, account=reply(b"{}", Content_Length=10**30))[1], lambda c: c.account(), "unreachable")

    def test_a_redirection_is_not_followed(self):
        server, client = self.service(account=reply(b"", 302, Location="https://127.0.0.1:1/"))
        self.assertIn("302", str(self.refused(client, lambda c: c.account())))

    def test_a_refusal_without_a_problem_document(self):
        for body in (b"", b"{}", b'{"code": 5}', b"<html>Bad Gateway</html>"):
            server, client = self.service(account=reply(body, 500))
            self.assertIn("500", str(self.refused(client, lambda c: c.account())))

    def test_names_from_the_service_cannot_leave_their_place_in_a_path(self):
        job = {**JOB, "id": "../../x?y#z\r\nHost: evil",
               "outputs": [{"name": "../y /\r\n", "dtype": "f32", "shape": [3]}]}
        server, client = self.service(jobs=reply(job), results=reply(result_file(name="../y /\r\n")))
        client.run_job({})
        self.assertEqual(server.requests[-1][1].count("/"), 5)

    def test_a_result_that_is_not_what_the_graph_says(self):
        good = result_file()
        wrong = [b"", good[:5], good[:20], good + b"x", struct.pack("<Q", 2**63) + good[8:],
                 struct.pack("<Q", 10**7) + good[8:], struct.pack("<Q", 3) + b"[1]",
                 result_file(np.float32([1, 2])), result_file(name="z"), result_file(dtype="I32"),
                 result_file(shape=[1, 3]), result_file(data_offsets=[0, 8]), result_file(shape="abc"),
                 result_file(data_offsets=None)]
        for file in wrong:
            server, client = self.service(results=reply(file))
            with self.assertRaises(ServiceError) as refusal:
                client.run_job({})
            self.assertIn(refusal.exception.code, ("bad_answer", "unreachable"), file)

    def test_a_result_inside_of_the_job_that_is_not_its_bytes(self):
        for data in ("", "AAAA", "!" * 16, "A" * 10_000_000, 5, [], "\u00e4", "AAAAAAAAAAAAAAA"):
            job = {**JOB, "outputs": [{**JOB["outputs"][0], "data": data}]}
            self.refused(self.service(jobs=reply(job))[1])

    def test_outputs_that_cannot_be(self):
        for output in ({}, 5, {"name": "y", "dtype": "f31", "shape": []}, {"name": "y", "dtype": "f32", "shape": [-1]},
                       {"name": "y", "dtype": "f32", "shape": [2**40, 2**40]},
                       {"name": "y", "dtype": "f32", "shape": [0, 2**200]},
                       {"name": "y", "dtype": "f32", "shape": ["3"]}, {"name": "y", "dtype": "f32", "shape": [1] * 100},
                       {"name": "y", "dtype": "f32", "shape": 3},
                       {"name": "y", "dtype": "f32", "shape": [10**4000] * 2}):
            self.refused(self.service(jobs=reply({**JOB, "outputs": [output]}))[1])

    def test_events_that_are_broken(self):
        running = {**JOB, "state": "running"}
        for stream in (b"event: x\ndata: {\n\n", b"event: x\ndata: []\n\n", b"data: " + b"x" * (2 << 20),
                       b"data: 5\n\n",
                       b"".join(b"data: " + b"x" * 1000 + b"\n" for _ in range(2000))):
            said = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + stream
            server, client = self.service(jobs=lambda method, path, headers, body, said=said:
                                          [said, None] if "events" in path else reply(running))
            self.refused(client, lambda c: list(c.job(JOB["id"]).events()))

    def test_a_stream_that_stops_before_the_job_is_asked_for_again_from_its_last_event(self):
        asked = []

        def jobs(method, path, headers, body):
            if "events" not in path:
                return reply({**JOB, "state": "running"})
            asked.append(headers.get("last-event-id"))
            event = [b"id: 7\nevent: job.running", b"id: 9\nevent: job.succeeded"][len(asked) - 1] + b"\ndata: {}\n\n"
            return [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + event, None]
        server, client = self.service({}, jobs=jobs)
        self.assertEqual([event.id for event in client.job(JOB["id"]).events()], ["7", "9"])
        self.assertEqual(asked, [None, "7"])

    def test_answers_with_random_damage_end_in_a_result_or_a_service_error(self):
        """Seeded: fields replaced by values of other kinds, bytes of results flipped."""
        generator = random.Random(7)
        strange = [None, -1, 10**30, "", "x" * 500, [], {}, [[]], 1.5, True, "NaN", "-1", "\u0000", {"name": []},
                   "1e999999999", "9" * 4000, 10**4000, "\u0661"]

        def damaged(value):
            if isinstance(value, dict) and value and generator.random() < 0.7:
                key = generator.choice(list(value))
                return {**value, key: damaged(value[key])}
            if isinstance(value, list) and value and generator.random() < 0.7:
                at = generator.randrange(len(value))
                return [*value[:at], damaged(value[at]), *value[at + 1:]]
            return generator.choice(strange)

        said = {}
        server, client = self.service(graphs=lambda *_: reply(said["graph"]), jobs=lambda *_: reply(said["job"]),
                                      results=lambda *_: reply(said["file"]), account=lambda *_: reply(said["account"]))
        errors = 0
        self.enterContext(mock.patch.object(transport, "PATIENCE_SECONDS", 0.01))
        for _ in range(150):
            file = bytearray(result_file())
            for _ in range(generator.randrange(3)):
                file[generator.randrange(len(file) - 12)] = generator.randrange(256)
            job = generator.choice([JOB,
                                    {**JOB, "state": "failed", "failure": {"reason": "graph_error", "detail": "no"}}])
            said = {"graph": GRAPH, "job": job, "file": bytes(file), "account": damaged(ACCOUNT)}
            kind = generator.choice(["graph", "job", "none"])
            if kind != "none":
                said[kind] = damaged(said[kind])
            if isinstance(said["job"], dict) and said["job"].get("state") not in ENDED:
                said["job"] = {**said["job"], "state": "failed"}  # else it is waited for, as it should be
            client.graphs.clear()
            for call in (lambda: client.run_job({}), client.account, client.usage):
                try:
                    for shown in (call(),):
                        str(shown), getattr(shown, "_repr_html_", str)()
                except ServiceError:
                    errors += 1
        self.assertGreater(errors, 150)  # usage is never answered well


if __name__ == "__main__":
    unittest.main()
