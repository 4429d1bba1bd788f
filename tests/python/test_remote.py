"""quarry.remote against the real service: runs, quotes, refusals, breaks, cancels, what it prints."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
import unittest
from decimal import Decimal
from unittest import mock

import numpy as np

import quarry
from quarry.remote import JobError, ServiceError, connect
from quarry.remote.config import load_config
from quarry.remote.service import Service as Client
from quarry.remote.tensor_file import TensorFile
from service_case import PATIENCE_SECONDS, EndedEarly, ServiceCase, counting_graph

DOUBLE = {"version": 1,
          "nodes": [{"op": "INPUT", "name": "x", "dtype": "f32", "shape": [3]}, {"op": "ADD", "src": [0, 0]}],
          "outputs": {"y": 1}}
LONG = {"steps": 20_000_000, "carry": {"x": "x_next"}, "checkpoint_every": 1_000_000}
X = np.arange(64, dtype=np.int32)


def sums_of_feed(dtype="f32", shape=(2,)):
    return {"version": 1, "nodes": [{"op": "INPUT", "name": "x", "dtype": dtype, "shape": list(shape)},
                                    {"op": "REDUCE_SUM", "src": [0], "axes": [0]}], "outputs": {"sum": 1}}


def identity(dtype, shape):
    """A graph that gives back its input, through two movements so that it is a value of its own."""
    return {"version": 1, "nodes": [{"op": "INPUT", "name": "x", "dtype": dtype, "shape": list(shape)},
                                    {"op": "PAD", "src": [0], "pads": [[0, 1]] + [[0, 0]] * (len(shape) - 1)},
                                    {"op": "SHRINK", "src": [1], "bounds": [[0, size] for size in shape]}],
            "outputs": {"y": 2}}


class CountingClient(Client):
    """Counts the requests it sends."""

    def __init__(self, config):
        super().__init__(config)
        self.sent = []
        attempt = self.transport.begin

        def begin(connection, method, path, *rest):
            self.sent.append(f"{method} {path.split('?')[0]}")
            return attempt(connection, method, path, *rest)
        self.transport.begin = begin


class Runs(ServiceCase):
    def setUp(self):
        self.client = connect()

    def test_carries_feeds_and_kept_outputs_come_back_by_name(self):
        result = self.client.run_job(counting_graph(4), {"x": [1, 2, 3, 4]}, steps=3, carry={"x": "x_next"},
                                     keep={"total": "each", "x_next": "last"})
        self.assertEqual(result["total"].ravel().tolist(), [14, 18, 22])
        self.assertEqual(result["x_next"].tolist(), [4, 5, 6, 7])
        feed = np.array([[1, 2], [3, 4]], np.float32)
        wrapped = self.client.run_job(sums_of_feed(), feed={"x": (feed, True)}, steps=3, keep="each")
        self.assertEqual(wrapped["sum"].ravel().tolist(), [3, 7, 3])
        with self.assertRaises(ServiceError) as short:
            self.client.run_job(sums_of_feed(), feed={"x": feed}, steps=3)
        self.assertEqual(short.exception.code, "feed_too_short")

    def test_every_dtype_travels_unchanged(self):
        random = np.random.default_rng(1)
        for dtype, array in {"bool": np.array([1, 0, 1], "?"), "i8": np.array([-128, 127, 0], "i1"),
                             "u8": np.array([0, 255, 1], "u1"),
                             "i32": np.array([-2**31, 5, 2**31 - 1], "i4"),
                             "i64": np.array([-2**63, 5, 2**63 - 1], "i8"),
                             "f16": random.random(3).astype("f2"), "bf16": np.array([0x3f80, 0xc000, 0x0001], "u2"),
                             "f32": random.random(3, dtype="f4"), "f64": random.random(3)}.items():
            result = self.client.run_job(identity(dtype, [3]), {"x": array})["y"]
            self.assertEqual((result.dtype, result.tobytes()), (array.dtype, array.tobytes()), dtype)
        big_endian = np.arange(6, dtype=">f4").reshape(2, 3).T
        self.assertEqual(self.client.run_job(identity("f32", [3, 2]), {"x": big_endian})["y"].tolist(),
                         big_endian.tolist())

    def test_a_result_is_an_input_of_the_next_job_without_leaving_the_service(self):
        first = self.client.submit(DOUBLE, {"x": np.float32([1, 2, 3])}).wait()
        client = CountingClient(self.client.config)
        self.assertEqual(client.run_job(DOUBLE, {"x": first.output("y")})["y"].tolist(), [4, 8, 12])
        self.assertFalse([request for request in client.sent if "tensors" in request])

    def test_a_repeated_small_job_takes_one_request(self):
        client = CountingClient(self.client.config)
        x = np.float32([1, 2, 3])
        client.run_job(DOUBLE, {"x": x})
        client.sent.clear()
        self.assertEqual(client.run_job(DOUBLE, {"x": x})["y"].tolist(), [2, 4, 6])
        self.assertEqual(client.sent, ["POST /v1/jobs"])

    def test_results_that_are_too_large_to_come_with_the_job_are_fetched(self):
        client = CountingClient(self.client.config)
        for size, fetched in ((4096, False), (4097, True)):  # 16 KiB of f32
            x = np.random.default_rng(size).random(size, dtype=np.float32)
            client.sent.clear()
            self.assertEqual(client.run_job(identity("f32", [size]), {"x": x})["y"].tobytes(), x.tobytes())
            self.assertEqual(any("/results/" in request for request in client.sent), fetched)
        many = {"version": 1,
                "nodes": [{"op": "CONST", "dtype": "f32", "shape": [4000], "value": value} for value in range(6)],
                "outputs": {f"y{value}": value for value in range(6)}}
        client.sent.clear()
        self.assertEqual([array[0] for array in client.run_job(many).values()], [0, 1, 2, 3, 4, 5])
        fetched = [request for request in client.sent if "/results/" in request]
        self.assertEqual(len(fetched), 2)  # 64 KiB come with the job

    def test_small_inputs_share_one_upload_and_a_large_one_is_sent_once(self):
        client = CountingClient(self.client.config)
        names = [f"x{i}" for i in range(5)]
        nodes = [{"op": "INPUT", "name": name, "dtype": "f32", "shape": [4]} for name in names]
        outputs = {}
        for i in range(1, 5):
            nodes.append({"op": "ADD", "src": [0, i]})
            outputs[f"y{i}"] = len(nodes) - 1
        client.run_job({"version": 1, "nodes": nodes, "outputs": outputs},
                       {name: np.full(4, i, np.float32) for i, name in enumerate(names)})
        self.assertEqual(len([request for request in client.sent if request.startswith("PUT")]), 1)
        client = CountingClient(self.client.config)
        large = np.random.default_rng(2).random(1 << 20, dtype=np.float32)
        for _ in range(2):  # two processes' worth of memory: the second asks, and sends nothing
            client.run_job(sums_of_feed(shape=(1 << 20,)), {"x": large})
            client.uploads.forget()
        self.assertEqual([request.split()[0] for request in client.sent if "tensors" in request],
                         ["HEAD", "PUT", "HEAD"])

    def test_what_the_service_has_lost_is_stored_again(self):
        client = Client(self.client.config)
        client.run_job(DOUBLE, {"x": np.float32([7, 7, 7])})
        stored = next(iter(client.graphs.values()))
        other = Client(self.client.config)
        other.graphs = {key: type(stored)("graph_" + "0" * 64, stored.inputs, stored.outputs, stored.step)
                        for key in client.graphs}
        other.uploads.present = {TensorFile({"input x": np.float32([8, 7, 7])}).sha256()}
        self.assertEqual(other.run_job(DOUBLE, {"x": np.float32([8, 7, 7])})["y"].tolist(), [16, 14, 14])

    def test_threads_share_a_client(self):
        results, errors = {}, []

        def work(i):
            try:
                results[i] = self.client.run_job(DOUBLE, {"x": np.full(3, i, np.float32)})["y"][0]
            except Exception as error:  # noqa: BLE001: told below
                errors.append(error)
        threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        self.assertEqual(results, {i: 2 * i for i in range(12)})

    def test_wrong_names_dtypes_and_shapes_are_told_before_anything_is_sent(self):
        client = CountingClient(self.client.config)
        client.put_graph(DOUBLE)
        client.sent.clear()
        for inputs, words in (({"z": [1]}, ("z", "x")), ({"x": np.zeros(3)}, ("f32", "float64")), ({}, ("x", "f32[3]")),
                              ({"x": np.zeros((3, 1), np.float32)}, ("f32[3]", "f32[3, 1]"))):
            with self.assertRaises(ValueError) as refused:
                client.run_job(DOUBLE, inputs)
            for word in words:
                self.assertIn(word, str(refused.exception))
        self.assertEqual(client.sent, [])

    def test_a_quote_is_what_the_job_then_costs(self):
        arguments = dict(inputs={"x": [1, 2, 3, 4]}, steps=10, carry={"x": "x_next"})
        quote = self.client.quote(counting_graph(4), **arguments)
        job = self.client.submit(counting_graph(4), quote=quote, **arguments).wait()
        self.assertEqual((job.cost, job.metered_flops), (quote.price, quote.metered_flops))
        self.assertIn("metered", quote._repr_html_())

    def test_a_quote_without_values_is_the_same_and_uploads_nothing(self):
        client = CountingClient(self.client.config)
        feed = np.arange(8, dtype=np.float32).reshape(4, 2)
        for graph, values, options in (
                (DOUBLE, {"x": [1, 2, 3]}, {"steps": 7, "keep": "each"}),
                (counting_graph(64), {"x": X}, {"keep": {"total": "last"}}),
                (counting_graph(64), {"x": X}, {"steps": 10**6, "carry": {"x": "x_next"}}),
                (quarry.Graph.parse(identity("bf16", [3, 5])), {"x": np.zeros((3, 5), np.uint16)}, {"steps": 3})):
            exact, counted = self.client.quote(graph, values, **options), client.quote(graph, **options)
            self.assertEqual((counted.price, counted.lines, counted.flops), (exact.price, exact.lines, exact.flops))
            with self.assertRaisesRegex(ValueError, "holds the prices"):
                client.submit(graph, values, quote=counted, **options)
        fed = client.quote(sums_of_feed(), steps=4, feed={"x": feed})
        self.assertEqual(fed.lines, self.client.quote(sums_of_feed(), steps=4, feed={"x": feed}).lines)
        self.assertEqual([request for request in client.sent if "HEAD" in request], [])

    def test_account_usage_and_jobs_say_what_was_spent(self):
        before = self.client.account()
        job = self.client.submit(DOUBLE, {"x": [1, 2, 3]}).wait()
        after = self.client.account()
        self.assertEqual(before.available - after.available, job.cost)
        self.assertEqual(self.client.jobs(1)[0].id, job.id)
        self.assertEqual(self.client.job("last").id, job.id)
        self.assertEqual(Decimal(job.bill()["spent"]), job.cost)
        self.assertGreaterEqual(self.client.usage().charge, job.cost)
        for shown in (job, after, self.client.usage()):
            self.assertIn("<table>", shown._repr_html_())
            self.assertIn("$", str(shown))

    def test_events_tell_a_job_from_start_to_end(self):
        job = self.client.submit(counting_graph(), {"x": X}, steps=1000, carry={"x": "x_next"})
        kinds = [event.kind for event in job.events()]
        self.assertIn("segment.accepted", kinds)
        self.assertEqual(kinds[-1], "job.succeeded")
        self.assertEqual(job.wait().state, "succeeded")

    def test_progress_may_be_a_function(self):
        seen = []
        self.client.run_job(counting_graph(), {"x": X}, steps=500, carry={"x": "x_next"},
                            progress=lambda *now: seen.append(now))
        self.assertEqual(seen[-1], (500, 500))


class Refusals(ServiceCase):
    arguments = ("--credit", "0.5")

    def refused(self, code, *arguments, **options):
        with self.assertRaises(ServiceError) as refusal:
            connect().run_job(*arguments, **options)
        self.assertEqual(refusal.exception.code, code, refusal.exception)
        return refusal.exception

    def test_a_balance_that_is_too_low(self):
        costly = dict(LONG, steps=2_000_000_000)
        error = self.refused("insufficient_balance", counting_graph(), {"x": X}, **costly)
        self.assertEqual(error.status, 402)
        self.assertIn("available", str(error))

    def test_a_limit_that_is_too_low_is_named_by_its_place(self):
        error = self.refused("limit_too_low", DOUBLE, {"x": [1, 2, 3]}, limit="0.000000000001")
        self.assertEqual(error.pointer, "/limit")
        self.assertTrue(error.action and error.request_id)

    def test_a_wrong_graph_is_named_by_its_node(self):
        broken = {**DOUBLE, "nodes": [DOUBLE["nodes"][0], {"op": "ADD", "src": [0, 7]}]}
        self.assertIn("/nodes/1", self.refused("forward_reference", broken, {"x": [1, 2, 3]}).pointer)

    def test_a_bad_key_no_key_a_bad_address_and_a_stranger_as_authority(self):
        for variables, code in (({"QUARRY_API_KEY": "qk_live_wrong"}, "unauthorized"),
                                ({"QUARRY_API_KEY": ""}, "not_configured"),
                                ({"QUARRY_SERVER": ""}, "not_configured"),
                                ({"QUARRY_SERVER": "http://127.0.0.1:1"}, "bad_config"),
                                ({"QUARRY_SERVER": "https://127.0.0.1:nine"}, "bad_config"),
                                ({"QUARRY_AUTHORITY": "/none"}, "bad_config"),
                                ({"QUARRY_API_KEY": "a\nb"}, "bad_config"), ({"QUARRY_AUTHORITY": ""}, "untrusted")):
            with mock.patch.dict(os.environ, variables), self.assertRaises(ServiceError) as refusal:
                connect().account()
            self.assertEqual(refusal.exception.code, code, variables)
        with mock.patch.dict(os.environ, QUARRY_SERVER="https://127.0.0.1:1"):
            with self.assertRaises(ServiceError) as refusal:
                connect().account()
        self.assertEqual(refusal.exception.code, "unreachable")

    def test_a_key_is_never_printed(self):
        key = self.variables["QUARRY_API_KEY"]
        self.assertNotIn(key, repr(load_config()) + repr(connect()) + str(connect().account()))

    def test_the_config_file_is_the_command_lines_and_a_wrong_key_in_it_is_named(self):
        directory = self.server.data / "config-home" / "quarry"
        directory.mkdir(parents=True)
        plain = {"XDG_CONFIG_HOME": str(directory.parent), "QUARRY_SERVER": "", "QUARRY_API_KEY": "",
                 "QUARRY_AUTHORITY": ""}
        with mock.patch.dict(os.environ, plain):
            (directory / "config.json").write_text(self.server.config.read_text())
            self.assertEqual(connect().account().name, "development")
            for text, word in (('{"sever": "https://x"}', "server"), ("{", "JSON"), ("[]", "object"),
                               ('{"server": 5}', "string"),
                               ("[" * 100_000, "JSON")):
                (directory / "config.json").write_text(text)
                with self.assertRaises(ServiceError) as refusal:
                    load_config()
                self.assertEqual(refusal.exception.code, "bad_config")
                self.assertIn(word, str(refusal.exception))


class Cancels(ServiceCase):
    def test_a_cancelled_job_raises_with_its_handle(self):
        job = connect().submit(counting_graph(), {"x": X}, **LONG)
        threading.Timer(0.5, job.cancel).start()
        with self.assertRaises(JobError) as cancelled:
            job.result()
        self.assertEqual((cancelled.exception.code, cancelled.exception.job.state), ("job_cancelled", "cancelled"))

    def test_waiting_ends_after_its_time_and_the_job_goes_on(self):
        job = connect().submit(counting_graph(), {"x": X}, **LONG)
        with self.assertRaises(TimeoutError):
            job.wait(timeout=1.5)
        self.assertIn(job.state, ("queued", "running"))
        job.cancel()

    def script(self, stderr, *, progress="None", steps=LONG["steps"]):
        text = f"""
import numpy, quarry.remote, json
quarry.remote.connect().run_job({json.dumps(counting_graph())}, {{"x": numpy.arange(64, dtype="int32")}}, steps={steps},
                                carry={{"x": "x_next"}}, checkpoint_every=100000, progress={progress})
"""
        # Whoever runs the tests in the background of a script has them ignore Ctrl-C, and their children with them.
        process = subprocess.Popen(["env", "--default-signal=INT", sys.executable, "-c", text], stderr=stderr,
                                   stdout=subprocess.PIPE)
        self.addCleanup(process.kill)
        return process

    def newest(self, state):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            jobs = connect().jobs(1)
            if jobs and jobs[0].state == state:
                return jobs[0]
            time.sleep(0.05)
        self.fail(f"no job is {state}")

    def test_control_c_cancels_the_job(self):
        process = self.script(subprocess.PIPE)
        job = self.newest("running")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        self.assertIn(b"KeyboardInterrupt", errors)
        self.assertIn(f"cancelling {job.id}".encode(), errors)
        self.assertEqual(job.state, "cancelled")

    def shown_on_a_terminal(self, steps):
        ours, theirs = pty.openpty()
        process = self.script(theirs, steps=steps)
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # how a terminal tells that its other side is closed
            pass
        self.assertEqual(process.wait(PATIENCE_SECONDS), 0, shown.decode(errors="replace"))
        process.stdout.close()
        os.close(ours)
        return shown.decode()

    def test_a_terminal_gets_a_bar_with_rate_time_left_and_money_and_a_pipe_gets_nothing(self):
        parts = ("running", "%", "steps/s", "left", "$", "█")
        for steps in (800_000, 8_000_000, 80_000_000):  # a bar comes after a second: a quick machine needs more of them
            shown = self.shown_on_a_terminal(steps)
            if all(part in shown for part in parts):
                break
        for part in parts:
            self.assertIn(part, shown)
        self.assertTrue(shown.endswith("\r\x1b[K"))
        piped = self.script(subprocess.PIPE, steps=50_000)
        out, errors = piped.communicate(timeout=PATIENCE_SECONDS)
        self.assertEqual((piped.returncode, out, errors), (0, b"", b""))


class Breaks(ServiceCase):
    def kill_the_server_during(self, job):
        """From a thread of its own, while the test waits for the job; done when the test is."""
        def kill():
            with contextlib.suppress(EndedEarly):
                self.server.wait_until(job.id, lambda now: int(now["steps_done"]) > 0)
                self.server.kill("quarry-server")
        thread = threading.Thread(target=kill)
        thread.start()
        self.addCleanup(thread.join)

    def test_a_server_killed_in_the_middle_of_a_job_costs_nothing_but_time(self):
        job = connect().submit(counting_graph(), {"x": X}, steps=300_000, carry={"x": "x_next"})
        self.kill_the_server_during(job)
        result = job.result()
        self.assertEqual(result["total"].tolist(), [int(X.sum()) + 64 * 300_000])

    def test_events_go_on_after_a_break(self):
        job = connect().submit(counting_graph(), {"x": X}, steps=300_000, carry={"x": "x_next"})
        self.kill_the_server_during(job)
        kinds = [event.kind for event in job.events()]
        self.assertEqual(kinds[-1], "job.succeeded")
        self.assertEqual(kinds.count("job.queued") + kinds.count("job.succeeded"),
                         len(set(kinds) & {"job.queued", "job.succeeded"}))

    def test_an_upload_that_breaks_goes_on_where_it_stopped(self):
        x = np.random.default_rng(3).random(16 << 20, dtype=np.float32)
        half, sent = x.nbytes // 2, []
        chunks = TensorFile.chunks

        def breaking(file, begin=0, heard=None):
            for piece in chunks(file, begin, heard):
                if heard:  # an upload, not a hash
                    sent.append(piece.nbytes)
                    if sum(sent) > half and not self.killed:
                        self.killed = True
                        time.sleep(0.3)  # what was sent has been written
                        self.server.kill("quarry-server")
                yield piece

        self.killed = False
        client = Client(load_config())
        client.account()  # a service that has answered is waited for
        digest = TensorFile({"value": x}).sha256()
        with mock.patch.multiple(TensorFile, sha256=lambda file, _=None: digest, chunks=breaking):
            self.assertEqual(client.uploads.store_file(TensorFile({"value": x})), digest)
        self.assertTrue(self.killed)
        self.assertLess(sum(sent), 1.4 * x.nbytes)
        self.assertEqual(client.run_job(sums_of_feed(shape=x.shape), {"x": x})["sum"].shape, (1,))


if __name__ == "__main__":
    unittest.main()
