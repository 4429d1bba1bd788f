"""The HTTPS API on a real PostgreSQL: what each call gives, and what bad input gets: a problem that names the field, nothing stored,
nothing charged. Every answer is checked against the served OpenAPI document on the way (server_under_test.Contract)."""

import concurrent.futures
import datetime
import hashlib
import hmac
import json
import os
import socket
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from server_under_test import PATIENCE_SECONDS, Server, counting_graph, read_answer, safetensors  # noqa: E402

START = struct.pack("<4i", 0, 1, 2, 3)


def digest_of(raw):
    return hashlib.sha256(raw).hexdigest()


def certificate_request():
    """A PKCS #10 request with a new key."""
    key = subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True, check=True).stdout
    return subprocess.run(["openssl", "req", "-new", "-key", "/dev/stdin", "-subj", "/CN=box"], input=key, capture_output=True,
                          check=True).stdout.decode()


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def call(self, method, path, body=None, status=200, **options):
        answer = self.server.request(method, path, body, **options)
        self.assertEqual(answer.status, status, answer)
        return answer

    def refused(self, method, path, body=None, *, status, code, pointer=None, **options):
        """A refusal, after which nothing more is stored, listed or reserved than before."""
        before = self.state()
        answer = self.server.request(method, path, body, **options)
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        if isinstance(code, str):
            code = (code,)
        self.assertIn(answer.json["code"], code, answer)
        if pointer is not None:
            self.assertEqual(answer.json.get("pointer"), pointer, answer)
        self.assertEqual(self.state(), before)
        return answer

    def state(self):
        jobs = self.server.request("GET", "/v1/jobs?limit=200", key="spare").json["jobs"]
        return self.server.stored_files(), len(jobs), self.server.command("balances")

    # --- keys ---

    def test_a_request_without_a_good_key_gets_401_and_one_sentence_for_every_cause(self):
        good = self.server.keys["renter"]
        wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
        answers = [self.server.request("GET", "/v1/account", key=None, headers=headers)
                   for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eA=="},
                                   {"Authorization": f"Bearer {wrong}"}, {"Authorization": f"Bearer {self.server.keys['revoked']}"})]
        self.assertEqual({a.status for a in answers}, {401})
        self.assertEqual(len({a.body for a in answers}), 1)
        self.assertIn("Bearer", answers[0].headers["WWW-Authenticate"])

    def test_a_revoked_key_stops_working_within_two_seconds(self):
        self.call("GET", "/v1/account", key="spare")
        other = Server()
        try:
            other.request("GET", "/v1/account", key="spare")
            other.command(f"revoke {other.keys['spare']}")
            time.sleep(1.5)
            self.assertEqual(other.request("GET", "/v1/account", key="spare").status, 401)
        finally:
            other.stop()

    def test_the_scheme_may_be_written_in_any_case(self):
        for scheme in ("bearer", "BEARER", "bEaReR", "Bearer "):
            self.call("GET", "/v1/account", key=None, headers={"Authorization": f"{scheme} {self.server.keys['renter']}"})
        for scheme in ("Bearers", "Bear", "Token", ""):
            self.call("GET", "/v1/account", status=401, key=None, headers={"Authorization": f"{scheme} {self.server.keys['renter']}"})

    def test_wrong_keys_and_claim_codes_lock_out_no_right_one_of_their_address(self):
        server = Server()
        self.addCleanup(server.stop)
        wrong = server.keys["revoked"]
        box = server.request("POST", "/v1/boxes", {"name": "rack"}).json
        statuses = [server.request("GET", "/v1/account", key=None, headers={"Authorization": f"Bearer {wrong}"}).status for _ in range(400)]
        self.assertEqual(set(statuses), {401, 429})
        for key in ("renter", "spare", "stranger"):  # the last two are new to this server
            self.assertEqual(server.request("GET", "/v1/account", key=key).status, 200)
        body = {"claim_code": box["claim_code"], "request_pem": certificate_request()}
        while server.request("POST", "/v1/boxes:claim", {**body, "claim_code": "qc_0"}, key=None).status != 429:
            pass
        self.assertEqual(server.request("POST", "/v1/boxes:claim", body, key=None).status, 201)

    def test_a_key_that_is_revoked_ends_what_it_began(self):
        server = Server()
        self.addCleanup(server.stop)
        job = server.request("POST", "/v1/jobs", {"job": server.job()}, key="spare").json["id"]
        body = json.dumps({"job": server.job()}).encode()

        def begin(path, method="GET", length=0):
            sock = server.raw()
            sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
                         f"Authorization: Bearer {server.keys['spare']}\r\n\r\n".encode())
            return sock
        stream, waiting = begin(f"/v1/jobs/{job}/events"), begin(f"/v1/jobs/{job}?wait=60")
        submitting = begin("/v1/jobs", "POST", len(body))
        uploading = begin("/v1/tensors/" + "0" * 64, "PUT", 9)
        submitting.sendall(body[:10])
        uploading.sendall(b"x")
        seen = b""
        while b"job.queued" not in seen:
            seen += stream.recv(65536)
        server.command(f"revoke {server.keys['spare']}")
        began = time.monotonic()
        while got := stream.recv(65536):
            seen += got
        self.assertTrue(seen.endswith(b"0\r\n\r\n"), seen)
        self.assertEqual(read_answer(waiting)[0], 401)
        self.assertLess(time.monotonic() - began, 45)  # of the 60 s that it may wait
        submitting.sendall(body[10:])
        uploading.sendall(b"x" * 8)
        self.assertEqual(read_answer(submitting)[0], 401)
        self.assertEqual(read_answer(uploading)[0], 401)
        self.assertEqual(len(server.request("GET", "/v1/jobs").json["jobs"]), 1)
        for sock in (stream, waiting, submitting, uploading):
            sock.close()

    def test_a_key_without_the_scope_gets_403(self):
        self.refused("POST", "/v1/quotes", {"job": {}}, key="reader", status=403, code="missing_scope")
        self.refused("GET", "/v1/account", key="reader", status=403, code="missing_scope")
        self.call("GET", "/v1/jobs", key="reader")

    # --- routes ---

    def test_an_unknown_path_is_404_and_a_wrong_method_405_with_what_is_allowed(self):
        self.refused("GET", "/v1/nowhere", status=404, code="not_found")
        answer = self.refused("DELETE", "/v1/account", status=405, code="method_not_allowed")
        self.assertEqual(answer.headers["Allow"], "GET, HEAD")

    def test_a_body_that_is_too_large_or_of_another_type_is_refused(self):
        self.refused("POST", "/v1/quotes", b"{" + b" " * (9 << 20), headers={"Content-Type": "application/json"}, status=413,
                     code="body_too_large")
        self.refused("POST", "/v1/boxes:claim", {"claim_code": "x" * (64 << 10), "request_pem": "x"}, status=413, key=None,
                     code="body_too_large")
        self.refused("POST", "/v1/quotes", b"job: 1", headers={"Content-Type": "text/yaml"}, status=415, code="media_type")

    # --- tensors ---

    def test_a_tensor_is_stored_under_its_hash_and_comes_back_whole_and_by_range(self):
        raw = safetensors({"a": ("F32", [300_000], bytes(range(256)) * 4687 + bytes(128))})
        path = f"/v1/tensors/{digest_of(raw)}"
        stored = self.call("PUT", path, raw, 201).json
        self.assertEqual((stored["sha256"], stored["bytes"]), (digest_of(raw), len(raw)))
        self.call("PUT", path, raw, 200)
        self.assertEqual(self.call("HEAD", path).headers["Content-Length"], str(len(raw)))
        self.assertEqual(self.call("GET", path).body, raw)
        part = self.call("GET", path, status=206, headers={"Range": "bytes=1000-600000"})
        self.assertEqual(part.body, raw[1000:600001])
        self.assertEqual(part.headers["Content-Range"], f"bytes 1000-600000/{len(raw)}")
        self.assertEqual(self.call("GET", path, status=206, headers={"Range": "bytes=-7"}).body, raw[-7:])
        self.assertEqual(self.call("GET", path, status=206, headers={"Range": f"bytes={len(raw) - 1}-"}).body, raw[-1:])
        self.refused("GET", path, headers={"Range": f"bytes={len(raw)}-"}, status=416, code="range_not_satisfiable")

    def test_an_upload_goes_on_where_it_stopped(self):
        raw = safetensors({"b": ("U8", [100_000], bytes(100_000))}, {"__metadata__": {"k": "resumed"}})
        path = f"/v1/tensors/{digest_of(raw)}"
        first = self.call("PUT", path, raw[:40_000], 202, headers={"Content-Range": f"bytes 0-39999/{len(raw)}"})
        self.assertEqual(first.headers["Upload-Offset"], "40000")
        self.assertEqual(self.call("HEAD", path, status=404).headers["Upload-Offset"], "40000")
        gap = self.refused("PUT", path, raw[50_000:], headers={"Content-Range": f"bytes 50000-{len(raw) - 1}/{len(raw)}"}, status=409,
                           code="upload_offset")
        self.assertEqual(gap.headers["Upload-Offset"], "40000")
        self.call("PUT", path, raw[40_000:], 201, headers={"Content-Range": f"bytes 40000-{len(raw) - 1}/{len(raw)}"})
        self.assertEqual(self.call("GET", path).body, raw)

    def test_an_upload_that_breaks_off_stores_nothing_and_can_be_continued(self):
        raw = safetensors({"c": ("U8", [500_000], bytes(500_000))}, {"__metadata__": {"k": "broken off"}})
        path = f"/v1/tensors/{digest_of(raw)}"
        before = self.server.stored_files()
        with self.server.raw() as sock:
            sock.sendall(f"PUT {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {self.server.keys['renter']}\r\n"
                         f"Content-Length: {len(raw)}\r\n\r\n".encode() + raw[:300_000])
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):  # until the server has noticed
                pass
        self.assertEqual(self.call("HEAD", path, status=404).headers["Upload-Offset"], "300000")
        self.assertEqual(self.server.stored_files(), before)
        self.call("PUT", path, raw[300_000:], 201, headers={"Content-Range": f"bytes 300000-{len(raw) - 1}/{len(raw)}"})

    def test_uploads_that_were_only_begun_keep_no_other_out(self):
        def path(i):
            return f"/v1/tensors/{digest_of(b'begun %d' % i)}"
        for i in range(70):  # over the 64 that an account may have
            self.refused("PUT", path(i), b"x", headers={"Content-Range": "bytes 7-7/9"}, status=409, code="upload_offset", key="stranger")
        self.assertEqual(list((self.server.directory / "blobs" / "uploads").glob(f"*{path(0)[-64:]}")), [])
        for i in range(70):
            self.call("PUT", path(i), b"x", 202, headers={"Content-Range": "bytes 0-0/9"}, key="stranger")
        self.assertNotIn("Upload-Offset", self.call("HEAD", path(0), status=404, key="stranger").headers)
        self.assertEqual(self.call("HEAD", path(69), status=404, key="stranger").headers["Upload-Offset"], "1")
        self.server.put_tensors({"x": ("U8", [1], b"x")}, key="stranger")

    def test_an_upload_that_nobody_goes_on_with_for_a_day_is_dropped_and_a_younger_one_stays(self):
        paths = []
        for name in ("left", "young"):
            raw = safetensors({"d": ("U8", [1_000], bytes(1_000))}, {"__metadata__": {"k": name}})
            paths.append(f"/v1/tensors/{digest_of(raw)}")
            self.call("PUT", paths[-1], raw[:400], 202, headers={"Content-Range": f"bytes 0-399/{len(raw)}"})
        for path, hours in zip(paths, (25, 23)):
            (upload,) = (self.server.directory / "blobs" / "uploads").glob(f"*{path[-64:]}")
            then = time.time() - hours * 3600
            os.utime(upload, (then, then))
        until = time.monotonic() + PATIENCE_SECONDS
        while "Upload-Offset" in self.call("HEAD", paths[0], status=404).headers:
            self.assertLess(time.monotonic(), until, "it was not dropped")
            time.sleep(0.05)
        self.assertEqual(self.call("HEAD", paths[1], status=404).headers["Upload-Offset"], "400")

    def test_a_body_that_is_not_its_hash_is_refused(self):
        self.refused("PUT", f"/v1/tensors/{digest_of(b'other')}", safetensors({}), status=422, code="hash_mismatch")
        self.call("HEAD", f"/v1/tensors/{digest_of(b'other')}", status=404)
        self.refused("PUT", "/v1/tensors/xyz", b"", status=400, code="bad_parameter")

    def test_a_safetensors_header_that_lies_is_refused(self):
        def file(header, data=bytes(8)):
            text = header if isinstance(header, bytes) else json.dumps(header).encode()
            return struct.pack("<Q", len(text)) + text + data
        lies = {"offsets past the end": file({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}),
                "overlap": file({n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in "ab"}),
                "unknown dtype": file({"a": {"dtype": "F33", "shape": [2], "data_offsets": [0, 8]}}),
                "shape and bytes disagree": file({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}),
                "not JSON": file(b"{"), "header longer than the file": struct.pack("<Q", 1 << 40), "too short": b"abc"}
        for name, raw in lies.items():
            with self.subTest(name):
                code = ("safetensors_header", "safetensors_overlap", "safetensors_truncated", "unsupported_dtype")
                self.refused("PUT", f"/v1/tensors/{digest_of(raw)}", raw, status=422, code=code)

    def test_a_deleted_tensor_is_gone_for_its_account_alone_and_its_file_when_nobody_needs_it(self):
        def stored(digest):
            return f"tensors/{digest[:2]}/{digest}" in self.server.stored_files()

        digest = self.server.put_tensors({"shared": ("U8", [4], b"both")})
        self.server.put_tensors({"shared": ("U8", [4], b"both")}, key="stranger")
        needed = self.server.put_tensors({"x": ("I32", [4], struct.pack("<4i", 9, 8, 7, 6))})
        document = self.server.job()
        document["inputs"]["x"]["file"] = needed
        job = self.call("POST", "/v1/jobs", {"job": document}, status=201).json["id"]
        for file in (digest, needed):
            self.call("DELETE", f"/v1/tensors/{file}", status=204)
            self.refused("DELETE", f"/v1/tensors/{file}", status=404, code="tensor_not_found")
            self.call("HEAD", f"/v1/tensors/{file}", status=404)
        self.refused("POST", "/v1/quotes", {"job": document}, status=404, code="tensor_not_found")
        self.call("GET", f"/v1/tensors/{digest}", status=200, key="stranger")
        other = self.server.put_tensors({"other": ("U8", [5], b"other")})
        self.call("DELETE", f"/v1/tensors/{other}", status=204)
        self.server.eventually(lambda: not stored(other), "the file of a deleted tensor stays")
        self.assertTrue(stored(digest) and stored(needed))
        self.call("DELETE", f"/v1/jobs/{job}", status=200)
        self.server.eventually(lambda: not stored(needed), "the file stays after the job that needed it")
        self.assertTrue(stored(digest))

    def test_what_is_stored_says_when_it_expires_and_is_gone_then(self):
        server = Server()
        try:
            day = datetime.timedelta(days=1)
            document = server.job()
            file = document["inputs"]["x"]["file"]
            put = server.request("PUT", f"/v1/tensors/{file}", server.request("GET", f"/v1/tensors/{file}").body)
            kept = datetime.datetime.fromisoformat(put.json["expires_at"]) - datetime.datetime.now(datetime.timezone.utc)
            self.assertTrue(29 * day < kept <= 30 * day, kept)
            self.assertEqual(server.request("POST", "/v1/quotes", {"job": document}).json["results_kept_hours"], 720)
            job = server.request("POST", "/v1/jobs", {"job": document}).json
            self.assertIsNone(job["expires_at"])
            ended = server.request("DELETE", f"/v1/jobs/{job['id']}").json
            self.assertEqual(datetime.datetime.fromisoformat(ended["expires_at"]),
                             datetime.datetime.fromisoformat(ended["ended_at"]) + 30 * day)
            self.assertEqual(server.request("GET", f"/v1/jobs/{job['id']}/results").status, 200)
            server.command("at 31 days")
            server.eventually(lambda: not [f for f in server.stored_files() if f.startswith("tensors/")], "tensors stay for ever")
            answer = server.request("GET", f"/v1/jobs/{job['id']}/results")
            self.assertEqual((answer.status, answer.json["code"]), (410, "results_expired"))
            server.eventually(lambda: server.request("HEAD", f"/v1/tensors/{file}").status == 404, "an expired tensor can be read")
            self.assertEqual(server.request("GET", f"/v1/jobs/{job['id']}").json["state"], "cancelled")
            self.assertEqual(server.request("GET", f"/v1/jobs/{job['id']}/bill").status, 200)
            self.assertEqual(server.command("balances")["wrong"], [])
        finally:
            server.stop()

    def test_to_a_stranger_a_tensor_does_not_exist(self):
        digest = self.server.put_tensors({"secret": ("U8", [3], b"abc")})
        for method in ("GET", "HEAD"):
            self.call(method, f"/v1/tensors/{digest}", status=404, key="stranger")

    # --- graphs ---

    def test_a_graph_is_counted_and_has_one_id_whatever_its_spelling(self):
        answer = self.call("POST", "/v1/graphs", counting_graph(), 201).json
        self.assertEqual([i["name"] for i in answer["inputs"]], ["x"])
        self.assertEqual(answer["step"]["flops"], "8")
        spelt = counting_graph()
        spelt["nodes"].append({"op": "STEP", "label": "dead"})
        spelt["nodes"][2]["label"] = "next"
        self.assertEqual(self.call("POST", "/v1/graphs", spelt, 201).json["id"], answer["id"])
        path = f"/v1/graphs/{answer['id']}"
        self.assertEqual(self.call("GET", path).json, answer)
        again = self.call("GET", path + "?form=json").json
        self.assertEqual(self.call("POST", "/v1/graphs", again, 201).json["id"], answer["id"])
        cbor = self.call("GET", path, headers={"Accept": "application/cbor"}).body
        self.assertEqual(self.call("POST", "/v1/graphs", cbor, 201, headers={"Content-Type": "application/cbor"}).json["id"], answer["id"])
        self.call("GET", path, status=404, key="stranger")

    def test_a_bad_graph_is_refused_by_the_place_of_its_fault(self):
        def graph(**node):
            return {"version": 1, "nodes": [{"op": "INPUT", "name": "x", "dtype": "f32", "shape": [2, 3]}, node], "outputs": {"y": 1}}
        cases = [("unknown op", graph(op="TANH", src=[0]), "/nodes/1"),
                 ("unknown field", graph(op="EXP", src=[0], colour="red"), "/nodes/1"),
                 ("forward reference", graph(op="EXP", src=[1]), "/nodes/1"),
                 ("shape mismatch", graph(op="RESHAPE", src=[0], shape=[7]), "/nodes/1"),
                 ("element count that overflows", graph(op="EXPAND", src=[0], shape=[2**62, 3]), "/nodes/1"),
                 ("over the limit of an INPUT", graph(op="INPUT", name="z", dtype="f32", shape=[2**41]), "/nodes/1")]
        for name, document, pointer in cases:
            with self.subTest(name):
                before = self.state()
                answer = self.call("POST", "/v1/graphs", document, 422).json
                self.assertTrue(answer["pointer"].startswith(pointer), answer)
                self.assertTrue(answer["detail"])
                self.assertEqual(self.state(), before)

    def test_malformed_and_deeply_nested_graphs_are_refused(self):
        for media, raw in (("json", b"{"), ("json", b"[" * 100_000), ("json", b'{"version":1,"nodes":' + b"[" * 40 + b"]" * 40 + b"}"),
                           ("cbor", b"\xff\xff"), ("cbor", b"\x81" * 100_000), ("json", b"")):
            with self.subTest(raw[:20]):
                before = self.state()
                answer = self.server.request("POST", "/v1/graphs", raw, {"Content-Type": f"application/{media}"})
                self.assertIn(answer.status, (400, 422), answer)
                self.assertEqual(self.state(), before)

    # --- quotes and jobs ---

    def test_a_quote_says_what_the_job_then_reserves(self):
        job = self.server.job()
        before = self.call("GET", "/v1/account").json["balance"]
        quote = self.call("POST", "/v1/quotes", {"job": job}, 201).json
        self.assertEqual(self.call("GET", "/v1/account").json["balance"], before)
        submitted = self.call("POST", "/v1/jobs", {"job": job, "quote": quote["token"]}, 201).json
        self.assertEqual(submitted["limit"], quote["limit"])
        self.assertEqual(submitted["state"], "queued")
        self.assertEqual(self.call("GET", f"/v1/jobs/{submitted['id']}").json["outputs"], submitted["outputs"])
        ended = self.call("DELETE", f"/v1/jobs/{submitted['id']}").json
        self.assertEqual(ended["state"], "cancelled")
        self.assertEqual(self.call("DELETE", f"/v1/jobs/{submitted['id']}").json, ended)
        bill = self.call("GET", f"/v1/jobs/{submitted['id']}/bill").json
        self.assertEqual(bill["spent"], ended["spent"])
        self.assertEqual(self.server.command("balances")["wrong"], [])

    def test_a_job_bills_by_the_tariff_of_its_quote(self):
        job = self.server.job()  # keeps a value of each of three steps: copies, which tariff 1 leaves free
        quote = self.call("POST", "/v1/quotes", {"job": job}, 201).json
        self.assertEqual(quote["work"]["tariff"], 2)
        # A token of before tariff 2 has no field for its version.
        signed = "q1." + quote["token"].split(".", 1)[1].rsplit(".", 2)[0]
        key = (self.server.directory / "quote.key").read_bytes()
        old = f"{signed}.{hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()}"
        metered = {}
        for tariff, token in ((2, quote["token"]), (1, old)):
            submitted = self.call("POST", "/v1/jobs", {"job": job, "quote": token}, 201).json
            self.assertEqual(submitted["tariff"], tariff)
            stored = self.call("GET", f"/v1/jobs/{submitted['id']}").json
            self.assertEqual((stored["tariff"], stored["metered_flops"]), (tariff, submitted["metered_flops"]))
            metered[tariff] = int(submitted["metered_flops"])
            self.call("DELETE", f"/v1/jobs/{submitted['id']}")
        self.assertEqual(metered[2], int(quote["work"]["metered_flops"]))
        self.assertGreaterEqual(metered[2] - metered[1], 3 * 64 * 128 * 1024)

    def test_a_forged_or_foreign_quote_is_refused(self):
        job = self.server.job()
        token = self.call("POST", "/v1/quotes", {"job": job}, 201).json["token"]
        cheaper = token.replace(".2500000000.", ".1.")
        self.assertNotEqual(cheaper, token)
        self.refused("POST", "/v1/jobs", {"job": job, "quote": cheaper}, status=422, code="quote_invalid", pointer="/quote")
        self.refused("POST", "/v1/jobs", {"job": self.server.job(steps=4), "quote": token}, status=422, code="quote_invalid")
        self.refused("POST", "/v1/jobs", {"job": job, "quote": "q1"}, status=422, code="quote_invalid")
        self.refused("POST", "/v1/jobs", {"job": job, "limit": "0.000000000001"}, status=422, code="limit_too_low", pointer="/limit")

    def test_what_the_job_document_gets_wrong_is_named(self):
        def change(path, value):
            job = json.loads(json.dumps(self.server.job()))
            at = job
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = value
            return job
        stage = ("stages", 0)
        other = self.server.put_tensors({"x": ("F32", [4], bytes(16)), "y": ("I32", [5], bytes(20))})
        cases = [("steps of 0", change((*stage, "steps"), 0), "/job/stages/0/steps"),
                 ("steps of 10^18", change((*stage, "steps"), 10**18), "/job/stages/0/steps"),
                 ("unknown field", change(("colour",), "red"), "/job/colour"),
                 ("an input that is missing", change(("inputs",), {}), None),
                 ("another dtype", change(("inputs", "x"), {"file": other, "tensor": "x"}), "/job/inputs/x"),
                 ("another shape", change(("inputs", "x"), {"file": other, "tensor": "y"}), "/job/inputs/x"),
                 ("a tensor that the file has not", change(("inputs", "x"), {"file": other, "tensor": "z"}), "/job/inputs/x/tensor"),
                 ("a carry between different shapes", change((*stage, "carry"), {"x": "total"}), None),
                 ("a carry of no output", change((*stage, "carry"), {"x": "nothing"}), None),
                 ("a kept output that is none", change((*stage, "keep"), {"nothing": "last"}), None),
                 ("two stages", change(("stages",), self.server.job()["stages"] * 2), None),
                 ("a feed that is too short",
                  {**change(("inputs",), {}), "stages": [{**self.server.job()["stages"][0], "carry": {}, "feed":
                   {"x": {"file": self.server.put_tensors({"f": ("I32", [2, 4], bytes(32))}), "tensor": "f"}}}]},
                  "/job/stages/0/feed/x")]
        for name, job, pointer in cases:
            for path in ("/v1/quotes", "/v1/jobs"):
                with self.subTest(name, path=path):
                    before = self.state()
                    answer = self.server.request("POST", path, {"job": job})
                    self.assertEqual(answer.status, 422, answer)
                    if pointer:
                        self.assertEqual(answer.json["pointer"], pointer, answer)
                    self.assertTrue(answer.json["pointer"].startswith("/job"), answer)
                    self.assertEqual(self.state(), before)

    def test_a_job_that_no_message_to_a_box_could_carry_is_refused(self):
        names = [f"x{i}" for i in range(16_385)]
        nodes = [{"op": "INPUT", "name": name, "dtype": "i32", "shape": []} for name in names]
        for i in range(1, len(names)):
            nodes.append({"op": "ADD", "src": [i, len(nodes) - 1 if i > 1 else 0]})
        graph = self.server.put_graph({"version": 1, "nodes": nodes, "outputs": {"sum": len(nodes) - 1}})
        start = self.server.put_tensors({"x": ("I32", [], bytes(4))})
        job = {"version": 1, "seed": "0", "inputs": {name: {"file": start, "tensor": "x"} for name in names},
               "stages": [{"graph": graph, "steps": 1}]}
        for path in ("/v1/quotes", "/v1/jobs"):
            self.refused("POST", path, {"job": job}, status=422, code="job_too_large", pointer="/job")

    def test_a_feed_takes_one_slice_a_step(self):
        graph = self.server.put_graph()
        fed = self.server.put_tensors({"f": ("I32", [2, 4], bytes(32))})
        job = {"version": 1, "seed": "0", "stages": [{"graph": graph, "steps": 5, "feed": {"x": {"file": fed, "tensor": "f", "wrap": True}}}]}
        self.assertEqual(self.call("POST", "/v1/quotes", {"job": job}, 201).json["work"]["bytes_in"], 32)

    def test_things_of_another_account_do_not_exist(self):
        mine = self.call("POST", "/v1/jobs", {"job": self.server.job()}, 201).json["id"]
        for path in ("", "/events", "/results", "/results/total", "/bill"):
            self.call("GET", f"/v1/jobs/{mine}{path}", status=404, key="stranger")
        self.call("DELETE", f"/v1/jobs/{mine}", status=404, key="stranger")
        job = self.server.job()
        job["stages"][0]["graph"] = self.server.put_graph(counting_graph(6))
        self.refused("POST", "/v1/jobs", {"job": job}, key="stranger", status=404, code="graph_not_found",
                     pointer="/job/stages/0/graph")
        self.server.put_graph(key="stranger")
        job = self.server.job()
        job["inputs"]["x"]["file"] = self.server.put_tensors({"x": ("I32", [4], bytes(16))})
        self.refused("POST", "/v1/jobs", {"job": job}, key="stranger", status=404, code="tensor_not_found",
                     pointer="/job/inputs/x/file")
        job["inputs"]["x"] = {"job": mine, "output": "x_next"}
        self.refused("POST", "/v1/jobs", {"job": job}, key="stranger", status=404, code="job_not_found", pointer="/job/inputs/x/job")
        self.refused("POST", "/v1/jobs", {"job": job}, status=409, code="job_not_finished", pointer="/job/inputs/x/job")
        self.call("DELETE", f"/v1/jobs/{mine}")
        self.call("GET", "/v1/jobs/job_nonsense", status=404)

    def test_a_job_above_the_balance_gets_402_and_leaves_no_trace(self):
        self.server.put_graph(key="stranger")
        self.server.put_tensors({"x": ("I32", [4], START)}, key="stranger")
        self.refused("POST", "/v1/jobs", {"job": self.server.job()}, key="stranger", status=402, code="insufficient_balance")
        self.assertEqual(self.call("GET", "/v1/jobs", key="stranger").json["jobs"], [])

    def test_a_submit_is_refused_before_the_room_for_open_jobs_results_is_gone(self):
        mib = 1 << 20
        server = Server(disk_mib=8)
        self.addCleanup(server.stop)
        job = server.job(steps=3 * mib // 4)  # "total" of each step: 3 MiB
        job["stages"][0]["keep"] = {"total": "each"}
        first, second = (server.request("POST", "/v1/jobs", {"job": job}, {"Idempotency-Key": key}) for key in ("a", "b"))
        self.assertEqual((first.status, second.status), (201, 201))
        before = server.command("balances"), len(server.request("GET", "/v1/jobs").json["jobs"])
        for path, body in (("/v1/jobs", {"job": job}), ("/v1/jobs:batch", {"jobs": [{"job": job}]})):
            refused = server.request("POST", path, body)
            self.assertEqual((refused.status, refused.json["code"]), (507, "no_space"))
            self.assertGreater(int(refused.headers["Retry-After"]), 0)
        raw = safetensors({"x": ("U8", [3 * mib], bytes(3 * mib))})
        upload = server.request("PUT", f"/v1/tensors/{digest_of(raw)}", raw)
        self.assertEqual((upload.status, upload.json["code"]), (507, "no_space"))  # it would take the jobs' room
        self.assertEqual((server.command("balances"), len(server.request("GET", "/v1/jobs").json["jobs"])), before)
        again = server.request("POST", "/v1/jobs", {"job": job}, {"Idempotency-Key": "a"})
        self.assertEqual((again.status, again.json["id"]), (201, first.json["id"]))
        server.request("DELETE", f"/v1/jobs/{first.json['id']}")
        server.eventually(lambda: server.request("POST", "/v1/jobs", {"job": job}).status == 201, "room is not given back")

    def test_the_same_submit_with_one_idempotency_key_makes_one_job(self):
        body = {"job": self.server.job()}
        headers = {"Idempotency-Key": "once"}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: self.server.request("POST", "/v1/jobs", body, headers), range(8)))
        self.assertEqual({a.status for a in answers}, {201})
        self.assertEqual(len({a.json["id"] for a in answers}), 1)
        self.refused("POST", "/v1/jobs", {"job": self.server.job(steps=9)}, headers=headers, status=409, code="idempotency_key_reused")
        first = self.call("POST", "/v1/boxes", {"name": "one"}, 201, headers={"Idempotency-Key": "box"}).json
        self.assertEqual(self.call("POST", "/v1/boxes", {"name": "one"}, 201, headers={"Idempotency-Key": "box"}).json, first)
        self.refused("POST", "/v1/boxes", {"name": "two"}, headers={"Idempotency-Key": "box"}, status=409, code="idempotency_key_reused")

    def test_an_idempotency_key_that_cannot_be_stored_is_refused(self):
        for path, body in (("/v1/jobs", {"job": self.server.job()}), ("/v1/boxes", {"name": "box"})):
            for key in (b"\xff", "x" * 256):
                self.refused("POST", path, body, headers={"Idempotency-Key": key}, status=400, code="bad_header")

    def test_a_batch_is_accepted_whole_or_not_at_all(self):
        good = {"job": self.server.job()}
        answer = self.call("POST", "/v1/jobs:batch", {"jobs": [good] * 100}, 201).json
        self.assertEqual(len({job["id"] for job in answer["jobs"]}), 100)
        self.refused("POST", "/v1/jobs:batch", {"jobs": [good, {"job": self.server.job(steps=0)}]}, status=422,
                     code=("bad_value", "out_of_range", "bad_steps", "limit_exceeded"), pointer="/jobs/1/job/stages/0/steps")
        self.refused("POST", "/v1/jobs:batch", {"jobs": [good] * 1001}, status=422, code="too_many_items")
        self.refused("POST", "/v1/jobs:batch", {"jobs": []}, status=422, code="missing_field")
        self.refused("POST", "/v1/jobs:batch", {"jobs": 3}, status=400, code="malformed_json")

    def test_pages_follow_a_cursor_to_the_end(self):
        self.call("POST", "/v1/jobs:batch", {"jobs": [{"job": self.server.job()}] * 5}, 201)
        seen, after = [], ""
        while after is not None:
            page = self.call("GET", f"/v1/jobs?limit=3&after={after}").json
            seen += [job["id"] for job in page["jobs"]]
            after = page["next"]
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(seen, sorted(seen, reverse=True))
        for path in ("/v1/jobs", "/v1/usage", "/v1/account/ledger"):
            for cursor in ("nonsense", "9" * 30, "ffffffff-ffff-ffff-ffff-ffffffffffff.99999", "ffffffff-ffff-ffff-ffff-ffffffffffff.x"):
                self.refused("GET", f"{path}?after={cursor}", status=400, code="bad_cursor")
        self.refused("GET", "/v1/jobs?limit=0", status=400, code="bad_parameter")
        self.refused("GET", "/v1/jobs?limit=many", status=400, code="bad_parameter")

    def test_a_wait_ends_when_the_job_does(self):
        job = self.call("POST", "/v1/jobs", {"job": self.server.job()}, 201).json["id"]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.server.request, "GET", f"/v1/jobs/{job}?wait=30")
            time.sleep(0.5)
            self.call("DELETE", f"/v1/jobs/{job}")
            cancelled = time.monotonic()
            self.assertEqual(waiting.result().json["state"], "cancelled")
            self.assertLess(time.monotonic() - cancelled, 25)  # of the 30 s that it may wait
        job = self.call("POST", "/v1/jobs", {"job": self.server.job()}, 201).json["id"]
        self.assertEqual(self.call("GET", f"/v1/jobs/{job}?wait=1").json["state"], "queued")

    def test_a_submit_that_waits_is_answered_when_the_job_ends_and_its_repetition_at_once(self):
        body, headers = {"job": self.server.job()}, {"Idempotency-Key": "waits"}

        def newest():
            jobs = self.call("GET", "/v1/jobs?limit=1").json["jobs"]
            return jobs[0]["id"] if jobs else None
        before = newest()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.server.request, "POST", "/v1/jobs?wait=30&results=inline", body, headers)
            while (job := newest()) == before:
                time.sleep(0.05)
            self.call("DELETE", f"/v1/jobs/{job}")
            cancelled = time.monotonic()
            answer = waiting.result()
            self.assertEqual((answer.status, answer.json["id"], answer.json["state"]), (201, job, "cancelled"))
            self.assertLess(time.monotonic() - cancelled, 25)  # of the 30 s that it may wait
        again = self.call("POST", "/v1/jobs?wait=20", body, 201, headers=headers).json
        self.assertEqual((again["id"], again["state"]), (job, "queued"))
        self.assertEqual(self.call("POST", "/v1/jobs?wait=1", body, 201).json["state"], "queued")
        self.refused("POST", "/v1/jobs?wait=soon", body, status=400, code="bad_parameter")
        self.refused("POST", "/v1/jobs?results=all", body, status=400, code="bad_parameter")
        self.refused("GET", f"/v1/jobs/{again['id']}?results=all", status=400, code="bad_parameter")

    def test_events_come_live_and_resume_after_the_last_id(self):
        job = self.call("POST", "/v1/jobs", {"job": self.server.job()}, 201).json["id"]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            stream = pool.submit(self.server.request, "GET", f"/v1/jobs/{job}/events")
            time.sleep(0.3)
            self.call("DELETE", f"/v1/jobs/{job}")
            text = stream.result().body.decode()
        kinds = [line[7:] for line in text.splitlines() if line.startswith("event: ")]
        self.assertEqual(kinds, ["job.queued", "job.cancelled"])
        first = next(line[4:] for line in text.splitlines() if line.startswith("id: "))
        rest = self.call("GET", f"/v1/jobs/{job}/events", headers={"Last-Event-ID": first}).body.decode()
        self.assertNotIn("job.queued", rest)
        self.assertIn("job.cancelled", rest)
        last = [line[4:] for line in text.splitlines() if line.startswith("id: ")][-1]
        self.assertEqual(self.call("GET", f"/v1/jobs/{job}/events", headers={"Last-Event-ID": last}).body, b"")
        for past in (int(last) + 1, 2**63 - 1):
            self.assertEqual(self.call("GET", f"/v1/jobs/{job}/events", headers={"Last-Event-ID": str(past)}).body, b"")
        waiting = self.call("POST", "/v1/jobs", {"job": self.server.job()}, 201).json["id"]
        for wrong in ("x", "-1", "", str(2**63), str(2**63 - 1)):
            self.refused("GET", f"/v1/jobs/{waiting}/events", headers={"Last-Event-ID": wrong}, status=400, code="bad_header")

    def test_one_accounts_event_streams_leave_room_for_others(self):
        server = Server()
        self.addCleanup(server.stop)
        job = server.request("POST", "/v1/jobs", {"job": server.job()}).json["id"]
        path, streams = f"/v1/jobs/{job}/events", []
        for _ in range(200):
            streams.append(server.connect())
            streams[-1].request("GET", path, headers={"Authorization": f"Bearer {server.keys['renter']}"})
            self.assertEqual(streams[-1].getresponse().status, 200)
        refused = server.request("GET", path, key="spare")
        self.assertEqual((refused.status, refused.json["code"]), (429, "too_many_streams"))
        self.assertEqual(server.request("GET", path, key="stranger").status, 404)  # not 429
        server.request("DELETE", f"/v1/jobs/{job}")
        for connection in streams:
            connection.close()
        server.eventually(lambda: server.request("GET", path, key="spare").status == 200, "streams that ended are counted")

    def test_nobody_is_remembered_who_has_waited_for_a_job_that_nothing_happens_to(self):
        job = self.call("POST", "/v1/jobs", {"job": self.server.job()}, 201).json["id"]
        streams = [self.server.raw() for _ in range(5)]
        for sock in streams:
            sock.sendall(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: a\r\n"
                         f"Authorization: Bearer {self.server.keys['renter']}\r\n\r\n".encode())
            while b"job.queued" not in sock.recv(65536):
                pass
        for any_job in ("job_00000000-0000-7000-8000-000000000000", job):
            self.server.request("GET", f"/v1/jobs/{any_job}?wait=1")
        self.assertEqual(self.server.metrics()["quarry_job_watchers"], 5)
        for sock in streams:
            sock.close()
        self.server.eventually(lambda: self.server.metrics()["quarry_job_watchers"] == 0, "a watcher is kept")
        self.assertEqual(self.server.metrics()["quarry_event_streams"], 0)

    # --- account, usage, boxes ---

    def test_the_ledger_sums_to_the_balance(self):
        lines, after = [], ""
        while after is not None:
            page = self.call("GET", f"/v1/account/ledger?limit=50&after={after}").json
            lines += page["lines"]
            after = page["next"]
        from decimal import Decimal
        for book, amount in self.call("GET", "/v1/account").json["balance"].items():
            self.assertEqual(sum(Decimal(line["amount"]) for line in lines if line["book"] == book), Decimal(amount), book)
        usage = self.call("GET", "/v1/usage?limit=200").json
        if usage["next"] is None:
            self.assertEqual(sum(Decimal(s["charge"]) for s in usage["segments"]), Decimal(usage["totals"]["charge"]))

    def test_results_are_listed_and_fetched_only_once_accepted(self):
        job = self.call("POST", "/v1/jobs", {"job": self.server.job()}, 201).json["id"]
        self.assertEqual(self.call("GET", f"/v1/jobs/{job}/results").json, {"outputs": []})
        self.refused("GET", f"/v1/jobs/{job}/results/total", status=404, code="output_not_found")

    def test_a_claim_code_enrols_one_key_and_renews_only_for_it(self):
        box = self.call("POST", "/v1/boxes", {"name": "rack 1"}, 201).json
        pem = certificate_request()
        body = {"claim_code": box["claim_code"], "request_pem": pem}
        first = self.call("POST", "/v1/boxes:claim", body, 201, key=None).json
        self.assertEqual(first["box"], box["id"])
        self.assertEqual(first["gate"]["port"], self.server.facts["gate_port"])
        shown = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=first["certificate_pem"].encode(), capture_output=True)
        self.assertIn(box["id"], shown.stdout.decode())
        self.call("POST", "/v1/boxes:claim", body, 201, key=None)
        self.refused("POST", "/v1/boxes:claim", {**body, "request_pem": certificate_request()}, status=404, code="claim_code", key=None)
        self.refused("POST", "/v1/boxes:claim", {**body, "claim_code": "qc_0"}, status=404, code="claim_code", key=None)
        self.refused("POST", "/v1/boxes:claim", {**body, "request_pem": "x"}, status=422, code="bad_certificate_request", key=None)
        listed = self.call("GET", "/v1/boxes").json["boxes"]
        self.assertIn({"id": box["id"], "name": "rack 1", "claimed": True, "revoked": False}, listed)

    def test_health_and_readiness_need_no_key(self):
        self.call("GET", "/healthz", key=None)
        self.call("GET", "/readyz", key=None)


if __name__ == "__main__":
    unittest.main()
