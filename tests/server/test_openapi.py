"""The served OpenAPI document: well formed, complete, and true of every kind of answer. (test_api.py checks each answer it sees too.)"""

import json
import re
import sys
import unittest
from pathlib import Path

import jsonschema

sys.path.insert(0, str(Path(__file__).resolve().parent))
from server_under_test import Server  # noqa: E402

ROUTES = Path(__file__).resolve().parents[2] / "server" / "api" / "routes.cpp"


class OpenApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.document = cls.server.contract.document

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_the_document_names_every_route_and_its_scope_and_no_other(self):
        routes = {(m.lower(), pattern): scope for m, pattern, scope in
                  re.findall(r'Route\{(\w+), "([^"]+)", (?:key\("([^"]+)"\)|kOpen)', ROUTES.read_text())}
        documented = {(method, path): operation["security"][0]["key"][0] if operation["security"] else ""
                      for path, item in self.document["paths"].items() for method, operation in item.items()}
        self.assertEqual(routes, documented)

    def test_every_schema_is_a_schema_and_every_reference_resolves(self):
        schemas = self.document["components"]["schemas"]
        for name, schema in schemas.items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)

        def walk(value):
            if isinstance(value, dict):
                if "$ref" in value:
                    at = self.document
                    for part in value["$ref"].removeprefix("#/").split("/"):
                        at = at[part]
                for child in value.values():
                    walk(child)
            elif isinstance(value, list):
                for child in value:
                    walk(child)
        walk(self.document)

    def one_of_each(self):
        """A request for every operation, of things that the renter has: (method, path, body)."""
        server = self.server
        digest = server.put_tensors({"x": ("U8", [1], b"x")})
        document = server.job()
        job = server.request("POST", "/v1/jobs", {"job": document}).json["id"]
        graph = document["stages"][0]["graph"]
        requests = [("PUT", "/v1/tensors/" + "0" * 64, b"x"), ("HEAD", f"/v1/tensors/{digest}", None), ("GET", f"/v1/tensors/{digest}", None),
                    ("GET", f"/v1/graphs/{graph}", None), ("GET", f"/v1/graphs/{graph}?form=json", None),
                    ("POST", "/v1/graphs", {}), ("POST", "/v1/quotes", {"job": document}), ("POST", "/v1/quotes", {}),
                    ("POST", "/v1/jobs:batch", {"jobs": [{"job": document}]}), ("GET", "/v1/jobs", None), ("GET", f"/v1/jobs/{job}", None),
                    ("GET", f"/v1/jobs/{job}/results", None), ("GET", f"/v1/jobs/{job}/results/total", None),
                    ("DELETE", f"/v1/jobs/{job}", None), ("GET", f"/v1/jobs/{job}/events", None), ("GET", f"/v1/jobs/{job}/bill", None),
                    ("GET", "/v1/usage", None), ("GET", "/v1/account", None), ("GET", "/v1/account/ledger", None),
                    ("POST", "/v1/boxes", {"name": "a"}), ("GET", "/v1/boxes", None), ("POST", "/v1/boxes:claim", {}),
                    ("DELETE", f"/v1/tensors/{digest}", None),
                    ("GET", "/v1/openapi.json", None), ("GET", "/healthz", None), ("GET", "/readyz", None)]
        return requests

    def test_every_operation_answers_as_documented(self):
        server = self.server
        for method, path, body in self.one_of_each():
            with self.subTest(f"{method} {path}"):
                server.request(method, path, body)  # the contract checks the answer
        asked = {(method, pattern) for method, pattern, _ in server.contract.seen}
        documented = {(method.upper(), path) for path, item in self.document["paths"].items() for method in item}
        self.assertEqual(documented - asked, set())

    def test_no_route_answers_a_key_that_is_missing_wrong_revoked_or_without_the_scope(self):
        server = self.server
        requests = self.one_of_each()
        good = server.keys["spare"]
        wrong = good[:8] + "0" * 16 + good[24:]  # of a key that does not exist, and its check digits are wrong
        refusals = {}
        for method, path, body in requests:
            security = server.contract.operation(method, path)[1]["security"]
            with self.subTest(f"{method} {path}"):
                if not security:
                    self.assertNotIn(server.request(method, path, body, key=None).status, (401, 403))
                    continue
                for headers in ({}, {"Authorization": f"Bearer {wrong}"}, {"Authorization": f"Bearer {server.keys['revoked']}"}):
                    answer = server.request(method, path, body, headers, key=None)
                    self.assertEqual(answer.status, 401, answer)
                    self.assertNotIn("Upload-Offset", answer.headers)
                    refusals[answer.body] = refusals.get(answer.body, 0) + 1
                scope = security[0]["key"][0]
                answer = server.request(method, path, body, key="uploader" if scope == "jobs:read" else "reader")
                self.assertEqual(answer.status, 403, answer)
        self.assertEqual(set(refusals) - {b""}, {max(refusals, key=len)})  # one sentence for all, none after HEAD

    def test_to_another_account_nothing_of_the_renter_exists(self):
        server = self.server
        requests = self.one_of_each()
        job = next(path.split("/")[3] for _, path, _ in requests if "/v1/jobs/" in path)
        secrets = {server.facts["renter"], job, requests[1][1][-64:], requests[3][1].split("/")[3]}
        for method, path, body in requests:
            pattern, operation = server.contract.operation(method, path)
            if not operation["security"]:
                continue
            with self.subTest(f"{method} {path}"):
                answer = server.request(method, path, body, key="stranger")
                if "{" in pattern and method != "PUT":
                    self.assertEqual(answer.status, 404, answer)
                for secret in secrets:
                    if secret not in path + json.dumps(body, default=repr):
                        self.assertNotIn(secret.encode(), answer.body)
        self.assertEqual(server.request("GET", f"/v1/jobs/{job}").status, 200)

    def test_head_answers_as_get_does_without_a_body(self):
        server = self.server
        for method, path, _ in self.one_of_each():
            if method != "GET" or path.endswith("/events"):
                continue
            with self.subTest(path):
                get, head = server.request("GET", path), server.request("HEAD", path)
                self.assertEqual((head.status, head.body), (get.status, b""))
                self.assertEqual(head.headers["Content-Length"], get.headers["Content-Length"])
                self.assertEqual(head.headers["Content-Type"], get.headers["Content-Type"])
                server.request("HEAD", path, key=None)


if __name__ == "__main__":
    unittest.main()
